"""Written and spoken text, and the map between their positions."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple


class Edit(NamedTuple):
    """Replace `text[start:end]` by `replacement`; a list of edits is sorted and never overlaps."""

    start: int
    end: int
    replacement: str


@dataclass(frozen=True)
class Spoken:
    """One sentence as written and as spoken.

    Positions count characters (code points). The map is total and monotone: every range of one
    side has a range on the other, and later ranges never map before earlier ones. A word that was
    expanded is one block: any part of "two thousand one hundred" maps to the whole of "2,100".
    """

    written: str
    spoken: str
    starts: Sequence[int] = field(repr=False)
    """For each spoken character, where the written text that it speaks starts; never falls."""
    ends: Sequence[int] = field(repr=False)
    """For each spoken character, where that written text ends; never falls."""

    @classmethod
    def unchanged(cls, text: str) -> Spoken:
        """The text speaks itself."""
        return cls(text, text, range(len(text)), range(1, len(text) + 1))

    @classmethod
    def silent(cls, text: str) -> Spoken:
        """There is nothing to say."""
        return cls(text, "", (), ())

    def written_span(self, start: int, end: int) -> tuple[int, int]:
        """The written range behind a spoken range.

        Positions outside the text are clipped to it. An empty range gives the empty range after
        the written text of the character before it.
        """
        start = min(max(start, 0), len(self.spoken))
        end = min(max(end, start), len(self.spoken))
        if start == end:
            at = self.ends[start - 1] if start else 0
            return at, at
        return self.starts[start], self.ends[end - 1]

    def spoken_span(self, start: int, end: int) -> tuple[int, int]:
        """The spoken range of everything in a written range; empty where nothing is said."""
        start = min(max(start, 0), len(self.written))
        end = min(max(end, start), len(self.written))
        first = bisect_right(self.ends, start)
        if start == end:
            return first, first
        return first, max(first, bisect_left(self.starts, end))

    def edited(self, edits: Iterable[Edit]) -> Spoken:
        """Applies edits to the spoken side and carries the map along."""
        parts: list[str] = []
        starts: list[int] = []
        ends: list[int] = []
        done = 0
        for start, end, replacement in edits:
            if start > done:
                parts.append(self.spoken[done:start])
                starts += self.starts[done:start]
                ends += self.ends[done:start]
            if replacement:
                parts.append(replacement)
                first, last = (start, end - 1) if end > start else (start - 1, start - 1)
                starts += [self.starts[first] if first >= 0 else 0] * len(replacement)
                ends += [self.ends[last] if last >= 0 else 0] * len(replacement)
            done = end
        if not parts and not done:
            return self
        parts.append(self.spoken[done:])
        starts += self.starts[done:]
        ends += self.ends[done:]
        return Spoken(self.written, "".join(parts), starts, ends)
