"""Cutting a stream of text for speech in pieces of about so many characters (door A)."""

from __future__ import annotations

import re

from flow_backend.doors.speaking import Splitter, sentence_buffer
from speech.sentences import IDLE_MS

_SENTENCE_END = re.compile(r"[.!?…。！？।؟][\"'”’»)\]]*(?=\s|$)|[。！？।؟]|\n\s*\n")
_CLAUSE_END = re.compile(r"[,;:—–،、，；](?=\s|$)|[、，；]")
_SPACE = re.compile(r"\s+")


class PieceBuffer:
    """Gathers text to about `size` characters, then cuts at the last good place before that.

    A good place is the last sentence end, else the last clause end, else the last white space; a
    text without any is cut hard at twice the size. Only the first piece does not wait for so much:
    it is the first sentence, if that is no longer, since nothing is heard before it. Joined, the
    pieces are the text.
    """

    def __init__(self, size: int = 100) -> None:
        self._size = size
        self._text = ""
        self._first: Splitter | None = sentence_buffer()

    def push(self, text: str) -> list[str]:
        """Adds text and gives the pieces that are ready."""
        self._text += text
        pieces = self._first_piece(text)
        while len(self._text) >= self._size and (cut := self._cut()) > 0:
            pieces.append(self._text[:cut])
            self._text = self._text[cut:]
        return [piece for piece in pieces if piece.strip()]

    def preview(self) -> list[str]:
        """The first piece, if it looks complete."""
        end = self._end_of(self._first.preview()) if self._first is not None else 0
        return [self._text[:end]] if end else []

    def tick(self, idle_ms: float) -> list[str]:
        """Gives what is there if it looks complete, when nothing has come for some time."""
        if idle_ms < IDLE_MS:
            return []
        sentences = sentence_buffer()
        sentences.push(self._text)
        sentences.tick(idle_ms)
        if sentences.flush():
            return []
        self._first = None
        return self.flush()

    def _first_piece(self, text: str) -> list[str]:
        """The first sentence, once it is there."""
        if self._first is None:
            return []
        sentences = self._first.push(text)
        if not sentences and len(self._text) < self._size:
            return []
        self._first = None
        end = self._end_of(sentences)
        piece, self._text = self._text[:end], self._text[end:]
        return [piece] if end else []

    def _end_of(self, sentences: list[str]) -> int:
        """Where the first of them ends; 0 without one that is a piece."""
        at = self._text.find(sentences[0]) if sentences else -1
        end = at + len(sentences[0]) if at >= 0 else 0
        return end if end <= self._size else 0

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
