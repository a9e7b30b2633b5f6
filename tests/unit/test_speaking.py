"""The pipeline of the doors with a voice that does as it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, ClassVar

import numpy as np
import pytest

from flow_backend.doors import speaking
from flow_backend.doors.speaking import Audio, Failed, Limits, Spoken, Text, TextOver, Voice, speak
from protocol.errors import ParleyError, ProviderError, StreamError
from speech.chunk import SpeechChunk
from speech.tts.base import TTSProvider
from speech.tts.base import Voice as VoiceRow


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test is slow enough for a stall that is not meant."""
    monkeypatch.setattr(speaking, "IDLE_S", 3600)


class Lines:
    """A splitter at line ends."""

    def __init__(self) -> None:
        self.rest = ""

    def push(self, text: str) -> list[str]:
        *lines, self.rest = (self.rest + text).split("\n")
        return lines

    def preview(self) -> list[str]:
        return [self.rest] if self.rest.endswith("chunk") else []

    def tick(self, idle_ms: float) -> list[str]:
        found, self.rest = self.preview(), ""
        return found

    def flush(self) -> list[str]:
        return [self.rest] if self.rest else []


class ToldTTS(TTSProvider):
    """Each text is a little program: `wait NAME`, `chunk`, `fail`, `fail once`."""

    name: ClassVar[str] = "told"
    label: ClassVar[str] = "Told"
    native_rate_hz = 24_000

    def __init__(self) -> None:
        self.gates: dict[str, asyncio.Event] = {}
        self.open = 0
        self.tries: dict[str, int] = {}

    def gate(self, name: str) -> asyncio.Event:
        return self.gates.setdefault(name, asyncio.Event())

    async def stream(
        self, text: str, *, voice: str | None = None, speed: float = 1.0
    ) -> AsyncGenerator[SpeechChunk, None]:
        self.open += 1
        self.tries[text] = self.tries.get(text, 0) + 1
        try:
            for step in text.split(","):
                if step.startswith("wait "):
                    await self.gate(step[5:]).wait()
                elif step == "fail once" and self.tries[text] > 1:
                    continue
                elif step.startswith("fail"):
                    raise ProviderError("provider_unavailable", f"{text} failed")
                elif step == "refuse":
                    raise ProviderError("provider_refused", f"{text} refused")
                else:
                    yield SpeechChunk(np.zeros(1, np.int16), 24_000, (), False)
            yield SpeechChunk(np.zeros(0, np.int16), 24_000, (), True)
        finally:
            self.open -= 1

    async def voices(self) -> list[VoiceRow]:
        return []


async def tokens(*texts: str) -> AsyncGenerator[str, None]:
    for text in texts:
        yield text


def shown(event: Spoken) -> str:
    match event:
        case Text(text):
            return f"text {text.strip()}"
        case Audio(sequence, _, chunk):
            return f"audio {sequence}{' last' if chunk.last else ''}"
        case Failed(sequence, error):
            return f"failed {sequence} {error.code}"
        case TextOver(_, sequences):
            return f"over {sequences}"


async def run(
    tts: ToldTTS,
    *texts: str,
    in_order: bool = True,
    limits: Limits | None = None,
    on_event: Callable[[str], None] = lambda _: None,
) -> list[str]:
    seen = []
    answer = speak(tokens(*texts), Lines(), Voice(tts), in_order=in_order, limits=limits)
    async with aclosing(answer) as events:
        async for event in events:
            seen.append(shown(event))
            on_event(seen[-1])
    assert tts.open == 0
    return seen


async def test_audio_stays_in_order_though_a_later_piece_is_ready_first() -> None:
    tts = ToldTTS()

    def on_event(event: str) -> None:
        if event == "over 3":
            tts.gate("a").set()

    seen = await run(tts, "wait a,chunk\n", "chunk\n", "chunk", on_event=on_event)
    audio = [event for event in seen if event.startswith("audio")]
    assert audio == [
        "audio 0",
        "audio 0 last",
        "audio 1",
        "audio 1 last",
        "audio 2",
        "audio 2 last",
    ]


async def test_pieces_may_overtake_one_another_when_order_is_not_asked_for() -> None:
    tts = ToldTTS()

    def on_event(event: str) -> None:
        if event == "audio 1 last":
            tts.gate("a").set()

    seen = await run(tts, "wait a,chunk\n", "chunk", in_order=False, on_event=on_event)
    audio = [event for event in seen if event.startswith("audio")]
    assert audio == ["audio 1", "audio 1 last", "audio 0", "audio 0 last"]


