"""Errors of the project as LiveKit's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from livekit.agents import APIError

from protocol.errors import ParleyError


@contextmanager
def translated() -> Iterator[None]:
    """LiveKit retries what is retryable, goes on to the next of a chain, or tells the session."""
    try:
        yield
    except ParleyError as error:
        raise APIError(error.message, body=error.as_dict(), retryable=error.retryable) from error
