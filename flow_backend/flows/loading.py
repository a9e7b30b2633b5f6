"""Reads flow documents from YAML or JSON text, and remembers on which line each part stands."""

from __future__ import annotations

import contextlib
import json
import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import yaml

from protocol.errors import FlowError

MAX_BYTES = 2_000_000
MAX_VALUES = 200_000
"""Scalars, lists and mappings of a document, after aliases are followed."""
MAX_DEPTH = 60

PathKey = tuple[str | int, ...]


@dataclass(slots=True)
class Source:
    """A document as it was read."""

    data: Any
    lines: dict[PathKey, int] = field(default_factory=dict)
    """Line, from 1, of each value, by its path."""
    name: str = ""
    """Of the file."""

    def line_of(self, path: PathKey) -> int | None:
        """The line of a value, or of the nearest part that holds it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path)


def load_file(path: Path) -> Source:
    """Reads a document from a file.

    Raises:
        FlowError: `flow_invalid`, for a file that cannot be read, too, as `load_text`.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise FlowError("flow_invalid", f"{path}: larger than {MAX_BYTES} bytes.")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise FlowError("flow_invalid", f"{path}: cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise FlowError("flow_invalid", f"{path}: not UTF-8 text.") from error
    return load_text(text, name=str(path))


def load_text(text: str, *, name: str = "") -> Source:
    """Reads a document, JSON if it is JSON, else YAML.

    Dates stay text, since variables have no such type. Keys must be text and stand once.

    Raises:
        FlowError: `flow_invalid`: no YAML, with the line and column; too large, too deep, or an
            alias that makes it so.
    """
    place = f"{name}: " if name else ""
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise FlowError("flow_invalid", f"{place}larger than {MAX_BYTES} bytes.")
    reader = _Reader()
    if text.lstrip()[:1] == "{":
        with contextlib.suppress(ValueError, RecursionError):
            data = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_number)
            with contextlib.suppress(yaml.YAMLError):
                reader.read(_composed(text), ())
            return Source(data, reader.lines, name)
    try:
        data = reader.read(_composed(text), ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise FlowError(
            "flow_invalid", f"{place}{where}{error.problem or 'no YAML or JSON'}."
        ) from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        said = str(error).partition("\n")[0] if isinstance(error, ValueError) else "no YAML or JSON"
        raise FlowError("flow_invalid", f"{place}{said}.") from error
    return Source(data, reader.lines, name)


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks, and everything out where it stands."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


def to_yaml(document: Any) -> str:
    """Writes a document as people would, in the order of its keys."""
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number in JSON")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("a key stands twice")
    return values


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # either base
    """Safe YAML without dates and without the words `yes`, `no`, `on`, `off` as booleans."""


_Loader.yaml_implicit_resolvers = {
    first: [
        (tag, pattern)
        for tag, pattern in resolvers
        if tag not in ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:bool")
    ]
    for first, resolvers in _Loader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool",
    re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"),
    list("tTfF"),
)


def _composed(text: str) -> yaml.Node | None:
    """The document's nodes.

    Raises:
        ValueError: It is too deep. The composer recurses in C without a bound: it would take the
            process down.
    """
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
    node: yaml.Node | None = yaml.compose(text, Loader=_Loader)
    return node


class _Reader:
    """Turns composed nodes into values, following aliases under a common bound."""

    def __init__(self) -> None:
        self.lines: dict[PathKey, int] = {}
        self._left = MAX_VALUES
        self._constructor = _Loader("")

    def read(self, node: yaml.Node | None, path: PathKey) -> Any:
        if node is None:
            return None
        self._left -= 1
        if self._left < 0:
            raise ValueError(f"holds more than {MAX_VALUES} values, aliases counted as often used")
        if len(path) > MAX_DEPTH:
            raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
        self.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.read(item, (*path, index)) for index, item in enumerate(node.value)]
        value = self._constructor.construct_object(node)
        finite = not isinstance(value, float) or math.isfinite(value)
        if not finite or not isinstance(value, str | int | float | bool | None):
            line = node.start_mark.line + 1
            raise ValueError(f"line {line}: {node.value!r} is no value that JSON could hold")
        return value

    def _mapping(self, node: yaml.MappingNode, path: PathKey) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode) or key_node.value == "<<":
                raise ValueError(f"line {line}: a key must be plain text")
            if key_node.value in values:
                raise ValueError(f"line {line}: the key {key_node.value!r} stands twice")
            values[key_node.value] = self.read(value_node, (*path, key_node.value))
            self.lines[*path, key_node.value] = line
        return values
