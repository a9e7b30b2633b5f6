"""Right and wrong decisions on recordings: Piper's words at two speeds, coughs and laughter made
of noise, through our own transcription."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import numpy.typing as npt
import pytest
import pytest_asyncio
import soxr

from agent_worker.barge_in import Kind, judge
from bench.caller import AUDIBLE
from speech.moonshine import MoonshineEngine, Stage, StreamEvent
from speech.piper import PiperEngine

Audio = npt.NDArray[np.float32]
RATE_HZ = 16_000
AGENT = (
    "We are open from nine in the morning until six in the evening, and on Saturdays until noon."
)
LISTENING = (
    "Uh-huh.", "Yeah.", "Right.", "Okay.", "I see.", "Yes.", "Sure.", "Yeah, okay.",
    "Right, right.", "Got it.", "Oh.", "Wow.", "Ha ha ha.", "Hmm.", "Of course.", "All right.",
)  # fmt: skip
INTERRUPTING = (
    "Stop.", "Wait.", "No.", "Hold on.", "Excuse me.", "What about Tuesday?",
    "No, that is wrong.", "Actually, I would like tea.", "Can you repeat that?",
    "Yes, but what does it cost?", "Okay, stop now.", "Twelve.", "My name is Anna.",
    "Okay thanks, goodbye.", "And on Sundays?", "Are you open in the evening?",
)  # fmt: skip
ECHOES = ("until six in the evening", "from nine in the morning", "on Saturdays until noon")
SPEEDS = (1.0, 0.85)


@pytest_asyncio.fixture
async def voice() -> AsyncIterator[PiperEngine]:
    async with PiperEngine() as engine:
        yield engine


@pytest_asyncio.fixture
async def ears() -> AsyncIterator[MoonshineEngine]:
    async with MoonshineEngine() as engine:
        yield engine


def cough(rng: np.random.Generator, times: int) -> Audio:
    bursts = []
    for _ in range(times):
        at_s = np.arange(int(RATE_HZ * rng.uniform(0.15, 0.35))) / RATE_HZ
        noise = rng.standard_normal(len(at_s)) * np.exp(-at_s * rng.uniform(8, 18))
        soft = np.convolve(noise, np.ones(4) / 4, "same")
        bursts += [0.4 * soft / np.abs(soft).max(), np.zeros(RATE_HZ // 10)]
    return np.concatenate(bursts).astype(np.float32)


def laughter(rng: np.random.Generator) -> Audio:
    bursts = []
    at_s = np.arange(int(RATE_HZ * 0.12)) / RATE_HZ
    for number in range(5):
        pitch_hz = rng.uniform(180, 260) * (1 - 0.05 * number)
        voiced = sum(np.sin(2 * np.pi * pitch_hz * k * at_s) / k for k in range(1, 9))
        breath = 0.2 * rng.standard_normal(len(at_s))
        bursts += [0.15 * (voiced + breath) * np.hanning(len(at_s)), np.zeros(1100)]
    return np.concatenate(bursts).astype(np.float32)


async def spoken(voice: PiperEngine, text: str, speed: float) -> Audio:
    chunk = await voice.synthesize(text, seed=7)
    samples = chunk.samples.astype(np.float32) / np.float32(32768)
    # Played slower, it is another, deeper voice.
    speech = soxr.resample(samples, chunk.sample_rate_hz * speed, RATE_HZ)
    loud = np.flatnonzero(np.abs(speech) >= AUDIBLE)
    return speech[loud[0] : loud[-1] + 1]


async def decision(ears: MoonshineEngine, speech: Audio) -> tuple[Kind, StreamEvent]:
    padded = np.concatenate([np.zeros(4800), speech, np.zeros(8000)])
    frames = (padded * 32767).astype(np.int16).reshape(-1, 1)
    async with ears.stream(sample_rate_hz=RATE_HZ, channels=1, end_silence_s=None) as stream:

        async def last() -> StreamEvent:
            final = StreamEvent(Stage.FINAL)
            async for event in stream:
                if event.stage is Stage.FINAL:
                    final = event
            return final

        reading = asyncio.create_task(last())
        for start in range(0, len(frames), 320):
            await stream.push(frames[start : start + 320])
        stream.flush()
        stream.end_input()
        event = await reading
    kind = judge(
        event.text,
        duration_s=event.end_s - event.start_s,
        confidence=event.confidence,
        agent_text=AGENT,
    )
    return kind, event


@pytest.mark.timeout(300)
async def test_most_decisions_are_right(voice: PiperEngine, ears: MoonshineEngine) -> None:
    rng = np.random.default_rng(5)
    listening = [(text, await spoken(voice, text, speed)) for text in LISTENING for speed in SPEEDS]
    listening += [(f"cough {n}", cough(rng, 1 + n % 3)) for n in range(8)]
    listening += [(f"laughter {n}", laughter(rng)) for n in range(4)]
    listening += [(text, await spoken(voice, text, 1.0)) for text in ECHOES]
    real = [(text, await spoken(voice, text, speed)) for text in INTERRUPTING for speed in SPEEDS]
    wrong: dict[str, list[str]] = {"stopped": [], "went on": []}
    for meant, recordings in (("listening", listening), ("real", real)):
        for name, speech in recordings:
            kind, event = await decision(ears, speech)
            if (kind is Kind.INTERRUPTION) == (meant == "listening"):
                fault = "stopped" if meant == "listening" else "went on"
                wrong[fault].append(f"{name} heard as {event.text!r}: {kind.value}")
    print(f"{len(listening)} not meant, {len(real)} meant; wrong: {wrong}")  # noqa: T201 - figures
    assert len(wrong["stopped"]) <= 0.1 * len(listening), wrong
    assert len(wrong["went on"]) <= 0.03 * len(real), wrong
