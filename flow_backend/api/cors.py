"""Cross-origin requests (Fetch standard, section 3.2): closed but for allowed origins."""

from __future__ import annotations

import re
from collections.abc import Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOCALHOST = re.compile(r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?")
_METHODS = "GET, POST, PUT, DELETE, OPTIONS"
_HEADERS = "Content-Type, Authorization, If-Match, Last-Event-ID, X-API-Key"
_EXPOSED = "ETag, Retry-After, Location"


class Cors:
    """Adds the headers for allowed origins, and answers preflights with 204.

    Args:
        app: What answers everything else.
        origins: `https://example.org` each, or `*` for everyone; localhost is always allowed.
    """

    def __init__(self, app: ASGIApp, origins: Iterable[str]) -> None:
        self._app = app
        self._origins = {origin.rstrip("/") for origin in origins}

    def allows(self, origin: str) -> bool:
        """Whether pages of this origin may read our answers."""
        known = "*" in self._origins or origin in self._origins
        return known or LOCALHOST.fullmatch(origin) is not None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on, or answers its preflight."""
        origin = Headers(scope=scope).get("origin") if scope["type"] == "http" else None
        if origin is None:
            await self._app(scope, receive, send)
            return
        granted = self.allows(origin)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.add_vary_header("Origin")
                if granted:
                    headers["Access-Control-Allow-Origin"] = origin
                    headers["Access-Control-Expose-Headers"] = _EXPOSED
            await send(message)

        if scope["method"] == "OPTIONS":
            preflight = {
                "Allow": _METHODS,
                "Access-Control-Allow-Methods": _METHODS,
                "Access-Control-Allow-Headers": _HEADERS,
                "Access-Control-Max-Age": "600",
            }
            await Response(status_code=204, headers=preflight)(scope, receive, send_with_headers)
            return
        await self._app(scope, receive, send_with_headers)
