"""Which language model will speak, and whether the embedded one must be served."""

from __future__ import annotations

from dataclasses import dataclass

from flow_backend.llm.registry import PROVIDERS, choose
from flow_backend.llm.settings import LLMSettings
from protocol.errors import ConfigError
from protocol.settings import load_settings


@dataclass(frozen=True, slots=True)
class LLMChoice:
    """What the setting LLM comes to."""

    reference: str
    """As the backend reads it: `provider`, `provider/model`, or several with commas."""
    reason: str
    """Which one speaks and why, for people."""
    advice: str = ""
    """How to get a better one."""
    embedded: bool = False
    """Whether the embedded model may be asked, and so must be served."""


async def choose_llm() -> LLMChoice:
    """Resolves `LLM=auto` as the backend would.

    Raises:
        ConfigError: `setting_invalid` for a provider that there is not, or another wrong setting;
            `setting_missing` for what a provider lacks.
    """
    settings = load_settings(LLMSettings)
    reference, reason, advice = settings.llm.strip(), f"{settings.llm.strip()}: LLM is set", ""
    if reference == "auto":
        choice = await choose(settings)
        reference, advice = choice.reference, choice.advice
        reason = f"{choice.reference}: {choice.reason}"
    names = [part.strip().partition("/")[0] for part in reference.split(",") if part.strip()]
    for name in names or [""]:
        _require(name, settings)
    served_elsewhere = "local_llm_url" in settings.model_fields_set
    return LLMChoice(reference, reason, advice, "local" in names and not served_elsewhere)


def _require(name: str, settings: LLMSettings) -> None:
    listing = PROVIDERS.get(name)
    if listing is None:
        raise ConfigError(
            "setting_invalid",
            f"LLM: there is no provider {name!r}. Expected auto, or one or more, with commas "
            f"between, of: {', '.join(PROVIDERS)}.",
        )
    if not listing.configured(settings):
        raise ConfigError(
            "setting_missing", f"LLM names {name}, which needs {' or '.join(listing.needs)}."
        )
