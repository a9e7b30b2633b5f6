"""Every event of a running turn in a file, before any reader has it; the database follows behind.

What is written to a file survives the death of the process, and costs a token some microseconds.
So a turn goes on from its last token after a restart, whatever its readers have seen.

There are two segments. Each batch of the writer begins the other one; once the batch is in the
database, the segment before it is emptied.
"""

from __future__ import annotations

import errno
import json
import logging
import os
from dataclasses import dataclass, field
from pathlib import Path

from flow_backend.engine.stream import TurnStream
from flow_backend.store.batch import Row

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Left:
    """What a past process has left of a turn."""

    begun: dict[str, Row] = field(default_factory=dict)
    """The rows with which the turn began, by table; empty if they are in the database."""
    frames: dict[int, bytes] = field(default_factory=dict)
    """SSE frames by their number."""


class FrameFile:
    """The two segments of one process, beside its SQLite file; close it with `close`.

    Args:
        path: The segments are `{path}-0` and `{path}-1`.

    Raises:
        OSError: If they cannot be opened.
    """

    shared = False

    def __init__(self, path: Path) -> None:
        self._paths = [path.with_name(f"{path.name}-{number}") for number in (0, 1)]
        self._files = [
            os.open(segment, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600) for segment in self._paths
        ]
        self._sizes = [os.fstat(file).st_size for file in self._files]
        self._current = 0
        self._failed = False

    def left(self) -> dict[tuple[str, str], Left]:
        """What a past process has left, by session uid and turn id."""
        found: dict[tuple[str, str], Left] = {}
        for path in self._paths:
            _read(path.read_bytes(), found)
        return found

    def clear(self) -> None:
        """Empties both segments: what was left is in the database."""
        for number in (0, 1):
            self._empty(number)

    def keep(self, stream: TurnStream, frame: bytes) -> None:
        """Writes a frame, then lets readers have it.

        On a full disk they get it all the same: a crash then costs the turn its end, not its
        present.
        """
        self._write(stream.uid, frame)
        stream.publish(len(stream.frames))

    def begin(self, stream: TurnStream, session_row: Row, turn_row: Row) -> None:
        """Writes the rows with which a turn begins, or is committed."""
        rows = {"sessions": session_row, "turns": turn_row}
        self._write(stream.uid, json.dumps(rows).encode())

    def _write(self, uid: str, content: bytes) -> None:
        record = b"%b %d\n%b" % (uid.encode(), len(content), content)
        try:
            written = os.write(self._files[self._current], record)
            if written < len(record):
                # What follows is found by the sizes of what stands before.
                os.ftruncate(self._files[self._current], self._sizes[self._current])
                raise OSError(errno.ENOSPC, "the disk is full")
            self._sizes[self._current] += written
            self._failed = False
        except OSError as error:
            if not self._failed:
                log.error("events cannot be written to %s (%s)", self._paths[0].parent, error)
            self._failed = True

    def batch_begins(self) -> None:
        """The writer has gathered everything up to now."""
        other = 1 - self._current
        if not self._sizes[other]:
            self._current = other

    def batch_stored(self) -> None:
        """What the writer gathered is in the database."""
        self._empty(1 - self._current)

    def all_stored(self) -> None:
        """No speech stays in the files of an idle process."""
        self.clear()

    def close(self) -> None:
        """Closes the files."""
        for file in self._files:
            os.close(file)

    def _empty(self, number: int) -> None:
        if self._sizes[number]:
            os.ftruncate(self._files[number], 0)
            self._sizes[number] = 0


def _read(data: bytes, found: dict[tuple[str, str], Left]) -> None:
    """Adds a segment's records; a last one that is not whole was never shown to anybody."""
    position = 0
    while (end := data.find(b"\n", position)) > 0:
        uid, _, size = data[position:end].partition(b" ")
        if not size.isdigit():
            break
        content = data[end + 1 : end + 1 + int(size)]
        if len(content) < int(size):
            break
        position = end + 1 + int(size)
        if content.startswith(b"id: "):
            turn_id, _, seq = content[4 : content.index(b"\n")].decode().rpartition(":")
            found.setdefault((uid.decode(), turn_id), Left()).frames[int(seq)] = content
        else:
            rows = json.loads(content)
            found.setdefault((uid.decode(), rows["turns"]["turn_id"]), Left()).begun = rows
