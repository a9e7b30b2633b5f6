"""Speech for all calls of this process: one set of models, loaded once."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self

from livekit.agents import stt, tts, vad

from agent_worker import metrics
from agent_worker.providers import Providers
from agent_worker.settings import WorkerSettings
from speech.moonshine import MoonshineEngine
from speech.piper import PiperEngine

logger = logging.getLogger(__name__)


class SpeechEngines:
    """The local engines and the hosted providers. Each call has plugins of its own around them.

    Args:
        settings: Who hears and who speaks.

    Raises:
        ParleyError: As `Providers`.
    """

    def __init__(self, settings: WorkerSettings) -> None:
        self._settings = settings
        self._moonshine = MoonshineEngine()
        self._piper = PiperEngine(seed=settings.piper_seed, lexicon=settings.lexicon())
        self._providers = Providers(settings, self._piper, self._moonshine)

    async def load(self) -> None:
        """Loads all models, so that the first caller need not wait: some seconds, once.

        Raises:
            ParleyError: A model is missing or broken, or its cache cannot be written.
        """
        started = time.monotonic()
        logger.info("Loading the speech models")
        loading: list[Coroutine[Any, Any, object]] = []
        if any(name == "moonshine" for name, _ in self._providers.hearing):
            loading.append(asyncio.to_thread(self._moonshine.load))
        for name, voice in self._providers.speaking:
            if name == "piper":
                voice = voice or self._settings.piper_voice
                loading.append(asyncio.to_thread(self._piper.load, voice))
        await asyncio.gather(*loading)
        for name, engine in (("moonshine", self._moonshine), ("piper", self._piper)):
            metrics.MODEL_LOAD_S.labels(name).set(engine.loading_s)
        logger.info("Speech models loaded in %.1f s", time.monotonic() - started)

    def stt(self, vad: vad.VAD) -> stt.STT[Any]:
        """Hears for one call."""
        return self._providers.stt(vad)

    def tts(self) -> tts.TTS[Any]:
        """Speaks for one call."""
        return self._providers.tts()

    async def aclose(self) -> None:
        """Ends the engines' threads and the providers' connections."""
        await self._providers.aclose()
        await self._moonshine.aclose()
        await self._piper.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()
