"""Answers by a script: for tests, scenarios of flows, and benchmarks."""

from __future__ import annotations

import asyncio
import json
import re
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from flow_backend.llm.base import (
    Delta,
    GenerationParams,
    LLMProvider,
    Message,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    UsageDelta,
)
from flow_backend.llm.settings import LLMSettings
from flow_backend.llm.timing import TimeLimits, in_time
from protocol.errors import ProviderError

_PIECE = re.compile(r"\s*\S+|\s+\Z")


class ToolUse(BaseModel):
    """A call that a scripted answer makes."""

    model_config = ConfigDict(extra="forbid")

    name: str
    arguments: dict[str, Any] = Field(default_factory=dict)


class Reply(BaseModel):
    """One scripted answer, and the calls that it is for."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    user: str | None = None
    """Regular expression, searched in the last user message, case aside."""
    purpose: str | None = None
    """Only for calls of this purpose: `speak`, `edges`, `extract`, …"""
    times: int | None = Field(default=1, ge=1)
    """How often it may be given; None: always."""
    say: str | list[str] | None = None
    """Text, given word by word, or exactly these pieces."""
    data: Any = Field(default=None, alias="json")
    """Given as JSON text."""
    calls: list[ToolUse] = Field(default_factory=list)
    edge: str | None = None
    """Takes the edge whose condition this regular expression is found in, whether edges are
    offered as tools or asked for by number."""
    first_delay_s: float = Field(default=0.0, ge=0)
    """Before the first piece."""
    delay_s: float = Field(default=0.0, ge=0)
    """Between two pieces."""
    error: str | None = None
    """A code of `ProviderError`, raised after what `say` gives."""

    @field_validator("user", "edge")
    @classmethod
    def _is_pattern(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                re.compile(value)
            except re.error as error:
                raise ValueError(f"not a regular expression: {error}") from error
        return value

    @field_validator("error")
    @classmethod
    def _is_code(cls, value: str | None) -> str | None:
        if value is not None and value not in ProviderError.codes:
            raise ValueError(f"expected one of {', '.join(ProviderError.codes)}")
        return value

    @model_validator(mode="after")
    def _says_something(self) -> Reply:
        if not (self.calls or self.edge or self.error) and self.say is None and self.data is None:
            raise ValueError("expected say, json, calls, edge or error")
        return self

    @property
    def pieces(self) -> list[str]:
        """The text as it is given."""
        if isinstance(self.say, list):
            return self.say
        text = self.say if self.say is not None else ""
        if self.data is not None:
            text += json.dumps(self.data, ensure_ascii=False)
        return _PIECE.findall(text)


class ScriptedProvider(LLMProvider):
    """Gives the first reply that fits a call and is not used up.

    A reply goes only where its kind is expected: words to calls that speak, JSON to calls for
    JSON, an edge where edges are judged. A judgement that no reply fits is "none holds".

    Args:
        replies: In order of preference.
        limits: Time limits; None for none, so that a benchmark measures the engine alone.
    """

    name = "scripted"
    supports_tools = True
    continues_answers = True

    def __init__(
        self, replies: Sequence[Reply | str] = (), *, limits: TimeLimits | None = None
    ) -> None:
        self._replies = [
            Reply(say=reply, times=None) if isinstance(reply, str) else reply for reply in replies
        ]
        self._left = [reply.times for reply in self._replies]
        self._limits = limits
        self.requests: deque[tuple[list[Message], GenerationParams]] = deque(maxlen=100)
        """The last calls, for a test to look at."""
        self.open_streams = 0
        """Streams that have begun and neither ended nor been closed."""

    def stream(
        self, messages: list[Message], params: GenerationParams
    ) -> AsyncGenerator[Delta, None]:
        """See the base class.

        Raises:
            ProviderError: The scripted one; `provider_bad_response` when no reply fits.
        """
        source = self._stream(messages, params)
        if self._limits is None:
            return source
        from flow_backend.llm.failures import Endpoint

        return in_time(source, self._limits, Endpoint(self.name, None, "script:"))

    async def _stream(
        self, messages: list[Message], params: GenerationParams
    ) -> AsyncGenerator[Delta, None]:
        self.requests.append((list(messages), params))
        reply, way = self._take(messages, params)
        self.open_streams += 1
        try:
            if reply.first_delay_s:
                await asyncio.sleep(reply.first_delay_s)
            pieces = [way] if isinstance(way, str) else reply.pieces
            if messages and messages[-1].role == "assistant":
                pieces = _after(pieces, messages[-1].content)
            for index, piece in enumerate(pieces):
                if index and reply.delay_s:
                    await asyncio.sleep(reply.delay_s)
                yield TextDelta(piece)
            calls = [*reply.calls, way] if isinstance(way, ToolUse) else reply.calls
            for index, call in enumerate(calls):
                yield ToolCallDelta(
                    ToolCall(f"call_{index}", call.name, json.dumps(call.arguments))
                )
            if reply.error is not None:
                raise ProviderError(reply.error, f"scripted: the script says {reply.error}.")
            yield UsageDelta(sum(len(m.content.split()) for m in messages), len(pieces))
        finally:
            self.open_streams -= 1

    def _take(
        self, messages: list[Message], params: GenerationParams
    ) -> tuple[Reply, ToolUse | str | None]:
        """The reply, and the edge that it takes: a tool to call, or a number to say."""
        said = next((m.content for m in reversed(messages) if m.role == "user"), "")
        for index, reply in enumerate(self._replies):
            left = self._left[index]
            if left == 0 or not _fits(reply, said, params):
                continue
            way = _way(reply.edge, said, params) if reply.edge is not None else None
            if reply.edge is not None and way is None:
                continue
            if left is not None:
                self._left[index] = left - 1
            return reply, way
        if params.purpose == "edges":
            return _NO_EDGE, "0"
        raise ProviderError(
            "provider_bad_response",
            f"scripted: no reply is left that fits a call of purpose {params.purpose!r}. Add one "
            "to the script.",
            retryable=False,
        )

    async def models(self) -> list[str]:
        """See the base class."""
        return ["script"]


_NO_EDGE = Reply(say="0", times=None)


def _fits(reply: Reply, said: str, params: GenerationParams) -> bool:
    if reply.purpose is not None:
        if reply.purpose != params.purpose:
            return False
    elif reply.edge is not None:
        if params.purpose not in ("speak", "edges"):
            return False
    elif params.purpose == "edges" or (params.json_schema is None) != (reply.data is None):
        return False
    if reply.calls and not params.tools:
        return False
    return reply.user is None or re.search(reply.user, said, re.IGNORECASE) is not None


def _after(pieces: list[str], begun: str) -> list[str]:
    """What is left of an answer that has begun; all of it, if it begins otherwise."""
    text = "".join(pieces)
    return _PIECE.findall(text[len(begun) :]) if text.startswith(begun) else pieces


def _way(pattern: str, said: str, params: GenerationParams) -> ToolUse | str | None:
    for tool in params.tools:
        if re.search(pattern, f"{tool.name} {tool.description}", re.IGNORECASE):
            return ToolUse(name=tool.name)
    if params.purpose == "edges":
        for number, statement in re.findall(r"^(\d+)\. (.*)$", said, re.MULTILINE):
            if re.search(pattern, statement, re.IGNORECASE):
                return str(number)
    return None


def make(settings: LLMSettings) -> ScriptedProvider:
    """One that repeats a fixed answer, so that a stack can be tried without any model."""
    return ScriptedProvider(["This is the scripted answer."], limits=settings.time_limits)
