"""Plain numbers: cardinals, decimals, ordinals, years, fractions, ratios and Roman numerals."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache

from speech.text import units
from speech.text.language import Language, word_set
from speech.text.positions import Edit
from speech.text.source import Source
from speech.text.spelling import cardinal, decimal_places, digits, ordinal, year

_MAX_PLAIN_DIGITS = 9
_FEMININE_ENDINGS = {
    "de": ("e", "ung", "heit", "keit", "ion", "schaft", "tät", "ei"),
    "fr": ("tion", "sion", "té", "ée", "ure", "ette", "ance", "ence", "aine", "ie", "ère", "elle"),
    "es": ("a", "as", "dad", "dades", "ción", "ciones", "sión", "siones", "tud", "tudes"),
}
"""Noun endings that are feminine far more often than not."""
_SPANISH_MASCULINE = word_set(
    "día días problema problemas programa programas sistema sistemas idioma idiomas tema temas "
    "mapa mapas planeta planetas poema poemas clima a la las era"
)
_SPANISH_JOINTS = frozenset(["y", "o", "de", "a", "en", "es", "por", "más", "menos", "que"])
_SPANISH_FEMININE = word_set(
    "vez veces luz luces voz voces mano manos noche noches tarde tardes clase clases calle calles "
    "parte partes llave llaves mujer mujeres flor flores red redes base bases nube nubes"
)
_FRENCH_FEMININE = word_set(
    "heure minute seconde page personne chose ville tasse nuit place étape ligne fois tonne "
    "livre question réponse partie phrase table femme fille idée pomme pièce route règle image "
    "équipe classe fleur fin main chambre fenêtre porte clé carte rue bouteille feuille famille "
    "tranche gousse branche boîte semaine année journée brosse"
)
_GERMAN_FEMININE = ("zwiebel", "kartoffel", "tafel", "schüssel", "nudel", "butter")
_GERMAN_MASCULINE = ("er", "el", "tag", "monat", "grad", "kopf", "saft", "kohl", "tl")
_NEXT_WORD = re.compile(r"[\s-]{1,2}([^\W\d_]+)")
_PLURAL_NOUN = {
    "en": re.compile(r"(?!(?:was|is|has|as|its|this|does|plus|thus|us|census)\b)[a-z]{2,}s\b"),
    "de": re.compile(r"(?!)"),
    "fr": re.compile(r"(?!)"),
    "es": re.compile(r"(?!)"),
}
_ORDINAL_SUFFIX = {
    "en": re.compile(r"(?:st|nd|rd|th|ST|ND|RD|TH)(?!\w)"),
    "de": re.compile(r"\.(?=\s[^\W\d_]|,\s\d{1,3}\.\s)|(?=\.[\s\"”“»)*_]*$)"),
    "fr": re.compile(r"(?P<first>ers?|res?|ères?)(?!\w)|(?:e|è|ᵉ|es|ème|èmes|ième|nde?)(?!\w)"),
    "es": re.compile(
        r"\.?(?P<feminine>ª|a(?!\w))|\.?º|\.?(?:er|ro|do|to|mo|vo|no)(?!\w)|\.?(?P<adj>ᵉʳ)"
    ),
}
_SHORT_DECADE = re.compile(r"(['’]?)([2-9]0)['’]?s(?!\w)")
_BEFORE_DECADE = word_set("the his her their my your our early mid late or and")
_GERMAN_SHORT_DECADE = re.compile(r"([1-9]\d)(ern?)(?!\w)")
_GERMAN_DECADE = re.compile(r"er(?!\w)")
_DECADE = re.compile(r"['’]?s(?!\w)")
_FRACTION = re.compile(r"(\d{1,3})[/⁄](\d{1,3})(?![\d/]|[.,]\d)")
_RATIO = re.compile(r"(\d{1,4}):(\d{1,4})(?![\d:]|\.\d)")
_FRACTION_CONTEXT = re.compile(
    r"[ ]?(?:of|cups?|cup|tsp|tbsp|teaspoons?|tablespoons?|inch|mile|hour)\b"
)
_RELEASE = re.compile(r"(\d{1,3})\.(\d{1,3})(?!\d|\.\d)")
_FRENCH_CENTURY = re.compile(r"([IVX]{1,6})(?:er|re|e|ᵉ|ème)(?!\w)")
_SCIENTIFIC = re.compile(r"(\d{1,15})(?:\.(\d{1,15}))?[eE]([+-]?)(\d{1,3})(?!\w|\.\d)")
_BARE_PLACES = re.compile(r"\.(\d{1,15})(?!\w|\.\d)")
_ROMAN = re.compile(r"(?=[IVXLC])(?:C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})(?!\w)")
_ROMAN_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}
_ENGLISH_OUT_OF = frozenset([5, 10, 20, 50, 100])
_VERSIONED = word_set(
    "python node java ubuntu debian ios ipados android windows macos kernel linux php ruby "
    "golang rust django react angular vue swift kotlin gpt claude llama gemini qwen mistral "
    "version v release postgres postgresql mysql redis typescript fedora bluetooth usb wifi "
    "http tls chapter section cuda opengl vulkan"
)


@dataclass(frozen=True, slots=True)
class Number:
    """A number as written."""

    end: int
    whole: str
    """Digits before the decimal sign, without separators."""
    places: str
    """Digits after it; empty if there are none."""
    grouped: bool
    """Whether thousands were separated."""
    dotted: bool = False
    """Whether a full stop stands for the decimal sign in a language that uses a comma."""

    @property
    def is_one(self) -> bool:
        """Whether the noun that follows stands in the singular in every language."""
        return self.whole == "1" and not self.places


@cache
def _pattern(language: Language) -> re.Pattern[str]:
    group = re.escape(language.grouping)
    dec = re.escape(language.decimal)
    return re.compile(
        rf"(?:(?P<grouped>\d{{1,3}}(?P<sep>[{group}])\d{{3}}(?:(?P=sep)\d{{3}}){{0,6}})"
        rf"(?!\d|(?P=sep)\d)|(?P<plain>\d{{1,40}}))(?:{dec}(?P<places>\d{{1,20}})(?!\d))?"
    )


def parse(source: Source, at: int) -> Number | None:
    """The number that starts at a position, by the language's separators."""
    found = _pattern(source.language).match(source.text, at)
    if found is None or source.char_at(found.end()).isdecimal():
        return None
    whole = found["plain"]
    grouped = whole is None
    if whole is None:
        whole = re.sub(r"\D", "", found["grouped"])
    places = found["places"] or ""
    end = found.end()
    dotted = False
    if not grouped and not places and source.language.decimal == ",":
        point = re.compile(r"\.(\d{1,20})(?![\d.]|,\d)").match(source.text, end)
        if point:
            places, end, dotted = point[1], point.end(), True
    if not whole.isascii() or not places.isascii():
        whole = "".join(str(unicodedata.decimal(char)) for char in whole)
        places = "".join(str(unicodedata.decimal(char)) for char in places)
    return Number(end, whole, places, grouped, dotted)


