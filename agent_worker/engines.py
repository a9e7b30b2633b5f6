"""Speech for all calls of this process: one set of models, loaded once."""

from __future__ import annotations

import asyncio
import logging
import time
from types import TracebackType
from typing import Self

from agent_worker.settings import WorkerSettings
from plugins import moonshine_stt, piper_tts
from speech.moonshine import MoonshineEngine
from speech.piper import PiperEngine

logger = logging.getLogger(__name__)


class SpeechEngines:
    """The local engines. Each call has plugins of its own around them.

    Args:
        settings: Which voice speaks.
    """

    def __init__(self, settings: WorkerSettings) -> None:
        self._settings = settings
        self._moonshine = MoonshineEngine()
        self._piper = PiperEngine()

    async def load(self) -> None:
        """Loads all models, so that the first caller need not wait: some seconds, once.

        Raises:
            ParleyError: A model is missing or broken, or its cache cannot be written.
        """
        started = time.monotonic()
        logger.info("Loading the speech models")
        await asyncio.gather(
            asyncio.to_thread(self._moonshine.load),
            asyncio.to_thread(self._piper.load, self._settings.piper_voice),
        )
        logger.info("Speech models loaded in %.1f s", time.monotonic() - started)

    def stt(self) -> moonshine_stt.STT:
        """Hears for one call."""
        return moonshine_stt.STT(engine=self._moonshine)

    def tts(self) -> piper_tts.TTS:
        """Speaks for one call."""
        return piper_tts.TTS(engine=self._piper, voice=self._settings.piper_voice)

    async def aclose(self) -> None:
        """Ends the engines' threads."""
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
