"""Any Wyoming transcription server, such as Home Assistant's Whisper."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from speech.audio import to_int16
from speech.settings import SpeechSettings
from speech.stt.base import STTProvider, Transcription
from speech.tts.base import required
from speech.wyoming import (
    AudioChunk,
    AudioStart,
    AudioStop,
    Transcribe,
    Transcript,
    connected,
)

_CHUNK_SAMPLES = 4096


class WyomingSTT(STTProvider):
    """One connection for each utterance."""

    name: ClassVar[str] = "wyoming"
    label: ClassVar[str] = "The Wyoming transcription server"

    def __init__(self, settings: SpeechSettings) -> None:
        required(settings.wyoming_stt_uri, "WYOMING_STT_URI", self.label)
        assert settings.wyoming_stt_uri is not None
        self._uri = settings.wyoming_stt_uri
        self._connect_timeout_s = settings.speech_connect_timeout_s
        self._read_timeout_s = settings.speech_read_timeout_s

    @override
    async def transcribe(
        self, samples: npt.NDArray[np.float32], *, language: str | None = None
    ) -> Transcription:
        if not len(samples):
            return Transcription("", language, 0.0)
        pcm = to_int16(np.nan_to_num(samples))
        async with connected(
            self._uri,
            self.label,
            connect_timeout_s=self._connect_timeout_s,
            read_timeout_s=self._read_timeout_s,
        ) as connection:
            await connection.send(Transcribe(language=language).event())
            await connection.send(AudioStart(self.RATE_HZ, 2, 1).event())
            for at in range(0, len(pcm), _CHUNK_SAMPLES):
                piece = pcm[at : at + _CHUNK_SAMPLES].astype("<i2").tobytes()
                await connection.send(AudioChunk(self.RATE_HZ, 2, 1, piece).event())
            await connection.send(AudioStop().event())
            while True:
                event = await connection.receive()
                if Transcript.is_type(event.type):
                    transcript = Transcript.from_event(event)
                    return Transcription(
                        transcript.text.strip(),
                        transcript.language or language,
                        len(samples) / self.RATE_HZ,
                    )
