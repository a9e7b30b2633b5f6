"""A flow made ready to run: checked node data, edges by source, in the order of trying."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from flow_backend.flows.document import Edge, Flow
from flow_backend.nodes.base import NodeData, NodeType
from flow_backend.nodes.catalogue import BY_NAME
from flow_backend.nodes.start import StartData
from protocol.errors import FlowError


@dataclass(frozen=True, slots=True)
class PlannedEdge:
    """An edge, or the way to a global node."""

    id: str | None
    """None for the way to a global node."""
    source: str
    target: str
    label: str
    condition_type: str
    condition: str
    transition_speech: str = ""

    @property
    def is_global(self) -> bool:
        """Whether it leads to a global node, from which the session returns."""
        return self.id is None


@dataclass(frozen=True, slots=True)
class PlannedNode:
    """A node with its type, its checked data and its edges."""

    id: str
    type: NodeType[Any]
    data: NodeData
    deterministic: tuple[PlannedEdge, ...]
    """`expression` and `event` edges, in the order of trying."""
    judged: tuple[PlannedEdge, ...]
    """`llm` edges, in the order of trying."""
    otherwise: PlannedEdge | None
    """The `always` edge: taken when no other is."""

    @property
    def has_edges(self) -> bool:
        """Whether anything leads away."""
        return bool(self.deterministic or self.judged or self.otherwise)


@dataclass(frozen=True, slots=True)
class Plan:
    """A runnable flow; immutable and shared by its sessions."""

    flow: Flow
    version: int
    nodes: dict[str, PlannedNode]
    start: PlannedNode
    global_ways: tuple[PlannedEdge, ...] = field(default=())

    def addresses(self) -> frozenset[str]:
        """Variables that say whom the flow calls, but for those that its start lets be given."""
        named = {name for node in self.nodes.values() for name in node.type.addressed_by(node.data)}
        declared = self.start.data.variables if isinstance(self.start.data, StartData) else {}
        return frozenset(named - declared.keys())

    def may_be_interrupted(self, node: PlannedNode) -> bool:
        """Whether the user may interrupt what a node says."""
        own = node.data.allow_interruptions
        return self.flow.default.allow_interruptions if own is None else own

    def ways_from(self, node: PlannedNode, kind: str) -> tuple[PlannedEdge, ...]:
        """A node's own `deterministic` or `judged` edges, then the ways to global nodes."""
        own = node.deterministic if kind == "deterministic" else node.judged
        judged = kind == "judged"
        return own + tuple(
            way
            for way in self.global_ways
            if (way.condition_type == "llm") == judged and way.target != node.id
        )


def make_plan(flow: Flow, version: int) -> Plan:
    """Prepares a flow that validation has passed.

    Raises:
        FlowError: `flow_invalid`, with the path of the first fault, for one that has not.
    """
    edges: dict[str, list[Edge]] = {}
    for edge in flow.edges:
        edges.setdefault(edge.source, []).append(edge)
    nodes: dict[str, PlannedNode] = {}
    for index, node in enumerate(flow.nodes):
        node_type = BY_NAME.get(node.type)
        if node_type is None:
            raise FlowError(
                "flow_invalid", f"Unknown node type {node.type!r}.", path=f"nodes[{index}].type"
            )
        try:
            data = node_type.data_model.model_validate(node.data)
        except ValidationError as error:
            problem = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(str(part) for part in problem["loc"])
            raise FlowError(
                "flow_invalid", problem["msg"], path=f"nodes[{index}].data.{place}"
            ) from error
        nodes[node.id] = _planned_node(node.id, node_type, data, edges.get(node.id, []))
    for index, edge in enumerate(flow.edges):
        if edge.target not in nodes or edge.source not in nodes:
            raise FlowError("flow_invalid", "The edge leads nowhere.", path=f"edges[{index}]")
    start = next((node for node in nodes.values() if node.type.name == "start"), None)
    if start is None:
        raise FlowError("flow_invalid", "The flow has no start node.", path="nodes")
    global_ways = tuple(
        PlannedEdge(
            id=None,
            source="",
            target=node.id,
            label=node.data.label or node.id,
            condition_type=node.data.condition_type,
            condition=node.data.condition,
        )
        for node in nodes.values()
        if node.data.is_global
    )
    return Plan(flow=flow, version=version, nodes=nodes, start=start, global_ways=global_ways)


def _planned_node(
    node_id: str, node_type: NodeType[Any], data: NodeData, edges: list[Edge]
) -> PlannedNode:
    ordered = [
        PlannedEdge(
            id=edge.id,
            source=edge.source,
            target=edge.target,
            label=edge.data.label,
            condition_type=edge.data.condition_type,
            condition=edge.data.condition,
            transition_speech=edge.data.transition_speech,
        )
        for edge in sorted(edges, key=lambda edge: edge.data.priority)
    ]
    return PlannedNode(
        id=node_id,
        type=node_type,
        data=data,
        deterministic=tuple(e for e in ordered if e.condition_type in {"expression", "event"}),
        judged=tuple(e for e in ordered if e.condition_type == "llm"),
        otherwise=next((e for e in ordered if e.condition_type == "always"), None),
    )
