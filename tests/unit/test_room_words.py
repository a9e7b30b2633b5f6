"""The words that the room reads are those that were heard."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from livekit.agents.types import TimedString
from livekit.agents.voice import io

from agent_worker.room_words import LETTERS_S, RoomWords


class Room(io.TextOutput):
    """Keeps what it is told, a segment for each flush."""

    def __init__(self) -> None:
        super().__init__(label="room", next_in_chain=None)
        self.segments = [""]
        self.told = asyncio.Event()

    async def capture_text(self, text: str) -> None:
        self.segments[-1] += text

    def flush(self) -> None:
        self.segments.append("")
        self.told.set()


@asynccontextmanager
async def words_for(room: Room) -> AsyncIterator[RoomWords]:
    words = RoomWords(room)
    try:
        yield words
    finally:
        await words.aclose()


def timed(text: str, start_s: float, end_s: float) -> TimedString:
    return TimedString(text, start_time=start_s, end_time=end_s)


async def count(words: RoomWords) -> None:
    for number, word in enumerate(("One", " two", " three", " four")):
        await words.capture_text(timed(word, number, number + 1))


@pytest.mark.parametrize(
    ("position_s", "expected"),
    [(0.0, ""), (0.4, ""), (0.6, "One"), (1.4, "One"), (2.6, "One two three")],
)
async def test_a_word_counts_from_its_middle(position_s: float, expected: str) -> None:
    room = Room()
    async with words_for(room) as words:
        await count(words)
        words.flush()
        assert words.sound_ended(position_s, cut=True) == expected
        if expected:
            await room.told.wait()
    assert room.segments[0] == expected


@pytest.mark.parametrize("text_first", [True, False])
async def test_an_answer_that_was_not_cut_is_told_in_full(text_first: bool) -> None:
    room = Room()
    async with words_for(room) as words:
        await count(words)
        if text_first:
            words.flush()
        words.sound_ended(2.0, cut=False)
        if not text_first:
            await words.capture_text(timed(" five", 4, 5))
            words.flush()
        await room.told.wait()
    assert room.segments[0] == "One two three four" + ("" if text_first else " five")


@pytest.mark.parametrize("text_first", [True, False])
async def test_words_that_had_no_sound_are_not_told_later(text_first: bool) -> None:
    room = Room()
    async with words_for(room) as words:
        await count(words)
        if text_first:
            words.flush()
        assert words.sound_ended(0.0, cut=True) == ""
        if not text_first:
            await words.capture_text(timed(" five", 4, 5))
            words.flush()
        await words.capture_text(timed("Six", 0, 1))
        words.flush()
        assert words.sound_ended(1.0, cut=False) == "Six"
        await room.told.wait()
    assert room.segments == ["Six", ""]


async def test_where_no_times_are_known_they_are_guessed_and_learned() -> None:
    room = Room()
    async with words_for(room) as words:
        text = "The tide is rising now. "
        for token in ("The ti", "de is ris", "ing now. "):
            await words.capture_text(token)
        words.flush()
        words.sound_ended(2 * len(text) / LETTERS_S, cut=False)
        for token in text.split(" "):
            await words.capture_text(f"{token} ")
        words.flush()
        # At half the speed of the first guess, as the first segment had it.
        heard = words.sound_ended(len(text) / LETTERS_S, cut=True)
    assert heard.strip() == "The tide is"


@given(
    st.lists(st.text(st.sampled_from("ab .。日本"), max_size=6), max_size=20),
    st.lists(st.floats(0, 10), max_size=5),
)
def test_nothing_is_changed_or_lost(tokens: list[str], positions: list[float]) -> None:
    async def run() -> str:
        room = Room()
        async with words_for(room) as words:
            for token in tokens:
                await words.capture_text(token)
            for position_s in sorted(positions):
                words.played(position_s)
            words.flush()
            return words.sound_ended(11.0, cut=False)

    assert asyncio.run(run()) == "".join(tokens)
