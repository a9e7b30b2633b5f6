"""A number with what belongs to it: sign, currency, range, scale word, percent or unit."""

from __future__ import annotations

import re
from functools import cache

from speech.text import units
from speech.text.language import Currency, Language
from speech.text.numbers import Number, gender_before_noun, parse, speak
from speech.text.positions import Edit
from speech.text.source import Source
from speech.text.spelling import cardinal, year

_CURRENCY_SIGNS = {
    "$": "$", "US$": "USD", "USD": "USD", "U$S": "USD", "€": "EUR", "EUR": "EUR", "£": "GBP",
    "GBP": "GBP", "¥": "JPY", "JPY": "JPY", "CNY": "CNY", "RMB": "CNY", "₹": "INR", "INR": "INR",
    "CHF": "CHF", "₩": "KRW", "KRW": "KRW", "₽": "RUB", "RUB": "RUB", "₿": "BTC", "BTC": "BTC",
    "C$": "CAD", "CA$": "CAD", "CAD": "CAD", "A$": "AUD", "AU$": "AUD", "AUD": "AUD",
    "NZ$": "NZD", "HK$": "HKD", "R$": "BRL", "BRL": "BRL", "MX$": "MXN", "MXN": "MXN",
    "₺": "TRY", "TRY": "TRY", "₴": "UAH", "₪": "ILS", "₫": "VND", "฿": "THB", "₱": "PHP",
    "₦": "NGN", "zł": "PLN", "PLN": "PLN", "kr": "SEK", "SEK": "SEK", "NOK": "NOK",
    "DKK": "DKK", "ZAR": "ZAR", "SGD": "SGD", "S$": "SGD", "¢": "¢",
}  # fmt: skip
_SIGN_ALTERNATIVES = "|".join(map(re.escape, sorted(_CURRENCY_SIGNS, key=len, reverse=True)))
_PREFIX = re.compile(rf"({_SIGN_ALTERNATIVES})[ \u00a0\u202f]?(?=\d)")
_SUFFIX = re.compile(rf"[ \u00a0\u202f]?({_SIGN_ALTERNATIVES})(?!\w|\$?\d)")
_BARE_PREFIX = re.compile(r"[A-Z]{3}[ \u00a0]?(?=\d)")
_RANGE = re.compile(r"(?:[-–—]| [-–—] )(?=[$€£]?\d)")
_PERCENT_RANGE = re.compile(r"[ \u00a0\u202f]?%[ ]?[-–—][ ]?(?=\d[\d.,]{0,9}[ \u00a0\u202f]?%)")
_PERCENT = re.compile(r"[ \u00a0\u202f]?(%|‰)")
_PERCENTAGE = re.compile(r"[ \u00a0\u202f]?%-?(ig\w*)")
_PER = re.compile(r"[ ]?/[ ]?(?=([^\W\d_]+)(?![\w/@]|\.\w))")
_PER_ABBREVIATIONS = {
    "en": {"mo": "month", "yr": "year", "hr": "hour", "h": "hour", "wk": "week", "s": "second",
           "sec": "second", "min": "minute", "mi": "mile", "kg": "kilogram", "lb": "pound",
           "GB": "gigabyte", "m": "meter", "L": "liter", "l": "liter", "kWh": "kilowatt hour",
           "d": "day", "g": "gram", "M": "million"},
    "de": {"h": "Stunde", "Std": "Stunde", "s": "Sekunde", "kg": "Kilogramm", "l": "Liter",
           "m": "Meter", "kWh": "Kilowattstunde", "GB": "Gigabyte", "min": "Minute"},
    "fr": {"h": "heure", "s": "seconde", "kg": "kilogramme", "l": "litre", "m": "mètre",
           "kWh": "kilowatt-heure", "j": "jour", "min": "minute"},
    "es": {"h": "hora", "s": "segundo", "kg": "kilogramo", "l": "litro", "m": "metro",
           "kWh": "kilovatio hora", "min": "minuto"},
}  # fmt: skip
_BY = re.compile(
    r"[ ]?x[ ]?(?=\d)|[ ]×[ ](?=\d[\d.,]*[ ]?(?:px|pixels?|[mck]?m|in|ft)\b)"
    r"|×(?=\d[\d.,]*(?![\d.,]*[ ]?=))"
)
_FOLLOWING_NOUN = re.compile(r"[ -][a-z]")
_NAMED = re.compile(
    r"[ ](?:US |mexikanische )?(?i:dollars?|dólar(?:es)?|pesos?|euros?|pounds?|yen|reais|soles)\b"
)
"""A currency's name behind an amount that has its sign already."""
_ENGLISH_THOUSANDS = re.compile(r"(\d{1,3}(?:,\d{3})+)(?:\.(\d{2}))?(?![\d.,]\d|\d)")
_DOLLARS = frozenset(["$", "US$", "MX$", "USD", "MXN"])
_UNIT_BY = re.compile(r"[ ]?[x×][ ]?(?=\d)")
_PRODUCT = re.compile(r"[ ]x[ ](?=\d[\d.,]*[ ]?=)")
_HYPHENED_UNIT = re.compile(r"-(?=(?:[kcm]m|k?g|mg|ml|oz|lbs?|ft|[GMT]B|[kMG]?Hz|kWh?|mph)\b)")
_TIMES = re.compile(r"[x×](?!\w|[ ]?[-+−=*/^)])")
_COUNTED = re.compile(r"[ ][a-z]{2,}s\b")
_HEIGHT = re.compile(r"(\d)['′’](\d{1,2})[\"″”]?(?!\w)")
_FEET = re.compile(
    r"(\d{1,2})[ ]?ft\.?[ ](\d|1[01])[ ]?in(?![ ](?:the|an?|my|our|your|his|her|their|its)\b)"
    r"(?:\.(?=[ ][a-z,])|(?![\w.])|(?=\.))"
)


