"""Time to first text and first audio of each door beside the engine alone; memory of `/ws`.

The engine alone is a flow's own stream, read by the sentence buffer, whose first sentence goes to
Piper in this process: the room path's share. Answers are scripted, a word every 10 ms, and nothing
is cached, so that the difference is what a door costs. Memory is that of the backend's process.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import asdict, dataclass
from typing import Annotated, Any
from uuid import uuid4

import httpx
import psutil
import typer
from httpx_sse import ServerSentEvent, aconnect_sse
from rich.console import Console
from rich.table import Table
from websockets.asyncio.client import connect

from flow_backend.doors.speaking import sentence_buffer
from protocol.heap import Heap
from speech.engines import LocalEngines
from speech.settings import SpeechSettings
from speech.tts import TTSProvider, create

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)

BASELINE = "engine alone"
MESSAGE = "Tell me about the tides."
BETWEEN_ANSWERS_S = 10.0
"""Pause on held connections, so that the agent may speak to the end."""
SETTLING_ANSWERS = 6
"""First answers of all connections at once, after which each session keeps its newest turns."""


@dataclass(frozen=True, slots=True)
class First:
    """From the request on."""

    text_ms: float
    audio_ms: float | None
    """None for a door without audio."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What connections cost the backend."""

    connections: int
    answers: int
    """On each of them."""
    mb_each: float
    """At the most."""
    growth_mb: float
    """Of the whole process, from the seventh answer on every connection to the last."""
    used_mb: float
    """What of that is in use: transcripts of the calls, the database's pages."""
    free_mb: float
    """What of that malloc holds free."""
    kept_mb: float
    """What is in use more than after the seventh answers when all calls are over."""


