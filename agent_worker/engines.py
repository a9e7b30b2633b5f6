"""Speech for all calls of this process: one set of models, loaded once."""

from __future__ import annotations

from typing import Any, Protocol

from livekit.agents import stt, tts


class SpeechEngines(Protocol):
    """Makes each call's plugins, which share the engines behind them."""

    def stt(self) -> stt.STT[Any]:
        """Hears for one call."""

    def tts(self) -> tts.TTS[Any]:
        """Speaks for one call."""
