"""`transfer`: hands the call over."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from pydantic import Field

from flow_backend.engine.context import NodeContext
from flow_backend.flows import templates
from flow_backend.flows.document import Template
from flow_backend.nodes.base import End, Go, NodeData, NodeType, Outcome
from protocol.events import Transfer as TransferEvent


class TransferData(NodeData):
    """Fields of a transfer node."""

    to: Template = Field(min_length=1)
    """A SIP URI, telephone number, room or agent name."""
    text: Template = ""
    """Spoken before."""
    info: dict[str, Template] = Field(default_factory=dict)
    """Told to whoever takes the call over."""


class Transfer(NodeType[TransferData]):
    """Tells the worker to hand over; without an edge the session is then over."""

    name: ClassVar[str] = "transfer"
    data_model = TransferData

    def has_side_effects(self, data: TransferData) -> bool:
        """Always."""
        return True

    def addressed_by(self, data: TransferData) -> Iterable[str]:
        """The variables of whoever takes the call over."""
        return templates.check(data.to)

    async def run(self, data: TransferData, context: NodeContext) -> Outcome:
        """Speaks, emits the event, and goes on."""
        if data.text:
            context.speak(context.render(data.text))
        told: dict[str, Any] = {name: context.render(text) for name, text in data.info.items()}
        context.emit(TransferEvent(node_id=context.node.id, to=context.render(data.to), data=told))
        return Go() if context.node.has_edges else End()
