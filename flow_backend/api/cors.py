"""What pages of other origins may do: nothing, but for allowed origins.

Browsers keep an answer from a page that may not read it (Fetch standard, section 3.2), yet they
still send the request, and a WebSocket is not bound by that rule at all (RFC 6455, section 10.2).
So requests from other sites are refused here before anything is done for them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flow_backend.access.gate import is_open, refuse
from protocol.errors import AccessError

LOCALHOST = re.compile(r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?")
_METHODS = "GET, POST, PUT, DELETE, OPTIONS"
_HEADERS = "Content-Type, Authorization, If-Match, Last-Event-ID, X-API-Key"
_EXPOSED = "ETag, Retry-After, Location"


class Cors:
    """Refuses other sites, adds the headers for allowed origins, answers OPTIONS with 204.

    Args:
        app: What answers everything else.
        origins: `https://example.org` each, or `*` for everyone.
        localhost: Whether pages served on this machine, on whatever port, are allowed too.
    """

    def __init__(self, app: ASGIApp, *, origins: Iterable[str], localhost: bool) -> None:
        self._app = app
        self._origins = {origin.strip().rstrip("/") for origin in origins}
        self._localhost = localhost

    def allows(self, origin: str) -> bool:
        """Whether pages of this origin may read our answers."""
        known = "*" in self._origins or origin in self._origins
        return known or (self._localhost and LOCALHOST.fullmatch(origin) is not None)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on, refuses it, or answers its preflight."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        if origin is not None and scope["type"] == "http":
            send = self._with_headers(origin, send)
        if scope["type"] == "http" and scope["method"] == "OPTIONS":
            preflight = {
                "Allow": _METHODS,
                "Access-Control-Allow-Methods": _METHODS,
                "Access-Control-Allow-Headers": _HEADERS,
                "Access-Control-Max-Age": "600",
            }
            await Response(status_code=204, headers=preflight)(scope, receive, send)
            return
        if not is_open(scope) and not self._own_or_allowed(origin, headers):
            error = AccessError(
                "forbidden",
                "Pages of another origin may not use this backend. Name the page's origin in "
                "CORS_ORIGINS, as in https://voice.example.",
            )
            await refuse(error, scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _own_or_allowed(self, origin: str | None, headers: Headers) -> bool:
        if origin is None:
            # Images, scripts, links: browsers that name no origin still say where they stand.
            return headers.get("sec-fetch-site", "none") in ("none", "same-origin")
        return urlsplit(origin).netloc == headers.get("host") or self.allows(origin)

    def _with_headers(self, origin: str, send: Send) -> Send:
        granted = self.allows(origin)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.add_vary_header("Origin")
                if granted:
                    headers["Access-Control-Allow-Origin"] = origin
                    headers["Access-Control-Expose-Headers"] = _EXPOSED
            await send(message)

        return send_with_headers
