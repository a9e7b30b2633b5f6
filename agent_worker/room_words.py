"""The agent's words in the room, told as they are heard.

LiveKit's synchroniser sends a word ahead of its sound and one more after a cut, so that the room
reads more than the history holds. Here a word counts once the middle of its sound was played, for
both.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque

from livekit.agents.types import TimedString
from livekit.agents.utils import is_given
from livekit.agents.voice import io

LETTERS_S = 15.0
"""Letters that a voice says in a second, until one that does not tell when its words sound has
said something to its end."""
WIDE_LETTERS = 3.5
"""A character of the scripts without spaces takes as long as so many letters."""
_WIDE = "\u2e80-\uffef"
_WORD = re.compile(rf"\s*(?:[{_WIDE}]|[^\s{_WIDE}]+(?=[\s{_WIDE}]))")


class RoomWords(io.TextOutput):
    """Holds the text of a segment until its sound was played.

    Args:
        room: Where the words go then.
    """

    def __init__(self, room: io.TextOutput) -> None:
        super().__init__(label="room words", next_in_chain=None)
        self._room = room
        self._waiting: deque[tuple[str, float]] = deque()
        """Text, and the second of the segment's sound at which it counts as heard."""
        self._told: list[str] = []
        self._written_s = 0.0
        """Where the text so far ends."""
        self._guessed_letters = 0.0
        """Of the segment, without times."""
        self._letters_s = LETTERS_S
        self._rest = ""
        """A word without times that may go on."""
        self._sound_over = False
        self._cut = False
        self._text_over = False
        # No longer than the text of an answer.
        self._outgoing: asyncio.Queue[str | None] = asyncio.Queue()
        self._telling = asyncio.create_task(self._tell_room(), name="room words")

    async def aclose(self) -> None:
        """Tells no more."""
        self._telling.cancel()
        await asyncio.wait([self._telling])

    async def capture_text(self, text: str) -> None:
        """Takes text before its sound is played, or while it is."""
        if self._text_over:
            # The segment before had text and no sound.
            self._forget()
        if self._cut:
            return
        if isinstance(text, TimedString) and is_given(text.end_time):
            self._estimate_rest()
            start_s = text.start_time if is_given(text.start_time) else text.end_time
            self._waiting.append((str(text), (start_s + text.end_time) / 2))
            self._written_s = text.end_time
        else:
            self._rest += text
            while word := _WORD.match(self._rest):
                self._rest = self._rest[word.end() :]
                self._estimate(word.group())
        if self._sound_over:
            self._tell_all()

    def flush(self) -> None:
        """The segment has no more text."""
        self._estimate_rest()
        self._text_over = True
        if self._sound_over:
            self._end()

    def played(self, position_s: float) -> None:
        """So much of the segment's sound was heard."""
        while self._waiting and self._waiting[0][1] <= position_s:
            self._tell()

    def sound_ended(self, position_s: float, *, cut: bool) -> str:
        """The segment's sound is over; gives the words that were heard.

        Args:
            position_s: How much was played.
            cut: There would have been more.
        """
        self.played(position_s)
        if not cut:
            self._tell_all()
            if self._text_over and self._guessed_letters > LETTERS_S and position_s > 0:
                self._letters_s = self._guessed_letters / position_s
        heard = "".join(self._told)
        self._sound_over, self._cut = True, cut
        if self._text_over:
            self._end()
        return heard

    def _estimate_rest(self) -> None:
        if self._rest:
            self._estimate(self._rest)
            self._rest = ""

    def _estimate(self, word: str) -> None:
        letters = sum(WIDE_LETTERS if ord(letter) >= 0x2E80 else 1.0 for letter in word)
        self._guessed_letters += letters
        length_s = letters / self._letters_s
        self._waiting.append((word, self._written_s + length_s / 2))
        self._written_s += length_s

    def _tell(self) -> None:
        text, _ = self._waiting.popleft()
        self._told.append(text)
        self._outgoing.put_nowait(text)

    def _tell_all(self) -> None:
        while self._waiting:
            self._tell()

    def _end(self) -> None:
        if not self._cut:
            self._tell_all()
        self._forget()

    def _forget(self) -> None:
        """Makes ready for the next segment."""
        if self._told:
            self._outgoing.put_nowait(None)
        self._waiting.clear()
        self._told.clear()
        self._written_s, self._guessed_letters, self._rest = 0.0, 0.0, ""
        self._sound_over = self._cut = self._text_over = False

    async def _tell_room(self) -> None:
        while True:
            text = await self._outgoing.get()
            if text is None:
                self._room.flush()
            else:
                await self._room.capture_text(text)
