"""The backend as a process of its own, with keys made by the command."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from stack.ports import free_port

ROOT = Path(__file__).parent.parent.parent.parent
pytestmark = pytest.mark.timeout(120)


def environment(folder: Path, **settings: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return {
        **kept,
        "PYTHONPATH": str(ROOT),
        "DATABASE_URL": f"sqlite:///{folder}/parley.db",
        **settings,
    }


async def run(folder: Path, *arguments: str, **settings: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", *arguments),
        cwd=folder,
        env=environment(folder, **settings),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


@asynccontextmanager
async def started(
    folder: Path, *, lines: list[bytes] | None = None, **settings: str
) -> AsyncIterator[str]:
    """The URL of a backend; `lines` are given what it logs."""
    lines = [] if lines is None else lines
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "flow_backend"),
        cwd=folder,
        env=environment(folder, BACKEND_PORT=str(port), **settings),
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    while line := await process.stderr.readline():
        lines.append(line)
        if b"Uvicorn running" in line:
            break
    drained = asyncio.create_task(process.stderr.read())
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()
        lines.append(await drained)


async def test_a_key_opens_a_backend_that_others_reach(tmp_path: Path) -> None:
    everywhere = {"BACKEND_HOST": "0.0.0.0", "DOOR_RATE_LIMIT": "2/minute"}
    status, _, said = await run(tmp_path, "flow_backend", **everywhere)
    assert status == 2
    assert "parley keys create" in said
    assert "Traceback" not in said
    status, made, said = await run(
        tmp_path, *("stack", "keys", "create", "shop", "--scope", "talk", "--json")
    )
    assert status == 0, said
    key = json.loads(made)
    async with (
        started(tmp_path, **everywhere, TRUSTED_PROXIES="192.0.2.9") as url,
        httpx.AsyncClient(base_url=url, timeout=20, trust_env=False) as client,
    ):
        assert (await client.get("/v1/models")).status_code == 401
        client.headers["Authorization"] = f"Bearer {key['key']}"
        statuses = []
        for number in range(3):
            # This caller is no proxy that is trusted: it cannot choose its address.
            client.headers["X-Forwarded-For"] = f"192.0.2.{number}"
            statuses.append((await client.get("/v1/models")).status_code)
        assert statuses == [200, 200, 429]
        status, said, _ = await run(tmp_path, "stack", "keys", "revoke", "shop")
        assert status == 0
        assert key["id"] in said
        async with asyncio.timeout(20):
            while (await client.get("/api/flows")).status_code != 401:
                await client.get("/healthz")


async def test_the_command_shows_a_key_once(tmp_path: Path) -> None:
    status, shown, said = await run(tmp_path, "stack", "keys", "create", "shop", "--days", "2")
    assert status == 0, said
    key = shown.strip()
    assert key.startswith("parley_")
    assert key not in said
    status, _, said = await run(
        tmp_path, *("stack", "keys", "create", "worker", "--save", "--scope", "talk")
    )
    assert status == 0, said
    saved = tmp_path / ".env"
    assert saved.read_text().startswith("PARLEY_API_KEY=parley_")
    assert saved.stat().st_mode & 0o077 == 0
    status, listed, said = await run(tmp_path, "stack", "keys", "list", "--json")
    assert status == 0, said
    rows = json.loads(listed)
    assert [(row["name"], row["scopes"], row["live"]) for row in rows] == [
        ("shop", ["talk"], True),
        ("worker", ["talk"], True),
    ]
    for secret in (key, saved.read_text().split("=")[1].strip()):
        assert secret.split("_", 2)[2] not in listed
        assert secret.split("_", 2)[2].encode() not in (tmp_path / "parley.db").read_bytes()
    status, _, said = await run(tmp_path, "stack", "keys", "revoke", "nobody")
    assert status == 1
    assert "parley keys list" in said
    for wrong in (["--scope", "root"], ["--rate", "often"], ["--days", "0"]):
        status, _, said = await run(tmp_path, "stack", "keys", "create", "x", *wrong)
        assert status == 2
        assert wrong[0] in said