def speak(number: Number, language: Language, gender: str = "") -> str:
    """The number as words; long bare numbers and those with leading zeros digit by digit."""
    code = language.code
    bare = not number.grouped and not number.places
    if bare and (
        len(number.whole) > _MAX_PLAIN_DIGITS or (number.whole[0] == "0" and len(number.whole) > 1)
    ):
        return digits(number.whole, code)
    if not number.places:
        counts = code != "de" or number.is_one
        return cardinal(int(number.whole), code, gender if counts else "")
    point = language.words["dot" if number.dotted and code == "de" else "point"]
    whole = cardinal(int(number.whole), code)
    return f"{whole} {point} {decimal_places(number.places, code)}"


def gender_before_noun(source: Source, end: int) -> str:
    """`m` or `f` where a noun follows a number, empty where the number stands alone."""
    following = _NEXT_WORD.match(source.text, end)
    code = source.language.code
    if following is None or code == "en" or source.text[end] == "-":
        return ""
    word = following[1]
    if code == "de" and not word[0].isupper():
        return ""
    if _is_feminine(word, code):
        return "f"
    if code == "de":
        return "n"
    if code == "es" and word in _SPANISH_JOINTS:
        return ""
    if code == "fr" and word in ("et", "ou", "de", "à", "en", "est", "sur", "par"):
        return ""
    return "m"


