"""Calls on several LiveKit nodes, workers and backends, of which some die or are replaced."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from bench.caller import Caller
from stack import caller as typed_call
from tests.fault.scaled_stack import Part, ScaledStack, Worker, scaled_stack
from tests.scripted_llm import ScriptedLLM

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.asyncio(loop_scope="module"),
]

ANSWER = (
    "The tide comes in twice a day. The moon pulls at the water, and the sun helps a little. "
    "Between high and low water lie about six hours. That is all there is to say."
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ScaledStack]:
    async with scaled_stack(tmp_path_factory.mktemp("scaled")) as stack:
        yield stack


@pytest_asyncio.fixture(loop_scope="module")
async def scaled(running: ScaledStack) -> ScaledStack:
    await running.mend()
    for worker in running.workers:
        await worker.until_free()
    fresh = ScriptedLLM(ANSWER)
    running.model.answer, running.model.hold_after = fresh.answer, None
    running.model.released.clear()
    return running


async def ask(caller: Caller, turn: int) -> None:
    """Types something, and returns when the turn is over; the first turn is 1."""
    await caller.room.local_participant.send_text(f"Question {turn}.", topic="lk.chat")
    await caller.until_told(turn)


async def check(stack: ScaledStack, caller: Caller, turns: int) -> None:
    """What was said and what was answered is all there, once."""
    while True:
        transcript = (await stack.session(caller)).transcript
        if len(transcript) == 2 * turns and transcript[-1].heard:
            break
        await asyncio.sleep(0.1)
    told = [entry.text for entry in transcript]
    assert told == [text for turn in range(1, turns + 1) for text in (f"Question {turn}.", ANSWER)]
    assert not any(entry.interrupted for entry in transcript)


async def owner(stack: ScaledStack) -> Part:
    """The backend that runs a turn."""
    while True:
        for backend in stack.backends:
            metrics = (await backend.get("/metrics")).text
            if "\nparley_sessions_busy 1.0" in metrics:
                return backend
        await asyncio.sleep(0.05)


async def taker(stack: ScaledStack, *, but: Worker | None = None) -> Worker:
    """The worker that has a call."""
    while True:
        for worker in stack.workers:
            if worker is not but and await worker.calls():
                return worker
        await asyncio.sleep(0.05)


def node_of(stack: ScaledStack, caller: Caller) -> Part:
    """The node that holds a call's room."""
    for node in stack.nodes:
        for line in node.process.log.read_text().splitlines():
            if "starting RTC session" in line and caller.room.name in line:
                return node
    raise AssertionError("no node has the room")


async def test_another_backend_goes_on_with_the_answer_of_one_that_is_killed(
    scaled: ScaledStack,
) -> None:
    async with scaled.call(scaled.nodes[0]) as caller:
        await caller.until_connected()
        scaled.model.hold_after = 10
        asking = asyncio.ensure_future(ask(caller, 1))
        # The rest of the answer does not come before the backend is gone.
        await caller.first_audible_after(0)
        killed = await owner(scaled)
        scaled.model.hold_after = None
        await killed.process.kill()
        await asking
        await check(scaled, caller, 1)
        await ask(caller, 2)
        await check(scaled, caller, 2)


async def test_two_calls_go_to_two_workers_and_a_third_is_told_to_wait(
    scaled: ScaledStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    invitation = await typed_call.invite(scaled.backend_url)
    async with scaled.call(scaled.nodes[0]) as one:
        await one.until_connected()
        await (await taker(scaled)).until_full()
        async with scaled.call(scaled.nodes[1]) as two:
            await two.until_connected()
            assert [await worker.calls() for worker in scaled.workers] == [1, 1]
            with monkeypatch.context() as patch:
                patch.setattr(typed_call, "AGENT_WITHIN_S", 3.0)
                with pytest.raises(typed_call.StreamError) as refused:
                    async with typed_call.Caller(invitation):
                        pass
            assert refused.value.code == "backend_unavailable"
            assert "each has as many calls as it takes" in refused.value.message
            await asyncio.gather(ask(one, 1), ask(two, 1))
            await asyncio.gather(check(scaled, one, 1), check(scaled, two, 1))
    for worker in scaled.workers:
        await worker.until_free()
    async with typed_call.Caller(await typed_call.invite(scaled.backend_url)) as third:
        third.mark()
        await third.write("Question 1.")
        await third.answered(60)


async def test_a_worker_that_is_asked_to_stop_lets_its_call_end(scaled: ScaledStack) -> None:
    async with scaled.call() as one:
        await one.until_connected()
        leaving = await taker(scaled)
        leaving.process.send_signal(signal.SIGTERM)
        await leaving.process.until_said("draining worker")
        async with scaled.call() as two:
            await two.until_connected()
            assert await taker(scaled, but=leaving) is not leaving
            await asyncio.gather(ask(one, 1), ask(two, 1))
            await check(scaled, two, 1)
        assert leaving.process.alive
        await ask(one, 2)
        await check(scaled, one, 2)
    assert await leaving.process.ended() == 0


async def test_an_upgrade_of_one_part_after_the_other_drops_no_call(scaled: ScaledStack) -> None:
    async with AsyncExitStack() as until_hung_up:
        old = await until_hung_up.enter_async_context(scaled.call())
        await old.until_connected()
        await ask(old, 1)
        first = await taker(scaled)
        # Backends: each is stopped in the middle of an answer.
        for turn in (2, 3):
            scaled.model.hold_after = 10
            begun_s = time.perf_counter()
            asking = asyncio.ensure_future(ask(old, turn))
            await old.first_audible_after(begun_s)
            backend = await owner(scaled)
            scaled.model.hold_after = None
            backend.process.send_signal(signal.SIGTERM)
            assert await backend.process.ended() == 0
            await asking
            await backend.start()
        await check(scaled, old, 3)
        # The worker of the call takes no other, and is replaced when the call is over.
        first.process.send_signal(signal.SIGTERM)
        await first.process.until_said("draining worker")
        # So does the node that holds the room.
        node = node_of(scaled, old)
        node.process.send_signal(signal.SIGTERM)
        await node.process.until_said("exit requested, shutting down")
        async with scaled.call() as new:
            await new.until_connected()
            await asyncio.gather(ask(old, 4), ask(new, 1))
            await check(scaled, old, 4)
            await check(scaled, new, 1)
            await until_hung_up.aclose()
            assert await first.process.ended() == 0
            assert await node.process.ended() == 0
            await asyncio.gather(first.start(), node.start())
            # The other node and the other worker have the second call.
            second = await taker(scaled, but=first)
            second.process.send_signal(signal.SIGTERM)
            await ask(new, 2)
            await check(scaled, new, 2)
    assert await second.process.ended() == 0
