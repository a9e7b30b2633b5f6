"""Speech that has been made once is not made again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from typing_extensions import override

from speech.chunk import SpeechChunk
from speech.tts.base import TTSProvider
from speech.tts.wrapped import WrappedTTS

Key = tuple[str, str, str | None, float, str]


class AudioCache:
    """Finished speech by provider, version, voice, speed and text; the least used goes first."""

    def __init__(self, max_bytes: int = 64 * 1024 * 1024) -> None:
        self._max_bytes = max_bytes
        self._entries: OrderedDict[Key, tuple[SpeechChunk, ...]] = OrderedDict()
        self.size_bytes = 0
        self.hits = 0
        self.misses = 0

    def get(self, key: Key) -> tuple[SpeechChunk, ...] | None:
        """The chunks of a text that has been spoken before."""
        chunks = self._entries.get(key)
        if chunks is None:
            self.misses += 1
            return None
        self.hits += 1
        self._entries.move_to_end(key)
        return chunks

    def put(self, key: Key, chunks: tuple[SpeechChunk, ...]) -> None:
        """Keeps chunks that were made to the end; one text may take a tenth of the room."""
        size = _size_bytes(chunks)
        if size * 10 > self._max_bytes or key in self._entries:
            return
        self._entries[key] = chunks
        self.size_bytes += size
        while self.size_bytes > self._max_bytes:
            _, oldest = self._entries.popitem(last=False)
            self.size_bytes -= _size_bytes(oldest)


class CachedTTS(WrappedTTS):
    """A provider behind a cache; owns the provider, not the cache."""

    def __init__(self, inner: TTSProvider, cache: AudioCache) -> None:
        super().__init__(inner)
        self._cache = cache

    @override
    def stream(
        self, text: str, *, voice: str | None = None, speed: float = 1.0
    ) -> AsyncGenerator[SpeechChunk, None]:
        return self._kept(self._inner.stream, text, voice, speed)

    @override
    def stream_whole(
        self, text: str, *, voice: str | None = None, speed: float = 1.0
    ) -> AsyncGenerator[SpeechChunk, None]:
        return self._kept(self._inner.stream_whole, text, voice, speed)

    async def _kept(
        self,
        make: Callable[..., AsyncGenerator[SpeechChunk, None]],
        text: str,
        voice: str | None,
        speed: float,
    ) -> AsyncGenerator[SpeechChunk, None]:
        key = (self._inner.name, self.version, voice, round(speed, 3), text)
        kept = self._cache.get(key)
        if kept is not None:
            for chunk in kept:
                yield chunk
            return
        made: list[SpeechChunk] = []
        async with aclosing(make(text, voice=voice, speed=speed)) as chunks:
            async for chunk in chunks:
                made.append(chunk)
                yield chunk
        self._cache.put(key, tuple(made))


def _size_bytes(chunks: tuple[SpeechChunk, ...]) -> int:
    return sum(chunk.samples.nbytes + 200 for chunk in chunks)
