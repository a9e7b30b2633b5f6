"""Live transcription by providers that take one utterance at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from speech.moonshine.decoding import Decoded
from speech.moonshine.segments import Cutting

if TYPE_CHECKING:
    from speech.stt.base import STTProvider

ANY_PAUSE = Cutting(tail_s=0.25)
"""Waits for a real pause before an utterance is sent: each one is a call."""


class Utterances:
    """What a `MoonshineStream` needs of an engine; no interim words, which would cost calls.

    Args:
        provider: Not owned.
    """

    def __init__(self, provider: STTProvider) -> None:
        self._provider = provider

    async def decode(
        self, samples: npt.NDArray[np.float32], *, draft: Sequence[int] = ()
    ) -> tuple[str, Decoded]:
        """Transcribes float32 [n] at 16 kHz; raises as the provider does."""
        said = await self._provider.transcribe(samples)
        return said.text, Decoded((), 1.0, 0, False)

    async def decode_interim(
        self,
        samples: npt.NDArray[np.float32],
        *,
        draft: Sequence[int] = (),
        progress: list[int] | None = None,
    ) -> None:
        """Gives nothing."""
