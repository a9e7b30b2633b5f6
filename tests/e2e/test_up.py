"""`parley up` and `parley call` as a user runs them, and once more with no network at all."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import wave
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import numpy as np
import psutil
import pytest

from stack import livekit_server
from stack.ports import free_port

ROOT = Path(__file__).parents[2]
SETTINGS = (
    "LIVEKIT_PORT",
    "LIVEKIT_TCP_PORT",
    "LIVEKIT_UDP_PORT",
    "BACKEND_PORT",
    "WORKER_PORT",
    "LLM_SERVER_PORT",
)
KEYS = ("OPENAI_", "ANTHROPIC_", "GEMINI_", "GOOGLE_", "OPENROUTER_", "LIVEKIT_", "LLM")
"""Beginnings of variables that would make it another stack than the default one."""
NAMESPACE = """
set -e
ip link set lo up
ip link add near type veth peer name far
ip addr add 192.0.2.1/32 dev near
ip link set near up
ip link set far up
ip neigh add 192.0.2.2 lladdr 02:00:00:00:00:01 dev near
ip route add default via 192.0.2.2 dev near onlink
exec "$@"
"""
"""Loopback, and one address whose way out leads nowhere. It takes that address: WebRTC offers no
loopback address as its own. And it takes the way out: what is sent there can be seen."""
WATCH = """
import socket

watch = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
watch.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
print("watching", flush=True)
while True:
    packet, (device, protocol, direction, *_) = watch.recvfrom(4096)
    if protocol != 0x0800 or direction != socket.PACKET_OUTGOING:
        continue
    header = (packet[0] & 15) * 4
    port = int.from_bytes(packet[header + 2 : header + 4], "big")
    if device != "lo" or (port == 53 and packet[9] in (6, 17)):
        print(f"{socket.inet_ntoa(packet[16:20])}:{port} {packet[header + 8 :][:80]}", flush=True)
"""
"""Writes a line for each IPv4 packet that leaves, and for each question to a name server."""
REACH_OUT = """
import socket

socket.socket(type=socket.SOCK_DGRAM).sendto(b"question", ("127.0.0.1", 53))
socket.socket(type=socket.SOCK_DGRAM).sendto(b"the end", ("203.0.113.1", 9))
"""
READY_WITHIN_S = 180
QUESTION = "What is the capital of France?"


class Stack:
    """`parley up` in a folder of its own, on free ports."""

    def __init__(self, folder: Path, prefix: Sequence[str]) -> None:
        self.folder = folder
        self.said: list[str] = []
        self._prefix = prefix
        self._process: asyncio.subprocess.Process | None = None
        ports = "".join(f"{name}={free_port()}\n" for name in SETTINGS)
        (folder / ".env").write_text(ports)
        self._env = {
            **{name: value for name, value in os.environ.items() if not name.startswith(KEYS)},
            "PYTHONPATH": str(ROOT),
        }

    async def start(self) -> None:
        """Waits until it says that it is ready."""
        self._process = await self._run("up")
        assert self._process.stdout is not None
        async with asyncio.timeout(READY_WITHIN_S):
            while line := (await self._process.stdout.readline()).decode():
                self.said.append(line.rstrip())
                if "Parley is ready" in line:
                    return
        pytest.fail("\n".join(self.said))

    async def parley(self, *arguments: str, keys: str = "") -> tuple[int, str]:
        """Runs a subcommand beside it; gives its status and all that it wrote."""
        process = await self._run(*arguments)
        written, _ = await process.communicate(keys.encode())
        assert process.returncode is not None
        return process.returncode, written.decode()

    def processes(self) -> list[psutil.Process]:
        """All of its processes."""
        assert self._process is not None
        parent = psutil.Process(self._process.pid)
        return [parent, *parent.children(recursive=True)]

    async def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """Stops it as Ctrl-C does; gives its status."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.send_signal(number)
            assert self._process.stdout is not None
            self.said += (await self._process.stdout.read()).decode().splitlines()
        return await self._process.wait()

    async def _run(self, *arguments: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *self._prefix,
            *(sys.executable, "-m", "stack", *arguments),
            cwd=self.folder,
            env=self._env,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )


