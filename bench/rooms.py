"""How many rooms talk at the same time before answers come late.

One room is added after the other; in each step all callers ask questions at the same time. The
callers, LiveKit and the backend run on the same cores as the worker and count against it.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import time
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Annotated, Any

import numpy as np
import psutil
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bench.caller import Audio, Caller
from bench.local_stack import LocalStack, Process
from bench.remote_model import RemoteModel
from bench.voice import FLOWS, QUESTIONS, TURN_LIMIT_S, spoken
from bench.waterfall import waterfall_table

LIMIT_MS = 1200.0
"""End of speech to the answer, as the 95th percentile, up to which rooms count as served."""
ANSWER = (
    "I would say that it depends. Some people like it quiet, others like company, and "
    "most are glad of both from time to time."
)
PAUSE_S = (0.5, 2.0)
"""Between an answer and the next question, at least and at most."""
CALLS_S = 10.0
"""A worker's new process may load its models for so long before it takes the next call."""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


class Model(StrEnum):
    """Who answers."""

    REMOTE = "remote"
    LOCAL = "local"


class Executor(StrEnum):
    """How the worker runs its calls."""

    THREADS = "threads"
    PROCESSES = "processes"

    @property
    def module(self) -> str:
        """The worker that does so."""
        return "agent_worker" if self is Executor.THREADS else "bench.process_worker"


@dataclass(frozen=True, slots=True)
class Step:
    """So many rooms at once."""

    rooms: int
    latencies_ms: list[float]
    unanswered: int
    memory_mb: float
    """Of the worker and its processes: the proportional set size."""
    worker_cores: float
    """Cores that the worker used."""
    callers_cores: float
    """Cores that the callers used, and the remote model."""
    others_cores: float
    """Cores that work outside this measurement used: with much of it the figures say little."""
    waterfalls: list[dict[str, Any]]

    @property
    def median_ms(self) -> float:
        """Of the answered turns."""
        return float(np.median(self.latencies_ms)) if self.latencies_ms else float("inf")

    @property
    def p95_ms(self) -> float:
        """Of the answered turns."""
        return float(np.percentile(self.latencies_ms, 95)) if self.latencies_ms else float("inf")

    @property
    def served(self) -> bool:
        """Whether everybody was answered in time."""
        return not self.unanswered and self.p95_ms <= LIMIT_MS


@dataclass(frozen=True, slots=True)
class Result:
    """One arrangement, up to the step that was too much, or to the last one asked for."""

    model: Model
    executor: Executor
    steps: list[Step]

    @property
    def capacity(self) -> int:
        """Rooms that were served in time."""
        return max((step.rooms for step in self.steps if step.served), default=0)

    @property
    def room_mb(self) -> float | None:
        """Memory for each further room; None after a single step."""
        if len(self.steps) < 2:
            return None
        rooms = [step.rooms for step in self.steps]
        return float(np.polyfit(rooms, [step.memory_mb for step in self.steps], 1)[0])


