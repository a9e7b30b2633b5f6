"""What the flow engine adds to each token, beside a bare SSE endpoint.

Each token is the time at which the model gave it, so that the client sees how long it was on the
way (CLOCK_MONOTONIC is one clock for all processes of a machine). Both servers run in a process of
their own, one after the other, and give the same tokens at the same pace: the difference is what
sessions, numbering, the journal and the database cost.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Annotated, cast

import httpx
import psutil
import typer
import uvicorn
import uvloop
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from rich.console import Console
from rich.table import Table

from bench import flow_validation
from flow_backend.app import create_app
from flow_backend.llm.base import Delta, GenerationParams, LLMProvider, Message, TextDelta
from flow_backend.settings import BackendSettings

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)

_STAMP = re.compile(rb'"type": ?"token"[^\n]*?"content": ?"(\d+) ')
_LLM_REQUEST = re.compile(rb'"llm_request": ?([0-9.]+)')


class PacedModel(LLMProvider):
    """Gives so many tokens at an even pace; every stream is its own `models` registry, too."""

    name = "paced"

    def __init__(self, tokens: int, rate_hz: float) -> None:
        self._tokens = tokens
        self._rate_hz = rate_hz

    async def get(self, reference: str = "default") -> LLMProvider:
        """The one model there is."""
        return self

    async def models(self) -> list[str]:
        """None to choose from."""
        return []

    def stream(
        self, messages: list[Message], params: GenerationParams
    ) -> AsyncGenerator[Delta, None]:
        """Stamps."""
        return self._stamps()

    async def _stamps(self) -> AsyncGenerator[Delta, None]:
        async for text in stamps(self._tokens, self._rate_hz):
            yield TextDelta(text)


async def stamps(tokens: int, rate_hz: float) -> AsyncIterator[str]:
    """Times in nanoseconds, as text, at an even pace."""
    begun = time.monotonic()
    for number in range(tokens):
        wait_s = begun + number / rate_hz - time.monotonic()
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        yield f"{time.monotonic_ns()} "


def bare_app(tokens: int, rate_hz: float) -> FastAPI:
    """The least that an SSE endpoint of FastAPI can be."""
    bare = FastAPI()

    @bare.get("/api/flows/default/stream/{session_id}")
    async def stream(session_id: str) -> StreamingResponse:
        async def events() -> AsyncIterator[str]:
            async for text in stamps(tokens, rate_hz):
                yield f"data: {json.dumps({'type': 'token', 'content': text})}\n\n"
            yield 'data: {"type": "done"}\n\n'

        return StreamingResponse(events(), media_type="text/event-stream")

    return bare


@dataclass(slots=True)
class Figures:
    """One server under one load."""

    server: str
    streams: int
    tokens: int
    lost: int
    delay_p50_ms: float
    delay_p99_ms: float
    delay_max_ms: float
    turn_start_p50_ms: float | None
    """From the request to the call of the model, as the server saw it."""
    first_token_p50_ms: float
    """From sending the request to the first token at the client."""
    kb_per_stream: float
    """Growth of the server's resident memory, a stream."""
    server_cpu: float
    """Cores that the server used."""


@dataclass(slots=True)
class _Stream(asyncio.Protocol):
    """A client that reads one stream and notes when each token came."""

    request: bytes
    finished: asyncio.Future[None]
    delays_ms: list[float] = field(default_factory=list)
    first_ms: float | None = None
    llm_request_ms: float | None = None
    _rest: bytes = b""
    _sent_ns: int = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._sent_ns = time.monotonic_ns()
        cast(asyncio.Transport, transport).write(self.request)

    def data_received(self, data: bytes) -> None:
        now = time.monotonic_ns()
        data = self._rest + data
        end = data.rfind(b"\n\n") + 2
        whole, self._rest = (data[:end], data[end:]) if end > 1 else (b"", data)
        for stamp in _STAMP.findall(whole):
            self.delays_ms.append((now - int(stamp)) / 1e6)
            if self.first_ms is None:
                self.first_ms = (now - self._sent_ns) / 1e6
        if found := _LLM_REQUEST.search(whole):
            self.llm_request_ms = float(found[1])

    def connection_lost(self, error: Exception | None) -> None:
        if not self.finished.done():
            self.finished.set_result(None)


@contextmanager
def _server(kind: str, tokens: int, rate_hz: float) -> Iterator[tuple[int, psutil.Process]]:
    with socket.socket() as probe, tempfile.TemporaryDirectory() as folder:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        process = subprocess.Popen(
            [sys.executable, "-m", "bench.backend", kind, str(port), str(tokens), str(rate_hz)],
            env={**os.environ, "DATABASE_URL": f"sqlite:///{folder}/bench.db"},
        )  # fmt: skip
        try:
            _await_port(port, process)
            yield port, psutil.Process(process.pid)
        finally:
            process.terminate()
            process.wait()


