"""A small HTTP server that answers exactly the bytes a test gives it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

CUT = object()
"""A step: drop the connection."""
HANG = object()
"""A step: say nothing more until the client goes away."""


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class Answer:
    steps: Sequence[object]
    """Bytes, each sent as one chunk; CUT; HANG."""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


def stream(body: bytes, *, split: int | None = None, then: Sequence[object] = ()) -> Answer:
    """An event stream, in chunks of `split` bytes."""
    size = split or len(body) or 1
    chunks = [body[at : at + size] for at in range(0, len(body), size)]
    return Answer([*chunks, *then], headers={"content-type": "text/event-stream"})


def as_json(value: object, status: int = 200, **headers: str) -> Answer:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Answer(
        [json.dumps(value).encode()], status, {"content-type": "application/json", **named}
    )


class WireServer:
    """Gives `answers` in turn, the last one again and again."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.requests: list[Request] = []
        self.client_left = asyncio.Event()
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._connections.values():
            writer.close()
        await asyncio.gather(*self._connections)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections[task] = writer
        try:
            while await self._exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            self.client_left.set()
        finally:
            del self._connections[task]
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _ = head[0].split(" ")
        headers = {
            name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:])
        }
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        self.requests.append(
            Request(method, path, headers, json.loads(body) if body.strip() else None)
        )
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        lines = [f"HTTP/1.1 {answer.status} Said", "transfer-encoding: chunked"]
        lines += [f"{name}: {value}" for name, value in answer.headers.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        for step in answer.steps:
            if step is CUT:
                return False
            if step is HANG:
                await writer.drain()
                await reader.read()
                self.client_left.set()
                return False
            assert isinstance(step, bytes)
            writer.write(b"%x\r\n%s\r\n" % (len(step), step))
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True
