"""Refuses request bodies that are too large or too slow, before and while they are read."""

from __future__ import annotations

import asyncio
from time import monotonic

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flow_backend.api.errors import error_response
from protocol.errors import StreamError

BODY_S = 120.0
"""How long a body may take as a whole,"""
PAUSE_S = 15.0
"""and between two pieces."""


class BodyLimit:
    """ASGI middleware: a body beyond `max_bytes` gets 413, one that does not come gets 408."""

    def __init__(self, app: ASGIApp, *, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on with its body watched."""
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            await self._app(scope, receive, send)
            return
        too_large = StreamError(
            "message_too_large",
            f"The body is larger than {self._max_bytes} bytes (MAX_REQUEST_BYTES).",
        )
        length = dict(scope["headers"]).get(b"content-length", b"")
        if length.isdigit() and int(length) > self._max_bytes:
            await error_response(too_large)(scope, receive, send)
            return
        size, whole, failure = 0, False, None
        deadline = monotonic() + BODY_S

        async def watched() -> Message:
            nonlocal size, whole, failure
            if whole:
                return await receive()
            try:
                async with asyncio.timeout(min(PAUSE_S, deadline - monotonic())):
                    message = await receive()
            except TimeoutError:
                failure = StreamError("client_too_slow", "The body did not come in time.")
                raise failure from None
            size += len(message.get("body", b""))
            whole = not message.get("more_body", False)
            if size > self._max_bytes:
                failure = too_large
                raise failure
            return message

        async def answer(message: Message) -> None:
            # Whatever the app makes of the body's failure, the client is told the reason.
            if failure is None:
                await send(message)
            elif message["type"] == "http.response.start":
                await error_response(failure)(scope, receive, send)

        await self._app(scope, watched, answer)
