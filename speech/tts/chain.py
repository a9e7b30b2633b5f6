"""A voice made of others: when one fails, the next goes on from the sentence that failed."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace

from typing_extensions import override

from protocol.errors import ParleyError, ProviderError, SpeechError
from speech.chunk import SpeechChunk
from speech.fallback import Chain, Member, all_failed
from speech.tts.base import TTSProvider, Voice

log = logging.getLogger(__name__)


class ChainTTS(TTSProvider):
    """Speaks with the first of its members that can; it does not own them.

    A member that fails inside a text hands it on: the next one says what has not sounded, where
    the one that failed tells its words' times, else the whole text again. A voice that the caller
    names is the first member's; the others speak with their own.

    Raises:
        ValueError: Members of different rates, or none.
    """

    def __init__(self, members: Sequence[Member[TTSProvider]]) -> None:
        self._chain = Chain(members)
        first = self._chain.members[0].provider
        if any(member.provider.native_rate_hz != first.native_rate_hz for member in members):
            raise ValueError("the voices of a chain need one rate")
        self.name = first.name  # type: ignore[misc] # speaks for its first member
        self.label = first.label  # type: ignore[misc]
        self.has_word_timings = first.has_word_timings  # type: ignore[misc]
        self.native_rate_hz = first.native_rate_hz

    @override
    async def stream(
        self, text: str, *, voice: str | None = None, speed: float = 1.0
    ) -> AsyncGenerator[SpeechChunk, None]:
        """See the base class; of several failures the first one's code is told."""
        failures: list[ParleyError] = []
        said = _Said(text)
        for member in self._chain.in_order():
            wanted = voice if voice and member is self._chain.members[0] else member.choice
            said.hand_over()
            try:
                stream = member.provider.stream(said.rest, voice=wanted, speed=speed)
                async with aclosing(stream) as chunks:
                    async for chunk in chunks:
                        yield said.note(chunk)
            except (ProviderError, SpeechError) as error:
                self._chain.failed(member, error)
                failures.append(error)
                log.warning("voice %s failed (%s)", member.provider.name, error.code)
                continue
            self._chain.well(member)
            return
        raise all_failed(failures)

    @override
    async def voices(self) -> list[Voice]:
        """The first member's."""
        return await self._chain.members[0].provider.voices()


class _Said:
    """How far a text has sounded, whoever said it."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._begin_char = 0
        """Where the member that speaks now began."""
        self._begin_s = 0.0
        self._heard_s = 0.0
        self._words: list[tuple[float, int]] = []
        """End of each word in seconds and in characters."""

    @property
    def rest(self) -> str:
        return self._text[self._begin_char :]

    def hand_over(self) -> None:
        """Another member goes on behind the last word that was sent whole."""
        self._begin_char = max(
            (char for end_s, char in self._words if end_s <= self._heard_s), default=0
        )
        self._begin_s = self._heard_s

    def note(self, chunk: SpeechChunk) -> SpeechChunk:
        """Counts a chunk, and gives it with its words where they are in the whole text."""
        self._heard_s += chunk.samples.size / chunk.sample_rate_hz
        words = tuple(
            replace(
                word,
                start_s=word.start_s + self._begin_s,
                end_s=word.end_s + self._begin_s,
                start_char=word.start_char + self._begin_char,
                end_char=word.end_char + self._begin_char,
            )
            for word in chunk.words
        )
        self._words += [(word.end_s, word.end_char) for word in words]
        return replace(chunk, words=words)
