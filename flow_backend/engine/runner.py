"""Walks a flow for one turn: from where the session stands to a node that waits, or the end."""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal

from flow_backend.engine.context import NodeContext
from flow_backend.engine.edges import EdgeChooser
from flow_backend.engine.history import fitting
from flow_backend.engine.plan import Plan, PlannedEdge, PlannedNode
from flow_backend.engine.replay import Standing, event_key
from flow_backend.engine.speaker import Speaker
from flow_backend.engine.state import Entry
from flow_backend.flows.variables import check_sizes
from flow_backend.llm.base import LLMProvider, UsageDelta
from flow_backend.nodes.base import End, Go, Wait
from protocol.errors import FlowError, ParleyError
from protocol.events import Event, NodeFinished, NodeStarted, WaitingForCommit
from protocol.logs import about

if TYPE_CHECKING:
    from flow_backend.engine.engine import EngineParts
    from flow_backend.engine.session import Session
    from flow_backend.engine.turn import Turn


class Runner:
    """The run of one turn."""

    def __init__(self, turn: Turn, plan: Plan, parts: EngineParts, session: Session) -> None:
        self.turn = turn
        self.session = session
        self.draft = turn.draft
        self.plan = plan
        self.parts = parts
        self.edges = EdgeChooser(self)
        self.speaker = Speaker(self)
        self._last_speaker = ""
        self._said_before = ""
        self._seen_before: list[dict[str, Any]] = []

    async def run(self) -> None:
        """Runs until a node waits for the user or the session ends.

        Raises:
            ParleyError: What ended the turn; the draft then stands at the node that failed.
        """
        about(session=self.session.id, turn=self.turn.id)
        node = self.plan.nodes.get(self.draft.node_id or "")
        resumed = node is not None and self.draft.waiting
        await self._walk(node or self.plan.start, resumed=resumed)

    async def go_on(self, standing: Standing | None) -> None:
        """Runs on from where the process that began the turn left it.

        Raises:
            ParleyError: As `run` does.
        """
        if standing is None:
            await self.run()
            return
        about(session=self.session.id, turn=self.turn.id)
        node = standing.node
        self._last_speaker = node.id
        self._said_before, self._seen_before = standing.said, standing.seen
        if standing.searched is not None:
            searched = standing.searched
            await searched.type.run(searched.data, NodeContext(self, searched, resumed=False))
        following: PlannedNode | None = node
        if not standing.then:
            following = await self._visit(node, resumed=standing.resumed, again=True)
        elif standing.following is not None and standing.edge is not None:
            context = NodeContext(self, node, resumed=standing.resumed)
            following = self._cross(node, standing.edge, context)
            self.turn.end_visit()
        else:
            self.turn.end_visit()
            self._stop(standing.then)
            following = None
        self._said_before, self._seen_before = "", []
        if following is not None:
            await self._walk(following, resumed=False, visits=standing.visits)

    async def _walk(self, node: PlannedNode, *, resumed: bool, visits: int = 0) -> None:
        """Visits nodes until one waits or the session is over, after so many that were visited."""
        state = self.session.state
        begun_at = state.node_id, state.waiting
        limit = self.parts.limits.node_entries_per_turn
        for _ in range(visits, limit):
            following = await self._visit(node, resumed=resumed)
            if following is None:
                return
            node, resumed = following, False
        if acted_at := self.turn.stored_position:
            # Where a process that takes the turn up finds the session, too.
            begun_at = acted_at["node_id"], acted_at["waiting"]
        self.draft.node_id, self.draft.waiting = begun_at
        raise FlowError(
            "flow_loop",
            f"The flow entered {limit} nodes, the last {node.id!r}, without waiting for the user. "
            "Add a node that waits, or a condition that ends the loop.",
        )

    async def _visit(
        self, node: PlannedNode, *, resumed: bool, again: bool = False
    ) -> PlannedNode | None:
        """Runs a node; gives the next one, or None where the turn stops.

        Args:
            node: The node.
            resumed: It was waiting for the user.
            again: The visit was begun by a process that died.
        """
        if not again:
            self.turn.begin_visit(node.id, waited=resumed)
        if node.type.has_side_effects(node.data) and not node.type.waits_by_itself:
            await self.commit_barrier(node.id)
        begun = monotonic()
        if not again:
            self.turn.stream.add(
                NodeStarted(
                    node_id=node.id,
                    node_type=node.type.name,
                    allow_interruptions=self.plan.may_be_interrupted(node),
                )
            )
        context = NodeContext(self, node, resumed=resumed)
        try:
            outcome = await (node.type.resume if resumed else node.type.run)(node.data, context)
        except ParleyError:
            # The next visit is to try again, and not to be given the answer that failed.
            self.draft.effect_id = None
            raise
        edge = None
        if isinstance(outcome, Go):
            edge = outcome.edge or await context.choose_edge(outcome.event)
        then: Literal["go", "wait", "return", "end"] = "go"
        if edge is None:
            if isinstance(outcome, Wait) and (node.has_edges or not self._returns_from(node)):
                then = "wait"
            else:
                then = "end" if isinstance(outcome, End) or not self.draft.returns else "return"
        self.turn.stream.add(
            NodeFinished(
                node_id=node.id,
                node_type=node.type.name,
                duration_ms=round((monotonic() - begun) * 1000, 2),
                edge_id=edge.id if edge else None,
                then=then,
                next_node_id=edge.target if edge else None,
            )
        )
        self.draft.effect_id = None
        following = None
        if edge is not None:
            if edge.is_global:
                self.draft.returns.append(node.id)
            following = self._cross(node, edge, context)
        self.turn.end_visit()
        self._stop(then)
        return following

    def _returns_from(self, node: PlannedNode) -> bool:
        return node.data.is_global and bool(self.draft.returns)

    def _cross(self, node: PlannedNode, edge: PlannedEdge, context: NodeContext) -> PlannedNode:
        if edge.transition_speech:
            self.speak(context.render(edge.transition_speech), node.id)
        return self.plan.nodes[edge.target]

    def _stop(self, then: str) -> None:
        """Leaves the draft where the turn stops, if it does."""
        if then == "wait":
            self.draft.waiting = True
        elif then == "end":
            self.draft.ended = True
        elif then == "return":
            self.draft.node_id = self.draft.returns.pop()
            self.draft.waiting = True

    async def commit_barrier(self, node_id: str) -> None:
        """Waits for the turn's commit; from here on nothing can be taken back."""
        if not self.turn.may_act.is_set():
            self.turn.stream.add(WaitingForCommit(node_id=node_id))
            await self.turn.may_act.wait()
        self.turn.no_way_back()

    def emit(self, event: Event) -> None:
        """Emits an event, unless the process that began the visit has."""
        if self._seen_before:
            key = event_key(event.model_dump(mode="json"))
            if key in self._seen_before:
                self._seen_before.remove(key)
                return
        self.turn.stream.add(event)

    def begun_answer(self) -> str:
        """What the visit had said when its process died, for a model to go on from; once."""
        begun, self._said_before = self._said_before, ""
        return begun

    def speak(self, text: str, node_id: str) -> None:
        """Emits a spoken token; texts of two nodes are parted by a space."""
        if self._said_before:
            text = self._unsaid(text)
        if not text:
            return
        if node_id != self._last_speaker:
            self._last_speaker = node_id
            pieces = self.turn.pieces
            if pieces and not pieces.ends_in_space and not text[:1].isspace():
                text = f" {text}"
        self.turn.say(text, node_id)

    def _unsaid(self, text: str) -> str:
        """The part of a text that the process which began the visit has not said."""
        before = self._said_before
        if before[:1].isspace() and not text[:1].isspace():
            before = before[1:]
        if before.startswith(text):
            self._said_before = before[len(text) :]
            return ""
        self._said_before = ""
        return text[len(before) :] if text.startswith(before) else text

    def prompt_history(self) -> list[Entry]:
        """Entries that are to be whole in prompts."""
        fresh = self.draft.history[self.draft.summary[1] :]
        return fitting(fresh, self.parts.limits.history_tokens)

    async def provider(self, name: str | None) -> LLMProvider:
        """A language model by name; None: the flow's default.

        Raises:
            ProviderError: `provider_unknown`, `provider_not_configured`.
        """
        return await self.parts.models.get(name or self.plan.flow.default.llm)

    def count(self, usage: UsageDelta) -> None:
        """Adds to the turn's usage."""
        totals = self.turn.usage
        for name, number in (
            ("prompt_tokens", usage.prompt_tokens),
            ("completion_tokens", usage.completion_tokens),
            ("total_tokens", usage.prompt_tokens + usage.completion_tokens),
        ):
            totals[name] = totals.get(name, 0) + number

    def check_sizes(self, values: Mapping[str, Any]) -> None:
        """Refuses variables that are too large.

        Raises:
            FlowError: `variable_too_large`.
        """
        limits = self.parts.limits
        check_sizes(
            values,
            {**self.draft.variables, **values},
            one_bytes=limits.variable_bytes,
            all_bytes=limits.variables_bytes,
        )
