"""One stack for all end-to-end tests: LiveKit, backends, workers, the embedded model, a script."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Generator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

import httpx
import numpy as np
import pytest
import pytest_asyncio
import soxr

from bench.caller import AUDIBLE, HEARD_RATE_HZ, MIC_RATE_HZ, Audio, Caller
from bench.local_stack import Backend, LocalStack, Process
from protocol.turns import SessionState, TranscriptEntry
from speech.moonshine import MoonshineEngine, read_recording
from speech.piper import PiperEngine
from stack import livekit_server
from tests.e2e.browser import microphone
from tests.scripted_llm import ScriptedLLM

FLOWS = Path(__file__).parent / "flows"


@dataclass
class Rooms:
    """A worker with its backend: makes calls and looks at the sessions behind them."""

    stack: LocalStack
    backend: Backend
    worker: Process
    agent_name: str

    def call(self, **attributes: str) -> AbstractAsyncContextManager[Caller]:
        """Joins a new room that asks for the agent."""
        return Caller.join(
            self.stack.livekit_url,
            self.stack.key,
            self.stack.secret,
            f"room-{uuid.uuid4().hex[:8]}",
            agent_name=self.agent_name,
            attributes=attributes,
        )

    async def transcript(self, caller: Caller, flow_id: str = "default") -> list[TranscriptEntry]:
        """The history of the call's session, as the backend holds it."""
        log = self.worker.log.read_text()
        marker = f"room {caller.room.name}: session "
        session_id = log.partition(marker)[2].split()[0]
        async with httpx.AsyncClient(trust_env=False) as client:
            response = await client.get(
                f"{self.backend.url}/api/flows/{flow_id}/sessions/{session_id}"
            )
        response.raise_for_status()
        return SessionState.model_validate(response.json()).transcript

    async def settled(self, caller: Caller, entries: int) -> list[TranscriptEntry]:
        """The history, once it has so many entries and the last one is known to be heard."""
        while True:
            transcript = await self.transcript(caller)
            if len(transcript) >= entries and transcript[-1].heard:
                return transcript
            await asyncio.sleep(0.1)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Shows what the processes said where a test fails."""
    report = yield
    fixtures = getattr(item, "funcargs", {})
    stack = fixtures.get("local_stack") or getattr(fixtures.get("exchange"), "stack", None)
    if report.failed and isinstance(stack, LocalStack):
        report.sections += [
            (f"{process.name} ({process.log.name})", process.tail(60))
            for process in stack.processes
            if process.log.exists()
        ]
    return report


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def local_stack() -> AsyncIterator[LocalStack]:
    program = livekit_server.find_or_build(lambda _: None)
    os.environ["PATH"] = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    async with LocalStack.run(llm=True) as stack:
        yield stack


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def embedded(local_stack: LocalStack) -> Rooms:
    """Answers come from the embedded model."""
    backend = await local_stack.backend()
    worker = await local_stack.worker(backend.url, agent_name="embedded")
    return Rooms(local_stack, backend, worker, "embedded")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def script() -> AsyncIterator[ScriptedLLM]:
    async with ScriptedLLM().serve() as serving:
        yield serving


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def scripted(local_stack: LocalStack, script: ScriptedLLM) -> Rooms:
    """Answers come from `script`."""
    backend = await local_stack.backend(
        {
            "LLM": "openai",
            "OPENAI_BASE_URL": script.url,
            "OPENAI_API_KEY": "none",
            "LLM_FIRST_TOKEN_TIMEOUT_S": "2",
            "LLM_RETRIES": "0",
            "FLOWS_DIR": str(FLOWS),
            "AGENT_NAME": "scripted",
        }
    )
    worker = await local_stack.worker(backend.url, agent_name="scripted")
    return Rooms(local_stack, backend, worker, "scripted")


@pytest_asyncio.fixture(loop_scope="session", autouse=True)
async def _fresh_script(script: ScriptedLLM) -> None:
    fresh = ScriptedLLM()
    script.answer, script.piece_s, script.first_s = fresh.answer, fresh.piece_s, fresh.first_s
    script.down = False


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def ears() -> AsyncIterator[MoonshineEngine]:
    async with MoonshineEngine() as engine:
        yield engine


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def question() -> Audio:
    """A question in Piper's voice, with nothing but speech in it."""
    return await _spoken("What is the capital of France?")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def backchannel() -> Audio:
    """What a listener says, in Piper's voice."""
    return await _spoken("Yeah, okay.")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def human() -> Audio:
    """A recording of a person."""
    wheel = distribution("moonshine-cpp")
    path = Path(str(wheel.locate_file("moonshine_cpp/test-data/beckett.wav")))
    return _speech_only(read_recording(path))


@pytest.fixture(scope="session")
def spoken(human: Audio, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recording, for Chromium's microphone."""
    return microphone(tmp_path_factory.mktemp("page") / "human.wav", human)


@pytest.fixture(scope="session")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nobody says anything."""
    return microphone(tmp_path_factory.mktemp("page") / "quiet.wav", np.zeros(160, np.float32))


async def _spoken(text: str) -> Audio:
    async with PiperEngine() as engine:
        chunk = await engine.synthesize(text)
    samples = chunk.samples.astype(np.float32) / np.float32(32768)
    return _speech_only(soxr.resample(samples, chunk.sample_rate_hz, MIC_RATE_HZ))


def _speech_only(speech: Audio) -> Audio:
    loud = np.flatnonzero(np.abs(speech) >= AUDIBLE)
    return speech[loud[0] : loud[-1] + 1]


async def words_in(ears: MoonshineEngine, heard: Audio) -> list[str]:
    """What our own transcription makes of the agent's voice."""
    samples = soxr.resample(heard, HEARD_RATE_HZ, MIC_RATE_HZ)
    return words((await ears.transcribe(samples)).text)


def words(text: str) -> list[str]:
    """Words in lower case, without punctuation."""
    letters = "".join(c if c.isalnum() or c == "'" else " " for c in text.lower())
    return letters.split()
