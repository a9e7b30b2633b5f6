"""What the caller heard gets into the history, whatever fails while the worker reports it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent_worker.conversation import Conversation
from agent_worker.flow_executor import FlowExecutor
from tests.fault.relay import Relay
from tests.fault.test_backend_killed import Process, backend
from tests.integration.postgres import PostgresServer, postgres_server
from tests.scripted_llm import ScriptedLLM

ANSWER = "one two three four five"
HEARD = "one two"
SLOW = pytest.mark.slow


@dataclass
class Wire:
    """The worker's connections; a test may do things while a report is on its way."""

    before_report: Callable[[], Awaitable[None]] | None = None
    """Awaited once, before a report leaves."""
    after_report: Callable[[], Awaitable[None]] | None = None
    """Awaited once, when the backend has answered one; the answer is then lost."""
    cut: bool = False
    """No report leaves."""
    reports: int = 0
    """That left."""
    tried: asyncio.Event = field(default_factory=asyncio.Event)

    async def request(self, request: httpx.Request) -> None:
        if not request.url.path.endswith("/heard"):
            return
        self.tried.set()
        if self.cut:
            raise httpx.ConnectError("cut")
        self.reports += 1
        if self.before_report is not None:
            act, self.before_report = self.before_report, None
            await act()

    async def response(self, response: httpx.Response) -> None:
        if response.request.url.path.endswith("/heard") and self.after_report is not None:
            act, self.after_report = self.after_report, None
            await act()
            raise httpx.ReadError("lost")


@dataclass
class Worker:
    """What of the worker talks to the backend."""

    executor: FlowExecutor
    conversation: Conversation
    wire: Wire
    process: Process
    model: ScriptedLLM

    async def ask(self, turn_id: str, *, words: int | None = None) -> None:
        """Reads a committed turn: all of it, or until so many words have come."""
        turn = self.conversation.open_turn("go", turn_id)
        seen = 0
        async with contextlib.aclosing(turn.events()) as events:
            async for event in events:
                seen += event.type == "token"
                if seen == 1 and not turn.committed:
                    self.conversation.commit(turn_id)
                    assert turn.last_call is not None
                    await turn.last_call
                if seen == words:
                    break

    async def reported(self, turn_id: str, text: str = HEARD) -> None:
        """Reports an interruption, and returns when the backend has confirmed it."""
        turn = self.conversation._turns[turn_id]
        self.conversation.heard(turn_id, text, interrupted=True, estimated=True)
        await turn.settled.wait()
        assert self.executor.untold == {}

    async def transcript(self) -> list[tuple[str, bool, bool, bool]]:
        state = await self.executor.session_state()
        return [(e.text, e.interrupted, e.heard, e.estimated) for e in state.transcript]

    async def stored_transcript(self) -> list[tuple[str, bool, bool, bool]]:
        """As a new process finds it."""
        await self.process.kill()
        await self.process.start()
        return await self.transcript()


WAS_HEARD = [("go", False, True, False), (HEARD, True, True, True)]


@asynccontextmanager
async def worker(folder: Path, **settings: str) -> AsyncIterator[Worker]:
    script, wire = ScriptedLLM(ANSWER, piece_s=0.0), Wire()
    async with (
        script.serve() as model,
        backend(
            folder, LLM="local", LOCAL_LLM_URL=model.url, LOCAL_LLM_MODEL="scripted", **settings
        ) as process,
        httpx.AsyncClient(
            event_hooks={"request": [wire.request], "response": [wire.response]}
        ) as client,
    ):
        await process.add_flow(
            [{"id": "talk", "type": "conversation", "data": {"instructions": "Count."}}],
            [("start", "talk")],
        )
        executor = FlowExecutor("f", backend_url=str(process.client.base_url), client=client)
        await executor.open_session()
        yield Worker(executor, Conversation(executor), wire, process, model)


def database(how: str, stack: ExitStack) -> tuple[dict[str, str], PostgresServer | None]:
    if how == "sqlite":
        return {}, None
    server = stack.enter_context(postgres_server())
    return {"DATABASE_URL": server.url}, server


DATABASES = pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=SLOW)])


@DATABASES
@pytest.mark.parametrize(
    "words", [None, pytest.param(3, marks=SLOW)], ids=["after the answer", "in mid-answer"]
)
async def test_a_backend_that_is_killed_before_the_report_gets_it_when_it_is_back(
    tmp_path: Path, kind: str, words: int | None
) -> None:
    with ExitStack() as stack:
        settings, _ = database(kind, stack)
        async with worker(tmp_path, **settings) as caller:
            caller.model.hold_after = words
            await caller.ask("t1", words=words)
            await caller.process.kill()
            reporting = asyncio.create_task(caller.reported("t1"))
            await caller.wire.tried.wait()
            await caller.process.start()
            await reporting
            assert await caller.transcript() == WAS_HEARD
            assert await caller.stored_transcript() == WAS_HEARD


