"""The client of the flow backend: sessions, turns and their events.

`FlowExecutor` speaks for one session of one flow. `process_user_input_streaming` is the simple
form: text in, pieces of the answer out; `turn` gives the richer one. Contract:
docs/flow-protocol.md.
"""

from __future__ import annotations

import asyncio
import functools
import ssl
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx
from pydantic import SecretStr, ValidationError

from agent_worker.flow_turn import FlowTurn
from protocol.errors import FlowError, ParleyError, StreamError, error_for
from protocol.events import Token
from protocol.tracing import SpanIds
from protocol.turns import HeardTurn, SessionOpened, SessionRequest, SessionState, TurnRequest

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
    """How long a commit is tried again."""


class FlowExecutor:
    """One session of one flow at the backend.

    Attributes:
        session_id: The session, once it is known.
        untold: Reports of what was heard that the backend has not confirmed, by turn; the request
            of each new turn carries them.

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
        self.untold: dict[str, HeardTurn] = {}
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
        asked = self._request.model_dump(exclude_none=True)
        body = await self.call("POST", f"{self._root}/sessions", asked)
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

    async def tell(self, url: str, body: object = None, *, for_s: float) -> None:
        """A POST that may be repeated, until it is taken or cannot be.

        Raises:
            ParleyError: As `call`, after `for_s` for a failure that may pass.
        """
        began = time.monotonic()
        while True:
            try:
                await self.call("POST", url, body)
            except ParleyError as error:
                spent_s = time.monotonic() - began
                if not error.retryable or spent_s > for_s:
                    raise
                await asyncio.sleep(min(2.0, 0.3 + spent_s / 20))
            else:
                return

    def forget_session(self) -> None:
        """The backend knows the session no longer: the next use opens a new one."""
        self.session_id = None
        self.untold.clear()

    def _stranger(self) -> StreamError:
        return StreamError(
            "stream_malformed", f"What answers at {self._root} is not Parley's backend."
        )

    @asynccontextmanager
    async def stream(
        self, method: str, url: str, body: object, headers: dict[str, str]
    ) -> AsyncIterator[httpx.Response]:
        """One streaming call, with the limits of streams.

        Raises:
            ParleyError: What the backend says instead of a stream.
        """
        limits = self.limits
        async with self._client.stream(
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
        ) as response:
            if response.is_error:
                await response.aread()
                raise _refusal(response)
            yield response


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
