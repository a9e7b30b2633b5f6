"""A real HTTP/1.1 server on a free port that sends exactly the bytes a test decides on.

Hosted providers cannot be had in tests, so their documented wire formats are spoken by this, over
a real socket: odd chunk borders, cut streams, slow streams and keep-alives included.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

REASONS = {200: "OK", 204: "No Content", 400: "Bad Request", 401: "Unauthorized"}


@dataclass(slots=True)
class Request:
    method: str
    target: str
    """Path with query."""
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    def json(self) -> Any:
        return json.loads(self.body)


class Reply:
    """Writes one response. Leave it without `end` to cut the connection."""

    def __init__(self, writer: asyncio.StreamWriter, gone: asyncio.Event) -> None:
        self._writer = writer
        self.gone = gone
        """Set when the client has closed the connection."""
        self.finished = False

    async def head(self, status: int = 200, **headers: str) -> None:
        lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Status')}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        lines += ["transfer-encoding: chunked", "", ""]
        self._writer.write("\r\n".join(lines).encode())
        await self._writer.drain()

    async def send(self, *pieces: bytes) -> None:
        """One HTTP chunk and one packet for each piece."""
        for piece in pieces:
            self._writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            await self._writer.drain()
            await asyncio.sleep(0)

    async def end(self) -> None:
        self._writer.write(b"0\r\n\r\n")
        await self._writer.drain()
        self.finished = True

    async def whole(self, body: bytes, status: int = 200, **headers: str) -> None:
        await self.head(status, **headers)
        if body:
            await self.send(body)
        await self.end()

    async def json(self, body: Any, status: int = 200, **headers: str) -> None:
        await self.whole(
            json.dumps(body).encode(), status, content_type="application/json", **headers
        )


Handler = Callable[[Request, Reply], Awaitable[None]]


@dataclass(slots=True)
class WireServer:
    url: str
    requests: list[Request] = field(default_factory=list)
    client_left: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a client closed a connection before its response was finished."""


@contextlib.asynccontextmanager
async def wire_server(handler: Handler) -> AsyncIterator[WireServer]:
    """Serves `handler` on loopback until the block ends; its exceptions fail the block."""
    failures: list[BaseException] = []
    tasks: set[asyncio.Task[None]] = set()
    state = WireServer("")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (request := await _read(reader)) is not None:
                state.requests.append(request)
                gone = asyncio.Event()
                reply = Reply(writer, gone)
                watch = asyncio.create_task(_watch(reader, gone))
                try:
                    await handler(request, reply)
                finally:
                    watch.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await watch
                    if gone.is_set() and not reply.finished:
                        state.client_left.set()
                if not reply.finished:
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            state.client_left.set()
        except Exception as error:  # noqa: BLE001 - handed to the test below
            failures.append(error)
        finally:
            writer.close()

    def on_connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(on_connect, "127.0.0.1", 0)
    state.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield state
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()
    if failures:
        raise failures[0]


async def _watch(reader: asyncio.StreamReader, gone: asyncio.Event) -> None:
    """Nothing more is expected from the client while a response is written."""
    while not reader.at_eof():
        try:
            if not await reader.read(1):
                break
        except ConnectionError:
            break
    gone.set()


async def _read(reader: asyncio.StreamReader) -> Request | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = {
        name.lower(): value.strip()
        for name, _, value in (line.partition(":") for line in lines if line)
    }
    if headers.get("transfer-encoding") == "chunked":
        body = b""
        while size := int(await reader.readline(), 16):
            body += await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readexactly(2)
    else:
        body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(method, target, headers, body)
