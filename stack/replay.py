"""`parley replay`: what the user said in a recorded session, to another version of the flow."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from rich.console import Console
from rich.table import Table
from rich.text import Text

from agent_worker.flow_executor import key_header
from protocol.errors import StreamError
from protocol.settings import load_settings
from stack.flow_session import Answer, FlowSession
from stack.parts import backend_root
from stack.settings import StackSettings

_SAME_WORDS = 0.999


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """What to replay, and against what.

    Attributes:
        session_id: The recorded session.
        flow_id: Its flow.
        version: The version to talk to; None: the newest that is published.
        file: A flow in a file, in place of a version.
        llm: The model for a flow in a file.
        variables: The new session's first ones: a session does not keep those it began with.
        effects: Let nodes with side effects run; otherwise the replay ends before the first.
        backend: Root of another backend.
        as_json: For machines.
    """

    session_id: str
    flow_id: str = "default"
    version: int | None = None
    file: Path | None = None
    llm: str = "auto"
    variables: dict[str, Any] | None = None
    effects: bool = False
    backend: str | None = None
    as_json: bool = False


@dataclass(frozen=True, slots=True)
class Compared:
    """One turn, then and now. Latencies are the backend's own, in milliseconds from the request."""

    user: str
    text_then: str
    text_now: str
    path_then: list[str]
    path_now: list[str]
    words_alike: float
    """Share of words in common, in order: 1 is the same text."""
    first_token_ms_then: float | None
    first_token_ms_now: float | None
    done_ms_then: float | None
    done_ms_now: float | None
    error: str | None = None

    @property
    def same(self) -> bool:
        """Path and words are what they were."""
        alike = self.words_alike >= _SAME_WORDS
        return alike and self.path_then == self.path_now and not self.error


def replay(options: ReplayOptions) -> int:
    """Replays and shows the differences; gives 0 if path and words are the same, else 1.

    Raises:
        ParleyError: The session, the flow or the version is not there, or the backend is not.
    """
    turns, stopped = asyncio.run(_replayed(options))
    if options.as_json:
        rows = [{**asdict(turn), "same": turn.same} for turn in turns]
        sys.stdout.write(json.dumps({"turns": rows, "stopped": stopped}, indent=2) + "\n")
    else:
        _show(turns, stopped, Console(highlight=False))
    return 0 if stopped is None and all(turn.same for turn in turns) else 1


async def _replayed(options: ReplayOptions) -> tuple[list[Compared], str | None]:
    """The turns that were replayed, and why it ended before the last, if it did."""
    settings = load_settings(StackSettings)
    root = backend_root(options.backend, settings)
    async with httpx.AsyncClient(
        base_url=root, headers=key_header(settings.parley_api_key), timeout=120, trust_env=False
    ) as recorded:
        past = FlowSession(recorded, options.flow_id, options.session_id, "")
        try:
            transcript = (await past.state())["transcript"]
        except httpx.TransportError as error:
            raise StreamError(
                "backend_unavailable",
                f"The backend at {root} cannot be reached ({type(error).__name__}). Start it with "
                "`parley up`, or name another with --backend.",
            ) from error
        said = [(e["text"], e["turn_id"]) for e in transcript if e["role"] == "user"]
        compared: list[Compared] = []
        async with _present(options, recorded) as session:
            for text, turn_id in said:
                then = await past.past(turn_id)
                now = await _say(session, text, effects=options.effects)
                if now.waits_at is not None:
                    return compared, (
                        f"Node {now.waits_at!r} has side effects; --effects lets it run."
                    )
                compared.append(_compared(text, then, now))
                if now.ended and len(compared) < len(said):
                    return compared, "The flow ended here."
        return compared, None


@asynccontextmanager
async def _present(
    options: ReplayOptions, recorded: httpx.AsyncClient
) -> AsyncIterator[FlowSession]:
    """A new session, which ends with the replay."""
    variables = options.variables or {}
    if options.file is not None:
        from flow_backend.flows.loading import load_file
        from flow_backend.flows.validation import parse_flow
        from stack.flow_test import rehearsal

        flow = parse_flow(load_file(options.file))
        async with rehearsal(flow, options.llm) as (client, _):
            yield await FlowSession.open(client, flow.id, variables)
        return
    session = await FlowSession.open(recorded, options.flow_id, variables, options.version)
    try:
        yield session
    finally:
        await session.end()


async def _say(session: FlowSession, text: str, *, effects: bool) -> Answer:
    turn_id = None if effects else uuid4().hex
    async for _ in session.say(text, turn_id=turn_id):
        pass
    answer = session.answer
    if turn_id is not None:
        await (session.commit if answer.waits_at is None else session.discard)(turn_id)
    return answer


def _compared(user: str, then: Answer, now: Answer) -> Compared:
    words = [re.findall(r"\w+", text.lower()) for text in (then.text, now.text)]
    return Compared(
        user,
        then.text,
        now.text,
        then.path,
        now.path,
        round(SequenceMatcher(a=words[0], b=words[1], autojunk=False).ratio(), 3),
        then.timings_ms.get("first_token"),
        now.timings_ms.get("first_token"),
        then.timings_ms.get("done"),
        now.timings_ms.get("done"),
        now.error.message if now.error else None,
    )


def _show(turns: list[Compared], stopped: str | None, console: Console) -> None:
    table = Table(show_lines=True)
    for heading in ("user", "then", "now", "path", "words", "first token ms"):
        table.add_column(heading, overflow="fold")
    for turn in turns:
        path = " → ".join(turn.path_now)
        if turn.path_then != turn.path_now:
            path = f"{' → '.join(turn.path_then)}\nnow {path}"
        table.add_row(
            Text(turn.user),
            Text(turn.text_then),
            Text(turn.error or turn.text_now, style="red" if turn.error else ""),
            Text(path, style="" if turn.path_then == turn.path_now else "yellow"),
            f"{turn.words_alike:.0%}",
            f"{_ms(turn.first_token_ms_then)} → {_ms(turn.first_token_ms_now)}",
        )
    console.print(table)
    same = sum(turn.same for turn in turns)
    console.print(f"{same} of {len(turns)} turns have the same path and words.")
    if stopped is not None:
        console.print(stopped)


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f}"
