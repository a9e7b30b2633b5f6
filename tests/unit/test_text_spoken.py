"""Written and spoken examples: `tests/unit/spoken/*.tsv` (language, written, spoken)."""

from __future__ import annotations

from pathlib import Path

import pytest

from speech.sentences import SentenceStreamBuffer
from speech.text import Lexicon, SpokenStream, SpokenStyle, to_spoken
from tests.unit.test_text_positions import check_map

EXAMPLES = [
    tuple(line.split("\t"))
    for path in sorted((Path(__file__).parent / "spoken").glob("*.tsv"))
    for line in path.read_text(encoding="utf-8").splitlines()
]


@pytest.mark.parametrize(("language", "written", "spoken"), EXAMPLES)
def test_example(language: str, written: str, spoken: str) -> None:
    result = to_spoken(written, language)
    assert result.spoken == spoken
    check_map(result)


def test_there_are_examples_of_every_language() -> None:
    languages = [language for language, _, _ in EXAMPLES]
    assert len(languages) >= 400
    assert all(languages.count(language) >= 50 for language in ("en", "de", "fr", "es"))


@pytest.mark.parametrize(
    ("sentences", "spoken"),
    [
        (["**Bold one.", "Bold two.** End."], ["Bold one.", "Bold two. End."]),
        (["[Read this.", "And that](https://x.com/y_z)."], ["Read this.", "And that."]),
        (["```python", "print(1)", "```", "Done."], ["", "", "", "Done."]),
        (["```\ncode\n```\nAfter it."], ["After it."]),
        (["~~~", "```", "~~~", "After."], ["", "", "", "After."]),
        (["$$", "x^2", "$$", "Then."], ["", "x squared", "", "Then."]),
        (["<!-- hidden.", "Still.", "Out. --> Shown."], ["", "", "Shown."]),
        (["- Apples\n- Pears\n- Plums"], ["Apples.\nPears.\nPlums"]),
        (["# Title\n\nText here."], ["Title.\n\nText here."]),
        (["Soft\nbreaks stay."], ["Soft\nbreaks stay."]),
        (["| A | B |\n|---|---|\n| 1 | 2 |"], ["A, B.\none, two"]),
    ],
)
def test_markup_over_several_sentences(sentences: list[str], spoken: list[str]) -> None:
    stream = SpokenStream("en")
    assert [stream.push(sentence).spoken for sentence in sentences] == spoken


def test_only_a_line_begins_a_list() -> None:
    buffer, stream = SentenceStreamBuffer(min_sentence_length=0), SpokenStream("en")
    sentences = [
        *buffer.push("It was late. - So they left. Then\n- a list. 1. One\n"),
        *buffer.flush(),
    ]
    said = [stream.push(sentence).spoken for sentence in sentences]
    assert said[0] == "It was late."
    assert said[1].startswith("- So they left")
    assert any(line.startswith("a list") for part in said for line in part.splitlines())


def test_each_spoken_word_maps_to_its_written_word() -> None:
    text = "**Dr. Lee** paid $2,100 on 3/5/2026 🎉 — see [the docs](https://x.com)."
    result = to_spoken(text)
    assert result.spoken == (
        "Doctor Lee paid two thousand one hundred dollars on March fifth, twenty twenty-six"
        " — see the docs."
    )
    expected = {
        "Doctor": "Dr.",
        "Lee": "Lee",
        "thousand": "$2,100",
        "dollars": "$2,100",
        "fifth": "3/5/2026",
        "see": "see",
        "docs": "docs",
    }
    for word, written in expected.items():
        at = result.spoken.index(word)
        start, end = result.written_span(at, at + len(word))
        assert text[start:end] == written


@pytest.mark.parametrize(
    "text",
    ["", " ", "\n", "...", "…", "?!", "🎉", "---", "***", "```", "|---|", "**", "\u200b", "<br>"],
)
def test_nothing_to_say(text: str) -> None:
    assert to_spoken(text).spoken == ""


def test_emoji_are_named_where_asked() -> None:
    named = SpokenStyle(name_emoji=True)
    assert SpokenStream("en", style=named).push("Well done 🎉!").spoken == (
        "Well done party popper!"
    )
    assert SpokenStream("de", style=named).push("Gut ❤️").spoken == "Gut rotes herz"


def test_a_code_block_has_a_phrase_where_asked() -> None:
    stream = SpokenStream("en", style=SpokenStyle(code_block="See the code."))
    assert stream.push("```sh\nls\n```").spoken.strip() == "See the code."


def test_the_dictionary_goes_first() -> None:
    lexicon = Lexicon.parse(["API = ay pee eye", "nginx = engine x", "5G = five gee", "C++ = see"])
    text = "The **API** of nginx, 5G and C++; APIs."
    assert to_spoken(text, lexicon=lexicon).spoken == (
        "The ay pee eye of engine x, five gee and see; APIs."
    )
    assert to_spoken("o nginx é", "pt", lexicon=lexicon).spoken == "o engine x é"


@pytest.mark.parametrize("text", [written for language, written, _ in EXAMPLES if language == "en"])
def test_spoken_text_is_left_alone(text: str) -> None:
    """What was said may be said again; a few letters of code excepted."""
    once = to_spoken(text).spoken
    twice = to_spoken(once).spoken
    assert "".join(twice.split()) == "".join(once.split())
