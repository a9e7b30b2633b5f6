"""Which edge to take: deterministic conditions first, then the model's judgement, then else."""

from __future__ import annotations

import re
from contextlib import aclosing
from typing import TYPE_CHECKING

from flow_backend.engine.prompt import entry_text
from flow_backend.flows.expressions import holds
from flow_backend.llm.base import GenerationParams, LLMProvider, Message, TextDelta, UsageDelta
from flow_backend.nodes.base import SILENCE

if TYPE_CHECKING:
    from flow_backend.engine.context import NodeContext
    from flow_backend.engine.plan import PlannedEdge
    from flow_backend.engine.runner import Runner

JUDGE_PARAMS = GenerationParams(temperature=0.0, max_tokens=4, purpose="edges")
_JUDGED_ENTRIES = 6


class EdgeChooser:
    """Chooses among a node's edges and the ways to global nodes."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def deterministic(self, context: NodeContext, event: str | None) -> PlannedEdge | None:
        """The first `expression` edge that is true or `event` edge whose event happened."""
        ways = self._runner.plan.ways_from(context.node, "deterministic")
        if not ways:
            return None
        values = context.values()
        happened = event or (SILENCE if context.resumed and not context.input.strip() else None)
        for edge in ways:
            if edge.is_global and not context.resumed:
                continue
            if edge.condition_type == "event":
                if happened is not None and edge.condition == happened:
                    return edge
            elif holds(edge.condition, values):
                return edge
        return None

    async def choose(self, context: NodeContext, event: str | None) -> PlannedEdge | None:
        """The edge to take, or None if none holds."""
        edge = self.deterministic(context, event)
        if edge is not None:
            return edge
        judged = self.judged(context)
        if judged:
            provider = await self._runner.provider(None)
            edge = await self.judge(context, judged, provider)
        return edge or context.node.otherwise

    def judged(self, context: NodeContext) -> tuple[PlannedEdge, ...]:
        """The conditions that a model would have to judge now."""
        ways = self._runner.plan.ways_from(context.node, "judged")
        return tuple(way for way in ways if context.resumed or not way.is_global)

    async def judge(
        self, context: NodeContext, edges: tuple[PlannedEdge, ...], provider: LLMProvider
    ) -> PlannedEdge | None:
        """Asks the model once which condition holds; an answer that is no number means none."""
        answer = ""
        messages = judgement_prompt(context, edges)
        async with aclosing(provider.stream(messages, JUDGE_PARAMS)) as deltas:
            async for delta in deltas:
                if isinstance(delta, TextDelta):
                    answer += delta.text
                elif isinstance(delta, UsageDelta):
                    self._runner.count(delta)
        found = re.search(r"\d+", answer)
        number = int(found.group()) if found and len(found.group()) < 4 else 0
        return edges[number - 1] if 1 <= number <= len(edges) else None


def judgement_prompt(context: NodeContext, edges: tuple[PlannedEdge, ...]) -> list[Message]:
    """A prompt whose answer is the number of the condition that holds, or 0."""
    conditions = "\n".join(
        f"{number}. {context.render(edge.condition)}" for number, edge in enumerate(edges, 1)
    )
    talk = [
        f"{'User' if entry.role == 'user' else 'Agent'}: {entry_text(entry)}"
        for entry in context.history[-_JUDGED_ENTRIES:]
        if entry_text(entry)
    ]
    talk.append(f"User: {context.input}")
    return [
        Message(
            "system",
            "You read a conversation between a user and an agent and decide which statement is "
            "true now. Answer with the statement's number alone, or 0 if none is true.",
        ),
        Message(
            "user",
            "Conversation:\n" + "\n".join(talk) + f"\n\nStatements:\n{conditions}\n\nNumber:",
        ),
    ]
