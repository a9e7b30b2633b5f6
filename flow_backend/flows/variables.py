"""Types of a session's variables, and how values that are given become of that type."""

from __future__ import annotations

import json
import math
from typing import Any, Literal, TypeAlias

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
