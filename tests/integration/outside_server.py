"""The outside world for http nodes: counts what it is asked for, and honours idempotency keys."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from tests.integration.backend_server import serve_app


@dataclass
class Outside:
    url: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)
    bookings: dict[str, Any] = field(default_factory=dict)
    """By idempotency key."""
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    failures_left: int = 0


@asynccontextmanager
async def serve_outside() -> AsyncIterator[Outside]:
    outside = Outside()
    outside.go_on.set()

    async def book(request: Request) -> Response:
        body = (await request.body()).decode()
        outside.requests.append(
            {
                "method": request.method,
                "query": str(request.url.query),
                "headers": dict(request.headers),
                "body": body,
            }
        )
        outside.arrived.set()
        await outside.go_on.wait()
        if outside.failures_left:
            outside.failures_left -= 1
            return PlainTextResponse("busy", 503)
        key = request.headers.get("idempotency-key", "")
        outside.bookings.setdefault(key, len(outside.bookings) + 1)
        return JSONResponse(
            {"number": outside.bookings[key], "slots": [{"time": "9:00"}], "a/b": "x"}
        )

    async def large(request: Request) -> Response:
        return PlainTextResponse("x" * 100_000)

    async def redirect(request: Request) -> Response:
        return RedirectResponse(request.query_params["to"])

    async def slow(request: Request) -> Response:
        await asyncio.sleep(30)
        return PlainTextResponse("late")

    app = Starlette(
        routes=[
            Route("/book", book, methods=["GET", "POST", "PUT", "DELETE"]),
            Route("/large", large),
            Route("/redirect", redirect),
            Route("/slow", slow),
        ]
    )
    async with serve_app(app) as url:
        outside.url = url
        yield outside
