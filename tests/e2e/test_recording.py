"""A call that is recorded: both voices in their channels, and an account that fits the sound."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import numpy as np
import pytest
import soundfile

from bench.caller import Audio
from speech.moonshine import MoonshineEngine
from tests.e2e.conftest import Rooms, words, words_in
from tests.e2e.test_voice import answer_to, in_order
from tests.scripted_llm import ScriptedLLM

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_both_sides_are_recorded_with_what_was_said(
    scripted: Rooms, script: ScriptedLLM, ears: MoonshineEngine, question: Audio, tmp_path: Path
) -> None:
    folder = tmp_path / "calls"
    worker = await scripted.stack.worker(
        scripted.backend.url, agent_name="recording", env={"RECORDINGS_DIR": str(folder)}
    )
    try:
        rooms = Rooms(scripted.stack, scripted.backend, worker, "recording")
        async with rooms.call() as caller:
            await caller.until_connected()
            await answer_to(caller, question)
            await rooms.settled(caller, 2)
    finally:
        # Waits for the end of the call.
        await worker.stop()
    (account_file,) = folder.glob("*.json")
    account = json.loads(account_file.read_text())
    assert account["participant"] == "caller"
    (session,) = account["sessions"]
    assert session["flow_id"] == "default"
    assert session["session_id"]
    roles = [(message["role"], message["text"]) for message in account["messages"]]
    assert roles[-1] == ("assistant", script.answer)
    assert words(roles[0][1]) == words("What is the capital of France?")
    sound = account_file.with_suffix(".ogg")
    assert stat.S_IMODE(sound.stat().st_mode) == 0o600
    samples, rate_hz = soundfile.read(sound, dtype="float32")
    left, right = (np.ascontiguousarray(samples[:: rate_hz // 24_000, side]) for side in (0, 1))
    said = await words_in(ears, left)
    answered = await words_in(ears, right)
    assert in_order(words("What is the capital of France?"), said) >= 0.8, said
    assert in_order(words(script.answer), answered) >= 0.8, answered
