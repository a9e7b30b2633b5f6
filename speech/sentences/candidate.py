"""One place where a sentence may end, and what can be seen from it."""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import NamedTuple

from speech.sentences.characters import OPENERS, WORD
from speech.sentences.structure import BLANK_LINE, NEWLINE, line_start


class Verdict(Enum):
    """What a candidate is."""

    CUT = auto()
    """A sentence ends at the offset."""
    JOIN = auto()
    """Nothing ends; the search goes on at the offset."""
    CODE = auto()
    """A code block begins at the offset, and its first line ends at the candidate."""
    WAIT = auto()
    """More text will tell."""


class Decision(NamedTuple):
    """What is known about a candidate."""

    verdict: Verdict
    offset: int


class MoreTextNeededError(Exception):
    """A rule asked for text that has not come yet."""


class Candidate:
    """A place in a text, with the sentence before it and the text after it.

    Whatever looks behind the end of the text raises `MoreTextNeededError`, so that a rule reads
    as if the whole text were there; when the text is `final`, nothing follows it.

    Args:
        text: The text that is there, from the end of the last sentence that was given away.
        segment: Where the sentence begins (white space may come first).
        at: Where it may end.
        column: How many characters of `text`'s first line were given away before it.
        final: Whether the text is complete.
        vivid: Whether emoji came before.
    """

    __slots__ = ("_line", "at", "column", "final", "segment", "text", "vivid")

    def __init__(
        self, text: str, segment: int, at: int, column: int, final: bool, vivid: bool
    ) -> None:
        self.text = text
        self.segment = segment
        self.at = at
        self.column = column
        self.final = final
        self.vivid = vivid
        self._line = -1

    def character(self, index: int) -> str:
        """The character at `index`, or nothing where the text has ended."""
        if index < len(self.text):
            return self.text[index]
        if self.final:
            return ""
        raise MoreTextNeededError

    def run(self, pattern: re.Pattern[str], index: int, limit: int) -> int:
        """Where the run of `pattern`'s characters that begins at `index` ends.

        Args:
            pattern: Matches up to `limit` characters, or none.
            index: Where to begin.
            limit: A run this long is taken as it is, whatever follows.
        """
        match = pattern.match(self.text, index)
        end = match.end() if match else index
        if end == len(self.text) and not self.final and end - index < limit:
            raise MoreTextNeededError
        return end

    def follow(self, end: int) -> int:
        """Where the next letter, digit or sign is: behind white space, openers and markup."""
        return self.run(OPENERS, end, 80)

    def word(self, index: int) -> str:
        """The whole word at `index`, or nothing where there is none (30 letters at most)."""
        return self.text[index : self.run(WORD, index, 30)]

    def is_word_of(self, index: int, words: frozenset[str], beginnings: frozenset[str]) -> bool:
        """Whether the word at `index` is one of `words`, told as soon as it cannot be.

        Args:
            index: Where the word begins.
            words: In small letters.
            beginnings: What `words` begin with.
        """
        match = WORD.match(self.text, index)
        if match is None:
            return False
        word = match.group().lower()
        if match.end() < len(self.text) or self.final or len(word) == 30:
            return word in words
        if word in beginnings:
            raise MoreTextNeededError
        return False

    def is_paragraph_between(self, begin: int, end: int) -> bool:
        """Whether a blank line stands between two places."""
        return BLANK_LINE.search(self.text, begin, end) is not None

    def is_newline_between(self, begin: int, end: int) -> bool:
        """Whether a line ends between two places."""
        return NEWLINE.search(self.text, begin, end) is not None

    @property
    def line(self) -> int:
        """Where the line of the candidate begins, as far as it is there."""
        if self._line < 0:
            self._line = line_start(self.text, self.at)
        return self._line

    @property
    def has_whole_line(self) -> bool:
        """Whether the candidate's line is there from its beginning."""
        return self.line > 0 or self.column == 0

    @property
    def begins_line(self) -> bool:
        """Whether the sentence begins a line."""
        line = self.line
        return self.has_whole_line and not self.text[min(self.segment, line) : line].strip()

    def words_before(self, count: int) -> list[str]:
        """The last words before the candidate, the nearest first; 80 characters at most.

        Nothing at all where white space stands directly before the candidate.
        """
        before = self.text[max(self.segment, self.at - 80) : self.at]
        if not before or before[-1].isspace():
            return []
        return before.rsplit(None, count)[: -count - 1 : -1]
