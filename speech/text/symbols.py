"""Signs: said by name where they mean something, left out where they are leftover markup."""

from __future__ import annotations

import re

from speech.text.language import word_set
from speech.text.positions import Edit
from speech.text.source import Source

_ARROWS = re.compile(r"<?[-=]{1,3}>|<[-=]{2,3}(?!\w)|→|⇒|➡")
_OPERATORS = {"!==": "≠", "===": "equals", "==": "equals", "!=": "≠", "<=": "≤", ">=": "≥",
              "&&": "&", "||": "or", "+=": "plus", ":=": "equals"}  # fmt: skip
_ELLIPSIS = re.compile(r"…+|\.{3,}(?!\w)|\.{3,}")
_EMOTICON = re.compile(r"(?:[:;=][-']?[)(DPpO/|*]|<3|:'\()(?![\w/])")
_SECTION = re.compile(r"§{1,2}[ \u00a0]?(?=[\dIVX])")
_OR_PAIRS = word_set(
    "he/she she/he his/her him/her her/him yes/no true/false s/he man/woman on/off his/hers "
    "er/sie sie/er ja/nein il/elle sí/no él/ella oui/non"
)
_SLASHED = re.compile(r"([^\W\d_]{1,30})/([^\W\d_]{1,30})(?![\w/])")
_LEFTOVER = frozenset("*_`|\\{}[]~^<>•‣◦▪●■□¶†‡¬¦´¨")
_SPACE = re.compile(r"[ \t]*")
_LOOK_AHEAD_CHARS = 64
_RANGE_DASHES = "-–—"


def slash_rule(source: Source, at: int) -> Edit | None:
    """`and/or`, `he/she`, `TCP/IP`, `input/output`, from the first word on."""
    found = _SLASHED.match(source.text, at)
    if found is None or source.char_before(at) in "/@.":
        return None
    words = source.language.words
    left, right = found[1], found[2]
    pair = found[0].lower()
    middle = found.end(1)
    if pair in ("n/a",) and source.language.code == "en":
        return Edit(at, found.end(), "not applicable")
    if pair in _OR_PAIRS:
        said = f" {words['or']} "
    elif (left.isupper() and right.isupper() and len(left) <= 5) or pair in (
        "and/or",
        "und/oder",
        "et/ou",
        "y/o",
    ):
        said = " "
    else:
        said = f" {words['slash']} "
    return Edit(middle, middle + 1, said)


