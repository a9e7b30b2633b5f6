from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import ClassVar

import numpy as np
import pytest
from typing_extensions import override

from protocol.errors import ProviderError, SpeechError, StreamError
from speech.chunk import SpeechChunk
from speech.tts import making
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


class Held(TTSProvider):
    """Makes a chunk whenever it is told to, and ends or fails when it is told that."""

    name: ClassVar[str] = "held"
    label: ClassVar[str] = "Held"
    native_rate_hz = 24_000

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.closed = asyncio.Event()
        self._steps: defaultdict[str, asyncio.Queue[BaseException | int | None]] = defaultdict(
            asyncio.Queue
        )

    def make(self, *steps: BaseException | int | None, of: str = "a") -> None:
        """Chunks of a value; None ends, an exception fails."""
        for step in steps:
            self._steps[of].put_nowait(step)

    def waiting(self, of: str = "a") -> int:
        """Steps that nobody has asked for."""
        return self._steps[of].qsize()

    async def stream(
        self, text: str, *, voice: str | None = None, speed: float = 1.0
    ) -> AsyncGenerator[SpeechChunk, None]:
        text += f" by {voice}" if voice else ""
        text += f" at {speed}" if speed != 1.0 else ""
        self.begun.append(text)
        self.closed.clear()
        try:
            while (step := await self._steps[text].get()) is not None:
                if isinstance(step, BaseException):
                    raise step
                yield SpeechChunk(np.full(10, step, np.int16), 24_000, (), False)
        finally:
            self.closed.set()

    @override
    def stream_whole(
        self, text: str, *, voice: str | None = None, speed: float = 1.0
    ) -> AsyncGenerator[SpeechChunk, None]:
        return self.stream(f"whole {text}", voice=voice, speed=speed)

    async def voices(self) -> list[Voice]:
        return []


class Listener:
    """Hears a text in a task of its own."""

    def __init__(self, stream: AsyncGenerator[SpeechChunk, None]) -> None:
        self.heard: list[int] = []
        self._more = asyncio.Event()
        self.task = asyncio.create_task(self._listen(stream))

    async def _listen(self, stream: AsyncGenerator[SpeechChunk, None]) -> None:
        async with aclosing(stream) as chunks:
            async for chunk in chunks:
                self.heard.append(int(chunk.samples[0]))
                self._more.set()

    async def has(self, *values: int) -> None:
        while self.heard != list(values):
            self._more.clear()
            await self._more.wait()

    async def leave(self) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])


async def test_what_several_ask_for_at_once_is_made_once() -> None:
    inner, cache = Held(), AudioCache()
    tts = CachedTTS(inner, cache)
    listeners = [Listener(tts.stream("a")) for _ in range(20)]
    inner.make(1)
    for listener in listeners:
        await listener.has(1)
    late = Listener(tts.stream("a"))
    await late.has(1)
    inner.make(2, None)
    for listener in [*listeners, late]:
        await listener.task
        assert listener.heard == [1, 2]
    assert inner.begun == ["a"]
    assert (cache.hits, cache.joined, cache.misses) == (0, 20, 1)
    after = Listener(tts.stream("a"))
    await after.task
    assert (after.heard, cache.hits) == ([1, 2], 1)


async def test_another_voice_or_speed_is_not_joined() -> None:
    inner = Held()
    tts = CachedTTS(inner, AudioCache())
    listeners = {
        "a": Listener(tts.stream("a")),
        "a by v": Listener(tts.stream("a", voice="v")),
        "a at 2.0": Listener(tts.stream("a", speed=2.0)),
    }
    for number, (text, listener) in enumerate(listeners.items()):
        inner.make(number, None, of=text)
        await listener.task
        assert listener.heard == [number]


async def test_who_wants_pieces_does_not_wait_for_a_whole_and_a_whole_takes_pieces() -> None:
    inner = Held()
    tts = CachedTTS(inner, AudioCache())
    whole = Listener(tts.stream_whole("a"))
    inner.make(1, of="whole a")
    await whole.has(1)
    pieces = Listener(tts.stream("a"))
    inner.make(2)
    await pieces.has(2)
    joining = Listener(tts.stream_whole("a"))
    await joining.has(2)
    assert inner.begun == ["whole a", "a"]
    for listener in (whole, pieces, joining):
        await listener.leave()


async def test_who_leaves_takes_nothing_from_the_others_and_the_last_one_ends_it() -> None:
    inner, cache = Held(), AudioCache()
    tts = CachedTTS(inner, cache)
    first, second = Listener(tts.stream("a")), Listener(tts.stream("a"))
    inner.make(1)
    await asyncio.gather(first.has(1), second.has(1))
    await first.leave()
    inner.make(2)
    await second.has(1, 2)
    assert not inner.closed.is_set()
    await second.leave()
    assert inner.closed.is_set()
    again = Listener(tts.stream("a"))
    inner.make(3, None)
    await again.task
    assert (again.heard, inner.begun) == ([3], ["a", "a"])


async def test_a_failure_reaches_all_and_the_next_try_begins_anew() -> None:
    inner, cache = Held(), AudioCache()
    tts = CachedTTS(inner, cache)
    listeners = [Listener(tts.stream("a")) for _ in range(3)]
    inner.make(1, ProviderError("provider_unavailable", "no"))
    for listener in listeners:
        with pytest.raises(ProviderError, match="no"):
            await listener.task
        assert listener.heard == [1]
    again = Listener(tts.stream("a"))
    inner.make(2, None)
    await again.task
    assert (again.heard, cache.misses) == ([2], 2)


async def test_a_voice_that_is_cancelled_by_itself_fails_for_all() -> None:
    inner = Held()
    tts = CachedTTS(inner, AudioCache())
    listeners = [Listener(tts.stream("a")) for _ in range(2)]
    inner.make(1, asyncio.CancelledError())
    for listener in listeners:
        with pytest.raises(SpeechError, match="by itself"):
            await listener.task
    again = Listener(tts.stream("a"))
    inner.make(2, None)
    await again.task
    assert again.heard == [2]


async def test_closing_the_voice_ends_who_listens() -> None:
    inner = Held()
    tts = CachedTTS(inner, AudioCache())
    listener = Listener(tts.stream("a"))
    inner.make(1)
    await listener.has(1)
    await tts.aclose()
    with pytest.raises(SpeechError, match="closed"):
        await listener.task
    assert inner.closed.is_set()


async def test_it_is_made_no_faster_than_the_fastest_listens_and_held_within_bounds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(making, "HELD_BYTES", 3 * 220)
    inner, cache = Held(), AudioCache()
    tts = CachedTTS(inner, cache)
    inner.make(*range(6), None)
    slow, fast = tts.stream("a"), tts.stream("a")
    assert int((await anext(slow)).samples[0]) == 0
    await asyncio.sleep(0)
    assert inner.waiting() == 6
    heard = [int(chunk.samples[0]) async for chunk in fast]
    assert heard == [0, 1, 2, 3, 4, 5]
    with pytest.raises(StreamError, match="too far ahead"):
        await anext(slow)
    assert cache.size_bytes == 0
