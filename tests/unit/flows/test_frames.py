"""Frames read back as they were added, wherever blocks begin and end."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flow_backend.engine.frames import Frames
from flow_backend.engine.stream import TurnStream


def frames_of(count: int) -> list[bytes]:
    return [b'id: t:%d\ndata: {"content":" word%d"}\n\n' % (n, n % 7) for n in range(1, count + 1)]


@given(st.integers(0, 400), st.integers(-450, 450), st.integers(-450, 450))
def test_frames_are_a_list_of_bytes(count: int, start: int, stop: int) -> None:
    plain, frames = frames_of(count), Frames(frames_of(count))
    assert len(frames) == count
    assert list(frames) == plain
    assert frames == plain
    assert frames[start:stop] == plain[start:stop]
    assert frames[max(0, start) :] == plain[max(0, start) :]
    if -count <= start < count:
        assert frames[start] == plain[start]
    else:
        with pytest.raises(IndexError):
            frames[start]


def test_a_long_turn_stays_small() -> None:
    stream = TurnStream("a" * 32, "b" * 32, uid="c" * 32)
    for number in range(4000):
        stream.token(f" word{number}", "talk", True)
    whole = sum(map(len, stream.frames))
    held = stream.frames._packed + stream.frames._open
    assert sum(map(sys.getsizeof, held)) < whole / 6
    assert stream.frames[3999].startswith(b"id: " + b"b" * 32 + b":4000\n")
