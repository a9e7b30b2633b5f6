from __future__ import annotations

import pytest

from agent_worker.end_of_turn import FINISHED_THRESHOLD, EndOfTurnDetector, ends_open


@pytest.mark.parametrize(
    "words",
    [
        "What is the capital of France?",
        "Yes.",
        "no",
        "Seven.",
        "42",
        "I would like to book a table for two.",
        "Stop!",
        "How are you",
        "Who is that?",
        "My name is Peter Miller",
    ],
)
def test_finished_words(words: str) -> None:
    assert not ends_open(words)


@pytest.mark.parametrize(
    "words",
    [
        "",
        " ",
        "...",
        "I would like to",
        "I would like to…",
        "What is the.",
        "Well,",
        "um",
        "And I'm",
    ],
)
def test_words_after_which_more_comes(words: str) -> None:
    assert ends_open(words)


async def test_the_threshold_follows_the_words() -> None:
    detector = EndOfTurnDetector()
    calibrated = await detector.unlikely_threshold(None)
    assert calibrated is not None
    assert calibrated > FINISHED_THRESHOLD
    detector._words.said = "What is the time?"
    assert await detector.unlikely_threshold(None) == FINISHED_THRESHOLD
    detector._words.said = "What is the"
    assert await detector.unlikely_threshold(None) == calibrated