class Noting(ToldTTS):
    def __init__(self) -> None:
        super().__init__()
        self.course: list[str] = []
        self.begun, self.ended = asyncio.Event(), asyncio.Event()

    async def stream(self, text: str, **how: Any) -> AsyncGenerator[SpeechChunk, None]:
        self.course.append(f"begin {text}")
        self.begun.set()
        try:
            async with aclosing(super().stream(text, **how)) as chunks:
                async for chunk in chunks:
                    yield chunk
        finally:
            self.course.append(f"end {text}")
            self.ended.set()


@pytest.mark.parametrize("first", ["wait a,chunk", "wait a,refuse"])
async def test_the_first_piece_is_made_alone_where_pieces_are_sent_whole(first: str) -> None:
    tts = Noting()
    limits = Limits(whole=True)
    seen = await run(
        tts, f"{first}\n", "chunk\n", "chunk", limits=limits, on_event=lambda _: tts.gate("a").set()
    )
    assert tts.course[:2] == [f"begin {first}", f"end {first}"]
    assert seen[-1] == "audio 2 last"


async def test_a_failed_piece_is_reported_in_its_place_and_the_rest_goes_on() -> None:
    seen = await run(ToldTTS(), "chunk,fail\n", "refuse\n", "fail\n", "fail once,chunk")
    audio = [event for event in seen if not event.startswith(("text", "over"))]
    assert audio == [
        "audio 0",
        "failed 0 provider_unavailable",
        "failed 1 provider_refused",
        "failed 2 provider_unavailable",
        "audio 3",
        "audio 3 last",
    ]


async def test_only_what_can_help_is_tried_again() -> None:
    tts = ToldTTS()
    await run(tts, "chunk,fail\n", "refuse\n", "fail\n", "fail once,chunk")
    assert tts.tries == {"chunk,fail": 1, "refuse": 1, "fail": 2, "fail once,chunk": 2}


async def test_a_voice_that_stalls_ends_the_answer() -> None:
    tts = ToldTTS()
    with pytest.raises(StreamError) as caught:
        await run(tts, "chunk,wait for ever", limits=Limits(stall_s=0.05))
    assert caught.value.code == "stream_stalled"
    assert tts.open == 0


async def test_text_that_goes_on_does_not_hide_a_stalled_voice() -> None:
    tts = ToldTTS()

    async def endless() -> AsyncGenerator[str, None]:
        yield "wait for ever\n"
        while True:
            await asyncio.sleep(0.01)
            yield "word "

    with pytest.raises(StreamError):
        async for _ in speak(endless(), Lines(), Voice(tts), limits=Limits(stall_s=0.1)):
            pass
    assert tts.open == 0


async def test_a_model_that_fails_ends_the_answer_with_its_error() -> None:
    tts = ToldTTS()

    async def broken() -> AsyncGenerator[str, None]:
        yield "wait for ever\n"
        raise ProviderError("provider_timeout", "silent")

    with pytest.raises(ParleyError) as caught:
        async for _ in speak(broken(), Lines(), Voice(tts)):
            pass
    assert caught.value.code == "provider_timeout"
    assert tts.open == 0


async def test_leaving_closes_voice_and_model() -> None:
    tts = ToldTTS()
    closed = asyncio.Event()

    async def source() -> AsyncGenerator[str, None]:
        try:
            yield "chunk,wait for ever\n"
            await asyncio.Event().wait()
        finally:
            closed.set()

    async with aclosing(speak(source(), Lines(), Voice(tts))) as events:
        async for event in events:
            if isinstance(event, Audio):
                break
    assert closed.is_set()
    assert tts.open == 0


async def test_a_slow_client_makes_model_and_voice_wait() -> None:
    tts = ToldTTS()
    given = 0

    async def source() -> AsyncGenerator[str, None]:
        nonlocal given
        while given < 1000:
            given += 1
            yield "chunk\n"

    async with aclosing(speak(source(), Lines(), Voice(tts), limits=Limits(ahead=8))) as events:
        await anext(events)
        for _ in range(100):
            await asyncio.sleep(0)
        assert given < 20


class FreeTTS(Noting):
    is_free: ClassVar[bool] = True


