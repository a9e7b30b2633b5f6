"""Finds everything that is wrong with a flow document, at once."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from flow_backend.flows import expressions, templates
from flow_backend.flows.document import PROVIDED, Edge, Flow, Mark
from flow_backend.flows.loading import PathKey, Source
from flow_backend.flows.problems import WORDS, InvalidFlowError, Problem, names, read_fault
from flow_backend.flows.variables import coerce
from flow_backend.llm.registry import PROVIDERS
from flow_backend.nodes.base import SILENCE, NodeData, NodeType
from flow_backend.nodes.catalogue import BY_NAME
from flow_backend.nodes.start import StartData
from protocol.faults import hint, path_text

MAX_NODES = 2_000
MAX_EDGES = 10_000
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def parse_flow(source: Source | Mapping[str, Any]) -> Flow:
    """Reads a document that must be right.

    Raises:
        InvalidFlowError: With every problem.
    """
    source = source if isinstance(source, Source) else Source(source)
    flow, problems = validate(source)
    if flow is None or problems:
        raise InvalidFlowError(problems, name=source.name)
    return flow


def validate(source: Source | Mapping[str, Any]) -> tuple[Flow | None, list[Problem]]:
    """Checks a document; gives the flow if its shape is right, and every problem, in order."""
    source = source if isinstance(source, Source) else Source(source)
    check = _Check(source)
    return check.run(), check.sorted_problems()


class _Node:
    """A node as far as it could be read."""

    def __init__(self, path: PathKey, node_type: NodeType[Any], data: NodeData) -> None:
        self.path = path
        self.type = node_type
        self.data = data


class _Check:
    """One validation."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._found: dict[tuple[PathKey, str], tuple[str, dict[str, str]]] = {}
        """By place and message: code and values."""
        self._read: dict[str, PathKey] = {}
        """Variables that something reads, with the first place."""
        self._set: set[str] = set(PROVIDED)
        self._unsure: set[str] = set()
        """Nodes with an edge that could not be read."""

    def sorted_problems(self) -> list[Problem]:
        """In the document's order: by line where lines are known."""
        problems = [
            Problem(path_text(path), message, self._source.line_of(path), code, values)
            for (path, message), (code, values) in self._found.items()
        ]
        return sorted(problems, key=lambda problem: problem.line or 0)

    def run(self) -> Flow | None:
        data = self._source.data
        if not isinstance(data, Mapping):
            self._say((), "no_flow")
            return None
        flow: Flow | None = None
        try:
            flow = Flow.model_validate(data)
        except ValidationError as error:
            self._say_all(error, (), Flow)
        nodes = self._nodes(data.get("nodes"))
        known = self._ids(data.get("nodes"), "nodes")
        edges = self._edges(data.get("edges"), nodes, known, flow)
        self._graph(nodes, edges, known)
        self._variables(data.get("variables"))
        default = data.get("default")
        if isinstance(default, Mapping):
            self._model(default.get("llm"), ("default", "llm"))
        for name, place in self._read.items():
            if name not in self._set:
                self._say(place, "variable_never_set", name=name)
        return flow

    def _say(self, path: PathKey, code: str, words: str = "", **values: str) -> None:
        """By default in the code's own words."""
        self._found.setdefault((path, words or WORDS[code].format_map(values)), (code, values))

    def _say_unknown(self, path: PathKey, code: str, name: str, known: Iterable[str]) -> None:
        words = WORDS[code].format(name=name) + hint(name, known)
        self._say(path, code, words, name=name, **names(name, known))

    def _say_all(self, error: ValidationError, base: PathKey, model: type[BaseModel]) -> None:
        for found in error.errors(include_url=False, include_context=True):
            code, message, values = read_fault(found, model)
            self._say((*base, *found["loc"]), code, message, **values)

    def _nodes(self, items: Any) -> dict[str, _Node]:
        nodes: dict[str, _Node] = {}
        if not isinstance(items, list):
            return nodes
        if len(items) > MAX_NODES:
            self._say(("nodes",), "too_many", limit=str(MAX_NODES), kind="nodes")
            return nodes
        for index, item in enumerate(items):
            path: PathKey = ("nodes", index)
            if not isinstance(item, Mapping) or not isinstance(item.get("type"), str):
                continue
            node_type = BY_NAME.get(item["type"])
            if node_type is None:
                self._say_unknown((*path, "type"), "unknown_node_type", item["type"], BY_NAME)
                continue
            data = item.get("data", {})
            if not isinstance(data, Mapping):
                continue
            try:
                checked = node_type.data_model.model_validate(data)
            except ValidationError as error:
                self._say_all(error, (*path, "data"), node_type.data_model)
                continue
            node = _Node(path, node_type, checked)
            self._texts(checked, (*path, "data"))
            self._set.update(node_type.sets(checked))
            if isinstance(item.get("id"), str):
                nodes.setdefault(item["id"], node)
            if checked.is_global:
                self._condition(checked.condition_type, checked.condition, (*path, "data"))
            self._model(data.get("llm"), (*path, "data", "llm"))
            if isinstance(checked, StartData):
                self._declared(checked, path)
        return nodes

    def _declared(self, data: StartData, path: PathKey) -> None:
        for name, variable in data.variables.items():
            place = (*path, "data", "variables", name)
            self._name(name, place)
            try:
                coerce(variable.default, variable.type)
            except ValueError as error:
                code = "default_of_other_type"
                self._say((*place, "default"), code, str(error), type=variable.type)

    def _ids(self, items: Any, kind: str) -> set[str]:
        ids = [
            item["id"] if isinstance(item, Mapping) and isinstance(item.get("id"), str) else None
            for item in (items if isinstance(items, list) else [])
        ]
        counts = Counter(ids)
        for index, name in enumerate(ids):
            if name is not None and counts[name] > 1 and name in ids[:index]:
                self._say((kind, index, "id"), "id_taken", name=name)
        return {name for name in ids if name is not None}

    def _edges(
        self, items: Any, nodes: Mapping[str, _Node], known: set[str], flow: Flow | None
    ) -> list[tuple[int, Edge]]:
        edges: list[tuple[int, Edge]] = []
        if not isinstance(items, list):
            return edges
        if len(items) > MAX_EDGES:
            self._say(("edges",), "too_many", limit=str(MAX_EDGES), kind="edges")
            return edges
        self._ids(items, "edges")
        for index, item in enumerate(items):
            try:
                edge = flow.edges[index] if flow is not None else Edge.model_validate(item)
            except ValidationError:  # told with the whole document
                if isinstance(item, Mapping):
                    self._unsure.add(str(item.get("source")))
                continue
            path: PathKey = ("edges", index)
            for end in ("source", "target"):
                name = getattr(edge, end)
                if name not in known:
                    self._say_unknown((*path, end), "unknown_node", name, known)
            self._condition(edge.data.condition_type, edge.data.condition, (*path, "data"))
            if edge.data.condition_type == "event" and edge.source in nodes:
                self._event(edge.data.condition, nodes[edge.source], (*path, "data", "condition"))
            self._texts(edge.data, (*path, "data"))
            edges.append((index, edge))
        return edges

    def _condition(self, kind: str, condition: str, path: PathKey) -> None:
        place = (*path, "condition")
        if kind == "always":
            if condition:
                self._say(place, "condition_needless")
        elif not condition.strip():
            self._say(place, "condition_missing", kind=kind)
        elif kind == "expression":
            self._expression(condition, place)
        elif kind == "llm":
            self._template(condition, place)

    def _event(self, name: str, node: _Node, place: PathKey) -> None:
        known = [*node.type.events, *([SILENCE] if node.type.waits(node.data) else ())]
        if name.strip() and name not in known:
            self._say_unknown(place, "unknown_event", name, known)

    def _texts(self, model: BaseModel, path: PathKey) -> None:
        """Parses every template and expression of a part."""
        for mark, place, text in marked_texts(model, path):
            if mark is Mark.TEMPLATE:
                self._template(text, place)
            else:
                self._expression(text, place)

    def _template(self, text: str, place: PathKey) -> None:
        try:
            names = templates.check(text)
        except ValueError as error:
            self._say(place, "template_invalid", why=str(error))
            return
        for name in names:
            self._read.setdefault(name, place)

    def _expression(self, text: str, place: PathKey) -> None:
        try:
            names = expressions.check(text) - expressions.bound_names(text)
        except ValueError as error:
            self._say(place, "expression_invalid", why=str(error))
            return
        for name in names:
            self._read.setdefault(name, place)

    def _variables(self, variables: Any) -> None:
        if not isinstance(variables, Mapping):
            return
        for name in variables:
            if isinstance(name, str):
                self._name(name, ("variables", name))
                self._set.add(name)

    def _name(self, name: str, place: PathKey) -> None:
        if not _NAME.fullmatch(name):
            self._say(place, "variable_name_invalid", name=name)
        elif name in PROVIDED:
            self._say(place, "variable_name_taken", name=name)

    def _model(self, reference: Any, place: PathKey) -> None:
        if not isinstance(reference, str) or reference == "default":
            return
        for part in reference.split(","):
            name = part.strip().partition("/")[0]
            if name not in PROVIDERS:
                self._say_unknown(place, "unknown_provider", name, PROVIDERS)

    def _graph(
        self, nodes: dict[str, _Node], edges: list[tuple[int, Edge]], known: set[str]
    ) -> None:
        starts = [name for name, node in nodes.items() if node.type.name == "start"]
        if not starts and nodes and len(nodes) == len(known):
            self._say(("nodes",), "start_missing")
        for name in starts[1:]:
            self._say((*nodes[name].path, "type"), "start_twice")
        leaving: dict[str, list[tuple[int, Edge]]] = {}
        for index, edge in edges:
            leaving.setdefault(edge.source, []).append((index, edge))
        for name, node in nodes.items():
            if name not in self._unsure:
                self._ways_from(node, leaving.get(name, []))
        if starts and not self._unsure:
            self._reachable(starts[0], nodes, leaving)

    def _ways_from(self, node: _Node, ways: list[tuple[int, Edge]]) -> None:
        name = node.type.name
        if name == "end" and ways:
            self._say(("edges", ways[0][0]), "after_the_end")
            return
        otherwise = [index for index, edge in ways if edge.data.condition_type == "always"]
        if name == "conversation":
            for index in otherwise:
                self._say(("edges", index), "leaves_conversation")
            return
        for index in otherwise[1:]:
            self._say(("edges", index), "else_twice")
        if otherwise:
            return
        if name == "logic_split" or (ways and not node.type.waits(node.data)):
            self._say(node.path, "else_missing")
        elif name == "start" and not ways:
            self._say(node.path, "leads_nowhere")

    def _reachable(
        self, start: str, nodes: dict[str, _Node], leaving: dict[str, list[tuple[int, Edge]]]
    ) -> None:
        seen: set[str] = set()
        ahead = [start, *(name for name, node in nodes.items() if node.data.is_global)]
        while ahead:
            name = ahead.pop()
            if name not in seen:
                seen.add(name)
                ahead.extend(edge.target for _, edge in leaving.get(name, ()))
        for name, node in nodes.items():
            if name not in seen and node.type.name != "start":
                self._say(node.path, "unreachable", name=name)


