"""Whether a sentence ends where a line ends."""

from __future__ import annotations

import re

from speech.sentences.candidate import Candidate, Decision, Verdict
from speech.sentences.characters import ENDS, QUOTES, SPACES
from speech.sentences.structure import (
    BLANK_LINE,
    FENCE,
    FENCE_MARKS,
    GREETING_COLUMNS,
    ITEM,
    LETTERED,
    LETTERED_PART,
    NUMBERED,
    STRUCTURED,
    UNFINISHED,
    WRAP_COLUMNS,
)

INLINE_FENCE = re.compile(r"`{3,}[\w+#.-]*$")
MARKUP = re.compile(r"[*_~`\"'“‘«„(\[{¿¡]{0,8}")
NUMBER_PART = re.compile(r"\d{0,3}[.)]?")


def decide_line(candidate: Candidate) -> Decision:
    """Decides the newline at a candidate."""
    text, at = candidate.text, candidate.at
    line = candidate.line
    current = text[line:at]
    if "```" in current or "~~~" in current:
        if candidate.has_whole_line and FENCE.match(current):
            return Decision(Verdict.CODE, line)
        if (opened := INLINE_FENCE.search(current)) and current.count("```") % 2:
            return Decision(Verdict.CODE, line + opened.start())
    before = text[candidate.segment : at].rstrip()
    if not before.strip():
        return Decision(Verdict.JOIN, at + 1)
    end = candidate.segment + len(before)
    if (candidate.has_whole_line and STRUCTURED.match(current)) or BLANK_LINE.match(text, at):
        return Decision(Verdict.CUT, end)
    if before.endswith((":", "：")) or _is_short_item(candidate, current):
        return Decision(Verdict.CUT, end)
    space = candidate.run(SPACES, at, 64)
    if candidate.is_paragraph_between(at, space) or not candidate.character(space):
        return Decision(Verdict.CUT, end)
    if _line_ends(candidate, before, space):
        return Decision(Verdict.CUT, end)
    return Decision(Verdict.JOIN, space)


def _is_short_item(candidate: Candidate, line: str) -> bool:
    """Whether a line is a list item that nobody would have wrapped."""
    if not candidate.has_whole_line or len(line) >= WRAP_COLUMNS or line[-1] in ENDS:
        return False
    return ITEM.match(line) is not None and UNFINISHED.search(line[-12:]) is None


def _line_ends(candidate: Candidate, before: str, following: int) -> bool:
    """Whether the sentence ends with the line, given where the next line's text begins."""
    text = candidate.text
    character = text[following]
    line = candidate.line
    if character in "`~":
        if candidate.character(following + 1) == character:
            candidate.character(following + 2)
        if text.startswith(FENCE_MARKS, following):
            return True
    if character in "|>#=+-•–—▪◦‣·":
        return True
    if character == "*" and candidate.character(following + 1) in (" ", "\t", "*"):
        return True
    is_item = candidate.has_whole_line and ITEM.match(text, line) is not None
    letter = candidate.character(candidate.run(MARKUP, following, 8))
    if letter.islower():
        if LETTERED.match(text, following):
            return True
        candidate.run(LETTERED_PART, following, 5)
        return False
    begun = candidate.column if line == 0 else 0
    length = begun + candidate.at - line
    if before[-1] in ENDS or before[-1] in QUOTES:
        ends = False
    elif is_item:
        ends = True
    elif UNFINISHED.search(before[-12:]):
        ends = before[-1] == "," and length < GREETING_COLUMNS
    else:
        ends = length < WRAP_COLUMNS
    if ends or not character.isdigit():
        return ends
    if NUMBERED.match(text, following):
        return True
    candidate.run(NUMBER_PART, following, 4)
    return False
