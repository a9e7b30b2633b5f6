"""The client of the flow backend: sessions, turns and their events.

`FlowExecutor` speaks for one session of one flow. `process_user_input_streaming` is the simple
form: text in, pieces of the answer out. `FlowTurn` is the richer one: a turn with an id of the
caller's choosing that may start before the user has finished (`speculative`), and is then
committed, reported as heard, or discarded. A stream whose connection drops goes on at the next
event (`Last-Event-ID`), with nothing lost or doubled. Contract: docs/flow-protocol.md.
"""

from __future__ import annotations

import asyncio
import functools
import ssl
import time
import uuid
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlencode

import httpx
from httpx_sse import EventSource, SSEError
from pydantic import SecretStr, ValidationError

from protocol.errors import FlowError, ParleyError, StreamError, error_for
from protocol.events import (
    TERMINAL_TYPES,
    Error,
    Event,
    Token,
    event_id,
    parse_event,
    parse_event_id,
)
from protocol.tracing import HEADER, SpanIds
from protocol.turns import HeardReport, SessionOpened, SessionRequest, SessionState, TurnRequest

SIMPLE_FORM_MAX_BYTES = 4096
"""Longer inputs do not go into a URL."""


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """How long each part of a call may take, in seconds."""

    connect_s: float = 2.0
    silence_s: float = 25.0
    """Without an event or a ping (sent every 10 s) a stream counts as dropped."""
    event_s: float = 60.0
    """Without an event a turn counts as stalled, though pings still come."""
    resume_s: float = 5.0
    """How long a dropped stream is tried again before the turn fails."""
    call_s: float = 5.0
    """Limit of every call that is not a stream."""
    told_s: float = 20.0
    """How long commits and reports of what was heard are tried again."""


