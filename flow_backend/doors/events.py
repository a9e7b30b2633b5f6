"""Server-sent events of the doors: bytes on the wire, and what happens when the client leaves."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Coroutine
from contextlib import aclosing, suppress
from typing import Any, TypeVar

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from protocol.errors import ParleyError, StreamError

log = logging.getLogger(__name__)

T = TypeVar("T")

_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


def data_event(body: dict[str, Any]) -> bytes:
    """One event whose data is JSON; escapes keep every line splitter happy."""
    return b"data: " + json.dumps(body, separators=(",", ":")).encode() + b"\n\n"


def named_event(name: str, data: str) -> bytes:
    """One named event with raw data: each line end in it begins a further `data:` line."""
    lines = data.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    body = "".join(f"data: {line}\n" for line in lines)
    return f"event: {name}\n{body}\n".encode()


class DoorStream(Response):
    """Sends what a generator yields; closes it within a moment when the client goes away."""

    def __init__(
        self,
        frames: AsyncGenerator[bytes, None],
        media_type: str,
        *,
        opening: bytes = b"",
    ) -> None:
        """`opening` goes before what is left of a generator that has been begun."""
        super().__init__(media_type=media_type, headers=_HEADERS)
        self._opening = opening
        self.raw_headers = [header for header in self.raw_headers if header[0] != b"content-length"]
        self._frames = frames

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Runs until the generator ends or the client leaves."""
        with suppress(StreamError):
            await while_connected(receive, self._send(send))

    async def _send(self, send: Send) -> None:
        start: Message = {
            "type": "http.response.start",
            "status": self.status_code,
            "headers": self.raw_headers,
        }
        async with aclosing(self._frames) as frames:
            await send(start)
            if self._opening:
                await send({"type": "http.response.body", "body": self._opening, "more_body": True})
            try:
                async for frame in frames:
                    await send({"type": "http.response.body", "body": frame, "more_body": True})
            except ParleyError as error:
                # Formats that have no place for an error end without their last chunk.
                log.warning("a response broke off (%s)", error.code)
                return
        await send({"type": "http.response.body", "body": b"", "more_body": False})


class EventsResponse(DoorStream):
    """A `text/event-stream`."""

    media_type = "text/event-stream"

    def __init__(
        self,
        frames: AsyncGenerator[bytes, None],
        *,
        opening: bytes = b"",
    ) -> None:
        super().__init__(frames, self.media_type, opening=opening)


async def while_connected(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """Does work whose client waits for it, and cancels it when the client leaves.

    Args:
        receive: Of a request whose body has been read.
        work: Its cancellation has ended before this does.

    Raises:
        StreamError: `stream_interrupted` when the client has left: nobody reads it.
    """
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_left(receive))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
    finally:
        leaving.cancel()
        working.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)
    if working.cancelled():
        raise StreamError("stream_interrupted", "The client has left.")
    return working.result()


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
