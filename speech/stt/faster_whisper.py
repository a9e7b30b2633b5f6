"""Whisper on CTranslate2: local transcription in any of Whisper's languages."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from protocol.errors import ConfigError, SpeechError
from speech.settings import SpeechSettings
from speech.stt.base import STTProvider, Transcription

if TYPE_CHECKING:
    from faster_whisper import WhisperModel


class FasterWhisperSTT(STTProvider):
    """One model on one thread of ours; CTranslate2 uses `WHISPER_THREADS` under it.

    Source: Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision" (2022).
    """

    name: ClassVar[str] = "faster-whisper"
    label: ClassVar[str] = "faster-whisper"

    def __init__(self, settings: SpeechSettings) -> None:
        try:
            import faster_whisper  # noqa: F401
        except ImportError as error:
            raise ConfigError(
                "tool_missing",
                "STT=faster-whisper needs a package: pip install 'parley[faster-whisper]'.",
            ) from error
        self._model_name = settings.whisper_model
        self._threads = settings.whisper_threads
        self._model: WhisperModel | None = None
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="whisper")

    @override
    async def transcribe(
        self, samples: npt.NDArray[np.float32], *, language: str | None = None
    ) -> Transcription:
        """As in the interface; a cancelled call still runs to its end on the worker thread."""
        if not len(samples):
            return Transcription("", language, 0.0)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._worker, self._transcribe, samples, language)

    def _transcribe(self, samples: npt.NDArray[np.float32], language: str | None) -> Transcription:
        model = self._loaded()
        try:
            segments, info = model.transcribe(
                np.nan_to_num(samples),
                language=language.split("-")[0] if language else None,
                beam_size=1,
                condition_on_previous_text=False,
                no_speech_threshold=0.6,
            )
            text = " ".join(
                segment.text.strip() for segment in segments if segment.no_speech_prob < 0.6
            )
        except ValueError as error:
            raise SpeechError(
                "transcription_failed",
                "faster-whisper could not transcribe the utterance; the language may be unknown "
                "to the model.",
            ) from error
        return Transcription(text.strip(), info.language, len(samples) / self.RATE_HZ)

    def _loaded(self) -> WhisperModel:
        if self._model is None:
            from faster_whisper import WhisperModel

            try:
                self._model = WhisperModel(
                    self._model_name, device="cpu", compute_type="int8", cpu_threads=self._threads
                )
            except (OSError, ValueError, RuntimeError) as error:
                raise SpeechError(
                    "model_missing",
                    "faster-whisper's model is neither a folder with model.bin nor a name that "
                    "can be downloaded now. Set WHISPER_MODEL to a folder.",
                ) from error
        return self._model

    @override
    async def aclose(self) -> None:
        self._worker.shutdown(wait=False, cancel_futures=True)
        self._model = None
