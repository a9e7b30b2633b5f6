"""Runs the rules over a text, once from left to right."""

from __future__ import annotations

import re
from functools import cache

from speech.text import addresses, codes, dates, numbers, quantities, symbols, words
from speech.text.language import Language
from speech.text.lexicon import Lexicon
from speech.text.positions import Edit
from speech.text.source import Rule, Source

_TOKEN = re.compile(r"[^\W\d_²³¹¼-¾⅐-⅞]+|\S")
_DIGITS = re.compile(r"\d+")
_ADDRESS_MARKS = frozenset("@./:\\_-0123456789~")
_ROMAN_LETTERS = frozenset("IVXLCeèmrᵉ")
_DIGIT_RULES: tuple[Rule, ...] = (
    dates.numeric_date_rule,
    addresses.number_like_rule,
    dates.day_first_rule,
    dates.clock_rule,
    numbers.scientific_rule,
    codes.code_rule,
    numbers.release_rule,
    numbers.fraction_rule,
    numbers.ratio_rule,
    numbers.vulgar_fraction_rule,
    numbers.short_decade_rule,
    quantities.height_rule,
    numbers.ordinal_rule,
    numbers.year_rule,
    quantities.quantity_rule,
)
_SYMBOL_RULES: dict[str, tuple[Rule, ...]] = {
    "+": (addresses.telephone_rule, quantities.quantity_rule),
    "(": (addresses.telephone_rule,),
    "#": (codes.reference_rule, addresses.tag_rule),
    "@": (addresses.tag_rule,),
    "/": (addresses.file_rule,),
    "~": (addresses.file_rule,),
    ".": (addresses.file_rule, numbers.point_rule),
    "_": (addresses.identifier_rule,),
    "'": (numbers.short_decade_rule,),
    "’": (numbers.short_decade_rule,),
    ":": (addresses.hash_rule,),
    **dict.fromkeys("-−$€£¥₹₽₩₿₺₴₪₫฿₱₦¢", (quantities.quantity_rule,)),
}


@cache
def _special_words(language: Language) -> frozenset[str]:
    """Lower-case words at which a rule for words may start."""
    first = re.compile(r"[^\W\d_]+")
    found = set(language.months) | set(dates.weekday_names(language))
    for table in (language.abbreviations, language.titles):
        for written in table:
            match = first.match(written)
            if match:
                found.add(match[0])
    return frozenset(found | {word.lower() for word in language.initials})


def spoken_edits(text: str, language: Language, lexicon: Lexicon | None) -> list[Edit]:
    """The edits that turn cleaned text into words, sorted by position."""
    source = Source(text, language)
    edits: list[Edit] = []
    special = _special_words(language)
    position = 0
    while token := _TOKEN.search(text, position):
        at = token.start()
        position = token.end()
        word = token[0]
        edit: Edit | None = None
        entry = None
        if lexicon is not None and not source.char_before(at).isalnum():
            entry = lexicon.match(text, at, language.code)
        if entry is not None:
            edit = Edit(at, *entry)
        elif word[0].isalpha():
            follower = text[position] if position < len(text) else " "
            if (
                follower in _ADDRESS_MARKS
                or word.lower() in special
                or word.isupper()
                or word[0] in "IVX"
                or follower == "$"
                or follower == "("
            ):
                edit = _at_word(source, at, word, follower)
        elif word.isdecimal():
            edit = _first(_DIGIT_RULES, source, at)
            if edit is None:
                run = _DIGITS.match(text, at)
                position = run.end() if run else position
        else:
            edit = _first(_SYMBOL_RULES.get(word, ()), source, at)
            if edit is None and word in "¼½¾⅐⅑⅒⅓⅔⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞":
                edit = numbers.vulgar_fraction_rule(source, at)
            edit = edit or symbols.symbol_rule(source, at)
        if edit is not None:
            edits.append(edit)
            position = max(edit.end, position if edit.start > at else edit.end)
            source.spoken_to = edit.end
    return edits


def _first(rules: tuple[Rule, ...], source: Source, at: int) -> Edit | None:
    for rule in rules:
        if (edit := rule(source, at)) is not None:
            return edit
    return None


def _at_word(source: Source, at: int, word: str, follower: str) -> Edit | None:
    edit: Edit | None = None
    before = source.char_before(at)
    starts = not (before.isalnum() or before in "@_")
    if starts and follower in "-0123456789" and word.isupper():
        edit = codes.reference_rule(source, at)
    if edit is None and starts and follower in _ADDRESS_MARKS:
        if "@" in source.text:
            edit = addresses.email_rule(source, at)
        if edit is None and follower in ".:-0123456789":
            edit = addresses.url_rule(source, at)
        edit = edit or words.abbreviation_rule(source, at, word)
        edit = edit or addresses.file_rule(source, at)
        if edit is None and word in ("v", "V"):
            edit = addresses.version_rule(source, at)
        if edit is None and (follower.isdigit() or follower in ":-"):
            edit = addresses.hash_rule(source, at)
        edit = edit or addresses.identifier_rule(source, at)
        if edit is None and follower == "/":
            edit = symbols.slash_rule(source, at)
    if edit is None and starts:
        edit = words.abbreviation_rule(source, at, word) or words.title_rule(source, at, word)
        edit = edit or words.street_rule(source, at, word)
        edit = edit or words.acronym_rule(source, at, word)
        if edit is None and len(word) == 1 and follower == ".":
            edit = words.initials_rule(source, at, word)
        edit = edit or dates.month_first_rule(source, at)
        if edit is None and follower in "-–. ":
            edit = dates.weekdays_rule(source, at)
        if edit is None and set(word) <= _ROMAN_LETTERS:
            edit = numbers.roman_rule(source, at)
        if edit is None and (word.isupper() or follower == "$"):
            edit = quantities.currency_code_rule(source, at)
    return edit


def lexicon_edits(text: str, lexicon: Lexicon, language: str) -> list[Edit]:
    """The dictionary's entries alone, for a language without rules."""
    edits: list[Edit] = []
    position = 0
    while token := _TOKEN.search(text, position):
        at, position = token.span()
        if at and text[at - 1].isalnum():
            continue
        if entry := lexicon.match(text, at, language):
            edits.append(Edit(at, *entry))
            position = entry[0]
    return edits