def _await_port(port: int, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        try:
            httpx.get(f"http://127.0.0.1:{port}/openapi.json")
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError("the server did not start")


async def _load(port: int, streams: int, seconds: float) -> list[_Stream]:
    loop = asyncio.get_running_loop()
    clients = []
    for number in range(streams):
        request = (
            f"GET /api/flows/default/stream/s{time.monotonic_ns()}-{number}?input=hi HTTP/1.1\r\n"
            "Host: 127.0.0.1\r\nConnection: close\r\n\r\n"
        )
        client = _Stream(request.encode(), loop.create_future())
        await loop.create_connection(lambda client=client: client, "127.0.0.1", port)  # type: ignore[misc]  # a default argument is how the loop's value is kept
        clients.append(client)
        await asyncio.sleep(min(1.0, seconds / 4) / streams)
    await asyncio.wait([client.finished for client in clients], timeout=seconds * 3 + 30)
    return clients


def _measure(kind: str, streams: int, tokens: int, rate_hz: float) -> Figures:
    with _server(kind, tokens, rate_hz) as (port, process):
        uvloop.run(_load(port, min(streams, 20), 1.0))
        before = process.memory_info().rss
        cpu_before = sum(process.cpu_times()[:2])
        begun = time.monotonic()
        peak = before

        async def run() -> list[_Stream]:
            nonlocal peak
            load = asyncio.ensure_future(_load(port, streams, tokens / rate_hz))
            while not load.done():
                peak = max(peak, process.memory_info().rss)
                await asyncio.wait((load,), timeout=0.5)
            return load.result()

        clients = uvloop.run(run())
        elapsed_s = time.monotonic() - begun
        cores = (sum(process.cpu_times()[:2]) - cpu_before) / elapsed_s
    delays = sorted(delay for client in clients for delay in client.delays_ms)
    if not delays:
        raise RuntimeError(f"the server {kind!r} gave no token")
    starts = [client.llm_request_ms for client in clients if client.llm_request_ms is not None]
    return Figures(
        server=kind,
        streams=streams,
        tokens=len(delays),
        lost=streams * tokens - len(delays),
        delay_p50_ms=delays[len(delays) // 2],
        delay_p99_ms=delays[int(len(delays) * 0.99)],
        delay_max_ms=delays[-1],
        turn_start_p50_ms=statistics.median(starts) if starts else None,
        first_token_p50_ms=statistics.median(c.first_ms or 0.0 for c in clients),
        kb_per_stream=(peak - before) / 1024 / streams,
        server_cpu=cores,
    )


@app.command()
def run(
    streams: Annotated[int, typer.Option(help="Streams at once in the second load.")] = 300,
    seconds: Annotated[float, typer.Option(help="Length of each load.")] = 20.0,
    rate: Annotated[float, typer.Option(help="Tokens a second and stream.")] = 40.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measures one stream and many beside a bare FastAPI endpoint, and checks a large flow."""
    tokens = int(seconds * rate)
    validation = flow_validation.measure()
    figures = [
        _measure(kind, count, tokens, rate) for count in (1, streams) for kind in ("flow", "bare")
    ]
    if as_json:
        found = {"servers": [asdict(f) for f in figures], "validation": asdict(validation)}
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
        return
    table = Table(title=f"{rate:g} tokens/s a stream, {seconds:g} s")
    table.caption = (
        f"A flow of {validation.nodes} nodes is checked in {validation.validation_ms:.0f} ms; "
        f"reading its JSON takes {validation.reading_ms:.1f} ms"
    )
    for column in ("server", "streams", "tokens", "lost", "delay p50", "p99", "max",
                   "turn start p50", "first token p50", "KB/stream", "cores"):  # fmt: skip
        table.add_column(column, justify="right")
    for f in figures:
        start = "" if f.turn_start_p50_ms is None else f"{f.turn_start_p50_ms:.2f} ms"
        table.add_row(
            f.server, str(f.streams), str(f.tokens), str(f.lost), f"{f.delay_p50_ms:.2f} ms",
            f"{f.delay_p99_ms:.2f} ms", f"{f.delay_max_ms:.1f} ms", start,
            f"{f.first_token_p50_ms:.2f} ms", f"{f.kb_per_stream:.0f}", f"{f.server_cpu:.2f}",
        )  # fmt: skip
    Console(width=max(130, Console().width)).print(table)


def _serve(kind: str, port: int, tokens: int, rate_hz: float) -> None:
    """One of the two servers."""
    if kind == "bare":
        served = bare_app(tokens, rate_hz)
    else:
        served = create_app(
            BackendSettings(
                host="127.0.0.1", api_keys="auto", address_concurrency=0, max_streams=10_000
            ),
            models=PacedModel(tokens, rate_hz),
        )
    uvicorn.run(served, port=port, log_level="warning", access_log=False)


if __name__ == "__main__":
    _serve(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
