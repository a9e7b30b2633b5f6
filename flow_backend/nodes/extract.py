"""`extract`: a model fills variables from the conversation, by a JSON Schema."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, ClassVar

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from pydantic import ConfigDict, Field, field_validator

from flow_backend.engine.context import NodeContext
from flow_backend.flows import meta_schema
from flow_backend.flows.document import Template
from flow_backend.flows.problems import wrong_value
from flow_backend.llm.base import GenerationParams, Message
from flow_backend.nodes.base import Go, NodeData, NodeType, Outcome
from protocol.errors import FlowError
from protocol.turns import sendable

_FENCE = re.compile(r"^\s*```(?:json)?\s*|\s*```\s*$")


class ExtractData(NodeData):
    """Fields of an extract node."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True, use_attribute_docstrings=True)

    schema_: dict[str, Any] = Field(alias="schema")
    """JSON Schema (2020-12) of an object; its properties become variables."""
    instructions: Template = ""
    """What the model should know beside the schema."""
    llm: str | None = None
    """A provider's name, or `provider/model`; None: the flow's default."""
    retries: int = Field(default=1, ge=0, le=5)
    """How often the model is asked again after an answer that does not fit."""
    max_tokens: int = Field(default=500, ge=1, le=100_000)

    @field_validator("schema_")
    @classmethod
    def _is_schema(cls, value: dict[str, Any]) -> dict[str, Any]:
        if (wrong := meta_schema.fault(value)) is not None:
            raise wrong_value("schema_invalid", why=wrong)
        if "$ref" in json.dumps(value):
            raise wrong_value("schema_with_reference")
        if not isinstance(value.get("properties"), dict) or not value["properties"]:
            raise wrong_value("schema_of_no_object")
        for name in value["properties"]:
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
                raise wrong_value("schema_name_invalid", name=name)
        return value


class Extract(NodeType[ExtractData]):
    """Sets what it extracts; the event `error` if no answer fits."""

    name: ClassVar[str] = "extract"
    data_model = ExtractData
    events: ClassVar[tuple[str, ...]] = ("error",)

    def sets(self, data: ExtractData) -> Iterable[str]:
        """The schema's properties."""
        return list(data.schema_["properties"])

    async def run(self, data: ExtractData, context: NodeContext) -> Outcome:
        """Asks until an answer fits, then sets the variables.

        Raises:
            FlowError: `extract_failed` if none fits and no `event` edge `error` leads away.
            ProviderError: If the model fails.
        """
        messages = _prompt(data, context)
        validator = Draft202012Validator(data.schema_)
        params = GenerationParams(
            temperature=0.0,
            max_tokens=data.max_tokens,
            json_schema=data.schema_,
            purpose="extract",
        )
        for _ in range(data.retries + 1):
            answer = await context.complete(messages, params, llm=data.llm)
            found, fault = _read(answer, validator)
            if found is not None:
                known = data.schema_["properties"]
                context.set_variables({k: v for k, v in found.items() if k in known})
                return Go()
            messages = [
                *messages,
                Message("assistant", answer or "{}"),
                Message("user", f"That does not fit: {fault}. Answer with the JSON object alone."),
            ]
        if context.leads_away("error"):
            return Go(event="error")
        raise FlowError(
            "extract_failed",
            f"The model gave nothing that fits the schema of node {context.node.id!r}. Add an "
            "`event` edge with the condition `error`, or simplify the schema.",
        )


def _prompt(data: ExtractData, context: NodeContext) -> list[Message]:
    talk = "\n".join(
        f"{'User' if message.role == 'user' else 'Agent'}: {message.content}"
        for message in context.conversation()
    )
    return [
        Message(
            "system",
            "You read a conversation and answer with one JSON object that fits this JSON Schema, "
            "and nothing else. Leave out what was not said, unless it is required.\n"
            + json.dumps(data.schema_, ensure_ascii=False)
            + (f"\n{context.render(data.instructions)}" if data.instructions else ""),
        ),
        Message("user", f"{talk}\n\nJSON:"),
    ]


def _read(answer: str, validator: Draft202012Validator) -> tuple[dict[str, Any] | None, str]:
    """The object of an answer, or what is wrong with it."""
    try:
        value = sendable(json.loads(_FENCE.sub("", answer)))
    except (ValueError, RecursionError):
        return None, "it is not JSON"
    if not isinstance(value, dict):
        return None, "it is not an object"
    fault = best_match(validator.iter_errors(value))
    return (value, "") if fault is None else (None, f"{fault.json_path}: {fault.message[:200]}")
