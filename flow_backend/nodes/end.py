"""`end`: speaks a last text and ends the session."""

from __future__ import annotations

from typing import ClassVar

from flow_backend.engine.context import NodeContext
from flow_backend.flows.document import Template
from flow_backend.nodes.base import End as Ended
from flow_backend.nodes.base import NodeData, NodeType, Outcome


class EndData(NodeData):
    """Fields of an end node."""

    text: Template = ""
    """The last words."""


class End(NodeType[EndData]):
    """The last node of a session; runs after the commit, since nothing can follow it."""

    name: ClassVar[str] = "end"
    data_model = EndData

    def has_side_effects(self, data: EndData) -> bool:
        """Ending a call cannot be undone."""
        return True

    async def run(self, data: EndData, context: NodeContext) -> Outcome:
        """Speaks the text, if any."""
        if data.text:
            context.speak(context.render(data.text))
        return Ended()
