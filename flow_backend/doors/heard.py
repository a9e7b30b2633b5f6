"""How much of a spoken answer the user has heard, when the client reports no position."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from speech.chunk import SpeechChunk

PLAYBACK_LEAD_S = 0.06
"""From sending audio to its sound: network and the player's own lead."""
CHARS_PER_S = 15.0
"""Pace of speech, for voices without word timings."""


def told(chunk: SpeechChunk) -> list[dict[str, float]]:
    """When the words of a chunk sound, as `protocol.voice.SpokenWord`s."""
    return [
        {
            "start_char": word.start_char,
            "end_char": word.end_char,
            "start_ms": round(word.start_s * 1000, 1),
            "end_ms": round(word.end_s * 1000, 1),
        }
        for word in chunk.words
    ]


@dataclass(slots=True)
class _Piece:
    text: str
    begins_at: float
    """Clock time at which its first sample sounds."""
    chunks: int = 0
    streamed_s: float = 0.0
    ends: list[tuple[float, int]] = field(default_factory=list)
    """For each word: clock time at which half of it has sounded, and its end in the text."""
    ends_at: float = 0.0
    whole: bool = False
    """Its last chunk has been sent."""


class HeardAudio:
    """Plays the sent audio in thought: from the first chunk on, without pause unless it runs dry.

    Exact where the voice gives word timings and the client plays what it gets at once; an estimate
    otherwise.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` gives seconds, as `time.monotonic` does."""
        self._clock = clock
        self._pieces: dict[int, _Piece] = {}
        self._ends_at = 0.0

    @property
    def begun(self) -> bool:
        """Some audio has been sent."""
        return bool(self._pieces)

    @property
    def estimated(self) -> bool:
        """The voice gives no word timings for some of it: where it is cut off is a guess."""
        return any(not piece.ends for piece in self._pieces.values())

    def next_index(self, sequence: int) -> int:
        """Number of a piece's next chunk, from 0."""
        piece = self._pieces.get(sequence)
        return piece.chunks if piece else 0

    def add(self, text: str, sequence: int, chunk: SpeechChunk) -> None:
        """Audio of piece `sequence`, whose text is `text`, is being sent now."""
        begins_at = max(self._ends_at, self._clock() + PLAYBACK_LEAD_S)
        piece = self._pieces.setdefault(sequence, _Piece(text, begins_at))
        for word in chunk.words:
            middle_s = (word.start_s + word.end_s) / 2
            piece.ends.append((begins_at + middle_s - piece.streamed_s, word.end_char))
        piece.chunks += 1
        piece.streamed_s += chunk.duration_s
        piece.whole = chunk.last
        self._ends_at = piece.ends_at = begins_at + chunk.duration_s

    def heard_text(self) -> str:
        """The words that have sounded by now, as written."""
        now = self._clock()
        return " ".join(filter(None, (self._heard(piece, now) for piece in self._pieces.values())))

    @staticmethod
    def _heard(piece: _Piece, now: float) -> str:
        if piece.whole and now >= piece.ends_at:
            return piece.text.strip()
        if piece.ends:
            end = max((end for at, end in piece.ends if at <= now), default=0)
        else:
            end = int(max(0.0, now - piece.begins_at) * CHARS_PER_S)
            end = piece.text.rfind(" ", 0, end + 1) if end < len(piece.text) else end
        return piece.text[: max(0, end)].strip()

    async def over(self) -> None:
        """Waits until everything that has been sent by now has sounded."""
        await asyncio.sleep(max(0.0, self._ends_at - self._clock()))
