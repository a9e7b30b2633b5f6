"""How soon the agent is silent, and if it knows what was heard.

A caller in a real room cuts long answers off at random times. How much of an answer was played is
found in the caller's recording by its sound (`bench.playback`), not by a transcriber, and compared
with the words that the worker says were heard.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import time
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import httpx
import numpy as np
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from agent_worker.call import SESSION_ATTRIBUTES
from bench.caller import Audio, Caller
from bench.local_stack import Backend, LocalStack
from bench.playback import SEED, KnownSpeech
from bench.remote_model import RemoteModel
from bench.voice import FLOWS, PAUSE_S, TURN_LIMIT_S, spoken
from protocol.turns import SessionState

QUESTION = "Can you tell me about the old lighthouse?"
INTERRUPTIONS = (
    "Wait, stop, I have another question.",
    "No, that is not what I asked for.",
    "Hold on, tell me something different instead.",
    "Sorry, could you begin again, please?",
)
ANSWER = (
    "The lighthouse was built of grey granite, on a rock that only shows at low water. "
    "Its first keeper came from a village up north, and he brought two goats and a violin. "
    "Every evening somebody had to climb the stairs and light forty candles by hand. "
    "Ships carried wool, barley and copper past the point, and few of them had good maps. "
    "In the winter of the great storm a boat with eleven sailors broke its mast nearby. "
    "They rowed towards the lamp for six hours, singing so that nobody would fall asleep. "
    "Later an engineer replaced the candles with oil, mirrors and a clockwork motor. "
    "Today the tower is a museum, and children count the steps while gulls watch from above."
)
"""Half a minute without repetitions, so that each second of it sounds like no other."""
LATEST_S = 9.0
"""Interruptions come so long after the first sound, at most."""
IN_A_CALL = 10
SILENT_S = 0.5
"""Longer than any pause of the answer."""
TOLERANCE_WORDS = 1

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@dataclass(frozen=True, slots=True)
class Interruption:
    """One answer that was cut off."""

    after_s: float
    """From the first sound of the answer to the first of the interruption."""
    silence_ms: float
    """From the start of the interruption to the last audible sample of the agent."""
    played_s: float | None
    """How much of the answer is in the recording; None if its end was not found there."""
    played_words: int | None
    """The same in words."""
    ledger_words: int
    """Words that the worker says were heard."""
    score: float | None
    """How well the end of the recording fits where it was found, at most 1."""
    agreed: bool
    """The worker, the backend's history and the room's transcript have the same words."""

    @property
    def exact(self) -> bool:
        """Whether the worker's words are those in the recording, within one."""
        return (
            self.played_words is not None
            and abs(self.ledger_words - self.played_words) <= TOLERANCE_WORDS
        )


@dataclass(frozen=True, slots=True)
class Result:
    """All of them."""

    interruptions: list[Interruption]
    not_stopped: int
    """Interruptions after which the agent went on, or told of no end."""


@dataclass(frozen=True, slots=True)
class _Cut:
    """An interruption before the backend's history is known."""

    after_s: float
    silence_ms: float
    recording: Audio
    heard_text: str