class Server:
    """The backend's process."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self._process = process
        self.url = url

    @property
    def rss_bytes(self) -> int:
        """Memory that it takes of the machine."""
        return int(psutil.Process(self._process.pid).memory_info().rss)

    async def heap(self, *, without_sessions: bool = False) -> Heap:
        """What the memory is used for; afterwards no session is in it, if so wished."""
        self._process.send_signal(signal.SIGUSR2 if without_sessions else signal.SIGUSR1)
        assert self._process.stdout is not None
        line = await asyncio.to_thread(self._process.stdout.readline)
        return Heap(**json.loads(line))


@contextmanager
def serving(cache_mb: int, *, silent: bool = False) -> Iterator[Server]:
    """A backend in a process of its own.

    With a cache its Python objects are given out by malloc, too, which tells what is in use.
    """
    command = [sys.executable, "-m", "bench.doors_server", str(cache_mb)]
    if silent:
        command.append("silent")
    environment = {**os.environ, "PYTHONMALLOC": "malloc"} if cache_mb else None
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            url = f"http://127.0.0.1:{process.stdout.readline().strip()}"
            for _ in range(600):
                try:
                    httpx.get(f"{url}/healthz", trust_env=False)
                    break
                except httpx.TransportError:
                    time.sleep(0.1)
            yield Server(process, url)
        finally:
            process.terminate()


class Bench:
    """One client of one backend."""

    def __init__(self, http: httpx.AsyncClient, voice: TTSProvider) -> None:
        self._http = http
        self._voice = voice
        self.doors: dict[str, Callable[[], Awaitable[First]]] = {
            BASELINE: self.engine_alone,
            "A  /api/stream": self.door_a,
            "B  /api/chat/stream": self.door_b,
            "C  /chat/stream + /api/tts": self.door_c,
            "D  /ws": self.door_d,
            "   /v1/chat/completions": self.completions,
        }

    async def _events(
        self, method: str, path: str, **request: Any
    ) -> AsyncGenerator[ServerSentEvent, None]:
        async with aconnect_sse(self._http, method, path, **request) as source:
            source.response.raise_for_status()
            async for event in source.aiter_sse():
                yield event

    async def engine_alone(self) -> First:
        """A flow's stream, the sentence buffer and Piper."""
        begun = time.perf_counter()
        text_ms = audio_ms = 0.0
        buffer = sentence_buffer()
        path = f"/api/flows/default/stream/{uuid4().hex}"
        async with aclosing(self._events("GET", path, params={"input": MESSAGE})) as events:
            async for event in events:
                data = json.loads(event.data)
                if data["type"] != "token":
                    continue
                text_ms = text_ms or since_ms(begun)
                for sentence in buffer.push(data["content"]):
                    if audio_ms:
                        continue
                    async with aclosing(self._voice.stream(sentence)) as chunks:
                        await anext(chunks)
                    audio_ms = since_ms(begun)
        return First(text_ms, audio_ms)

    async def door_a(self) -> First:
        """Text and parallel audio."""
        body = {"prompt": MESSAGE, "streamTTS": True}
        begun = time.perf_counter()
        text_ms = audio_ms = 0.0
        async with aclosing(self._events("POST", "/api/stream", json=body)) as events:
            async for event in events:
                kind = json.loads(event.data)["type"]
                if kind == "text":
                    text_ms = text_ms or since_ms(begun)
                elif kind == "audio":
                    audio_ms = audio_ms or since_ms(begun)
        return First(text_ms, audio_ms)

    async def door_b(self) -> First:
        """Named events; audio comes a sentence at a time."""
        begun = time.perf_counter()
        text_ms = audio_ms = 0.0
        async with aclosing(
            self._events("POST", "/api/chat/stream", json={"message": MESSAGE})
        ) as events:
            async for event in events:
                if event.event == "text":
                    text_ms = text_ms or since_ms(begun)
                elif event.event == "audio":
                    audio_ms = audio_ms or since_ms(begun)
        return First(text_ms, audio_ms)

    async def door_c(self) -> First:
        """Audio is asked for when the text is whole: its time counts from that request."""
        body = {
            "conversation_id": uuid4().hex,
            "user_message": MESSAGE,
            "language": "English",
            "difficulty_level": "B1",
        }
        begun = time.perf_counter()
        text_ms, text = 0.0, ""
        async with aclosing(self._events("POST", "/chat/stream", json=body)) as events:
            async for event in events:
                text_ms = text_ms or since_ms(begun)
                text = json.loads(event.data).get("full_text", text)
        begun = time.perf_counter()
        async with self._http.stream("POST", "/api/tts", json={"text": text}) as response:
            async for _ in response.aiter_raw():
                break
            return First(text_ms, since_ms(begun))

    async def door_d(self) -> First:
        """The WebSocket; connecting is not counted."""
        async with connect(socket_url(str(self._http.base_url)), proxy=None) as socket:
            text_ms = audio_ms = 0.0
            begun = time.perf_counter()
            await socket.send(json.dumps({"type": "user_message", "data": {"text": MESSAGE}}))
            while True:
                frame = await socket.recv()
                if isinstance(frame, bytes):
                    audio_ms = audio_ms or since_ms(begun)
                    continue
                kind = json.loads(frame)["type"]
                if kind == "text_chunk":
                    text_ms = text_ms or since_ms(begun)
                elif kind == "audio_complete":
                    return First(text_ms, audio_ms)

    async def completions(self) -> First:
        """Text alone."""
        body = {
            "model": "default",
            "stream": True,
            "messages": [{"role": "user", "content": MESSAGE}],
        }
        begun = time.perf_counter()
        text_ms = 0.0
        async with aclosing(self._events("POST", "/v1/chat/completions", json=body)) as events:
            async for event in events:
                if event.data != "[DONE]" and json.loads(event.data)["choices"][0]["delta"].get(
                    "content"
                ):
                    text_ms = text_ms or since_ms(begun)
        return First(text_ms, None)


def since_ms(begun: float) -> float:
    """Milliseconds since a moment of `perf_counter`."""
    return (time.perf_counter() - begun) * 1000


def socket_url(url: str) -> str:
    """Where the WebSocket door is."""
    return url.replace("http", "ws", 1).rstrip("/") + "/ws"


