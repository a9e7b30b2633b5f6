"""Ollama, by the OpenAI-compatible half of its API."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

import httpx

from flow_backend.llm.base import Delta, GenerationParams, Message
from flow_backend.llm.openai import OpenAIProvider, is_loopback
from flow_backend.llm.settings import LLMSettings
from protocol.errors import ProviderError


class OllamaProvider(OpenAIProvider):
    """Takes the first model that the server lists when none is named."""

    keeps_prompt_cache = True

    async def _stream(
        self, messages: list[Message], params: GenerationParams
    ) -> AsyncGenerator[Delta, None]:
        if not (params.model or self.model):
            names = await self.models()
            if not names:
                raise ProviderError(
                    "provider_not_configured",
                    "ollama: the server has no model. Run `ollama pull llama3.2`, or name another "
                    "provider in LLM.",
                )
            self.model = names[0]
        async with aclosing(super()._stream(messages, params)) as deltas:
            async for delta in deltas:
                yield delta


def make(settings: LLMSettings) -> OllamaProvider:
    """From the settings."""
    return OllamaProvider(
        name="ollama",
        base_url=f"{settings.ollama_url}/v1",
        api_key=None,
        key_variable=None,
        model=settings.ollama_model or "",
        limits=settings.time_limits,
    )


async def running_models(url: str, timeout_s: float = 0.5) -> list[str]:
    """Models of the Ollama server at `url`; empty when none answers."""
    try:
        async with httpx.AsyncClient(timeout=timeout_s, trust_env=not is_loopback(url)) as client:
            answer = await client.get(f"{url}/api/tags")
            answer.raise_for_status()
            return [str(model["name"]) for model in answer.json()["models"]]
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return []
