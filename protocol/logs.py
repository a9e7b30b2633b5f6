"""Logging of every process: lines for people or JSON for machines, with ids of call and turn.

No record holds what anybody said: extra fields, in which libraries put such things, are not shown.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Literal

LogFormat = Literal["text", "json"]

_ABOUT: ContextVar[Mapping[str, str]] = ContextVar("log_about", default={})  # noqa: B039 - never changed, only replaced


def about(**ids: str) -> None:
    """Adds ids (`room`, `session`, `turn`) to every record of this task and of those it starts."""
    _ABOUT.set({**_ABOUT.get(), **ids})


_SHOWN_IN_DETAIL = (
    "agent_worker",
    "bench",
    "flow_backend",
    "livekit",
    "plugins",
    "protocol",
    "speech",
    "stack",
)
"""Whose DEBUG records may be shown. Those of other libraries hold headers with keys, prompts, and
every row that goes into the database."""


def set_up(level: str, form: LogFormat) -> None:
    """Configures the root logger: all records of the process go to standard error.

    Args:
        level: Least severity that is shown.
        form: `text`, or `json`: one object a line with `time` (RFC 3339, UTC), `level`, `logger`,
            `message`, the ids, and `error` with the traceback if there is one.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if form == "json" else TextLines())
    logging.basicConfig(level=max(logging.getLevelName(level), logging.INFO), handlers=[handler])
    for name in _SHOWN_IN_DETAIL:
        logging.getLogger(name).setLevel(level)
    # Each request's address would hold what was said.
    for name in ("httpx", "httpx2"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("livekit").addFilter(_tells_something)
    # The worker's health page is asked every few seconds.
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)


_OF_EVERY_CALL = (
    "data channel '_data_track' closed unexpectedly",
    "Attempted to drop unknown FFI handle",
)
"""What LiveKit's native library says, as errors and warnings, of calls in which all is well."""


def _tells_something(record: logging.LogRecord) -> bool:
    return not any(text in record.getMessage() for text in _OF_EVERY_CALL)


_TICKET = re.compile(r"(?<![\w-])eyJ[\w-]+\.eyJ[\w-]+\.[\w-]+")
"""A JSON Web Token (RFC 7519). LiveKit repeats a ticket to a room that it refuses, and its native
library says so."""


def _without_tickets(text: str) -> str:
    return _TICKET.sub("<token>", text)


class TextLines(logging.Formatter):
    """One line for each record, its ids at the end, a traceback behind bars below it.

    Nothing that comes from outside can fake a record or steer a terminal: control characters are
    written out.
    """

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """The line, and the traceback."""
        return _without_tickets(super().format(record))

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the base class's name
        """The line without a traceback."""
        line = super().formatMessage(record)
        ids = " ".join(f"{name}={value}" for name, value in _ABOUT.get().items())
        return _written_out(f"{line} [{ids}]" if ids else line)

    def formatException(self, ei: Any) -> str:  # noqa: N802 - the base class's name
        """The traceback."""
        lines = super().formatException(ei).split("\n")
        return "\n".join(f"  | {_written_out(line)}" for line in lines)


_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")


def _written_out(text: str) -> str:
    """Control characters as Python's literals have them."""
    return _CONTROL.sub(lambda found: repr(found[0])[1:-1], text)


class JsonLines(logging.Formatter):
    """One JSON object for each record."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        row = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_ABOUT.get(),
        }
        if record.exc_info:
            row["error"] = self.formatException(record.exc_info)
        return _without_tickets(json.dumps(row))
