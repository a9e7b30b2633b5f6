"""Walks a flow for one turn: from where the session stands to a node that waits, or the end."""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic
from typing import TYPE_CHECKING, Any

from flow_backend.engine.context import NodeContext
from flow_backend.engine.edges import EdgeChooser
from flow_backend.engine.history import fitting
from flow_backend.engine.plan import Plan, PlannedEdge, PlannedNode
from flow_backend.engine.speaker import Speaker
from flow_backend.engine.state import Entry
from flow_backend.flows.variables import check_sizes
from flow_backend.llm.base import LLMProvider, UsageDelta
from flow_backend.nodes.base import End, Go, Wait
from protocol.errors import FlowError, ParleyError
from protocol.events import NodeFinished, NodeStarted, WaitingForCommit
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

    async def run(self) -> None:
        """Runs until a node waits for the user or the session ends.

        Raises:
            ParleyError: What ended the turn; the draft then stands at the node that failed.
        """
        about(session=self.session.id, turn=self.turn.id)
        begun_at = (self.draft.node_id, self.draft.waiting)
        node = self.plan.nodes.get(self.draft.node_id or "")
        resumed = node is not None and self.draft.waiting
        if node is None:
            node = self.plan.start
        limit = self.parts.limits.node_entries_per_turn
        for _ in range(limit):
            following = await self._visit(node, resumed=resumed)
            if following is None:
                return
            node, resumed = following
        self.draft.node_id, self.draft.waiting = begun_at
        raise FlowError(
            "flow_loop",
            f"The flow entered {limit} nodes, the last {node.id!r}, without waiting for the user. "
            "Add a node that waits, or a condition that ends the loop.",
        )

    async def _visit(self, node: PlannedNode, *, resumed: bool) -> tuple[PlannedNode, bool] | None:
        """Runs a node; gives the next one and whether it takes up waiting, or None at the end."""
        self.turn.begin_visit(node.id, waited=resumed)
        if node.type.has_side_effects(node.data) and not node.type.waits_by_itself:
            await self.commit_barrier(node.id)
        begun = monotonic()
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
        self.turn.stream.add(
            NodeFinished(
                node_id=node.id,
                node_type=node.type.name,
                duration_ms=round((monotonic() - begun) * 1000, 2),
                edge_id=edge.id if edge else None,
            )
        )
        self.draft.effect_id = None
        if edge is not None:
            following = self._follow(node, edge, context)
            self.turn.end_visit()
            return following, False
        self.turn.end_visit()
        if isinstance(outcome, Wait) and (node.has_edges or not self._returns_from(node)):
            self.draft.waiting = True
        elif isinstance(outcome, End) or not self.draft.returns:
            self.draft.ended = True
        else:
            self.draft.node_id = self.draft.returns.pop()
            self.draft.waiting = True
        return None

    def _returns_from(self, node: PlannedNode) -> bool:
        return node.data.is_global and bool(self.draft.returns)

    def _follow(self, node: PlannedNode, edge: PlannedEdge, context: NodeContext) -> PlannedNode:
        if edge.is_global:
            self.draft.returns.append(node.id)
        if edge.transition_speech:
            self.speak(context.render(edge.transition_speech), node.id)
        return self.plan.nodes[edge.target]

    async def commit_barrier(self, node_id: str) -> None:
        """Waits for the turn's commit; from here on nothing can be taken back."""
        if not self.turn.may_act.is_set():
            self.turn.stream.add(WaitingForCommit(node_id=node_id))
            await self.turn.may_act.wait()
        self.turn.no_way_back()

    def speak(self, text: str, node_id: str) -> None:
        """Emits a spoken token; texts of two nodes are parted by a space."""
        if not text:
            return
        if node_id != self._last_speaker:
            self._last_speaker = node_id
            pieces = self.turn.pieces
            if pieces and not pieces[-1][-1:].isspace() and not text[:1].isspace():
                text = f" {text}"
        self.turn.say(text, node_id)

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
