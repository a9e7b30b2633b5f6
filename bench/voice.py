"""From the end of a caller's speech to the first sound of the answer.

A caller in a real room asks questions; the time is taken where the caller hears it, and so holds
end-pointing, transcription, the flow, the model, synthesis and two trips through LiveKit. The
plain pipeline answers the same questions in the same run, on the same backend.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
import soxr
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bench.caller import AUDIBLE, MIC_RATE_HZ, Audio, Caller
from bench.local_stack import ROOT, LocalStack
from bench.waterfall import waterfall_table
from speech.piper import PiperEngine

QUESTIONS = (
    "What is the capital of France?",
    "Can you tell me a short story about a dog?",
    "How do I make a cup of tea?",
    "What should I do on a rainy day?",
    "Why is the sky blue?",
)
FLOWS = ROOT / "bench" / "data" / "flows"
TURN_LIMIT_S = 30.0
PAUSE_S = 1.0
"""Silence after which the answer counts as over."""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@dataclass(frozen=True, slots=True)
class Result:
    """One pipeline's figures."""

    pipeline: str
    latencies_ms: list[float]
    """End of speech to first audible sample, a turn each."""
    unanswered: int
    """Turns without a sound within 30 s."""
    waterfalls: list[dict[str, Any]] = field(default_factory=list)
    """Where the time went, by the worker's account; the plain pipeline gives none."""

    @property
    def median_ms(self) -> float:
        """Of the answered turns."""
        return statistics.median(self.latencies_ms)

    @property
    def p95_ms(self) -> float:
        """Of the answered turns."""
        return float(np.percentile(self.latencies_ms, 95))


@app.command()
def voice(
    turns: Annotated[int, typer.Option(min=1, help="Turns for each pipeline.")] = 10,
    plain: Annotated[bool, typer.Option(help="Measure the plain pipeline, too.")] = True,
    model: Annotated[
        str,
        typer.Option(
            help="As the backend's LLM: `local` is the embedded model; `scripted` answers at once, "
            "and so leaves the pipelines alone to be compared."
        ),
    ] = "local",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Measures the time from the end of speech to the answer, in a real room."""
    results = asyncio.run(measure(turns, plain=plain, model=model))
    if as_json:
        sys.stdout.write(json.dumps(_as_json(results), indent=2) + "\n")
    else:
        console = Console()
        console.print(_as_table(results))
        for result in results:
            if result.waterfalls:
                console.print(waterfall_table(result.waterfalls))


async def measure(turns: int, *, plain: bool, model: str) -> list[Result]:
    """Runs both pipelines, one after the other, on one stack.

    Raises:
        ConfigError: A part of the stack did not start.
    """
    questions = await spoken(QUESTIONS)
    with Progress(disable=not sys.stderr.isatty(), console=Console(stderr=True)) as progress:
        bar = progress.add_task("starting the stack", total=turns * (2 if plain else 1))
        results = []
        async with LocalStack.run(llm=model.startswith("local")) as stack:
            backend = await stack.backend({"FLOWS_DIR": str(FLOWS), "LLM": model})
            pipelines = [("plain", "bench.plain_pipeline")] if plain else []
            for name, module in [*pipelines, ("parley", "agent_worker")]:
                progress.update(bar, description=name)
                worker = await stack.worker(
                    backend.url, agent_name=name, module=module, env={"FLOW_ID": "bench"}
                )
                results.append(
                    await _ask_all(stack, name, turns, questions, lambda: progress.advance(bar))
                )
                await worker.stop()
    return results


async def _ask_all(
    stack: LocalStack, name: str, turns: int, questions: list[Audio], advance: Callable[[], None]
) -> Result:
    latencies_ms: list[float] = []
    unanswered = 0
    async with Caller.join(
        stack.livekit_url, stack.key, stack.secret, f"bench-{name}", agent_name=name
    ) as caller:
        await caller.until_connected()
        # The first turn opens connections and fills caches, and is not counted.
        for turn in range(turns + 1):
            await asyncio.sleep(PAUSE_S)
            ended_s = await caller.speak(questions[turn % len(questions)])
            try:
                async with asyncio.timeout(TURN_LIMIT_S):
                    first_s = await caller.first_audible_after(ended_s)
            except TimeoutError:
                unanswered += turn > 0
                continue
            if turn > 0:
                latencies_ms.append((first_s - ended_s) * 1000)
                advance()
            await caller.until_silent(PAUSE_S)
        # The first one is of the turn that is not counted.
        return Result(name, latencies_ms, unanswered, caller.waterfalls[1:])


async def spoken(texts: Sequence[str]) -> list[Audio]:
    """Each text, spoken; nothing but speech from the first sample to the last."""
    recordings = []
    async with PiperEngine() as engine:
        for text in texts:
            chunk = await engine.synthesize(text)
            samples = chunk.samples.astype(np.float32) / np.float32(32768)
            speech = soxr.resample(samples, chunk.sample_rate_hz, MIC_RATE_HZ)
            loud = np.flatnonzero(np.abs(speech) >= AUDIBLE)
            recordings.append(speech[loud[0] : loud[-1] + 1])
    return recordings


def _as_table(results: list[Result]) -> Table:
    table = Table(title=f"End of speech to first audible sample, {os.cpu_count()} cores")
    for column in ("pipeline", "turns", "median", "p95", "least", "most", "unanswered"):
        table.add_column(column, justify="left" if column == "pipeline" else "right")
    for result in results:
        times = result.latencies_ms
        table.add_row(
            result.pipeline,
            str(len(times)),
            *(
                [f"{ms:.0f} ms" for ms in (result.median_ms, result.p95_ms, min(times), max(times))]
                if times
                else ["-"] * 4
            ),
            str(result.unanswered),
        )
    factor = _factor(results)
    if factor is not None:
        table.caption = f"parley answers {factor:.1f} times as fast as the plain pipeline"
    return table


def _as_json(results: list[Result]) -> dict[str, Any]:
    return {
        "cores": os.cpu_count(),
        "factor": _factor(results),
        "pipelines": [
            {
                "pipeline": result.pipeline,
                "turns": len(result.latencies_ms),
                "median_ms": result.median_ms if result.latencies_ms else None,
                "p95_ms": result.p95_ms if result.latencies_ms else None,
                "latencies_ms": [round(ms, 1) for ms in result.latencies_ms],
                "unanswered": result.unanswered,
                "waterfalls": result.waterfalls,
            }
            for result in results
        ],
    }


def _factor(results: list[Result]) -> float | None:
    """How many times faster the second pipeline is than the first, by their medians."""
    if len(results) < 2 or not all(result.latencies_ms for result in results):
        return None
    return results[0].median_ms / results[1].median_ms


if __name__ == "__main__":
    app()
