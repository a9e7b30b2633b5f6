from __future__ import annotations

import json
import random
import re
import time
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.sentences import SETS, Case, boundaries, read_cases
from speech.sentences import Sentence, SentenceStreamBuffer

CASES = [case for path in SETS.values() for case in read_cases(path)]
CHARACTERS = (
    "abcdIAZé.!?…;,:\"'()[]“”«»„‘’*_`#|-–~>123 \n\r\t。！？，「」（）।؟¿¡"
    "😀👍🏽❤\u200d\ufe0f\u2029\u00a0"
)
WORDS = [
    *[". ", "? ", "! ", "...", ". . .", "\n\n", "\r\n", "\n- ", "\n1. ", "\n# ", "\n| a |", "```"],
    *[
        "\n```py\n",
        "\n```\n",
        "Dr. ",
        "e.g. ",
        "U.S. ",
        "p.m. ",
        "No. ",
        "J. R. ",
        "z. B. ",
        "3.14",
    ],
    *[
        "am 3. Mai ",
        "example.com",
        "one.Two",
        "The ",
        "He ",
        "said ",
        "word ",
        "Sentence ",
        "« ",
        " »",
    ],
    *["你好", "です", "हूँ", "مرحبا", "<b>", "</b>", "](http://x.y)", "[1]", ":)", "am ", "Tuesday "],
]
PIECES = st.sampled_from([*CHARACTERS, *WORDS])
TEXTS = st.lists(PIECES, max_size=60).map("".join)


def sentences_of(text: str, cuts: list[int] | None = None, **lengths: int) -> list[str]:
    buffer = SentenceStreamBuffer(**lengths)
    places = [0, *sorted(cuts or []), len(text)]
    out: list[str] = []
    for begin, end in pairwise(places):
        out += buffer.push(text[begin:end])
    return out + buffer.flush()


def rejoined(sentences: list[str]) -> str:
    return "".join(s.lead + s for s in sentences if isinstance(s, Sentence))


def test_a_sentence_leaves_as_soon_as_it_is_certain() -> None:
    buffer = SentenceStreamBuffer()
    assert buffer.push("Hello there, how are you today? I am fine") == [
        "Hello there, how are you today?"
    ]
    assert buffer.flush() == ["I am fine"]


def test_a_full_stop_after_a_plain_word_is_certain_with_the_space() -> None:
    buffer = SentenceStreamBuffer()
    assert buffer.push("The station was empty.") == []
    assert buffer.push(" ") == ["The station was empty."]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hi. How are you doing today? Good.", ["Hi. How are you doing today?", "Good."]),
        ("Oh. Yes. Maybe. I do not know.", ["Oh. Yes. Maybe. I do not know."]),
        ("# Title\n\nThe text begins right here.", ["# Title\n\nThe text begins right here."]),
        ("你好。我叫小明。很高兴认识你！再见。", ["你好。我叫小明。很高兴认识你！", "再见。"]),
    ],
)
def test_what_is_too_short_waits_for_more(text: str, expected: list[str]) -> None:
    assert sentences_of(text) == expected


def test_a_short_first_sentence_may_go_early() -> None:
    buffer = SentenceStreamBuffer(min_first_length=4)
    assert buffer.push("Sure! Fine. The rest waits ") == ["Sure!"]
    assert buffer.push("for more. ") == ["Fine. The rest waits for more."]
    buffer.flush()
    assert buffer.push("Okay! A second text ") == ["Okay!"]


def test_a_code_block_is_one_unit() -> None:
    text = "Run this:\n```python\nprint('Hi. There!')\n\nx = 1\n```\nIt prints a short greeting."
    assert sentences_of(text) == [
        "Run this:",
        "```python\nprint('Hi. There!')\n\nx = 1\n```",
        "It prints a short greeting.",
    ]


def test_an_open_code_block_is_given_whole_at_the_end() -> None:
    assert sentences_of("See here.\n~~~\na. b. c.\n\nd.") == ["See here.", "~~~\na. b. c.\n\nd."]


