"""A segment's text and how much of it has been told with its time; shared by what speaks."""

from __future__ import annotations

from livekit.agents.types import TimedString

SILENCE_S = 0.1
"""Stands for text in which there is nothing to say: LiveKit takes no sound for a failure."""


class Written:
    """What was written in one segment, sent piece by piece as it sounds."""

    def __init__(self) -> None:
        self.text = ""
        """Everything written so far."""
        self._told = 0

    def add(self, token: str) -> None:
        """Takes text before the sentences that it completes are said."""
        self.text += token

    def find(self, sentence: str) -> int:
        """Where the next sentence begins."""
        return self.text.index(sentence, self._told)

    def begins_paragraph(self, start: int) -> bool:
        """Whether a blank line stands between what was told and a place."""
        return self.text.count("\n", self._told, start) > 1

    def timed(self, upto: int, start_s: float, end_s: float) -> list[TimedString]:
        """What was written up to a position and has not been told: one string, or none."""
        text = self.text[self._told : upto]
        self._told = max(self._told, upto)
        return [TimedString(text, start_time=start_s, end_time=end_s)] if text else []
