"""Dates and times of day."""

from __future__ import annotations

import re
from functools import cache

from speech.text.language import Language, word_set
from speech.text.positions import Edit
from speech.text.source import Source
from speech.text.spelling import cardinal, ordinal, year

_ISO = re.compile(
    r"(\d{4})[-/](\d{2})[-/](\d{2})(?![\d/-])"
    r"(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:\.\d{1,9})?)?(Z|[+-]\d{2}:?\d{2})?(?!\d))?"
)
_SLASHED = re.compile(r"(\d{1,2})([/-])(\d{1,2})\2(\d{4}|\d{2})(?![\d/-]|\.\d)")
_DOTTED = re.compile(
    r"(\d{1,2})\.[ \u00a0]?(\d{1,2})\.(?:[ \u00a0]?(\d{4}|\d{2})(?![\d.]\d|\d|:))?(?!\d)"
)
_CLOCK = re.compile(
    r"(\d{1,2}):([0-5]\d)(?::([0-5]\d))?(?![\d:]|\.\d)"
    r"(?:[ \u00a0\u202f]?([ap])\.?[ ]?m(?:\b(?!\.\w)))?",
    re.IGNORECASE,
)
_HOUR = re.compile(r"(\d{1,2})(?:[ \u00a0\u202f]?([ap])\.?m(?!\w))", re.IGNORECASE)
_FRENCH_ALWAYS = re.compile(r"(24|7)[ ]?([hj])[ ]?/[ ]?(24|7)(?!\w)")
"""`24h/24` and `7j/7`."""
_HOUR_RANGE = re.compile(
    r"(\d{1,2})[ ]?[-–][ ]?(?=\d{1,2}(?::[0-5]\d)?[ \u00a0]?[ap]\.?m)", re.IGNORECASE
)
_FRENCH_HOUR = re.compile(r"(\d{1,2})[ \u00a0\u202f]?h(?:[ \u00a0\u202f]?([0-5]\d))?(?![\w/])")
_GERMAN_HOUR = re.compile(r"(\d{1,2})\.([0-5]\d)(?=[ \u00a0]Uhr\b)")
_WEEKDAY = re.compile(r"([^\W\d_]{2,5})\.(?=, ?\w| \w)")
_LAST_WEEKDAY = re.compile(r"([^\W\d_]{2,5})(?=\.(?:\W|$))")
_BEFORE_WEEKDAY = word_set("on or and by until next last every am oder und bis ab jeden und vom")
_WEEKDAYS = re.compile(r"([^\W\d_]{2,4})\.?[ ]?[-–][ ]?([^\W\d_]{2,4})(?:\.(?=[ ]))?(?!\w)")
_FOLLOWING_WORD = re.compile(r"[ \u00a0]([^\W\d_]+)")
_ABBREVIATED_HOURS = re.compile(r"[ \u00a0]?h(?:rs|oras)?\.?(?!\w)")


@cache
def _month_names(language: Language) -> str:
    return "|".join(map(re.escape, sorted(language.months, key=len, reverse=True)))


@cache
def _month_first(language: Language) -> re.Pattern[str]:
    return re.compile(
        rf"((?i:{_month_names(language)}))\.?[ ](\d{{1,2}})(?:st|nd|rd|th)?(?![\w:%]|[.,]\d)"
        rf"(?:[ ]?(?:[-–]|to|and)[ ]?(\d{{1,2}})(?:st|nd|rd|th)?(?!\w))?"
        rf"(?:(?:,[ ]?|[ ])(\d{{4}})(?!\w|[.,]\d))?"
    )


@cache
def _day_first(language: Language) -> re.Pattern[str]:
    suffix = {"en": "(?:st|nd|rd|th)?", "de": r"\.", "fr": "(?:er)?", "es": "[º.]?"}[language.code]
    of = {"en": "(?:of[ ])?", "es": "(?:de[ ])?"}.get(language.code, "")
    of_year = {"es": "(?:[ ]del?|,)?"}.get(language.code, ",?")
    to = {"en": "to", "de": "bis(?: zum)?", "fr": "au", "es": "al"}[language.code]
    return re.compile(
        rf"(\d{{1,2}}){suffix}(?:[ ]?(?:[-–]|{to})[ ]?(\d{{1,2}}){suffix})?[ \u00a0]{of}"
        rf"((?i:{_month_names(language)}))(?![^\W\d_])\.?"
        rf"(?:{of_year}[ ](\d{{4}})(?!\w|[.,]\d))?"
    )


