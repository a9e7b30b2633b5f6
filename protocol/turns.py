"""Bodies of the calls about sessions and turns. Contract: docs/flow-protocol.md."""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

MOST_REPORTS = 8
"""In one request of a turn."""
TurnId = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9._~-]+$")]
MOST_NESTED = 100
"""How deep values may lie in each other: well below what parsers and serialisers take."""


def whole(text: str) -> str:
    """The text, unless it has half of a surrogate pair.

    JSON may escape one (RFC 8259, section 8.2), as scripts do that cut an emoji in two; it can be
    neither stored nor sent.

    Raises:
        ValueError: If it has.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("has half of a surrogate pair, which is no character") from None
    return text


def sendable(value: Any, depth: int = 0) -> Any:
    """A value of Python's JSON, unless others cannot read it.

    Raises:
        ValueError: For half characters, numbers that are not finite, and what is nested too deeply.
    """
    if depth > MOST_NESTED:
        raise ValueError(f"is nested deeper than {MOST_NESTED}")
    if isinstance(value, str):
        whole(value)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError("has a number that is not finite")
    elif isinstance(value, dict):
        for name, item in value.items():
            whole(name)
            sendable(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            sendable(item, depth + 1)
    return value


Words = Annotated[str, AfterValidator(whole)]
"""Text that can be stored and sent."""
Values = Annotated[dict[str, Any], AfterValidator(sendable)]
"""Values by name that can be stored and sent."""


class Body(BaseModel):
    """Request bodies name what they do not know instead of ignoring it.

    Their validation errors do not repeat what was given: it may be somebody's words.
    """

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class HeardWord(Body):
    """One word as the user heard it."""

    word: Words
    start_ms: float = Field(ge=0)
    """From the start of the turn's audio."""
    end_ms: float = Field(ge=0)


class HeardReport(Body):
    """What the user really heard of a turn."""

    text: str = Field(max_length=200_000)
    interrupted: bool
    position_ms: float | None = Field(default=None, ge=0)
    """Playback position where it stopped."""
    words: list[HeardWord] | None = None
    estimated: bool = False
    """The position was estimated because the voice gives no word timings."""


class HeardTurn(HeardReport):
    """The report of an earlier turn, in the request of a new one."""

    turn_id: TurnId


class TurnRequest(Body):
    """Starts a turn, or joins the one with the same `turn_id` and input."""

    input: str = Field(max_length=100_000)
    turn_id: TurnId | None = None
    speculative: bool = False
    """The user may still be speaking: nothing with side effects runs before the commit."""
    heard: list[HeardTurn] | None = Field(default=None, max_length=MOST_REPORTS)
    """What was heard of earlier turns, where the backend has not confirmed a report of it; it
    counts before this turn begins."""


class SessionRequest(Body):
    """Opens a session on a flow."""

    variables: Values = Field(default_factory=dict)
    metadata: Values = Field(default_factory=dict)
    version: int | None = Field(default=None, ge=1, le=2**31 - 1)
    document: dict[str, Any] | None = None
    """A flow of the same id to try in place of a stored version; needs the scope `edit`. Nothing
    of the session is stored."""


class SessionOpened(BaseModel):
    """Answer to a `SessionRequest`."""

    session_id: str
    flow_version: int
    """0: a document that is tried."""
    greeting: str | None = None
    allow_interruptions: bool = True
    """Whether the user may interrupt the greeting."""


class TranscriptEntry(BaseModel):
    """One message of a session's history."""

    role: str
    """`user` or `assistant`."""
    text: str
    """For the assistant: what was heard, once that is known."""
    turn_id: str | None = None
    interrupted: bool = False
    heard: bool = False
    """The heard report, or the next turn, has settled this text."""
    estimated: bool = False
    """Where it was cut off is a guess: the voice does not tell when its words are heard."""


class SessionState(BaseModel):
    """Answer to a GET of a session."""

    session_id: str
    flow_id: str
    flow_version: int
    node_id: str | None
    """Where the session stands; None before its first turn."""
    ended: bool
    variables: dict[str, Any]
    metadata: dict[str, Any] = Field(default_factory=dict)
    transcript: list[TranscriptEntry]