def _is_feminine(noun: str, code: str) -> bool:
    if code == "es":
        feminine = noun.endswith(_FEMININE_ENDINGS["es"]) or noun in _SPANISH_FEMININE
        return feminine and noun not in _SPANISH_MASCULINE
    if code == "fr":
        noun = noun if noun == "fois" else noun.removesuffix("s")
        return noun in _FRENCH_FEMININE or noun.endswith(_FEMININE_ENDINGS["fr"])
    feminine = noun.endswith(_FEMININE_ENDINGS["de"]) or noun.lower().endswith(_GERMAN_FEMININE)
    return code == "de" and feminine


def year_rule(source: Source, at: int) -> Edit | None:
    """Four digits that are a year, by what stands before and after; decades too."""
    language, text = source.language, source.text
    digits_ = text[at : at + 4]
    if not (digits_.isascii() and digits_.isdigit()) or source.char_at(at + 4).isdigit():
        return None
    value = int(digits_)
    follower = source.char_at(at + 4)
    if follower in ",.:" and source.char_at(at + 5).isdigit():
        return None
    if language.code == "en" and 1000 < value < 2100 and (decade := _DECADE.match(text, at + 4)):
        return source.edit(at, decade.end(), _plural_of_decade(year(value, "en"), value))
    if language.code == "de" and 1000 < value < 2100 and _GERMAN_DECADE.match(text, at + 4):
        return source.edit(at, at + 6, f"{year(value, 'de')}er")
    if follower.isalpha() or follower in "%°€$£":
        return None
    before = source.word_before(at).lower()
    in_context = before in language.year_words or before in language.months
    if not (1001 <= value <= 2099 and in_context) and not 1900 <= value <= 2099:
        return None
    following = _NEXT_WORD.match(text, at + 4)
    if following and not in_context and _PLURAL_NOUN[language.code].match(following[1]):
        return None
    if (
        following
        and in_context
        and value % 100 == 0
        and _PLURAL_NOUN[language.code].match(following[1])
    ):
        return None
    return source.edit(at, at + 4, year(value, language.code))


def short_decade_rule(source: Source, at: int) -> Edit | None:
    """`'90s` and `80s`; in German `90er`."""
    if source.language.code == "de" and (tens := _GERMAN_SHORT_DECADE.match(source.text, at)):
        return Edit(at, tens.end(), f"{cardinal(int(tens[1]), 'de')}{tens[2]}")
    found = _SHORT_DECADE.match(source.text, at)
    if found is None or source.language.code != "en" or source.char_before(at).isalnum():
        return None
    if not found[1] and source.word_before(at).lower() not in _BEFORE_DECADE:
        return None
    return Edit(at, found.end(), _plural_of_decade(cardinal(int(found[2]), "en"), int(found[2])))


def _plural_of_decade(said: str, value: int) -> str:
    return (
        f"{said}s" if value % 100 == 0 else f"{said[:-1]}ies" if said.endswith("y") else f"{said}s"
    )


