"""Whether a place stands in something that a sentence does not end in."""

from __future__ import annotations

import re

from speech.sentences.candidate import Candidate

NARROW_BRACKETS = (("(", ")", 200), ("[", "]", 200))
BRACKETS = (
    *NARROW_BRACKETS,
    ("（", "）", 120),
    ("「", "」", 120),
    ("『", "』", 120),
    ("《", "》", 60),
    ("【", "】", 120),
)
"""Brackets, with the number of characters behind the opening one that count as inside."""
BACKTICKS = re.compile("`+")
SHORT_QUOTE = 25
"""A sentence does not end in a quotation that is not longer than this yet."""
SHORT_WIDE_QUOTE = 12
"""The same for Japanese, whose signs say more."""


def is_inside(candidate: Candidate, end: int) -> bool:
    """Whether the candidate stands in code, a table row, a bracket or a short quotation.

    Args:
        candidate: Where a sentence may end.
        end: Behind its closers: what they close is not open any more.
    """
    text, segment = candidate.text, candidate.segment
    part = text[segment:end]
    if "`" in part and _is_in_code(text[max(segment, candidate.line) : end]):
        return True
    if "|" in part and _is_in_table(candidate):
        return True
    for opener, closer, limit in NARROW_BRACKETS if part.isascii() else BRACKETS:
        if opener in part:
            opened = part.rfind(opener)
            if opened > part.rfind(closer) and candidate.at - segment - opened < limit:
                before = part[:opened].strip(" \n\"'“*_")
                if opener in "「『" and candidate.at - segment - opened <= SHORT_WIDE_QUOTE:
                    return True
                return bool(before) and before[-1] not in ":;"
    opened = _open_quote(part)
    return opened >= 0 and candidate.at - segment - opened <= SHORT_QUOTE


def _is_in_code(part: str) -> bool:
    """Whether a part of a line ends in inline code, which as many backticks close as open it.

    Two backticks that two apostrophes close are quotation marks, as in LaTeX.
    """
    opened = 0
    for mark in BACKTICKS.finditer(part):
        length = mark.end() - mark.start()
        if opened:
            opened = 0 if length == opened else opened
        elif length == 2 and part.find("''", mark.end()) >= 0:
            continue
        elif length > 1 or not part[mark.end() : mark.end() + 1].isspace():
            opened = length
    return opened > 0


def _is_in_table(candidate: Candidate) -> bool:
    line = candidate.line
    return candidate.has_whole_line and candidate.text[line : line + 20].lstrip().startswith("|")


def points_inward(text: str) -> bool:
    """Whether a text quotes as German books do: `»so«`."""
    closer = text.find("»")
    return closer >= 0 and not -1 < text.find("«") < closer


def _open_quote(part: str) -> int:
    """Where the quotation that is still open begins, or -1."""
    opened = part.rfind('"') if '"' in part and part.count('"') % 2 else -1
    if part.isascii():
        return opened
    for opener, closers in (
        ("„", '“”"') if "„" in part else ("“", "”"),
        ("»", "«") if points_inward(part) else ("«", "»"),
    ):
        last = part.rfind(opener)
        if last > max(part.rfind(closer) for closer in closers):
            opened = max(opened, last)
    return opened
