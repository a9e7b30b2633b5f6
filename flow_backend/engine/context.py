"""What a node sees of the turn that runs it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from flow_backend.engine.state import Entry
from flow_backend.flows.templates import render
from flow_backend.llm.base import GenerationParams
from protocol.events import Event, Variables

if TYPE_CHECKING:
    from flow_backend.engine.plan import PlannedEdge, PlannedNode
    from flow_backend.engine.runner import Runner


class NodeContext:
    """One visit of one node; whatever it changes goes into the turn's draft."""

    def __init__(self, runner: Runner, node: PlannedNode, *, resumed: bool) -> None:
        self._runner = runner
        self.node = node
        self.resumed = resumed
        """The node was waiting and the turn's input is its answer."""

    @property
    def input(self) -> str:
        """What the user said."""
        return self._runner.turn.input

    @property
    def history(self) -> list[Entry]:
        """The session's history before this turn."""
        return self._runner.draft.history

    def values(self) -> dict[str, Any]:
        """What templates and conditions see: the variables, and `input`."""
        return {**self._runner.draft.variables, "input": self.input}

    def render(self, template: str) -> str:
        """Fills a template.

        Raises:
            FlowError: `template_failed`.
        """
        return render(template, self.values()) if "{" in template else template

    def speak(self, text: str) -> None:
        """Emits text for the voice."""
        self._runner.speak(text, self.node.id)

    def emit(self, event: Event) -> None:
        """Emits any other event."""
        self._runner.turn.stream.add(event)

    def set_variables(self, values: Mapping[str, Any]) -> None:
        """Sets session variables and tells the client.

        Raises:
            FlowError: `variable_too_large`.
        """
        self._runner.check_sizes(values)
        self._runner.draft.changed.update(values)
        self.emit(Variables(changed=dict(values)))

    def deterministic_edge(self, event: str | None = None) -> PlannedEdge | None:
        """The first `expression` or `event` edge that holds.

        Raises:
            FlowError: `expression_failed`.
        """
        return self._runner.edges.deterministic(self, event)

    async def choose_edge(self, event: str | None = None) -> PlannedEdge | None:
        """The edge to take: deterministic ones first, then judged ones in one call, then else.

        Raises:
            ParleyError: What a condition or the judging model raises.
        """
        return await self._runner.edges.choose(self, event)

    async def converse(
        self, instructions: str, params: GenerationParams, *, llm: str | None
    ) -> PlannedEdge | None:
        """Lets the model answer the user, and judges the node's `llm` edges on the way.

        Returns:
            The edge whose condition holds, in which case nothing was said; None after an answer.

        Raises:
            ProviderError: If the model fails.
        """
        return await self._runner.speaker.converse(self, instructions, params, llm)
