"""The one tree of errors, and the one table that says how each code looks on a wire.

    ParleyError
    ├── ConfigError     the operator's mistake: a setting, a missing file or tool
    ├── FlowError       a flow, session or turn that cannot be served as asked
    ├── ProviderError   a language model or hosted service failed
    ├── SpeechError     voices, audio, synthesis and transcription
    ├── StreamError     a connection between two parts broke or stalled
    └── AccessError     the caller may not, or may not now

Every error carries `code` (snake_case, frozen by a test), `message` (for people; never holds
user speech, prompts or keys) and `retryable` (the same call may succeed later). Cancellation is
not an error and is not in this tree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Wire:
    """How a code is shown to a client."""

    http_status: int
    """Status of a response that has not begun."""
    retryable: bool = False
    """Whether the same call may succeed later."""
    ws_close: int = 1011
    """WebSocket close code (RFC 6455, section 7.4), where the error ends the connection; 1013 is
    for callers that are not taken since there are too many, 1012 for a backend that stops."""


class ParleyError(Exception):
    """Root of the tree.

    Args:
        code: A key of the class's `codes`.
        message: What went wrong, where, and what to do about it.
        path: The place in a document or request (`nodes[2].data.url`), where there is one.
        retryable: Overrides the table for this one occurrence.
        retry_after_s: How long the caller should wait, where that is known.

    Raises:
        ValueError: If `code` does not belong to the class: a programming error.
    """

    codes: ClassVar[dict[str, Wire]] = {}

    def __init__(
        self,
        code: str,
        message: str,
        *,
        path: str | None = None,
        retryable: bool | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        if code not in self.codes:
            raise ValueError(f"{type(self).__name__} has no code {code!r}")
        super().__init__(message)
        self.code = code
        self.message = message
        self.path = path
        self.retryable = self.codes[code].retryable if retryable is None else retryable
        self.retry_after_s = retry_after_s

    @property
    def wire(self) -> Wire:
        """The row of the table for this error's code."""
        return self.codes[self.code]

    def as_dict(self) -> dict[str, object]:
        """The JSON body that doors send: `code`, `message`, `retryable`, and `path` if any."""
        body: dict[str, object] = {
            "code": self.code,
            "message": self.message,
            "retryable": self.retryable,
        }
        if self.path is not None:
            body["path"] = self.path
        return body


class ConfigError(ParleyError):
    """A setting, file or tool that the operator must mend before the process can work."""

    codes: ClassVar[dict[str, Wire]] = {
        "setting_invalid": Wire(500),
        "setting_missing": Wire(500),
        "tool_missing": Wire(500),
        "port_in_use": Wire(500),
        "disk_full": Wire(507, retryable=True),
        "start_failed": Wire(500),
    }


class FlowError(ParleyError):
    """A flow, session or turn that cannot be served as asked."""

    codes: ClassVar[dict[str, Wire]] = {
        "request_invalid": Wire(422, ws_close=1007),
        "flow_not_found": Wire(404, ws_close=1008),
        "flow_exists": Wire(409),
        "flow_invalid": Wire(422),
        "flow_conflict": Wire(409),
        "flow_in_use": Wire(409),
        "flow_loop": Wire(500),
        "precondition_required": Wire(428),
        "session_not_found": Wire(404),
        "session_ended": Wire(409),
        "turn_not_found": Wire(404),
        "turn_conflict": Wire(409),
        "template_failed": Wire(500),
        "expression_failed": Wire(500),
        "extract_failed": Wire(500),
        "http_refused": Wire(502),
        "http_failed": Wire(502, retryable=True),
        "variable_too_large": Wire(413),
        "node_failed": Wire(500),
        "internal": Wire(500),
    }


class ProviderError(ParleyError):
    """A language model or hosted service failed, or is not set up."""

    codes: ClassVar[dict[str, Wire]] = {
        "provider_unknown": Wire(400),
        "provider_not_configured": Wire(400),
        "provider_unavailable": Wire(503, retryable=True),
        "provider_timeout": Wire(504, retryable=True),
        "provider_rate_limited": Wire(429, retryable=True),
        "provider_unauthorized": Wire(502),
        "provider_refused": Wire(502),
        "provider_bad_response": Wire(502, retryable=True),
    }


class SpeechError(ParleyError):
    """Voices, audio, synthesis and transcription."""

    codes: ClassVar[dict[str, Wire]] = {
        "voice_not_found": Wire(404),
        "voice_invalid": Wire(422),
        "model_missing": Wire(503),
        "model_invalid": Wire(500),
        "text_too_long": Wire(413),
        "audio_invalid": Wire(400, ws_close=1003),
        "audio_too_long": Wire(413, ws_close=1009),
        "voice_list_unavailable": Wire(502, retryable=True),
        "synthesis_failed": Wire(500, retryable=True),
        "transcription_failed": Wire(500, retryable=True),
    }


class StreamError(ParleyError):
    """A connection between two parts broke, stalled, or said something that is not protocol."""

    codes: ClassVar[dict[str, Wire]] = {
        "backend_unavailable": Wire(503, retryable=True, ws_close=1012),
        "database_unavailable": Wire(503, retryable=True),
        "stream_interrupted": Wire(502, retryable=True),
        "stream_stalled": Wire(504, retryable=True),
        "stream_malformed": Wire(502, ws_close=1007),
        "client_too_slow": Wire(408, retryable=True),
        "message_too_large": Wire(413, ws_close=1009),
    }


class AccessError(ParleyError):
    """The caller may not, or may not now."""

    codes: ClassVar[dict[str, Wire]] = {
        "unauthorized": Wire(401, ws_close=1008),
        "forbidden": Wire(403, ws_close=1008),
        "rate_limited": Wire(429, retryable=True, ws_close=1013),
        "overloaded": Wire(503, retryable=True, ws_close=1013),
    }


FAMILIES: tuple[type[ParleyError], ...] = (
    ConfigError,
    FlowError,
    ProviderError,
    SpeechError,
    StreamError,
    AccessError,
)
"""Every branch of the tree."""


def wire_for(code: str) -> Wire:
    """Looks a code up in the whole tree; an unknown code is shown as an internal error."""
    for family in FAMILIES:
        if code in family.codes:
            return family.codes[code]
    return Wire(500)


def error_for(code: str, message: str, *, retryable: bool | None = None) -> ParleyError:
    """The error that another process reported by its code.

    A code that this version does not know becomes `stream_malformed`, with the code named.
    """
    for family in FAMILIES:
        if code in family.codes:
            return family(code, message, retryable=retryable)
    return StreamError("stream_malformed", f"Unknown error code {code!r}: {message}")
