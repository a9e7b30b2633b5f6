"""The events of a turn, as they travel in `data:` of a server-sent event.

Ids of the SSE stream are `{turn_id}:{seq}`, `seq` from 1 with no gaps. A stream ends with exactly
one of `done`, `error` and `cancelled`. A client must understand `token`, `done` and `error` and
ignores types that it does not know, so new ones may be added. Contract: docs/flow-protocol.md.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

TERMINAL_TYPES = frozenset({"done", "error", "cancelled"})
"""Types of which exactly one ends a stream."""


class Event(BaseModel):
    """What every event carries."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    type: str
    seq: int = Field(default=0, ge=0)
    """Place in the turn's stream, from 1; 0 until the journal has numbered it."""
    turn_id: str = ""
    session_id: str = ""


class Token(Event):
    """A piece of the answer, as it came from the model or a template."""

    type: Literal["token"] = "token"
    content: str
    node_id: str
    speak: bool = True
    """False: to show, not for the voice."""


class Done(Event):
    """The turn ran to its end."""

    type: Literal["done"] = "done"
    content: str
    """The whole spoken text: every token with `speak`, joined."""
    ended: bool = False
    """The session is over."""
    usage: dict[str, int] = Field(default_factory=dict)
    """Counts of tokens: `prompt_tokens`, `completion_tokens`, `total_tokens`."""
    timings_ms: dict[str, float] = Field(default_factory=dict)
    """Milliseconds from the request to `llm_request`, `first_token`, `done`, …"""


class Error(Event):
    """The turn failed; the session stays usable."""

    type: Literal["error"] = "error"
    code: str
    message: str
    retryable: bool = False
    content: str = ""
    """The spoken text so far."""


class Cancelled(Event):
    """The turn was cancelled or discarded; `reason` says by what."""

    type: Literal["cancelled"] = "cancelled"
    reason: str = ""
    content: str = ""
    """The spoken text so far."""


class NodeStarted(Event):
    """The engine entered a node."""

    type: Literal["node_started"] = "node_started"
    node_id: str
    node_type: str
    allow_interruptions: bool = True
    """Whether the user may interrupt what the node says."""


class NodeFinished(Event):
    """The engine left a node, along `edge_id` if it took one."""

    type: Literal["node_finished"] = "node_finished"
    node_id: str
    node_type: str
    duration_ms: float = Field(ge=0)
    edge_id: str | None = None
    then: Literal["go", "wait", "return", "end"] = "go"
    """The turn goes on; or it stops: the session waits here, is back where a global node was
    called from, or is over."""
    next_node_id: str | None = None
    """The node that is entered next, if the turn goes on."""


class Variables(Event):
    """Session variables that a node set, with their new values."""

    type: Literal["variables"] = "variables"
    changed: dict[str, Any]


class WaitingForCommit(Event):
    """A speculative turn stands before a node with side effects."""

    type: Literal["waiting_for_commit"] = "waiting_for_commit"
    node_id: str


class Transfer(Event):
    """The worker is to hand the call over."""

    type: Literal["transfer"] = "transfer"
    node_id: str
    to: str
    """A SIP URI, telephone number, room or agent name, as the flow has it."""
    data: dict[str, Any] = Field(default_factory=dict)


class Dtmf(Event):
    """The worker is to send these digits, or the flow waits to read some."""

    type: Literal["dtmf"] = "dtmf"
    node_id: str
    action: Literal["send", "read"] = "send"
    digits: str = ""
    """Of `0-9A-D*#`; for `read`, empty."""
    data: dict[str, Any] = Field(default_factory=dict)


TurnEvent = Annotated[
    Token
    | Done
    | Error
    | Cancelled
    | NodeStarted
    | NodeFinished
    | Variables
    | WaitingForCommit
    | Transfer
    | Dtmf,
    Field(discriminator="type"),
]
"""Any event that a turn may send."""

EVENT_TYPES: dict[str, type[Event]] = {
    "token": Token,
    "done": Done,
    "error": Error,
    "cancelled": Cancelled,
    "node_started": NodeStarted,
    "node_finished": NodeFinished,
    "variables": Variables,
    "waiting_for_commit": WaitingForCommit,
    "transfer": Transfer,
    "dtmf": Dtmf,
}
"""Type name to model; the published schema is made from this."""

_adapter: TypeAdapter[Any] = TypeAdapter(TurnEvent)


def parse_event(data: str) -> Event | None:
    """Reads one `data:` payload; gives None for a type that this version does not know.

    Raises:
        ValueError: If the payload is not a JSON object, or a known type lacks a field
            (pydantic's ValidationError is a ValueError).
    """
    head = Event.model_validate_json(data)
    if head.type not in EVENT_TYPES:
        return None
    event: Event = _adapter.validate_json(data)
    return event


def event_id(turn_id: str, seq: int) -> str:
    """The SSE `id:` of an event."""
    return f"{turn_id}:{seq}"


def parse_event_id(value: str) -> tuple[str, int]:
    """Splits an SSE id into turn id and seq.

    Raises:
        ValueError: If it is not of the form `{turn_id}:{seq}`.
    """
    turn_id, _, seq = value.rpartition(":")
    if not turn_id or not seq.isascii() or not seq.isdigit():
        raise ValueError(f"{value!r} is not an event id of the form turn_id:seq")
    return turn_id, int(seq)
