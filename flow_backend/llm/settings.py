"""The part of the backend's settings that is about language models."""

from __future__ import annotations

from pydantic import AliasChoices, Field, SecretStr, field_validator

from flow_backend.llm.timing import TimeLimits
from protocol.settings import EnvSettings


class LLMSettings(EnvSettings):
    """Which language models there are, and how long they may take."""

    llm: str = "auto"
    """`auto`, or a chain to try in order: `openai,claude,local`, each `provider` or
    `provider/model`."""
    llm_connect_timeout_s: float = Field(default=5.0, gt=0, le=120)
    """Seconds to open a connection to a provider."""
    llm_first_token_timeout_s: float = Field(default=20.0, gt=0, le=600)
    """Seconds from the request to the first token."""
    llm_between_tokens_timeout_s: float = Field(default=10.0, gt=0, le=600)
    """Seconds of silence after which a stream counts as failed."""
    llm_retries: int = Field(default=1, ge=0, le=5)
    """How often one provider is asked again, before its first token, when the failure may pass."""
    llm_cooldown_s: float = Field(default=30.0, ge=0, le=3600)
    """Seconds for which a provider that failed stands last in the chain."""

    openai_api_key: SecretStr | None = None
    """Key of OpenAI."""
    openai_base_url: str | None = None
    """Any server that speaks OpenAI's chat completions; needs no key then."""
    openai_model: str = "gpt-4.1-mini"
    """Model that OpenAI, or the server at OPENAI_BASE_URL, is asked for."""
    anthropic_api_key: SecretStr | None = None
    """Key of Anthropic."""
    anthropic_base_url: str | None = None
    """Another server that speaks Anthropic's messages API."""
    anthropic_model: str = "claude-haiku-4-5"
    """Model that Anthropic is asked for."""
    gemini_api_key: SecretStr | None = Field(
        default=None, validation_alias=AliasChoices("GEMINI_API_KEY", "GOOGLE_API_KEY")
    )
    """Key of Gemini."""
    gemini_base_url: str | None = None
    """Another server that speaks Gemini's API."""
    gemini_model: str = "gemini-3.1-flash-lite"
    """Model that Gemini is asked for."""
    openrouter_api_key: SecretStr | None = None
    """Key of OpenRouter."""
    openrouter_base_url: str = "https://openrouter.ai/api/v1"
    """OpenRouter, or a server like it."""
    openrouter_model: str = "openrouter/auto"
    """Model that OpenRouter is asked for."""
    ollama_url: str = "http://127.0.0.1:11434"
    """Ollama's server."""
    ollama_model: str | None = None
    """Unset: the first that the server lists."""
    local_llm_url: str = "http://127.0.0.1:8090/v1"
    """The embedded model's server, which `parley up` starts."""
    local_llm_model: str = "smollm2-135m-instruct"
    """Its name there; SmolLM2-135M gets shortened requests."""

    @field_validator("openai_base_url", "anthropic_base_url", "gemini_base_url",
                     "openrouter_base_url", "ollama_url", "local_llm_url")  # fmt: skip
    @classmethod
    def _http_url(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("http://", "https://")):
            raise ValueError("expected a URL that begins with http:// or https://")
        return value.rstrip("/") if value else None

    @property
    def time_limits(self) -> TimeLimits:
        """The three limits of a stream."""
        return TimeLimits(
            connect_s=self.llm_connect_timeout_s,
            first_token_s=self.llm_first_token_timeout_s,
            between_tokens_s=self.llm_between_tokens_timeout_s,
        )


def secret(value: SecretStr | None) -> str | None:
    """What a secret holds; None where there is none."""
    return value.get_secret_value() if value is not None else None
