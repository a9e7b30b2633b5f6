"""The example of an agent without a flow, run as its first lines say."""

from __future__ import annotations

import sys
import uuid

import pytest

from bench.caller import Audio, Caller
from bench.local_stack import ROOT, LocalStack, Process
from speech.moonshine import MoonshineEngine
from tests.e2e.conftest import words, words_in
from tests.e2e.test_voice import answer_to, in_order
from tests.scripted_llm import ScriptedLLM

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_the_example_answers_in_a_room(
    local_stack: LocalStack, script: ScriptedLLM, ears: MoonshineEngine, question: Audio
) -> None:
    agent = Process(
        "simple agent",
        [sys.executable, str(ROOT / "examples" / "simple_agent.py"), "dev"],
        {
            "LIVEKIT_URL": local_stack.livekit_url,
            "LIVEKIT_API_KEY": local_stack.key,
            "LIVEKIT_API_SECRET": local_stack.secret,
            "OPENAI_BASE_URL": script.url,
            "OPENAI_API_KEY": "none",
        },
        local_stack.folder / "simple-agent.log",
    )
    local_stack.processes.append(agent)
    await agent.start(local_stack.livekit_url.replace("ws", "http", 1))
    try:
        await agent.until_said("registered worker")
        async with Caller.join(
            local_stack.livekit_url, local_stack.key, local_stack.secret, f"room-{uuid.uuid4().hex}"
        ) as caller:
            await caller.until_connected()
            began_s = await answer_to(caller, question)
            heard = await words_in(ears, caller.recording(since_s=began_s - 0.2))
    finally:
        await agent.stop()
    assert in_order(words(script.answer), heard) >= 0.8, heard
