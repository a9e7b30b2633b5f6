"""Numbers and letters that are read one by one: PINs, postcodes, order and booking numbers."""

from __future__ import annotations

import re

from speech.text.positions import Edit
from speech.text.source import Source
from speech.text.spelling import digits

_NUMBER = re.compile(r"\d{3,10}(?![\w%°$€£]|[.,:/-]\d|[ ]?[€$£%])")
_BEFORE_NUMBER = re.compile(
    r"(?i)(?:\b(?:pin|zip|passcode|otp|plz|postleitzahl|geheimzahl|error|"
    r"(?:\w{1,12}-?)?code|códigos?|clave|code postal)"
    r"(?:[ ](?:code|postal|number|is|was|ist|lautet|es|est))*:?"
    r"|\b(?:card|account|number|phone|visa|mastercard|tarjeta|cuenta|número)\b[^.]{0,15}"
    r" (?:ending|ends|terminad[ao]|termina|acabad[ao]|acaba) (?:in|with|en)"
    r"|\b(?:endet auf|mit den endziffern|(?:se )?(?:terminant|termine|finissant) par"
    r"|last (?:four|4) digits(?: are)?|letzten vier ziffern(?: sind)?))[ *]*$"
)
"""What tells that the number after it is a name, not an amount."""
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
_PARTS = re.compile(r"[A-Z]+|\d+")
_YEAR = re.compile(r"(?:19|20)\d\d")
_MIN_PARTS = 3
"""Runs of letters and of digits that nobody reads as words and numbers."""
_MIN_DIGITS = 4
"""Digits behind a hyphen that are read one by one: `A-1234`, but `B-52` and `SHA-256`."""


def code_rule(source: Source, at: int) -> Edit | None:
    """`4711` after `PIN`, `90210` after `ZIP`, `4242` after `ending in`, `911` after `dial`."""
    near = source.text[max(0, at - _LOOK_BACK_CHARS) : at]
    if found := _CALLED.match(source.text, at):
        known = _CALLING.search(near) or _BEFORE_NUMBER.search(near)
    else:
        found = _NUMBER.match(source.text, at)
        known = _BEFORE_NUMBER.search(near) if found else None
    if found is None or known is None:
        return None
    return source.edit(at, found.end(), digits(found[0], source.language.code))


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
    said = ", ".join(
        " ".join(
            digits(part, language.code) if part.isdigit() else "-".join(part)
            for part in _PARTS.findall(group)
        )
        for group in code.split("-")
    )
    lead = f"{language.words['number']} " if source.char_before(at + 1) == "#" else ""
    return source.edit(at, found.end(), lead + said)


def _is_reference(code: str, parts: list[str]) -> bool:
    """Whether groups joined by hyphens hold enough digits: no aircraft, paper size or model."""
    numbers = [part for part in parts if part.isdigit()]
    long = len(numbers[0]) >= _MIN_DIGITS and not _YEAR.fullmatch(numbers[0])
    return "-" in code and (len(numbers) > 1 or long)
