from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from speech.piper.pace import (
    CONTEXT_FRAMES,
    CRUMB_FRAMES,
    MAX_FRAMES,
    MIN_FRAMES,
    QUIET_FRAMES,
    Pace,
)

FRAME_S = 256 / 22_050


@settings(max_examples=60)
@given(st.integers(1, 3000), st.floats(0.02, 0.5), st.randoms(use_true_random=False))
def test_playback_never_starves_at_the_measured_speed(
    total: int, load: float, random: Random
) -> None:
    """`load` is the work for a second of sound; each chunk takes up to 1.2 times as long."""
    pace = Pace(FRAME_S)
    for _ in range(40):
        pace.measured(50, (50 + CONTEXT_FRAMES) * load * FRAME_S)
    frames = pace.first(total)
    now_s, ends_s, done = 0.0, frames * FRAME_S, frames
    while done < total:
        frames = pace.following(total - done, ends_s - now_s)
        assert 0 < frames <= total - done
        elapsed_s = (frames + CONTEXT_FRAMES) * load * FRAME_S * random.uniform(0.8, 1.2)
        pace.measured(frames, elapsed_s)
        now_s += elapsed_s
        assert now_s <= ends_s
        ends_s += frames * FRAME_S
        done += frames


@given(st.integers(1, 90), st.floats(0.02, 0.4))
def test_a_short_text_is_made_in_two_pieces_at_most(total: int, load: float) -> None:
    pace = Pace(FRAME_S)
    for _ in range(40):
        pace.measured(50, (50 + CONTEXT_FRAMES) * load * FRAME_S)
    first = pace.first(total)
    assert first <= MIN_FRAMES + 2 * CRUMB_FRAMES
    if first < total:
        ahead_s = (first - QUIET_FRAMES) * FRAME_S
        assert pace.following(total - first, ahead_s) == total - first


def test_a_machine_slower_than_speech_waits_for_enough() -> None:
    pace = Pace(FRAME_S)
    for _ in range(40):
        pace.measured(50, (50 + CONTEXT_FRAMES) * 1.5 * FRAME_S)
    first = pace.first(1000)
    ready_s = (1000 - first) * 1.5 * FRAME_S
    assert ready_s <= 1000 * FRAME_S


def test_a_fast_machine_begins_with_little() -> None:
    pace = Pace(FRAME_S)
    for _ in range(40):
        pace.measured(50, 0.001)
    assert pace.first(1000) == MIN_FRAMES
    assert pace.following(1000, 5.0) == MAX_FRAMES
    assert pace.following(MAX_FRAMES + 10, 5.0) == MAX_FRAMES + 10 - CRUMB_FRAMES
    assert pace.following(CRUMB_FRAMES + 5, 5.0) == CRUMB_FRAMES + 5