@pytest.mark.parametrize("whole", [False, True])
async def test_the_first_piece_is_made_before_the_text_tells_that_it_is_over(whole: bool) -> None:
    tts = FreeTTS()
    made, sent = asyncio.Event(), list[str]()

    async def source() -> AsyncGenerator[str, None]:
        yield "wait a,chunk"
        await tts.begun.wait()
        tts.gate("a").set()
        for _ in range(20):
            await asyncio.sleep(0)
        assert not any(event.startswith("audio") for event in sent)
        made.set()
        yield "\nchunk"

    async for event in speak(source(), Lines(), Voice(tts), limits=Limits(whole=whole)):
        sent.append(shown(event))
    assert made.is_set()
    assert tts.tries == {"wait a,chunk": 1, "chunk": 1}
    assert [event for event in sent if event.startswith("audio")] == [
        "audio 0",
        "audio 0 last",
        "audio 1",
        "audio 1 last",
    ]


async def test_a_wrong_guess_is_never_heard_and_is_the_last() -> None:
    tts = FreeTTS()
    seen = []

    async def source() -> AsyncGenerator[str, None]:
        yield "chunk"
        await tts.begun.wait()
        for token in (",chunk", ",chunk\n", "chunk"):
            yield token
            for _ in range(20):
                await asyncio.sleep(0)

    async for event in speak(source(), Lines(), Voice(tts)):
        seen.append(shown(event))
    assert tts.tries == {"chunk": 2, "chunk,chunk,chunk": 1}
    audio = [event for event in seen if event.startswith("audio")]
    assert audio == ["audio 0"] * 3 + ["audio 0 last", "audio 1", "audio 1 last"]
    assert tts.open == 0


class SlowToLeave(FreeTTS):
    """Takes its time to let go of a text that is not wanted."""

    def __init__(self) -> None:
        super().__init__()
        self.left = 0

    async def stream(self, text: str, **how: Any) -> AsyncGenerator[SpeechChunk, None]:
        try:
            async with aclosing(super().stream(text, **how)) as chunks:
                async for chunk in chunks:
                    yield chunk
        finally:
            for _ in range(20):
                await asyncio.sleep(0)
            self.left += 1


async def test_a_wrong_guess_is_cancelled_once() -> None:
    tts = SlowToLeave()

    async def source() -> AsyncGenerator[str, None]:
        yield "wait a,chunk"
        await tts.begun.wait()
        for token in (" ", "and", " so", " on"):
            yield token
            for _ in range(3):
                await asyncio.sleep(0)
        tts.gate("a").set()
        yield "\nchunk"

    async for _ in speak(source(), Lines(), Voice(tts)):
        pass
    assert tts.tries == {"wait a,chunk": 1, "wait a,chunk and so on": 1, "chunk": 1}
    assert tts.left == 3


async def test_a_guess_that_fails_is_told_in_its_place() -> None:
    tts = FreeTTS()
    seen = []

    async def source() -> AsyncGenerator[str, None]:
        yield "refuse,chunk"
        await tts.ended.wait()
        assert seen == ["text refuse,chunk"]
        yield "\nchunk"

    async for event in speak(source(), Lines(), Voice(tts)):
        seen.append(shown(event))
    assert [event for event in seen if not event.startswith(("text", "over"))] == [
        "failed 0 provider_refused",
        "audio 1",
        "audio 1 last",
    ]


async def test_nothing_is_guessed_with_a_voice_that_costs_money() -> None:
    tts = Noting()

    async def source() -> AsyncGenerator[str, None]:
        yield "chunk"
        for _ in range(20):
            await asyncio.sleep(0)
        assert not tts.course
        yield "\n"

    async for _ in speak(source(), Lines(), Voice(tts)):
        pass
    assert tts.tries == {"chunk": 1}


@pytest.mark.parametrize("tts", [FreeTTS(), Noting()], ids=["guessed", "not guessed"])
async def test_what_looks_complete_is_spoken_while_the_model_is_busy(
    tts: Noting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speaking, "IDLE_S", 0.5)
    heard = asyncio.Event()

    async def source() -> AsyncGenerator[str, None]:
        yield "chunk"
        await heard.wait()
        yield "chunk"

    seen = []
    async for event in speak(source(), Lines(), Voice(tts)):
        seen.append(shown(event))
        if seen[-1] == "audio 0 last":
            heard.set()
    assert tts.tries == {"chunk": 2}
    assert seen[-1] == "audio 1 last"


async def test_a_voice_that_stalls_while_the_model_is_busy_ends_the_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(speaking, "IDLE_S", 0.3)

    async def source() -> AsyncGenerator[str, None]:
        yield "wait for ever,chunk"
        await asyncio.Event().wait()

    tts = ToldTTS()
    with pytest.raises(StreamError) as caught:
        async for _ in speak(source(), Lines(), Voice(tts), limits=Limits(stall_s=0.05)):
            pass
    assert caught.value.code == "stream_stalled"
    assert tts.open == 0
