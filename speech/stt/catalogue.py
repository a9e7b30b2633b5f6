"""The transcription providers there are. A new one is its own file and one line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from types import MappingProxyType

from protocol.errors import ProviderError
from speech.engines import LocalEngines
from speech.settings import SpeechSettings
from speech.stt.base import STTProvider


def _moonshine(settings: SpeechSettings, engines: LocalEngines) -> STTProvider:
    from speech.stt.moonshine import MoonshineSTT

    return MoonshineSTT(engines.moonshine)


def _faster_whisper(settings: SpeechSettings, engines: LocalEngines) -> STTProvider:
    from speech.stt.faster_whisper import FasterWhisperSTT

    return FasterWhisperSTT(settings)


def _openai(settings: SpeechSettings, engines: LocalEngines) -> STTProvider:
    from speech.stt.openai import OpenAISTT

    return OpenAISTT(settings)


def _wyoming(settings: SpeechSettings, engines: LocalEngines) -> STTProvider:
    from speech.stt.wyoming import WyomingSTT

    return WyomingSTT(settings)


CATALOGUE: Mapping[str, Callable[[SpeechSettings, LocalEngines], STTProvider]] = MappingProxyType(
    {
        "moonshine": _moonshine,
        "faster-whisper": _faster_whisper,
        "openai": _openai,
        "wyoming": _wyoming,
    }
)
"""Name to maker, in the order in which lists show them."""


NEEDS: Mapping[str, str] = MappingProxyType(
    {"openai": "openai_api_key", "wyoming": "wyoming_stt_uri"}
)
"""Fields of `SpeechSettings` without which a provider does not work."""


def is_configured(name: str, settings: SpeechSettings) -> bool:
    """Whether a provider has its setting and its package."""
    if name == "faster-whisper":
        return find_spec("faster_whisper") is not None
    return name not in NEEDS or bool(getattr(settings, NEEDS[name]))


def create(name: str, settings: SpeechSettings, engines: LocalEngines) -> STTProvider:
    """Makes a provider by name.

    Raises:
        ProviderError: `provider_unknown` with the names there are, or `provider_not_configured`
            with the variable to set.
        ConfigError: `tool_missing` when a package is not installed.
    """
    if name not in CATALOGUE:
        raise ProviderError(
            "provider_unknown",
            f"There is no transcription provider {name[:40]!r}. There are: {', '.join(CATALOGUE)}.",
        )
    return CATALOGUE[name](settings, engines)
