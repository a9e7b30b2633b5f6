"""What the status page is told of the other processes."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from flow_backend.llm.scripted import Reply
from speech import downloads
from stack.ports import free_port
from tests.integration.backend_server import serve_app, serve_backend


@pytest.mark.parametrize(
    ("healthy", "ready", "words"),
    [(200, True, "calls: 2"), (503, False, "failed to connect to livekit")],
)
async def test_the_worker_is_told_with_its_calls(healthy: int, ready: bool, words: str) -> None:
    async def health(_: object) -> Response:
        return PlainTextResponse("OK" if healthy == 200 else words, healthy)

    async def info(_: object) -> Response:
        return JSONResponse({"agent_name": "", "active_jobs": 2})

    worker = Starlette(routes=[Route("/readyz", health), Route("/worker", info)])
    async with (
        serve_app(worker) as url,
        serve_backend([Reply(say="Hi.", times=None)], worker_url=url) as backend,
    ):
        part = (await backend.client.get("/api/status")).json()["parts"]["worker"]
    assert part["ready"] is ready
    assert words in part["detail"]


async def test_a_worker_that_does_not_answer_is_not_ready() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    async with serve_backend([Reply(say="Hi.", times=None)], worker_url=url) as backend:
        part = (await backend.client.get("/api/status")).json()["parts"]["worker"]
    assert part == {"ready": False, "detail": f"{url}: ConnectError"}


async def test_downloads_of_other_processes_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "ledger", lambda: tmp_path)
    async with serve_backend([Reply(say="Hi.", times=None)]) as backend:
        downloads.Download("en_US-amy-medium").moved(10, 40)
        status = (await backend.client.get("/api/status")).json()
    assert status["downloads"] == [
        {"name": "en_US-amy-medium", "done_bytes": 10, "total_bytes": 40}
    ]
    assert "worker" not in status["parts"]
