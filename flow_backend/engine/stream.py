"""The live journal of one turn: every event as the bytes of its SSE frame, read by any number.

Readers hold an index, not a queue: a slow one costs an integer, and a reader that joins late or
again starts where it likes. Frames are bounded by `max_bytes`; a turn that outgrows it fails.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from json.encoder import encode_basestring_ascii
from typing import Any, Protocol

from flow_backend.engine.frames import Frames
from protocol.errors import FlowError
from protocol.events import TERMINAL_TYPES, Error, Event


class FrameKeeper(Protocol):
    """Keeps events where they outlive this process, before any reader has them."""

    @property
    def shared(self) -> bool:
        """Other processes read them, those of speculative turns, too."""

    def begin(
        self, stream: TurnStream, session_row: dict[str, Any], turn_row: dict[str, Any]
    ) -> None:
        """Takes the rows with which a turn begins, until they are in the database."""

    def keep(self, stream: TurnStream, frame: bytes) -> None:
        """Takes the stream's newest frame, and calls `publish` once it is safe."""


class TurnStream:
    """Numbers, serialises and keeps a turn's events.

    Strings are written as ASCII with escapes, so that no line splitter of any client finds a line
    end (U+2028, U+0085) inside a frame.
    """

    def __init__(
        self, session_id: str, turn_id: str, *, uid: str = "", max_bytes: int = 8_000_000
    ) -> None:
        self.uid = uid
        """The session's row."""
        self.turn_id = turn_id
        self.frames = Frames()
        """Frame `seq - 1` is event `seq`."""
        self.published = 0
        """How many frames readers may have."""
        self.keeper: FrameKeeper | None = None
        self.gone = False
        """The turn goes on in another process: readers are to ask for it there."""
        self.closed = False
        """A terminal event is in; nothing follows."""
        self.lost: Error | None = None
        """Ends the stream of a turn whose process died. It has no number of its own: a reader may
        have seen events that the journal had not yet got, so it comes after what each has."""
        self.readers = 0
        """Clients of this process."""
        self.followers = 0
        """Other processes whose clients read. They have the events elsewhere, too: once the turn is
        over, nothing is kept for them here, and one that died need not have taken its leave."""
        self.on_idle: Callable[[], None] | None = None
        """Called when the last reader or follower leaves."""
        self.observer: Callable[[Event], None] | None = None
        """Sees each event that is added, but for tokens."""
        self._session_id = session_id
        self._size_bytes = 0
        self._max_bytes = max_bytes
        self._waiters: set[asyncio.Future[bool]] = set()
        self._frame_head = f"id: {turn_id}:".encode()
        ids = f'"turn_id":"{turn_id}","session_id":"{session_id}"'
        self._token_middle = f',{ids},"content":'.encode()

    def token(self, content: str, node_id: str, speak: bool) -> None:
        """Adds a `token`: the hot path, written without a model object."""
        seq = len(self.frames) + 1
        self._append(
            b'%b%d\ndata: {"type":"token","seq":%d%b%b,"node_id":%b,"speak":%b}\n\n'
            % (
                self._frame_head,
                seq,
                seq,
                self._token_middle,
                encode_basestring_ascii(content).encode(),
                encode_basestring_ascii(node_id).encode(),
                b"true" if speak else b"false",
            )
        )

    def add(self, event: Event) -> None:
        """Numbers an event and adds it; a terminal one closes the stream.

        Raises:
            RuntimeError: If the stream is closed: a programming error.
        """
        frame = self.frame(event)
        self.closed = event.type in TERMINAL_TYPES
        self._append(frame, closing=self.closed)
        if self.observer is not None:
            self.observer(event)

    def frame(self, event: Event, seq: int | None = None) -> bytes:
        """The SSE frame of an event, with the next number unless another is given."""
        seq = seq or len(self.frames) + 1
        numbered = event.model_copy(
            update={"seq": seq, "turn_id": self.turn_id, "session_id": self._session_id}
        )
        data = numbered.model_dump_json(ensure_ascii=True)
        return b"%b%d\ndata: %b\n\n" % (self._frame_head, seq, data.encode())

    def restore(self, frames: list[bytes], *, lost: bool) -> None:
        """Fills the stream from the journal; that of a lost turn lacks its end."""
        self.take_up(frames)
        self.closed = True
        if lost:
            self.lost = Error(
                code="stream_interrupted",
                message="The backend was stopped during this turn. Say it again in a new turn.",
                retryable=True,
                content=spoken_text(frames),
            )

    def take_up(self, frames: list[bytes]) -> None:
        """Goes on after the frames that another process has written."""
        self.frames = Frames(frames)
        self.published = len(frames)
        self._size_bytes = sum(map(len, frames))

    def publish(self, count: int) -> None:
        """Lets readers have the first `count` frames."""
        self.published = count
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(True)
        self._waiters.clear()

    def cut(self) -> None:
        """Sends readers away without an end."""
        self.gone = True
        self.publish(self.published)

    def _append(self, frame: bytes, *, closing: bool = False) -> None:
        if self.closed and not closing:
            raise RuntimeError("the turn's stream is closed")
        self._size_bytes += len(frame)
        if self._size_bytes > self._max_bytes and not closing:
            raise FlowError(
                "node_failed",
                f"The turn's events grew beyond {self._max_bytes} bytes; shorten what it says.",
            )
        self.frames.append(frame)
        if self.keeper is None:
            self.publish(len(self.frames))
        else:
            self.keeper.keep(self, frame)

    def wait(self) -> asyncio.Future[bool]:
        """A future that becomes True with the next frame; the caller may settle it earlier."""
        waiter: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        return waiter

    def forget(self, waiter: asyncio.Future[bool]) -> None:
        """Takes back a `wait`."""
        self._waiters.discard(waiter)

    @property
    def idle(self) -> bool:
        """Nobody reads, here or elsewhere."""
        return self.readers == 0 and self.followers == 0

    def enter(self) -> None:
        """A reader begins."""
        self.readers += 1

    def leave(self) -> None:
        """A reader ends."""
        self.readers -= 1
        self._left()

    def follow(self) -> None:
        """Clients of another process begin to read."""
        self.followers += 1

    def unfollow(self) -> None:
        """They have left."""
        self.followers -= 1
        self._left()

    def _left(self) -> None:
        if self.idle and self.on_idle is not None:
            self.on_idle()


def spoken_text(frames: Iterable[bytes]) -> str:
    """What the tokens among some frames say to the user."""
    spoken = []
    for frame in frames:
        event = json.loads(frame.partition(b"data: ")[2])
        if event["type"] == "token" and event["speak"]:
            spoken.append(event["content"])
    return "".join(spoken)
