"""What a language model provider is to the engine."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that the model asks for."""

    id: str
    name: str
    arguments: str
    """JSON, as the model wrote it: may be invalid."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a prompt."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    """Of an assistant's message: what it asked for."""
    tool_call_id: str | None = None
    """Of a tool's message: the call that `content` answers."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may call."""

    name: str
    """Of `[A-Za-z0-9_-]{1,64}`."""
    description: str
    parameters: dict[str, Any]
    """JSON Schema of the arguments."""


@dataclass(frozen=True, slots=True)
class GenerationParams:
    """How to generate; None leaves a choice to the provider."""

    model: str | None = None
    temperature: float | None = None
    """Not sent to models that refuse it."""
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    tools: tuple[Tool, ...] = ()
    tool_choice: Literal["auto", "none", "required"] = "auto"
    json_schema: dict[str, Any] | None = None
    """Ask for JSON of this schema. Whether the answer keeps to it is for the caller to check."""
    purpose: str = "speak"
    """What the call is for (`speak`, `edges`, `extract`, …): for scripted answers, never sent."""
    extra: dict[str, Any] = field(default_factory=dict)
    """Further fields of the request's body, as the provider's API names them."""


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A piece of text, as it came; never empty."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """A whole tool call; providers join the pieces."""

    call: ToolCall


@dataclass(frozen=True, slots=True)
class UsageDelta:
    """Counts of tokens, once a stream, where the provider tells."""

    prompt_tokens: int
    completion_tokens: int


Delta = TextDelta | ToolCallDelta | UsageDelta


@dataclass(slots=True)
class Completion:
    """A whole answer."""

    text: str = ""
    tool_calls: list[ToolCall] = field(default_factory=list)
    usage: UsageDelta | None = None


class LLMProvider(ABC):
    """One way to a language model; one instance serves all sessions at once.

    `stream` closes its connection as soon as its generator is closed or its task cancelled, and
    raises `protocol.errors.ProviderError` for whatever goes wrong.
    """

    name: str
    """As in the catalogue: `openai`, `local`, …"""
    supports_tools: bool = False
    continues_answers: bool = False
    """A prompt may end with the beginning of the assistant's message: the model goes on with it,
    in the middle of a word if need be."""
    keeps_prompt_cache: bool = False
    """What it has read of a prompt costs no time again, so that reading ahead is worth it."""

    @abstractmethod
    def stream(
        self, messages: list[Message], params: GenerationParams
    ) -> AsyncGenerator[Delta, None]:
        """Generates an answer; an async generator, so that `aclosing` works on it.

        Raises:
            ProviderError: Before the first delta or between two.
        """

    async def complete(self, messages: list[Message], params: GenerationParams) -> Completion:
        """Generates an answer and gives it whole.

        Raises:
            ProviderError: As `stream` does.
        """
        answer = Completion()
        pieces: list[str] = []
        async with aclosing(self.stream(messages, params)) as deltas:
            async for delta in deltas:
                match delta:
                    case TextDelta(text):
                        pieces.append(text)
                    case ToolCallDelta(call):
                        answer.tool_calls.append(call)
                    case UsageDelta():
                        answer.usage = delta
        answer.text = "".join(pieces)
        return answer

    async def prefill(self, messages: list[Message], params: GenerationParams) -> None:
        """Has the model read a prompt that is about to be asked with other last words.

        Raises:
            ProviderError: As `stream` does.
        """
        await self.complete(messages, replace(params, max_tokens=1))

    @abstractmethod
    async def models(self) -> list[str]:
        """Names of the models that may be asked for.

        Raises:
            ProviderError: If the provider cannot be reached or refuses.
        """

    async def aclose(self) -> None:
        """Closes connections. The default holds none."""
        return
