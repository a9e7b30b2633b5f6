"""Two of each part on this machine, on free ports, as `docker-compose.scale.yml` describes them.

Two LiveKit nodes share a Redis; two backends share PostgreSQL and Redis, two workers take one call
each. Workers find LiveKit and the backends through balancers.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import yaml

from bench.caller import Caller
from bench.local_stack import Process, free_port
from protocol.turns import SessionState
from stack import livekit_server
from stack.settings import StackSettings
from tests.fault.balancer import balancer
from tests.integration.postgres import postgres
from tests.integration.redis_server import redis_server
from tests.scripted_llm import ScriptedLLM

KEY, SECRET = "APIscaled", "a secret that is long enough for a test's key"
FLOW = "default"


@dataclass
class Part:
    """One process, which can be started again with the same settings and port."""

    process: Process
    port: int
    ready_path: str = "/"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        await self.process.start(self.url + self.ready_path)

    async def get(self, path: str) -> httpx.Response:
        async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
            return await client.get(self.url + path)


class Worker(Part):
    """A part that takes calls."""

    async def calls(self) -> int:
        return int((await self.get("/worker")).json().get("active_jobs", 0))

    async def until_free(self) -> None:
        """Waits until it has no call, and LiveKit knows that it takes one."""
        while await self.calls() or self._full:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.1)

    async def until_full(self) -> None:
        """Waits until LiveKit knows that it takes no more."""
        while not self._full:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.1)

    @property
    def _full(self) -> bool:
        return self._said("as unavailable") > self._said("as available")

    def _said(self, words: str) -> int:
        """How often, since it was started last."""
        log = self.process.log
        said = log.read_text(errors="replace") if log.exists() else ""
        return said.rpartition("starting worker")[2].count(words)


@dataclass
class ScaledStack:
    """What runs."""

    folder: Path
    model: ScriptedLLM
    nodes: list[Part] = field(default_factory=list)
    backends: list[Part] = field(default_factory=list)
    workers: list[Worker] = field(default_factory=list)
    backend_url: str = ""
    livekit_url: str = ""
    """Both through their balancers."""

    @property
    def parts(self) -> list[Part]:
        return [*self.nodes, *self.backends, *self.workers]

    def call(self, node: Part | None = None) -> AbstractAsyncContextManager[Caller]:
        """A call in a room of its own, through one node, or through whichever comes next."""
        url = self.livekit_url if node is None else node.url.replace("http", "ws")
        return Caller.join(url, KEY, SECRET, f"room-{uuid.uuid4().hex[:8]}")

    async def session(self, caller: Caller) -> SessionState:
        """The session of a call, as the backends hold it."""
        (agent,) = caller.room.remote_participants.values()
        path = f"/api/flows/{FLOW}/sessions/{agent.attributes['parley.session']}"
        async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
            response = await client.get(self.backend_url + path)
        assert response.status_code == 200, response.text
        return SessionState.model_validate(response.json())

    async def mend(self) -> None:
        """Starts what a test before has left dead."""
        for part in self.parts:
            if not part.process.alive:
                await part.start()


@asynccontextmanager
async def scaled_stack(folder: Path) -> AsyncIterator[ScaledStack]:
    async with AsyncExitStack() as owned:
        database_url = owned.enter_context(postgres())
        redis_url = await owned.enter_async_context(redis_server(folder))
        model = await owned.enter_async_context(ScriptedLLM().serve())
        stack = ScaledStack(folder, model)
        program = livekit_server.find_or_build(lambda _: None)

        def added(part: Part) -> Part:
            owned.push_async_callback(part.process.kill)
            return part

        for number in (1, 2):
            port = free_port()
            env = {"LIVEKIT_CONFIG": node_configuration(port, redis_url)}
            process = Process(f"node {number}", [str(program)], env, folder / f"node-{number}.log")
            stack.nodes.append(added(Part(process, port)))
        stack.livekit_url = f"ws://127.0.0.1:{await _balanced(owned, stack.nodes)}"
        shared = {
            "LIVEKIT_URL": stack.livekit_url,
            "LIVEKIT_API_KEY": KEY,
            "LIVEKIT_API_SECRET": SECRET,
            "LLM": "local",
            "LOCAL_LLM_URL": model.url,
            "LOCAL_LLM_MODEL": "scripted",
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "REPLICA_LEASE_S": "1.5",
            "AGENT_NAME": "",
            # Callers type: nobody need be heard.
            "STT": "openai",
            "OPENAI_API_KEY": "none",
            "OPENAI_BASE_URL": model.url,
            "STILL_THERE_AFTER_S": "0",
            "MAX_CALLS": "1",
            "DRAIN_S": "200",
        }
        for number in (1, 2):
            port = free_port()
            env = {**shared, "BACKEND_PORT": str(port), "BACKEND_DRAIN_S": "1"}
            argv = [sys.executable, "-m", "flow_backend"]
            process = Process(f"backend {number}", argv, env, folder / f"backend-{number}.log")
            stack.backends.append(added(Part(process, port, "/readyz")))
        stack.backend_url = f"http://127.0.0.1:{await _balanced(owned, stack.backends)}"
        for number in (1, 2):
            port = free_port()
            env = {**shared, "BACKEND_URL": stack.backend_url, "WORKER_PORT": str(port)}
            argv = [sys.executable, "-m", "agent_worker"]
            process = Process(f"worker {number}", argv, env, folder / f"worker-{number}.log")
            worker = Worker(process, port, "/readyz")
            added(worker)
            stack.workers.append(worker)
        await stack.mend()
        yield stack


async def _balanced(owned: AsyncExitStack, parts: list[Part]) -> int:
    return await owned.enter_async_context(balancer([part.port for part in parts]))


def node_configuration(port: int, redis_url: str) -> str:
    """A node as `parley up` runs one, that shares its rooms with others."""
    settings = StackSettings(
        _env_file=None,
        livekit_port=port,
        livekit_tcp_port=free_port(),
        livekit_udp_port=free_port(socket.SOCK_DGRAM),
    )
    document = yaml.safe_load(livekit_server.configuration(settings, KEY, SECRET))
    document["redis"] = {"address": redis_url.removeprefix("redis://").partition("/")[0]}
    document["logging"]["level"] = "info"
    return yaml.safe_dump(document)
