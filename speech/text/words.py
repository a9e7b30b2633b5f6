"""Abbreviations, titles, initials and acronyms."""

from __future__ import annotations

import re
from functools import cache

from speech.text.language import Language, word_set
from speech.text.positions import Edit
from speech.text.source import Source

_FIRST = re.compile(r"[^\W\d_]+|\S")
_BEFORE_NUMBER = word_set(
    "no. nos. fig. figs. vol. ch. pp. p. sec. eq. ver. ed. nr. abs. art. kap. s. bd. abb. "
    "tab. ziff. n° nº n.º núm. pág. págs. cap. chap. c. max. min. avg. std. ext."
)
_AFTER_NAME = word_set("inc. ltd. corp. co. jr. sr. ave. blvd. rd. st. dr.")
_STREETS = {"st.": "Street", "dr.": "Drive"}
"""What may also be a title, before another name."""
_SMALL_TITLES = word_set("bd bd. av.")
"""French words for streets, which stand before a name and are written small."""
_ENDS_SENTENCE = word_set(
    "ud. uds. etc. usw. uvm. u.v.m. jh. jhd. a.k.a. tsp. tbsp. cdas. cda. dept. govt. ee.uu. "
    "eeuu a.c. d.c. ph.d."
) | frozenset(
    ["et al.", "u. v. m.", "ee. uu.", "n. chr.", "v. chr.", "a. c.", "d. c.", "a. m.", "p. m.",
     "av. j.-c.", "apr. j.-c.", "o. ä.", "s. o.", ""]
)  # fmt: skip
"""Abbreviations after which a sentence may end; the empty one stands for names and initials."""
_DOTTED = re.compile(r"(?:[^\W\d_]\.[ -]?(?=[^\W\d_]\.)){1,7}[^\W\d_]\.")
_INITIAL = re.compile(r"[A-ZÄÖÜÉ]\.(?=[ ][A-ZÄÖÜÉ])")
_NAMED_BEFORE = re.compile(r"(?:^|[\s(])(?:[A-ZÄÖÜÉ][^\W\d_]*\.?)[ ]$|^[\s\"'(*]*$")
_NAME_PARTICLE = re.compile(r"\n|[ ](?:de|del|della|du|la|le|van|von|der|den|ter|al|el)\b")
_ONE_WORD = re.compile(r"\W*\w+,? ")
"""The beginning of a sentence that greets: `Thanks Dr. smith`."""
_NEXT = re.compile(r"[ \u00a0]+([^\s])")


@cache
def _by_first_word(language: Language) -> dict[str, list[tuple[str, str]]]:
    table: dict[str, list[tuple[str, str]]] = {}
    for written, said in language.abbreviations.items():
        first = _FIRST.match(written)
        assert first is not None  # no abbreviation is empty
        table.setdefault(first[0], []).append((written, said))
    for found in table.values():
        found.sort(key=lambda pair: -len(pair[0]))
    return table


def abbreviation_rule(source: Source, at: int, word: str) -> Edit | None:
    """`e.g.`, `z. B.`, `etc.`: always read out."""
    text = source.text
    if source.char_before(at) in ".’'":
        return None
    for written, said in _by_first_word(source.language).get(word.lower(), ()):
        end = at + len(written)
        if text[at:end].replace("\u00a0", " ").lower() != written:
            continue
        joined = source.char_at(end).isalnum() or source.char_at(end) in "._-/@"
        if written[-1].isalnum() and joined and not (written == "c/u" and source.is_end(end + 1)):
            continue
        if written == "c/ " and not source.char_at(end).isupper():
            said = "con "
        if written in ("el", "tl") and not (
            word.isupper() and source.char_before(at - 1).isdigit()
        ):
            continue
        if word[0].isupper() and said[0].islower() and source.is_start(at):
            said = said[0].upper() + said[1:]
        return Edit(at, end, said + _kept_stop(source, written, end))
    return None


def street_rule(source: Source, at: int, word: str) -> Edit | None:
    """German `Hauptstr. 7`, `Goethestr.`: the whole word for street."""
    end = at + len(word)
    if source.language.code != "de" or not word.endswith("str") or source.char_at(end) != ".":
        return None
    return Edit(at, end + 1, word + "aße" + ("." if source.is_end(end + 1) else ""))


def title_rule(source: Source, at: int, word: str) -> Edit | None:
    """`Dr.` before a name, `No.` before a number, `Inc.` after a name."""
    text, language = source.text, source.language
    stop = at + len(word)
    for end in (stop + 1, stop, stop + 2):
        written = text[at:end].lower()
        if written in language.titles:
            break
    else:
        return None
    if written[-1].isalnum() and source.char_at(end) in ".-/'’@_":
        return None
    said = language.titles[written]
    following = _NEXT.match(text, end)
    if following is None and text[at:end][-1:] in "°º" and source.char_at(end).isdigit():
        return Edit(at, end, f"{said} ")
    if written in _BEFORE_NUMBER:
        if following and (following[1].isdigit() or following[1] in "IVX"):
            return Edit(at, end, said)
        return None
    is_title = written in _STREETS and following and following[1].isupper()
    follows_name = written in _AFTER_NAME and source.word_before(at)[:1].isupper()
    if written == "dr." and (_NAME_PARTICLE.match(text, end) or _ONE_WORD.fullmatch(text[:at])):
        follows_name = False
    if language.code == "en" and follows_name and not is_title:
        return Edit(at, end, _STREETS.get(written, said) + _kept_stop(source, "", end))
    joined = following and text.startswith(("and ", "und ", "et ", "y "), following.start(1))
    if (
        following
        and (following[1].isupper() or joined)
        and (word[0].isupper() or language.code == "es" or written in _SMALL_TITLES)
    ):
        return Edit(at, end, said)
    return None


def acronym_rule(source: Source, at: int, word: str) -> Edit | None:
    """Acronyms that the voice would read as a word, as letters."""
    said = source.language.initials.get(word)
    return Edit(at, at + len(word), said) if said and said != word else None


def initials_rule(source: Source, at: int, word: str) -> Edit | None:
    """`U.S.`, `J. R. R. Tolkien`, `George W. Bush`: letters without the full stops."""
    text = source.text
    if found := _DOTTED.match(text, at):
        letters = [char for char in found[0] if char.isalpha()]
        if not all(char.isupper() for char in letters) and len(letters) < 3:
            return None
        end = found.end()
        stop = _kept_stop(source, "", end)
        return Edit(at, end, "-".join(letters).upper() + stop)
    if _INITIAL.match(text, at) and _NAMED_BEFORE.search(text[max(0, at - 30) : at]):
        return Edit(at, at + 2, word)
    return None


def _kept_stop(source: Source, written: str, end: int) -> str:
    """The full stop of an abbreviation that also ends its sentence."""
    if source.char_before(end) != ".":
        return ""
    if written not in _ENDS_SENTENCE:
        return ""
    following = _NEXT.match(source.text, end)
    ends = written and following and following[1].isupper()
    return "." if source.is_end(end) or ends else ""