class NoNetwork:
    """A network namespace in which nothing outside answers, and every attempt is seen."""

    def __init__(self, watching: asyncio.subprocess.Process) -> None:
        self._watching = watching
        self.prefix = ("nsenter", "--net", f"--target={watching.pid}")

    @classmethod
    @contextlib.asynccontextmanager
    async def made(cls) -> AsyncIterator[NoNetwork]:
        """Makes it, and takes it away."""
        watching = await asyncio.create_subprocess_exec(
            *("unshare", "--net", "sh", "-c", NAMESPACE, "sh", sys.executable, "-c", WATCH),
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            assert watching.stdout is not None
            assert await watching.stdout.readline() == b"watching\n"
            yield cls(watching)
        finally:
            watching.kill()
            await watching.wait()

    async def attempts(self) -> list[str]:
        """What was tried so far, to which it adds two of its own as the last."""
        trying = await asyncio.create_subprocess_exec(*self.prefix, sys.executable, "-c", REACH_OUT)
        assert await trying.wait() == 0
        assert self._watching.stdout is not None
        seen: list[str] = []
        while not seen or "the end" not in seen[-1]:
            seen.append((await self._watching.stdout.readline()).decode().rstrip())
            assert seen[-1], "the watch has ended"
        return seen


@contextlib.asynccontextmanager
async def running(folder: Path, prefix: Sequence[str] = ()) -> AsyncIterator[Stack]:
    await asyncio.to_thread(livekit_server.find_or_build, lambda text: None)
    stack = Stack(folder, prefix)
    try:
        await stack.start()
        yield stack
    finally:
        await stack.stop()


def loudness(file: Path) -> float:
    with wave.open(str(file)) as recording:
        samples = np.frombuffer(recording.readframes(recording.getnframes()), np.int16)
    return float(np.abs(samples).max()) / 32768 if len(samples) else 0.0


@pytest.mark.timeout(600)  # on a fresh machine it builds the LiveKit server
async def test_a_question_is_answered_by_voice_and_by_text_and_nothing_is_left_running(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as stack:
        status, said = await stack.parley("call", "--text", keys=f"{QUESTION}\n")
        assert status == 0, said
        assert any(line.startswith("agent") for line in said.splitlines())
        status, said = await stack.parley("chat", QUESTION)
        assert status == 0, said
        assert said.strip()
        status, said = await stack.parley("doctor")
        assert status == 0, said
        assert "serves at" in said
        processes = stack.processes()
        assert await stack.stop() == 0
    _, alive = psutil.wait_procs(processes, timeout=10)
    assert alive == []
    assert stack.said[-1] == "Stopped."
    assert "did not stop in time" not in "\n".join(stack.said)


@pytest.mark.skipif(sys.platform != "linux", reason="network namespaces are Linux's")
@pytest.mark.timeout(600)
async def test_a_whole_spoken_turn_needs_no_network(tmp_path: Path) -> None:
    if os.geteuid() != 0 or not all(map(shutil.which, ("unshare", "nsenter", "ip"))):
        pytest.fail("This test makes a network namespace: run it as root, with iproute2.")
    async with NoNetwork.made() as network:
        async with running(tmp_path, network.prefix) as stack:
            status, said = await stack.parley("say", QUESTION, "-o", "question.wav")
            assert status == 0, said
            status, said = await stack.parley(
                "call", "--wav", "question.wav", "--record", "answer.wav"
            )
            assert status == 0, said
        attempts = await network.attempts()
    assert [place.split()[0] for place in attempts[-2:]] == ["127.0.0.1:53", "203.0.113.1:9"]
    assert attempts[:-2] == []
    lines = [line.partition("│") for line in said.splitlines() if "│" in line]
    heard = " ".join(text for who, _, text in lines if who.strip() == "you")
    assert "capital of france" in heard.lower()
    assert any(text.strip() for who, _, text in lines if who.strip() == "agent")
    assert loudness(tmp_path / "answer.wav") > 0.05
