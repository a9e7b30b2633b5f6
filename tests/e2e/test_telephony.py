"""Telephone calls as livekit-sip brings them to LiveKit and its rooms; no SIP and RTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

import pytest
import pytest_asyncio
from livekit import api

from bench.caller import HEARD_RATE_HZ, Audio
from bench.local_stack import LocalStack
from speech.moonshine import MoonshineEngine
from tests.e2e.conftest import FLOWS, Rooms, words, words_in
from tests.e2e.test_voice import in_order
from tests.livekit_bus import RefusedError
from tests.scripted_llm import ScriptedLLM
from tests.sip_bridge import Phone, SipBridge, over_the_line
from tests.sip_stack import KEY, SECRET, livekit_with_sip, sip

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]

NUMBERS = {"+4930100": "farewell", "+4930101": "keys", "+4930102": "connected"}
ALLOWED = ("--allow", "127.0.0.1")
CALLER = "+4930765"
WITHIN_S = 90.0
QUESTION = words("What is the capital of France?")


@dataclass
class Exchange:
    """A stack with numbers: what stands between telephones and the agent."""

    rooms: Rooms
    bridge: SipBridge
    trunk: str
    """For calls out."""

    @property
    def stack(self) -> LocalStack:
        return self.rooms.stack

    @property
    def url(self) -> str:
        return self.stack.livekit_url

    async def call(self, number: str) -> AbstractAsyncContextManager[Phone]:
        """Somebody calls this number, over the wire of the allowed provider."""
        return Phone.called(self.url, KEY, SECRET, await self.bridge.invited(number, CALLER))

    async def until_gone(self, room: str) -> None:
        """Waits until the worker has ended a call whose caller has hung up."""
        async with api.LiveKitAPI(self.url, KEY, SECRET) as livekit:
            while True:
                found = await livekit.room.list_rooms(api.ListRoomsRequest(names=[room]))
                if not found.rooms:
                    return
                await asyncio.sleep(0.1)

    async def until_stored(self, phone: Phone, flow_id: str, words: str) -> None:
        """Waits until the backend holds a turn of the caller's with these words."""
        while True:
            for entry in await self.rooms.transcript(phone.caller, flow_id):
                if entry.role == "user" and words in entry.text:
                    return
            await asyncio.sleep(0.1)

    async def until_worker_says(self, phone: Phone, words: str) -> None:
        await self.rooms.worker.until_said(f"room {phone.caller.room.name}: {words}")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def exchange(
    script: ScriptedLLM, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Exchange]:
    folder = tmp_path_factory.mktemp("exchange")
    with livekit_with_sip(folder) as server:
        stack = LocalStack(folder)
        stack.livekit_url, stack.key, stack.secret = server.url, KEY, SECRET
        try:
            backend = await stack.backend(
                {
                    "LLM": "openai",
                    "OPENAI_BASE_URL": script.url,
                    "OPENAI_API_KEY": "none",
                    "FLOWS_DIR": str(FLOWS),
                }
            )
            worker = await stack.worker(backend.url)
            for number, flow in NUMBERS.items():
                set_up(server.url, "inbound", number, *ALLOWED, "--flow", flow, "--name", flow)
            said = set_up(server.url, "outbound", "sip.example.org", "+4930100")
            trunk = next(word for word in said.split() if word.startswith("ST_"))
            async with SipBridge.open(server.redis_port) as bridge:
                yield Exchange(Rooms(stack, backend, worker, ""), bridge, trunk.rstrip("."))
        finally:
            for process in reversed(stack.processes):
                await process.stop()


