"""Who hears and who speaks, by the settings STT and TTS.

Each is a name, `name/model`, or several with commas between, to be tried in order. A name is one
of our own engines, one of our providers, or any LiveKit plugin (`livekit.plugins.<name>`).
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from livekit.agents import stt as lk_stt
from livekit.agents import tts as lk_tts
from livekit.agents import vad as lk_vad

from agent_worker.livekit_plugins import names, plugin, set_up
from agent_worker.settings import WorkerSettings
from plugins import moonshine_stt, piper_tts, provider_speech
from speech import stt as transcribers
from speech import tts as voices
from speech.engines import LocalEngines
from speech.moonshine import MoonshineEngine
from speech.piper import PiperEngine


class Providers:
    """Makes the speech plugins of each call; owns the hosted providers that they share.

    Plugins of LiveKit are imported here: they insist on the main thread.

    Args:
        settings: Which providers there are, and their keys.
        piper: Speaks for the name `piper`; not owned.
        moonshine: Hears for the name `moonshine`; not owned.

    Raises:
        ConfigError: A name that nobody knows, a package that is not installed.
        ProviderError: `provider_not_configured`, with the variable to set.
    """

    def __init__(
        self, settings: WorkerSettings, piper: PiperEngine, moonshine: MoonshineEngine
    ) -> None:
        self._settings = settings
        self._piper = piper
        self._moonshine = moonshine
        self._voices: dict[str, voices.TTSProvider] = {}
        self._transcribers: dict[str, transcribers.STTProvider] = {}
        self._modules: dict[str, ModuleType] = {}
        self.speaking = names(settings.tts, "TTS")
        self.hearing = names(settings.stt, "STT")
        engines = LocalEngines(piper, moonshine, piper.lexicon)
        for name, _ in self.speaking:
            if name == "piper":
                continue
            if name in voices.CATALOGUE:
                self._voices[name] = voices.create(name, settings, engines)
            else:
                self._modules[name] = plugin(name, "TTS", "TTS", voices.CATALOGUE)
        for name, _ in self.hearing:
            if name == "moonshine":
                continue
            if name in transcribers.CATALOGUE:
                self._transcribers[name] = transcribers.create(name, settings, engines)
            else:
                self._modules[name] = plugin(name, "STT", "STT", transcribers.CATALOGUE)

    def tts(self) -> lk_tts.TTS[Any]:
        """Speaks for one call."""
        made = [self._one_tts(name, model) for name, model in self.speaking]
        if len(made) == 1:
            return made[0]
        return provider_speech.VoiceChain(made, pause_s=self._settings.sentence_pause_s)

    def stt(self, vad: lk_vad.VAD) -> lk_stt.STT[Any]:
        """Hears for one call; `vad` cuts the utterances of those that take them whole."""
        made = [self._one_stt(name, model) for name, model in self.hearing]
        return made[0] if len(made) == 1 else lk_stt.FallbackAdapter(made, vad=vad)

    async def aclose(self) -> None:
        """Closes the connections of the hosted providers."""
        for voice in self._voices.values():
            await voice.aclose()
        for transcriber in self._transcribers.values():
            await transcriber.aclose()

    def _one_tts(self, name: str, model: str | None) -> lk_tts.TTS[Any]:
        if name == "piper":
            return piper_tts.TTS(
                engine=self._piper,
                voice=model or self._settings.piper_voice,
                sentence_pause_s=self._settings.sentence_pause_s,
                paragraph_pause_s=self._settings.paragraph_pause_s,
            )
        if name in self._voices:
            return provider_speech.TTS(self._voices[name], voice=model)
        found: lk_tts.TTS[Any] = set_up(self._modules[name].TTS, name, model)
        return found if found.capabilities.streaming else lk_tts.StreamAdapter(tts=found)

    def _one_stt(self, name: str, model: str | None) -> lk_stt.STT[Any]:
        if name == "moonshine":
            return moonshine_stt.STT(engine=self._moonshine)
        if name in self._transcribers:
            return provider_speech.STT(self._transcribers[name], language=model)
        found: lk_stt.STT[Any] = set_up(self._modules[name].STT, name, model)
        return found
