"""The worker's health page tells the truth: alive, registered, cut off from LiveKit, draining."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from aiohttp import WSMsgType, web
from livekit.protocol import agent, models
from pydantic import SecretStr

from agent_worker.agent import new_server
from agent_worker.health import HealthPage
from agent_worker.settings import WorkerSettings
from protocol.errors import ConfigError


class LiveKit:
    """Registers workers, and gives them nothing to do."""

    def __init__(self) -> None:
        self.takes_workers = True
        self.registered = asyncio.Event()
        self._connected: set[web.WebSocketResponse] = set()
        self.url = ""

    async def lose_workers(self) -> None:
        """Ends their connections, and takes none for now."""
        self.takes_workers = False
        for connection in list(self._connected):
            await connection.close()

    async def _agent(self, request: web.Request) -> web.StreamResponse:
        if not self.takes_workers:
            return web.Response(status=503)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self._connected.add(socket)
        async for message in socket:
            assert message.type == WSMsgType.BINARY
            if agent.WorkerMessage.FromString(message.data).HasField("register"):
                answer = agent.RegisterWorkerResponse(
                    worker_id="w", server_info=models.ServerInfo(version="1.9.12")
                )
                await socket.send_bytes(agent.ServerMessage(register=answer).SerializeToString())
                self.registered.set()
        self._connected.discard(socket)
        return socket

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[LiveKit]:
        app = web.Application()
        app.add_routes([web.get("/agent", self._agent)])
        runner = web.AppRunner(app, shutdown_timeout=1.0)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"ws://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await self.lose_workers()
            await runner.cleanup()


def settings(url: str, **more: Any) -> WorkerSettings:
    return WorkerSettings(
        _env_file=None,
        livekit_url=url,
        livekit_api_key="key",
        livekit_api_secret=SecretStr("a secret that is long enough for a test"),
        worker_port=0,
        **more,
    )


async def until(client: httpx.AsyncClient, status: int) -> str:
    """Waits until it is so ready; gives the reason."""
    while (answer := await client.get("/readyz")).status_code != status:  # noqa: ASYNC110 # polled
        await asyncio.sleep(0.05)
    return answer.text


@pytest.mark.timeout(120)
async def test_readiness_follows_what_the_worker_can_do() -> None:
    async with LiveKit().serve() as livekit:
        chosen = settings(livekit.url, max_calls=3, agent_name="desk")
        server = new_server(chosen, make_session=None, calls=set())  # type: ignore[arg-type] # no calls
        async with (
            HealthPage(server, chosen) as page,
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{page.port}", trust_env=False) as client,
        ):
            assert (await until(client, 503)).startswith("connecting")
            running = asyncio.create_task(server.run())
            try:
                assert await until(client, 200) == "OK"
                info = (await client.get("/worker")).json()
                assert (info["agent_name"], info["active_jobs"], info["places"]) == ("desk", 0, 3)
                await livekit.lose_workers()
                assert (await until(client, 503)).startswith("connecting")
                livekit.takes_workers = True
                await until(client, 200)
                await server.drain(5)
                assert (await until(client, 503)).startswith("draining")
                for path in ("/healthz", "/"):
                    assert (await client.get(path)).status_code == 200
            finally:
                await server.aclose()
                await running


async def test_a_port_that_is_taken_is_named() -> None:
    async with LiveKit().serve() as livekit:
        port = int(livekit.url.rpartition(":")[2])
        chosen = settings(livekit.url).model_copy(update={"worker_port": port})
        server = new_server(chosen, make_session=None, calls=set())  # type: ignore[arg-type] # no calls
        with pytest.raises(ConfigError) as caught:
            async with HealthPage(server, chosen):
                pass
    assert caught.value.code == "port_in_use"
    assert str(port) in caught.value.message
