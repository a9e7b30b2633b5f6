"""What goes wrong is said shortly and truly, or passed over; the next turn works."""

from __future__ import annotations

import time

import numpy as np
import pytest

from agent_worker.settings import WorkerSettings
from bench.caller import MIC_RATE_HZ, Audio, Caller
from speech.moonshine import MoonshineEngine
from tests.e2e.conftest import Rooms, words, words_in
from tests.e2e.test_voice import LONG_ANSWER, answer_to, in_order
from tests.scripted_llm import ScriptedLLM

pytestmark = pytest.mark.asyncio(loop_scope="session")


def phrase(name: str) -> list[str]:
    return words(WorkerSettings.model_fields[name].default)


async def hears(ears: MoonshineEngine, caller: Caller, since_s: float, text: list[str]) -> bool:
    heard = await words_in(ears, caller.recording(since_s=since_s - 0.2))
    return in_order(text, heard) >= 0.8


async def test_a_model_that_is_down(
    scripted: Rooms, script: ScriptedLLM, ears: MoonshineEngine, question: Audio
) -> None:
    async with scripted.call() as caller:
        await caller.until_connected()
        script.down = True
        began_s = await answer_to(caller, question)
        assert await hears(ears, caller, began_s, phrase("phrase_unreachable"))
        script.down = False
        began_s = await answer_to(caller, question)
        assert await hears(ears, caller, began_s, words(script.answer))


async def test_a_model_that_is_slow(
    scripted: Rooms, script: ScriptedLLM, ears: MoonshineEngine, question: Audio
) -> None:
    async with scripted.call() as caller:
        await caller.until_connected()
        script.first_s = 60
        began_s = await answer_to(caller, question)
        assert await hears(ears, caller, began_s, phrase("phrase_unreachable"))
        script.first_s = 0
        began_s = await answer_to(caller, question)
        assert await hears(ears, caller, began_s, words(script.answer))


async def test_a_flow_that_does_not_exist(
    scripted: Rooms, ears: MoonshineEngine, question: Audio
) -> None:
    async with scripted.call(flow_id="nowhere") as caller:
        await caller.until_connected()
        began_s = await caller.first_audible_after(0)
        await caller.until_silent(1.0)
        assert await hears(ears, caller, began_s, phrase("phrase_no_flow"))
        began_s = await answer_to(caller, question)
        assert await hears(ears, caller, began_s, phrase("phrase_no_flow"))


async def test_a_backend_killed_in_the_middle_of_an_answer(
    scripted: Rooms, script: ScriptedLLM, ears: MoonshineEngine, question: Audio
) -> None:
    backend = await scripted.stack.backend(
        {"LLM": "openai", "OPENAI_BASE_URL": script.url, "OPENAI_API_KEY": "none"}
    )
    worker = await scripted.stack.worker(backend.url, agent_name="fragile")
    try:
        rooms = Rooms(scripted.stack, backend, worker, "fragile")
        async with rooms.call() as caller:
            await caller.until_connected()
            script.answer = LONG_ANSWER
            script.piece_s = 0.15
            ended_s = await caller.speak(question)
            began_s = await caller.first_audible_after(ended_s)
            await caller.until_heard(1.0, began_s)
            await backend.process.kill()
            await caller.until_silent(7.0)
            assert await hears(ears, caller, began_s, words(LONG_ANSWER)[:6])
            assert await hears(ears, caller, began_s, phrase("phrase_failed"))
            script.answer = "Here I am again, as good as new."
            port = int(backend.url.rpartition(":")[2])
            again = await scripted.stack.backend(
                {"LLM": "openai", "OPENAI_BASE_URL": script.url, "OPENAI_API_KEY": "none"}, port
            )
            began_s = await answer_to(caller, question)
            assert await hears(ears, caller, began_s, words(script.answer))
            await again.process.stop()
    finally:
        await worker.stop()


async def test_sounds_without_words(
    scripted: Rooms, script: ScriptedLLM, ears: MoonshineEngine, question: Audio
) -> None:
    rng = np.random.default_rng(7)
    async with scripted.call() as caller:
        await caller.until_connected()
        hiss = rng.normal(0, 0.05, 2 * MIC_RATE_HZ).astype(np.float32)
        clap = rng.normal(0, 0.3, MIC_RATE_HZ // 20).astype(np.float32)
        for sound in (hiss, clap):
            await caller.speak(sound)
            await caller.pause(2.0)
        await caller.until_silent(1.5)
        began_s = await answer_to(caller, question)
        assert await hears(ears, caller, began_s, words(script.answer))
        transcript = await scripted.settled(caller, 2)
    assert words(transcript[0].text) == words("What is the capital of France?")
    assert [entry.role for entry in transcript] == ["user", "assistant"]


async def test_a_caller_who_leaves_in_mid_sentence(
    scripted: Rooms, script: ScriptedLLM, ears: MoonshineEngine, question: Audio
) -> None:
    async with scripted.call() as caller:
        await caller.until_connected()
        await caller.speak(question[: len(question) // 2])
    script.answer = LONG_ANSWER
    script.piece_s = 0.15
    cut_off = script.cut_off
    async with scripted.call() as caller:
        await caller.until_connected()
        ended_s = await caller.speak(question)
        await caller.first_audible_after(ended_s)
    left_s = time.perf_counter()
    await script.until_cut_off(cut_off + 1)
    assert time.perf_counter() - left_s < 10
    assert scripted.worker.alive
    script.answer = "Next, please."
    async with scripted.call() as caller:
        await caller.until_connected()
        began_s = await answer_to(caller, question)
        assert await hears(ears, caller, began_s, words(script.answer))