def set_up(url: str, *arguments: str) -> str:
    """Runs `parley sip`, which must succeed; gives what it says."""
    done = sip(url, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


async def heard_on(phone: Phone, ears: MoonshineEngine, since_s: float = 0.0) -> list[str]:
    """What comes out of the telephone."""
    sound = phone.caller.recording(since_s=since_s)
    return await words_in(ears, over_the_line(sound, HEARD_RATE_HZ))


async def test_a_caller_is_greeted_understood_and_the_agent_hangs_up(
    exchange: Exchange, ears: MoonshineEngine, question: Audio
) -> None:
    async with await exchange.call("+4930100") as phone, asyncio.timeout(WITHIN_S):
        began_s = await phone.caller.first_audible_after(0)
        await phone.caller.until_silent(1.5)
        greeting = await heard_on(phone, ears, began_s - 0.2)
        ended_s = await phone.speak(question)
        await phone.caller.agent_left.wait()
        goodbye = await heard_on(phone, ears, ended_s)
        transcript = await exchange.rooms.transcript(phone.caller, "farewell")
    assert in_order(words("Good morning, this is the front desk."), greeting) >= 0.8, greeting
    assert in_order(words("Thank you for calling. Have a good day."), goodbye) >= 0.8, goodbye
    asked = next(entry for entry in transcript if entry.role == "user")
    assert in_order(QUESTION, words(asked.text)) >= 0.8, asked.text


async def test_keys_are_read_and_pressed_and_the_caller_hangs_up(
    exchange: Exchange, question: Audio
) -> None:
    async with await exchange.call("+4930101") as phone, asyncio.timeout(WITHIN_S):
        await phone.speak(question)
        await phone.caller.first_audible_after(0)
        await phone.press("4711")
        await phone.until_pressed("4711#")
        room = phone.caller.room.name
    async with asyncio.timeout(WITHIN_S):
        await exchange.until_gone(room)
        await exchange.until_stored(phone, "keys", "4711")


async def test_a_call_is_transferred(exchange: Exchange, question: Audio) -> None:
    exchange.bridge.takes_transfers = True
    async with await exchange.call("+4930102") as phone, asyncio.timeout(WITHIN_S):
        await phone.caller.first_audible_after(0)
        await phone.caller.until_silent(1.0)
        await phone.speak(question)
        assert await exchange.bridge.transfers.get() == "tel:+49305550100"
        await exchange.until_worker_says(phone, "handed over to a phone")
        assert not phone.caller.agent_left.is_set()
    assert exchange.bridge.transfers.empty()


async def test_who_cannot_be_transferred_is_told_so(
    exchange: Exchange, ears: MoonshineEngine, question: Audio
) -> None:
    exchange.bridge.takes_transfers = False
    async with await exchange.call("+4930102") as phone, asyncio.timeout(WITHIN_S):
        await phone.caller.first_audible_after(0)
        await phone.caller.until_silent(1.0)
        ended_s = await phone.speak(question)
        assert await exchange.bridge.transfers.get() == "tel:+49305550100"
        await phone.caller.agent_left.wait()
        heard = await heard_on(phone, ears, ended_s)
    assert exchange.bridge.transfers.empty()
    assert in_order(words("I will connect you. Sorry, I could not connect you."), heard) >= 0.8


async def test_who_is_called_is_greeted_once_they_answer(
    exchange: Exchange, ears: MoonshineEngine
) -> None:
    arguments = ("call", CALLER, "--trunk", exchange.trunk, "--flow", "farewell")
    calling = asyncio.create_task(asyncio.to_thread(sip, exchange.url, *arguments))
    async with asyncio.timeout(WITHIN_S):
        dialling = await exchange.bridge.dialled.get()
        async with Phone.rung(exchange.url, KEY, SECRET, dialling.dispatch) as phone:
            await exchange.until_worker_says(phone, "the telephone rings")
            agents = phone.caller.room.remote_participants.values()
            assert not any("parley.session" in agent.attributes for agent in agents)
            await phone.answer()
            dialling.outcome.set_result(None)
            began_s = await phone.caller.first_audible_after(0)
            await phone.caller.until_silent(1.5)
            greeting = await heard_on(phone, ears, began_s - 0.2)
        done = await calling
    assert done.returncode == 0, done.stderr
    assert in_order(words("Good morning, this is the front desk."), greeting) >= 0.8, greeting


async def test_nobody_answers(exchange: Exchange) -> None:
    arguments = ("call", CALLER, "--trunk", exchange.trunk)
    calling = asyncio.create_task(asyncio.to_thread(sip, exchange.url, *arguments))
    async with asyncio.timeout(WITHIN_S):
        dialling = await exchange.bridge.dialled.get()
        async with Phone.rung(exchange.url, KEY, SECRET, dialling.dispatch) as phone:
            await exchange.until_worker_says(phone, "the telephone rings")
        dialling.outcome.set_exception(RefusedError("unavailable", "486 Busy Here"))
        done = await calling
        await exchange.until_worker_says(phone, "nobody answered")
    assert done.returncode == 1
    assert "486 Busy Here" in done.stderr
