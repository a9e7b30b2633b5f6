"""`say`: speaks a template without a language model."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from flow_backend.engine.context import NodeContext
from flow_backend.flows.document import Template
from flow_backend.nodes.base import Go, NodeData, NodeType, Outcome, Wait


class SayData(NodeData):
    """Fields of a say node."""

    text: Template = Field(min_length=1)
    """What is said."""
    wait_for_input: bool = False
    """Wait for the user's answer before going on."""


class Say(NodeType[SayData]):
    """Speaks, then waits or goes on."""

    name: ClassVar[str] = "say"
    data_model = SayData

    def waits(self, data: SayData) -> bool:
        """If it is told to."""
        return data.wait_for_input

    async def run(self, data: SayData, context: NodeContext) -> Outcome:
        """Speaks the text as one token."""
        context.speak(context.render(data.text))
        return Wait() if data.wait_for_input else Go()
