"""Runs the parts of the stack: starts them in order, restarts what crashes, stops all of them.

Each part is a process in a process group of its own, so that a Ctrl-C in the terminal reaches
this process alone and the parts can be stopped in order. On Linux a part is killed by the kernel
when this process dies without stopping it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from protocol.errors import ConfigError

BACKOFF_S: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0, 15.0)
"""Pauses before the restarts of a part that keeps crashing; after the last one all is over."""
STABLE_AFTER_S = 60.0
"""A part that has been ready for so long begins the pauses anew."""
PROBE_EVERY_S = 0.1
SAME_REQUEST_S = 0.5
MAX_LINE_BYTES = 8192
"""A longer line of a part's output is shown in pieces."""

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None

Probe = Callable[[], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Part:
    """One process of the stack."""

    name: str
    argv: tuple[str, ...]
    probe: Probe
    """Whether the part serves; asked every tenth of a second until it does. Never raises."""
    after: tuple[str, ...] = ()
    """Parts that must be ready before this one is started."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Added to this process's environment."""
    ready_within_s: float = 60.0
    stop_within_s: float = 10.0
    """Time between SIGTERM and SIGKILL."""


class Reporter(Protocol):
    """Where the supervisor says what happens."""

    def status(self, name: str, text: str, *, good: bool = True) -> None:
        """A change of a part's state."""

    def output(self, name: str, line: str) -> None:
        """A line that a part wrote."""


class Supervisor:
    """Owns the processes of the parts while `run` runs.

    Args:
        parts: In the order of starting; stopped in the reverse order.
        reporter: Told of every change and every line.
        backoff_s: Pauses before restarts.

    Raises:
        ValueError: If a part's `after` names one that does not stand before it.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        reporter: Reporter,
        *,
        backoff_s: Sequence[float] = BACKOFF_S,
    ) -> None:
        self._children: dict[str, _Child] = {}
        for part in parts:
            missing = set(part.after) - set(self._children)
            if missing:
                raise ValueError(f"{part.name} stands before {', '.join(sorted(missing))}")
            self._children[part.name] = _Child(part)
        self._reporter = reporter
        self._backoff_s = tuple(backoff_s)
        self._over = asyncio.Event()
        self._hurry = asyncio.Event()
        self._asked_at: float | None = None
        self._failure: ConfigError | None = None

    def stop(self) -> None:
        """Asks `run` to stop all parts and return; asked again, it kills them at once.

        What comes within half a second of the first call is the same request, once more: some
        programs pass on a Ctrl-C that the terminal has sent to everybody.
        """
        now = time.monotonic()
        if self._asked_at is None:
            self._asked_at = now
        elif now - self._asked_at > SAME_REQUEST_S:
            self._hurry.set()
        self._over.set()

    async def run(self, on_ready: Callable[[], None] = lambda: None) -> None:
        """Starts the parts and keeps them running until `stop` is called.

        Args:
            on_ready: Called once, when every part is ready for the first time.

        Raises:
            ConfigError: `start_failed` or `tool_missing`, when a part cannot be started, or
                crashes again and again. Every other part has been stopped by then.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                for child in self._children.values():
                    tasks.create_task(self._keep(child))
                all_ready = tasks.create_task(self._all_ready(on_ready))
                await self._over.wait()
                all_ready.cancel()
                for child in reversed(self._children.values()):
                    await self._stop_child(child)
        finally:
            for child in self._children.values():
                child.signal(signal.SIGKILL)
        if self._failure is not None:
            raise self._failure

    async def _all_ready(self, on_ready: Callable[[], None]) -> None:
        for child in self._children.values():
            await child.ready.wait()
        on_ready()

    def _fail(self, error: ConfigError) -> None:
        if not self._over.is_set():
            self._failure = error
            self._over.set()

    async def _keep(self, child: _Child) -> None:
        part = child.part
        for name in part.after:
            if not await self._unless_over(self._children[name].ready.wait()):
                return
        crashes = 0
        while not self._over.is_set():
            try:
                ready_for_s, ending = await self._run_once(child)
            except FileNotFoundError:
                self._fail(
                    ConfigError("tool_missing", f"{part.name}: {part.argv[0]} does not exist.")
                )
                return
            if self._over.is_set():
                return
            crashes = 0 if ready_for_s > STABLE_AFTER_S else crashes
            if not child.was_ready or crashes >= len(self._backoff_s):
                said = f" It said: {child.last_words}" if child.last_words else ""
                when = "again and again" if child.was_ready else "before it was ready"
                self._fail(ConfigError("start_failed", f"{part.name} {ending} {when}.{said}"))
                return
            pause_s = self._backoff_s[crashes]
            crashes += 1
            self._reporter.status(
                part.name, f"{ending}; starting it again in {pause_s:g} s", good=False
            )
            await self._unless_over(asyncio.sleep(pause_s))

    async def _unless_over(self, awaitable: Awaitable[object]) -> bool:
        """Waits for something, or for the end; tells whether the thing came."""
        thing = asyncio.ensure_future(awaitable)
        over = asyncio.ensure_future(self._over.wait())
        try:
            await asyncio.wait({thing, over}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            thing.cancel()
            over.cancel()
        return thing.done() and not self._over.is_set()

    async def _run_once(self, child: _Child) -> tuple[float, str]:
        """Runs the process to its end; gives the seconds that it was ready, and how it ended."""
        process = await child.start()
        if self._over.is_set():  # the stopping may have passed this child by
            child.signal(signal.SIGKILL)
        self._reporter.status(child.part.name, "starting")
        started = time.monotonic()
        ready_at: float | None = None

        async def await_ready() -> None:
            nonlocal ready_at
            limit_s = child.part.ready_within_s
            while not await child.part.probe():
                if time.monotonic() - started > limit_s:
                    child.late = True
                    child.signal(signal.SIGKILL)
                    return
                await asyncio.sleep(PROBE_EVERY_S)
            if process.returncode is None:
                ready_at = time.monotonic()
                self._reporter.status(child.part.name, f"ready in {ready_at - started:.1f} s")
                child.was_ready = True
                child.ready.set()

        async with asyncio.TaskGroup() as tasks:
            output = tasks.create_task(self._show_output(child, process))
            probing = tasks.create_task(await_ready())
            status = await process.wait()
            child.ready.clear()
            probing.cancel()
            # What the process left behind in its group goes with it, and so lets go of the pipe.
            child.signal(signal.SIGKILL)
            await asyncio.wait({output}, timeout=1.0)
            output.cancel()
        ready_for_s = time.monotonic() - ready_at if ready_at is not None else 0.0
        if child.late:
            child.late = False
            return ready_for_s, f"was not ready within {child.part.ready_within_s:g} s"
        if status < 0:
            return ready_for_s, f"was ended by {signal.Signals(-status).name}"
        return ready_for_s, f"ended with status {status}"

    async def _show_output(self, child: _Child, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        rest = b""
        while block := await process.stdout.read(65536):
            *lines, rest = (rest + block).split(b"\n")
            for line in lines:
                self._show_line(child, line)
            while len(rest) > MAX_LINE_BYTES:
                self._show_line(child, rest[:MAX_LINE_BYTES])
                rest = rest[MAX_LINE_BYTES:]
        if rest:
            self._show_line(child, rest)

    def _show_line(self, child: _Child, line: bytes) -> None:
        text = line.decode("utf-8", errors="replace").rstrip()
        if text:
            child.recent.append(text)
            self._reporter.output(child.part.name, text)

    async def _stop_child(self, child: _Child) -> None:
        if not child.alive:
            return
        self._reporter.status(child.part.name, "stopping")
        child.signal(signal.SIGTERM)
        hurry = asyncio.ensure_future(self._hurry.wait())
        gone = asyncio.ensure_future(child.wait())
        try:
            await asyncio.wait(
                {gone, hurry},
                timeout=child.part.stop_within_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if not gone.done():
                self._reporter.status(child.part.name, "did not stop in time: killed", good=False)
                child.signal(signal.SIGKILL)
                await gone
        finally:
            hurry.cancel()
            gone.cancel()


class _Child:
    """The process of a part, and what is known of it."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self.ready = asyncio.Event()
        self.was_ready = False
        self.late = False
        """Killed because it was not ready in time."""
        self.recent: deque[str] = deque(maxlen=20)
        """The last lines that it wrote."""
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> asyncio.subprocess.Process:
        """Starts the process in a group of its own.

        Raises:
            FileNotFoundError: If there is no such program.
        """
        parent = os.getpid()
        self._process = await asyncio.create_subprocess_exec(
            *self.part.argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, **self.part.env},
            start_new_session=True,
            preexec_fn=(lambda: _die_with(parent)) if _LIBC is not None else None,
        )
        return self._process

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.returncode is None

    @property
    def last_words(self) -> str:
        """The last line that it wrote, which for a process of ours is the reason why it ended."""
        return self.recent[-1] if self.recent else ""

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal to the whole group, if any of it is left."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    async def wait(self) -> None:
        """Waits for the end of the process."""
        if self._process is not None:
            await self._process.wait()


def _die_with(parent: int) -> None:
    """Runs in the child between fork and exec: asks the kernel to kill it with its parent."""
    assert _LIBC is not None
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
