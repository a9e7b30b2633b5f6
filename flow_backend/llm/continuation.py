"""An answer that one model began and another goes on with: nothing is said twice.

The second model is told what was said. Models repeat some of it all the same, from the last word
to everything; what repeats the end of the spoken text is therefore taken off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from flow_backend.llm.base import GenerationParams, Message


def resumed(
    messages: Sequence[Message], params: GenerationParams, said: str
) -> tuple[list[Message], GenerationParams]:
    """The call that asks for the rest of an answer.

    Args:
        messages: What the first model was asked.
        params: How; the rest calls no tools, since words were spoken instead.
        said: What the user has been told of the answer.
    """
    rest = [
        *messages,
        Message("assistant", said.strip()),
        Message(
            "user",
            "(You were cut off there. Go on with the very next word, and do not repeat anything.)",
        ),
    ]
    return rest, replace(params, tools=())


SURE_LETTERS = 3
"""A repetition of fewer counts only where a word ends with it."""


class Joint:
    """Joins the rest of an answer to its beginning.

    Text is held while it may be a repetition: at most as many letters as were said.

    Args:
        said: The beginning, as it was spoken.
    """

    def __init__(self, said: str) -> None:
        self._said = said
        self._letters = "".join(c for c in said.casefold() if c.isalnum())
        self._at = _word_starts(said)
        """Where in the letters a repetition may have begun that still goes on."""
        self._held = ""
        self._count = 0
        """Letters that are held."""
        self._cut: int | None = None
        """Of the held text: what ends there repeats the whole end of `said`."""
        self._doubtful = False
        """The cut may lie within another word: "a" in "and"."""
        self._mark = ""
        """What the rest may begin with, although it was said."""
        self._open = False

    def push(self, text: str) -> str:
        """Takes a piece of the rest; gives what of it, and of earlier pieces, may be spoken."""
        if self._open:
            return self._unmarked(text)
        for character in text:
            if self._cut == len(self._held) and self._doubtful and character.isalnum():
                self._cut = None
            self._held += character
            for letter in character.casefold():
                if letter.isalnum():
                    self._compare(letter)
        return "" if self._at or self._undecided() else self.flush()

    def _compare(self, letter: str) -> None:
        place, length = self._count, len(self._letters)
        self._count += 1
        going = [start for start in self._at if self._letters[start + place] == letter]
        if done := [start for start in going if start + self._count == length]:
            self._cut = len(self._held)
            self._doubtful = length - done[0] < SURE_LETTERS
        self._at = [start for start in going if start + self._count < length]

    def _undecided(self) -> bool:
        return self._doubtful and self._cut == len(self._held)

    def flush(self) -> str:
        """The rest of it: nothing more comes, or it repeats no longer."""
        if self._open:
            return ""
        self._open = True
        if self._cut is not None:
            self._mark = "".join(self._said[-1:].split())
            rest = self._unmarked(self._held[self._cut :])
            return rest.lstrip() if self._said[-1:].isspace() else rest
        if self._said[-1:].isspace() or not self._held[:1].isalnum():
            return self._held
        return f" {self._held}"

    def _unmarked(self, text: str) -> str:
        """Without the mark behind the repeated words, which was said with them."""
        if text and self._mark:
            text, self._mark = text.removeprefix(self._mark), ""
        return text


def _word_starts(said: str) -> list[int]:
    """Numbers of letters before each word."""
    starts, letters, inside = [], 0, False
    for character in said:
        folded = sum(letter.isalnum() for letter in character.casefold())
        if folded and not inside:
            starts.append(letters)
        inside = bool(folded) or (inside and character in "'’")
        letters += folded
    return starts
