"""The engine: every session of this process, and what sessions share."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import uuid4

from flow_backend.engine.plan import Plan
from flow_backend.engine.session import Session
from flow_backend.flows.templates import render
from flow_backend.flows.variables import coerce
from flow_backend.llm.base import LLMProvider
from flow_backend.nodes.start import StartData
from protocol.errors import FlowError


class Models(Protocol):
    """Gives language models by name."""

    async def get(self, reference: str = ...) -> LLMProvider:
        """A provider, or ProviderError."""


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """Bounds of what one turn and one session may take."""

    node_entries_per_turn: int = 100
    variable_bytes: int = 65_536
    reader_grace_s: float = 5.0
    """How long a turn that nobody reads goes on."""


@dataclass(frozen=True, slots=True)
class EngineParts:
    """What runs need."""

    models: Models
    limits: EngineLimits


class Engine:
    """Opens, finds and ends sessions."""

    def __init__(self, parts: EngineParts, plans: Mapping[str, Plan]) -> None:
        self._parts = parts
        self._plans = plans
        self._sessions: dict[tuple[str, str], Session] = {}

    def open(
        self,
        flow_id: str,
        *,
        session_id: str | None = None,
        variables: Mapping[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> Session:
        """Makes a session.

        Raises:
            FlowError: `flow_not_found`; `request_invalid` for a required variable that is missing
                or a value of the wrong type.
        """
        plan = self._plans.get(flow_id)
        if plan is None:
            raise FlowError("flow_not_found", f"There is no flow {flow_id!r}.")
        session = Session(session_id or uuid4().hex, plan, self._parts, metadata=metadata)
        session.state.variables.update(plan.flow.variables)
        data = plan.start.data
        assert isinstance(data, StartData)
        given = dict(variables or {})
        for name, declared in data.variables.items():
            if name not in given and declared.required:
                raise FlowError(
                    "request_invalid", f"Variable {name!r} is required.", path=f"variables.{name}"
                )
            session.state.variables.setdefault(name, coerce(declared.default, declared.type))
            try:
                given[name] = coerce(given.get(name, session.state.variables[name]), declared.type)
            except ValueError as error:
                raise FlowError(
                    "request_invalid", f"Variable {name!r}: {error}.", path=f"variables.{name}"
                ) from error
        session.state.variables.update(given)
        self._sessions[flow_id, session.id] = session
        return session

    def greet(self, session: Session) -> str | None:
        """The start node's greeting, which then counts as said."""
        data = session.plan.start.data
        assert isinstance(data, StartData)
        if not data.greeting:
            return None
        text = render(data.greeting, session.state.variables)
        session.greeted(text)
        return text

    def session(self, flow_id: str, session_id: str) -> Session:
        """A session that was opened before.

        Raises:
            FlowError: `session_not_found`.
        """
        session = self._sessions.get((flow_id, session_id))
        if session is None:
            raise FlowError("session_not_found", f"Flow {flow_id!r} has no session {session_id!r}.")
        return session

    def session_or_new(self, flow_id: str, session_id: str) -> Session:
        """A session by its id, made if it is new.

        Raises:
            FlowError: As `open` does.
        """
        known = self._sessions.get((flow_id, session_id))
        return known or self.open(flow_id, session_id=session_id)

    async def aclose(self) -> None:
        """Cancels every turn."""
        await asyncio.gather(*(session.aclose() for session in self._sessions.values()))