def marked_texts(model: BaseModel, path: PathKey) -> Iterator[tuple[Mark, PathKey, str]]:
    """Templates and expressions of a part, with their places."""
    for name, key, mark in _fields(type(model)):
        yield from _texts_in(getattr(model, name), mark, (*path, key))


def _texts_in(value: Any, mark: Mark | None, path: PathKey) -> Iterator[tuple[Mark, PathKey, str]]:
    if isinstance(value, str):
        if mark is not None:
            yield mark, path, value
    elif isinstance(value, BaseModel):
        yield from marked_texts(value, path)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts_in(item, mark, (*path, str(key)))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _texts_in(item, mark, (*path, index))


@lru_cache(maxsize=256)
def _fields(model: type[BaseModel]) -> tuple[tuple[str, str, Mark | None], ...]:
    """Attribute, key in the document and mark of each field that may hold text."""
    return tuple(
        (name, field.alias or name, _mark_in(Annotated[field.annotation, *field.metadata, None]))
        for name, field in model.model_fields.items()
        if field.annotation not in (bool, int, float)
    )


def _mark_in(annotation: Any) -> Mark | None:
    if isinstance(annotation, Mark):
        return annotation
    if get_origin(annotation) is None:
        return None
    return next((mark for part in get_args(annotation) if (mark := _mark_in(part))), None)
