from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import SpeechError
from speech.moonshine.decoding import without_loop
from speech.moonshine.tokenizer import Tokenizer


def vocabulary(path: Path, *pieces: bytes) -> Path:
    file = path / "tokenizer.bin"
    heads = (
        bytes([len(piece)])
        if len(piece) < 128
        else bytes([len(piece) % 128 + 128, len(piece) // 128])
        for piece in pieces
    )
    file.write_bytes(b"".join(head + piece for head, piece in zip(heads, pieces, strict=True)))
    return file


def test_tokens_become_text(tmp_path: Path) -> None:
    long = b"x" * 300
    marks = (b"<unk>", b"<s>", b"</s>")
    word, half, rest = "▁Good".encode(), "é".encode()[:1], "é".encode()[1:]
    tokenizer = Tokenizer(vocabulary(tmp_path, *marks, word, half, rest, long))
    assert len(tokenizer) == 7
    assert tokenizer.decode([1, 3, 3, 4, 5, 2, 99]) == "Good Goodé"
    assert tokenizer.decode([3, 4]) == "Good"
    assert tokenizer.decode([6]) == "x" * 300
    assert tokenizer.decode([]) == ""


@pytest.mark.parametrize("content", [b"", b"\x05ab", b"\x80", b"\x01a"])
def test_a_damaged_vocabulary_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "tokenizer.bin"
    path.write_bytes(content)
    with pytest.raises(SpeechError, match=r"tokenizer\.bin"):
        Tokenizer(path)


def test_a_missing_vocabulary_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpeechError, match=r"no-such\.bin") as caught:
        Tokenizer(tmp_path / "no-such.bin")
    assert caught.value.code == "model_missing"


@given(
    head=st.lists(st.integers(3, 50), max_size=5),
    period=st.lists(st.integers(51, 99), min_size=1, max_size=8, unique=True),
    extra=st.integers(4, 20),
)
def test_a_hurried_loop_is_cut_to_its_first_round(
    head: list[int], period: list[int], extra: int
) -> None:
    tokens = head + [period[place % len(period)] for place in range(len(period) + extra)]
    assert without_loop(tokens, hurried=True) == len(head) + len(period)


@given(st.lists(st.integers(3, 32_000), max_size=60, unique=True), st.booleans())
def test_text_without_repetition_is_kept(tokens: list[int], hurried: bool) -> None:
    assert without_loop(tokens, hurried=hurried) == len(tokens)


@given(st.lists(st.integers(3, 99), min_size=3, max_size=12, unique=True), st.integers(1, 5))
def test_people_may_repeat_themselves(sentence: list[int], times: int) -> None:
    assert without_loop(sentence * times, hurried=False) == len(sentence) * times


def test_an_endless_loop_is_cut_at_any_pace() -> None:
    assert without_loop([5, *[7, 8] * 9], hurried=False) == 3
