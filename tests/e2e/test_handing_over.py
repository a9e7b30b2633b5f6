"""Keys, and calls that are handed over."""

from __future__ import annotations

import asyncio

import pytest
from livekit import rtc

from agent_worker.keypad import CODES
from bench.caller import Caller
from speech.moonshine import MoonshineEngine
from tests.e2e.conftest import Rooms, words, words_in
from tests.e2e.test_voice import in_order

pytestmark = pytest.mark.asyncio(loop_scope="session")

WITHIN_S = 60.0


class Keys:
    """Digits that the agent presses."""

    def __init__(self, caller: Caller) -> None:
        self.pressed = ""
        self._changed = asyncio.Event()
        caller.room.on("sip_dtmf_received", self._on_dtmf)

    def _on_dtmf(self, event: rtc.SipDTMF) -> None:
        self.pressed += event.digit
        self._changed.set()

    async def until(self, digits: str) -> None:
        while not self.pressed.endswith(digits):
            self._changed.clear()
            await self._changed.wait()


async def test_digits_are_read_and_pressed_and_the_call_goes_on_with_another_flow(
    scripted: Rooms, ears: MoonshineEngine
) -> None:
    async with scripted.call(flow_id="keys") as caller, asyncio.timeout(WITHIN_S):
        await caller.until_connected()
        keys = Keys(caller)
        await caller.room.local_participant.send_text("Hello.", topic="lk.chat")
        await caller.first_audible_after(0)
        for digit in "4711":
            await caller.room.local_participant.publish_dtmf(code=CODES[digit], digit=digit)
        cut_s = await caller.until_silent(0.3)
        await keys.until("#")
        began_s = await caller.first_audible_after(cut_s + 0.3)
        await caller.until_silent(1.5)
        greeting = await words_in(ears, caller.recording(since_s=began_s - 0.2))
        await caller.room.local_participant.send_text("Nothing.", topic="lk.chat")
        await caller.agent_left.wait()
    assert keys.pressed == "4711#"
    assert in_order(words("what can I do for you"), greeting) >= 0.8, greeting
    assert "good" in greeting


async def test_another_agent_takes_the_call(scripted: Rooms, ears: MoonshineEngine) -> None:
    worker = await scripted.stack.worker(
        scripted.backend.url, agent_name="second", env={"FLOW_ID": "named"}
    )
    try:
        async with scripted.call(flow_id="away") as caller, asyncio.timeout(WITHIN_S):
            await caller.until_connected()
            (first,) = caller.room.remote_participants
            await caller.room.local_participant.send_text("agent:second", topic="lk.chat")
            await caller.agent_left.wait()
            began_s = await caller.first_audible_after(caller.last_audible() or 0)
            await caller.until_silent(1.5)
            (second,) = caller.room.remote_participants
            greeting = await words_in(ears, caller.recording(since_s=began_s - 0.2))
    finally:
        await worker.stop()
    assert second != first
    assert in_order(words("Good morning Ann, what can I do for you?"), greeting) >= 0.7, greeting


async def test_a_call_that_cannot_be_handed_over_is_told_so(
    scripted: Rooms, ears: MoonshineEngine
) -> None:
    async with scripted.call(flow_id="away") as caller, asyncio.timeout(WITHIN_S):
        await caller.until_connected()
        await caller.room.local_participant.send_text("+1 555 0100", topic="lk.chat")
        began_s = await caller.first_audible_after(0)
        await caller.agent_left.wait()
        heard = await words_in(ears, caller.recording(since_s=began_s - 0.2))
    assert in_order(words("I will connect you. Sorry, I could not connect you."), heard) >= 0.8
