"""What a language model provider is to the engine."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
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
    tool_call_id: str | None = None


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may call."""

    name: str
    description: str
    parameters: dict[str, Any]
    """JSON Schema of the arguments."""


@dataclass(frozen=True, slots=True)
class GenerationParams:
    """How to generate; None leaves a choice to the provider."""

    model: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    tools: tuple[Tool, ...] = ()
    json_schema: dict[str, Any] | None = None
    """Ask for JSON of this schema, where the provider can."""
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A piece of text, as it came."""

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


class LLMProvider(ABC):
    """One way to a language model.

    `stream` closes its connection as soon as its iterator is closed or its task cancelled, and
    raises `protocol.errors.ProviderError` for whatever goes wrong.
    """

    name: str
    supports_tools: bool = False

    @abstractmethod
    def stream(self, messages: list[Message], params: GenerationParams) -> AsyncIterator[Delta]:
        """Generates an answer; an async generator, so that `aclosing` works on it."""

    async def aclose(self) -> None:
        """Closes connections. The default holds none."""
        return
