"""The worker is stopped in the middle of a call."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

import httpx
import pytest
import pytest_asyncio

from agent_worker.settings import WorkerSettings
from bench.caller import Caller
from bench.local_stack import Backend, LocalStack
from bench.remote_model import RemoteModel
from bench.voice import spoken
from speech.moonshine import MoonshineEngine
from stack import livekit_server
from tests.e2e.conftest import words, words_in
from tests.e2e.test_voice import LONG_ANSWER, in_order

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

CLOSING = words(WorkerSettings.model_fields["phrase_closing"].default)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stack() -> AsyncIterator[LocalStack]:
    program = livekit_server.find_or_build(lambda _: None)
    os.environ["PATH"] = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    async with LocalStack.run(llm=False) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def backend(stack: LocalStack) -> AsyncIterator[Backend]:
    async with RemoteModel(LONG_ANSWER).serve() as model:
        yield await stack.backend(model)


def call(stack: LocalStack) -> AbstractAsyncContextManager[Caller]:
    room = f"room-{uuid.uuid4().hex[:8]}"
    return Caller.join(stack.livekit_url, stack.key, stack.secret, room, agent_name="parley")


async def test_it_says_goodbye_and_the_next_caller_is_somebody_elses(
    stack: LocalStack, backend: Backend
) -> None:
    (question,) = await spoken(["What is the capital of France?"])
    stopped = await stack.worker(backend.url, agent_name="parley", env={"DRAIN_S": "10"})
    async with MoonshineEngine() as ears, call(stack) as caller:
        await caller.until_connected()
        ended_s = await caller.speak(question)
        began_s = await caller.first_audible_after(ended_s)
        other = await stack.worker(backend.url, agent_name="parley")
        stopping = asyncio.create_task(stopped.stop())
        await stopped.until_said("draining worker")
        async with httpx.AsyncClient(trust_env=False) as client:
            draining = await client.get(f"{stopped.url}/readyz")
            assert draining.status_code == 503
            assert draining.text.startswith("draining")
            assert (await client.get(f"{stopped.url}/healthz")).status_code == 200
            assert (await client.get(f"{other.url}/readyz")).status_code == 200
        async with call(stack) as next_caller:
            await next_caller.until_connected()
            ended_s = await next_caller.speak(question)
            await next_caller.first_audible_after(ended_s)
            assert f"room {next_caller.room.name}: session" in other.log.read_text()
        await caller.agent_left.wait()
        await stopping
        heard = await words_in(ears, caller.recording(since_s=began_s - 0.2))
    assert in_order(words(LONG_ANSWER)[:6], heard) >= 0.8
    assert in_order(CLOSING, heard[-len(CLOSING) - 2 :]) >= 0.8, heard
    await other.stop()


async def test_a_second_signal_ends_it_at_once(stack: LocalStack, backend: Backend) -> None:
    worker = await stack.worker(backend.url, agent_name="parley", env={"DRAIN_S": "120"})
    async with call(stack) as caller:
        await caller.until_connected()
        stopping = asyncio.create_task(worker.stop())
        await worker.until_said("draining worker")
        os.killpg(worker.pid, 15)
        await caller.agent_left.wait()
        async with asyncio.timeout(20):
            await stopping
