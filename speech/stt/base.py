"""What a transcription provider does."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from speech.moonshine import MoonshineStream
from speech.stt.utterances import ANY_PAUSE, Utterances


@dataclass(frozen=True, slots=True)
class Transcription:
    """What was said in one utterance."""

    text: str
    """Empty when nothing intelligible was said."""
    language: str | None
    """BCP 47 tag, where the provider says."""
    duration_s: float
    """Of the audio."""


class STTProvider(ABC):
    """Turns one utterance into text. One object serves any number of calls at the same time."""

    name: ClassVar[str]
    """As in settings."""
    label: ClassVar[str]
    """As people write it."""
    RATE_HZ: ClassVar[int] = 16_000
    """Rate of the samples that `transcribe` takes."""

    @abstractmethod
    async def transcribe(
        self, samples: npt.NDArray[np.float32], *, language: str | None = None
    ) -> Transcription:
        """Transcribes float32 [n], mono, 16 kHz, −1 to 1.

        Args:
            samples: The utterance; no samples give an empty text.
            language: A hint such as `de`; None lets the provider find out.

        Raises:
            ProviderError: With the provider's name, what happened and what to do.
            SpeechError: Where the provider is an engine of our own.
        """

    def listen(self, sample_rate_hz: int) -> MoonshineStream:
        """Transcribes audio of this rate as it comes; each pause costs one `transcribe`."""
        return MoonshineStream(Utterances(self), sample_rate_hz=sample_rate_hz, cutting=ANY_PAUSE)

    async def aclose(self) -> None:
        """Frees connections and threads."""
        return
