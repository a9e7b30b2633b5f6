"""How a door talks with the engine: a flow of its own, answers as text."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from typing import Any

from flow_backend.engine.plan import Plan
from flow_backend.engine.session import Session
from flow_backend.engine.turn import Turn
from flow_backend.flows.document import Flow
from protocol.errors import StreamError, error_for

DEFAULT_INSTRUCTIONS = (
    "You are a helpful voice assistant. Answer in plain English with one or two short sentences, "
    "without lists, markdown or emoji."
)


def chat_flow(
    *,
    llm: str = "default",
    instructions: str = "",
    temperature: float | None = None,
    max_tokens: int | None = None,
) -> Flow:
    """A flow that only converses, made for one door's request.

    Instructions come from callers and are said as they stand: they are no template.
    """
    talk: dict[str, Any] = {
        "instructions": "{{ instructions }}",
        "llm": llm,
        "temperature": temperature,
        "max_tokens": max_tokens,
    }
    return Flow.model_validate(
        {
            "id": "chat",
            "name": "Chat",
            "variables": {"instructions": instructions},
            "nodes": [
                {"id": "start", "type": "start", "data": {}},
                {
                    "id": "talk",
                    "type": "conversation",
                    "data": {key: value for key, value in talk.items() if value is not None},
                },
            ],
            "edges": [{"id": "begin", "source": "start", "target": "talk"}],
        }
    )


def with_model(plan: Plan, llm: str) -> Plan:
    """The same flow, where nodes that name no model speak with this one."""
    defaults = plan.flow.default.model_copy(update={"llm": llm})
    return replace(plan, flow=plan.flow.model_copy(update={"default": defaults}))


async def answer(
    session: Session,
    message: str,
    *,
    on_event: Callable[[dict[str, Any]], None] = lambda _: None,
) -> AsyncGenerator[str, None]:
    """Runs a turn and yields what is to be spoken or shown, as it comes.

    Closing the generator cancels the turn, which closes the model's connection.

    Args:
        session: Where the turn runs; a turn that still runs there is cancelled.
        message: What the user said.
        on_event: Is given every event of the turn, as its JSON object.

    Raises:
        ParleyError: The turn's own error, or `stream_interrupted` if it was cancelled.
    """
    turn = await session.start_turn(message, None, speculative=False)
    try:
        async for event in _events(turn):
            on_event(event)
            if event["type"] == "token":
                yield event["content"]
            elif event["type"] == "error":
                raise error_for(event["code"], event["message"], retryable=event["retryable"])
            elif event["type"] == "cancelled":
                raise StreamError("stream_interrupted", "The answer was cancelled.")
    finally:
        session.drop(turn)


async def _events(turn: Turn) -> AsyncGenerator[dict[str, Any], None]:
    stream = turn.stream
    position = 0
    stream.enter()
    try:
        while True:
            while position < stream.published:
                frame = stream.frames[position]
                position += 1
                event: dict[str, Any] = json.loads(frame[frame.index(b"\ndata: ") + 7 :])
                yield event
            if stream.gone:
                raise StreamError("stream_interrupted", "The answer was stopped.")
            if stream.closed and stream.published == len(stream.frames):
                return
            waiter = stream.wait()
            try:
                await waiter
            finally:
                stream.forget(waiter)
    finally:
        stream.leave()
