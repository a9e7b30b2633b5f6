"""What a voice provider does, and the pieces that several providers share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from protocol.errors import ProviderError
from speech.chunk import SpeechChunk, WordTiming


@dataclass(frozen=True, slots=True)
class Voice:
    """One voice of a provider."""

    id: str
    name: str
    language: str | None = None
    """BCP 47 tag, where the provider says."""


class TTSProvider(ABC):
    """Turns text into audio.

    One object serves any number of streams at the same time; `aclose` frees its connections.
    """

    name: ClassVar[str]
    """As in settings and requests."""
    label: ClassVar[str]
    """As people write it."""
    has_word_timings: ClassVar[bool] = False
    """Chunks carry exact `words`; otherwise what was heard can only be estimated."""
    speaks_markup: ClassVar[bool] = False
    """Makes what is spoken of markdown by itself; the others are given plain text."""
    is_free: ClassVar[bool] = False
    """Costs nobody anything but work, so that a text may be begun that is then not wanted."""
    native_rate_hz: int
    """Rate of the chunks."""

    @property
    def version(self) -> str:
        """Changes when the same text would sound otherwise: model, voice files, engine."""
        return ""

    @abstractmethod
    def stream(
        self, text: str, *, voice: str | None = None, speed: float = 1.0
    ) -> AsyncGenerator[SpeechChunk, None]:
        """Yields audio as it comes; closing the generator closes the connection.

        The last chunk has `last` set and may be empty.

        Args:
            text: What to say. White space alone yields one empty chunk.
            voice: An id of `voices()`; the provider's default if None.
            speed: 1.0 is the voice's own pace; 0.25 to 4.0, narrowed to what the provider takes.

        Raises:
            ProviderError: With the provider's name, what happened and what to do.
            SpeechError: Where the provider is an engine of our own.
        """

    def stream_whole(
        self, text: str, *, voice: str | None = None, speed: float = 1.0
    ) -> AsyncGenerator[SpeechChunk, None]:
        """As `stream`, for who can do nothing with less than all of it: made in the least time."""
        return self.stream(text, voice=voice, speed=speed)

    @abstractmethod
    async def voices(self) -> list[Voice]:
        """The voices there are; for hosted providers, the account's.

        Raises:
            ProviderError: As in `stream`.
        """

    async def synthesize(
        self, text: str, *, voice: str | None = None, speed: float = 1.0
    ) -> SpeechChunk:
        """The whole audio of `text` as one chunk. Raises as `stream` does."""
        async with aclosing(self.stream_whole(text, voice=voice, speed=speed)) as chunks:
            return join([chunk async for chunk in chunks], self.native_rate_hz)

    async def aclose(self) -> None:
        """Frees connections and threads. Streams under way end with an error."""
        return


def join(chunks: list[SpeechChunk], sample_rate_hz: int) -> SpeechChunk:
    """Puts chunks of one rate together; no chunks give silence of no length."""
    samples = [chunk.samples for chunk in chunks]
    return SpeechChunk(
        samples=np.concatenate(samples) if samples else np.zeros(0, np.int16),
        sample_rate_hz=chunks[0].sample_rate_hz if chunks else sample_rate_hz,
        words=tuple(word for chunk in chunks for word in chunk.words),
        last=True,
    )


class PcmAssembler:
    """Makes int16 samples of bytes that arrive cut anywhere, also inside a sample."""

    def __init__(self, channels: int = 1) -> None:
        self._frame_bytes = 2 * channels
        self._rest = b""

    def push(self, data: bytes) -> npt.NDArray[np.int16]:
        """Gives the whole frames so far, int16 [n * channels]; keeps the rest for later."""
        data = self._rest + data
        whole = len(data) - len(data) % self._frame_bytes
        self._rest = data[whole:]
        return np.frombuffer(data[:whole], dtype="<i2").astype(np.int16, copy=False)


@dataclass(slots=True)
class CharacterClock:
    """Gathers character timings into words of the text as sent.

    Providers give start and end for each character of (their copy of) the text; a word is what
    stands between white space. Offsets are found by searching `text` from the last word on, so
    that a normalised copy that differs elsewhere still lands on the right words.
    """

    text: str
    _cursor: int = 0
    _word: str = ""
    _start_s: float = 0.0
    _end_s: float = 0.0

    def push(
        self, characters: list[str], starts_s: list[float], ends_s: list[float]
    ) -> tuple[WordTiming, ...]:
        """Takes the next characters and gives the words that they complete."""
        words: list[WordTiming] = []
        for character, start_s, end_s in zip(characters, starts_s, ends_s, strict=False):
            if character.isspace():
                words.extend(self.flush())
                continue
            if not self._word:
                self._start_s = start_s
            self._word += character
            self._end_s = end_s
        return tuple(words)

    def flush(self) -> tuple[WordTiming, ...]:
        """Gives the word that no white space has ended yet, if any."""
        if not self._word:
            return ()
        word, self._word = self._word, ""
        at = self.text.find(word, self._cursor)
        start = at if at >= 0 else self._cursor
        end = min(len(self.text), start + len(word))
        self._cursor = end
        return (WordTiming(word, self._start_s, self._end_s, start, end),)


def required(value: object, variable: str, label: str) -> None:
    """Refuses to go on without a setting.

    Raises:
        ProviderError: `provider_not_configured`, naming the variable.
    """
    if not value:
        raise ProviderError(
            "provider_not_configured",
            f"{label} is not configured: set {variable} in the environment or in .env.",
        )