@app.command()
def rooms(
    model: Annotated[
        list[Model] | None,
        typer.Option(help="`remote` is scripted, behind HTTP; `local` the embedded one."),
    ] = None,
    executor: Annotated[
        list[Executor] | None, typer.Option(help="How the worker runs its calls.")
    ] = None,
    most: Annotated[int, typer.Option(min=1, help="Rooms at most.")] = 8,
    turns: Annotated[int, typer.Option(min=1, help="Turns of each room in each step.")] = 6,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Measures how many rooms are answered in time, and what each one costs."""
    found = []
    for one_model in model or list(Model):
        for one_executor in executor or [Executor.THREADS]:
            found.append(asyncio.run(measure(one_model, one_executor, most, turns)))
    if as_json:
        sys.stdout.write(json.dumps([_as_json(result) for result in found], indent=2) + "\n")
        return
    console = Console()
    for result in found:
        console.print(_as_table(result))
        console.print(waterfall_table(result.steps[-1].waterfalls))


async def measure(model: Model, executor: Executor, most: int, turns: int) -> Result:
    """Adds rooms until one is too many.

    Raises:
        ConfigError: A part of the stack did not start.
    """
    questions = await spoken(QUESTIONS)
    steps: list[Step] = []
    with Progress(disable=not sys.stderr.isatty(), console=Console(stderr=True)) as progress:
        bar = progress.add_task(f"{model} model, {executor}", total=most)
        async with AsyncExitStack() as owned:
            stack = await owned.enter_async_context(LocalStack.run(llm=model is Model.LOCAL))
            settings: dict[str, str] = {}
            if model is Model.REMOTE:
                settings = await owned.enter_async_context(RemoteModel(ANSWER).serve())
            backend = await stack.backend({"FLOWS_DIR": str(FLOWS), **settings})
            worker = await stack.worker(
                backend.url,
                agent_name="parley",
                module=executor.module,
                env={"FLOW_ID": "bench", "MAX_CALLS": str(most + 1)},
            )
            callers: list[Caller] = []
            while len(callers) < most and (not steps or steps[-1].served):
                callers.append(await owned.enter_async_context(_joined(stack, len(callers))))
                await callers[-1].until_connected()
                if executor is Executor.PROCESSES:
                    await asyncio.sleep(CALLS_S)
                steps.append(await _talk(callers, stack, worker, questions, turns))
                progress.advance(bar)
    return Result(model, executor, steps)


def _joined(stack: LocalStack, number: int) -> AbstractAsyncContextManager[Caller]:
    return Caller.join(
        stack.livekit_url, stack.key, stack.secret, f"room-{number}", agent_name="parley"
    )


async def _talk(
    callers: list[Caller], stack: LocalStack, worker: Process, questions: list[Audio], turns: int
) -> Step:
    told = [len(caller.waterfalls) for caller in callers]
    before, began_s = _Used.now(stack, worker), time.perf_counter()
    asking = [
        _ask(caller, questions, turns, random.Random(number))
        for number, caller in enumerate(callers)
    ]
    times = [ms for latencies in await asyncio.gather(*asking) for ms in latencies]
    took_s = time.perf_counter() - began_s
    after = _Used.now(stack, worker)
    answered = [ms for ms in times if ms is not None]
    return Step(
        len(callers),
        answered,
        len(times) - len(answered),
        _memory_mb(worker.pid),
        (after.worker_s - before.worker_s) / took_s,
        (after.callers_s - before.callers_s) / took_s,
        max(0.0, (after.others_s - before.others_s) / took_s),
        [w for caller, known in zip(callers, told, strict=True) for w in caller.waterfalls[known:]],
    )


@dataclass(frozen=True, slots=True)
class _Used:
    """Processor time since some moment, in seconds."""

    worker_s: float
    callers_s: float
    others_s: float

    @classmethod
    def now(cls, stack: LocalStack, worker: Process) -> _Used:
        callers_s = sum(psutil.Process().cpu_times()[:2])
        stack_s = sum(_cpu_s(process.pid) for process in stack.processes if process.alive)
        machine = psutil.cpu_times()
        idle_s = machine.idle + getattr(machine, "iowait", 0.0)
        busy_s = sum(machine[:8]) - idle_s  # guests' time is counted with the users'
        return cls(_cpu_s(worker.pid), callers_s, busy_s - stack_s - callers_s)


async def _ask(
    caller: Caller, questions: list[Audio], turns: int, rng: random.Random
) -> list[float | None]:
    """Milliseconds from the end of each question to the answer; None for no answer."""
    latencies: list[float | None] = []
    for _ in range(turns):
        await asyncio.sleep(rng.uniform(*PAUSE_S))
        ended_s = await caller.speak(rng.choice(questions))
        try:
            async with asyncio.timeout(TURN_LIMIT_S):
                first_s = await caller.first_audible_after(ended_s)
                latencies.append((first_s - ended_s) * 1000)
                await caller.until_silent(1.0)
        except TimeoutError:
            latencies.append(None)
    return latencies


def _family(pid: int) -> list[psutil.Process]:
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


def _cpu_s(pid: int) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in _family(pid))


def _memory_mb(pid: int) -> float:
    return sum(process.memory_full_info().pss for process in _family(pid)) / 1e6


def _as_table(result: Result) -> Table:
    table = Table(title=f"{result.model} model, calls as {result.executor}, {os.cpu_count()} cores")
    for column in (
        "rooms",
        "median",
        "p95",
        "turns",
        "unanswered",
        "memory",
        "worker",
        "callers",
        "others",
    ):
        table.add_column(column, justify="right")
    for step in result.steps:
        table.add_row(
            str(step.rooms),
            f"{step.median_ms:.0f} ms",
            f"{step.p95_ms:.0f} ms",
            str(len(step.latencies_ms)),
            str(step.unanswered),
            f"{step.memory_mb:.0f} MB",
            f"{step.worker_cores:.2f} cores",
            f"{step.callers_cores:.2f} cores",
            f"{step.others_cores:.2f} cores",
        )
    further = "" if result.room_mb is None else f"; {result.room_mb:.0f} MB for each further room"
    table.caption = (
        f"{result.capacity} rooms are answered within {LIMIT_MS:.0f} ms in 95 of 100 turns{further}"
    )
    return table


def _as_json(result: Result) -> dict[str, Any]:
    return {
        "cores": os.cpu_count(),
        "model": result.model,
        "executor": result.executor,
        "capacity": result.capacity,
        "room_mb": result.room_mb,
        "steps": [
            {**asdict(step), "median_ms": step.median_ms, "p95_ms": step.p95_ms}
            for step in result.steps
        ],
    }


if __name__ == "__main__":
    app()
