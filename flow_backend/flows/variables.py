"""Types of a session's variables, and how values that are given become of that type."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from protocol.errors import FlowError

VariableType: TypeAlias = Literal["string", "number", "integer", "boolean", "array", "object"]

_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})


def coerce(value: Any, wanted: VariableType) -> Any:
    """Gives `value` as the wanted type; None stays None.

    People and query strings give text: "4" is the integer 4, "yes" is true, and JSON text is an
    array or object. Nothing is rounded or cut.

    Raises:
        ValueError: If the value is not of the type and cannot be read as it.
    """
    if value is None:
        return None
    match wanted:
        case "string":
            if isinstance(value, str):
                return value
            if isinstance(value, bool | int | float):
                return json.dumps(value)
        case "boolean":
            if isinstance(value, bool):
                return value
            text = str(value).strip().lower() if isinstance(value, str | int) else ""
            if text in _TRUE or text in _FALSE:
                return text in _TRUE
        case "integer" | "number":
            number = _number(value)
            if number is not None and wanted == "integer" and number == int(number):
                return int(number)
            if number is not None and wanted == "number":
                return number
        case "array" | "object":
            kind = list if wanted == "array" else dict
            if isinstance(value, str):
                try:
                    value = json.loads(value)
                except (ValueError, RecursionError):
                    value = None
            if isinstance(value, kind):
                return value
    raise ValueError(f"expected {'an' if wanted[0] in 'aio' else 'a'} {wanted}")


def check_sizes(
    changed: Mapping[str, Any], together: Mapping[str, Any], *, one_bytes: int, all_bytes: int
) -> None:
    """Refuses variables that are too large, each or all of a session's together, as JSON.

    Args:
        changed: The new values.
        together: All variables of the session, the new ones among them.
        one_bytes: Limit of one variable.
        all_bytes: Limit of all.

    Raises:
        FlowError: `variable_too_large`, with the path of the variable.
    """
    for name, value in changed.items():
        if _size_bytes(value) > one_bytes:
            raise FlowError(
                "variable_too_large",
                f"Variable {name!r} is larger than {one_bytes} bytes. Keep less in it.",
                path=f"variables.{name}",
            )
    if changed and sum(map(_size_bytes, together.values())) > all_bytes:
        name = max(changed, key=lambda name: _size_bytes(changed[name]))
        raise FlowError(
            "variable_too_large",
            f"With {name!r} the session's variables together are larger than {all_bytes} bytes. "
            "Set those that are no longer needed to null.",
            path=f"variables.{name}",
        )


def _size_bytes(value: Any) -> int:
    return len(json.dumps(value, default=str))


def type_of(value: Any) -> VariableType | None:
    """The type of a value; None for null and for what is not JSON."""
    if isinstance(value, bool):
        return "boolean"
    for kind, name in _NAMES:
        if isinstance(value, kind):
            return name
    return None


_NAMES: tuple[tuple[type, VariableType], ...] = (
    (str, "string"),
    (int, "integer"),
    (float, "number"),
    (list, "array"),
    (dict, "object"),
)


def _number(value: Any) -> int | float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        text = value.strip()
        try:
            value = int(text) if text.lstrip("+-").isdecimal() else float(text)
        except ValueError:
            return None
    if isinstance(value, int):
        return value
    return value if isinstance(value, float) and math.isfinite(value) else None