def symbol_rule(source: Source, at: int) -> Edit | None:
    """One sign, with the signs that belong to it."""
    text, language = source.text, source.language
    char = text[at]
    words = language.words
    before, after = source.char_before(at), source.char_at(at + 1)
    if char in "….":
        return _ellipsis(source, at)
    if char in ":;=<" and before.isspace() and (found := _EMOTICON.match(text, at)):
        return Edit(at, found.end() + (source.char_at(found.end()) == " " and at == 0), "")
    if char in "-=<→⇒➡" and (found := _ARROWS.match(text, at)):
        sign = "⇒" if "=" in found[0] or found[0] == "⇒" else "→"
        if found[0] == "--" or (
            found[0] in ("<=", "=>") and after in "=" and source.char_at(at + 2).isspace()
        ):
            sign = "≤" if found[0] == "<=" else "→"
        said = (
            language.symbols["←"]
            if found[0].startswith("<") and ">" not in found[0]
            else language.symbols[sign]
        )
        return _word(source, at, found.end(), said)
    for length in (3, 2):
        operator = text[at : at + length]
        if operator == "==" and before.isspace() != source.char_at(at + 2).isspace():
            return Edit(at, at + 2, "")
        if len(operator) == length and operator in _OPERATORS:
            name = _OPERATORS[operator]
            return _word(source, at, at + length, words.get(name) or language.symbols[name])
    if char in _RANGE_DASHES:
        if source.spoken_to == at and (after.isdigit() or after in "$€£") and not before.isspace():
            return _word(source, at, at + 1, words["to"])
        return None
    if char == "§" and (found := _SECTION.match(text, at)):
        return Edit(at, found.end(), f"{words['section']} ")
    if char == "+":
        if text.startswith("++", at) and before.isalnum():
            return Edit(at, at + 2, f" {words['plus']} {words['plus']}")
        return _word(source, at, at + 1, words["plus"])
    if char == "=":
        return _word(source, at, at + 1, words["equals"])
    if char == "#":
        if before.isalpha() and not after.isalnum():
            return Edit(at, at + 1, f" {words['sharp']}")
        return Edit(at, at + 1, "") if after == "#" or not after.strip() else None
    if char in "<>":
        operand = _SPACE.match(text, at + 1)
        assert operand is not None  # it matches nothing, too
        next_char = source.char_at(operand.end())
        compares = next_char.isdigit() or next_char in "-−$€£" or (before == " " == after)
        if compares and (next_char.isdigit() or not source.is_start(at)):
            return _word(source, at, at + 1, words["less" if char == "<" else "greater"])
        return Edit(at, at + 1, "")
    if char == "~" and not before.isalnum() and (after.isdigit() or after in "$€£"):
        return Edit(at, at + 1, f"{words['about']} ")
    if char == "*" and (before == " " == after or (before.isalnum() and after.isdigit())):
        operands = source.char_before(at - 1) + source.char_at(at + 2)
        both = any(char.isdigit() for char in operands) if before == " " else after
        return (
            _word(source, at, at + 1, words["times"]) if both and at > 1 else Edit(at, at + 1, "")
        )
    if char == "^":
        return _power(source, at)
    if (char in "²³" and before.isalnum()) or (char in "²³" and before in ")]"):
        return Edit(at, at + 1, f" {words['squared' if char == '²' else 'cubed']}")
    if char == "%" and not after.isalnum():
        return _word(source, at, at + 1, words["percent"])
    if char == "°":
        return _word(source, at, at + 1, words["degrees"])
    if char == "@" and before == " " == after:
        return _word(source, at, at + 1, words["at"])
    if char == "/" and before == " " == after:
        return _word(source, at, at + 1, words["slash"])
    if char == "/" and before.isdigit() and after.isalpha():
        return _word(source, at, at + 1, words["per"])
    if char == "(" and after == ")" and before.isalnum():
        return Edit(at, at + 2, "")
    if char in "$€£" and after == "/" and source.char_at(at + 2).isalpha():
        currency = language.currencies[{"$": "$", "€": "EUR", "£": "GBP"}[char]].many
        return Edit(at, at + 2, f"{currency} {words['per']} ")
    if char == "$" and after.isalpha():
        return Edit(at, at + 1, "")
    if char in language.symbols:
        return _word(source, at, at + 1, language.symbols[char])
    if char in _LEFTOVER:
        joins = before.isalnum() and after.isalnum()
        return Edit(at, at + 1, " " if joins else "")
    return None


def _ellipsis(source: Source, at: int) -> Edit | None:
    """Dots inside a sentence as a comma, which the voice hears as a pause."""
    found = _ELLIPSIS.match(source.text, at)
    if found is None:
        return None
    rest = source.text[found.end() : found.end() + _LOOK_AHEAD_CHARS]
    if source.is_start(at):
        return Edit(at, found.end(), "")
    if not rest.strip(" \n\"'”’»)*_!?.]"):
        return None
    if rest[0] in "!?,.;:)\"'”»]":
        return Edit(at, found.end(), "")
    following = rest.lstrip()
    ends = rest[0].isspace() and following[:1].isupper()
    return Edit(at, found.end(), ("." if ends else ",") + ("" if rest[0].isspace() else " "))


def _power(source: Source, at: int) -> Edit:
    words = source.language.words
    found = re.compile(r"\^\(?(-?\d{1,3}|[a-zA-Z])\)?(?!\w)").match(source.text, at)
    if found and found[1] in ("2", "3"):
        return Edit(at, found.end(), f" {words['squared' if found[1] == '2' else 'cubed']}")
    joined = source.char_before(at).isalnum() or source.char_before(at) == ")"
    return Edit(at, at + 1, f" {words['to_the_power']} " if found and joined else " ")


def _word(source: Source, start: int, end: int, said: str) -> Edit:
    """A sign's name with spaces where the text has none."""
    before, after = source.char_before(start), source.char_at(end)
    lead = "" if before.isspace() or before in "([{\"'“«" else " "
    tail = "" if after.isspace() or after in ")]}.,;:!?\"'”»" else " "
    return Edit(start, end, f"{lead}{said}{tail}")
