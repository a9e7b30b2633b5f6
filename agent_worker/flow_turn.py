"""One turn at the backend: its events, and the calls about it.

A turn has an id of the caller's choosing. It may start before the user has finished
(`speculative`), and is then committed, reported as heard, or discarded. A stream whose connection
drops goes on at the next event (`Last-Event-ID`), with nothing lost or doubled. Contract:
docs/flow-protocol.md.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

import httpx
from httpx_sse import EventSource, SSEError

from protocol.errors import FlowError, ParleyError, StreamError, error_for
from protocol.events import TERMINAL_TYPES, Error, Event, event_id, parse_event, parse_event_id
from protocol.tracing import HEADER, SpanIds
from protocol.turns import MOST_REPORTS, HeardReport, HeardTurn, TurnRequest

if TYPE_CHECKING:
    from agent_worker.flow_executor import FlowExecutor


class FlowTurn:
    """One turn: its events, and the calls about it.

    Attributes:
        turn_id: Names the turn in every call.
        span: The parent of the backend's spans.
        accepted: The backend has taken the request.
        finished: The last event (`done`, `error` or `cancelled`) has been read, or the turn failed.
        stopped: It was discarded or cancelled from here.
    """

    def __init__(
        self,
        executor: FlowExecutor,
        request: TurnRequest,
        url_form: bool = False,
        span: SpanIds | None = None,
    ) -> None:
        assert request.turn_id is not None
        self.turn_id = request.turn_id
        self.span = span
        self.accepted = False
        self.finished = False
        self.stopped = False
        self._executor = executor
        self._request = request
        self._url_form = url_form
        self._asked = False
        self._answered = asyncio.Event()
        self._last_seq = 0
        self._dropped_at: float | None = None

    async def events(self) -> AsyncGenerator[Event, None]:
        """Starts the turn and gives its events up to the last one.

        To be read once. Closing it early drops the connection only: `discard` stops the turn.

        Raises:
            ParleyError: What the backend says before or in the stream; `backend_unavailable` or
                `stream_interrupted` when it cannot be reached (again) within `resume_s`;
                `stream_stalled`; `stream_malformed`.
        """
        reopened = False
        try:
            while not self.stopped:
                try:
                    async with aclosing(self._attempt()) as attempt:
                        async for event in attempt:
                            self.finished = event.type in TERMINAL_TYPES
                            if isinstance(event, Error):
                                raise error_for(
                                    event.code, event.message, retryable=event.retryable
                                )
                            yield event
                            if self.finished:
                                return
                except FlowError as error:
                    # The backend has forgotten the session: it was idle for too long, or its
                    # database is gone. A new one lets the conversation go on.
                    if error.code != "session_not_found" or self._last_seq or reopened:
                        raise
                    reopened = True
                    self._executor.forget_session()
                except httpx.TransportError as error:
                    await self._wait_to_resume(error)
                except StreamError as error:
                    if error.code != "backend_unavailable":
                        raise
                    await self._wait_to_resume(error)
                else:
                    await self._wait_to_resume(None)
        except ParleyError:
            self.finished = True
            raise
        finally:
            self._answered.set()

    async def commit(self) -> None:
        """Says that the user's turn is over; until then nothing with side effects runs.

        Raises:
            ParleyError: As the backend says; `backend_unavailable`.
        """
        if not self._request.speculative:
            return
        if not self._asked:
            self._request = self._request.model_copy(update={"speculative": False})
        elif await self._is_known():
            url = f"{await self._url()}/commit"
            await self._executor.tell(url, for_s=self._executor.limits.told_s)

    def note_heard(self, report: HeardReport) -> None:
        """From now on requests of new turns carry the report, until `heard` has told it."""
        self._executor.untold[self.turn_id] = HeardTurn(turn_id=self.turn_id, **report.model_dump())

    async def heard(self, report: HeardReport) -> None:
        """Reports what the user really heard of the answer.

        A backend that is away is told when it is back: this is tried until it is cancelled.

        Raises:
            ParleyError: As the backend says, where trying again would not help.
        """
        self.note_heard(report)
        try:
            if await self._is_known():
                body = report.model_dump(exclude_none=True)
                await self._executor.tell(f"{await self._url()}/heard", body, for_s=math.inf)
        finally:
            self._executor.untold.pop(self.turn_id, None)

    async def discard(self) -> None:
        """Takes the turn back (speculative) or cancels it (committed). Repeats do nothing.

        Raises:
            ParleyError: As the backend says; `backend_unavailable`.
        """
        if self.stopped:
            return
        self.stopped = True
        if not self._asked:
            return
        try:
            await self._executor.call("DELETE", await self._url())
        except FlowError as error:
            # Stopped before the request arrived.
            if error.code != "turn_not_found":
                raise

    async def _is_known(self) -> bool:
        """Whether the backend took the turn; waits for its answer."""
        if not self._asked:
            return False
        try:
            async with asyncio.timeout(self._executor.limits.call_s):
                await self._answered.wait()
        except TimeoutError:
            return False
        return self.accepted

    async def _url(self) -> str:
        return f"{await self._executor.session_url()}/turns/{quote(self.turn_id, safe='')}"

    async def _attempt(self) -> AsyncGenerator[Event, None]:
        """The events of one connection: the turn from its start, or from the last event on."""
        limits = self._executor.limits
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        if self.span is not None:
            headers[HEADER] = self.span.header
        if self._last_seq:
            method, url, body = "GET", f"{await self._url()}/events", None
            headers["Last-Event-ID"] = event_id(self.turn_id, self._last_seq)
        elif self._url_form:
            query = urlencode({"input": self._request.input, "turn_id": self.turn_id})
            method, url, body = "GET", f"{self._executor.stream_url()}?{query}", None
        else:
            # The same turn id and input again give the same turn, never a second one.
            method, url = "POST", f"{await self._executor.session_url()}/turns"
            untold = list(self._executor.untold.values())[-MOST_REPORTS:]
            request = self._request.model_copy(update={"heard": untold or None})
            body = request.model_dump(exclude_none=True)
        self._asked = True
        async with self._executor.stream(method, url, body, headers) as response:
            self.accepted = True
            self._answered.set()
            may_wait = False
            async with aclosing(EventSource(response).aiter_sse()) as stream:
                while True:
                    try:
                        async with asyncio.timeout(None if may_wait else limits.event_s):
                            sse = await anext(stream)
                    except StopAsyncIteration:
                        return
                    except TimeoutError as error:
                        raise StreamError(
                            "stream_stalled",
                            f"Turn {self.turn_id} gave nothing for {limits.event_s:g} s.",
                        ) from error
                    except SSEError as error:
                        raise StreamError("stream_malformed", f"{url}: {error}") from error
                    # httpx-sse gives an event without data for a comment (a ping).
                    event = self._read(sse.id, sse.data) if sse.data else None
                    if event is not None:
                        may_wait = event.type == "waiting_for_commit"
                        yield event

    def _read(self, sse_id: str, data: str) -> Event | None:
        """Parses one event; None for a type that is not known here, or one read before."""
        try:
            seq = parse_event_id(sse_id)[1] if sse_id else self._last_seq + 1
            event = parse_event(data)
        except ValueError as error:
            raise StreamError(
                "stream_malformed", f"Turn {self.turn_id}: an event that is not of the protocol."
            ) from error
        if seq <= self._last_seq:
            return None
        self._last_seq = seq
        self._dropped_at = None
        return event

    async def _wait_to_resume(self, cause: Exception | None) -> None:
        """Waits before the next attempt, or gives up."""
        now = time.monotonic()
        if self._dropped_at is None:
            self._dropped_at = now
        spent_s = now - self._dropped_at
        if spent_s > self._executor.limits.resume_s:
            code = "stream_interrupted" if self._last_seq else "backend_unavailable"
            raise StreamError(
                code, f"Turn {self.turn_id}: no connection to the backend for {spent_s:.1f} s."
            ) from cause
        await asyncio.sleep(min(1.0, 0.05 + spent_s))
