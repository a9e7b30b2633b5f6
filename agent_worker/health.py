"""The worker's health page.

`/healthz`, and `/` as LiveKit's own workers have it: the process works. `/readyz`: it can be given
calls; 503 says why it cannot. `/worker`: how many calls it has.
"""

from __future__ import annotations

import logging

from aiohttp import web
from livekit.agents import AgentServer

from agent_worker.settings import WorkerSettings
from protocol.errors import ConfigError

logger = logging.getLogger(__name__)

_CLOSING_S = 1.0


class HealthPage:
    """Tells of one worker; open with `async with`.

    Args:
        server: The worker.
        settings: Where the page is, and how many calls there may be.

    Raises:
        ConfigError: `port_in_use` if the page cannot be where the settings want it.
    """

    def __init__(self, server: AgentServer, settings: WorkerSettings) -> None:
        self._server = server
        self._settings = settings
        self._registered = False
        server.on("worker_registered", self._on_registered)
        app = web.Application()
        app.add_routes(
            [
                web.get("/", self._live),
                web.get("/healthz", self._live),
                web.get("/readyz", self._ready),
                web.get("/worker", self._worker),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=_CLOSING_S)

    async def __aenter__(self) -> HealthPage:
        host, port = self._settings.worker_host, self._settings.worker_port
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host, port).start()
        except OSError as error:
            await self._runner.cleanup()
            raise ConfigError(
                "port_in_use",
                f"The worker's health page cannot be at {host}:{port} ({error.strerror}). "
                "Set WORKER_HOST and WORKER_PORT to an address that is free.",
            ) from error
        logger.info("The health page is at http://%s:%d", host, self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self._runner.addresses[0][1]
        return port

    @property
    def unready(self) -> str:
        """Why no calls are to be given to this worker; empty if they are."""
        if self._server.draining:
            return "draining: the worker stops, and lets its calls end"
        # Without this, which LiveKit tells nobody, a worker that lost its server would seem well.
        if not self._registered or self._server._connecting:
            return f"connecting: LiveKit at {self._settings.livekit_url} has not answered yet"
        return ""

    def _on_registered(self, *_: object) -> None:
        self._registered = True

    async def _live(self, _: web.Request) -> web.Response:
        return web.Response(text="OK")

    async def _ready(self, _: web.Request) -> web.Response:
        why_not = self.unready
        return web.Response(status=503 if why_not else 200, text=why_not or "OK")

    async def _worker(self, _: web.Request) -> web.Response:
        # The server has no calls to count before it runs.
        calls = len(self._server.active_jobs) if self._registered else 0
        return web.json_response(
            {
                "agent_name": self._settings.agent_name,
                "active_jobs": calls,
                "places": self._settings.calls_at_once,
                "worker_load": calls / self._settings.calls_at_once,
            }
        )