@app.command()
def interruptions(
    count: Annotated[int, typer.Option(min=1, help="Interruptions.")] = 40,
    seed: Annotated[int, typer.Option(help="Of the random times.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Measures the time to silence, and the heard words against the caller's recording."""
    result = asyncio.run(measure(count, seed))
    if as_json:
        sys.stdout.write(json.dumps(_as_json(result), indent=2) + "\n")
    else:
        Console().print(_as_table(result))


async def measure(count: int, seed: int) -> Result:
    """Cuts so many answers off.

    Raises:
        ConfigError: A part of the stack did not start.
    """
    rng = random.Random(seed)
    known = await KnownSpeech.of(ANSWER)
    question, *cuts = await spoken((QUESTION, *INTERRUPTIONS))
    found: list[Interruption] = []
    not_stopped = 0
    with Progress(disable=not sys.stderr.isatty(), console=Console(stderr=True)) as progress:
        bar = progress.add_task("interrupting", total=count)
        async with LocalStack.run(llm=False) as stack, RemoteModel(ANSWER).serve() as model:
            backend = await stack.backend({"FLOWS_DIR": str(FLOWS), **model})
            await stack.worker(
                backend.url,
                agent_name="parley",
                env={"FLOW_ID": "bench", "PIPER_SEED": str(SEED)},
            )
            call = 0
            while len(found) + not_stopped < count:
                call += 1
                async with Caller.join(
                    stack.livekit_url, stack.key, stack.secret, f"cut-{call}", agent_name="parley"
                ) as caller:
                    await caller.until_connected()
                    wanted = min(IN_A_CALL, count - len(found) - not_stopped)
                    made = await _interrupt_all(caller, question, cuts, wanted, rng)
                    not_stopped += len(made) < wanted
                    settled = await _settled_texts(caller, backend, made)
                found += [_judged(cut, known, settled) for cut in made]
                progress.update(bar, completed=len(found) + not_stopped)
    return Result(found, not_stopped)


async def _interrupt_all(
    caller: Caller, question: Audio, cuts: list[Audio], count: int, rng: random.Random
) -> list[_Cut]:
    """Each interruption is a question, too, and so cuts the answer to the one before."""
    made: list[_Cut] = []
    await asyncio.sleep(PAUSE_S)
    ended_s = await caller.speak(question)
    while len(made) < count:
        after_s = rng.uniform(0, LATEST_S)
        cut = rng.choice(cuts)
        told = len(caller.waterfalls)
        try:
            async with asyncio.timeout(TURN_LIMIT_S):
                began_s = await caller.first_audible_after(ended_s)
            await asyncio.sleep(max(0.0, began_s + after_s - time.perf_counter()))
            speaking = asyncio.create_task(caller.speak(cut))
            async with asyncio.timeout(TURN_LIMIT_S):
                last_s = await caller.until_silent(SILENT_S)
                ended_s = await speaking
                waterfall = await _account(caller, told)
        except TimeoutError:
            break
        started_s = ended_s - len(cut) / 16_000
        if last_s > ended_s or not waterfall["interrupted"]:
            break
        made.append(
            _Cut(
                started_s - began_s,
                max(0.0, last_s - started_s) * 1000,
                caller.recording(began_s - 0.2, last_s),
                waterfall["heard_text"],
            )
        )
    return made


async def _account(caller: Caller, told: int) -> dict[str, Any]:
    """The worker's account of the answer that was heard, after so many others.

    A pause in what the caller says may have been taken for its end, and the answer to that was cut
    before it had a sound.
    """
    while True:
        for waterfall in caller.waterfalls[told:]:
            if any(stage["name"] == "played" for stage in waterfall["stages"]):
                return waterfall
        await caller.until_told(len(caller.waterfalls) + 1)


async def _settled_texts(
    caller: Caller, backend: Backend, made: list[_Cut]
) -> tuple[list[str], list[str]]:
    """What the backend's history and the room's transcript say of the answers that were cut."""
    (agent,) = caller.room.remote_participants.values()
    flow_id, session_id = (agent.attributes[name] for name in SESSION_ATTRIBUTES)
    url = f"{backend.url}/api/flows/{flow_id}/sessions/{session_id}"
    async with httpx.AsyncClient(trust_env=False) as client:
        response = await client.get(url)
    response.raise_for_status()
    entries = SessionState.model_validate(response.json()).transcript
    history = [entry.text for entry in entries if entry.role == "assistant" and entry.interrupted]
    room = [text for identity, text in caller.transcripts if identity == agent.identity]
    return history, room


def _judged(cut: _Cut, known: KnownSpeech, settled: tuple[list[str], list[str]]) -> Interruption:
    heard = known.heard_in(cut.recording)
    words = cut.heard_text.split()
    ours = " ".join(words)
    agreed = all(any(" ".join(t.split()) == ours for t in texts) for texts in settled)
    return Interruption(
        after_s=round(cut.after_s, 3),
        silence_ms=round(cut.silence_ms, 1),
        played_s=round(heard.seconds, 3) if heard else None,
        played_words=heard.words if heard else None,
        ledger_words=len(words) if list(known.words[: len(words)]) == words else -1,
        score=round(heard.score, 2) if heard else None,
        agreed=agreed or not words,
    )


def _as_table(result: Result) -> Table:
    made = result.interruptions
    table = Table(title=f"{len(made)} interruptions at random times, {os.cpu_count()} cores")
    table.add_column("")
    for column in ("p50", "p95", "most"):
        table.add_column(column, justify="right")
    silences = [cut.silence_ms for cut in made] or [0.0]
    table.add_row(
        "interruption to silence",
        *(f"{ms:.0f} ms" for ms in (*np.percentile(silences, [50, 95]), max(silences))),
    )
    off = [abs(c.ledger_words - c.played_words) for c in made if c.played_words is not None] or [0]
    table.add_row(
        "words off the recording",
        *(f"{words:.0f}" for words in (*np.percentile(off, [50, 95]), max(off))),
    )
    table.caption = (
        f"{_share(result):.0%} of the heard texts equal the recording within one word; "
        f"{sum(cut.agreed for cut in made)} of {len(made)} are the same in the history and the "
        f"room; {sum(cut.played_words is None for cut in made)} not found in the recording; "
        f"{result.not_stopped} interruptions did not stop the agent"
    )
    return table


def _share(result: Result) -> float:
    made = result.interruptions
    return sum(cut.exact for cut in made) / max(1, len(made) + result.not_stopped)


def _as_json(result: Result) -> dict[str, Any]:
    silences = [cut.silence_ms for cut in result.interruptions]
    p50, p95 = np.percentile(silences, [50, 95]) if silences else (None, None)
    return {
        "cores": os.cpu_count(),
        "silence_p50_ms": p50,
        "silence_p95_ms": p95,
        "within_one_word": _share(result),
        "not_stopped": result.not_stopped,
        "interruptions": [asdict(cut) for cut in result.interruptions],
    }


if __name__ == "__main__":
    app()
