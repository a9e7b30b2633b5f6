"""The backend's voices: the local engines, the hosted providers, and what was said before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from speech.engines import LocalEngines
from speech.settings import SpeechSettings
from speech.tts import CATALOGUE, TTSProvider, create
from speech.tts.cache import AudioCache, CachedTTS


@dataclass(slots=True)
class Voices:
    """Makes voice providers when they are first wanted, and owns them with the engines."""

    settings: SpeechSettings
    engines: LocalEngines
    cache: AudioCache
    _made: dict[str, TTSProvider]

    @classmethod
    def of(cls, settings: SpeechSettings) -> Voices:
        """The voices that the settings allow; no model is loaded yet.

        Raises:
            ConfigError: `setting_invalid` for a pronunciation dictionary that is wrong.
        """
        cache = AudioCache(settings.audio_cache_mb * 1024 * 1024)
        return cls(settings, LocalEngines(lexicon=settings.lexicon()), cache, {})

    def get(self, name: str | None = None) -> TTSProvider:
        """A provider by name, or the setting TTS's first that is not a plugin of the worker's.

        Raises:
            ProviderError: `provider_unknown` or `provider_not_configured`.
        """
        name = name or self._default()
        if name not in self._made:
            made = create(name, self.settings, self.engines)
            self._made[name] = CachedTTS(made, self.cache)
        return self._made[name]

    def _default(self) -> str:
        names = (part.partition("/")[0].strip() for part in self.settings.tts.split(","))
        return next((name for name in names if name in CATALOGUE), "piper")

    async def aclose(self) -> None:
        """Closes providers, then engines."""
        made, self._made = list(self._made.values()), {}
        for provider in made:
            await provider.aclose()
        await self.engines.aclose()


def get_voices(request: Request) -> Voices:
    """The app's voices."""
    voices: Voices = request.app.state.voices
    return voices


VoicesDep = Annotated[Voices, Depends(get_voices)]