@cache
def _scale_pattern(language: Language) -> re.Pattern[str]:
    words = "|".join(sorted(language.magnitudes, key=len, reverse=True))
    letters = "|".join(map(re.escape, sorted(language.scale_letters, key=len, reverse=True)))
    return re.compile(
        rf"[ \u00a0\u202f-](?P<word>(?i:{words}))(?!\w)"
        rf"|[ \u00a0\u202f]?(?P<letter>{letters})(?!\w|/s)"
    )


@cache
def _currency(sign: str, language: Language) -> Currency:
    code = _CURRENCY_SIGNS[sign]
    if code in language.currencies:
        return language.currencies[code]
    from babel.numbers import get_currency_name

    return Currency(
        get_currency_name(code, 1, language.locale), get_currency_name(code, 2, language.locale)
    )


def quantity_rule(source: Source, at: int) -> Edit | None:
    """Any number, with or without a currency sign, minus, scale word, percent sign or unit."""
    text, language = source.text, source.language
    words = language.words
    position = at
    sign = ""
    if text[at] in "-−+–":
        if (
            not source.char_before(at).isspace()
            and source.char_before(at) not in "([{=<>,;:/*\"'“«~"
        ):
            return None
        sign = words["plus" if text[at] == "+" else "minus"] + " "
        position += 1
    currency: Currency | None = None
    if prefix := _PREFIX.match(text, position):
        if source.char_before(at).isalnum():
            return None
        currency = _currency(prefix[1], language)
        position = prefix.end()
        if source.char_at(position) in "-−":
            return None
    first = parse(source, position)
    if first is None:
        return None
    if prefix and prefix[1] in _DOLLARS and (grouped := _ENGLISH_THOUSANDS.match(text, position)):
        whole, places = grouped[1].replace(",", ""), grouped[2] or ""
        first = Number(grouped.end(), whole, places, True)
    last: Number | None = None
    end = first.end
    dash = _RANGE.match(text, end) or _PERCENT_RANGE.match(text, end)
    if not sign and dash:
        again = _PREFIX.match(text, dash.end())
        if again is None or currency is not None:
            last = parse(source, again.end() if again else dash.end())
            if last is not None and _is_subtraction(text, last.end):
                return source.edit(
                    at,
                    last.end,
                    f"{speak(first, language)} {words['minus']} {speak(last, language)}",
                )
            if last is not None:
                end = last.end
    closing = last or first
    attributive = _is_attributive(source, at)
    scale = _scale(source, end, currency is not None)
    if scale:
        end = scale[0]
    if currency is None and (suffix := _SUFFIX.match(text, end)):
        currency = _currency(suffix[1], language)
        end = suffix.end()
    if currency is not None:
        if _NAMED.match(text, end):
            currency = Currency("", "")
        elif attributive and _FOLLOWING_NOUN.match(text, end):
            currency = Currency(currency.one, currency.one, currency.cent, currency.cent)
        said = _money(first, last, scale[1] if scale else None, currency, language).rstrip()
    else:
        said, end = _measured(source, first, last, scale, end, attributive)
    if per := _PER.match(text, end):
        noun = _PER_ABBREVIATIONS[language.code].get(per[1])
        if currency is not None or noun or scale or units.match(text, closing.end, language):
            said = f"{said} {words['per']} {noun}" if noun else f"{said} {words['per']} "
            end = per.end(1) if noun else per.end()
    return source.edit(at, end, sign + said)