async def times(url: str, rounds: int) -> dict[str, First]:
    """Medians of each door; the doors take turns, after a round that does not count."""
    engines = LocalEngines()
    voice = create("piper", SpeechSettings(), engines)
    found: dict[str, list[First]] = {}
    async with httpx.AsyncClient(base_url=url, timeout=60, trust_env=False) as http:
        doors = Bench(http, voice).doors
        for number in range(rounds + 1):
            for name, door in doors.items():
                first = await door()
                if number:
                    found.setdefault(name, []).append(first)
    await voice.aclose()
    await engines.aclose()
    return {
        name: First(
            statistics.median(first.text_ms for first in firsts),
            None
            if firsts[0].audio_ms is None
            else statistics.median(first.audio_ms or 0.0 for first in firsts),
        )
        for name, firsts in found.items()
    }


async def memory(server: Server, connections: int, answers: int, minutes: float) -> Memory:
    """Holds connections that are all answered again and again, with speech from the cache."""

    async def answered(socket: Any) -> None:
        await socket.send(json.dumps({"type": "user_message", "data": {"text": MESSAGE}}))
        while True:
            frame = await socket.recv()
            if isinstance(frame, str) and json.loads(frame)["type"] == "audio_complete":
                return

    url = socket_url(server.url)
    async with connect(url, proxy=None) as socket:
        # Twice: models load, and the cache has the speech.
        await answered(socket)
        await answered(socket)
    before_bytes = server.rss_bytes
    sockets = [await connect(url, proxy=None) for _ in range(connections)]
    after_bytes: list[int] = []
    settled: tuple[int, Heap] | None = None
    begun = time.perf_counter()
    while len(after_bytes) < answers or time.perf_counter() - begun < minutes * 60:
        if after_bytes and minutes:
            await asyncio.sleep(BETWEEN_ANSWERS_S)
        await asyncio.gather(*(answered(socket) for socket in sockets))
        after_bytes.append(server.rss_bytes)
        if len(after_bytes) <= SETTLING_ANSWERS + 1:
            settled = after_bytes[-1], await server.heap()
    assert settled is not None
    last = await server.heap()
    for socket in sockets:
        await socket.close()
    over = await server.heap(without_sessions=True)
    settled_bytes, settled_heap = settled
    return Memory(
        connections,
        len(after_bytes),
        (max(after_bytes) - before_bytes) / connections / 1e6,
        (after_bytes[-1] - settled_bytes) / 1e6,
        (last.used - settled_heap.used) / 1e6,
        (last.free - settled_heap.free) / 1e6,
        (over.used - settled_heap.used) / 1e6,
    )


@app.command()
def doors(
    rounds: Annotated[int, typer.Option(min=1, help="Answers of each door.")] = 5,
    connections: Annotated[int, typer.Option(min=1, help="Connections held at `/ws`.")] = 50,
    answers: Annotated[int, typer.Option(min=1, help="Answers on each of them, at least.")] = 3,
    minutes: Annotated[
        float, typer.Option(min=0, help="Go on answering on them for so long, every ten seconds.")
    ] = 0,
    silent: Annotated[
        bool, typer.Option("--silent", help="Answer on them at once, without a voice.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Time each door beside the engine alone, and weigh connections of `/ws`."""
    with serving(cache_mb=0) as server:
        firsts = asyncio.run(times(server.url, rounds))
    with serving(cache_mb=64, silent=silent) as server:
        held = asyncio.run(memory(server, connections, answers, minutes))
    if as_json:
        rows = {name.strip(): asdict(first) for name, first in firsts.items()}
        sys.stdout.write(json.dumps({"doors": rows, "memory": asdict(held)}, indent=1) + "\n")
        return
    table = Table("door", "first text ms", "first audio ms", "audio ÷ engine")
    base = firsts[BASELINE].audio_ms or 1.0
    for name, first in firsts.items():
        audio = "" if first.audio_ms is None else f"{first.audio_ms:.0f}"
        ratio = "" if first.audio_ms is None else f"{first.audio_ms / base:.2f}"
        table.add_row(name, f"{first.text_ms:.1f}", audio, ratio)
    Console().print(table)
    Console().print(
        f"/ws: {held.connections} connections, {held.answers} answers on each, "
        f"{held.mb_each:.2f} MB each at the most; from the seventh answer to the last "
        f"{held.growth_mb:+.1f} MB in all: {held.used_mb:+.1f} MB in use and {held.free_mb:+.1f} "
        f"MB held free; {held.kept_mb:+.1f} MB in use once all calls are over"
    )


if __name__ == "__main__":
    app()
