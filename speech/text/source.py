"""What a rule sees: the text, where it stands in it, and the language."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from speech.text.language import Language
from speech.text.positions import Edit

_LAST_WORD = re.compile(r"([^\W\d_]+)[.'’]?$")
_LOOK_BACK_CHARS = 32


@dataclass(slots=True)
class Source:
    """A text while its rules run."""

    text: str
    language: Language
    spoken_to: int = 0
    """Where the last edit ended."""

    def word_before(self, at: int) -> str:
        """The word before a position, with only spaces or an opening bracket between them."""
        near = self.text[max(0, at - _LOOK_BACK_CHARS) : at].rstrip(" \u00a0(")
        found = _LAST_WORD.search(near)
        return found[1] if found else ""

    def is_start(self, at: int) -> bool:
        """Whether nothing but a little white space or markup stands before a position."""
        return at < _LOOK_BACK_CHARS and not self.text[:at].strip(" \n\t\"'“«(*_")

    def is_end(self, at: int) -> bool:
        """Whether nothing but closing signs stands from a position on."""
        near = self.text[at : at + _LOOK_BACK_CHARS]
        return len(near) < _LOOK_BACK_CHARS and not near.strip(" \n\t\"'”’»)*_]")

    def char_before(self, at: int) -> str:
        """The character before a position; a space at the start."""
        return self.text[at - 1] if at > 0 else " "

    def char_at(self, at: int) -> str:
        """The character at a position; a space at the end."""
        return self.text[at] if at < len(self.text) else " "

    def edit(self, start: int, end: int, said: str) -> Edit:
        """An edit that keeps the spoken words apart from letters and digits around it."""
        if self.char_before(start).isalnum() and said[:1].isalnum():
            said = " " + said
        if self.char_at(end).isalnum() and said[-1:].isalnum():
            said += " "
        return Edit(start, end, said)


Rule = Callable[[Source, int], Edit | None]
"""Looks at one position; gives the edit that starts there, or None."""