def _is_attributive(source: Source, at: int) -> bool:
    """Whether an English amount stands before its noun, in the singular: a five dollar bill."""
    return source.language.code == "en" and source.word_before(at).lower() in ("a", "an")


def _is_subtraction(text: str, end: int) -> bool:
    return re.compile(r"[ ]?=").match(text, end) is not None


def _scale(source: Source, at: int, is_money: bool) -> tuple[int, str] | None:
    """The end and the key of the scale word after an amount."""
    found = _scale_pattern(source.language).match(source.text, at)
    if found is None:
        return None
    if found["word"]:
        return found.end(), found["word"].lower()
    letter, attached = found["letter"], found.start("letter") == at
    if len(letter) <= 2 and not letter.endswith(".") and not is_money:
        follows_currency = _SUFFIX.match(source.text, found.end()) is not None
        if not follows_currency and not (attached and letter in ("k", "M", "B")):
            return None
        is_decimal = source.char_before(at - 1) in ".," or source.char_before(at - 2) in ".,"
        counted = is_decimal or _COUNTED.match(source.text, found.end())
        if letter in ("M", "B") and not follows_currency and not counted:
            return None
    if len(letter) == 1 and not attached and source.language.code == "en":
        return None
    return found.end(), source.language.scale_letters[letter]


def _span(first: Number, last: Number | None, language: Language, gender: str) -> str:
    said = speak(first, language, gender if last is None else "")
    if last is None:
        return said
    return f"{said} {language.words['to']} {speak(last, language, gender)}"


def _is_singular(number: Number, language: Language) -> bool:
    if language.code == "fr":
        return number.whole in ("0", "1")
    return number.is_one


def _money(
    first: Number, last: Number | None, scale: str | None, currency: Currency, language: Language
) -> str:
    gender = "f" if currency.feminine else "m"
    if scale is not None:
        if not currency.many:
            return _scaled(first, last, scale, language)
        joint = {"fr": " d'" if currency.many[0] in "aeiouy" else " de ", "es": " de "}.get(
            language.code, " "
        )
        if language.magnitudes[scale][0] in ("mil", "mille"):
            joint = " "
        return f"{_scaled(first, last, scale, language)}{joint}{currency.many}"
    if last is None and currency.cent and len(first.places) == 2:
        return _with_cents(first, currency, language)
    singular = last is None and _is_singular(first, language)
    return f"{_span(first, last, language, gender)} {currency.one if singular else currency.many}"


def _with_cents(amount: Number, currency: Currency, language: Language) -> str:
    code = language.code
    cents = int(amount.places)
    whole = ""
    if int(amount.whole) or not cents:
        bare = Number(amount.end, amount.whole, "", True)
        noun = currency.one if _is_singular(bare, language) else currency.many
        whole = f"{speak(bare, language, 'f' if currency.feminine else 'm')} {noun}"
    if not cents:
        return whole
    if code == "de" and whole:
        return f"{whole} {cardinal(cents, code)}"
    noun = currency.cent if cents == 1 else currency.cents
    said = f"{cardinal(cents, code, 'm')} {noun}"
    joint = {"es": "con"}.get(code, language.words["and"])
    return f"{whole} {joint} {said}" if whole else said


