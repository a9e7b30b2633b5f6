"""Speech that has been made once is not made again, and not twice at one time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncGenerator
from contextlib import aclosing

from typing_extensions import override

from speech.chunk import SpeechChunk
from speech.tts.base import TTSProvider
from speech.tts.making import Chunks, Making, size_bytes
from speech.tts.wrapped import WrappedTTS

Key = tuple[str, str, str | None, float, str]


class AudioCache:
    """Finished speech by provider, version, voice, speed and text; the least used goes first.

    What is kept is the voice's own sound: doors make their formats of it.

    Attributes:
        hits: Texts that were kept.
        joined: Texts that were just being made for somebody else.
        misses: Texts that had to be made.
    """

    def __init__(self, max_bytes: int = 64 * 1024 * 1024) -> None:
        self._max_bytes = max_bytes
        self._entries: OrderedDict[Key, Chunks] = OrderedDict()
        self.size_bytes = 0
        self.hits = 0
        self.joined = 0
        self.misses = 0

    def get(self, key: Key) -> Chunks | None:
        """The chunks of a text that has been spoken before."""
        chunks = self._entries.get(key)
        if chunks is not None:
            self.hits += 1
            self._entries.move_to_end(key)
        return chunks

    def put(self, key: Key, chunks: Chunks) -> None:
        """Keeps chunks that were made to the end; one text may take a tenth of the room."""
        size = sum(map(size_bytes, chunks))
        if size * 10 > self._max_bytes or key in self._entries:
            return
        self._entries[key] = chunks
        self.size_bytes += size
        while self.size_bytes > self._max_bytes:
            _, oldest = self._entries.popitem(last=False)
            self.size_bytes -= sum(map(size_bytes, oldest))


class CachedTTS(WrappedTTS):
    """A provider behind a cache; owns the provider, not the cache.

    Who asks for a text that is just being made listens to the same stream. One who wants it in
    pieces does not join one that is made whole, whose first chunk comes later.
    """

    def __init__(self, inner: TTSProvider, cache: AudioCache) -> None:
        super().__init__(inner)
        self._cache = cache
        self._making: dict[tuple[Key, bool], Making] = {}

    @override
    def stream(
        self, text: str, *, voice: str | None = None, speed: float = 1.0
    ) -> AsyncGenerator[SpeechChunk, None]:
        return self._kept(text, voice, speed, whole=False)

    @override
    def stream_whole(
        self, text: str, *, voice: str | None = None, speed: float = 1.0
    ) -> AsyncGenerator[SpeechChunk, None]:
        return self._kept(text, voice, speed, whole=True)

    @override
    async def aclose(self) -> None:
        for making in list(self._making.values()):
            await making.aclose()
        await super().aclose()

    async def _kept(
        self, text: str, voice: str | None, speed: float, *, whole: bool
    ) -> AsyncGenerator[SpeechChunk, None]:
        key = (self._inner.name, self.version, voice, round(speed, 3), text)
        kept = self._cache.get(key)
        if kept is not None:
            for chunk in kept:
                yield chunk
            return
        making = self._under_way(key, whole=whole)
        if making is None:
            make = self._inner.stream_whole if whole else self._inner.stream
            making = self._begin(key, whole, make(text, voice=voice, speed=speed))
        async with aclosing(making.listen()) as chunks:
            async for chunk in chunks:
                yield chunk

    def _under_way(self, key: Key, *, whole: bool) -> Making | None:
        for made_whole in (False, True) if whole else (False,):
            making = self._making.get((key, made_whole))
            if making is not None and making.joinable:
                self._cache.joined += 1
                return making
        return None

    def _begin(self, key: Key, whole: bool, chunks: AsyncGenerator[SpeechChunk, None]) -> Making:
        def over(made: Chunks | None) -> None:
            if self._making.get((key, whole)) is making:
                del self._making[key, whole]
            if made is not None:
                self._cache.put(key, made)

        self._cache.misses += 1
        making = self._making[key, whole] = Making(chunks, over)
        return making