def test_white_space_before_a_sentence_is_kept_beside_it() -> None:
    text = "  The first paragraph.\n\nThe second paragraph. It is short and sweet.\r\n"
    sentences = sentences_of(text)
    assert [s.lead for s in sentences if isinstance(s, Sentence)] == ["  ", "\n\n", " "]
    assert rejoined(sentences) == text.rstrip()


@pytest.mark.parametrize("limit", [40, 80, 400])
def test_an_endless_sentence_is_cut_at_clauses_and_words(limit: int) -> None:
    text = "and then we went on, over the hill and far away " * 40
    sentences = sentences_of(text, max_sentence_length=limit)
    assert rejoined(sentences) == text.rstrip()
    assert max(map(len, sentences)) <= limit
    assert all(s.endswith(",") for s in sentences[:-1]) or limit < 60
    assert all(not re.search(r"\w$", s) or text.count(s + " ") for s in sentences[:-1])


def test_white_space_where_a_sentence_is_cut_is_kept() -> None:
    text = "word  " * 40
    assert rejoined(sentences_of(text, max_sentence_length=40)) == text.rstrip()


def test_text_without_spaces_is_cut_between_characters() -> None:
    text = "👩‍👩‍👧" * 300 + "e\u0301" * 300
    sentences = sentences_of(text, max_sentence_length=40)
    assert "".join(sentences) == text
    assert not any(s.startswith(("\u200d", "\u0301")) for s in sentences)


def test_tick_speaks_what_is_complete() -> None:
    buffer = SentenceStreamBuffer()
    buffer.push("One moment.")
    assert buffer.tick(20) == []
    assert buffer.tick(500) == ["One moment."]
    assert buffer.tick(1000) == []
    assert buffer.push(" Now it goes on as usual. ") == ["Now it goes on as usual."]


@pytest.mark.parametrize(
    "text",
    ["Ask Dr.", "It is 3.", "and so", "e.g.", "```\ncode.", "He said (yes."],
)
def test_tick_leaves_what_is_not_complete(text: str) -> None:
    buffer = SentenceStreamBuffer()
    buffer.push(text)
    assert buffer.tick(10_000) == []
    assert buffer.flush() == [text]


def test_tick_before_a_code_block_that_waits() -> None:
    buffer = SentenceStreamBuffer()
    assert buffer.push("_...¿\ufe0f\t»\n```\n »") == []
    assert buffer.tick(500) == []
    assert buffer.flush() == ["_...¿\ufe0f\t»", "```\n »"]


def test_tick_gives_short_sentences_that_wait() -> None:
    buffer = SentenceStreamBuffer()
    assert buffer.push("Yes. Fine. ") == []
    assert buffer.tick(300) == ["Yes. Fine."]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The tides rise.", ["The tides rise."]),
        ("Well, the tides rise. And so do", []),
        ("The tides rise", []),
        ("It is 3.", []),
        ("Hi.", []),
        ("See `the tides.", []),
    ],
)
def test_preview_gives_what_would_leave_if_it_were_complete(text: str, expected: list[str]) -> None:
    buffer = SentenceStreamBuffer(min_first_length=6)
    buffer.push(text)
    assert buffer.preview() == expected


def test_clear_forgets_everything() -> None:
    buffer = SentenceStreamBuffer()
    buffer.push("Hello there. ```\n\ud83d")
    buffer.clear()
    assert buffer.flush() == []
    assert buffer.push("A new text begins here. ") == ["A new text begins here."]


def test_halves_of_a_character_are_joined() -> None:
    buffer = SentenceStreamBuffer()
    assert buffer.push("What a lovely day it is! \ud83d") == []
    assert buffer.push("\ude00 Good") == ["What a lovely day it is! 😀"]
    assert buffer.push("\ud83d") == []
    assert buffer.flush() == ["Good\ud83d"]


