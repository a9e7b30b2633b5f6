"""Whether a sentence ends at a terminator or at the end of a line."""

from __future__ import annotations

import re
from typing import NamedTuple

CANDIDATE = re.compile(r"[.!?…‼⁇⁈⁉。！？｡।॥؟۔\n\r\u2028\u2029]")
TERMINATORS = re.compile(r"[.!?…‼⁇⁈⁉。！？｡।॥؟۔]{1,32}")
CLOSERS = re.compile(r"[\"'”’»›)\]}*_~`」』）】〉》]*")
SPACES = re.compile(r"\s*")
WIDE_TERMINATORS = frozenset("。！？｡")
ABBREVIATIONS = frozenset(
    ["dr", "mr", "mrs", "ms", "prof", "st", "no", "vs", "e.g", "i.e", "etc", "z.b", "d.h"]
)


class Decision(NamedTuple):
    """What is known about one candidate."""

    verdict: str
    """`cut`, `join` or `wait`."""
    offset: int
    """Where the sentence ends (`cut`) or where the search goes on (`join`)."""


WAIT = Decision("wait", -1)


def decide(text: str, start: int, at: int, *, final: bool) -> Decision:
    """Decides the candidate at `at` of the sentence that begins at `start`.

    The answer depends on the text alone: more text after it never changes a `cut` or a `join`.
    """
    if text[at] in "\n\r\u2028\u2029":
        spaces = SPACES.match(text, at)
        assert spaces is not None
        if spaces.end() == len(text) and not final and text[at:].count("\n") < 2:
            return WAIT
        if spaces.group().count("\n") >= 2 and at > start:
            return Decision("cut", at)
        return Decision("join", spaces.end())
    run = TERMINATORS.match(text, at)
    assert run is not None
    closers = CLOSERS.match(text, run.end())
    assert closers is not None
    end = closers.end()
    if end == len(text):
        return Decision("cut", end) if final else WAIT
    if text[end].isspace() or text[at] in WIDE_TERMINATORS:
        word = text[start:at].rsplit(maxsplit=1)
        last = word[-1].lower() if word else ""
        if text[at] == "." and (last in ABBREVIATIONS or (len(last) == 1 and last != "i")):
            return Decision("join", end)
        return Decision("cut", end)
    return Decision("join", end)