def _scaled(first: Number, last: Number | None, scale: str, language: Language) -> str:
    one, many = language.magnitudes[scale]
    single = last is None and first.whole == "1" and (not first.places or language.code == "fr")
    gender = "f" if language.code == "de" and one[0].isupper() and first.is_one else "m"
    if language.code in ("fr", "es") and one in ("mil", "mille") and first.is_one:
        return one
    return f"{_span(first, last, language, gender)} {one if single else many}"


def _measured(
    source: Source,
    first: Number,
    last: Number | None,
    scale: tuple[int, str] | None,
    end: int,
    attributive: bool,
) -> tuple[str, int]:
    """What a number without a currency says, and where it ends."""
    text, language = source.text, source.language
    if scale:
        return _scaled(first, last, scale[1], language), end
    if language.code == "de" and (adjective := _PERCENTAGE.match(text, end)):
        return f"{_span(first, last, language, 'n')}prozent{adjective[1]}", adjective.end()
    if percent := _PERCENT.match(text, end):
        noun = language.words["percent" if percent[1] == "%" else "thousandths"]
        return (
            f"{_span(first, last, language, 'n' if language.code == 'de' else '')} {noun}",
            percent.end(),
        )
    if last is None and (product := _PRODUCT.match(text, end)):
        return f"{speak(first, language)} {language.words['times']} ", product.end()
    if last is None and (by := _BY.match(text, end)):
        said = _side(first, language)
        for _ in range(2):
            following = parse(source, by.end())
            if following is None:
                break
            sides = " " not in by[0] or units.match(text, following.end, language)
            joint = "by" if sides or language.code != "fr" else "times"
            said += f" {language.words[joint]} {_side(following, language)}"
            end, first = following.end, following
            by = _BY.match(text, end)
            if by is None:
                break
        unit = units.match(text, end, language)
        if unit:
            return f"{said} {units.name(unit[1], language, plural=True)}", unit[0]
        return said, end
    hyphen = _HYPHENED_UNIT.match(text, end) if language.code == "en" else None
    if unit := units.match(text, hyphen.end() if hyphen else end, language):
        gender = "f" if units.is_feminine(unit[1], language) else "m"
        plural = last is not None or not _is_singular(first, language)
        if hyphen or (attributive and _FOLLOWING_NOUN.match(text, unit[0])):
            plural = False
        said = f"{_span(first, last, language, gender)} "
        said += units.name(unit[1], language, plural=plural)
        if unit[1].endswith(".") and source.is_end(unit[0]):
            said += "."
        if by := _UNIT_BY.match(text, unit[0]):
            return f"{said} {language.words['by']} ", by.end()
        return said, unit[0]
    if last is None and (times := _TIMES.match(text, end)):
        return f"{speak(first, language)} {language.words['times']}", times.end()
    gender = gender_before_noun(source, end)
    return _span(first, last, language, gender), end


def _side(number: Number, language: Language) -> str:
    """One side of 1920x1080: nineteen twenty by ten eighty in English."""
    if language.code == "en" and len(number.whole) == 4 and not number.places:
        return year(int(number.whole), "en")
    return speak(number, language)


def height_rule(source: Source, at: int) -> Edit | None:
    """`5'10"` and `5 ft 10 in` in English."""
    if source.language.code == "en" and (feet := _FEET.match(source.text, at)):
        one, ten = cardinal(int(feet[1]), "en"), cardinal(int(feet[2]), "en")
        attributive = _is_attributive(source, at)
        long = "foot" if feet[1] == "1" or attributive else "feet"
        short = "inch" if feet[2] == "1" or attributive else "inches"
        return Edit(at, feet.end(), f"{one} {long} {ten} {short}")
    found = _HEIGHT.match(source.text, at)
    if found is None or source.language.code != "en" or int(found[2]) > 11:
        return None
    return Edit(
        at, found.end(), f"{cardinal(int(found[1]), 'en')} foot {cardinal(int(found[2]), 'en')}"
    )


def currency_code_rule(source: Source, at: int) -> Edit | None:
    """`USD 5`, which starts with letters."""
    if not _BARE_PREFIX.match(source.text, at) and not re.compile(
        r"[A-Z]{1,2}\$[ \u00a0]?\d"
    ).match(source.text, at):
        return None
    return quantity_rule(source, at) if _PREFIX.match(source.text, at) else None
