"""Calls over a network that loses and delays packets, or is gone for a while."""

from __future__ import annotations

import asyncio
import json
import socket
import tempfile
import uuid
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from bench.caller import Audio, Caller
from bench.local_stack import LocalStack, Process, free_port
from bench.remote_model import RemoteModel
from bench.voice import spoken
from speech.moonshine import MoonshineEngine
from stack import livekit_server
from tests.e2e.conftest import Rooms, words, words_in
from tests.e2e.test_voice import answer_to, in_order
from tests.fault.network import RELAY_HOST, MediaRelay, SignalRelay

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

QUESTION = "What is the capital of France?"
ANSWER = "Paris is the capital of France, and it has been so for a very long time."
AWAY_S = 10.0
AUDIO_PACKETS_S = 50
"""Packets a second of one voice, one way."""


@dataclass
class Network:
    """A stack behind relays."""

    rooms: Rooms
    media: MediaRelay
    signal: SignalRelay

    def call(self) -> AbstractAsyncContextManager[Caller]:
        stack = self.rooms.stack
        room = f"room-{uuid.uuid4().hex[:8]}"
        return Caller.join(
            self.signal.url, stack.key, stack.secret, room, agent_name=self.rooms.agent_name
        )


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def network() -> AsyncIterator[Network]:
    with tempfile.TemporaryDirectory(prefix="parley-") as folder:
        stack = LocalStack(Path(folder))
        port, udp_port = int(stack.livekit_url.rpartition(":")[2]), free_port(socket.SOCK_DGRAM)
        livekit = Process(
            "livekit",
            [str(livekit_server.find_or_build(lambda _: None))],
            {"LIVEKIT_CONFIG": configuration(stack, port, udp_port)},
            stack.folder / "livekit.log",
        )
        stack.processes.append(livekit)
        try:
            await livekit.start(f"http://127.0.0.1:{port}")
            async with (
                MediaRelay.on(udp_port) as media,
                SignalRelay.on(port) as signal,
                RemoteModel(ANSWER).serve() as model,
            ):
                backend = await stack.backend(model)
                worker = await stack.worker(backend.url, agent_name="parley")
                yield Network(Rooms(stack, backend, worker, "parley"), media, signal)
        finally:
            for process in reversed(stack.processes):
                await process.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def question() -> Audio:
    (speech,) = await spoken([QUESTION])
    return speech


def configuration(stack: LocalStack, port: int, udp_port: int) -> str:
    """JSON is YAML, too."""
    return json.dumps(
        {
            "port": port,
            "bind_addresses": ["127.0.0.1"],
            "rtc": {
                "udp_port": udp_port,
                "tcp_port": 0,
                "allow_tcp_fallback": False,
                "use_ice_lite": True,
                "node_ip": RELAY_HOST,
                "use_external_ip": False,
                "enable_loopback_candidate": True,
                "interfaces": {"includes": ["lo"]},
                "stun_servers": [f"127.0.0.1:{udp_port}"],
            },
            "keys": {stack.key: stack.secret},
            "logging": {"level": "error", "pion_level": "error"},
        }
    )


async def test_a_tenth_lost_and_a_fifth_of_a_second_of_jitter(
    network: Network, question: Audio
) -> None:
    media = network.media
    async with MoonshineEngine() as ears, network.call() as caller:
        await caller.until_connected()
        media.loss, media.jitter_s = 0.1, 0.2
        try:
            carried, lost = media.carried, media.lost
            began_s = await answer_to(caller, question)
            carried, lost = media.carried - carried, media.lost - lost
        finally:
            media.loss = media.jitter_s = 0.0
        transcript = await network.rooms.settled(caller, 2)
        heard = await words_in(ears, caller.recording(since_s=began_s - 0.2))
    spoken_s = len(question) / 16_000
    assert carried > spoken_s * AUDIO_PACKETS_S
    assert 0.06 < lost / (carried + lost) < 0.14
    assert in_order(words(QUESTION), words(transcript[0].text)) >= 0.7, transcript[0].text
    assert in_order(words(ANSWER), heard) >= 0.7, heard


async def test_a_caller_who_is_gone_for_ten_seconds_goes_on_where_they_were(
    network: Network, question: Audio
) -> None:
    async with network.call() as caller:
        back = asyncio.Event()
        caller.room.on("reconnected", back.set)
        await caller.until_connected()
        await answer_to(caller, question)
        network.media.broken = True
        network.signal.break_off()
        await asyncio.sleep(AWAY_S)
        network.media.broken = network.signal.broken = False
        await back.wait()
        await answer_to(caller, question)
        transcript = await network.rooms.settled(caller, 4)
    assert [entry.role for entry in transcript] == ["user", "assistant"] * 2
    assert words(transcript[2].text) == words(QUESTION)