def _full_year(text: str) -> int:
    value = int(text)
    return value if len(text) > 2 else value + (2000 if value < 70 else 1900)


def _is_date(day: int, month: int) -> bool:
    return 1 <= day <= 31 and 1 <= month <= 12


def numeric_date_rule(source: Source, at: int) -> Edit | None:
    """`2026-05-03`, with or without a time; `5/3/2026`; `3.5.2026`."""
    language, text = source.language, source.text
    before = source.word_before(at)
    if found := _ISO.match(text, at):
        year_, month, day = int(found[1]), int(found[2]), int(found[3])
        if not _is_date(day, month):
            return None
        said = language.date(day, month, year_, before)
        if found[4]:
            hour, minute = int(found[4]), int(found[5])
            said += f", {language.clock(hour, minute, None)}"
            if found[7] == "Z":
                said += " UTC"
        return source.edit(at, found.end(), said)
    if found := _SLASHED.match(text, at):
        first, second = int(found[1]), int(found[3])
        day, month = (first, second) if language.day_first or first > 12 else (second, first)
        if second > 12 and not _is_date(day, month):
            day, month = second, first
        if not _is_date(day, month):
            return None
        return source.edit(at, found.end(), language.date(day, month, _full_year(found[4]), before))
    if found := _DOTTED.match(text, at):
        day, month = int(found[1]), int(found[2])
        german = language.code == "de"
        if not _is_date(day, month) or (len(found[3] or "") < 4 and not german):
            return None
        written_year = _full_year(found[3]) if found[3] else None
        end = found.end()
        said = language.date(day, month, written_year, before)
        return source.edit(at, end, f"{said}." if found[3] is None and source.is_end(end) else said)
    return None


def month_first_rule(source: Source, at: int) -> Edit | None:
    """`May 3, 2026`, `Sept. 5th`, `March 3–5`, in English."""
    language = source.language
    if language.code != "en" or not source.text[at].isupper():
        return None
    found = _month_first(language).match(source.text, at)
    if found is None or not _is_date(int(found[2]), 1):
        return None
    month = language.months[found[1].lower()]
    written_year = int(found[4]) if found[4] else None
    if found[3]:
        if not _is_date(int(found[3]), 1):
            return None
        said = f"{language.date(int(found[2]), month, None, '')} to {ordinal(int(found[3]), 'en')}"
        said += f", {year(written_year, 'en')}" if written_year is not None else ""
    else:
        said = language.date(int(found[2]), month, written_year, "")
    return source.edit(at, found.end(), said)


def day_first_rule(source: Source, at: int) -> Edit | None:
    """`3 May 2026`, `3. Mai`, `1er mai`, `3 de mayo de 2026`, and ranges of days."""
    language, text = source.language, source.text
    found = _day_first(language).match(text, at)
    if found is None or not _is_date(int(found[1]), 1):
        return None
    name = found[3]
    if language.code in ("en", "de") and not name[0].isupper():
        return None
    month = language.months[name.lower()]
    day, written_year = int(found[1]), int(found[4]) if found[4] else None
    before = source.word_before(at)
    code = language.code
    end = found.end()
    if text[end - 1] == "." and source.is_end(end):
        end -= 1
    last = int(found[2]) if found[2] else None
    if last is not None and not _is_date(last, 1):
        return None
    if code == "en":
        days = f"the {ordinal(day, code)}" if before.lower() != "the" else ordinal(day, code)
        if last is not None:
            days += f" to the {ordinal(last, code)}"
        said = f"{days} of {language.date(None, month, None, '')}"
        said += f", {year(written_year, code)}" if written_year is not None else ""
    else:
        said = language.date(last or day, month, written_year, before)
        if last is not None:
            first_day = language.date(day, None, None, before)
            said = f"{first_day} {language.words['to']} {said}"
            if code in ("fr", "es"):
                joint = {"fr": "au", "es": "al"}[code]
                said = (
                    f"{cardinal(day, code)} {joint} {language.date(last, month, written_year, '')}"
                )
    return source.edit(at, end, said)


