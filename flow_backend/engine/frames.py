"""A turn's SSE frames, small in memory however long the turn speaks.

Tokens' frames are alike but for a number and a word, so that a block of older ones takes a tenth of
its size when compressed; the newest stay as they are, since that is where readers are.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import overload

_BLOCK_FRAMES = 64
_LEVEL = 1
"""Of zlib: a tenth of a millisecond for a block, on the event loop."""
_END = b"\n\n"
"""Ends each frame and is nowhere else in it."""


class Frames(Sequence[bytes]):
    """Frame `seq - 1` is event `seq`."""

    def __init__(self, frames: Iterable[bytes] = ()) -> None:
        self._packed: list[bytes] = []
        self._open: list[bytes] = []
        for frame in frames:
            self.append(frame)

    def append(self, frame: bytes) -> None:
        """Adds the next frame."""
        self._open.append(frame)
        if len(self._open) >= 2 * _BLOCK_FRAMES:
            block = b"".join(self._open[:_BLOCK_FRAMES])
            self._packed.append(zlib.compress(block, _LEVEL))
            del self._open[:_BLOCK_FRAMES]

    def __len__(self) -> int:
        return len(self._packed) * _BLOCK_FRAMES + len(self._open)

    @overload
    def __getitem__(self, index: int) -> bytes: ...

    @overload
    def __getitem__(self, index: slice) -> list[bytes]: ...

    def __getitem__(self, index: int | slice) -> bytes | list[bytes]:
        if isinstance(index, int):
            place = index + len(self) if index < 0 else index
            if not 0 <= place < len(self):
                raise IndexError(index)
            return self._between(place, place + 1)[0]
        start, stop, step = index.indices(len(self))
        if step != 1:
            raise ValueError("frames are read one after the other")
        return self._between(start, stop)

    def __iter__(self) -> Iterator[bytes]:
        for block in self._packed:
            yield from _unpack(block)
        yield from tuple(self._open)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # as for a list

    def _between(self, start: int, stop: int) -> list[bytes]:
        packed = len(self._packed) * _BLOCK_FRAMES
        if start >= packed:
            return self._open[start - packed : max(0, stop - packed)]
        found: list[bytes] = []
        for number in range(start // _BLOCK_FRAMES, len(self._packed)):
            first = number * _BLOCK_FRAMES
            if first >= stop:
                return found
            block = _unpack(self._packed[number])
            found += block[max(0, start - first) : stop - first]
        return found + self._open[: max(0, stop - packed)]


def _unpack(block: bytes) -> list[bytes]:
    return [frame + _END for frame in zlib.decompress(block).split(_END)[:-1]]
