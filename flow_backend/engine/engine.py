"""The engine: every session of this process, and what sessions share."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from time import monotonic, time
from typing import TYPE_CHECKING, Any, Protocol
from uuid import uuid4

from sqlalchemy.exc import SQLAlchemyError

from flow_backend.engine.pace import UsualDurations
from flow_backend.engine.plan import Plan, make_plan
from flow_backend.engine.recovery import recover_lost_turns
from flow_backend.engine.session import Session
from flow_backend.engine.state import SessionState
from flow_backend.engine.stream import FrameKeeper
from flow_backend.engine.transient import VERSION, transient_session
from flow_backend.flows.document import Flow
from flow_backend.flows.templates import render
from flow_backend.flows.variables import check_sizes, coerce
from flow_backend.llm.base import LLMProvider
from flow_backend.metrics import Metrics
from flow_backend.nodes.start import StartData
from flow_backend.outbound.call import HttpCaller
from flow_backend.outbound.outbox import Outbox
from flow_backend.store.flows import FlowStore
from flow_backend.store.passages import PassageStore
from flow_backend.store.people import PeopleStore
from flow_backend.store.sessions import SessionStore
from flow_backend.store.writer import Writer
from protocol.errors import AccessError, FlowError, ParleyError, StreamError

if TYPE_CHECKING:
    from flow_backend.replicas.remote import RemoteSession
    from flow_backend.replicas.replicas import Replicas

log = logging.getLogger(__name__)

_SWEEP_S = 15.0
_LOST_AFTER_S = 60.0
"""A running turn that its process has not renewed for so long is lost; renewals come each 15 s."""

_PASSAGES_KEPT_S = 7 * 86400.0
"""Passages of documents stay at least so long after the last search."""


class Models(Protocol):
    """Gives language models by name."""

    async def get(self, reference: str = ...) -> LLMProvider:
        """A provider, or ProviderError."""


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """Bounds of what one turn and one session may take."""

    node_entries_per_turn: int = 100
    variable_bytes: int = 65_536
    """Of one variable, as JSON."""
    variables_bytes: int = 1_000_000
    """Of a session's variables together."""
    reader_grace_s: float = 5.0
    """How long a turn that nobody reads goes on."""
    speculation_s: float = 60.0
    """How long a speculative turn waits for its commit."""
    session_idle_s: float = 1800.0
    """A session that is not used for so long ends."""
    session_kept_s: float = 30 * 86400.0
    """How long an ended session stays in the database."""
    conversations_kept_s: float = 0.0
    """How long a conversation with the tutor stays after its last message; 0: for good."""
    memory_idle_s: float = 300.0
    """How long an idle session stays in memory."""
    history_tokens: int = 1500
    """Of the history in a prompt; older turns are summarised."""


@dataclass(frozen=True, slots=True)
class EngineParts:
    """What runs need."""

    models: Models
    limits: EngineLimits
    flows: FlowStore
    sessions: SessionStore
    passages: PassageStore
    people: PeopleStore
    writer: Writer
    outbox: Outbox
    caller: HttpCaller
    metrics: Metrics
    durations: UsualDurations = field(default_factory=UsualDurations)
    """Learned by this process."""
    keeper: FrameKeeper | None = None
    """Keeps events where they outlive the process, so that turns go on in the next one."""


