"""A transcriber made of others: when one fails, the next one hears the same utterance."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from protocol.errors import ParleyError, ProviderError, SpeechError
from speech.fallback import Chain, Member, all_failed
from speech.stt.base import STTProvider, Transcription

log = logging.getLogger(__name__)


class ChainSTT(STTProvider):
    """Hears with the first of its members that can; it does not own them."""

    def __init__(self, members: Sequence[Member[STTProvider]]) -> None:
        self._chain = Chain(members)
        self.name = members[0].provider.name  # type: ignore[misc] # speaks for its first member
        self.label = members[0].provider.label  # type: ignore[misc]

    @override
    async def transcribe(
        self, samples: npt.NDArray[np.float32], *, language: str | None = None
    ) -> Transcription:
        """See the base class; of several failures the first one's code is told."""
        failures: list[ParleyError] = []
        for member in self._chain.in_order():
            try:
                said = await member.provider.transcribe(samples, language=language or member.choice)
            except (ProviderError, SpeechError) as error:
                self._chain.failed(member, error)
                failures.append(error)
                log.warning("transcriber %s failed (%s)", member.provider.name, error.code)
                continue
            self._chain.well(member)
            return said
        raise all_failed(failures)
