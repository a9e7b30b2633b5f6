"""Lines as structure: list items, headings, tables, paragraphs and code fences (CommonMark)."""

from __future__ import annotations

import re

from speech.sentences.characters import NEWLINES

WRAP_COLUMNS = 45
"""A line at least this long that ends without punctuation was wrapped, not ended."""
GREETING_COLUMNS = 20
"""A line shorter than this that ends with a comma is a greeting of its own: `Dear Anna,`."""
NEWLINE = re.compile(f"[{NEWLINES}]")
BLANK_LINE = re.compile(f"(?:\r\n|[{NEWLINES}])[^\\S{NEWLINES}]*[{NEWLINES}]|\u2029")
"""White space that ends a paragraph."""
MARKER = re.compile(
    r"[ \t>]*(?:#{1,6}[ \t]+)?(?:[-*+•–—▪◦‣·][ \t]+)?(?:\*\*|__)?\(?"
    r"(?:\d{1,3}|[A-Za-z]|[ivxIVX]{1,4})"
)
"""A list marker up to its full stop."""
LETTERED = re.compile(r"(?:[a-z]|[ivx]{1,4})[.)]\s")
"""A list marker that begins with a small letter, and what may become one."""
LETTERED_PART = re.compile(r"(?:[ivx]{1,4}|[a-z])[.)]?")
NUMBERED = re.compile(r"\d{1,3}[.)]\s")
STRUCTURED = re.compile(r"[ \t]*(?:#{1,6}[ \t]|\||[-*_=~]{3,}[ \t]*$|(?:[-*_] ){2,}[-*_] *$)")
"""Headings, table rows and rules: lines that end where they end."""
ITEM = re.compile(r"[ \t>]*(?:[-*+•–—▪◦‣·]|\(?\d{1,3}[.)]|\(?[A-Za-z][.)])[ \t]")
"""A list item, with its marker."""
UNFINISHED = re.compile(
    r"(?:[,\-–—&/(+]|\b(?:the|an?|of|to|in|and|or|for|with|by|at|on|from|der|die|das|und|de|la|le|"
    r"el|y|et|du|von|mit|di|da|e|i|и|в|с))$"
)
"""An end of a line that its sentence goes on after."""
FENCE = re.compile(r"[ \t]{0,12}(?:`{3,}[^`]*|~{3,}.*)$")
"""A whole line that opens a code block."""
FENCE_MARKS = ("```", "~~~")


def line_start(text: str, at: int) -> int:
    """Where the line that holds `at` begins in `text`."""
    start = text.rfind("\n", 0, at) + 1
    if not text.isascii() or text.find("\r", start, at) >= 0:
        return max(start, *(text.rfind(newline, start, at) + 1 for newline in NEWLINES[1:]))
    return start


class CodeFence:
    """A code block that is being written: gathers it until the line that closes it.

    Args:
        opening: The opening line.
    """

    def __init__(self, opening: str) -> None:
        mark = opening.lstrip()
        length = len(mark) - len(mark.lstrip(mark[0]))
        self._closing = re.compile(rf"[ \t]*{re.escape(mark[0])}{{{length},}}[ \t]*$")
        self._line = ""
        self._parts = [opening]

    @property
    def text(self) -> str:
        """Everything gathered so far."""
        return "".join(self._parts)

    @property
    def closed(self) -> bool:
        """Whether the line being written already closes the block, if it ends here."""
        return self._closing.match(self._line) is not None

    def feed(self, text: str) -> int | None:
        """Takes text up to the end of the block.

        Returns:
            How many characters belong to the block, or None when it is still open.
        """
        begin = 0
        for newline in NEWLINE.finditer(text):
            self._line += text[begin : newline.start()]
            if self.closed:
                self._parts.append(text[: newline.start()])
                return newline.start()
            self._line = ""
            begin = newline.end()
        self._line = (self._line + text[begin:])[:200]
        self._parts.append(text)
        return None