class Engine:
    """Opens, finds and ends sessions; open with `async with`.

    Args:
        parts: What runs need.
        alone: No other process uses the database: what past ones left behind is taken up at once.
        replicas: The other processes, which may have sessions of their own.
    """

    def __init__(
        self, parts: EngineParts, *, alone: bool, replicas: Replicas | None = None
    ) -> None:
        self._parts = parts
        self._replicas = replicas
        self._alone = alone
        self._plans: dict[tuple[str, int], Plan] = {}
        self._sessions: dict[tuple[str, str], Session] = {}
        self._loading: dict[tuple[str, str], tuple[asyncio.Lock, int]] = {}
        """Sessions that are made, loaded or let go of, and how many wait for that."""
        self._sweeper: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Engine:
        at_once = self._alone and self._parts.keeper is None
        lost_before = time() if at_once else time() - _LOST_AFTER_S
        held = set() if self._replicas is None else await self._held_elsewhere(time())
        await recover_lost_turns(self._parts.sessions, lost_before, held)
        await self._parts.outbox.recover(whatever_claimed=self._alone)
        self._sweeper = asyncio.create_task(self._sweep(), name="session sweeper")
        if self._replicas is not None:
            self._replicas.serve(self)
            self._parts.writer.fence(self._lost)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._sweeper is not None
        self._sweeper.cancel()
        with suppress(asyncio.CancelledError):
            await self._sweeper
        await asyncio.gather(*(session.aclose() for session in self._sessions.values()))
        if self._replicas is not None:
            await self._parts.writer.durable()
            await self._replicas.release(self._sessions)

    async def open(
        self,
        flow_id: str,
        *,
        variables: Mapping[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
        version: int | None = None,
        owner: str = "",
        edits: bool = False,
    ) -> tuple[Session, str | None]:
        """Makes a session and gives it with its greeting, which then counts as said.

        The session belongs to the API key `owner`.

        Raises:
            AccessError: `forbidden` for a variable that says whom the flow calls, from a caller who
                may not change flows (`edits`): the flow's secrets would go where the caller likes.
            FlowError: `flow_not_found`; `request_invalid` for variables that the flow's start
                refuses, `variable_too_large`; `template_failed` for the greeting.
        """
        plan = await self._plan(flow_id, version)
        if variables and not edits:
            _require_own_addresses(plan, variables)
        session = self._new(plan, uuid4().hex, variables or {}, metadata or {}, owner)
        greeting = await self._begin(session)
        session.save()
        await self._parts.writer.durable(session.uid)
        return session, greeting

    async def try_out(
        self,
        flow: Flow,
        *,
        variables: Mapping[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
        owner: str = "",
    ) -> tuple[Session, str | None]:
        """As `open`, for a flow that validation has passed and that need not be stored.

        The session lives in this process's memory alone, until it has been idle for a while; other
        replicas send its calls here.

        Raises:
            FlowError: As `open` does.
        """
        start = make_plan(flow, VERSION).start.data
        assert isinstance(start, StartData)
        values = self._first_variables(flow, start, variables or {})
        session = transient_session(
            self._parts, flow, variables=values, metadata=metadata, owner=owner, shared=True
        )
        return session, await self._begin(session)

    async def _begin(self, session: Session) -> str | None:
        """Takes a new session in, and gives its greeting."""
        plan = session.plan
        data = plan.start.data
        assert isinstance(data, StartData)
        greeting = render(data.greeting, session.state.variables) if data.greeting else None
        if greeting:
            session.greeted(greeting)
        if self._replicas is not None:
            await self._replicas.owner_of(plan.flow.id, session.id)
        self._keep(session)
        return greeting

    async def session(
        self, flow_id: str, session_id: str, *, sees: str | None = None
    ) -> Session | RemoteSession:
        """A session that was opened before; with `sees`, by that API key.

        Raises:
            FlowError: `session_not_found`.
        """
        session = await self._find(flow_id, session_id)
        if session is None or sees not in (None, session.owner):
            raise FlowError("session_not_found", f"Flow {flow_id!r} has no session {session_id!r}.")
        return session

    async def session_or_new(
        self, flow_id: str, session_id: str, *, owner: str = "", sees: str | None = None
    ) -> Session | RemoteSession:
        """A session by its id, as `session` does; made for the API key `owner` if it is new.

        Raises:
            FlowError: As `open` does.
        """
        await self._find(flow_id, session_id, make=True, owner=owner)
        return await self.session(flow_id, session_id, sees=sees)

    async def session_here(
        self, flow_id: str, session_id: str, *, owner: str = "", sees: str | None = None
    ) -> Session:
        """As `session_or_new`, but in this process: a replica that has it hands it over.

        Raises:
            FlowError: As `open` does.
            StreamError: `backend_unavailable` if the other replica does not hand it over.
        """
        session = await self.session_or_new(flow_id, session_id, owner=owner, sees=sees)
        if isinstance(session, Session):
            return session
        await session.call("release")
        return await self.own_session(flow_id, session_id, make=True, owner=owner)

    async def own_session(
        self, flow_id: str, session_id: str, *, make: bool = False, owner: str = ""
    ) -> Session:
        """A session that this process has, or takes because nobody has it.

        Raises:
            FlowError: `session_not_found`; as `open` does.
            StreamError: `backend_unavailable` if another replica has it.
        """
        session = await self._find(flow_id, session_id, make=make, owner=owner, here=True)
        if session is None:
            raise FlowError("session_not_found", f"Flow {flow_id!r} has no session {session_id!r}.")
        assert isinstance(session, Session)
        return session

    async def hand_over(self, flow_id: str, session_id: str) -> None:
        """Lets go of a session, for the replica that asks; its running turn goes on there.

        Raises:
            FlowError: `request_invalid` for one that tries a flow, of which nothing is stored.
        """
        key = flow_id, session_id
        async with self._loading_of(key):
            session = self._sessions.get(key)
            if session is not None and session.plan.version == VERSION:
                raise FlowError(
                    "request_invalid",
                    f"Session {session_id!r} tries a flow in another replica's memory. Take its "
                    "turns through /api/flows.",
                )
            if session is not None and self._replicas is not None:
                del self._sessions[key]
                await session.aclose()
                await self._parts.writer.durable(session.uid)
                await self._replicas.release([key])

    async def flush(self) -> None:
        """Returns when all that this process was handed in is in the database."""
        await self._parts.writer.durable()

    async def forget(self, flow_id: str, session_id: str) -> None:
        """Ends a session; from now on nothing of it is written, wherever it is."""
        session = await self._find(flow_id, session_id)
        if isinstance(session, Session):
            await self.forget_own(session)
        elif session is not None:
            await session.call("forget")

    async def forget_own(self, session: Session) -> None:
        """Forgets a session that this process has."""
        await session.end()
        session.forgotten = True
        await self._parts.outbox.forget(session.uid)
        await session.aclose()
        await self._parts.writer.durable(session.uid)
        key = session.plan.flow.id, session.id
        async with self._loading_of(key):
            self._sessions.pop(key, None)
            self._parts.writer.let_go(session.uid)
            if self._replicas is not None:
                turn_ids = await session.turn_ids()
                await self._replicas.forget(key, session.uid, turn_ids)

    async def check_sessions(self) -> None:
        """Gives up sessions that another replica has taken while this one counted as dead."""
        assert self._replicas is not None
        for (flow_id, session_id), session in list(self._sessions.items()):
            if await self._replicas.owner_of(flow_id, session_id) != self._replicas.id:
                self._lost(session.uid)

    def _lost(self, uid: str) -> None:
        """Another replica has the session: nothing is written, its readers go there."""
        for key, session in list(self._sessions.items()):
            if session.uid == uid:
                log.warning("session %s went to another replica", session.id)
                del self._sessions[key]
                session.abandon()

    def _keep(self, session: Session) -> None:
        self._sessions[session.plan.flow.id, session.id] = session
        self._parts.writer.hold(session.uid, session.generation)

    @property
    def session_count(self) -> int:
        """Sessions in memory."""
        return len(self._sessions)

    @property
    def busy_count(self) -> int:
        """Sessions with a turn that runs, waits for its commit or is read."""
        return sum(session.busy for session in self._sessions.values())

    @asynccontextmanager
    async def _loading_of(self, key: tuple[str, str]) -> AsyncIterator[None]:
        """One at a time makes, loads, or lets go of a session."""
        lock, waiting = self._loading.get(key, (asyncio.Lock(), 0))
        self._loading[key] = lock, waiting + 1
        try:
            async with lock:
                yield
        finally:
            lock, waiting = self._loading.pop(key)
            if waiting > 1:
                self._loading[key] = lock, waiting - 1

    async def _find(
        self,
        flow_id: str,
        session_id: str,
        *,
        make: bool = False,
        owner: str = "",
        here: bool = False,
    ) -> Session | RemoteSession | None:
        key = flow_id, session_id
        session = self._sessions.get(key)
        if session is not None:
            return session
        replicas = self._replicas
        async with self._loading_of(key):
            session = self._sessions.get(key)
            if session is not None:
                return session
            replica_id = ""
            if replicas is not None:
                replica_id = await replicas.owner_of(flow_id, session_id)
            if replicas is None or replica_id == replicas.id:
                return await self._take(key, make=make, owner=owner)
        if here:
            raise StreamError("backend_unavailable", "Another replica has the session. Try again.")
        remote = replicas.remote(flow_id, session_id, replica_id)
        return remote if await remote.find(make=make, owner=owner) else None

    async def _take(self, key: tuple[str, str], *, make: bool, owner: str) -> Session | None:
        """Loads or makes a session that is this process's to have."""
        flow_id, session_id = key
        if self._replicas is not None:
            await self._replicas.recover(flow_id, session_id)
        session = await self._load(flow_id, session_id)
        if session is None and make:
            session = self._new(await self._plan(flow_id), session_id, {}, {}, owner)
        if session is not None:
            self._keep(session)
            await self._go_on(session)
        elif self._replicas is not None:
            await self._replicas.release([key])
        return session

    async def _load(self, flow_id: str, session_id: str) -> Session | None:
        stored = await self._parts.sessions.session(
            flow_id, session_id, take=self._replicas is not None
        )
        if stored is None:
            return None
        state = SessionState.from_dict(stored.state)
        state.ended = state.ended or stored.ended
        return Session(
            stored.uid,
            session_id,
            await self._plan(flow_id, stored.flow_version),
            self._parts,
            state=state,
            metadata=stored.metadata,
            owner=stored.owner,
            generation=stored.generation,
            stored_turns=stored.turn_ids,
            stored_parts=stored.parts,
        )

    async def _go_on(self, session: Session) -> None:
        """Goes on with the turn that the last process was stopped in."""
        if self._parts.keeper is None or session.state.ended:
            return
        for turn_id in (await self._parts.sessions.running_turns(session.uid))[-1:]:
            turn = await self._parts.sessions.turn(session.uid, turn_id)
            if turn is not None:
                session.go_on(turn)

    async def _plan(self, flow_id: str, version: int | None = None) -> Plan:
        if version is not None and (plan := self._plans.get((flow_id, version))):
            return plan
        stored = await self._parts.flows.version(flow_id, version)
        plan = self._plans.get((flow_id, stored.version))
        if plan is None:
            plan = make_plan(Flow.model_validate(stored.document), stored.version)
            self._plans[flow_id, stored.version] = plan
        return plan

    def _new(
        self,
        plan: Plan,
        session_id: str,
        variables: Mapping[str, Any],
        metadata: dict[str, Any],
        owner: str,
    ) -> Session:
        start = plan.start.data
        assert isinstance(start, StartData)
        state = SessionState(variables=self._first_variables(plan.flow, start, variables))
        uid = uuid4().hex
        return Session(
            uid, session_id, plan, self._parts, state=state, metadata=metadata, owner=owner
        )

    def _first_variables(
        self, flow: Flow, data: StartData, given: Mapping[str, Any]
    ) -> dict[str, Any]:
        values = {**flow.variables}
        for name, declared in data.variables.items():
            value = given.get(name, values.get(name, declared.default))
            path = f"variables.{name}"
            if value is None and declared.required:
                raise FlowError("request_invalid", f"Variable {name!r} is required.", path=path)
            try:
                values[name] = coerce(value, declared.type)
            except ValueError as error:
                raise FlowError("request_invalid", f"Variable {name!r}: {error}.", path=path) from (
                    error
                )
        values.update((name, value) for name, value in given.items() if name not in data.variables)
        limits = self._parts.limits
        check_sizes(
            values, values, one_bytes=limits.variable_bytes, all_bytes=limits.variables_bytes
        )
        return values

    async def _let_go(self, key: tuple[str, str], session: Session) -> None:
        async with self._loading_of(key):
            await self._parts.writer.durable(session.uid)
            if not session.busy and self._sessions.get(key) is session:
                del self._sessions[key]
                self._parts.writer.let_go(session.uid)
                if self._replicas is not None:
                    await self._replicas.release([key])

    async def _sweep(self) -> None:
        """Ends idle sessions, forgets old ones, and takes up what dead processes left behind."""
        while True:
            await asyncio.sleep(_SWEEP_S)
            try:
                await self.sweep()
            except (ParleyError, OSError, SQLAlchemyError) as error:
                log.warning("the sweep failed and is tried again: %s", type(error).__name__)

    async def sweep(self) -> None:
        """One round of the sweeper."""
        now, limits, parts = time(), self._parts.limits, self._parts
        for key, session in list(self._sessions.items()):
            if not session.busy and monotonic() - session.used_at_s > limits.memory_idle_s:
                with suppress(FlowError):  # what the database refuses of it is here alone
                    await self._let_go(key, session)
        in_use = {
            session.uid
            for session in self._sessions.values()
            if session.busy or monotonic() - session.used_at_s < limits.session_idle_s
        }
        if self._replicas is not None:
            in_use |= await self._held_elsewhere(now)
        for flow_id, session_id in await parts.sessions.end_idle(
            now - limits.session_idle_s, in_use
        ):
            if ended := self._sessions.get((flow_id, session_id)):
                ended.state.ended = True
        await parts.sessions.forget(now - limits.session_kept_s)
        if limits.conversations_kept_s:
            await parts.people.forget_conversations(now - limits.conversations_kept_s)
        await parts.passages.forget(now - max(limits.session_kept_s, _PASSAGES_KEPT_S))
        await recover_lost_turns(parts.sessions, now - _LOST_AFTER_S, in_use)
        await parts.outbox.recover()

    async def _held_elsewhere(self, now: float) -> set[str]:
        """Uids of sessions that only look idle or lost: another replica has them.

        Its clock may be behind ours; it ends them itself.
        """
        assert self._replicas is not None
        overdue = await self._parts.sessions.overdue(
            now - self._parts.limits.session_idle_s, now - _LOST_AFTER_S
        )
        others = {key: uid for key, uid in overdue.items() if key not in self._sessions}
        return {others[key] for key in await self._replicas.held(list(others))}


def _require_own_addresses(plan: Plan, given: Mapping[str, Any]) -> None:
    for name in plan.addresses().intersection(given):
        if given[name] != plan.flow.variables.get(name):
            raise AccessError(
                "forbidden",
                f"Variable {name!r} says whom flow {plan.flow.id!r} calls. Who opens a session may "
                "choose it with a key that has the scope edit, or if the flow's start node "
                "declares it.",
            )
