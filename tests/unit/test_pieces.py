from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flow_backend.doors.pieces import PieceBuffer


def cut(text: str, size: int = 100, token: int = 3) -> list[str]:
    buffer = PieceBuffer(size)
    pieces = []
    for at in range(0, len(text), token):
        pieces += buffer.push(text[at : at + token])
    return pieces + buffer.flush()


def test_cuts_at_the_last_sentence_end_then_clause_then_space() -> None:
    text = "One. The first sentence is here. The second one too, and it goes on for a while longer."
    assert cut(text.removeprefix("One."), 60) == [
        " The first sentence is here.",
        " The second one too, and it goes on for a while longer.",
    ]
    assert cut("Well, here we are. " + text, 60)[1] == " One. The first sentence is here."
    assert (
        cut("No sentence ends in this one, but a clause does and then more words follow", 50)[0]
        == "No sentence ends in this one,"
    )
    assert cut("nothing but words and words and words and words", 20)[0] == "nothing but words "
    assert cut("x" * 450, 100) == ["x" * 200, "x" * 200, "x" * 50]


def test_the_first_sentence_does_not_wait_for_more() -> None:
    buffer = PieceBuffer(100)
    assert buffer.push("The tides follow the moon. ") == ["The tides follow the moon."]
    assert buffer.push("They come. And they go.") == []
    assert buffer.flush() == [" They come. And they go."]
    assert cut("Dr. Moon is out. He is at lunch.", 100)[0] == "Dr. Moon is out."
    assert cut("No. Sorry, we are closed. Come again.", 100)[0] == "No. Sorry, we are closed."
    assert cut("Words without an end, " * 6, 50)[0] == "Words without an end, Words without an end,"


def test_a_decimal_point_is_no_sentence_end() -> None:
    text = "It is worth 3.14159 in the end, or so they say to all"
    assert cut(text, 30)[0] == "It is worth 3.14159 in the "


def test_blank_text_gives_no_piece() -> None:
    assert cut("  \n ") == []


@given(st.text(), st.integers(1, 50), st.integers(1, 9))
def test_nothing_is_lost_but_blank_pieces(text: str, size: int, token: int) -> None:
    joined = "".join("".join(cut(text, size, token)).split())
    assert joined == "".join(text.split())


def test_the_first_piece_is_foreseen() -> None:
    buffer = PieceBuffer(40)
    assert buffer.push(" The tides rise.") == []
    assert buffer.preview() == [" The tides rise."]
    assert buffer.push(" And they fall.") == [" The tides rise."]
    assert buffer.preview() == []


def test_what_is_complete_leaves_when_the_text_stalls() -> None:
    buffer = PieceBuffer(40)
    assert buffer.push("The tides rise.") == []
    assert buffer.tick(10) == []
    assert buffer.tick(1000) == ["The tides rise."]
    assert buffer.push(" And they") == []
    assert buffer.tick(1000) == []
    assert buffer.push(" fall. ") == []
    assert buffer.tick(1000) == [" And they fall. "]
    assert buffer.flush() == []


@pytest.mark.parametrize("text", ["It costs 3.", "Please ask Dr.", "```\ncode.", "He said (yes."])
@pytest.mark.parametrize("before", ["", "The tides rise. "])
def test_what_may_go_on_waits_for_more(before: str, text: str) -> None:
    buffer = PieceBuffer(100)
    buffer.push(before)
    buffer.push(text)
    assert buffer.tick(1000) == []
    assert buffer.flush() == [before[-1:] + text]