def ordinal_rule(source: Source, at: int) -> Edit | None:
    """`21st`, `3.` before a German noun, `2e`, `1.º`."""
    language = source.language
    number = re.compile(r"\d{1,3}(?:,\d{3})?" if language.code == "en" else r"\d{1,4}").match(
        source.text, at
    )
    if number is None:
        return None
    suffix = _ORDINAL_SUFFIX[language.code].match(source.text, number.end())
    if suffix is None:
        return None
    value = int(number[0].replace(",", ""))
    form = ""
    if language.code == "de":
        if value > 100 or source.text[max(0, at - 2) : at].rstrip().endswith("."):
            return None
        before = source.word_before(at)
        if not suffix[0] and before.lower() not in ("am", "zum", "vom", "beim"):
            return None
        form = language.ordinal_form(before)
    elif language.code == "fr":
        if suffix["first"]:
            if value != 1:
                return None
            masculine = suffix["first"].startswith("e")
            form = f"spellout-ordinal-{'masculine' if masculine else 'feminine'}"
    elif language.code == "es":
        if suffix["feminine"]:
            form = "spellout-ordinal-feminine"
        elif suffix[0].endswith(("er", "ᵉʳ")):
            form = "spellout-ordinal-masculine-adjective"
    return source.edit(at, suffix.end(), ordinal(value, language.code, form))


def fraction_rule(source: Source, at: int) -> Edit | None:
    """`3/4`, `1 1/2`, `8/10`, `24/7`."""
    language = source.language
    mixed = re.compile(r"(\d{1,3})[ \u00a0]?(?=\d{1,2}[/⁄]\d)").match(source.text, at)
    whole = ""
    start = at
    if mixed and mixed.end() > mixed.end(1):
        whole, start = mixed[1], mixed.end()
    found = _FRACTION.match(source.text, start)
    if found is None or source.char_at(found.end()).isalpha():
        return None
    top, bottom = int(found[1]), int(found[2])
    code, words = language.code, language.words
    if found[1].startswith("0") or found[2].startswith("0") or (whole and top >= bottom):
        return None
    if (top, bottom) == (24, 7) or (code == "en" and ((top, bottom) == (9, 11) or top == bottom)):
        said = f"{cardinal(top, code)} {cardinal(bottom, code)}"
    elif top >= bottom or bottom > 100:
        said = f"{cardinal(top, code)} {words['over']} {cardinal(bottom, code)}"
    elif bottom in _ENGLISH_OUT_OF and not _FRACTION_CONTEXT.match(source.text, found.end()):
        said = f"{cardinal(top, code)} {words['out_of']} {cardinal(bottom, code)}"
    else:
        said = simple_fraction(top, bottom, language)
    if whole and code != "en" and (top, bottom) == (1, 2):
        said = _and_a_half(source, int(whole), found.end())
    elif whole:
        alone = code == "en" and top == 1
        said = f"{cardinal(int(whole), code)} {words['and']} {'a' + said[3:] if alone else said}"
    return _with_unit(source, at, found.end(), said, plural=bool(whole))


def _with_unit(source: Source, at: int, end: int, said: str, *, plural: bool) -> Edit:
    """A fraction with the unit after it: three quarters liter, `trois quarts de litre`."""
    language = source.language
    unit = units.match(source.text, end, language)
    noun = units.name(unit[1], language, plural=plural) if unit else ""
    half = _half(source, end, noun) if said == simple_fraction(1, 2, language) else ""
    if unit is None:
        return source.edit(at, end, half or said)
    if half:
        return source.edit(at, unit[0], f"{half} {noun}")
    joint = " "
    if language.code in ("fr", "es") and not plural:
        joint = " d'" if language.code == "fr" and noun[0] in "aeiouhy" else " de "
    return source.edit(at, unit[0], f"{said}{joint}{noun}")


