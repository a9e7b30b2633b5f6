"""What holds for every text: no error, a valid map, no growth beyond the text's length."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from speech.text import Lexicon, SpokenStream, SpokenStyle, to_spoken
from tests.unit.test_text_positions import check_map

LANGUAGES = ("en", "de", "fr", "es", "pt-BR", "hi")
MARKS = """
    * ** _ ` ``` ~~ [ ]( ) ![ ] < > </b> <br> <!-- --> & &amp; \\ | # ## - + 1. 2) > $ $$ \\( \\)
    \\frac{1}{2} x^2 3.14 1,000 1.000,5 -5 50% $5 5€ €1.5M 2026-05-03 3.5.2026 5/3/2026 14:30 2:05pm
    14h30 v1.2.3 192.168.0.1 0xFF #FF00AA a1b2c3d4 +1 555-123-4567 jo@x.com https://x.com/a?b=c
    www.x.de main.py /usr/bin snake_case getX() U.S. e.g. Dr. No. z. B. M. XIV Louis km/h 5 kg m² °C
    1/2 ½ 16:9 1990s 1st 3. May Mai mai mayo de … ... — –
    🎉 👩‍💻 1️⃣ ✅ é 中文 हिन्दी مرحبا § @bob #tag → × =
    == != C++ C# and/or he/she TCP/IP Word word ."""
PIECES = st.sampled_from(
    [*MARKS.split(), "\n", "\n\n", " ", "  ", "\t", "\u00a0", "\u200b", "\x00", "\r\n"]
)
TEXTS = st.lists(st.one_of(PIECES, st.text(max_size=3)), max_size=30).map("".join)


@given(TEXTS, st.sampled_from(LANGUAGES))
@settings(max_examples=100, deadline=None)
def test_any_text_has_a_valid_map(text: str, language: str) -> None:
    spoken = to_spoken(text, language)
    assert spoken.written == text
    check_map(spoken)
    assert spoken.spoken == "" or any(char.isalnum() for char in spoken.spoken)


@given(st.lists(TEXTS, max_size=6), st.sampled_from(LANGUAGES))
@settings(max_examples=50, deadline=None)
def test_a_stream_never_fails(texts: list[str], language: str) -> None:
    stream = SpokenStream(
        language, Lexicon.parse(["word = w"]), SpokenStyle(name_emoji=True, code_block="code")
    )
    for text in texts:
        check_map(stream.push(text))


@given(
    st.lists(
        # Shorter ones may be units and abbreviations, which are read out: hrs, approx.
        st.from_regex(r"[a-zäöüéñß]{7,11}|[A-Z][a-z]{6,10}", fullmatch=True),
        min_size=1,
        max_size=12,
    ),
    st.sampled_from(LANGUAGES),
)
@settings(deadline=None)
def test_plain_words_stay_as_they_are(words: list[str], language: str) -> None:
    text = " ".join(words) + "."
    assert to_spoken(text, language).spoken == text


@given(
    # The letter for information is a picture, as emoji go.
    st.text(st.characters(categories=["L", "M"], exclude_characters="\u2139"), min_size=1),
    st.sampled_from(["pt", "hi", "ar"]),
)
@settings(deadline=None)
def test_letters_of_any_script_survive(text: str, language: str) -> None:
    kept = "".join(char for char in to_spoken(text, language).spoken if char.isalpha())
    assert kept == "".join(char for char in text if char.isalpha())


UNITS = (
    "1 1, 1. 1: 1/ 1- a1 a_ a. a/ [ ![ ]( * **a ` ``a < <a $ $a \\( \\frac{ | § ... …a A.A. +1 "
    "3.5.2026, 5% $1 - # & &amp; 🎉 x@ www. 0x IV"
)
