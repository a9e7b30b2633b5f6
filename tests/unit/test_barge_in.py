from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_worker.barge_in import KEPT_SPEECHES, Floor, Kind, judge

AGENT = "The capital of France is Paris, and it lies on the river Seine."


@pytest.mark.parametrize(
    ("text", "duration_s", "confidence", "kind"),
    [
        ("", 0.8, 0.0, Kind.NOISE),
        ("...", 0.8, 0.4, Kind.NOISE),
        ("I'll", 0.48, 0.58, Kind.NOISE),
        ("I'll", 0.48, 0.0, Kind.INTERRUPTION),
        ("M.", 0.5, 0.8, Kind.BACKCHANNEL),
        ("Mm-hm.", 0.5, 0.8, Kind.BACKCHANNEL),
        ("Yeah, Ok.", 1.3, 0.75, Kind.BACKCHANNEL),
        ("Right, right, I see.", 1.4, 0.8, Kind.BACKCHANNEL),
        ("Oh my God.", 0.9, 0.8, Kind.BACKCHANNEL),
        ("Ha ha ha.", 0.9, 0.5, Kind.BACKCHANNEL),
        ("Yeah yeah yeah yeah okay.", 3.5, 0.8, Kind.INTERRUPTION),
        ("Yes, but what does it cost?", 2.0, 0.9, Kind.INTERRUPTION),
        ("Okay, stop now.", 1.6, 0.8, Kind.INTERRUPTION),
        ("Stop!", 0.4, 0.4, Kind.INTERRUPTION),
        ("No.", 0.4, 0.5, Kind.INTERRUPTION),
        ("Twelve.", 0.7, 0.9, Kind.INTERRUPTION),
        ("The river Seine.", 1.0, 0.9, Kind.ECHO),
        ("And it lies on a river.", 1.5, 0.8, Kind.ECHO),
        ("Paris?", 0.6, 0.9, Kind.INTERRUPTION),
        ("The capital of Spain.", 1.2, 0.9, Kind.INTERRUPTION),
        ("What is the capital of Spain?", 1.6, 0.9, Kind.INTERRUPTION),
        ("Ja, genau das wollte ich.", 1.5, 0.5, Kind.INTERRUPTION),
    ],
)
def test_what_is_said_over_the_agent(
    text: str, duration_s: float, confidence: float, kind: Kind
) -> None:
    judged = judge(text, duration_s=duration_s, confidence=confidence, agent_text=AGENT)
    assert judged is kind


@pytest.mark.parametrize("question", ["Shall I book it?", 'Did you say "two"?', "Two? (Or 3?)"])
def test_after_a_question_an_acknowledgement_is_an_answer(question: str) -> None:
    assert judge("Yes.", duration_s=0.5, agent_text=question) is Kind.INTERRUPTION
    assert judge("Yes.", duration_s=0.5, agent_text=f"{question} I can.") is Kind.BACKCHANNEL


def test_only_what_was_played_can_be_an_echo() -> None:
    floor = Floor()
    for number, word in enumerate(AGENT.split()):
        floor.will_say("speech", f"{word} ", number * 0.4)
    assert not floor.has_begun("speech")
    assert floor.said("speech", 100.0) == ""
    floor.began("speech", 100.0)
    floor.began("speech", 103.0)
    assert floor.said("speech", 101.0) == "The capital of France "
    assert floor.said("speech", 200.0).strip() == AGENT


def test_words_without_times_count_as_played() -> None:
    floor = Floor()
    floor.began("speech", 1.0)
    floor.will_say("speech", AGENT)
    assert floor.said("speech", 1.0) == AGENT


def test_old_speeches_are_forgotten() -> None:
    floor = Floor()
    for number in range(KEPT_SPEECHES + 1):
        floor.began(str(number), 1.0)
    assert not floor.has_begun("0")
    assert floor.has_begun(str(KEPT_SPEECHES))


@given(st.text(max_size=60), st.floats(0, 10), st.floats(0, 1), st.text(max_size=60))
def test_any_text_is_judged(text: str, duration_s: float, confidence: float, agent: str) -> None:
    kind = judge(text, duration_s=duration_s, confidence=confidence, agent_text=agent)
    if not any(c.isalnum() for c in text) and "'" not in text and "’" not in text:
        assert kind is Kind.NOISE