@SLOW
@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
async def test_a_backend_that_is_killed_as_it_answers_the_report_has_it_once(
    tmp_path: Path, kind: str
) -> None:
    with ExitStack() as stack:
        settings, _ = database(kind, stack)
        async with worker(tmp_path, **settings) as caller:
            await caller.ask("t1")
            caller.wire.after_report = caller.process.kill
            reporting = asyncio.create_task(caller.reported("t1"))
            while caller.wire.after_report is not None:  # noqa: ASYNC110 - a hook of the client
                await asyncio.sleep(0.01)
            await caller.process.ended()
            await caller.process.start()
            await reporting
            assert caller.wire.reports >= 2
            assert await caller.stored_transcript() == WAS_HEARD


@SLOW
async def test_a_report_that_stands_in_a_dead_backends_queue_is_told_again(tmp_path: Path) -> None:
    async with worker(tmp_path) as caller:
        await caller.ask("t1")

        async def stop() -> None:
            caller.process.signal(signal.SIGSTOP)

        caller.wire.before_report = stop
        reporting = asyncio.create_task(caller.reported("t1"))
        await caller.wire.tried.wait()
        await caller.process.kill()
        await caller.process.start()
        await reporting
        assert await caller.stored_transcript() == WAS_HEARD


@SLOW
@pytest.mark.parametrize("how", ["killed", "stopped"])
async def test_a_report_while_the_database_is_away_is_stored_when_it_is_back(
    tmp_path: Path, how: str
) -> None:
    with postgres_server() as server:
        async with worker(tmp_path, DATABASE_URL=server.url) as caller:
            await caller.ask("t1")
            if how == "killed":
                await asyncio.to_thread(server.kill)
            else:
                server.signal(signal.SIGSTOP)
            reporting = asyncio.create_task(caller.reported("t1"))
            await caller.wire.tried.wait()
            # It says so rather than believe that it was stored.
            while caller.wire.reports < 2:  # noqa: ASYNC110 - a hook of the client
                await asyncio.sleep(0.05)
            if how == "killed":
                await asyncio.to_thread(server.start)
            else:
                server.signal(signal.SIGCONT)
            await reporting
            assert await caller.stored_transcript() == WAS_HEARD


async def test_the_next_turn_carries_a_report_that_has_not_arrived(tmp_path: Path) -> None:
    async with worker(tmp_path) as caller:
        await caller.ask("t1")
        caller.wire.cut = True
        reporting = asyncio.create_task(caller.reported("t1"))
        await caller.wire.tried.wait()
        await caller.ask("t2")
        assert told(caller.model.prompts[-1]) == ["go", f"{HEARD}—", "go"]
        assert not reporting.done()
        caller.wire.cut = False
        await reporting
        both = [*WAS_HEARD, ("go", False, True, False), (ANSWER, False, False, False)]
        assert await caller.transcript() == both
        assert await caller.stored_transcript() == both


async def test_a_turn_whose_commit_is_cut_off_is_kept_with_what_was_heard(tmp_path: Path) -> None:
    async with (
        worker(tmp_path) as caller,
        Relay.to(str(caller.process.client.base_url).rstrip("/")) as way,
        FlowExecutor("f", backend_url=way.url, session_id=caller.executor.session_id) as executor,
    ):
        conversation = Conversation(executor)

        async def ask(turn_id: str) -> None:
            async for _ in conversation.open_turn("go", turn_id).events():
                pass
            conversation.commit(turn_id)

        way.cuts = b"/commit "
        await ask("t1")
        await way.has_cut.wait()
        conversation.heard("t1", HEARD, interrupted=True)
        await ask("t2")
        assert told(caller.model.prompts[-1]) == ["go", f"{HEARD}—", "go"]
        way.cuts = None
        await conversation.aclose(timeout_s=15)
        heard = [("go", False, True, False), (HEARD, True, True, False)]
        assert await caller.transcript() == [
            *heard, ("go", False, True, False), (ANSWER, False, False, False),
        ]  # fmt: skip
        assert (await caller.stored_transcript())[:2] == heard


def told(messages: list[dict[str, Any]]) -> list[str]:
    return [message["content"] for message in messages if message["role"] != "system"]


async def test_a_call_that_ends_without_its_backend_lets_go_in_time(tmp_path: Path) -> None:
    async with worker(tmp_path) as caller:
        await caller.ask("t1")
        await caller.process.kill()
        caller.conversation.heard("t1", HEARD, interrupted=True)
        await caller.wire.tried.wait()
        await caller.conversation.aclose(timeout_s=0.1)
        assert caller.executor.untold == {}
        await caller.process.start()
        # Nobody knows what was heard, and the history says so.
        assert await caller.transcript() == [
            ("go", False, True, False),
            (ANSWER, False, False, False),
        ]
