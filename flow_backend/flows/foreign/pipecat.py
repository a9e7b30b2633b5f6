"""Pipecat flows: the JSON of pipecat-flows-editor, and the older one with `initial_node`.

A function that leads to another node becomes an edge whose condition is the function's
description; the arguments that it collects become an extract node on the way.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flow_backend.flows.foreign.builder import Builder, variable_name


def recognises(data: Mapping[str, Any]) -> bool:
    """Either nodes by name with an initial one, or nodes with functions and messages."""
    nodes = data.get("nodes")
    if isinstance(nodes, Mapping):
        return "initial_node" in data
    return isinstance(nodes, list) and any(
        isinstance(node, Mapping)
        and isinstance(node.get("data"), Mapping)
        and node["data"].keys() & {"role_messages", "task_messages", "functions"}
        for node in nodes
    )


def convert(data: Mapping[str, Any], builder: Builder) -> None:
    """Maps nodes to conversation or end nodes, functions to edges."""
    nodes: dict[str, Mapping[str, Any]] = {}
    positions: dict[str, Any] = {}
    if isinstance(data["nodes"], Mapping):
        nodes = dict(data["nodes"])
        first = data["initial_node"]
    else:
        for node in data["nodes"]:
            nodes[node["id"]] = node["data"]
            positions[node["id"]] = node.get("position")
        first = next(
            (node["id"] for node in data["nodes"] if node["type"] in ("initial", "start")),
            data["nodes"][0]["id"],
        )
    meta = data.get("meta") or {}
    builder.name = meta.get("name", "")
    builder.description = meta.get("description", "")
    start = "start" if "start" not in nodes else "begin"
    builder.node(start, "start", {"greeting": _spoken(nodes[first].get("pre_actions"))})
    builder.edge(start, first)
    role = ""
    for node_id, node in nodes.items():
        role = _text(node.get("role_messages")) or role
        _node(node_id, node, role, positions.get(node_id), builder, greeted=node_id == first)
    for function in data.get("global_functions") or []:
        builder.leave_out("global_functions", f"the function {_name(function)!r}")


def _node(
    node_id: str,
    node: Mapping[str, Any],
    role: str,
    position: Any,
    builder: Builder,
    *,
    greeted: bool,
) -> None:
    where = f"node {node_id!r}"
    functions = node.get("functions") or []
    label = node.get("label")
    task = _text(node.get("task_messages"))
    post = node.get("post_actions") or []
    ends = any(action.get("type") == "end_conversation" for action in post)
    spoken = "" if greeted else _spoken(node.get("pre_actions"))
    if ends and not functions:
        text = " ".join(part for part in (spoken, _spoken(post)) if part)
        builder.node(node_id, "end", {"label": label, "text": text}, position)
        if task and not text:
            builder.leave_out(
                where, f"the last words by the model ({task!r}); write them in `text`"
            )
        return
    instructions = "\n\n".join(text for text in (role, task) if text)
    builder.node(node_id, "conversation", {"label": label, "instructions": instructions}, position)
    if spoken:
        builder.leave_out(where, f"what it says on entry ({spoken!r}); put it on the edges to it")
    for action in [*(node.get("pre_actions") or []), *post]:
        if action.get("type") not in ("tts_say", "end_conversation"):
            builder.leave_out(where, f"the action {action.get('type')!r}")
    if node.get("context_strategy"):
        builder.leave_out(where, "the context strategy")
    for function in functions:
        _function(node_id, function, builder)


def _function(node_id: str, function: Mapping[str, Any], builder: Builder) -> None:
    inner = function.get("function", function)
    name = _name(function)
    where = f"node {node_id!r}, function {name!r}"
    decision = inner.get("decision") or {}
    target = inner.get("next_node_id") or inner.get("transition_to")
    target = target or decision.get("default_next_node_id")
    if decision:
        others = [c.get("next_node_id") for c in decision.get("conditions") or []]
        builder.leave_out(
            where,
            f"the decision by Python code; it could also lead to {', '.join(map(str, others))}",
        )
    elif inner.get("handler"):
        builder.leave_out(where, f"its handler {inner['handler']!r}")
    if not target:
        builder.leave_out(where, "it leads to no other node; what it does has no counterpart")
        return
    condition = inner.get("description") or f"the user wants to {name.replace('_', ' ')}"
    parameters = inner.get("parameters") or {}
    properties = inner.get("properties") or parameters.get("properties") or {}
    if not properties:
        builder.edge(node_id, target, "llm", condition, name)
        return
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {variable_name(key): dict(value) for key, value in properties.items()},
    }
    required = inner.get("required") or parameters.get("required")
    if required:
        schema["required"] = [variable_name(key) for key in required]
    step = f"{node_id}_{name}"
    builder.node(step, "extract", {"schema": schema})
    builder.edge(node_id, step, "llm", condition, name)
    builder.edge(step, target)


def _name(function: Mapping[str, Any]) -> str:
    return str(function.get("function", function).get("name", "function"))


def _text(messages: Any) -> str:
    return "\n".join(str(message["content"]) for message in messages or [])


def _spoken(actions: Any) -> str:
    return " ".join(
        str(action.get("text", "")) for action in actions or [] if action.get("type") == "tts_say"
    )
