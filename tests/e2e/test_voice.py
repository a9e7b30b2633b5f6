"""A caller in a real room: is answered, interrupts, and hangs up."""

from __future__ import annotations

import asyncio
import time
from difflib import SequenceMatcher

import pytest

from bench.caller import Audio, Caller
from speech.moonshine import MoonshineEngine
from tests.e2e.conftest import Rooms, words, words_in
from tests.scripted_llm import ScriptedLLM

pytestmark = pytest.mark.asyncio(loop_scope="session")

LONG_ANSWER = " ".join(
    f"Number {number} is a fine number, and many people like it very much."
    for number in ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
)


def in_order(expected: list[str], heard: list[str]) -> float:
    """The share of the expected letters that were heard, in their order.

    Letters and not words, since a transcriber may write "France is" as "France's".
    """
    wanted, found = "".join(expected), "".join(heard)
    matcher = SequenceMatcher(a=wanted, b=found, autojunk=False)
    return sum(block.size for block in matcher.get_matching_blocks()) / len(wanted)


async def answer_to(caller: Caller, speech: Audio) -> float:
    """Says something and waits until the answer is over; gives the time at which it began."""
    ended_s = await caller.speak(speech)
    began_s = await caller.first_audible_after(ended_s)
    await caller.until_silent(1.5)
    return began_s


@pytest.mark.parametrize("voice", ["human", "question"])
async def test_speech_is_answered_by_voice(
    embedded: Rooms,
    ears: MoonshineEngine,
    human: Audio,
    question: Audio,
    voice: str,
) -> None:
    speech = human if voice == "human" else question
    async with embedded.call() as caller:
        await caller.until_connected()
        ended_s = await caller.speak(speech)
        await caller.first_audible_after(ended_s)
        transcript = await embedded.settled(caller, 2)
        # A pause in the recording may have been taken for its end: the last answer counts.
        await caller.until_silent(1.5)
        transcript = await embedded.settled(caller, len(transcript))
        heard = await words_in(ears, caller.recording(since_s=ended_s))
    assert [entry.role for entry in transcript[-2:]] == ["user", "assistant"]
    said = words(transcript[-1].text)
    assert said
    # The embedded model answers the human recording, which asks nothing, with a word at times, and
    # a transcriber understands no word that stands alone.
    if voice == "question" or sum(map(len, said)) >= 20:
        assert in_order(said, heard) >= 0.7, (said, heard)
    in_room = " ".join(text for identity, text in caller.transcripts if identity != "caller")
    assert transcript[-1].text.split()[-1] in in_room


async def test_the_question_is_understood(
    scripted: Rooms, script: ScriptedLLM, question: Audio
) -> None:
    async with scripted.call() as caller:
        await caller.until_connected()
        await answer_to(caller, question)
        transcript = await scripted.settled(caller, 2)
        await caller.until_told(1)
        (waterfall,) = caller.waterfalls
    spans = {stage["name"]: (stage["start_ms"], stage["end_ms"]) for stage in waterfall["stages"]}
    names = ["vad", "preflight", "end_of_turn", "request", "first_token", "first_audio", "played"]
    assert set(names) <= set(spans)
    assert 0 < spans["vad"][1] < spans["end_of_turn"][1] <= spans["played"][1]
    assert waterfall["total_ms"] == spans["played"][1] < 5000
    assert words(transcript[0].text) == words("What is the capital of France?")
    assert transcript[1].text == script.answer
    assert not transcript[1].interrupted


async def test_an_interruption_silences_the_agent_and_stops_the_answer(
    scripted: Rooms, script: ScriptedLLM, ears: MoonshineEngine, question: Audio
) -> None:
    script.answer = LONG_ANSWER
    script.piece_s = 0.12
    async with scripted.call() as caller:
        await caller.until_connected()
        ended_s = await caller.speak(question)
        began_s = await caller.first_audible_after(ended_s)
        await caller.until_heard(2.5, began_s)
        assert script.open_answers == 1
        cut_off = script.cut_off
        script.answer = "All right."
        interrupted_s = time.perf_counter()
        speaking = asyncio.create_task(caller.speak(question))
        await script.until_cut_off(cut_off + 1)
        silent_s = await caller.until_silent(0.4)
        await speaking
        await caller.first_audible_after(silent_s + 0.4)
        await caller.until_silent(1.5)
        transcript = await scripted.transcript(caller)
        recording = caller.recording(since_s=began_s - 0.2)
        until = int((silent_s + 0.1 - began_s + 0.2) * 24_000)
        heard = await words_in(ears, recording[:until])
    assert silent_s - interrupted_s < 1.5
    first = transcript[1]
    assert first.interrupted
    assert LONG_ANSWER.startswith(first.text.rstrip())
    assert abs(len(words(first.text)) - len(heard)) <= 2, (first.text, heard)
    assert transcript[-1].text == "All right."


async def test_the_greeting_is_spoken_and_the_end_of_the_flow_hangs_up(
    scripted: Rooms, ears: MoonshineEngine, question: Audio
) -> None:
    async with scripted.call(flow_id="farewell") as caller:
        await caller.until_connected()
        began_s = await caller.first_audible_after(0)
        await caller.until_silent(1.0)
        greeting = await words_in(ears, caller.recording(since_s=began_s - 0.2))
        ended_s = await caller.speak(question)
        began_s = await caller.first_audible_after(ended_s)
        await caller.agent_left.wait()
        farewell = await words_in(ears, caller.recording(since_s=began_s - 0.2))
    assert in_order(words("Good morning, this is the front desk."), greeting) >= 0.8
    assert in_order(words("Thank you for calling. Have a good day."), farewell) >= 0.8


async def test_typed_words_are_answered_too(
    scripted: Rooms, script: ScriptedLLM, ears: MoonshineEngine
) -> None:
    async with scripted.call() as caller:
        await caller.until_connected()
        await caller.room.local_participant.send_text("Hello?", topic="lk.chat")
        began_s = await caller.first_audible_after(0)
        await caller.until_silent(1.5)
        heard = await words_in(ears, caller.recording(since_s=began_s - 0.2))
        transcript = await scripted.transcript(caller)
    assert in_order(words(script.answer), heard) >= 0.8
    assert [entry.text for entry in transcript] == ["Hello?", script.answer]


async def test_without_a_flow_any_openai_endpoint_answers(
    scripted: Rooms, script: ScriptedLLM, ears: MoonshineEngine, question: Audio
) -> None:
    worker = await scripted.stack.worker(
        "http://127.0.0.1:1",
        agent_name="direct",
        env={"BRAIN": "openai", "OPENAI_BASE_URL": script.url, "AGENT_GREETING": "Hello."},
    )
    try:
        direct = Rooms(scripted.stack, scripted.backend, worker, "direct")
        async with direct.call() as caller:
            await caller.until_connected()
            greeted_s = await caller.first_audible_after(0)
            await caller.until_silent(1.0)
            began_s = await answer_to(caller, question)
            heard = await words_in(ears, caller.recording(since_s=began_s - 0.2))
    finally:
        await worker.stop()
    assert began_s > greeted_s
    assert in_order(words(script.answer), heard) >= 0.8
