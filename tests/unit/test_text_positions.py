from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from speech.text import Spoken
from speech.text.positions import Edit


def test_an_expanded_word_is_one_block() -> None:
    spoken = Spoken.unchanged("It has 2,100 rooms.").edited(
        [Edit(7, 12, "two thousand one hundred")]
    )
    assert spoken.spoken == "It has two thousand one hundred rooms."
    for word in ("two", "thousand", "one", "hundred"):
        at = spoken.spoken.index(word)
        assert spoken.written_span(at, at + len(word)) == (7, 12)
    assert spoken.spoken_span(7, 12) == (7, 31)
    assert spoken.spoken_span(8, 9) == (7, 31)
    at = spoken.spoken.index("rooms")
    assert spoken.written_span(at, at + 5) == (13, 18)


def test_what_is_not_said_has_an_empty_spoken_range() -> None:
    spoken = Spoken.unchanged("**Hi** you").edited([Edit(0, 2, ""), Edit(4, 6, "")])
    assert spoken.spoken == "Hi you"
    assert spoken.spoken_span(0, 2) == (0, 0)
    assert spoken.spoken_span(4, 6) == (2, 2)
    assert spoken.written_span(0, 2) == (2, 4)
    assert Spoken.silent("---").spoken_span(0, 3) == (0, 0)
    assert Spoken.silent("---").written_span(0, 9) == (0, 0)


@st.composite
def edits_of(draw: st.DrawFn, length: int) -> list[Edit]:
    marks = sorted(draw(st.lists(st.integers(0, length), max_size=12)))
    pairs = zip(marks[::2], marks[1::2], strict=False)
    return [Edit(a, b, draw(st.text("xyz ", max_size=4))) for a, b in pairs]


@given(st.data(), st.text(max_size=40))
def test_the_map_is_total_and_monotone_through_two_rounds(data: st.DataObject, text: str) -> None:
    spoken = Spoken.unchanged(text)
    for _ in range(2):
        spoken = spoken.edited(data.draw(edits_of(len(spoken.spoken))))
    check_map(spoken)


def check_map(spoken: Spoken) -> None:
    count = len(spoken.spoken)
    assert len(spoken.starts) == len(spoken.ends) == count
    previous = (0, 0)
    for at in range(count):
        span = spoken.written_span(at, at + 1)
        assert 0 <= span[0] <= span[1] <= len(spoken.written)
        assert previous[0] <= span[0]
        assert previous[1] <= span[1]
        previous = span
        if span[0] < span[1]:
            start, end = spoken.spoken_span(*span)
            assert start <= at < end
    previous = (0, 0)
    for at in range(len(spoken.written)):
        span = spoken.spoken_span(at, at + 1)
        assert 0 <= span[0] <= span[1] <= count
        assert previous[0] <= span[0]
        assert previous[1] <= span[1]
        previous = span
