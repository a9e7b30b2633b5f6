"""Calls and requests for as long as you like, with random faults.

The first half is a storm: backend and worker are killed, stopped for a moment and started again,
at random. In the second half everything runs on, and memory, threads and open files are watched.
What was said is kept by number, and compared at the end with what the backend's database holds.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack, suppress
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any

import httpx
import numpy as np
import psutil
import typer
from httpx_sse import aconnect_sse
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bench.caller import Audio, Caller
from bench.local_stack import Backend, LocalStack, Process, free_port
from bench.remote_model import RemoteModel
from bench.voice import FLOWS, QUESTIONS, spoken

ANSWER = "That is a good question, and the answer is not as simple as it looks."
TERMINAL = frozenset({"done", "error", "cancelled"})
SAMPLE_S = 5.0
FAULT_S = (10.0, 20.0)
"""Between two faults, at least and at most."""
TURN_LIMIT_S = 60.0
CALL_TURNS = 3
SETTLE_S = 330.0
"""At the beginning of the calm, at most: idle sessions stay in memory for five minutes."""
NO_ANSWER = "no answer"

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@dataclass(slots=True)
class Sample:
    """One look at a process."""

    at_s: float
    memory_mb: float
    threads: int
    files: int


@dataclass(slots=True)
class Result:
    """What came of it."""

    minutes: float
    turns: Counter[str] = field(default_factory=Counter)
    """Text turns by how they ended."""
    calls: Counter[str] = field(default_factory=Counter)
    """Spoken turns: `answered`, or what came instead."""
    doors: Counter[str] = field(default_factory=Counter)
    """Requests with audio by how they ended."""
    faults: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    """Turns that ended with `done` and that the database does not hold."""
    doubled: list[str] = field(default_factory=list)
    died: list[str] = field(default_factory=list)
    """The last words of processes that nobody had killed."""
    unended: int = 0
    """Streams with no terminal event, or more than one, where nothing had been killed."""
    samples: dict[str, list[Sample]] = field(default_factory=dict)

    @property
    def sound(self) -> bool:
        """Nothing was lost, doubled or left open, and nothing died by itself."""
        return not (self.lost or self.doubled or self.unended or self.died)


@app.command()
def soak(
    minutes: Annotated[float, typer.Option(min=1, max=240, help="How long in all.")] = 30,
    callers: Annotated[int, typer.Option(min=0, max=16, help="Calls at the same time.")] = 2,
    clients: Annotated[int, typer.Option(min=1, max=64, help="Clients of the doors.")] = 4,
    seed: Annotated[int, typer.Option(help="Of the faults and pauses.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Runs calls and requests with faults, and says what was lost and what grew."""
    result = asyncio.run(measure(minutes, callers, clients, seed))
    if as_json:
        sys.stdout.write(json.dumps(_as_json(result), indent=2) + "\n")
    else:
        _show(result, Console())
    raise typer.Exit(0 if result.sound else 1)


async def measure(minutes: float, callers: int, clients: int, seed: int) -> Result:
    """Storms, then watches.

    Raises:
        ConfigError: A part of the stack did not start.
    """
    questions = await spoken(QUESTIONS)
    async with AsyncExitStack() as owned:
        stack = await owned.enter_async_context(LocalStack.run(llm=False))
        model = await owned.enter_async_context(RemoteModel(ANSWER, first_s=0.05).serve())
        soaking = _Soak(Result(minutes), stack, {"FLOWS_DIR": str(FLOWS), **model}, seed)
        await soaking.start()
        await soaking.run(minutes * 60, callers, clients, questions)
        await soaking.check()
    return soaking.result


