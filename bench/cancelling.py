"""How soon a model hears that its answer was cut off.

The way is that of a call: LiveKit's LLM stream is closed, as an interruption does, the backend's
stream with it, and the backend closes its connection to a model behind HTTP.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import typer
from livekit.agents import llm
from rich.console import Console

from agent_worker.conversation import Conversation
from agent_worker.flow_executor import FlowExecutor
from bench.local_stack import LocalStack
from bench.remote_model import RemoteModel
from bench.voice import FLOWS
from plugins import flow_llm

ANSWER = "And another thing is this, which takes its time to be told. " * 200
LATEST_S = 0.5
"""After the first token, at most."""
LIMIT_S = 10.0

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def cancelling(
    count: Annotated[int, typer.Option(min=1, help="Answers that are cut off.")] = 40,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a line.")] = False,
) -> None:
    """Measures from the end of the LLM stream in the worker to the closed connection."""
    times_ms = asyncio.run(measure(count))
    p50, p95 = np.percentile(times_ms, [50, 95])
    if as_json:
        figures = {"count": count, "p50_ms": p50, "p95_ms": p95, "most_ms": max(times_ms)}
        sys.stdout.write(json.dumps({"cores": os.cpu_count(), **figures}, indent=2) + "\n")
    else:
        Console().print(
            f"{count} answers cut off, {os.cpu_count()} cores: the model's connection is closed "
            f"after {p50:.0f} ms (p50), {p95:.0f} ms (p95), {max(times_ms):.0f} ms at most"
        )


async def measure(count: int) -> list[float]:
    """Cuts so many answers off at random times; milliseconds of each.

    Raises:
        ConfigError: The backend did not start.
        TimeoutError: A connection stayed open.
    """
    rng = random.Random(1)
    model = RemoteModel(ANSWER, first_s=0.05)
    times_ms: list[float] = []
    with TemporaryDirectory(prefix="parley-") as folder:
        stack = LocalStack(Path(folder))
        try:
            async with model.serve() as settings:
                backend = await stack.backend({"FLOWS_DIR": str(FLOWS), **settings})
                async with FlowExecutor("bench", backend_url=backend.url) as executor:
                    conversation = Conversation(executor)
                    for number in range(count):
                        times_ms.append(await _cut(conversation, model, number, rng))
                    await conversation.aclose()
        finally:
            for process in reversed(stack.processes):
                await process.stop()
    return times_ms


async def _cut(
    conversation: Conversation, model: RemoteModel, number: int, rng: random.Random
) -> float:
    turn_id = f"turn-{number}"
    context = llm.ChatContext.empty()
    context.items.append(llm.ChatMessage(id=turn_id, role="user", content=["Go on."]))
    stream = flow_llm.LLM(conversation, flow_id="bench").chat(chat_ctx=context)
    conversation.commit(turn_id)
    await anext(stream)
    await asyncio.sleep(rng.uniform(0, LATEST_S))
    cut_s = time.perf_counter()
    await stream.aclose()
    async with asyncio.timeout(LIMIT_S):
        closed_s = await model.cut_off.get()
    conversation.heard(turn_id, "And another", interrupted=True)
    return (closed_s - cut_s) * 1000


if __name__ == "__main__":
    app()
