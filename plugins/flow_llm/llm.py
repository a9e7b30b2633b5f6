"""The LLM and its stream: a turn's tokens as LiveKit's chat chunks."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Protocol

from livekit.agents import APIError, llm
from livekit.agents.types import (
    DEFAULT_API_CONNECT_OPTIONS,
    NOT_GIVEN,
    APIConnectOptions,
    NotGivenOr,
)

from protocol.errors import ParleyError
from protocol.events import Done, Event, Token


class Turn(Protocol):
    """A turn whose answer is about to come."""

    def events(self) -> AsyncGenerator[Event, None]:
        """The turn's events; closing the generator early stops the turn.

        Raises:
            ParleyError: The turn failed.
        """


class TurnSource(Protocol):
    """Who turns the user's words into turns."""

    def open_turn(self, user_input: str, turn_id: str) -> Turn:
        """A turn of this id, which starts when its `events()` are read.

        Raises:
            ParleyError: The turn cannot be sent.
        """


class LLM(llm.LLM[Any]):
    """Answers with the turns of a flow.

    The turn's id is the id of the user's message, which LiveKit keeps from `chat()` to
    `conversation_item_added`: there the turn can be committed.

    Args:
        turns: Opens the turns.
        flow_id: Names the flow in metrics.
    """

    def __init__(self, turns: TurnSource, *, flow_id: str) -> None:
        super().__init__()
        self._turns = turns
        self._flow_id = flow_id

    @property
    def model(self) -> str:
        """The flow's id."""
        return self._flow_id

    @property
    def provider(self) -> str:
        """Names the backend in metrics."""
        return "parley"

    def chat(
        self,
        *,
        chat_ctx: llm.ChatContext,
        tools: list[llm.Tool] | None = None,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
        parallel_tool_calls: NotGivenOr[bool] = NOT_GIVEN,
        tool_choice: NotGivenOr[llm.ToolChoice] = NOT_GIVEN,
        extra_kwargs: NotGivenOr[dict[str, Any]] = NOT_GIVEN,
    ) -> FlowLLMStream:
        """Answers the last message of the user. Tools belong to the flow, not to the session."""
        return FlowLLMStream(
            self,
            turns=self._turns,
            chat_ctx=chat_ctx,
            tools=tools or [],
            conn_options=conn_options,
        )


class FlowLLMStream(llm.LLMStream):
    """The answer to one message of the user.

    A failed turn raises an `APIError` that is not retried, since the turn source has done so
    where it helps; its `body` is the error's `code`, `message` and `retryable`.
    """

    def __init__(
        self,
        flow_llm: LLM,
        *,
        turns: TurnSource,
        chat_ctx: llm.ChatContext,
        tools: list[llm.Tool],
        conn_options: APIConnectOptions,
    ) -> None:
        super().__init__(flow_llm, chat_ctx=chat_ctx, tools=tools, conn_options=conn_options)
        self._turns = turns
        self._retry_on_chunk_sent = False

    async def _run(self) -> None:
        message = last_user_message(self._chat_ctx)
        text = (message.text_content or "").strip() if message is not None else ""
        if message is None or not text:
            return
        extra: dict[str, Any] | None = {"turn_id": message.id}
        try:
            turn = self._turns.open_turn(text, message.id)
            async with aclosing(turn.events()) as events:
                async for event in events:
                    if isinstance(event, Token) and event.speak:
                        delta = llm.ChoiceDelta(
                            role="assistant", content=event.content, extra=extra
                        )
                        extra = None
                        self._event_ch.send_nowait(llm.ChatChunk(id=message.id, delta=delta))
                    elif isinstance(event, Done):
                        self._event_ch.send_nowait(
                            llm.ChatChunk(id=message.id, usage=_usage(event.usage))
                        )
        except ParleyError as error:
            raise APIError(error.message, body=error.as_dict(), retryable=False) from error


def last_user_message(chat_ctx: llm.ChatContext) -> llm.ChatMessage | None:
    """The message to answer: the user's last one, if nothing was answered since."""
    for item in reversed(chat_ctx.items):
        if isinstance(item, llm.ChatMessage):
            if item.role == "user":
                return item
            if item.role == "assistant":
                return None
    return None


def _usage(counts: dict[str, int]) -> llm.CompletionUsage:
    prompt = counts.get("prompt_tokens", 0)
    completion = counts.get("completion_tokens", 0)
    return llm.CompletionUsage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=counts.get("total_tokens", prompt + completion),
    )
