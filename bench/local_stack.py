"""A whole stack on free ports, for measurements and end-to-end tests.

LiveKit and the embedded model come from `parley up`; backends and workers are processes of their
own here, so that several kinds can run beside each other and be stopped in mid-call.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import secrets
import signal
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import httpx

from protocol.errors import ConfigError

ROOT = Path(__file__).resolve().parents[1]
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
READY_WITHIN_S = 240.0
STOP_WITHIN_S = 25.0


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """A port of loopback that is free now."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Process:
    """A process of the stack, in a group of its own; its output goes to a file."""

    def __init__(self, name: str, argv: Sequence[str], env: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.log = log
        self.url = ""
        """Where it answers, once it was started."""
        self._argv = argv
        self._env = env
        self._process: asyncio.subprocess.Process | None = None

    async def start(self, ready_url: str) -> None:
        """Starts it and waits until `ready_url` answers 200.

        Raises:
            ConfigError: `start_failed`, with the last lines of its output.
        """
        self.url = str(httpx.URL(ready_url).join("/")).rstrip("/")
        with self.log.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                *self._argv,
                cwd=self.log.parent,
                env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **self._env},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        deadline = time.monotonic() + READY_WITHIN_S
        async with httpx.AsyncClient(trust_env=False, timeout=2.0) as client:
            while True:
                with contextlib.suppress(httpx.TransportError):
                    if (await client.get(ready_url)).status_code == 200:
                        return
                if self._process.returncode is not None or time.monotonic() > deadline:
                    await self.stop()
                    raise ConfigError(
                        "start_failed", f"{self.name} did not start. It said:\n{self.tail()}"
                    )
                await asyncio.sleep(0.1)

    async def until_said(self, words: str, times: int = 1) -> None:
        """Waits until its output holds these words, so often.

        Raises:
            ConfigError: `start_failed`, if they do not come.
        """
        deadline = time.monotonic() + READY_WITHIN_S
        while self.log.read_text(errors="replace").count(words) < times:
            if not self.alive or time.monotonic() > deadline:
                raise ConfigError(
                    "start_failed", f"{self.name} never said {words!r}:\n{self.tail()}"
                )
            await asyncio.sleep(0.05)

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.returncode is None

    def tail(self, lines: int = 20) -> str:
        """The last lines of its output."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def send_signal(self, number: signal.Signals) -> None:
        """Sends a signal to its group."""
        os.killpg(self.pid, number)

    async def ended(self) -> int:
        """Waits for its end; gives the exit code."""
        assert self._process is not None
        return await self._process.wait()

    async def kill(self) -> None:
        """Ends it at once, as a crash would."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> None:
        """Asks it to end, and ends it if it does not."""
        await self._end(signal.SIGTERM)

    async def _end(self, number: signal.Signals) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        try:
            async with asyncio.timeout(STOP_WITHIN_S):
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


class LocalStack:
    """What runs, and where. Made by `run`.

    Attributes:
        livekit_url: For participants and workers.
        key: LiveKit's API key.
        secret: Its secret.
        local_llm_url: The embedded model, if it runs.
        folder: Where the processes write.
        processes: All that were started, in that order.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = "API" + secrets.token_hex(6)
        self.secret = secrets.token_hex(32)
        self._ports = {
            "LIVEKIT_PORT": free_port(),
            "LIVEKIT_TCP_PORT": free_port(),
            "LIVEKIT_UDP_PORT": free_port(socket.SOCK_DGRAM),
            "LLM_SERVER_PORT": free_port(),
        }
        self.livekit_url = f"ws://127.0.0.1:{self._ports['LIVEKIT_PORT']}"
        self.local_llm_url = f"http://127.0.0.1:{self._ports['LLM_SERVER_PORT']}/v1"
        self.processes: list[Process] = []

    @classmethod
    @contextlib.asynccontextmanager
    async def run(cls, *, llm: bool) -> AsyncIterator[LocalStack]:
        """Starts LiveKit, and the embedded model if asked; stops all that was added, too.

        Raises:
            ConfigError: `start_failed`.
        """
        with tempfile.TemporaryDirectory(prefix="parley-") as folder:
            stack = cls(Path(folder))
            try:
                await stack._start_base(llm)
                yield stack
            finally:
                for process in reversed(stack.processes):
                    await process.stop()

    async def backend(self, env: Mapping[str, str] | None = None, port: int = 0) -> Backend:
        """Starts a backend; by default it speaks with the embedded model."""
        port = port or free_port()
        process = self._add(
            "backend",
            ["-m", "flow_backend"],
            {
                "BACKEND_HOST": "127.0.0.1",
                "BACKEND_PORT": str(port),
                "LLM": "local",
                "LOCAL_LLM_URL": self.local_llm_url,
                **(env or {}),
            },
        )
        url = f"http://127.0.0.1:{port}"
        await process.start(f"{url}/readyz")
        return Backend(process, url)

    async def worker(
        self,
        backend_url: str,
        *,
        agent_name: str = "",
        module: str = "agent_worker",
        env: Mapping[str, str] | None = None,
    ) -> Process:
        """Starts a worker; with a name it takes only rooms that ask for it."""
        port = free_port()
        process = self._add(
            f"worker {agent_name}".strip(),
            ["-m", module],
            {
                "BACKEND_URL": backend_url,
                "WORKER_PORT": str(port),
                "LOG_LEVEL": "INFO",
                "AGENT_NAME": agent_name,
                "DRAIN_S": "5",
                "MAX_CALLS": "8",
                "STILL_THERE_AFTER_S": "0",
                **(env or {}),
            },
        )
        await process.start(f"http://127.0.0.1:{port}/worker")
        await process.until_said("registered worker")
        return process

    async def _start_base(self, llm: bool) -> None:
        without = ["backend", "worker"] + ([] if llm else ["llm"])
        process = self._add(
            "stack",
            ["-m", "stack", "up", *(f"--without={name}" for name in without)],
            {"LIVEKIT_URL": "", "LLM": "local"},
        )
        await process.start(f"http{self.livekit_url.removeprefix('ws')}")
        if llm:
            await _until_ok(self.local_llm_url.removesuffix("/v1") + "/health")

    def _add(self, name: str, arguments: list[str], env: Mapping[str, str]) -> Process:
        shared = {
            "LIVEKIT_URL": self.livekit_url,
            "LIVEKIT_API_KEY": self.key,
            "LIVEKIT_API_SECRET": self.secret,
            **{name: str(port) for name, port in self._ports.items()},
        }
        log = self.folder / f"{len(self.processes)}-{name.replace(' ', '-')}.log"
        process = Process(name, [sys.executable, *arguments], {**shared, **env}, log)
        self.processes.append(process)
        return process


class Backend:
    """A running backend."""

    def __init__(self, process: Process, url: str) -> None:
        self.process = process
        self.url = url


def _die_with_parent() -> None:
    """Runs in the child: the kernel ends it when this process is killed (Linux)."""
    if _LIBC is not None:
        _LIBC.prctl(1, signal.SIGTERM, 0, 0, 0)  # PR_SET_PDEATHSIG


async def _until_ok(url: str) -> None:
    async with httpx.AsyncClient(trust_env=False, timeout=2.0) as client:
        deadline = time.monotonic() + READY_WITHIN_S
        while True:
            with contextlib.suppress(httpx.TransportError):
                if (await client.get(url)).status_code == 200:
                    return
            if time.monotonic() > deadline:
                raise ConfigError("start_failed", f"Nothing serves at {url}.")
            await asyncio.sleep(0.1)