@pytest.mark.parametrize(
    "lengths",
    [
        {"min_sentence_length": -1},
        {"min_first_length": -5},
        {"max_sentence_length": 10},
        {"min_sentence_length": 500},
    ],
)
def test_lengths_that_cannot_be_are_refused(lengths: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="length"):
        SentenceStreamBuffer(**lengths)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.category)
def test_cases_do_not_depend_on_tokens(case: Case) -> None:
    whole = sentences_of(case.text, min_sentence_length=1)
    assert rejoined(whole) == case.text.rstrip()
    assert whole == sentences_of(case.text, list(range(len(case.text))), min_sentence_length=1)


def test_boundaries_of_the_cases_are_right() -> None:
    wrong = [
        case.text
        for case in CASES
        if boundaries(sentences_of(case.text, min_sentence_length=1)) != case.ends
    ]
    assert len(wrong) <= len(CASES) // 100, json.dumps(wrong, ensure_ascii=False, indent=1)


@settings(max_examples=400, deadline=None)
@given(TEXTS, st.data(), st.sampled_from([0, 1, 20]), st.sampled_from([40, 400]))
def test_sentences_are_a_function_of_the_text(
    text: str, data: st.DataObject, shortest: int, longest: int
) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=20))
    lengths = {"min_sentence_length": shortest, "max_sentence_length": longest}
    whole = sentences_of(text, **lengths)
    assert sentences_of(text, cuts, **lengths) == whole
    assert sentences_of(text, list(range(len(text))), **lengths) == whole
    assert rejoined(whole) == text.rstrip()
    assert all(s == s.strip() != "" for s in whole)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=300), st.lists(st.integers(0, 300), max_size=10))
def test_any_text_survives(text: str, cuts: list[int]) -> None:
    assert rejoined(sentences_of(text, [cut for cut in cuts if cut < len(text)])) == text.rstrip()


@settings(max_examples=100, deadline=None)
@given(TEXTS)
def test_previews_change_nothing(text: str) -> None:
    buffer, watched = SentenceStreamBuffer(), SentenceStreamBuffer()
    for character in text:
        watched.preview()
        assert watched.push(character) == buffer.push(character)
    watched.preview()
    assert watched.flush() == buffer.flush()


@settings(max_examples=100, deadline=None)
@given(TEXTS, st.randoms(use_true_random=False))
def test_ticks_lose_nothing(text: str, chance: random.Random) -> None:
    buffer = SentenceStreamBuffer()
    out: list[str] = []
    for character in text:
        out += buffer.push(character)
        if chance.random() < 0.2:
            out += buffer.tick(500)
    out += buffer.flush()
    assert "".join("".join(out).split()) == "".join(text.split())


@pytest.mark.parametrize(
    "unit",
    [
        "word ",
        ".",
        " ",
        "\n",
        "a",
        "😀",
        "\u0301",
        "```\n",
        '"',
        "(",
        "a.b",
        "。",
        "! ",
        "\x00",
        "\r\n",
        "x\n",
        "1. ",
    ],
)
@pytest.mark.parametrize("size", [1, 100_000])
def test_a_hundred_thousand_characters_take_linear_time(unit: str, size: int) -> None:
    text = (unit * 100_000)[:100_000]
    began = time.thread_time()
    buffer = SentenceStreamBuffer()
    out: list[str] = []
    for begin in range(0, len(text), size):
        out += buffer.push(text[begin : begin + size])
    out += buffer.flush()
    assert "".join("".join(out).split()) == "".join(text.split())
    assert time.thread_time() - began < 5


def test_most_boundaries_are_known_after_one_character() -> None:
    from bench.sentence_peers import parley
    from bench.sentences import feed_characters, percentile

    held = [count for case in CASES for count in feed_characters(parley, case)[1]]
    assert percentile(held, 0.5) == 1
    assert (percentile(held, 0.95) or 0) <= 3


def test_the_example_of_the_docs_runs() -> None:
    page = (Path(__file__).parents[2] / "docs" / "sentences.md").read_text(encoding="utf-8")
    example = re.search(r"```python\n(.*?)```", page, re.DOTALL)
    assert example is not None
    exec(example[1], {})