class FlowExecutor:
    """One session of one flow at the backend.

    Args:
        flow_id: The flow to run.
        backend_url: Root of the backend, such as `http://127.0.0.1:8000`.
        session_id: A session to go on with; without one, the first use opens a session.
        variables: Input variables of a session that is opened.
        metadata: Kept with a session that is opened.
        api_key: Sent with every call, where the backend asks for one.
        limits: Time limits.
        client: An HTTP client to share; it is not closed here.
    """

    def __init__(
        self,
        flow_id: str,
        *,
        backend_url: str,
        session_id: str | None = None,
        variables: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
        api_key: SecretStr | None = None,
        limits: StreamLimits | None = None,
        client: httpx.AsyncClient | None = None,
    ) -> None:
        self.flow_id = flow_id
        self.session_id = session_id
        self.limits = limits or StreamLimits()
        self._root = f"{backend_url.rstrip('/')}/api/flows/{quote(flow_id, safe='')}"
        self._request = SessionRequest(
            variables=dict(variables or {}), metadata=dict(metadata or {})
        )
        self._headers = key_header(api_key)
        self._owns_client = client is None
        # Turns of one session follow each other: few connections, kept open between turns.
        self._client = client or httpx.AsyncClient(
            limits=httpx.Limits(max_connections=16, keepalive_expiry=120.0),
            verify=tls_context() if backend_url.startswith("https:") else False,
            trust_env=False,
        )
        self._opening = asyncio.Lock()

    async def open_session(self) -> SessionOpened:
        """Opens a new session, which later turns belong to; turns that come meanwhile wait for it.

        Raises:
            ParleyError: `flow_not_found`, `backend_unavailable`, or what the backend says.
        """
        async with self._opening:
            return await self._open()

    async def _open(self) -> SessionOpened:
        body = await self.call("POST", f"{self._root}/sessions", self._request.model_dump())
        try:
            opened = SessionOpened.model_validate(body)
        except ValidationError as error:
            raise self._stranger() from error
        self.session_id = opened.session_id
        return opened

    async def session_state(self) -> SessionState:
        """The session as the backend holds it: variables, position and transcript.

        Raises:
            ParleyError: `session_not_found`, `backend_unavailable`, or what the backend says.
        """
        return SessionState.model_validate(await self.call("GET", await self.session_url()))

    async def prefill(self) -> None:
        """Says that the user begins to speak, so that the model may read ahead.

        Raises:
            ParleyError: `backend_unavailable`, or what the backend says.
        """
        if self.session_id is not None:
            await self.call("POST", f"{await self.session_url()}/prefill")

    async def end_session(self) -> None:
        """Ends the session, if one was opened.

        Raises:
            ParleyError: `backend_unavailable`, or what the backend says.
        """
        if self.session_id is not None:
            await self.call("DELETE", await self.session_url())

    def turn(
        self,
        user_input: str,
        *,
        turn_id: str | None = None,
        speculative: bool = False,
        span: SpanIds | None = None,
    ) -> FlowTurn:
        """A turn that starts when its `events()` are read.

        Args:
            user_input: What the user said.
            turn_id: Names the turn; by default a new id.
            speculative: The user may still be speaking.
            span: The backend's spans of the turn become children of this one.

        Raises:
            FlowError: `request_invalid`: the input is longer, or the id other, than the contract
                allows.
        """
        return FlowTurn(self, _turn_request(user_input, turn_id, speculative), span=span)

    async def process_user_input_streaming(self, user_input: str) -> AsyncGenerator[str, None]:
        """Gives the spoken pieces of the answer as they come, by the simple form.

        Without an open session the backend makes one, of an id chosen here. Closing the iterator
        early cancels the turn at the backend. The simple form carries the input in the URL,
        where a proxy may log it: the worker uses `turn`.

        Raises:
            ParleyError: As `FlowTurn.events`.
        """
        if self.session_id is None:
            self.session_id = _new_id("session")
        url_form = len(quote(user_input, errors="replace")) <= SIMPLE_FORM_MAX_BYTES
        turn = FlowTurn(self, _turn_request(user_input), url_form)
        try:
            async with aclosing(turn.events()) as events:
                async for event in events:
                    if isinstance(event, Token) and event.speak:
                        yield event.content
        finally:
            if not turn.finished:
                await turn.discard()

    async def aclose(self) -> None:
        """Closes the connections. The session stays open at the backend."""
        if self._owns_client:
            await self._client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def stream_url(self) -> str:
        """URL of the simple form; the session must have an id."""
        return f"{self._root}/stream/{quote(self.session_id or '', safe='')}"

    async def session_url(self) -> str:
        """URL of the session; opens one on first use.

        Raises:
            ParleyError: As `open_session`.
        """
        async with self._opening:
            if self.session_id is None:
                await self._open()
        return f"{self._root}/sessions/{quote(self.session_id or '', safe='')}"

    async def call(self, method: str, url: str, body: object = None) -> Any:
        """One call that is not a stream; gives the decoded JSON, or None where there is none.

        Raises:
            ParleyError: What the backend says, or `backend_unavailable`.
        """
        try:
            async with asyncio.timeout(self.limits.call_s):
                response = await self._client.request(
                    method, url, json=body, headers=self._headers, timeout=None
                )
        except (httpx.TransportError, TimeoutError) as error:
            raise StreamError(
                "backend_unavailable", f"The flow backend at {self._root} cannot be reached."
            ) from error
        if response.is_error:
            raise _refusal(response)
        try:
            return response.json() if response.content else None
        except ValueError as error:
            raise self._stranger() from error

    async def tell(self, url: str, body: object = None) -> None:
        """A POST that may be repeated, until it is taken or cannot be.

        Raises:
            ParleyError: As `call`, after `told_s` for a failure that may pass.
        """
        began = time.monotonic()
        while True:
            try:
                await self.call("POST", url, body)
            except ParleyError as error:
                if not error.retryable or time.monotonic() - began > self.limits.told_s:
                    raise
                await asyncio.sleep(0.3)
            else:
                return

    def _stranger(self) -> StreamError:
        return StreamError(
            "stream_malformed", f"What answers at {self._root} is not Parley's backend."
        )

    def stream(
        self, method: str, url: str, body: object, headers: dict[str, str]
    ) -> AbstractAsyncContextManager[httpx.Response]:
        """One streaming call, with the limits of streams."""
        limits = self.limits
        return self._client.stream(
            method,
            url,
            json=body,
            headers={**headers, **self._headers},
            timeout=httpx.Timeout(
                connect=limits.connect_s,
                read=limits.silence_s,
                write=limits.call_s,
                pool=limits.connect_s,
            ),
        )


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
                    self._executor.session_id = None
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
            await self._executor.tell(f"{await self._url()}/commit")

    async def heard(self, report: HeardReport) -> None:
        """Reports what the user really heard of the answer.

        Raises:
            ParleyError: As the backend says; `backend_unavailable`.
        """
        if await self._is_known():
            body = report.model_dump(exclude_none=True)
            await self._executor.tell(f"{await self._url()}/heard", body)

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
            body = self._request.model_dump(exclude_none=True)
        self._asked = True
        async with self._executor.stream(method, url, body, headers) as response:
            if response.is_error:
                await response.aread()
                raise _refusal(response)
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


def key_header(api_key: SecretStr | None) -> dict[str, str]:
    """The header that carries an API key; nothing without one."""
    return {} if api_key is None else {"Authorization": f"Bearer {api_key.get_secret_value()}"}


@functools.cache
def tls_context() -> ssl.SSLContext:
    """The trusted certificates; reading them takes some 0.2 s, once."""
    return ssl.create_default_context()


def _turn_request(
    user_input: str, turn_id: str | None = None, speculative: bool = False
) -> TurnRequest:
    try:
        return TurnRequest(
            input=user_input, turn_id=turn_id or _new_id("turn"), speculative=speculative
        )
    except ValidationError as error:
        wrong = "; ".join(
            f"{problem['loc'][0]}: {problem['msg']}"
            for problem in error.errors(include_input=False, include_url=False)
        )
        # The cause is left out: it would hold what was said.
        raise FlowError("request_invalid", f"This turn cannot be sent. {wrong}.") from None


def _new_id(kind: str) -> str:
    return f"{kind}_{uuid.uuid4().hex}"


def _refusal(response: httpx.Response) -> ParleyError:
    """The error in a response's body; its own words are kept, since they name no user text."""
    try:
        body = response.json()
        return error_for(body["code"], body["message"], retryable=body.get("retryable"))
    except (ValueError, KeyError, TypeError, AttributeError):
        code = "backend_unavailable" if response.status_code >= 500 else "stream_malformed"
        return StreamError(
            code, f"{response.request.url.path} answered {response.status_code} with no error body."
        )
