"""Calls and requests of a soak, and the faults among them."""

from __future__ import annotations

import asyncio
import functools
import json
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
from httpx_sse import aconnect_sse
from rich.console import Console
from rich.progress import Progress

from bench.caller import Audio, Caller
from bench.growth import Look, look
from bench.local_stack import Backend, LocalStack, Process, free_port
from bench.remote_model import RemoteModel

TERMINAL = frozenset({"done", "error", "cancelled"})
SAMPLE_S = 5.0
FAULT_S = (10.0, 20.0)
"""Between two faults, at least and at most."""
STOPPED_S = 2.0
AFTERMATH_S = 15.0
"""After a fault its consequences may still come: a place that a dead worker had, a new process's
first answers."""
TURN_LIMIT_S = 60.0
CALL_TURNS = 3
SETTLE_S = 330.0
"""Before growth is measured, at most: idle sessions stay in memory for five minutes."""
LEFT_OF_TEN = 1
"""Of ten requests with audio, so many are given up at their first words."""
NO_ANSWER = "no answer"
KILLS = ("backend killed", "worker killed")
PAUSES = ("backend stopped", "worker stopped", "model away")
"""Faults after which the same processes go on."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that somebody asked for and did not get."""

    at: str
    """Time of day, as in the logs."""
    took_s: float
    """Since it was asked for."""
    door: str
    code: str
    faults: tuple[str, ...]
    """What was under way since shortly before it was asked for: the reason, probably."""

    @property
    def explained(self) -> bool:
        """A fault was near."""
        return bool(self.faults)


@dataclass(slots=True)
class Result:
    """What came of it."""

    minutes: float
    steady_minutes: float
    """Of them, at the end: backend and worker live on."""
    turns: Counter[str] = field(default_factory=Counter)
    """Text turns by how they ended."""
    calls: Counter[str] = field(default_factory=Counter)
    """Spoken turns: `answered`, or what came instead."""
    doors: Counter[str] = field(default_factory=Counter)
    """Requests with audio by how they ended."""
    faults: Counter[str] = field(default_factory=Counter)
    troubles: list[Trouble] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    """Turns that ended with `done` and that the database does not hold."""
    doubled: list[str] = field(default_factory=list)
    died: list[str] = field(default_factory=list)
    """The last words of processes that nobody had killed."""
    unended: int = 0
    """Streams with no terminal event, or more than one, where nothing had been killed."""
    looks: dict[str, list[Look]] = field(default_factory=dict)
    """At each process in its steady life, once it had settled."""

    @property
    def unexplained(self) -> list[Trouble]:
        """What went wrong without a fault near."""
        return [trouble for trouble in self.troubles if not trouble.explained]

    @property
    def sound(self) -> bool:
        """Nothing was lost, doubled or left open, nothing died or failed by itself."""
        return not (self.lost or self.doubled or self.unended or self.died or self.unexplained)


@dataclass(slots=True)
class _Fault:
    name: str
    began_s: float
    ended_s: float | None = None


