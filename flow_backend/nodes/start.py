"""`start`: where a flow begins."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from flow_backend.engine.context import NodeContext
from flow_backend.flows.document import Template
from flow_backend.flows.variables import VariableType
from flow_backend.nodes.base import Go, NodeData, NodeType, Outcome, Wait


class InputVariable(BaseModel):
    """A variable that whoever opens a session may or must give."""

    model_config = ConfigDict(extra="forbid")

    type: VariableType = "string"
    default: Any = None
    required: bool = False
    description: str = ""


class StartData(NodeData):
    """Fields of a start node."""

    greeting: Template = ""
    """Spoken when the session opens."""
    variables: dict[str, InputVariable] = Field(default_factory=dict)


class Start(NodeType[StartData]):
    """Greets a user who has said nothing yet; otherwise goes on at once."""

    name: ClassVar[str] = "start"
    data_model = StartData

    def sets(self, data: StartData) -> Iterable[str]:
        """The input variables."""
        return data.variables

    async def run(self, data: StartData, context: NodeContext) -> Outcome:
        """Goes on, or greets and waits if there is neither input nor a greeting given before."""
        if data.greeting and not context.input.strip() and not context.history:
            context.speak(context.render(data.greeting))
            return Wait()
        return Go()
