"""The page: static files, built by `make web` and packed into the wheel."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, HTMLResponse, Response
from starlette.exceptions import HTTPException

FOLDER = Path(__file__).parent.parent / "page"

_NOT_BUILT = """<!doctype html><meta charset="utf-8"><title>Parley</title>
<p>The backend runs, but the page has not been built. Run <code>make web</code> and reload.
"""


def content_security_policy(livekit_url: str | None) -> str:
    """What the page may load and connect to: this origin, and the LiveKit server."""
    connect = "'self' ws: wss:" if livekit_url is None else f"'self' {_origins(livekit_url)}"
    return (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
        f"img-src 'self' data:; font-src 'self'; connect-src {connect}; "
        "media-src 'self' blob:; worker-src 'self' blob:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )


def _origins(livekit_url: str) -> str:
    """LiveKit's client opens a WebSocket and asks the same address over HTTP."""
    host = livekit_url.split("://", 1)[1].split("/", 1)[0]
    secure = livekit_url.startswith(("wss", "https"))
    return f"wss://{host} https://{host}" if secure else f"ws://{host} http://{host}"


def add_page(app: FastAPI, livekit_url: str | None) -> None:
    """Serves the page at `/` and its files under `/assets`."""
    guards = {
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
    }

    @app.get("/", include_in_schema=False)
    async def page(request: Request) -> Response:
        index = FOLDER / "index.html"
        if not index.is_file():
            return HTMLResponse(_NOT_BUILT, 200)
        # 'self' covers our own WebSocket only in newer browsers: name it too.
        own = f"ws://{request.url.netloc} wss://{request.url.netloc}"
        policy = content_security_policy(livekit_url).replace(
            "connect-src 'self'", f"connect-src 'self' {own}", 1
        )
        headers = {
            **guards,
            "Content-Security-Policy": policy,
            "Permissions-Policy": "microphone=(self), speaker-selection=(self)",
            "Cache-Control": "no-cache",
        }
        return HTMLResponse(index.read_text(encoding="utf-8"), headers=headers)

    @app.get("/icon.svg", include_in_schema=False)
    async def icon() -> Response:
        return _file(FOLDER / "icon.svg", {**guards, "Cache-Control": "no-cache"})

    @app.get("/assets/{name}", include_in_schema=False)
    async def asset(name: str) -> Response:
        # The build puts a hash of the content into each name.
        kept = "public, max-age=31536000, immutable"
        return _file(FOLDER / "assets" / name, {**guards, "Cache-Control": kept})


def _file(path: Path, headers: dict[str, str]) -> Response:
    if not path.is_file():
        raise HTTPException(404, f"There is no {path.name}.")
    return FileResponse(path, headers=headers)
