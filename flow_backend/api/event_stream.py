"""Sends a turn's stream as server-sent events, straight over ASGI.

Starlette's streaming response would add a generator and a task group to each stream; this sends
what the journal has, in as few writes as the client's speed allows.
"""

from __future__ import annotations

import asyncio

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from flow_backend.engine.stream import TurnStream

PING = b": ping\n"
"""One line and no blank one, which some clients would take for an event."""


class EventStream(Response):
    """An SSE response with the events of `stream` after number `after`.

    A client that goes away only stops reading: what that means for the turn is the session's
    decision.
    """

    media_type = "text/event-stream"

    def __init__(
        self, stream: TurnStream, *, after: int = 0, ping_s: float = 10.0, status_code: int = 200
    ) -> None:
        super().__init__(
            status_code=status_code,
            headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
        )
        self.raw_headers = [header for header in self.raw_headers if header[0] != b"content-length"]
        self._stream = stream
        self._position = after
        self._ping_s = ping_s
        self._waiter: asyncio.Future[bool] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends frames until the terminal one, or until the client is gone."""
        self._stream.enter()
        gone = asyncio.ensure_future(_disconnected(receive))
        gone.add_done_callback(lambda _: self._wake(True))
        try:
            await send(
                {
                    "type": "http.response.start",
                    "status": self.status_code,
                    "headers": self.raw_headers,
                }
            )
            await self._send_frames(send, gone)
        finally:
            gone.cancel()
            self._stream.leave()

    async def _send_frames(self, send: Send, gone: asyncio.Future[None]) -> None:
        stream = self._stream
        ping = asyncio.ensure_future(self._ping())
        try:
            while not gone.done():
                if self._position < stream.published:
                    frames = stream.frames[self._position : stream.published]
                    self._position += len(frames)
                    body = frames[0] if len(frames) == 1 else b"".join(frames)
                    await send({"type": "http.response.body", "body": body, "more_body": True})
                elif stream.gone:
                    await send({"type": "http.response.body", "body": b"", "more_body": False})
                    return
                elif stream.closed and stream.published == len(stream.frames):
                    end = stream.frame(stream.lost, self._position + 1) if stream.lost else b""
                    await send({"type": "http.response.body", "body": end, "more_body": False})
                    return
                elif not await self._news():
                    await send({"type": "http.response.body", "body": PING, "more_body": True})
        finally:
            ping.cancel()

    async def _news(self) -> bool:
        """Waits for a frame or the client's leaving; False when it is time for a ping."""
        self._waiter = self._stream.wait()
        try:
            return await self._waiter
        finally:
            self._stream.forget(self._waiter)
            self._waiter = None

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(self._ping_s)
            self._wake(False)

    def _wake(self, news: bool) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(news)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
