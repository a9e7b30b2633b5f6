"""Collects the nodes and edges of an imported flow."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_VARIABLE = re.compile(r"[^A-Za-z0-9_]+")
_FLOW_ID = re.compile(r"[^A-Za-z0-9._~-]+")


class Builder:
    """A flow that is being made.

    Args:
        flow_id: Its id, put into the letters that ids may have.
    """

    def __init__(self, flow_id: str) -> None:
        self.id = _FLOW_ID.sub("-", flow_id).strip("-._~") or "imported"
        self.name = ""
        self.description = ""
        self.variables: dict[str, Any] = {}
        self.nodes: list[dict[str, Any]] = []
        self.edges: list[dict[str, Any]] = []
        self.left_out: list[str] = []

    def node(
        self, node_id: str, kind: str, data: Mapping[str, Any], position: Any = None
    ) -> dict[str, Any]:
        """Adds a node; fields that are None or empty are left away."""
        node: dict[str, Any] = {"id": node_id, "type": kind}
        kept = {key: value for key, value in data.items() if value not in (None, "", {}, [])}
        node["data"] = kept
        if isinstance(position, Mapping) and {"x", "y"} <= position.keys():
            node["position"] = {"x": position["x"], "y": position["y"]}
        self.nodes.append(node)
        return node

    def edge(
        self, source: str, target: str, kind: str = "always", condition: str = "", label: str = ""
    ) -> None:
        """Adds an edge, numbered, after those that are there."""
        data: dict[str, Any] = {"condition_type": kind}
        if label:
            data["label"] = label
        if condition:
            data["condition"] = condition
        number = len(self.edges) + 1
        self.edges.append({"id": f"e{number}", "source": source, "target": target, "data": data})

    def otherwise(self, source: str, target: str) -> None:
        """Adds an else edge, if the node has none."""
        if not any(
            edge["source"] == source and edge["data"]["condition_type"] == "always"
            for edge in self.edges
        ):
            self.edge(source, target, label="else")

    def leave_out(self, where: str, what: str) -> None:
        """Notes something that has no counterpart here."""
        self.left_out.append(f"{where}: {what}")

    def unknown(self, where: str, data: Mapping[str, Any], known: set[str]) -> None:
        """Notes every field that was not looked at and holds something."""
        for key, value in data.items():
            if key not in known and value not in (None, "", [], {}, False):
                self.leave_out(where, f"the field {key!r}")

    def document(self) -> dict[str, Any]:
        """The document; edges without a target are noted and dropped."""
        ids = {node["id"] for node in self.nodes}
        edges = []
        for edge in self.edges:
            if edge["source"] in ids and edge["target"] in ids:
                edges.append(edge)
            else:
                self.leave_out(
                    f"edge from {edge['source']!r} to {edge['target']!r}",
                    "one of them is not there",
                )
        document: dict[str, Any] = {"id": self.id}
        if self.name:
            document["name"] = self.name
        if self.description:
            document["description"] = self.description
        if self.variables:
            document["variables"] = self.variables
        return {**document, "nodes": self.nodes, "edges": edges}


def variable_name(name: str) -> str:
    """A name in the letters that variables may have."""
    cleaned = _VARIABLE.sub("_", name).strip("_") or "value"
    return f"_{cleaned}" if cleaned[0].isdigit() else cleaned
