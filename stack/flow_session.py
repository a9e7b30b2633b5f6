"""A client of the backend for one session of a flow, and a backend in this process for it."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI
from httpx_sse import EventSource, aconnect_sse

from protocol.errors import StreamError
from protocol.events import (
    Cancelled,
    Done,
    Error,
    Event,
    NodeStarted,
    Token,
    WaitingForCommit,
    parse_event,
)


@dataclass(slots=True)
class Answer:
    """What a turn came to."""

    text: str = ""
    """Everything that was spoken."""
    path: list[str] = field(default_factory=list)
    """Ids of the nodes that were entered."""
    ended: bool = False
    error: Error | None = None
    waits_at: str | None = None
    """The node with side effects before which a speculative turn stands."""
    timings_ms: dict[str, float] = field(default_factory=dict)
    """As the backend measured them: from the request to `first_token`, `done` and others."""
    first_word_ms: float | None = None
    """From the request to the first spoken word."""
    total_ms: float = 0.0
    """From the request to the last event."""


class FlowSession:
    """One session, over HTTP.

    Args:
        client: Its base URL is the backend's.
        flow_id: The flow.
        session_id: The session, as the backend named it.
        greeting: What the flow says first.
    """

    def __init__(
        self, client: httpx.AsyncClient, flow_id: str, session_id: str, greeting: str
    ) -> None:
        self._client = client
        self._base = f"/api/flows/{flow_id}/sessions/{session_id}"
        self.greeting = greeting
        self.answer = Answer()
        """Of the turn that runs, or ran last."""

    @classmethod
    async def open(
        cls,
        client: httpx.AsyncClient,
        flow_id: str,
        variables: dict[str, Any],
        version: int | None = None,
    ) -> FlowSession:
        """Opens a session, on the flow's newest version unless another is named.

        Raises:
            StreamError: `backend_unavailable` with the backend's own words, if it refuses.
        """
        wanted = {"variables": variables} | ({} if version is None else {"version": version})
        reply = await client.post(f"/api/flows/{flow_id}/sessions", json=wanted)
        _check(reply)
        body = reply.json()
        return cls(client, flow_id, body["session_id"], body.get("greeting") or "")

    async def say(self, text: str, *, turn_id: str | None = None) -> AsyncGenerator[str, None]:
        """Speaks to the flow; gives the pieces of its answer as they come.

        `answer` is whole when the generator ends. With a `turn_id` the turn is speculative: it
        may end before a node with side effects, and counts once it is committed.

        Raises:
            StreamError: If the backend refuses the turn or the stream breaks.
        """
        self.answer = answer = Answer()
        begun = time.monotonic()
        body: dict[str, Any] = {"input": text}
        if turn_id is not None:
            body.update(turn_id=turn_id, speculative=True)
        async with aconnect_sse(self._client, "POST", f"{self._base}/turns", json=body) as source:
            async for event in _events(source):
                if isinstance(event, Token) and event.speak:
                    if answer.first_word_ms is None:
                        answer.first_word_ms = (time.monotonic() - begun) * 1000
                    answer.text += event.content
                    yield event.content
                else:
                    _note(answer, event)
                if answer.waits_at is not None:
                    break
        answer.total_ms = (time.monotonic() - begun) * 1000

    async def commit(self, turn_id: str) -> None:
        """A speculative turn counts.

        Raises:
            StreamError: If the backend refuses it.
        """
        _check(await self._client.post(f"{self._base}/turns/{turn_id}/commit"))

    async def discard(self, turn_id: str) -> None:
        """A speculative turn leaves nothing.

        Raises:
            StreamError: If the backend refuses it.
        """
        _check(await self._client.delete(f"{self._base}/turns/{turn_id}"))

    async def end(self) -> None:
        """The session is over."""
        _check(await self._client.delete(self._base))

    async def past(self, turn_id: str) -> Answer:
        """What an earlier turn came to, as the journal has it.

        Raises:
            StreamError: If the backend does not know it.
        """
        answer = Answer()
        url = f"{self._base}/turns/{turn_id}/events"
        async with aconnect_sse(self._client, "GET", url) as source:
            async for event in _events(source):
                if isinstance(event, Token) and event.speak:
                    answer.text += event.content
                else:
                    _note(answer, event)
        return answer

    async def state(self) -> dict[str, Any]:
        """The session as the backend tells it: `node_id`, `variables`, `ended`, `transcript`."""
        reply = await self._client.get(self._base)
        _check(reply)
        state: dict[str, Any] = reply.json()
        return state


async def _events(source: EventSource) -> AsyncIterator[Event]:
    if source.response.status_code != 200:
        await source.response.aread()
    _check(source.response)
    async for frame in source.aiter_sse():
        event = parse_event(frame.data)
        if event is not None:
            yield event


def _note(answer: Answer, event: Event) -> None:
    match event:
        case NodeStarted():
            answer.path.append(event.node_id)
        case Done():
            answer.ended = event.ended
            answer.timings_ms = event.timings_ms
        case WaitingForCommit():
            answer.waits_at = event.node_id
        case Error():
            answer.error = event
        case Cancelled():
            answer.error = Error(code="cancelled", message=f"cancelled: {event.reason}")


def _check(response: httpx.Response) -> None:
    if response.is_success:
        return
    try:
        said = response.json().get("message") or response.text
    except (ValueError, AttributeError):
        said = response.text
    raise StreamError(
        "backend_unavailable", f"The backend refused ({response.status_code}): {said}"
    )


class _Server(uvicorn.Server):
    """Leaves the signals to whoever runs it."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def serving(app: FastAPI) -> AsyncIterator[str]:
    """Serves an app on a free port of this machine; gives its URL.

    Raises:
        StreamError: `backend_unavailable`, if the app does not start; the log says why.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = _Server(uvicorn.Config(app, log_level="warning", access_log=False, ws="none"))
        task = asyncio.create_task(server.serve([listener]))
        try:
            while not server.started:
                if task.done():
                    raise StreamError("backend_unavailable", "The backend did not start.")
                await asyncio.sleep(0.005)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await asyncio.gather(task, return_exceptions=True)