class _Soak:
    """One run: the parts that are killed and started again, and who talks to them."""

    def __init__(
        self, result: Result, stack: LocalStack, settings: dict[str, str], seed: int
    ) -> None:
        self.result = result
        self._stack = stack
        self._settings = settings
        self._random = random.Random(seed)
        self._port = free_port()
        self._backend: Backend | None = None
        self._worker: Process | None = None
        self._over = asyncio.Event()
        self._said: dict[str, list[tuple[str, str]]] = {}
        """For each session the turns that were done: id and input."""
        self._faults = 0
        """Counts up when a fault begins and when all runs again, so that it is odd in between."""

    async def start(self) -> None:
        self._backend = await self._stack.backend(self._settings, port=self._port)
        await self._start_worker()

    async def _start_worker(self) -> None:
        env = {"FLOW_ID": "bench", "MAX_CALLS": "32", "STILL_THERE_AFTER_S": "0"}
        self._worker = await self._stack.worker(self._url, agent_name="parley", env=env)

    @property
    def _url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def run(self, seconds: float, callers: int, clients: int, questions: list[Audio]) -> None:
        async with asyncio.TaskGroup() as tasks:
            for number in range(clients):
                tasks.create_task(self._again(functools.partial(self._chat, number)))
                tasks.create_task(self._again(self._listen))
            for number in range(callers):
                tasks.create_task(self._again(functools.partial(self._call, number, questions)))
            with Progress(disable=not sys.stderr.isatty(), console=Console(stderr=True)) as shown:
                bar = shown.add_task("storm", total=seconds)
                began_s = time.monotonic()
                while (passed_s := time.monotonic() - began_s) < seconds / 2:
                    shown.update(bar, completed=passed_s)
                    await asyncio.sleep(self._random.uniform(*FAULT_S))
                    await self._fault()
                await asyncio.sleep(min(SETTLE_S, seconds / 4))
                while (passed_s := time.monotonic() - began_s) < seconds:
                    shown.update(bar, completed=passed_s, description="calm")
                    self._look(passed_s)
                    await asyncio.sleep(SAMPLE_S)
            self._over.set()

    async def _again(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while not self._over.is_set():
            await work()

    async def _fault(self) -> None:
        assert self._backend is not None
        assert self._worker is not None
        self._look_for_dead()
        name = self._random.choice(("backend killed", "backend stopped", "worker killed"))
        self._faults += 1
        match name:
            case "backend killed":
                await self._backend.process.kill()
                self._backend = await self._stack.backend(self._settings, port=self._port)
            case "backend stopped":
                os.killpg(self._backend.process.pid, signal.SIGSTOP)
                await asyncio.sleep(2)
                os.killpg(self._backend.process.pid, signal.SIGCONT)
            case "worker killed":
                await self._worker.kill()
                await self._start_worker()
        self._faults += 1
        self.result.faults[name] += 1

    def _fault_since(self, faults: int) -> bool:
        """Whether one was under way when there had been `faults`, or has come since."""
        return faults % 2 == 1 or self._faults != faults

    async def _chat(self, number: int) -> None:
        """A session of a few turns, each with an id of its own; broken streams are gone on with."""
        session = f"soak-{number}-{self._random.getrandbits(32):08x}"
        async with httpx.AsyncClient(base_url=self._url, timeout=30, trust_env=False) as client:
            for turn in range(4):
                ended = await self._turn(client, session, f"t{turn}", f"question {turn}")
                self.result.turns[ended] += 1
                await asyncio.sleep(self._random.uniform(0.05, 0.3))

    async def _turn(self, client: httpx.AsyncClient, session: str, turn_id: str, text: str) -> str:
        """How the turn ended."""
        base = f"/api/flows/bench/sessions/{session}"
        faults, seen, ends = self._faults, 0, 0
        url, query, ended = f"/api/flows/bench/stream/{session}", {"input": text}, NO_ANSWER
        deadline = time.monotonic() + TURN_LIMIT_S
        while not ends and time.monotonic() < deadline:
            with suppress(httpx.TransportError):
                params = {**query, "turn_id": turn_id}
                async with aconnect_sse(client, "GET", url, params=params) as source:
                    if source.response.status_code == 200:
                        async for frame in source.aiter_sse():
                            event = json.loads(frame.data)
                            seen = event.get("seq") or seen
                            if event["type"] in TERMINAL:
                                ends += 1
                                ended = event.get("code") or event["type"]
                        if seen:
                            url, query = f"{base}/turns/{turn_id}/events", {"after": str(seen)}
                    elif source.response.status_code < 500:
                        await source.response.aread()
                        return str(source.response.json().get("code"))
            if not ends:
                await asyncio.sleep(0.5)
        if ends != 1 and not self._fault_since(faults):
            self.result.unended += 1
        if ended == "done":
            self._said.setdefault(session, []).append((turn_id, text))
        return ended

    async def _listen(self) -> None:
        """A request for text and audio; what a fault cuts is asked for again by a user."""
        faults, kinds = self._faults, Counter[str]()
        body = {"message": "Tell me.", "session_id": f"soak-b-{self._random.getrandbits(32):08x}"}
        ended = NO_ANSWER
        with suppress(httpx.TransportError):
            async with (
                httpx.AsyncClient(base_url=self._url, timeout=60, trust_env=False) as client,
                aconnect_sse(client, "POST", "/api/chat/stream", json=body) as source,
            ):
                if source.response.status_code == 200:
                    async for frame in source.aiter_sse():
                        kinds[frame.event] += 1
                    ends = kinds["done"] + kinds["error"]
                    ended = "done" if kinds["done"] else "error" if kinds["error"] else NO_ANSWER
                    self.result.unended += ends != 1 and not self._fault_since(faults)
                else:
                    ended = str(source.response.status_code)
        cut = ended == NO_ANSWER and self._fault_since(faults)
        self.result.doors["cut by a fault" if cut else ended] += 1
        await asyncio.sleep(self._random.uniform(0.2, 1.0))

    async def _call(self, number: int, questions: list[Audio]) -> None:
        """A call of a few turns; a fault may end it, as a crash does, and one calls again."""
        room = f"soak-{number}-{self._random.getrandbits(32):08x}"
        outcome = "no agent came"
        faults = self._faults
        try:
            async with (
                asyncio.timeout(TURN_LIMIT_S * CALL_TURNS),
                Caller.join(
                    self._stack.livekit_url,
                    self._stack.key,
                    self._stack.secret,
                    room,
                    agent_name="parley",
                ) as caller,
            ):
                await self._or_left(caller, caller.until_connected())
                for _ in range(CALL_TURNS):
                    outcome = NO_ANSWER
                    ended_s = await caller.speak(self._random.choice(questions))
                    await self._or_left(caller, caller.first_audible_after(ended_s))
                    await self._or_left(caller, caller.until_silent(1.0))
                    self.result.calls["answered"] += 1
        except (TimeoutError, ConnectionError):
            cut = " after a fault" if self._fault_since(faults) else ""
            self.result.calls[f"{outcome}{cut}"] += 1

    async def _or_left(self, caller: Caller, work: Coroutine[Any, Any, Any]) -> None:
        """Waits for something, unless the agent goes or nothing comes.

        Raises:
            ConnectionError: The agent has gone.
            TimeoutError: It took too long.
        """
        doing = asyncio.create_task(work)
        leaving = asyncio.create_task(caller.agent_left.wait())
        try:
            async with asyncio.timeout(TURN_LIMIT_S / 2):
                await asyncio.wait({doing, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not doing.done():
                raise ConnectionError("the agent has gone")
            doing.result()
        finally:
            for task in (doing, leaving):
                task.cancel()
            await asyncio.gather(doing, leaving, return_exceptions=True)

    def _look_for_dead(self) -> None:
        assert self._backend is not None
        assert self._worker is not None
        for process in (self._backend.process, self._worker):
            if not process.alive:
                self.result.died.append(f"{process.name}:\n{process.tail()}")

    def _look(self, at_s: float) -> None:
        assert self._backend is not None
        assert self._worker is not None
        for name, pid in (("backend", self._backend.process.pid), ("worker", self._worker.pid)):
            with contextlib.suppress(psutil.NoSuchProcess):
                process = psutil.Process(pid)
                self.result.samples.setdefault(name, []).append(
                    Sample(
                        at_s,
                        process.memory_full_info().uss / 1e6,
                        process.num_threads(),
                        process.num_fds(),
                    )
                )

    async def check(self) -> None:
        """Compares what was done with what the backend holds; looks for what has died."""
        self._look_for_dead()
        async with httpx.AsyncClient(base_url=self._url, timeout=30, trust_env=False) as client:
            for session, done in self._said.items():
                found = await client.get(f"/api/flows/bench/sessions/{session}")
                entries = found.json()["transcript"] if found.status_code == 200 else []
                held = Counter(e["turn_id"] for e in entries if e["role"] == "user")
                for turn_id, _ in done:
                    if not held[turn_id]:
                        self.result.lost.append(f"{session}/{turn_id}")
                    elif held[turn_id] > 1:
                        self.result.doubled.append(f"{session}/{turn_id}")


def _growth(samples: list[Sample]) -> tuple[float, float]:
    """Memory's slope in MB for ten minutes, with its standard error."""
    if len(samples) < 4:
        return 0.0, float("inf")
    at = np.array([sample.at_s for sample in samples]) / 600
    memory = np.array([sample.memory_mb for sample in samples])
    (slope, offset), residuals = np.polyfit(at, memory, 1), 0.0
    residuals = float(((memory - slope * at - offset) ** 2).sum())
    error = (residuals / (len(at) - 2) / float(((at - at.mean()) ** 2).sum())) ** 0.5
    return float(slope), error


def _as_json(result: Result) -> dict[str, Any]:
    return {
        "minutes": result.minutes,
        "turns": result.turns,
        "calls": result.calls,
        "doors": result.doors,
        "faults": result.faults,
        "lost": result.lost,
        "doubled": result.doubled,
        "unended": result.unended,
        "died": result.died,
        "growth_mb_in_10_min": {name: _growth(found) for name, found in result.samples.items()},
        "samples": {name: [asdict(s) for s in found] for name, found in result.samples.items()},
    }


def _show(result: Result, console: Console) -> None:
    table = Table("what", "how it ended", title=f"{result.minutes:g} minutes")
    for name, counts in (
        ("text turns", result.turns),
        ("requests with audio", result.doors),
        ("spoken turns", result.calls),
        ("faults", result.faults),
    ):
        table.add_row(name, ", ".join(f"{kind}: {n}" for kind, n in counts.most_common()))
    table.add_row("lost, doubled", f"{len(result.lost)}, {len(result.doubled)}")
    table.add_row("streams without one end, no fault near", str(result.unended))
    table.add_row("died by themselves", "\n".join(result.died) or "none")
    console.print(table)
    grown = Table("process", "memory", "slope in 10 min", "threads", "files", title="in the calm")
    for name, samples in result.samples.items():
        first, last = samples[0], samples[-1]
        slope, error = _growth(samples)
        grown.add_row(
            name,
            f"{first.memory_mb:.0f} → {last.memory_mb:.0f} MB",
            f"{slope:+.1f} ± {error:.1f} MB",
            f"{first.threads} → {last.threads}",
            f"{first.files} → {last.files}",
        )
    console.print(grown)


if __name__ == "__main__":
    app()