@cache
def weekday_names(language: Language) -> dict[str, str]:
    """Full names of the days of the week by their abbreviations in lower case (CLDR)."""
    from babel import Locale

    days = Locale.parse(language.locale).days["format"]
    further = {"tues": 1, "thur": 3, "thurs": 3} if language.code == "en" else {}
    further |= {str(days["abbreviated"][day]).lower().rstrip("."): day for day in range(7)}
    return {name: str(days["wide"][day]) for name, day in further.items()}


def weekdays_rule(source: Source, at: int) -> Edit | None:
    """Days of the week: `Mon–Fri`, `Mo.-Fr.`, `Mon., May 3`."""
    names = weekday_names(source.language)
    found = _WEEKDAYS.match(source.text, at)
    if found is None or found[1].lower() not in names or found[2].lower() not in names:
        day = _WEEKDAY.match(source.text, at)
        if day is None and source.word_before(at).lower() in _BEFORE_WEEKDAY:
            day = _LAST_WEEKDAY.match(source.text, at)
        if day is None or day[1].lower() not in names:
            return None
        capital = source.language.code in ("en", "de")
        return None if capital and day[1].islower() else Edit(at, day.end(), names[day[1].lower()])
    first, last = names[found[1].lower()], names[found[2].lower()]
    return Edit(at, found.end(), f"{first} {source.language.words['to']} {last}")


def clock_rule(source: Source, at: int) -> Edit | None:
    """`14:30`, `2:05 pm`, `7 p.m.`, `14h30`, `14.30 Uhr`, `08:00:15`."""
    language, text = source.language, source.text
    if found := _CLOCK.match(text, at):
        hour, minute = int(found[1]), int(found[2])
        if hour > 24:
            return None
        second = int(found[3]) if found[3] else None
        end = found.end()
        if found[4]:
            return _with_half_day(source, at, end, hour, minute, found[4])
        said = language.clock(hour, minute, second)
        for suffix in language.clock_suffixes:
            if re.compile(rf"[ \u00a0]?{suffix}(?!\w)").match(text, end):
                end = text.index(suffix, end) + len(suffix)
        if language.code in ("es", "fr") and (hours := _ABBREVIATED_HOURS.match(text, end)):
            end = hours.end()
        return source.edit(at, end, said)
    if (found := _HOUR_RANGE.match(text, at)) and 1 <= int(found[1]) <= 12:
        first = cardinal(int(found[1]), language.code)
        return Edit(at, found.end(), f"{first} {language.words['to']} ")
    if (found := _HOUR.match(text, at)) and 1 <= int(found[1]) <= 12:
        return _with_half_day(source, at, found.end(), int(found[1]), 0, found[2])
    if language.code == "fr" and (found := _FRENCH_ALWAYS.match(text, at)):
        noun = "heures" if found[2] == "h" else "jours"
        first, last = cardinal(int(found[1]), "fr"), cardinal(int(found[3]), "fr")
        return source.edit(at, found.end(), f"{first} {noun} sur {last}")
    if language.code == "fr" and (found := _FRENCH_HOUR.match(text, at)) and int(found[1]) <= 24:
        said = language.clock(int(found[1]), int(found[2] or 0), None)
        return source.edit(at, found.end(), said)
    if language.code == "de" and (found := _GERMAN_HOUR.match(text, at)) and int(found[1]) <= 24:
        said = language.clock(int(found[1]), int(found[2]), None)
        return source.edit(at, found.end() + 4, said)
    return None


def _with_half_day(source: Source, at: int, end: int, hour: int, minute: int, half: str) -> Edit:
    """Times with am or pm; the full stop of `p.m.` stays where it ends the sentence."""
    code = source.language.code
    said = cardinal(hour, code, "f" if code == "es" else "")
    if minute:
        said += " oh" if minute < 10 and code == "en" else ""
        said += f" {cardinal(minute, code)}"
    if source.char_at(end) == "." and source.text[end - 2 : end - 1] in (".", " "):
        following = _FOLLOWING_WORD.match(source.text, end + 1)
        word = following[1] if following else "A"
        if not word[0].isupper() or (word.isupper() and len(word) > 1) or word.endswith("day"):
            end += 1
    return source.edit(at, end, f"{said} {half.upper()}{'-' if code != 'en' else ''}M")
