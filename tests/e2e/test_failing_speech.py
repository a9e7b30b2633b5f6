"""Voices and transcribers that fail, and words that come while the agent thinks."""

from __future__ import annotations

import asyncio

import pytest

from bench.caller import Audio
from speech.moonshine import MoonshineEngine
from tests.e2e.conftest import Rooms, words, words_in
from tests.e2e.test_voice import in_order
from tests.scripted_llm import ScriptedLLM

pytestmark = pytest.mark.asyncio(loop_scope="session")

WITHIN_S = 60.0


async def test_a_fallback_voice_asks_to_repeat_what_could_not_be_transcribed(
    scripted: Rooms, ears: MoonshineEngine, question: Audio
) -> None:
    worker = await scripted.stack.worker(
        scripted.backend.url,
        agent_name="deaf",
        env={
            "STT": "openai",
            "TTS": "openai,piper",
            "OPENAI_BASE_URL": "http://127.0.0.1:1/v1",
            "OPENAI_API_KEY": "none",
        },
    )
    try:
        deaf = Rooms(scripted.stack, scripted.backend, worker, "deaf")
        async with deaf.call() as caller, asyncio.timeout(WITHIN_S):
            await caller.until_connected()
            told = []
            # The second time shows that the call has outlived the first.
            for _ in range(2):
                began_s = await caller.first_audible_after(await caller.speak(question))
                await caller.until_silent(1.0)
                told.append(await words_in(ears, caller.recording(since_s=began_s - 0.2)))
            await caller.room.local_participant.send_text("Hello?", topic="lk.chat")
            began_s = await caller.first_audible_after(caller.last_audible() or 0)
            await caller.until_silent(1.0)
            answer = await words_in(ears, caller.recording(since_s=began_s - 0.2))
    finally:
        await worker.stop()
    for phrase in told:
        assert in_order(words("Sorry, I did not catch that."), phrase) >= 0.6, phrase
    assert in_order(words("This is the scripted answer."), answer) >= 0.8, answer


async def test_what_is_said_while_the_agent_thinks_is_answered_with_the_rest(
    scripted: Rooms, script: ScriptedLLM, question: Audio
) -> None:
    script.first_s = 4.0
    async with scripted.call() as caller, asyncio.timeout(WITHIN_S):
        await caller.until_connected()
        asked = len(script.prompts)
        await caller.speak(question)
        await script.until_asked(asked + 1)
        await caller.pause(1.5)
        script.first_s = 0.0
        ended_s = await caller.speak(question)
        await caller.first_audible_after(ended_s)
        await caller.until_silent(1.5)
        prompt = script.prompts[-1]
        transcript = await scripted.settled(caller, 3)
    said = words(prompt[-1]["content"])
    assert prompt[-1]["role"] == "user"
    assert said == words("What is the capital of France?") * 2
    assert [entry.role for entry in transcript] == ["user", "user", "assistant"]
    assert transcript[-1].text == script.answer
