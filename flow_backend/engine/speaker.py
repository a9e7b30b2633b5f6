"""Lets a language model speak: its tokens leave as they come, its judgement of edges beside."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

from flow_backend.engine.prompt import build_prompt
from flow_backend.llm.base import (
    GenerationParams,
    LLMProvider,
    Message,
    TextDelta,
    Tool,
    ToolCallDelta,
    UsageDelta,
)
from flow_backend.llm.continuation import Joint, resumed

if TYPE_CHECKING:
    from flow_backend.engine.context import NodeContext
    from flow_backend.engine.plan import PlannedEdge
    from flow_backend.engine.runner import Runner


def _tool_name(edge: PlannedEdge) -> str:
    """`edge_` and the edge's id, or `node_` and a global node's, in the letters tools may have."""
    name = f"node_{edge.target}" if edge.is_global else f"edge_{edge.id}"
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)[:64]


def _tools(context: NodeContext, by_name: Mapping[str, PlannedEdge]) -> tuple[Tool, ...]:
    return tuple(
        Tool(
            name=name,
            description=f"Call this and say nothing when: {context.render(edge.condition)}",
            parameters={"type": "object", "properties": {}},
        )
        for name, edge in by_name.items()
    )


class Speaker:
    """The speaking calls of one turn."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    async def converse(
        self, context: NodeContext, instructions: str, params: GenerationParams, llm: str | None
    ) -> PlannedEdge | None:
        """See `NodeContext.converse`.

        A model with tools gets each judged edge as a tool of the one call. For one without, the
        judgement runs beside the answer, whose first tokens wait for it.
        """
        runner = self._runner
        provider = await runner.provider(llm)
        begun, said = runner.begun_answer(), runner.turn.spoken
        messages = self._prompt(context, instructions, said.removesuffix(begun))
        runner.draft.passages = []
        if begun:
            # Whoever began to speak has judged the edges.
            await self._go_on(context, provider, messages, params, begun)
            return None
        edges = runner.edges.judged(context) if context.resumed else ()
        if not edges:
            await self._answer(context, provider, messages, params)
            return None
        if provider.supports_tools:
            by_name = {_tool_name(edge): edge for edge in edges}
            tools = _tools(context, by_name)
            called = await self._answer(context, provider, messages, replace(params, tools=tools))
            return by_name.get(called or "")
        return await self._judge_beside(context, provider, messages, params, edges)

    async def _go_on(
        self,
        context: NodeContext,
        provider: LLMProvider,
        messages: list[Message],
        params: GenerationParams,
        begun: str,
    ) -> None:
        """Speaks the rest of an answer whose process died."""
        if provider.continues_answers:
            messages.append(Message("assistant", begun.lstrip()))
            await self._answer(context, provider, messages, params)
            return
        messages, params = resumed(messages, params, begun)
        joint = Joint(begun)
        async with aclosing(provider.stream(messages, params)) as deltas:
            async for delta in deltas:
                if isinstance(delta, TextDelta):
                    context.speak(joint.push(delta.text))
                elif isinstance(delta, UsageDelta):
                    self._runner.count(delta)
        context.speak(joint.flush())

    async def prefill(
        self, context: NodeContext, instructions: str, params: GenerationParams, llm: str | None
    ) -> None:
        """Lets the model read what `converse` would ask, up to the user's words.

        Raises:
            ProviderError: If the model fails.
        """
        provider = await self._runner.provider(llm)
        if not provider.keeps_prompt_cache:
            return
        edges = self._runner.edges.judged(context) if context.resumed else ()
        if provider.supports_tools:
            by_name = {_tool_name(edge): edge for edge in edges}
            params = replace(params, tools=_tools(context, by_name))
        await provider.prefill(self._prompt(context, instructions, ""), params)

    def _prompt(self, context: NodeContext, instructions: str, said: str) -> list[Message]:
        runner = self._runner
        return build_prompt(
            instructions,
            runner.prompt_history(),
            context.input,
            said=said,
            summary=runner.draft.summary[0],
            passages=runner.draft.passages,
        )

    async def _answer(
        self,
        context: NodeContext,
        provider: LLMProvider,
        messages: list[Message],
        params: GenerationParams,
        gate: asyncio.Future[PlannedEdge | None] | None = None,
    ) -> str | None:
        """Speaks what the model writes; gives the name of a tool that it called before speaking.

        With a `gate`, tokens are held until its judgement is there.
        """
        runner = self._runner
        runner.turn.mark("llm_request")
        held: list[str] = []
        spoke = False
        async with aclosing(provider.stream(messages, params)) as deltas:
            async for delta in deltas:
                if isinstance(delta, TextDelta):
                    if gate is not None and not gate.done():
                        held.append(delta.text)
                        continue
                    if held:
                        context.speak("".join(held))
                        held.clear()
                    context.speak(delta.text)
                    spoke = True
                elif isinstance(delta, ToolCallDelta):
                    if not spoke:
                        return delta.call.name
                else:
                    runner.count(delta)
        if held and gate is not None and await gate is None:
            context.speak("".join(held))
        return None

    async def _judge_beside(
        self,
        context: NodeContext,
        provider: LLMProvider,
        messages: list[Message],
        params: GenerationParams,
        edges: tuple[PlannedEdge, ...],
    ) -> PlannedEdge | None:
        async with asyncio.TaskGroup() as group:
            judge = group.create_task(self._runner.edges.judge(context, edges, provider))
            answer = group.create_task(
                self._answer(context, provider, messages, params, gate=judge)
            )
            judge.add_done_callback(
                lambda task: (
                    answer.cancel()
                    if not task.cancelled() and not task.exception() and task.result()
                    else None
                )
            )
        return judge.result()
