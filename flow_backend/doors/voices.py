"""The backend's voices and ears: local engines, hosted providers, and what was said before."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from speech import stt, tts
from speech.engines import LocalEngines
from speech.fallback import Member, references
from speech.settings import SpeechSettings
from speech.stt.chain import ChainSTT
from speech.tts import TTSProvider
from speech.tts.cache import AudioCache, CachedTTS
from speech.tts.chain import ChainTTS


@dataclass(slots=True)
class Voices:
    """Makes voices and transcribers when they are first wanted, and owns them with the engines."""

    settings: SpeechSettings
    engines: LocalEngines
    cache: AudioCache
    _made: dict[str, TTSProvider]
    _chain: TTSProvider | None = None
    _transcribers: list[stt.STTProvider] = field(default_factory=list)
    _hearing: stt.STTProvider | None = None

    @classmethod
    def of(cls, settings: SpeechSettings) -> Voices:
        """The voices that the settings allow; no model is loaded yet.

        Raises:
            ConfigError: `setting_invalid` for a pronunciation dictionary that is wrong.
        """
        cache = AudioCache(settings.audio_cache_mb * 1024 * 1024)
        return cls(settings, LocalEngines(lexicon=settings.lexicon()), cache, {})

    def get(self, name: str | None = None) -> TTSProvider:
        """A provider by name, or the setting TTS's, one behind the other.

        The setting may name plugins of the worker's, too: they are passed over.

        Raises:
            ProviderError: `provider_unknown` or `provider_not_configured`.
        """
        if name is not None:
            return self._provider(name)
        if self._chain is None:
            known = [r for r in references(self.settings.tts) if r[0] in tts.CATALOGUE]
            members = [Member(self._provider(n), voice) for n, voice in known or [("piper", None)]]
            alone = len(members) == 1 and members[0].choice is None
            self._chain = members[0].provider if alone else ChainTTS(members)
        return self._chain

    def _provider(self, name: str) -> TTSProvider:
        if name not in self._made:
            made = tts.create(name, self.settings, self.engines)
            self._made[name] = CachedTTS(made, self.cache)
        return self._made[name]

    def hearing(self) -> stt.STTProvider:
        """The setting STT's transcribers, one behind the other; Moonshine where it names none.

        Raises:
            ProviderError: `provider_not_configured`.
            ConfigError: `tool_missing` when a package is not installed.
        """
        if self._hearing is None:
            known = [r for r in references(self.settings.stt) if r[0] in stt.CATALOGUE]
            members = []
            for name, language in known or [("moonshine", None)]:
                made = stt.create(name, self.settings, self.engines)
                self._transcribers.append(made)
                members.append(Member(made, language))
            alone = len(members) == 1 and members[0].choice is None
            self._hearing = members[0].provider if alone else ChainSTT(members)
        return self._hearing

    async def aclose(self) -> None:
        """Closes providers, then engines."""
        for voice in self._made.values():
            await voice.aclose()
        for transcriber in self._transcribers:
            await transcriber.aclose()
        await self.engines.aclose()


def get_voices(request: Request) -> Voices:
    """The app's voices."""
    voices: Voices = request.app.state.voices
    return voices


VoicesDep = Annotated[Voices, Depends(get_voices)]