def simple_fraction(top: int, bottom: int, language: Language) -> str:
    """A proper fraction as words: three quarters, two fifths."""
    code = language.code
    if bottom in language.fractions:
        noun = language.fractions[bottom][top != 1]
    elif code == "de":
        noun = ordinal(bottom, code).capitalize() + "l"
    else:
        noun = ordinal(bottom, code) + ("s" if top != 1 else "")
    return f"{cardinal(top, code, 'n' if code == 'de' else 'm')} {noun}"


def _half(source: Source, end: int, noun: str) -> str:
    """One half before its noun in German, French and Spanish: `eine halbe`, `media`."""
    code = source.language.code
    if not noun:
        found = _NEXT_WORD.match(source.text, end)
        noun = found[1] if found else ""
    feminine = _is_feminine(noun, code)
    if code == "fr" and noun:
        return "une demi" if feminine else "un demi"
    if code == "es" and noun and noun not in _SPANISH_JOINTS:
        return "media" if feminine else "medio"
    if code == "de" and noun[:1].isupper():
        masculine = noun.lower().endswith(_GERMAN_MASCULINE)
        return "eine halbe" if feminine else "ein halber" if masculine else "ein halbes"
    return ""


def _and_a_half(source: Source, whole: int, end: int) -> str:
    """`zweieinhalb`, `deux et demie`, `dos y media`, before the noun that stands at `end`."""
    language = source.language
    code = language.code
    if code == "de":
        return f"{cardinal(whole, code, 'm')}einhalb"
    unit = units.match(source.text, end, language)
    found = _NEXT_WORD.match(source.text, end)
    noun = units.name(unit[1], language, plural=True) if unit else found[1] if found else ""
    gender = "f" if _is_feminine(noun, code) else "m"
    half = {"fr": ("demi", "demie"), "es": ("medio", "media")}[code][gender == "f"]
    return f"{cardinal(whole, code, gender)} {language.words['and']} {half}"


def vulgar_fraction_rule(source: Source, at: int) -> Edit | None:
    """`½`, and `1½` from its whole number on."""
    text = source.text
    whole = re.compile(r"\d{1,4}(?=[ ]?[¼-¾⅐-⅞])[ ]?").match(text, at)
    sign = whole.end() if whole else at
    parts = unicodedata.normalize("NFKC", source.char_at(sign)).split("⁄")
    if len(parts) != 2 or not all(part.isdigit() for part in parts):
        return None
    language = source.language
    said = simple_fraction(int(parts[0]), int(parts[1]), language)
    if whole:
        if language.code == "en" and parts[0] == "1":
            said = "a" + said[3:]
        if language.code != "en" and parts == ["1", "2"]:
            said = _and_a_half(source, int(whole[0]), sign + 1)
            return _with_unit(source, at, sign + 1, said, plural=True)
        said = f"{cardinal(int(whole[0]), language.code)} {language.words['and']} {said}"
    return _with_unit(source, at, sign + 1, said, plural=bool(whole))


def ratio_rule(source: Source, at: int) -> Edit | None:
    """`16:9`, `3:1`."""
    found = _RATIO.match(source.text, at)
    if found is None:
        return None
    code = source.language.code
    left, right = cardinal(int(found[1]), code), cardinal(int(found[2]), code)
    return source.edit(at, found.end(), f"{left} {source.language.words['ratio']} {right}")


def scientific_rule(source: Source, at: int) -> Edit | None:
    """`1.5e-5`: one point five times ten to the power of minus five."""
    found = _SCIENTIFIC.match(source.text, at)
    if found is None or source.char_before(at).isalnum():
        return None
    language = source.language
    words = language.words
    factor = speak(Number(0, found[1], found[2] or "", False), language)
    power = cardinal(int(found[4]), language.code)
    sign = f"{words['minus']} " if found[3] == "-" else ""
    ten = cardinal(10, language.code)
    said = f"{factor} {words['times']} {ten} {words['to_the_power']} {sign}{power}"
    return source.edit(at, found.end(), said)


