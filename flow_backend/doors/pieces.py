"""Cutting a stream of text for speech in pieces of about so many characters (door A)."""

from __future__ import annotations

import re

_SENTENCE_END = re.compile(r"[.!?…。！？।؟][\"'”’»)\]]*(?=\s|$)|[。！？।؟]|\n\s*\n")
_CLAUSE_END = re.compile(r"[,;:—–،、，；](?=\s|$)|[、，；]")
_SPACE = re.compile(r"\s+")


class PieceBuffer:
    """Gathers text to about `size` characters, then cuts at the last good place before that.

    A good place is the last sentence end, else the last clause end, else the last white space; a
    text without any is cut hard at twice the size. Joined, the pieces are the text.
    """

    def __init__(self, size: int = 100) -> None:
        self._size = size
        self._text = ""

    def push(self, text: str) -> list[str]:
        """Adds text and gives the pieces that are ready."""
        self._text += text
        pieces = []
        while len(self._text) >= self._size and (cut := self._cut()) > 0:
            pieces.append(self._text[:cut])
            self._text = self._text[cut:]
        return [piece for piece in pieces if piece.strip()]

    def flush(self) -> list[str]:
        """Gives what is left."""
        rest, self._text = self._text, ""
        return [rest] if rest.strip() else []

    def _cut(self) -> int:
        """Where to cut; 0 to wait for more."""
        window = self._text[: self._size]
        for pattern in (_SENTENCE_END, _CLAUSE_END, _SPACE):
            ends = [match.end() for match in pattern.finditer(window)]
            # A mark at the very end of what has come may be the inside of a number or an ellipsis.
            good = [end for end in ends if end < len(self._text)]
            if good:
                return good[-1]
        return 2 * self._size if len(self._text) >= 2 * self._size else 0
