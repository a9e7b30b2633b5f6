"""Calls and requests for as long as you like, with random faults.

First a storm: backend and worker are killed, stopped for a moment and started again, at random.
Then a steady time, in which they are stopped and the model is away, but the same two processes live
on: whether they grow is measured there, after what was open in the storm has left their memory.
What was said is kept by number, and compared at the end with what the backend's database holds.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from bench.growth import Growth, Look, growth
from bench.local_stack import LocalStack
from bench.remote_model import RemoteModel
from bench.storm import Result, Storm, Trouble
from bench.voice import FLOWS, QUESTIONS, spoken

ANSWER = "That is a good question, and the answer is not as simple as it looks."
MEASURED = {
    "memory_mb": "memory, MB",
    "heap_mb": "heap in use, MB",
    "objects_k": "small objects, 1,000",
    "files": "open files",
    "threads": "threads",
    "tasks": "tasks",
}


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def soak(
    minutes: Annotated[float, typer.Option(min=1, max=240, help="How long in all.")] = 30,
    steady_minutes: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Of them, at the end: no fault restarts backend or worker, and their growth is "
            "measured. Half, unless given.",
        ),
    ] = None,
    callers: Annotated[int, typer.Option(min=0, max=16, help="Calls at the same time.")] = 2,
    clients: Annotated[int, typer.Option(min=1, max=64, help="Clients of the doors.")] = 4,
    seed: Annotated[int, typer.Option(help="Of the faults and pauses.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Runs calls and requests with faults, and says what was lost and what grew."""
    steady_minutes = minutes / 2 if steady_minutes is None else min(steady_minutes, minutes)
    result = asyncio.run(measure(Result(minutes, steady_minutes), callers, clients, seed))
    if as_json:
        sys.stdout.write(json.dumps(_as_json(result), indent=2, allow_nan=False) + "\n")
    else:
        _show(result, Console())
    raise typer.Exit(0 if result.sound else 1)


async def measure(result: Result, callers: int, clients: int, seed: int) -> Result:
    """Storms, then watches.

    Raises:
        ConfigError: A part of the stack did not start.
    """
    questions = await spoken(QUESTIONS)
    model = RemoteModel(ANSWER, first_s=0.05)
    async with AsyncExitStack() as owned:
        stack = await owned.enter_async_context(LocalStack.run(llm=False))
        reached = await owned.enter_async_context(model.serve())
        storm = Storm(result, stack, model, seed)
        await storm.start({"FLOWS_DIR": str(FLOWS), **reached})
        await storm.run(callers, clients, questions)
        await storm.check()
    return result


def _growths(looks: list[Look]) -> dict[str, Growth]:
    at_s = [seen.at_s for seen in looks]
    return {name: growth(at_s, [getattr(seen, name) for seen in looks]) for name in MEASURED}


def _as_json(result: Result) -> dict[str, Any]:
    return {
        "minutes": result.minutes,
        "steady_minutes": result.steady_minutes,
        "turns": result.turns,
        "calls": result.calls,
        "doors": result.doors,
        "faults": result.faults,
        "troubles": [asdict(trouble) for trouble in result.troubles],
        "unexplained": len(result.unexplained),
        "lost": result.lost,
        "doubled": result.doubled,
        "unended": result.unended,
        "died": result.died,
        "growth_in_10_min": {
            process: {name: _growth_as_json(found) for name, found in _growths(looks).items()}
            for process, looks in result.looks.items()
        },
        "looks": {name: [asdict(seen) for seen in looks] for name, looks in result.looks.items()},
    }


def _growth_as_json(found: Growth) -> dict[str, Any]:
    told = found.grows is not None
    return {
        **asdict(found),
        "error": found.error if told else None,
        "interval": found.interval if told else None,
        "verdict": found.verdict,
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
    table.add_row("failures, no fault near", str(len(result.unexplained)))
    table.add_row("died by themselves", "\n".join(result.died) or "none")
    console.print(table)
    if result.troubles:
        console.print(_troubles(result.troubles))
    console.print(_grown(result))


def _troubles(troubles: list[Trouble]) -> Table:
    """Each that no fault explains, and the others by their kind."""
    table = Table("when", "after", "what", "how it ended", "faults since shortly before")
    for trouble in troubles:
        if not trouble.explained:
            table.add_row(
                trouble.at,
                f"{trouble.took_s:g} s",
                trouble.door,
                trouble.code,
                "none",
                style="bold",
            )
    kinds = Counter((t.door, t.code, ", ".join(t.faults)) for t in troubles if t.explained)
    for (door, code, faults), number in kinds.most_common():
        table.add_row(f"{number} times", "", door, code, faults)
    return table


def _grown(result: Result) -> Table:
    table = Table(
        *("process", "of", "from", "to", "in ten minutes", "95 % interval", "verdict"),
        title=f"the last of {result.steady_minutes:g} minutes in which both lived on",
    )
    for process, looks in result.looks.items():
        for name, found in _growths(looks).items():
            least, most = found.interval
            table.add_row(
                process,
                MEASURED[name],
                f"{found.first:.1f}",
                f"{found.last:.1f}",
                f"{found.slope:+.2f} ± {found.error:.2f}",
                f"{least:+.2f} to {most:+.2f}",
                found.verdict,
            )
    return table


if __name__ == "__main__":
    app()
