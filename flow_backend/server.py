"""How the app is served: no client may hold a connection without saying what it wants."""

from __future__ import annotations

import asyncio
import resource
import socket
from time import monotonic
from types import FrameType
from typing import Any, TypedDict

import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from flow_backend.access.admission import Admission
from flow_backend.api.errors import error_response
from protocol.errors import AccessError

HEAD_S = 10.0
"""How long the head of a request may take, from its first byte, or from the connection's begin,
and how long the rest of a body that was refused is let come."""
MAX_HEAD_BYTES = 64 * 1024
MAX_MESSAGE_BYTES = 512 * 1024
"""Of a WebSocket; the door's own limits are half of it."""
SILENT_S = 60
"""A peer that takes nothing, or has vanished without a word, is given up after so long (Linux)."""
SOCKET_PING_S = 20.0
"""How often a WebSocket's client is asked whether it is there, and how long it may take to answer:
one that has vanished gives its place back after twice as long."""
FREE_FILES = 512
"""So many files, or half of those that the process may open, are kept from clients' connections:
for models' servers, databases and disks."""
CLOSING_S = 2
"""How long what is cut off at the drain's end may take to say so."""


class ImpatientHttp(HttpToolsProtocol):
    """uvicorn's HTTP, closing connections whose request heads do not come, or do not end.

    Bodies have limits of their own (`api.body_limit`), and so has the time between two requests.
    """

    _deadline: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _head_is_over = False
    _lingering: asyncio.TimerHandle | None = None

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        super().connection_made(transport)
        _give_up_on_silence(transport)
        self._expect_head()

    @override
    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_is_over = False
        if self._deadline is None:
            self._expect_head()

    @override
    def on_header(self, name: bytes, value: bytes) -> None:
        # Behind the body stand trailers, which are no headers (RFC 9110, section 6.5.1): what a
        # proxy takes out of a head could come back in them.
        if not self._head_is_over:
            super().on_header(name, value)

    @override
    def on_headers_complete(self) -> None:
        self._stop_waiting()
        self._head_is_over = True
        if len(self.connections) > _most_connections():
            self.app = _refuse
        super().on_headers_complete()

    @override
    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._deadline is not None:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._stop_waiting()
                self.send_400_response(f"The head is larger than {MAX_HEAD_BYTES} bytes.")

    @override
    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.cycle.response_complete and self.cycle.more_body:
            # Closing at once could take the answer from a client that still sends.
            self._lingering = self.loop.call_later(HEAD_S, self._give_up)

    @override
    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._stop_lingering()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self._stop_lingering()
        super().connection_lost(exc)

    def _expect_head(self) -> None:
        self._head_bytes = 0
        self._deadline = self.loop.call_later(HEAD_S, self._give_up)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _stop_lingering(self) -> None:
        if self._lingering is not None:
            self._lingering.cancel()
            self._lingering = None

    def _give_up(self) -> None:
        self._deadline = None
        if not self.transport.is_closing():
            self.transport.close()


def _give_up_on_silence(transport: asyncio.Transport) -> None:
    """Has the kernel end a connection whose peer is gone, however much is waiting to be sent."""
    opened = transport.get_extra_info("socket")
    if opened is None or opened.family not in (socket.AF_INET, socket.AF_INET6):
        return
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", max(1, SILENT_S // 2)),
        ("TCP_KEEPINTVL", max(1, SILENT_S // 6)),
        ("TCP_USER_TIMEOUT", SILENT_S * 1000),
    ):
        if hasattr(socket, name):
            opened.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _most_connections() -> int:
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return most - min(FREE_FILES, most // 2)


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    error = AccessError(
        "overloaded",
        "This backend has as many connections as it may. Try again.",
        retry_after_s=2.0,
    )
    response = error_response(error)
    response.headers["Connection"] = "close"
    await response(scope, receive, send)


class ServerOptions(TypedDict):
    """Arguments of `uvicorn.Config`."""

    http: Any
    ws_max_size: int
    ws_ping_interval: float
    ws_ping_timeout: float
    ws_per_message_deflate: bool
    access_log: bool


SERVER_OPTIONS = ServerOptions(
    http=ImpatientHttp,
    ws_max_size=MAX_MESSAGE_BYTES,
    ws_ping_interval=SOCKET_PING_S,
    ws_ping_timeout=SOCKET_PING_S,
    # Speech hardly shrinks, compressing it costs time on every frame, and a small frame of a
    # hostile client could grow to a large one.
    ws_per_message_deflate=False,
    # It would hold the inputs that stand in URLs.
    access_log=False,
)


def in_a_sentence(app: FastAPI) -> ASGIApp:
    """The app, without the stack trace of a start that fails as `app.state.start_error` says."""

    async def served(scope: Scope, receive: Receive, send: Send) -> None:
        async def tell(message: Message) -> None:
            if message["type"] == "lifespan.startup.failed" and app.state.start_error is not None:
                message = {"type": message["type"], "message": ""}
            await send(message)

        await app(scope, receive, tell if scope["type"] == "lifespan" else send)

    return served


class DrainingServer(uvicorn.Server):
    """Lets what runs end after a signal, and ends with exit code 0.

    From the first SIGTERM or SIGINT on nothing new is admitted and `/readyz` answers 503, while
    the port stays open for what belongs to running turns. Each response closes its connection, so
    that a balancer may lead the next request elsewhere. The process ends when nothing is under way,
    or at the deadline. A second signal ends it at once.

    Args:
        config: Of the app.
        admission: The app's.
        drain_s: The deadline, from the signal on.
    """

    def __init__(self, config: uvicorn.Config, admission: Admission, drain_s: float) -> None:
        super().__init__(config)
        self._admission = admission
        self._drain_s = drain_s
        self._deadline: float | None = None

    @override
    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # uvicorn's own would raise the signal again when all is over, and so end with its code.
        if self._deadline is None:
            self._admission.draining = True
            self._deadline = monotonic() + self._drain_s
            self.config.encoded_headers.append((b"connection", b"close"))
            self.server_state.default_headers = self.config.encoded_headers
        else:
            self.should_exit = self.force_exit = True

    @override
    async def on_tick(self, counter: int) -> bool:
        if self._deadline is not None and (
            not self.server_state.tasks or monotonic() >= self._deadline
        ):
            self.should_exit = True
        return await super().on_tick(counter)
