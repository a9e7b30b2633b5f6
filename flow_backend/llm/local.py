"""The embedded model: a llama.cpp server on this machine, in OpenAI's format.

SmolLM2-135M, which comes with the installation, loses the thread in a long prompt, a long answer
or at a high temperature; so it gets the gist. Other models get the request as it is.
"""

from __future__ import annotations

from typing import Any

from flow_backend.llm.base import GenerationParams, Message
from flow_backend.llm.openai import OpenAIProvider
from flow_backend.llm.settings import LLMSettings

SMALL_MODELS = ("smollm2-135m",)
TEMPERATURE = 0.0
MAX_TOKENS = 80
MAX_SYSTEM_CHARACTERS = 400
MAX_MESSAGES = 5
"""Of the conversation, newest last; odd, so that it begins with the user."""


class LocalProvider(OpenAIProvider):
    """Shortens requests to a model that is known to be very small."""

    continues_answers = True  # llama.cpp's server does when a prompt ends with an assistant
    keeps_prompt_cache = True

    @property
    def small(self) -> bool:
        """Whether the model is one of those that need short requests."""
        return self.model.lower().startswith(SMALL_MODELS)

    @property
    def supports_tools(self) -> bool:  # type: ignore[override]  # depends on the model
        """A very small model cannot use them."""
        return not self.small

    def request_body(self, messages: list[Message], params: GenerationParams) -> dict[str, Any]:
        """See the base class."""
        if not self.small:
            return super().request_body(messages, params)
        body = super().request_body(gist(messages), params)
        body["temperature"] = TEMPERATURE
        if params.json_schema is None:  # half a JSON object would be worth nothing
            body["max_tokens"] = min(params.max_tokens or MAX_TOKENS, MAX_TOKENS)
        return body


def gist(messages: list[Message]) -> list[Message]:
    """The beginning of the instructions, cut at a sentence, and the last messages."""
    system = " ".join(message.content for message in messages if message.role == "system")
    if len(system) > MAX_SYSTEM_CHARACTERS:
        head = system[:MAX_SYSTEM_CHARACTERS]
        system = head[: max(head.rfind(mark) + 1 for mark in ".!?\n") or MAX_SYSTEM_CHARACTERS]
    talk = [message for message in messages if message.role != "system"][-MAX_MESSAGES:]
    return [Message("system", system), *talk] if system else talk


def make(settings: LLMSettings) -> LocalProvider:
    """From the settings."""
    return LocalProvider(
        name="local",
        base_url=settings.local_llm_url,
        api_key=None,
        key_variable=None,
        model=settings.local_llm_model,
        limits=settings.time_limits,
    )
