"""What a node sees of the turn that runs it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from flow_backend.engine.pace import filler_after_ms
from flow_backend.engine.prompt import build_prompt
from flow_backend.engine.state import Entry
from flow_backend.flows.document import Template
from flow_backend.flows.templates import render
from flow_backend.llm.base import GenerationParams, Message
from flow_backend.outbound.call import HttpAnswer, HttpCall
from flow_backend.store.passages import Document, Passage
from flow_backend.store.writer import TURN_PATIENCE_S
from protocol.errors import ParleyError
from protocol.events import Event, Variables

if TYPE_CHECKING:
    from flow_backend.engine.plan import PlannedEdge, PlannedNode
    from flow_backend.engine.runner import Runner


class Filler(BaseModel):
    """What is said while a slow call is under way.

    A call that is known to take long is covered at once; one that usually ends soon after
    `after_ms` is waited for a little longer, since the filler would only delay its answer.
    """

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    text: Template = Field(min_length=1)
    after_ms: int = Field(default=700, ge=0, le=60_000)
    """The silence that is borne while nothing is known about the call."""
    usual_ms: int | None = Field(default=None, ge=0, le=600_000)
    """How long the call usually takes; None: as the last calls took."""


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

    def take_input(self) -> bool:
        """Whether no node has had the turn's input as an answer yet; from now on this one has."""
        turn = self._runner.turn
        free, turn.input_taken = not turn.input_taken, True
        return free

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
        return self.render_with(template, self.values()) if "{" in template else template

    def render_with(self, template: str, values: Mapping[str, Any]) -> str:
        """Fills a template with other values than the session's.

        Raises:
            FlowError: `template_failed`.
        """
        return render(template, values)

    def leads_away(self, event: str) -> bool:
        """Whether an `event` edge for this event leaves the node."""
        return any(
            edge.condition_type == "event" and edge.condition == event
            for edge in self.node.deterministic
        )

    def speak(self, text: str) -> None:
        """Emits text for the voice."""
        self._runner.speak(text, self.node.id)

    def emit(self, event: Event) -> None:
        """Emits any other event."""
        self._runner.emit(event)

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

    async def prefill(
        self, instructions: str, params: GenerationParams, *, llm: str | None
    ) -> None:
        """Lets a model that keeps a prompt cache read what `converse` would ask it.

        Raises:
            ProviderError: If the model fails.
        """
        await self._runner.speaker.prefill(self, instructions, params, llm)

    async def complete(
        self, messages: list[Message], params: GenerationParams, *, llm: str | None = None
    ) -> str:
        """Asks a model for something that is not spoken.

        Raises:
            ProviderError: If the model fails.
        """
        provider = await self._runner.provider(llm)
        answer = await provider.complete(messages, params)
        if answer.usage is not None:
            self._runner.count(answer.usage)
        return answer.text

    def conversation(self) -> list[Message]:
        """The conversation so far, this turn's input included, as messages without a system one."""
        return build_prompt("", self._runner.prompt_history(), self.input)

    async def call(self, call: HttpCall, filler: Filler | None = None) -> HttpAnswer:
        """Makes a call that changes nothing outside."""
        with self._speaking_if_slow(filler):
            return await self._runner.parts.caller.call(call)

    @contextmanager
    def _speaking_if_slow(self, filler: Filler | None) -> Iterator[None]:
        """Speaks the filler, a template, when it is worth it; learns how long the work takes."""
        if filler is None:
            yield
            return
        durations, place = self._runner.parts.durations, (self._runner.plan.flow.id, self.node.id)
        usual_ms = durations.usual_ms(*place) if filler.usual_ms is None else filler.usual_ms
        text = self.render(filler.text)

        def speak() -> None:
            # A turn that has ended meanwhile says nothing more; its task is about to notice.
            if not self._runner.turn.concluded:
                self.speak(text)

        timer = asyncio.get_running_loop().call_later(
            filler_after_ms(filler.after_ms, usual_ms) / 1000, speak
        )
        begun = monotonic()
        try:
            yield
            durations.took(*place, (monotonic() - begun) * 1000)
        finally:
            timer.cancel()

    async def effect(self, call: HttpCall, filler: Filler | None = None) -> HttpAnswer:
        """Makes a call that changes something outside: after the commit, and exactly once.

        A visit that was cut off and is repeated gets the answer to the call that it had begun.
        Cancelling the turn does not cancel the call.
        """
        turn, draft, outbox = self._runner.turn, self._runner.draft, self._runner.parts.outbox
        uid = self._runner.session.uid
        if draft.effect_id is not None:
            answer = await outbox.answer(draft.effect_id, uid)
            if answer is not None:
                turn.no_way_back()
                return answer
        row = outbox.new_row(uid, turn.id, self.node.id, call)
        turn.pending_effect = row
        await self._runner.commit_barrier(self.node.id)
        if turn.take_effect() is not None:
            outbox.add(row)
            self._runner.session.save()
            try:
                await self._runner.parts.writer.durable(uid, TURN_PATIENCE_S)
            except ParleyError:
                # The user is told that it failed, and may ask again.
                outbox.withdraw(row)
                raise
        with self._speaking_if_slow(filler):
            return await asyncio.shield(outbox.start(row))

    async def find_passages(
        self,
        documents: Sequence[Document],
        query: str,
        limit: int,
        filler: Filler | None = None,
    ) -> list[Passage]:
        """Passages of some documents that fit a query, the best first."""
        with self._speaking_if_slow(filler):
            return await self._runner.parts.passages.search(documents, query, limit)

    def give_passages(self, passages: list[str]) -> None:
        """Puts passages into the prompt of the next spoken answer."""
        self._runner.draft.passages = passages