class Storm:
    """One run: the parts that are killed and started again, and who talks to them."""

    def __init__(self, result: Result, stack: LocalStack, model: RemoteModel, seed: int) -> None:
        self.result = result
        self._stack = stack
        self._model = model
        self._settings: dict[str, str] = {}
        self._random = random.Random(seed)
        self._port = free_port()
        self._metrics_port = free_port()
        self._backend: Backend | None = None
        self._worker: Process | None = None
        self._over = asyncio.Event()
        self._said: dict[str, list[str]] = {}
        """For each session the turns that were done."""
        self._faults: list[_Fault] = []

    async def start(self, settings: dict[str, str]) -> None:
        """Starts backend and worker.

        Raises:
            ConfigError: `start_failed`.
        """
        # All clients have one address here.
        self._settings = {"DOOR_RATE_LIMIT": "", "ADDRESS_CONCURRENCY": "0", **settings}
        self._backend = await self._stack.backend(self._settings, port=self._port)
        await self._start_worker()

    async def _start_worker(self) -> None:
        env = {
            "FLOW_ID": "bench",
            "MAX_CALLS": "32",
            "STILL_THERE_AFTER_S": "0",
            "WORKER_METRICS_PORT": str(self._metrics_port),
        }
        self._worker = await self._stack.worker(self._url, agent_name="parley", env=env)

    @property
    def _url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def run(self, callers: int, clients: int, questions: Sequence[Audio]) -> None:
        """Talks and disturbs for as long as the result says."""
        seconds = self.result.minutes * 60
        steady_s = self.result.steady_minutes * 60
        settled_s = seconds - steady_s + min(SETTLE_S, steady_s / 2)
        began_s = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            for number in range(clients):
                tasks.create_task(self._again(functools.partial(self._chat, number)))
                tasks.create_task(self._again(self._listen))
            for number in range(callers):
                tasks.create_task(self._again(functools.partial(self._call, number, questions)))
            with Progress(disable=not sys.stderr.isatty(), console=Console(stderr=True)) as shown:
                bar = shown.add_task("storm", total=seconds)
                next_fault_s = began_s
                while (passed_s := time.monotonic() - began_s) < seconds:
                    steady = passed_s >= seconds - steady_s
                    shown.update(
                        bar, completed=passed_s, description="steady" if steady else "storm"
                    )
                    if passed_s >= settled_s:
                        await self._look(passed_s)
                    if time.monotonic() >= next_fault_s:
                        await self._disturb(steady=steady)
                        next_fault_s = time.monotonic() + self._random.uniform(*FAULT_S)
                    await asyncio.sleep(SAMPLE_S)
            self._over.set()

    async def _again(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while not self._over.is_set():
            await work()

    async def _disturb(self, *, steady: bool) -> None:
        assert self._backend is not None
        assert self._worker is not None
        self._look_for_dead()
        name = self._random.choice(PAUSES if steady else (*KILLS, *PAUSES))
        async with self._fault(name):
            match name:
                case "backend killed":
                    await self._backend.process.kill()
                    self._backend = await self._stack.backend(self._settings, port=self._port)
                case "worker killed":
                    await self._worker.kill()
                    await self._start_worker()
                case "backend stopped":
                    await _stopped(self._backend.process)
                case "worker stopped":
                    await _stopped(self._worker)
                case "model away":
                    self._model.away.set()
                    await asyncio.sleep(STOPPED_S)
                    self._model.away.clear()

    @asynccontextmanager
    async def _fault(self, name: str) -> AsyncIterator[None]:
        fault = _Fault(name, time.monotonic())
        self._faults.append(fault)
        yield
        fault.ended_s = time.monotonic()
        self.result.faults[name] += 1

    def _faults_since(self, began_s: float, *, aftermath_s: float = 0.0) -> tuple[str, ...]:
        """What was under way at some time since `began_s`."""
        return tuple(
            fault.name
            for fault in self._faults
            if fault.ended_s is None or fault.ended_s + aftermath_s >= began_s
        )

    def _note(self, door: str, code: str, began_s: float) -> None:
        """Something was asked for and not given."""
        self.result.troubles.append(
            Trouble(
                time.strftime("%H:%M:%S"),
                round(time.monotonic() - began_s, 1),
                door,
                code,
                self._faults_since(began_s, aftermath_s=AFTERMATH_S),
            )
        )

    async def _chat(self, number: int) -> None:
        """A session of a few turns, each with an id of its own; broken streams are gone on with."""
        session = f"soak-{number}-{self._random.getrandbits(32):08x}"
        async with httpx.AsyncClient(base_url=self._url, timeout=30, trust_env=False) as client:
            for turn in range(4):
                began_s = time.monotonic()
                ended = await self._turn(client, session, f"t{turn}", f"question {turn}")
                self.result.turns[ended] += 1
                if ended != "done":
                    self._note("text turn", ended, began_s)
                await asyncio.sleep(self._random.uniform(0.05, 0.3))

    async def _turn(self, client: httpx.AsyncClient, session: str, turn_id: str, text: str) -> str:
        """How the turn ended."""
        base = f"/api/flows/bench/sessions/{session}"
        began_s, seen, ends = time.monotonic(), 0, 0
        url, query, ended = f"/api/flows/bench/stream/{session}", {"input": text}, NO_ANSWER
        while not ends and time.monotonic() < began_s + TURN_LIMIT_S:
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
                        return await _refusal(source.response)
            if not ends:
                await asyncio.sleep(0.5)
        if ends != 1 and not self._faults_since(began_s):
            self.result.unended += 1
        if ended == "done":
            self._said.setdefault(session, []).append(turn_id)
        return ended

    async def _listen(self) -> None:
        """A request for text and audio; what a fault cuts is asked for again by a user."""
        began_s, kinds = time.monotonic(), Counter[str]()
        body = {"message": "Tell me.", "session_id": f"soak-b-{self._random.getrandbits(32):08x}"}
        leaves = self._random.randrange(10) < LEFT_OF_TEN
        ended = NO_ANSWER
        try:
            async with (
                httpx.AsyncClient(base_url=self._url, timeout=60, trust_env=False) as client,
                aconnect_sse(client, "POST", "/api/chat/stream", json=body) as source,
            ):
                if source.response.status_code == 200:
                    async for frame in source.aiter_sse():
                        kinds[frame.event] += 1
                        if frame.event == "error":
                            ended = f"error: {frame.data}"
                        elif frame.event == "done":
                            ended = "done"
                        elif leaves:
                            ended = "left by the client"
                            break
                else:
                    ended = await _refusal(source.response)
        except httpx.TransportError as error:
            ended = type(error).__name__ if ended == NO_ANSWER else ended
        ends = kinds["done"] + kinds["error"]
        if not leaves and kinds.total() and ends != 1 and not self._faults_since(began_s):
            self.result.unended += 1
        self.result.doors[ended] += 1
        if ended not in ("done", "left by the client"):
            self._note("request with audio", ended, began_s)
        await asyncio.sleep(self._random.uniform(0.2, 1.0))

    async def _call(self, number: int, questions: Sequence[Audio]) -> None:
        """A call of a few turns; a fault may end it, as a crash does, and one calls again."""
        room = f"soak-{number}-{self._random.getrandbits(32):08x}"
        outcome = "no agent came"
        began_s = time.monotonic()
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
                await _or_left(caller, caller.until_connected())
                for _ in range(CALL_TURNS):
                    outcome, began_s = NO_ANSWER, time.monotonic()
                    ended_s = await caller.speak(self._random.choice(questions))
                    await _or_left(caller, caller.first_audible_after(ended_s))
                    await _or_left(caller, caller.until_silent(1.0))
                    self.result.calls["answered"] += 1
        except (TimeoutError, ConnectionError) as error:
            ended = f"{outcome}: {error}" if str(error) else outcome
            self.result.calls[ended] += 1
            self._note("call", ended, began_s)

    def _look_for_dead(self) -> None:
        assert self._backend is not None
        assert self._worker is not None
        for process in (self._backend.process, self._worker):
            words = f"{process.name}:\n{process.tail()}"
            if not process.alive and words not in self.result.died:
                self.result.died.append(words)

    async def _look(self, at_s: float) -> None:
        assert self._backend is not None
        assert self._worker is not None
        for name, pid, url in (
            ("backend", self._backend.process.pid, f"{self._url}/metrics"),
            ("worker", self._worker.pid, f"http://127.0.0.1:{self._metrics_port}/metrics"),
        ):
            if (seen := await look(pid, url, at_s)) is not None:
                self.result.looks.setdefault(name, []).append(seen)

    async def check(self) -> None:
        """Compares what was done with what the backend holds; looks for what has died."""
        self._look_for_dead()
        async with httpx.AsyncClient(base_url=self._url, timeout=30, trust_env=False) as client:
            for session, done in self._said.items():
                found = await client.get(f"/api/flows/bench/sessions/{session}")
                entries = found.json()["transcript"] if found.status_code == 200 else []
                held = Counter(e["turn_id"] for e in entries if e["role"] == "user")
                for turn_id in done:
                    if not held[turn_id]:
                        self.result.lost.append(f"{session}/{turn_id}")
                    elif held[turn_id] > 1:
                        self.result.doubled.append(f"{session}/{turn_id}")


async def _refusal(response: httpx.Response) -> str:
    """Status and code of an answer that is no stream."""
    text = await response.aread()
    with suppress(ValueError, KeyError, TypeError):
        return f"{response.status_code} {json.loads(text)['code']}"
    return f"{response.status_code} without a code"


async def _stopped(process: Process) -> None:
    """Holds a process still for a moment."""
    process.send_signal(signal.SIGSTOP)
    try:
        await asyncio.sleep(STOPPED_S)
    finally:
        process.send_signal(signal.SIGCONT)


async def _or_left(caller: Caller, work: Coroutine[Any, Any, Any]) -> None:
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