def point_rule(source: Source, at: int) -> Edit | None:
    """`.5`, whose zero is not written."""
    found = _BARE_PLACES.match(source.text, at)
    if found is None or not (source.char_before(at).isspace() or source.char_before(at) in "($€"):
        return None
    language = source.language
    places = decimal_places(found[1], language.code)
    return source.edit(at, found.end(), f"{language.words['point']} {places}")


def release_rule(source: Source, at: int) -> Edit | None:
    """`3.11` after the name of something that has versions: three point eleven."""
    found = _RELEASE.match(source.text, at)
    name_end = at - 1 if source.char_before(at) == "-" else at
    if found is None or source.word_before(name_end).lower() not in _VERSIONED:
        return None
    language = source.language
    second = found[2]
    minor = (
        digits(second, language.code) if second[0] == "0" else cardinal(int(second), language.code)
    )
    point = "point" if language.code == "en" else language.words["dot"]
    return source.edit(at, found.end(), f"{cardinal(int(found[1]), language.code)} {point} {minor}")


def roman_rule(source: Source, at: int) -> Edit | None:
    """Roman numerals after a noun that takes them, or a French or Spanish century."""
    found = _ROMAN.match(source.text, at)
    language = source.language
    if found is None or not found[0]:
        century = _FRENCH_CENTURY.match(source.text, at)
        if language.code == "fr" and century:
            value = _roman_value(century[1])
            return Edit(at, century.end(), ordinal(value, "fr")) if value else None
        return None
    word = source.word_before(at)
    if word.lower() not in language.roman_nouns:
        return None
    value = _roman_value(found[0])
    is_name = word[:1].isupper() and word.lower() in _monarchs(language)
    if not value or (
        found[0] in ("I", "C", "L", "V", "X") and word[:1].islower() and found[0] != "V"
    ):
        return None
    if found[0] == "I" and (is_name and language.code == "en"):
        return None
    code = language.code
    if not is_name:
        return Edit(at, found.end(), cardinal(value, code))
    if code == "en":
        return Edit(at, found.end(), f"the {ordinal(value, code)}")
    if code == "de":
        article = "die" if _feminine_name(word) else "der"
        end = found.end()
        if re.compile(r"\.[ ][a-zäöü]").match(source.text, end):
            end += 1
        return Edit(at, end, f"{article} {ordinal(value, code)}")
    feminine = "spellout-ordinal-feminine" if _feminine_name(word) else ""
    by_ordinal = value == 1 if code == "fr" else value <= 10
    return Edit(
        at, found.end(), ordinal(value, code, feminine) if by_ordinal else cardinal(value, code)
    )


_MONARCHS = word_set(
    "elizabeth henry louis charles george edward james william richard john paul pius "
    "benedict leo napoleon philip catherine alexander nicholas francis ramses ptolemy mary "
    "peter frederick felipe juan carlos umberto victor wilhelm ludwig heinrich friedrich karl "
    "elisabeth otto georg franz johannes benedikt philipp katharina nikolaus henri françois "
    "napoléon élisabeth philippe jean pie benoît léon catherine alexandre nicolas guillaume "
    "alfonso isabel fernando enrique luis pablo pío benedicto león napoleón catalina "
    "alejandro nicolás"
)
_FEMININE_NAMES = frozenset(
    ["elizabeth", "elisabeth", "élisabeth", "isabel", "catherine", "katharina", "catalina", "mary"]
)


def _monarchs(language: Language) -> frozenset[str]:
    return _MONARCHS & language.roman_nouns


def _feminine_name(word: str) -> bool:
    return word.lower() in _FEMININE_NAMES


def _roman_value(text: str) -> int:
    total = 0
    previous = 0
    for letter in reversed(text):
        value = _ROMAN_VALUES[letter]
        total += value if value >= previous else -value
        previous = max(previous, value)
    return total


def is_versioned(word: str) -> bool:
    """Whether a word names something whose numbers are versions."""
    return word.lower() in _VERSIONED
