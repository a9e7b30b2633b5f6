"""Which turns a session has had, in a few bytes for each."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from hashlib import blake2b


class TurnIds:
    """A set of ids that keeps eight bytes of each.

    Two ids are taken for one with a probability of 2⁻⁶⁴: the database has the turns themselves.
    """

    def __init__(self, ids: Iterable[str] = ()) -> None:
        self._marks = array("Q", map(_mark, ids))

    def __contains__(self, turn_id: str) -> bool:
        return _mark(turn_id) in self._marks

    def add(self, turn_id: str) -> None:
        """Adds an id, once."""
        if turn_id not in self:
            self._marks.append(_mark(turn_id))


def _mark(turn_id: str) -> int:
    text = turn_id.encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big")
