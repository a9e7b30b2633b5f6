"""`conversation`: a language model speaks with the user until an edge's condition holds."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from flow_backend.engine.context import NodeContext
from flow_backend.flows.document import Template
from flow_backend.llm.base import GenerationParams
from flow_backend.nodes.base import Go, NodeData, NodeType, Outcome, Wait


class ConversationData(NodeData):
    """Fields of a conversation node."""

    instructions: Template = ""
    """The system prompt."""
    llm: str | None = None
    """A provider's name, or `provider/model`; None: the flow's default."""
    temperature: float | None = Field(default=None, ge=0, le=2)
    max_tokens: int | None = Field(default=None, ge=1, le=100_000)
    options: dict[str, Any] = Field(default_factory=dict)
    """Passed to the provider as they are."""

    def params(self) -> GenerationParams:
        """What the provider is asked for."""
        return GenerationParams(
            temperature=self.temperature, max_tokens=self.max_tokens, extra=self.options
        )


class Conversation(NodeType[ConversationData]):
    """Each turn: go along an edge if one holds, else answer."""

    name: ClassVar[str] = "conversation"
    aliases: ClassVar[tuple[str, ...]] = ("llm",)
    data_model = ConversationData

    def waits(self, data: ConversationData) -> bool:
        """Always: it talks turn after turn."""
        return True

    async def run(self, data: ConversationData, context: NodeContext) -> Outcome:
        """Answers the user, then waits."""
        edge = await context.converse(
            context.render(data.instructions), data.params(), llm=data.llm
        )
        return Wait() if edge is None else Go(edge=edge)

    async def prefill(self, data: ConversationData, context: NodeContext) -> None:
        """Has the model read the prompt."""
        await context.prefill(context.render(data.instructions), data.params(), llm=data.llm)

    async def resume(self, data: ConversationData, context: NodeContext) -> Outcome:
        """Tries the edges that need no model first; the others are judged while answering."""
        edge = context.deterministic_edge()
        if edge is None and context.node.otherwise is not None:
            # With an else edge the node answers once and is then left, so nothing is to be said.
            edge = await context.choose_edge()
        return Go(edge=edge) if edge is not None else await self.run(data, context)
