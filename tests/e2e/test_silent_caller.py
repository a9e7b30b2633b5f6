"""A caller who says nothing."""

from __future__ import annotations

import asyncio

import pytest

from bench.caller import Audio
from speech.moonshine import MoonshineEngine
from tests.e2e.conftest import Rooms, words, words_in
from tests.e2e.test_voice import answer_to, in_order
from tests.scripted_llm import ScriptedLLM

pytestmark = pytest.mark.asyncio(loop_scope="session")

SILENCE_S = 4.0


async def test_a_silent_caller_is_asked_and_then_left(
    scripted: Rooms, script: ScriptedLLM, ears: MoonshineEngine, question: Audio
) -> None:
    worker = await scripted.stack.worker(
        scripted.backend.url,
        agent_name="patient",
        env={"STILL_THERE_AFTER_S": str(SILENCE_S)},
    )
    try:
        patient = Rooms(scripted.stack, scripted.backend, worker, "patient")
        async with patient.call() as caller:
            await caller.until_connected()
            await answer_to(caller, question)
            # A sign of life begins the count anew, also after it was asked for.
            await caller.first_audible_after((caller.last_audible() or 0) + SILENCE_S / 2)
            await caller.until_silent(1.0)
            await caller.room.local_participant.send_text("Yes.", topic="lk.chat")
            answered_s = await caller.first_audible_after(caller.last_audible() or 0)
            answer_over_s = await caller.until_silent(1.5)
            asked_s = await caller.first_audible_after(answer_over_s)
            asked_over_s = await caller.until_silent(1.0)
            left_s = await caller.first_audible_after(asked_over_s)
            async with asyncio.timeout(30):
                await caller.agent_left.wait()
            heard = await words_in(ears, caller.recording(since_s=asked_s - 0.2))
    finally:
        await worker.stop()
    assert answered_s < answer_over_s
    assert asked_s - answer_over_s > SILENCE_S - 1
    assert left_s - asked_over_s > SILENCE_S - 1
    said = "Are you still there? I will hang up now. Goodbye."
    assert in_order(words(said), heard) >= 0.8, heard
