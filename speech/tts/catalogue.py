"""The voice providers there are. A new one is its own file and one line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from protocol.errors import ProviderError
from speech.engines import LocalEngines
from speech.settings import SpeechSettings
from speech.tts.base import TTSProvider
from speech.tts.spoken import SpokenTTS


@dataclass(frozen=True, slots=True)
class Entry:
    """How a provider is made, and which setting it cannot do without."""

    make: Callable[[SpeechSettings, LocalEngines], TTSProvider]
    label: str
    required_setting: str | None = None
    """Field of `SpeechSettings`; None when it works with no configuration."""


def _piper(settings: SpeechSettings, engines: LocalEngines) -> TTSProvider:
    from speech.tts.piper import PiperTTS

    return PiperTTS(engines.piper, settings.piper_voice, sentence_pause_s=settings.sentence_pause_s)


def _elevenlabs(settings: SpeechSettings, engines: LocalEngines) -> TTSProvider:
    from speech.tts.elevenlabs import ElevenLabsTTS

    return ElevenLabsTTS(settings)


def _inworld(settings: SpeechSettings, engines: LocalEngines) -> TTSProvider:
    from speech.tts.inworld import InworldTTS

    return InworldTTS(settings)


def _openai(settings: SpeechSettings, engines: LocalEngines) -> TTSProvider:
    from speech.tts.openai import OpenAITTS

    return OpenAITTS(settings)


def _wyoming(settings: SpeechSettings, engines: LocalEngines) -> TTSProvider:
    from speech.tts.wyoming import WyomingTTS

    return WyomingTTS(settings)


CATALOGUE: Mapping[str, Entry] = MappingProxyType(
    {
        "piper": Entry(_piper, "Piper"),
        "elevenlabs": Entry(_elevenlabs, "ElevenLabs", "elevenlabs_api_key"),
        "inworld": Entry(_inworld, "Inworld", "inworld_api_key"),
        "openai": Entry(_openai, "OpenAI speech", "openai_api_key"),
        "wyoming": Entry(_wyoming, "Wyoming", "wyoming_tts_uri"),
    }
)
"""Name to entry, in the order in which lists show them."""


def create(name: str, settings: SpeechSettings, engines: LocalEngines) -> TTSProvider:
    """Makes a provider by name.

    Raises:
        ProviderError: `provider_unknown` with the names there are, or `provider_not_configured`
            with the variable to set.
    """
    if name not in CATALOGUE:
        raise ProviderError(
            "provider_unknown",
            f"There is no voice provider {name[:40]!r}. There are: {', '.join(CATALOGUE)}.",
        )
    made = CATALOGUE[name].make(settings, engines)
    return made if made.speaks_markup else SpokenTTS(made, engines.lexicon)


def is_configured(name: str, settings: SpeechSettings) -> bool:
    """Whether `create` would work."""
    required = CATALOGUE[name].required_setting
    if name == "openai" and settings.openai_base_url is not None:
        return True
    return required is None or getattr(settings, required) is not None
