from __future__ import annotations

import numpy as np

from flow_backend.doors.heard import PLAYBACK_LEAD_S, HeardAudio
from speech.chunk import SpeechChunk, WordTiming


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def chunk(seconds: float, *words: tuple[str, float, float, int], last: bool = False) -> SpeechChunk:
    timings = tuple(WordTiming(w, start, end, at, at + len(w)) for w, start, end, at in words)
    return SpeechChunk(np.zeros(int(seconds * 1000), np.int16), 1000, timings, last)


def at(clock: Clock, heard: HeardAudio, seconds: float) -> str:
    clock.now = 100.0 + PLAYBACK_LEAD_S + seconds
    return heard.heard_text()


def test_words_count_once_half_of_them_has_sounded() -> None:
    clock = Clock()
    heard = HeardAudio(clock)
    heard.add("One two three.", 0, chunk(1.0, ("One", 0.0, 0.4, 0), ("two", 0.4, 0.9, 4)))
    heard.add("One two three.", 0, chunk(1.0, ("three.", 1.0, 1.6, 8), last=True))
    heard.add("Four.", 1, chunk(0.5, ("Four.", 0.0, 0.4, 0), last=True))
    assert at(clock, heard, 0.1) == ""
    assert at(clock, heard, 0.3) == "One"
    assert at(clock, heard, 0.7) == "One two"
    assert at(clock, heard, 1.2) == "One two"
    assert at(clock, heard, 1.35) == "One two three."
    assert at(clock, heard, 2.25) == "One two three. Four."


def test_a_gap_in_the_audio_shifts_what_follows() -> None:
    clock = Clock()
    heard = HeardAudio(clock)
    heard.add("One two", 0, chunk(0.4, ("One", 0.0, 0.4, 0)))
    clock.now = 102.0
    heard.add("One two", 0, chunk(0.4, ("two", 0.4, 0.8, 4), last=True))
    assert heard.heard_text() == "One"
    assert at(clock, heard, 2.3) == "One two"


def test_without_timings_the_text_is_cut_at_a_word() -> None:
    clock = Clock()
    heard = HeardAudio(clock)
    heard.add("alpha bravo charlie delta", 0, chunk(2.0, last=True))
    assert at(clock, heard, 1.0) == "alpha bravo"
    assert at(clock, heard, 2.0) == "alpha bravo charlie delta"


async def test_over_returns_once_everything_has_sounded() -> None:
    clock = Clock()
    heard = HeardAudio(clock)
    heard.add("x", 0, chunk(0.0, last=True))
    clock.now += 1
    await heard.over()
