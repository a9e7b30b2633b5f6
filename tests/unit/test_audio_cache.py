from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import ClassVar

import numpy as np
import pytest

from protocol.errors import ProviderError
from speech.chunk import SpeechChunk
from speech.tts.base import TTSProvider, Voice
from speech.tts.cache import AudioCache, CachedTTS


class Counting(TTSProvider):
    name: ClassVar[str] = "counting"
    label: ClassVar[str] = "Counting"
    native_rate_hz = 24_000

    def __init__(self) -> None:
        self.spoken: list[tuple[str, str | None, float]] = []

    async def stream(
        self, text: str, *, voice: str | None = None, speed: float = 1.0
    ) -> AsyncGenerator[SpeechChunk, None]:
        self.spoken.append((text, voice, speed))
        yield SpeechChunk(np.full(1000, len(self.spoken), np.int16), 24_000, (), False)
        if text == "fail":
            raise ProviderError("provider_unavailable", "no")
        yield SpeechChunk(np.zeros(0, np.int16), 24_000, (), True)

    async def voices(self) -> list[Voice]:
        return []


async def speak(tts: TTSProvider, text: str, **how: object) -> int:
    chunk = await tts.synthesize(text, **how)  # type: ignore[arg-type]
    assert len(chunk.samples) == 1000
    return int(chunk.samples[0])


async def test_the_same_words_by_the_same_voice_are_made_once() -> None:
    inner, cache = Counting(), AudioCache()
    tts = CachedTTS(inner, cache)
    assert [await speak(tts, "a"), await speak(tts, "a")] == [1, 1]
    assert await speak(tts, "a", voice="v") == 2
    assert await speak(tts, "a", speed=1.5) == 3
    assert await speak(CachedTTS(inner, cache), "a") == 1
    assert (cache.hits, cache.misses) == (2, 3)


async def test_what_was_not_made_to_the_end_is_not_kept() -> None:
    inner, cache = Counting(), AudioCache()
    tts = CachedTTS(inner, cache)
    with pytest.raises(ProviderError):
        await speak(tts, "fail")
    async with aclosing(tts.stream("b")) as chunks:
        await anext(chunks)
    assert cache.size_bytes == 0
    assert await speak(tts, "b") == 3


async def test_the_least_used_goes_when_room_runs_out() -> None:
    cache = AudioCache(max_bytes=24_500)
    tts = CachedTTS(Counting(), cache)
    for text in map(str, range(10)):
        await speak(tts, text)
    assert await speak(tts, "0") == 1
    await speak(tts, "10")
    assert cache.size_bytes <= 24_500
    assert await speak(tts, "0") == 1
    assert await speak(tts, "1") == 12
