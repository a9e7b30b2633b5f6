"""Dify apps (the DSL of chatflows and workflows).

`{{#node.field#}}` becomes a variable `node_field`; `{{#sys.query#}}` is our `{{ input }}`. A
Dify chatflow runs once for each message, so here what ends a run leads back to its beginning with
the user's next words. A model's text is spoken as it comes, so an answer that only repeats it
falls away.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from flow_backend.flows.foreign.builder import Builder, variable_name

_REFERENCE = re.compile(r"\{\{#([^#{}]+)#\}\}")
_TYPES = {
    "text-input": "string", "paragraph": "string", "select": "string", "number": "number",
    "number-input": "number", "checkbox": "boolean", "file": "object", "file-list": "array",
}  # fmt: skip
_PROVIDERS = {"openai": "openai", "anthropic": "claude", "google": "gemini", "gemini": "gemini",
              "openrouter": "openrouter", "ollama": "ollama"}  # fmt: skip
_EMPTY_VALUES = {"string": "", "number": 0, "integer": 0, "boolean": False, "object": {}}


def recognises(data: Mapping[str, Any]) -> bool:
    """An app with a graph."""
    workflow = data.get("workflow")
    return data.get("kind") == "app" and isinstance(workflow, Mapping) and "graph" in workflow


def convert(data: Mapping[str, Any], builder: Builder) -> None:
    """Maps start, llm, answer, if-else, classifier, extractor, http, template, assigner, end."""
    _App(builder).convert(data)


class _App:
    """One conversion."""

    def __init__(self, builder: Builder) -> None:
        self._builder = builder
        self._nodes: dict[str, Mapping[str, Any]] = {}
        self._start = ""

    def convert(self, data: Mapping[str, Any]) -> None:
        builder, workflow = self._builder, data["workflow"]
        app = data.get("app") or {}
        builder.name, builder.description = app.get("name", ""), app.get("description", "")
        for variable in workflow.get("conversation_variables") or []:
            kind = str(variable.get("value_type", "string"))
            empty = [] if kind.startswith("array") else _EMPTY_VALUES.get(kind, "")
            builder.variables[variable_name(variable["name"])] = variable.get("value", empty)
        for variable in workflow.get("environment_variables") or []:
            builder.leave_out(
                "environment_variables", f"{variable.get('name')!r}; use ${{secret:…}} for secrets"
            )
        graph = workflow["graph"]
        self._nodes = {node["id"]: node["data"] for node in graph["nodes"] if "data" in node}
        opening = ((workflow.get("features") or {}).get("opening_statement")) or ""
        for node in graph["nodes"]:
            self._node(node, opening)
        for edge in graph["edges"]:
            self._edge(edge)
        self._close()

    def _node(self, node: Mapping[str, Any], opening: str) -> None:
        builder, data, node_id = self._builder, node["data"], node["id"]
        kind = data["type"]
        where = f"node {data.get('title') or node_id!r}"
        label = data.get("title")

        def add(our_kind: str, fields: Mapping[str, Any]) -> None:
            builder.node(node_id, our_kind, {"label": label, **fields}, node.get("position"))

        match kind:
            case "start":
                self._start = node_id
                add("start", {"greeting": self._text(opening),
                              "variables": self._inputs(node_id, data)})  # fmt: skip
            case "llm":
                self._llm(data, where, add)
            case "answer":
                text = data.get("answer", "")
                if not self._only_repeats(text):
                    add("say", {"text": self._text(text) or "…"})
            case "end":
                if data.get("outputs"):
                    builder.leave_out(where, "its outputs")
                add("end", {})
            case "if-else":
                add("logic_split", {})
            case "question-classifier":
                add("logic_split", {})
            case "parameter-extractor":
                instructions = self._text(data.get("instruction") or "")
                add("extract", {"schema": _parameters(data), "instructions": instructions})
            case "http-request":
                self._request(node_id, data, where, add)
            case "template-transform":
                add("set", {"assignments": [{
                    "name": variable_name(f"{node_id}_output"),
                    "template": self._jinja(data, where),
                }]})  # fmt: skip
            case "assigner" | "variable-assigner":
                self._assign(data, where, add)
            case "knowledge-retrieval":
                builder.leave_out(where, "its documents; put their text into `documents`")
                query = self._text(_reference(data.get("query_variable_selector")))
                add("knowledge", {"documents": [{"text": "to be filled in"}], "query": query})
            case _:
                builder.leave_out(where, f"the node type {kind!r}; nothing happens in its place")
                add("set", {"assignments": [
                    {"name": variable_name(f"{node_id}_skipped"), "value": True}
                ]})  # fmt: skip

    def _inputs(self, node_id: str, data: Mapping[str, Any]) -> dict[str, Any]:
        inputs: dict[str, Any] = {}
        for variable in data.get("variables") or []:
            declared = {"type": _TYPES.get(variable.get("type", ""), "string")}
            if variable.get("required"):
                declared["required"] = True  # type: ignore[assignment]  # JSON of several types
            if variable.get("label"):
                declared["description"] = variable["label"]
            inputs[variable_name(f"{node_id}_{variable['variable']}")] = declared
        return inputs

    def _llm(
        self, data: Mapping[str, Any], where: str, add: Callable[[str, Mapping[str, Any]], None]
    ) -> None:
        model = data.get("model") or {}
        options = model.get("completion_params") or {}
        provider = _PROVIDERS.get(str(model.get("provider", "")).rpartition("/")[2])
        prompts = data.get("prompt_template") or []
        if isinstance(prompts, Mapping):
            prompts = [{"role": "system", "text": prompts.get("text", "")}]
        instructions = [p.get("text", "") for p in prompts if p.get("role") == "system"]
        asked = [p.get("text", "") for p in prompts if p.get("role") != "system"]
        for text in asked:
            if text.strip() != "{{#sys.query#}}":
                instructions.append(text)
        if (data.get("vision") or {}).get("enabled"):
            self._builder.leave_out(where, "vision")
        add("conversation", {
            "instructions": self._text("\n\n".join(t for t in instructions if t)),
            "llm": f"{provider}/{model['name']}" if provider and model.get("name") else None,
            "temperature": options.get("temperature"),
            "max_tokens": options.get("max_tokens"),
        })  # fmt: skip

    def _request(
        self,
        node_id: str,
        data: Mapping[str, Any],
        where: str,
        add: Callable[[str, Mapping[str, Any]], None],
    ) -> None:
        if (data.get("authorization") or {}).get("type") not in (None, "no-auth"):
            self._builder.leave_out(where, "its authorization; write a header with ${secret:NAME}")
        headers = _pairs(data.get("headers"))
        query = "&".join(f"{name}={value}" for name, value in _pairs(data.get("params")).items())
        url = data.get("url", "") + (f"?{query}" if query else "")
        body: Any = (data.get("body") or {}).get("data")
        if isinstance(body, list):
            body = "".join(str(part.get("value", "")) for part in body)
        add("http", {
            "method": str(data.get("method", "get")).upper(),
            "url": self._text(url),
            "headers": {name: self._text(value) for name, value in headers.items()},
            "body": self._text(body) if isinstance(body, str) else None,
            "response": {variable_name(f"{node_id}_body"): ""},
            "status_variable": variable_name(f"{node_id}_status_code"),
        })  # fmt: skip

    def _assign(
        self, data: Mapping[str, Any], where: str, add: Callable[[str, Mapping[str, Any]], None]
    ) -> None:
        items = data.get("items") or []
        if not items and data.get("assigned_variable_selector"):
            items = [{"variable_selector": data["assigned_variable_selector"],
                      "input_type": "variable", "value": data.get("input_variable_selector"),
                      "operation": data.get("write_mode", "over-write")}]  # fmt: skip
        assignments: list[dict[str, Any]] = []
        for item in items:
            name = self._variable(item["variable_selector"])
            operation = item.get("operation", "over-write")
            if operation not in ("over-write", "set"):
                self._builder.leave_out(where, f"the operation {operation!r} on {name!r}")
            elif isinstance(item.get("value"), list) and item.get("input_type") != "constant":
                assignments.append({"name": name, "expression": self._variable(item["value"])})
            else:
                assignments.append({"name": name, "value": item.get("value")})
        add("set", {"assignments": assignments or [{"name": "assigned", "value": True}]})

    def _edge(self, edge: Mapping[str, Any]) -> None:
        builder = self._builder
        source, target = edge["source"], edge["target"]
        data = self._nodes.get(source, {})
        if all(node["id"] != target for node in builder.nodes) and target in self._nodes:
            return  # to an answer that only repeats
        handle = str(edge.get("sourceHandle", "source"))
        if data.get("type") == "if-else":
            condition = self._case(data, handle)
            if condition is None:
                builder.otherwise(source, target)
            else:
                builder.edge(source, target, "expression", condition)
        elif data.get("type") == "question-classifier":
            classes = {str(c.get("id")): str(c.get("name", "")) for c in data.get("classes") or []}
            if handle in classes:
                builder.edge(
                    source, target, "llm", f"the user's message is about: {classes[handle]}"
                )
            else:
                builder.edge(source, target)
        elif handle == "fail-branch":
            builder.edge(source, target, "event", "error")
        else:
            builder.edge(source, target)

    def _close(self) -> None:
        """Adds else edges, and lets the conversation go on where Dify would start anew."""
        builder = self._builder
        first = next((e["target"] for e in builder.edges if e["source"] == self._start), None)
        for node in builder.nodes:
            ways = [edge for edge in builder.edges if edge["source"] == node["id"]]
            kind = node["type"]
            if kind == "logic_split" and ways:
                builder.otherwise(node["id"], ways[-1]["target"])
            elif kind == "say" and not ways and first is not None:
                node["data"]["wait_for_input"] = True
                builder.edge(node["id"], first)
            elif kind == "conversation" and not ways and first not in (None, node["id"]):
                builder.edge(node["id"], str(first), "expression", "true", "the user's next words")
            elif kind == "conversation" and ways:
                for edge in ways:
                    edge["data"].update(condition_type="expression", condition="true")
                builder.leave_out(
                    f"node {node['data'].get('label')!r}",
                    "what follows the model's text at once; here the user speaks first",
                )

    def _case(self, data: Mapping[str, Any], handle: str) -> str | None:
        cases = data.get("cases") or [
            {"case_id": "true", "conditions": data.get("conditions") or [],
             "logical_operator": data.get("logical_operator", "and")}
        ]  # fmt: skip
        for case in cases:
            if str(case.get("case_id", case.get("id"))) == handle:
                joint = " || " if case.get("logical_operator") == "or" else " && "
                return joint.join(self._condition(c) for c in case["conditions"]) or "true"
        return None

    def _condition(self, condition: Mapping[str, Any]) -> str:
        name = self._variable(condition["variable_selector"])
        operator = condition["comparison_operator"]
        value = condition.get("value")
        text = json.dumps(value, ensure_ascii=False)
        number = str(value)
        forms = {
            "is": f"{name} == {text}", "is not": f"{name} != {text}",
            "contains": f"{name}.contains({text})", "not contains": f"!{name}.contains({text})",
            "start with": f"{name}.startsWith({text})", "end with": f"{name}.endsWith({text})",
            "empty": f'({name} == null || {name} == "")',
            "not empty": f'({name} != null && {name} != "")',
            "=": f"{name} == {number}", "≠": f"{name} != {number}", ">": f"{name} > {number}",
            "<": f"{name} < {number}", "≥": f"{name} >= {number}", "≤": f"{name} <= {number}",
            "null": f"{name} == null", "not null": f"{name} != null",
            "exists": f"{name} != null", "not exists": f"{name} == null",
            "in": f"{name} in {text}", "not in": f"!({name} in {text})",
        }  # fmt: skip
        if operator not in forms:
            self._builder.leave_out("a condition", f"the operator {operator!r} on {name!r}")
            return "false"
        return forms[operator]

    def _text(self, text: str) -> str:
        return _REFERENCE.sub(
            lambda found: f"{{{{ {self._variable(found[1].split('.'))} }}}}", text or ""
        )

    def _jinja(self, data: Mapping[str, Any], where: str) -> str:
        """Jinja's `{{ name }}` is Liquid's, too, with the variables under our names."""
        text = str(data.get("template", ""))
        for variable in data.get("variables") or []:
            ours = self._variable(variable["value_selector"])
            text = re.sub(rf"\b{re.escape(variable['variable'])}\b(?=[^{{}}]*[}}%]}})", ours, text)
        if "{%" in text:
            self._builder.leave_out(where, "Jinja's tags may differ from Liquid's: look at them")
        return text

    def _variable(self, selector: Any) -> str:
        parts = [str(part) for part in selector]
        if parts == ["sys", "query"]:
            return "input"
        if parts[0] == "conversation":
            return variable_name(parts[1])
        node = self._nodes.get(parts[0], {})
        if node.get("type") == "parameter-extractor":
            return variable_name(parts[1])
        return variable_name("_".join(parts))

    def _only_repeats(self, answer: str) -> bool:
        """Whether an answer is the text of a language model and nothing else."""
        found = _REFERENCE.fullmatch(answer.strip())
        return (
            found is not None and self._nodes.get(found[1].split(".")[0], {}).get("type") == "llm"
        )


def _reference(selector: Any) -> str:
    return f"{{{{#{'.'.join(map(str, selector or ['sys', 'query']))}#}}}}"


def _parameters(data: Mapping[str, Any]) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    required = []
    for parameter in data.get("parameters") or []:
        name = variable_name(parameter["name"])
        kind = str(parameter.get("type", "string"))
        schema: dict[str, Any] = {"type": "array" if kind.startswith("array") else kind}
        if kind == "select":
            schema = {"type": "string", "enum": parameter.get("options") or []}
        if parameter.get("description"):
            schema["description"] = parameter["description"]
        properties[name] = schema
        if parameter.get("required"):
            required.append(name)
    return {
        "type": "object",
        "properties": properties,
        **({"required": required} if required else {}),
    }


def _pairs(text: Any) -> dict[str, str]:
    """Lines of `name: value`."""
    pairs = (line.partition(":") for line in str(text or "").splitlines() if ":" in line)
    return {name.strip(): value.strip() for name, _, value in pairs}
