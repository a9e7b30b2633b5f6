"""The gate before every route: who calls, and whether there is room for the call.

Whatever is not in `OPEN` needs a key, so that a route which somebody adds is closed until it says
which scopes open it (`needs`).
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from time import monotonic
from typing import Any

from fastapi import Depends
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from flow_backend.access import keys
from flow_backend.access.settings import AccessSettings, is_loopback
from flow_backend.access.slots import Slots
from flow_backend.api.errors import error_response
from flow_backend.api.rate_limit import RateLimit, address_of
from flow_backend.store.keys import ApiKey
from protocol.errors import AccessError, ParleyError

OPEN = frozenset(
    {"/", "/icon.svg", "/healthz", "/readyz", "/docs", "/docs/oauth2-redirect", "/redoc"}
    | {"/openapi.json"}
)
"""The page, the health of the process, and the description of the API: nothing of anybody's."""
OPEN_FOLDER = "/assets/"

SUBPROTOCOL = "parley"
KEY_SUBPROTOCOL = "parley.key."
"""Browsers cannot set headers on a WebSocket: they offer `parley` and `parley.key.<key>`."""
RECHECK_S = 30.0
"""How often the key of an open WebSocket is looked at again."""
FAILURES = "30/minute"
"""How often one address may come with a key that is none."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls."""

    key: ApiKey | None = None
    """None where keys are off."""

    @property
    def owner(self) -> str:
        """Whom what is opened now belongs to."""
        return self.key.id if self.key else ""

    @property
    def sees(self) -> str | None:
        """Whose sessions the caller may use; None: everybody's."""
        return None if self.key is None or "admin" in self.key.scopes else self.key.id

    def may(self, *scopes: keys.Scope) -> bool:
        """Whether the caller has one of these scopes."""
        return self.key is None or not self.key.scopes.isdisjoint({"admin", *scopes})

    def require(self, *scopes: keys.Scope) -> None:
        """Lets a caller with one of these scopes through.

        Raises:
            AccessError: `forbidden`.
        """
        if self.key is None or self.may(*scopes):
            return
        raise AccessError(
            "forbidden",
            f"This needs a key with the scope {' or '.join(scopes)}; key {self.key.name!r} has "
            f"{' and '.join(sorted(self.key.scopes))}.",
        )


def caller_of(connection: HTTPConnection) -> Caller:
    """A dependency: who calls."""
    caller: Caller = connection.state.caller
    return caller


def needs(*scopes: keys.Scope) -> Any:
    """A dependency that lets a caller with one of these scopes through.

    Raises:
        AccessError: `forbidden`.
    """

    async def allowed(connection: HTTPConnection) -> None:
        caller_of(connection).require(*scopes)

    return Depends(allowed)


