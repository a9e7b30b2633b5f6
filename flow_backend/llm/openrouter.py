"""OpenRouter: many models behind one key, in OpenAI's format."""

from __future__ import annotations

from flow_backend.llm.failures import required_key
from flow_backend.llm.openai import OpenAIProvider
from flow_backend.llm.settings import LLMSettings


def make(settings: LLMSettings) -> OpenAIProvider:
    """From the settings.

    Raises:
        ProviderError: `provider_not_configured` without a key.
    """
    return OpenAIProvider(
        name="openrouter",
        base_url=settings.openrouter_base_url,
        api_key=required_key("openrouter", "OPENROUTER_API_KEY", settings.openrouter_api_key),
        key_variable="OPENROUTER_API_KEY",
        model=settings.openrouter_model,
        headers={"X-Title": "Parley"},
        limits=settings.time_limits,
    )
