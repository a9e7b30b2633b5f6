"""How much the whole backend does at once, whoever asks: what is beyond it is refused at once.

Only what begins something asks for a place. Commits, reports of what was heard and readers that
come back to a turn do not: what runs goes on to its end.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from fastapi import Depends
from starlette.requests import HTTPConnection

from protocol.errors import AccessError, StreamError

STREAMS_PER_CORE = 150
"""300 streams of 40 tokens a second arrive in time on two cores (`parley bench backend`)."""
SPOKEN_PER_CORE = 8
"""Piper takes 0.09 to 0.12 cores to speak as fast as it is listened to (`parley bench tts`)."""
SOCKETS_PER_CORE = 32
"""Calls over the WebSocket, each of which is silent, or listens, for most of its time."""
RETRY_AFTER_S = 2.0
"""What a refused caller is told to wait: when a place becomes free is not known."""


@dataclass(slots=True)
class Places:
    """The places of one kind."""

    name: str
    what: str
    setting: str
    most: int
    taken: int = 0

    @property
    def full(self) -> bool:
        """Whether there is none left."""
        return self.taken >= self.most


class Admission:
    """Counts what runs.

    Args:
        streams: Turns and answers in text at once; 0: `STREAMS_PER_CORE`.
        spoken: Answers with speech at once; 0: `SPOKEN_PER_CORE`.
        sockets: WebSocket calls at once; 0: `SOCKETS_PER_CORE`.

    Attributes:
        draining: The process is about to end: nothing new begins.
    """

    def __init__(self, streams: int = 0, spoken: int = 0, sockets: int = 0) -> None:
        cores = os.cpu_count() or 1
        self.streams = Places(
            "streams", "answers", "MAX_STREAMS", streams or STREAMS_PER_CORE * cores
        )
        self.spoken = Places(
            "spoken", "answers with speech", "MAX_SPOKEN", spoken or SPOKEN_PER_CORE * cores
        )
        self.sockets = Places(
            "sockets", "WebSocket calls", "MAX_SOCKETS", sockets or SOCKETS_PER_CORE * cores
        )
        self.draining = False

    @contextmanager
    def place(self, places: Places) -> Iterator[None]:
        """Holds a place.

        Raises:
            AccessError: `overloaded` if all are taken.
            StreamError: `backend_unavailable` if the process is about to end.
        """
        if self.draining:
            raise StreamError(
                "backend_unavailable",
                "This backend is about to stop. Another one, or the next, takes the request.",
                retry_after_s=RETRY_AFTER_S,
            )
        if places.full:
            raise AccessError(
                "overloaded",
                f"This backend has {places.most} {places.what} under way, as many as it may "
                f"({places.setting}). Try again in {RETRY_AFTER_S:g} s.",
                retry_after_s=RETRY_AFTER_S,
            )
        places.taken += 1
        try:
            yield
        finally:
            places.taken -= 1


async def _streamed(connection: HTTPConnection) -> AsyncIterator[None]:
    admission: Admission = connection.app.state.admission
    with admission.place(admission.streams):
        yield


async def _spoken(connection: HTTPConnection) -> AsyncIterator[None]:
    admission: Admission = connection.app.state.admission
    with admission.place(admission.spoken):
        yield


async def _called(connection: HTTPConnection) -> AsyncIterator[None]:
    admission: Admission = connection.app.state.admission
    with admission.place(admission.sockets):
        yield


STREAMED = Depends(_streamed)
"""Of routes that answer in text: holds a place until the response is sent."""
SPOKEN = Depends(_spoken)
"""Of routes that speak: the same."""
CALLED = Depends(_called)
"""Of WebSockets: holds a place until they are closed."""