class Gate:
    """ASGI middleware: finds out who calls, and holds a place for the call while it runs."""

    def __init__(
        self, app: ASGIApp, *, settings: AccessSettings, rate_limit: RateLimit, slots: Slots
    ) -> None:
        self._app = app
        self._settings = settings
        self._rate_limit = rate_limit
        self._slots = slots

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the call on, or refuses it."""
        if scope["type"] == "lifespan" or is_open(scope):
            await self._app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        if scope["type"] == "websocket":
            send = _naming_subprotocol(scope, send)
        async with AsyncExitStack() as held:
            try:
                caller = await self._admitted(connection, held)
            except ParleyError as error:
                await refuse(error, scope, receive, send)
                return
            scope.setdefault("state", {})["caller"] = caller
            if scope["type"] == "websocket" and caller.key is not None:
                receive = self._until_revoked(connection, receive, send)
            await self._app(scope, receive, send)

    def _until_revoked(self, connection: HTTPConnection, receive: Receive, send: Send) -> Receive:
        """Messages of a WebSocket, which is closed once its key is no longer live."""
        keyring: keys.Keyring = connection.app.state.keyring
        text = _key_of(connection)
        coming: asyncio.Future[Message] | None = None
        looked_at_s = monotonic()

        async def is_live() -> bool:
            nonlocal looked_at_s
            looked_at_s = monotonic()
            try:
                return await keyring.key(text) is not None
            except ParleyError:  # the database is away: nobody can have revoked it there
                return True

        async def received() -> Message:
            nonlocal coming
            coming = coming or asyncio.ensure_future(receive())
            try:
                while True:
                    wait_s = max(0.0, looked_at_s + RECHECK_S - monotonic())
                    has_come, _ = await asyncio.wait({coming}, timeout=wait_s)
                    if monotonic() >= looked_at_s + RECHECK_S and not await is_live():
                        reason = "The API key has expired or was revoked."
                        await send({"type": "websocket.close", "code": 1008, "reason": reason})
                        coming.cancel()
                        return {"type": "websocket.disconnect", "code": 1008, "reason": reason}
                    if has_come:
                        break
            except asyncio.CancelledError:
                coming.cancel()
                raise
            message, coming = coming.result(), None
            return message

        return received

    async def _admitted(self, connection: HTTPConnection, held: AsyncExitStack) -> Caller:
        settings, address = self._settings, address_of(connection)
        caller = await self._caller(connection, address)
        await held.enter_async_context(
            self._slots.taken(f"address:{address}", settings.address_concurrency, "one address")
        )
        if (key := caller.key) is not None:
            limits = settings.key_rate_limit if key.rate_limit is None else key.rate_limit
            await self._rate_limit.check(f"key:{key.id}", limits)
            most = settings.key_concurrency if key.concurrency is None else key.concurrency
            await held.enter_async_context(
                self._slots.taken(f"key:{key.id}", most, f"key {key.name!r}")
            )
        return caller

    async def _caller(self, connection: HTTPConnection, address: str) -> Caller:
        if not self._settings.keys_required:
            self._require_this_machine(connection)
            return Caller()
        text = _key_of(connection)
        keyring: keys.Keyring = connection.app.state.keyring
        key = await keyring.key(text) if text else None
        if key is None:
            await self._rate_limit.check(f"failed:{address}", FAILURES)
            raise AccessError(
                "unauthorized",
                "The API key is not known, has expired or was revoked."
                if text
                else "An API key is needed: send Authorization: Bearer KEY. Who runs this backend "
                "makes keys with `parley keys create`.",
            )
        return Caller(key)

    def _require_this_machine(self, connection: HTTPConnection) -> None:
        """Refuses what a proxy passes on, and names that a hostile page's DNS has rebound.

        Without keys, all that protects a backend on loopback is that only this machine calls it.
        A proxy shows itself by its name, or by the address of its client.
        """
        name = (connection.url.hostname or "").rstrip(".")
        client = connection.client.host if connection.client else ""
        local_name = is_loopback(name) or name.endswith(".localhost")
        if not local_name or (client and not is_loopback(client)):
            raise AccessError(
                "forbidden",
                "Without API keys this backend answers to localhost only. Behind a proxy, set "
                "API_KEYS=required and make a key with `parley keys create`.",
            )


async def refuse(error: ParleyError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answers a request, or a WebSocket's handshake, with an error."""
    response = error_response(error)
    if scope["type"] == "websocket":
        await WebSocket(scope, receive, send).send_denial_response(response)
    else:
        await response(scope, receive, send)


def is_open(scope: Scope) -> bool:
    """Whether a request is for what everybody may have."""
    path: str = scope["path"]
    return path in OPEN or path.startswith(OPEN_FOLDER)


def _key_of(connection: HTTPConnection) -> str:
    """The key that a call carries; never in the URL, which proxies and browsers write down."""
    scheme, _, text = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and text:
        return text.strip()
    for offered in connection.scope.get("subprotocols", ()):
        if offered.startswith(KEY_SUBPROTOCOL):
            return str(offered.removeprefix(KEY_SUBPROTOCOL))
    return connection.headers.get("x-api-key", "")


def _naming_subprotocol(scope: Scope, send: Send) -> Send:
    """Browsers close a WebSocket whose server chooses none of the subprotocols they offered."""
    if SUBPROTOCOL not in scope.get("subprotocols", ()):
        return send

    async def naming(message: Message) -> None:
        if message["type"] == "websocket.accept" and not message.get("subprotocol"):
            message = {**message, "subprotocol": SUBPROTOCOL}
        await send(message)

    return naming
