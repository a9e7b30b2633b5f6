"""Numbers as words, by CLDR's rule-based number formats (unicode-rbnf)."""

from __future__ import annotations

from functools import cache, lru_cache

from unicode_rbnf import RbnfEngine

_CARDINAL_LIMIT = 10**15
_GENDERED = {
    "en": {},
    "de": {
        "m": "spellout-cardinal-masculine",
        "n": "spellout-cardinal-neuter",
        "f": "spellout-cardinal-feminine",
    },
    "fr": {"m": "spellout-cardinal-masculine", "f": "spellout-cardinal-feminine"},
    "es": {"m": "spellout-cardinal-masculine", "f": "spellout-cardinal-feminine"},
}
_ORDINAL = {"fr": "spellout-ordinal-masculine", "es": "spellout-ordinal-masculine"}
_HUNDREDS_YEARS = range(1100, 2000)


@cache
def _engine(language: str) -> RbnfEngine:
    return RbnfEngine.for_language(language)


def load(language: str) -> None:
    """Reads the language's number rules, so that the first number does not wait for them."""
    _engine(language)


@lru_cache(maxsize=4096)
def _spell(value: int, language: str, ruleset: str) -> str:
    result = _engine(language).format_number(value, ruleset_names=[ruleset])
    return result.text.replace("\u00ad", "")


def cardinal(value: int, language: str, gender: str = "") -> str:
    """A whole number from 0; beyond a thousand million millions its digits are read one by one.

    Args:
        value: The number.
        language: One of the four languages that are read out.
        gender: `m`, `f` or `n` where the number stands before a noun; empty where it stands alone.
    """
    if value >= _CARDINAL_LIMIT:
        return digits(str(value), language)
    return _spell(value, language, _GENDERED[language].get(gender, "spellout-numbering"))


def ordinal(value: int, language: str, form: str = "") -> str:
    """An ordinal number; `form` is a rule set of CLDR where the language declines it."""
    if value >= _CARDINAL_LIMIT:
        return digits(str(value), language)
    return _spell(value, language, form or _ORDINAL.get(language, "spellout-ordinal"))


def year(value: int, language: str) -> str:
    """A year: pairs of digits in English, hundreds in German before 2000, else a number."""
    if language == "en" and 1000 < value < 10000:
        if value % 1000 < 10:
            return cardinal(value, language)
        low = value % 100
        if 0 < low < 10:
            return f"{cardinal(value // 100, language)} oh {cardinal(low, language)}"
        return _spell(value, language, "spellout-numbering-year")
    if language == "de" and value in _HUNDREDS_YEARS:
        return _spell(value, language, "spellout-numbering-year")
    return cardinal(value, language)


def digits(text: str, language: str) -> str:
    """ASCII digits one by one."""
    return " ".join(cardinal(int(digit), language) for digit in text)


def decimal_places(places: str, language: str) -> str:
    """Digits after the decimal sign: one by one, in French and Spanish as a number."""
    if language in ("fr", "es") and len(places) <= 3 and places.strip("0"):
        zeros = len(places) - len(places.lstrip("0"))
        lead = digits("0" * zeros, language)
        return f"{lead} {cardinal(int(places), language)}".strip()
    return digits(places, language)
