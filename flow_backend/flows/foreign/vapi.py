"""Vapi workflows: `nodes` of type conversation or tool, `edges` with `from` and `to`.

Vapi leaves a conversation by a condition and then fills variables from it. Here each way out of
such a conversation leads through an extract node of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flow_backend.flows.foreign.builder import Builder, variable_name

_PROVIDERS = {
    "openai": "openai",
    "anthropic": "claude",
    "google": "gemini",
    "openrouter": "openrouter",
}
_SCHEMA_FIELDS = ("type", "description", "enum")
_COMMON = {"name", "type", "isStart", "metadata", "globalNodePlan"}


def recognises(data: Mapping[str, Any]) -> bool:
    """Its nodes have names instead of ids."""
    nodes = data.get("nodes")
    return isinstance(nodes, list) and any(
        isinstance(node, Mapping) and "name" in node and "id" not in node for node in nodes
    )


def convert(data: Mapping[str, Any], builder: Builder) -> None:
    """Maps conversation, tool, and the older say, gather, apiRequest, transfer, hangup nodes."""
    _Workflow(builder, data.get("globalPrompt", "")).convert(data)


class _Workflow:
    """One conversion."""

    def __init__(self, builder: Builder, common_prompt: str) -> None:
        self._builder = builder
        self._common_prompt = common_prompt
        self._extractions: dict[str, dict[str, Any]] = {}
        """Schemas of the variables that conversations fill, by node."""

    def convert(self, data: Mapping[str, Any]) -> None:
        builder = self._builder
        builder.name = data.get("name", "")
        nodes = data["nodes"]
        first = next((node for node in nodes if node.get("isStart")), nodes[0])
        greeting = (first.get("messagePlan") or {}).get("firstMessage", "")
        builder.node("start", "start", {"greeting": greeting})
        for node in nodes:
            self._node(node)
        builder.edge("start", first["name"])
        for edge in data.get("edges", []):
            self._edge(edge)
        for added in builder.nodes:
            ways = [edge for edge in builder.edges if edge["source"] == added["id"]]
            if added["type"] in ("say", "http", "extract") and ways:
                builder.otherwise(added["id"], ways[-1]["target"])
        builder.unknown("workflow", data, {"name", "nodes", "edges", "globalPrompt", "id",
                                           "orgId", "createdAt", "updatedAt"})  # fmt: skip

    def _node(self, node: Mapping[str, Any]) -> None:
        match node["type"]:
            case "conversation" | "gather":
                self._conversation(node)
            case "say" if node.get("exact"):
                self._add(node, "say", {"text": node["exact"]}, {"exact"})
            case "say":
                self._add(node, "conversation", {"instructions": node.get("prompt")}, {"prompt"})
            case "hangup":
                self._add(node, "end", {}, set())
            case "apiRequest":
                self._add(node, "http", self._request(node, node),
                          {"method", "url", "headers", "body", "output"})  # fmt: skip
            case "transfer":
                to = _target(node.get("destination") or {})
                self._add(node, "transfer", {"to": to}, {"destination"})
            case "tool":
                self._tool(node)
            case kind:
                self._silent(node, f"the node type {kind!r}")

    def _add(
        self, node: Mapping[str, Any], kind: str, data: Mapping[str, Any], known: set[str]
    ) -> None:
        plan = node.get("globalNodePlan") or {}
        if plan.get("enabled"):
            data = {**data, "global": True, "condition": plan.get("enterCondition", "")}
        position = (node.get("metadata") or {}).get("position")
        self._builder.node(node["name"], kind, data, position)
        self._builder.unknown(_where(node), node, _COMMON | known)

    def _silent(self, node: Mapping[str, Any], what: str) -> None:
        self._builder.leave_out(_where(node), f"{what}; a node stands in its place")
        self._add(node, "say", {"text": "One moment."}, set(node))

    def _conversation(self, node: Mapping[str, Any]) -> None:
        model = node.get("model") or {}
        prompts = (self._common_prompt, node.get("prompt", ""))
        data = {
            "instructions": "\n\n".join(text for text in prompts if text),
            "temperature": model.get("temperature"),
            "max_tokens": model.get("maxTokens"),
        }
        provider = _PROVIDERS.get(model.get("provider", ""))
        if provider and model.get("model"):
            data["llm"] = f"{provider}/{model['model']}"
        elif model.get("provider"):
            self._builder.leave_out(_where(node), f"the model provider {model['provider']!r}")
        known = {"prompt", "model", "messagePlan", "variableExtractionPlan", "output"}
        self._add(node, "conversation", data, known)
        outputs = (node.get("variableExtractionPlan") or {}).get("output") or node.get("output")
        if outputs:
            self._extractions[node["name"]] = {
                "type": "object",
                "properties": {
                    variable_name(output.get("title") or output["name"]): {
                        key: output[key] for key in _SCHEMA_FIELDS if output.get(key)
                    }
                    for output in outputs
                },
            }

    def _tool(self, node: Mapping[str, Any]) -> None:
        tool = node.get("tool") or {}
        known = {"tool", "toolId"}
        match tool.get("type"):
            case "endCall":
                text = next((m.get("content", "") for m in tool.get("messages") or []), "")
                self._add(node, "end", {"text": text}, known)
            case "transferCall":
                targets = tool.get("destinations") or [{}]
                if len(targets) > 1:
                    self._builder.leave_out(_where(node), "all destinations but the first")
                text = targets[0].get("message")
                text = text if isinstance(text, str) else ""
                self._add(node, "transfer", {"to": _target(targets[0]), "text": text}, known)
            case "apiRequest":
                self._add(node, "http", self._request(node, tool), known)
            case other:
                self._silent(node, f"the tool {other or node.get('toolId')!r}")

    def _request(self, node: Mapping[str, Any], request: Mapping[str, Any]) -> dict[str, Any]:
        if request.get("output") or request.get("variableExtractionPlan"):
            self._builder.leave_out(
                _where(node), "the variables of the answer; name them in `response`"
            )
        return {
            "method": str(request.get("method", "GET")).upper(),
            "url": request.get("url", ""),
            "headers": _values(request.get("headers")),
            "body": _values(request.get("body")),
        }

    def _edge(self, edge: Mapping[str, Any]) -> None:
        builder = self._builder
        source, target = edge["from"], edge["to"]
        condition = edge.get("condition") or {}
        kind = condition.get("type", "always")
        extraction = self._extractions.get(source)
        way = target
        if extraction is not None and kind != "failed":
            way = f"{source}_to_{target}"
            if all(node["id"] != way for node in builder.nodes):
                builder.node(way, "extract", {"schema": extraction})
                builder.edge(way, target)
        match kind:
            case "ai":
                builder.edge(source, way, "llm", condition.get("prompt", ""))
            case "failed":
                builder.edge(source, target, "event", "error")
            case "always":
                self._anyway(source, way)
            case _:
                wanted = condition.get("liquid") or kind
                builder.leave_out(f"edge from {source!r} to {target!r}",
                                  f"the condition {wanted!r}; write it in CEL")  # fmt: skip
                self._anyway(source, way)

    def _anyway(self, source: str, target: str) -> None:
        """An edge without a condition; a conversation is left with the user's next words."""
        kinds = {node["id"]: node["type"] for node in self._builder.nodes}
        if kinds.get(source) == "conversation":
            self._builder.edge(source, target, "expression", "true")
        else:
            self._builder.edge(source, target)


def _values(part: Any) -> dict[str, Any]:
    """Values of a request's headers or body, which are told as a JSON Schema."""
    if not isinstance(part, Mapping):
        return {}
    properties = part.get("properties")
    if not isinstance(properties, Mapping):
        return dict(part)
    return {
        name: schema.get("value") or schema.get("default") or f"{{{{ {variable_name(name)} }}}}"
        for name, schema in properties.items()
    }


def _target(destination: Mapping[str, Any]) -> str:
    for field in ("number", "sipUri", "assistantName"):
        if destination.get(field):
            return str(destination[field])
    return "unknown"


def _where(node: Mapping[str, Any]) -> str:
    return f"node {node['name']!r}"
