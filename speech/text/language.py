"""What the rules need to know of a language; the four that are read out in full are data files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module

from speech.text.spelling import load

READ_OUT = ("en", "de", "fr", "es")
"""Languages with rules for numbers, dates and the like; others keep their text."""


@dataclass(frozen=True)
class Currency:
    """How an amount is said."""

    one: str
    many: str
    cent: str = ""
    cents: str = ""
    feminine: bool = False


@dataclass(frozen=True, eq=False)
class Language:
    """One language's words and habits; there is one object a language, compared by identity.

    Tables hold only what neither CLDR (through babel and unicode-rbnf) nor the voice knows.
    """

    code: str
    locale: str
    """The CLDR locale for months and units."""
    decimal: str
    """The decimal separator."""
    grouping: str
    """Characters that may stand between groups of three digits."""
    words: Mapping[str, str]
    """Spoken forms of signs and joints, by name."""
    symbols: Mapping[str, str]
    """Spoken forms of single characters that are always said."""
    abbreviations: Mapping[str, str]
    """Lower-case abbreviations with their full stops, as said."""
    titles: Mapping[str, str]
    """Abbreviations that are read out only before a name or number."""
    initials: Mapping[str, str]
    """Acronyms (capitals) that the voice would read wrongly, with letters joined by hyphens."""
    currencies: Mapping[str, Currency]
    magnitudes: Mapping[str, tuple[str, str]]
    """Scale words after an amount: singular, plural."""
    scale_letters: Mapping[str, str]
    """Letters and short forms for the scale words, as keys of `magnitudes`."""
    months: Mapping[str, int]
    """Month names and abbreviations in lower case."""
    units: Mapping[str, str]
    """Unit signs as CLDR unit names, beyond those that every language writes alike."""
    feminine_units: frozenset[str]
    """CLDR units whose noun is feminine, where that changes the number."""
    fractions: Mapping[int, tuple[str, str]]
    """Denominators: one of them, several."""
    roman_nouns: frozenset[str]
    """Lower-case nouns before a Roman numeral that is read as a number."""
    year_words: frozenset[str]
    """Lower-case words that make the four digits after them a year."""
    day_first: bool
    """Whether 3/4/2026 is the third of April."""
    date: Callable[[int | None, int | None, int | None, str], str]
    """Says (day, month, year) after the given word; None leaves a part out."""
    clock: Callable[[int, int, int | None], str]
    """Says (hour, minute, second)."""
    ordinal_form: Callable[[str], str] = field(default=lambda before: "")
    """The rule set of ordinals after the given word."""
    clock_suffixes: tuple[str, ...] = ()
    """Words after a time of day that its spoken form already holds."""


def word_set(words: str) -> frozenset[str]:
    """The words of a text that spaces part."""
    return frozenset(words.split())


@cache
def language_for(code: str) -> Language | None:
    """The language's data, or None where text of it is only cleaned."""
    if code not in READ_OUT:
        return None
    module = import_module(f"speech.text.languages.{code}")
    language = module.LANGUAGE
    assert isinstance(language, Language)
    load(code)
    return language


@cache
def month_name(locale: str, month: int) -> str:
    """CLDR's name of a month (1 to 12), in the form used in dates."""
    from babel import Locale

    return str(Locale.parse(locale).months["format"]["wide"][month])


def months_of(locale: str, extra: Mapping[str, int]) -> dict[str, int]:
    """Month names and CLDR's abbreviations in lower case, with the language's further ones."""
    from babel import Locale

    found: dict[str, int] = dict(extra)
    for width in ("wide", "abbreviated"):
        for month, name in Locale.parse(locale).months["format"][width].items():
            found.setdefault(str(name).lower().rstrip("."), int(month))
    return found
