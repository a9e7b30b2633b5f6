"""Draws a flow as a Mermaid chart or in graphviz's DOT."""

from __future__ import annotations

import textwrap
from collections.abc import Callable

from flow_backend.flows.document import Edge, Flow, Node

_MERMAID_SHAPES = {
    "start": ("([", "])"),
    "end": ("([", "])"),
    "logic_split": ("{", "}"),
    "http": ("[[", "]]"),
    "knowledge": ("[(", ")]"),
    "set": ("[/", "/]"),
}
_DOT_SHAPES = {
    "start": "oval",
    "end": "oval",
    "logic_split": "diamond",
    "http": "component",
    "knowledge": "cylinder",
    "set": "parallelogram",
}
_MERMAID_CODES = (
    ("#", "#35;"), ('"', "#quot;"), ("<", "#lt;"), (">", "#gt;"), ("|", "#124;"),
)  # fmt: skip
_LABEL_CHARACTERS = 60


def mermaid(flow: Flow) -> str:
    """A flowchart in Mermaid's language."""
    names = {node.id: f"n{index}" for index, node in enumerate(flow.nodes)}
    lines = ["flowchart TD"]
    for node in flow.nodes:
        left, right = _MERMAID_SHAPES.get(node.type, ("[", "]"))
        lines.append(f'    {names[node.id]}{left}"{_label(node, _mermaid_text, "<br>")}"{right}')
    for edge in flow.edges:
        words = _mermaid_text(_way(edge))
        arrow = f'-->|"{words}"|' if words else "-->"
        lines.append(f"    {names[edge.source]} {arrow} {names[edge.target]}")
    for node in flow.nodes:
        if node.data.get("global"):
            lines.append(f"    style {names[node.id]} stroke-dasharray: 5 5")
    return "\n".join(lines) + "\n"


def dot(flow: Flow) -> str:
    """A graph in DOT, for graphviz."""
    names = {node.id: f"n{index}" for index, node in enumerate(flow.nodes)}
    lines = [
        "digraph flow {",
        '    node [shape=box, style=rounded, fontname="sans-serif", fontsize=11];',
        '    edge [fontname="sans-serif", fontsize=9];',
    ]
    for node in flow.nodes:
        style = ', style="rounded,dashed"' if node.data.get("global") else ""
        shape = _DOT_SHAPES.get(node.type, "box")
        label = _label(node, _dot_text, "\\n")
        lines.append(f'    {names[node.id]} [label="{label}", shape={shape}{style}];')
    for edge in flow.edges:
        words = _dot_text(_way(edge))
        lines.append(f'    {names[edge.source]} -> {names[edge.target]} [label="{words}"];')
    return "\n".join([*lines, "}"]) + "\n"


def _label(node: Node, escape: Callable[[str], str], line_end: str) -> str:
    title = escape(str(node.data.get("label") or node.id))
    return f"{title}{line_end}({escape(node.type)})"


def _way(edge: Edge) -> str:
    words = edge.data.label or edge.data.condition
    return textwrap.shorten(words, _LABEL_CHARACTERS, placeholder="…")


def _mermaid_text(text: str) -> str:
    for mark, code in _MERMAID_CODES:
        text = text.replace(mark, code)
    return " ".join(text.split())


def _dot_text(text: str) -> str:
    return " ".join(text.replace("\\", "\\\\").replace('"', '\\"').split())
