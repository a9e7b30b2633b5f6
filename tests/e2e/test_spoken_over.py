"""Somebody speaks while the agent does."""

from __future__ import annotations

import pytest
from livekit import rtc

from agent_worker.interruption import INTERRUPT_METHOD
from bench.caller import Audio, Caller
from speech.moonshine import MoonshineEngine
from tests.e2e.conftest import Rooms, words_in
from tests.e2e.test_voice import LONG_ANSWER
from tests.scripted_llm import ScriptedLLM

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_listeners_yeah_does_not_end_the_answer(
    scripted: Rooms, script: ScriptedLLM, question: Audio, backchannel: Audio
) -> None:
    script.answer = " ".join(LONG_ANSWER.split()[:40])
    async with scripted.call() as caller:
        await caller.until_connected()
        began_s = await caller.first_audible_after(await caller.speak(question))
        await caller.until_heard(1.5, began_s)
        await caller.speak(backchannel)
        await scripted.worker.until_said(
            f"spoke over the agent: backchannel [room={caller.room.name}"
        )
        transcript = await scripted.settled(caller, 2)
        await caller.until_told(1)
        (waterfall,) = caller.waterfalls
    assert [entry.role for entry in transcript] == ["user", "assistant"]
    assert transcript[1].text == script.answer
    assert not transcript[1].interrupted
    assert not waterfall["interrupted"]


async def test_what_the_flow_protects_is_spoken_to_its_end(
    scripted: Rooms, ears: MoonshineEngine, question: Audio
) -> None:
    async with scripted.call(flow_id="protected") as caller:
        await caller.until_connected()
        (agent,) = caller.room.remote_participants
        began_s = await caller.first_audible_after(await caller.speak(question))
        await caller.until_heard(0.3, began_s)
        with pytest.raises(rtc.RpcError) as refused:
            await caller.room.local_participant.perform_rpc(
                destination_identity=agent, method=INTERRUPT_METHOD, payload=""
            )
        await caller.speak(question)
        await caller.agent_left.wait()
        heard = await words_in(ears, caller.recording(since_s=began_s - 0.2))
    assert refused.value.code == 409
    assert heard[-2:] == ["this", "notice"]


async def test_the_callers_client_may_interrupt_and_nobody_elses(
    scripted: Rooms, script: ScriptedLLM, question: Audio
) -> None:
    script.answer = LONG_ANSWER
    async with scripted.call() as caller:
        await caller.until_connected()
        (agent,) = caller.room.remote_participants
        began_s = await caller.first_audible_after(await caller.speak(question))
        await caller.until_heard(0.8, began_s)
        stack = scripted.stack
        async with Caller.join(
            stack.livekit_url, stack.key, stack.secret, caller.room.name, identity="stranger"
        ) as stranger:
            with pytest.raises(rtc.RpcError) as refused:
                await stranger.room.local_participant.perform_rpc(
                    destination_identity=agent, method=INTERRUPT_METHOD, payload=""
                )
        assert refused.value.code == 403
        await caller.room.local_participant.perform_rpc(
            destination_identity=agent, method=INTERRUPT_METHOD, payload=""
        )
        transcript = await scripted.settled(caller, 2)
        await caller.until_told(1)
        (waterfall,) = caller.waterfalls
    assert transcript[1].interrupted
    assert len(transcript[1].text) < len(LONG_ANSWER)
    assert waterfall["interrupted"]
    assert waterfall["heard_text"] == transcript[1].text
