"""A session with the real speech engines and no room: ten minutes of silence, then a question."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import numpy as np
import numpy.typing as npt
import pytest
import soxr
from livekit import rtc
from livekit.agents.voice import SpeechHandle, io

from agent_worker.call import FlowAgent
from agent_worker.conversation import Conversation
from agent_worker.engines import SpeechEngines
from agent_worker.flow_executor import FlowExecutor
from agent_worker.session import new_session
from agent_worker.settings import WorkerSettings
from plugins import flow_llm
from speech.piper import PiperEngine
from tests.scripted_backend import ScriptedBackend

RATE_HZ = 16_000
FRAME_SAMPLES = RATE_HZ // 50
SILENCE_S = 600


class Microphone(io.AudioInput):
    """Silence as fast as it is taken, then a recording in real time, then silence in real time."""

    def __init__(self, silence_s: float, speech: npt.NDArray[np.int16]) -> None:
        super().__init__(label="test")
        self._silent_frames = int(silence_s * 50)
        self._speech = speech
        self._next_s = 0.0

    async def __anext__(self) -> rtc.AudioFrame:
        samples = np.zeros(FRAME_SAMPLES, dtype=np.int16)
        if self._silent_frames:
            self._silent_frames -= 1
            if self._silent_frames % 50 == 0:
                # Lets the detectors keep up: what waits for them is not bounded.
                await asyncio.sleep(0.02)
        else:
            self._next_s = max(self._next_s, time.perf_counter() - 1.0) + 0.02
            await asyncio.sleep(max(0.0, self._next_s - time.perf_counter()))
            piece, self._speech = self._speech[:FRAME_SAMPLES], self._speech[FRAME_SAMPLES:]
            samples[: len(piece)] = piece
        return rtc.AudioFrame(samples.tobytes(), RATE_HZ, 1, FRAME_SAMPLES)


class Loudspeaker(io.AudioOutput):
    """Plays everything at once."""

    def __init__(self) -> None:
        super().__init__(label="test", capabilities=io.AudioOutputCapabilities(pause=False))
        self.played_s = 0.0
        self._segment_s = 0.0

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await super().capture_frame(frame)
        if not self._segment_s:
            self.on_playback_started(created_at=time.time())
        self._segment_s += frame.duration

    def flush(self) -> None:
        super().flush()
        self._finish(interrupted=False)

    def clear_buffer(self) -> None:
        self._finish(interrupted=True)

    def _finish(self, *, interrupted: bool) -> None:
        if self._segment_s:
            self.played_s += self._segment_s
            self.on_playback_finished(playback_position=self._segment_s, interrupted=interrupted)
            self._segment_s = 0.0


@pytest.fixture
async def backend() -> AsyncIterator[ScriptedBackend]:
    async with ScriptedBackend().serve() as serving:
        yield serving


@pytest.mark.timeout(180)
async def test_ten_minutes_of_silence_ask_nothing_and_the_next_question_is_answered(
    backend: ScriptedBackend,
) -> None:
    async with PiperEngine() as voice:
        spoken = await voice.synthesize("What is the capital of France?")
    speech = soxr.resample(spoken.samples, spoken.sample_rate_hz, RATE_HZ).astype(np.int16)
    settings = WorkerSettings(livekit_api_key="unused", livekit_api_secret="unused")
    answered = asyncio.Event()

    def done(reply: SpeechHandle) -> None:
        if reply.scheduled:
            answered.set()

    async with (
        SpeechEngines(settings) as engines,
        FlowExecutor("f", backend_url=backend.url) as executor,
    ):
        await engines.load()
        conversation = Conversation(executor)
        session = new_session(settings, engines, flow_llm.LLM(conversation, flow_id="f"))
        loudspeaker = Loudspeaker()
        session.input.audio = Microphone(SILENCE_S, speech)
        session.output.audio = loudspeaker
        agent = FlowAgent(
            on_reply=lambda _, reply: reply.add_done_callback(done),
            transcribed=lambda event: event,
            on_text=lambda *_: None,
            on_silence=lambda _: None,
        )
        await session.start(agent, record=False, session_host=False)
        await answered.wait()
        await session.aclose()
        await conversation.aclose()
    inputs = [body["input"] for _, path, body in backend.calls if path.endswith("/turns")]
    assert inputs
    assert {text.rstrip("?. ") for text in inputs} == {"What is the capital of France"}
    assert loudspeaker.played_s > 0.5
