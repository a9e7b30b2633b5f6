"""Where to cut a sentence that does not end."""

from __future__ import annotations

import re
import unicodedata

from speech.sentences.characters import width

CLAUSE = re.compile(r"[,;:—–)](?=\s)|[，、；：،؛]|\s[—–-](?=\s)")
"""The last character of a clause."""
SPACE = re.compile(r"\s")
_STICKY = re.compile("[\u200d\ufe0e\ufe0f\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]")
"""What goes on with the sign before it: joiners, variants, skin tones."""


def clause_end(text: str, begin: int, stop: int, longest: int) -> int | None:
    """Where to cut `text[begin:stop]` so that the first part is at most `longest` wide.

    The last clause that begins in the second half, else the last word, else between characters
    that are not joined into one. The text up to that width decides alone, not what follows it.

    Returns:
        The end of the first part, or None where the text is not longer than that.
    """
    if stop - begin <= longest // 2 or width(text[begin:stop]) <= longest:
        return None
    limit = _reach(text, begin, longest)
    for pattern in (CLAUSE, SPACE):
        ends = list(pattern.finditer(text, begin + longest // 4, limit))
        if ends:
            match = ends[-1]
            return match.end() if pattern is CLAUSE else match.start()
    for end in range(limit, max(begin, limit - 16), -1):
        if not _is_joined(text, end):
            return end
    return limit


def _reach(text: str, begin: int, longest: int) -> int:
    """The furthest end so that the text from `begin` is not wider than `longest`."""
    end = begin + longest // 2
    room = longest - width(text[begin:end])
    while room > 0:
        step = max(1, room // 2)
        room -= width(text[end : end + step])
        end += step
    return end if room == 0 else end - 1


def _is_joined(text: str, index: int) -> bool:
    """Whether the characters around `index` make one sign."""
    if index >= len(text):
        return False
    character = text[index]
    return (
        text[index - 1] == "\u200d"
        or unicodedata.combining(character) > 0
        or unicodedata.category(character) in ("Mc", "Me")
        or _STICKY.match(character) is not None
    )
