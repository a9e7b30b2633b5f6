"""Refuses request bodies that are too large, before and while they are read."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flow_backend.api.errors import error_response
from protocol.errors import StreamError


class BodyLimit:
    """ASGI middleware: a body beyond `max_bytes` gets 413, whatever its headers said."""

    def __init__(self, app: ASGIApp, *, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on with its body counted."""
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            await self._app(scope, receive, send)
            return
        error = StreamError(
            "message_too_large",
            f"The body is larger than {self._max_bytes} bytes (MAX_REQUEST_BYTES).",
        )
        length = dict(scope["headers"]).get(b"content-length", b"")
        if length.isdigit() and int(length) > self._max_bytes:
            await error_response(error)(scope, receive, send)
            return
        size = 0

        async def counted() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > self._max_bytes:
                raise error
            return message

        async def answer(message: Message) -> None:
            # Whatever the app makes of the body's failure, the client is told the reason.
            if size <= self._max_bytes:
                await send(message)
            elif message["type"] == "http.response.start":
                await error_response(error)(scope, receive, send)

        await self._app(scope, counted, answer)
