"""Numbers and letters that are read one by one: PINs, postcodes, order and booking numbers."""

from __future__ import annotations

import re

from speech.text.language import word_set
from speech.text.positions import Edit
from speech.text.source import Source
from speech.text.spelling import cardinal, digits, year

_NUMBER = re.compile(r"(?:\d{3}[ ])?\d{3,10}(?![\w%°$€£]|[.,:/-]\d|[ ]?[€$£%])")
_BEFORE_NUMBER = re.compile(
    r"(?i)(?:\b(?:pin|zip|passcode|otp|plz|postleitzahl|geheimzahl|error|"
    r"(?:\w{1,12}-?)?code|códigos?|clave|code postal)"
    r"(?:[ ](?:code|postal|number|is|was|ist|lautet|es|est))*(?:[ \u00a0]?:)?"
    r"|\b(?:card|account|number|phone|visa|mastercard|tarjeta|cuenta|número)\b[^.]{0,15}"
    r" (?:ending|ends|terminad[ao]|termina|acabad[ao]|acaba) (?:in|with|en)"
    r"|\b(?:endet auf|mit den endziffern|(?:se )?(?:terminant|termine|finissant) par"
    r"|last (?:four|4) digits(?: are)?|letzten vier ziffern(?: sind)?))[ *]*$"
)
"""What tells that the number after it may be a name, not an amount."""
_POSTCODE = re.compile(r"(?i)\b(?:zip|plz|postleitzahl|notruf)\b[^.]{0,12}$")
"""What a number stands behind that a German noun may follow: `PLZ 10115 Berlin`."""
_YEAR = re.compile(r"(?:19|20)\d\d")
_BARE_CODE = re.compile(r"(?i)(?<![\w-])(?:code|error)[ ]$")
"""What a year may stand behind: `The Da Vinci Code 2003`."""
_COUNTED = re.compile(r"[ ](?:(to|bis|à|a)[ ]\d|([^\W\d_]+))")
_COUNTED_WORDS = word_set(
    "people percent million billion thousand hundred dozen men women children feet more less fewer "
    "other different new whole full extra long short separate unique total additional "
    "mil millones gente más millions plus"
)
_UNCOUNTED_WORDS = word_set(
    "is was has does its this as us yes his always means works helps appears occurs comes shows "
    "indicates says expires unless perhaps besides across towards gets fails returns stands tells "
    "refers causes leads belongs opens lets gives needs takes stays puis mais dans sans alors vous "
    "nous des les pas ils sous très es las los sus después mis entonces tus nos tras"
)
"""Words that end in `s` and are no nouns."""
_LOOK_BACK_CHARS = 40
_CALLING = re.compile(
    r"(?i)\b(?:call|dial|wähle[nt]?|ruf(?:e|en)?|notruf|appelez|composez|marca|marque|llame)"
    r"(?: (?:sie|die|bitte))*[ *]*$"
)
_CALLED = re.compile(r"\d{3}(?![\w%°$€£]|[-.,]\d)")
_REFERENCE = re.compile(
    r"(?P<hash>#)?(?P<code>[A-Z]{1,5}-?\d{1,10}(?:-[A-Z\d]{1,10}){0,4})(?![\w-])"
)
_COLOUR = re.compile(r"#(?:[0-9A-Fa-f]{3}){1,2}(?!\w)")
_MIXED = re.compile(r"(?=[A-Z\d]*\d)[A-Z][A-Z\d]{4,11}(?![\w-])")
_FORMULA = re.compile(r"(?:[BCFHIKNOPSU]\d{0,2}){3,}")
"""A chemical formula, whose numbers are amounts: `C6H12O6`."""
_PERIOD = re.compile(r"[QH][1-4]-(?P<year>(?:19|20)\d\d)")
"""Part of a year: `Q1-2024`."""
_WORD = re.compile(r"(?=[A-Z]*[AEIOU])[A-Z]{4,}")
"""Letters that are said as a word: `JIRA-1234`."""
_PARTS = re.compile(r"[A-Z]+|\d+")
_MIN_PARTS = 3
"""Runs of letters and of digits that nobody reads as words and numbers."""
_MIN_DIGITS = 4
"""Digits behind a hyphen that are read one by one: `A-1234`, but `B-52` and `SHA-256`."""


def code_rule(source: Source, at: int) -> Edit | None:
    """`4711` after `PIN`, `90210` after `ZIP`, `4242` after `ending in`, `911` after `dial`."""
    near = source.text[max(0, at - _LOOK_BACK_CHARS) : at]
    found = _NUMBER.match(source.text, at)
    if found and _BEFORE_NUMBER.search(near) is None:
        found = _CALLED.match(source.text, at) if _CALLING.search(near) else None
    if found is None or _is_amount(source, found, near):
        return None
    said = (digits(part, source.language.code) for part in found[0].split())
    return source.edit(at, found.end(), ", ".join(said))


def _is_amount(source: Source, number: re.Match[str], near: str) -> bool:
    """Whether a number counts what stands after it: `code is 200 lines`, `Code ist 200 Zeilen`."""
    if _YEAR.fullmatch(number[0]) and _BARE_CODE.search(near):
        return True
    counted = _COUNTED.match(source.text, number.end())
    if counted is None:
        return False
    word = counted[2] or ""
    if counted[1] or word.lower() in _COUNTED_WORDS:
        return True
    if word[0].isupper():
        return source.language.code == "de" and _POSTCODE.search(near) is None
    plural = source.language.code != "de" and word.endswith("s")
    return plural and word not in _UNCOUNTED_WORDS


def reference_rule(source: Source, at: int) -> Edit | None:
    """`#A-1234`, `INV-2024-001`, `X7K9P2`: letters and digits one by one."""
    if source.char_before(at).isalnum() or source.char_before(at) in "-#":
        return None
    if _COLOUR.match(source.text, at):
        return None
    found = _REFERENCE.match(source.text, at)
    code = found["code"] if found else ""
    parts = _PARTS.findall(code)
    if found is None or not (found["hash"] or _is_reference(code, parts)):
        found = _MIXED.match(source.text, at)
        code = found[0] if found else ""
        parts = _PARTS.findall(code)
        if found is None or len(parts) < _MIN_PARTS:
            return None
    language = source.language
    numbered = _FORMULA.fullmatch(code) is not None
    said = ", ".join(
        " ".join(_part(part, language.code, numbered) for part in _PARTS.findall(group))
        for group in code.split("-")
    )
    if period := _PERIOD.fullmatch(code):
        said = f"{said.split(',')[0]} {year(int(period['year']), language.code)}"
    lead = f"{language.words['number']} " if source.char_before(at + 1) == "#" else ""
    return source.edit(at, found.end(), lead + said)


def _part(part: str, language: str, numbered: bool) -> str:
    if part.isdigit():
        return cardinal(int(part), language) if numbered else digits(part, language)
    return part if _WORD.fullmatch(part) else "-".join(part)


def _is_reference(code: str, parts: list[str]) -> bool:
    """Whether groups joined by hyphens hold enough digits: no aircraft, paper size or model."""
    numbers = [part for part in parts if part.isdigit()]
    long = len(numbers[0]) >= _MIN_DIGITS and not _YEAR.fullmatch(numbers[0])
    return "-" in code and (len(numbers) > 1 or long)
