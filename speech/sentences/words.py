"""Whether a full stop after a word, a number or a letter ends the sentence."""

from __future__ import annotations

import re

from speech.sentences.candidate import Candidate
from speech.sentences.structure import MARKER
from speech.sentences.vocabulary import (
    BEFORE_CALENDAR,
    BEFORE_LETTERS,
    BEFORE_NAMES,
    BEFORE_ORDINALS,
    CALENDAR,
    ENGLISH,
    IN_DATES,
    KINDS,
    MONTHS,
    OPENERS_OF_SENTENCES,
    OWNER,
    SHORT_WORDS,
    Kind,
    kind_of,
    prefixes,
)

LEADING = "([{«»“„‚\"'‘’*_~`¿¡—–-#>|<"
"""What may stand before the first letter of a word."""
LABEL = re.compile(r"(?<![\w.'’&-])[B-HJ-Z](?![\w.'’&-])")
"""A letter that stands for something, wherever it is in a sentence."""
LABEL_WORD = re.compile(r"[(\"“„«']?[A-HJ-Z],?")
"""A whole word that is such a letter."""
LABELLED = re.compile(r" [A-Z](?![\w.'’&-])")
"""The letter of a noun that has one: `plan B`."""
LINKS = frozenset(
    ("and", "or", "und", "oder", "et", "ou", "y", "o", "e", "to", "than", "plus", "minus", "times")
) | frozenset(("before", "after", "versus", "vs", "zu", "nach", "vor", "bis", "als", "à", "que"))
"""Words between two letters that are no initials: `A or B.`"""
COPULAS = frozenset(("is", "are", "equals", "ist", "sind", "est", "es", "è", "=", "be", "than"))
"""Words between a thing and its letter: `The result is z.`"""
ARTICLES = frozenset(("a", "an", "the", "ein", "das", "un", "une", "una", "le", "la", "el"))
"""Words before a letter that stands for something: `a C`, `la B`."""
TIME_ONLY = re.compile(r"\s*(?:at|by|around|about|before|after|until|from|since) \S+ \S+", re.I)
"""A sentence that has only said when so far: `At 5 p.m.`"""
DAY = re.compile(r"\d{1,2}")
YEAR = re.compile(r"\d{1,4}")
DECIMAL = re.compile(r"\d+(?:\.\d+)+")
DAYS_OF_A_MONTH = 31
MONTHS_OF_A_YEAR = 12
"""A decimal that ends in no more may be a date that goes on: `am 24.12. um drei`."""
NUMBER = re.compile(r"\s*([1-9]\d?)[.)]")
"""The number of a list item."""
ELISION = re.compile(r"[A-Za-z]{1,2}['’](?=\w)")
"""A French or Italian article that is joined to its word: `l'art. 5`."""
ROMAN = re.compile(r"[IVXLC]{2,7}")
DOTTED = re.compile(r"(?:[^\W\d_]{1,2}\.)+-?[^\W\d_]{1,2}")
"""Letters with full stops between them: `U.S`, `p.m`, `J.K`, `J.-C`."""
VOWELS = re.compile(r"[aeiouyäöüáéíóúàèìòùâêîôûãõåæøąęěůőűıаеёиоуыэюяіїєαεηιουωάέήίόύώ]", re.I)
_CALENDAR_BEGINNINGS = prefixes(CALENDAR)
_DATE_BEGINNINGS = prefixes(IN_DATES)
_MONTH_BEGINNINGS = prefixes(MONTHS)
_OPENER_BEGINNINGS = prefixes(OPENERS_OF_SENTENCES)


def period_ends(candidate: Candidate, end: int) -> bool:
    """Whether the full stop of a candidate ends the sentence.

    Args:
        candidate: A single full stop with white space behind it and its closers.
        end: Where that white space begins.

    Raises:
        MoreTextNeededError: Only what follows can tell.
    """
    words = candidate.words_before(3)
    if not words:
        return True
    token = words[0].lstrip(LEADING)
    previous = words[1].lower() if len(words) > 1 else ""
    if not token:
        return True
    if token.isdigit():
        return _number_ends(candidate, end, token, words)
    if elided := ELISION.match(token):
        token = token[elided.end() :]
    kind = kind_of(token)
    if kind is None and len(words) > 1 and len(token) < 4:
        kind = _joined_kind(words)
    if kind is None:
        if DECIMAL.fullmatch(token):
            last = int(token[token.rfind(".") + 1 :])
            return not 0 < last <= MONTHS_OF_A_YEAR or _is_large(candidate, end)
        if len(token) > 3 and token.isalpha():
            if len(token) < 7 and token[0].isupper() and len(words) > 1:
                return _goes_on_large(candidate, end)
            return not token.endswith("str") or _ends_street(candidate, end)
        if not token.isascii() and token.lower() == token.upper():
            return True
        if not any(character.isalpha() for character in token):
            return True
    if is_marker(candidate):
        return False
    if kind is Kind.NAMES and previous in ("avant", "après"):
        kind = Kind.ENDS
    if kind is Kind.COUNTS_ONLY and previous in ARTICLES and not _goes_on_large(candidate, end):
        return False
    if kind is not None:
        decided = _kind_ends(candidate, end, kind, token)
        if decided is not None:
            return decided
    if len(token) == 2 and token[0] == token[1] and token.isupper():
        follow = candidate.follow(end)
        letter = candidate.character(follow)
        return _is_large(candidate, end) and not (
            letter.isupper() and candidate.character(follow + 1) == letter
        )
    if len(token) == 1:
        return _letter_ends(candidate, end, token, words)
    if DOTTED.fullmatch(token):
        return _is_large(candidate, end) and _opens_sentence(candidate, end)
    if len(token) > 5 or not token.replace("'", "").replace("’", "").isalpha():
        return True
    unspoken = not VOWELS.search(token)
    if not (unspoken or ROMAN.fullmatch(token) or token[0].isupper()):
        plain = len(token) > 3 or (token in SHORT_WORDS and not previous[-1:].isdigit())
        return plain or _goes_on_large(candidate, end)
    if unspoken and not token.isupper() and candidate.character(candidate.follow(end)).isdigit():
        return False
    return _goes_on_large(candidate, end)


def _joined_kind(words: list[str]) -> Kind | None:
    """The kind of an abbreviation written with white space inside: `z. B.`, `EE. UU.`."""
    joined = words[0].lstrip(LEADING)
    kind = None
    for word in words[1:]:
        part = word.lstrip(LEADING)
        if not part.endswith(".") or len(part) > 4 or len(words[0]) > 3:
            break
        joined = part + joined
        kind = kind_of(joined) or kind
    if kind is None and len(joined) == 2:
        kind = KINDS.get(f"{words[1].lower().lstrip(LEADING)} {words[0]}")
    return kind


def _ends_street(candidate: Candidate, end: int) -> bool:
    """Whether a German street's name (`Hauptstr.`) ends a sentence: not before its number."""
    follow = candidate.follow(end)
    return not candidate.character(follow).isdigit() and _is_large(candidate, end)


def is_marker(candidate: Candidate) -> bool:
    """Whether a list marker stands before the candidate: `1.`, `a.`, `IV.` where a line begins."""
    text, line = candidate.text, candidate.line
    if candidate.at - line > 24 or not candidate.has_whole_line:
        return False
    return MARKER.fullmatch(text, line, candidate.at) is not None


def _number_ends(candidate: Candidate, end: int, token: str, words: list[str]) -> bool:
    if words[0] != token:
        return not (words[0].strip("*_") == token and end == candidate.at + 1)
    if len(token) > 3:
        return len(token) > 4 or _goes_on_large(candidate, end)
    if is_marker(candidate) or len(words) == 1 or words[1] in "•·-–—*":
        return False
    if token == "1" and words[1].endswith((":", "：")):
        return False
    begun = NUMBER.match(candidate.text, candidate.segment)
    if begun and int(begun[1]) + 1 == int(token):
        return False
    follow = candidate.follow(end)
    if not (_is_large(candidate, end) or candidate.text[follow - 1] == "`"):
        return False
    if candidate.character(follow).isdigit() and not candidate.is_newline_between(end, follow):
        return int(token) > DAYS_OF_A_MONTH or not _is_in_date(candidate, follow, words[1])
    if not candidate.character(follow).isupper():
        return True
    return not (
        candidate.is_word_of(follow, MONTHS, _MONTH_BEGINNINGS)
        or (_precedes_ordinal(candidate, words) and not _opens_sentence(candidate, end))
    )


def _precedes_ordinal(candidate: Candidate, words: list[str]) -> bool:
    """Whether the word before a number may be followed by a German or Nordic ordinal."""
    before = [word.lstrip(LEADING) for word in words[1:]] + [""]
    if BEFORE_ORDINALS.fullmatch(before[0].lower()):
        return before[0].lower() != "am" or before[1].lower() != "i"
    if not OWNER.fullmatch(before[0]):
        return False
    sentence = candidate.text[candidate.segment : candidate.at]
    return ENGLISH.isdisjoint(sentence.lower().split())


def _is_in_date(candidate: Candidate, follow: int, previous: str) -> bool:
    """Whether a number stands in a date with spaces: `28. 8. 1749`."""
    if re.fullmatch(r"\d{1,2}\.", previous):
        return True
    end = candidate.run(DAY, follow, 2)
    return candidate.character(end) == "."


def _is_date(candidate: Candidate, follow: int) -> bool:
    """Whether a number after a weekday is a date or an hour: `jeu. 7 mai`, `lun. 9 h`."""
    end = candidate.run(YEAR, follow, 4)
    character = candidate.character(end)
    if end - follow > 2 or not character.isspace():
        return end - follow == 4 or (end - follow < 3 and not character.isalpha())
    return bool(candidate.character(end + 1)) and candidate.is_word_of(
        end + 1, IN_DATES, _DATE_BEGINNINGS
    )


def _kind_ends(candidate: Candidate, end: int, kind: Kind, token: str) -> bool | None:
    """What the kind of an abbreviation says; None where it is a plain word here."""
    if kind is Kind.JOINS:
        return False
    follow = candidate.follow(end)
    if candidate.is_paragraph_between(end, follow):
        return True
    character = candidate.character(follow)
    if not character:
        return True
    if candidate.text[follow - 1] in "¿¡":
        return _goes_on_large(candidate, end)
    if kind is Kind.COUNTS_ONLY:
        return False if character.isdigit() else None
    if kind is Kind.WEEKDAYS:
        if character.isdigit():
            return None if not _is_date(candidate, follow) else False
        return None if _goes_on_large(candidate, end) else False
    if kind in (Kind.COUNTS, Kind.MEASURES) and character.isdigit():
        return False
    if not _is_large(candidate, end):
        return False
    is_time = kind is Kind.ENDS and ("." in token or token.lower() in ("am", "pm"))
    if is_time and TIME_ONLY.fullmatch(candidate.text, candidate.segment, candidate.at):
        return False
    if kind is Kind.NAMES:
        return not character.isdigit() and _opens_sentence(candidate, end)
    if not character.isupper():
        return True
    if kind is Kind.COUNTS:
        word = candidate.word(follow)
        return word == "I" or not (len(word) == 1 or ROMAN.fullmatch(word))
    if token.lower() not in BEFORE_CALENDAR:
        return True
    return not candidate.is_word_of(follow, CALENDAR, _CALENDAR_BEGINNINGS)


def _letter_ends(candidate: Candidate, end: int, letter: str, words: list[str]) -> bool:
    previous = words[1].lower() if len(words) > 1 else ""
    if not letter.isupper():
        if _is_letter_next(candidate, end):
            return False
        if letter in "vn" and candidate.word(candidate.follow(end)) == "Chr":
            return False
        if previous in COPULAS:
            return _is_large(candidate, end)
        if previous[-1:].isdigit() or ROMAN.fullmatch(previous.upper()):
            follow = candidate.follow(end)
            return not candidate.character(follow).isdigit() and _is_large(candidate, end)
        return _is_large(candidate, end) and _opens_sentence(candidate, end)
    if not _is_large(candidate, end):
        return False
    if _is_letter_next(candidate, end):
        return False
    if previous[-1:] in ("º", "ª"):
        return True
    if letter == "I" and previous in ("and", "or", "than", "as", "nor"):
        return True
    if previous[-1:] != "." and previous not in BEFORE_NAMES:
        begin = max(candidate.segment, candidate.at - 25)
        nouns = BEFORE_LETTERS.finditer(candidate.text, begin, candidate.at)
        if not all(LABELLED.match(candidate.text, noun.end(), candidate.at - 1) for noun in nouns):
            return True
    if previous in LINKS and len(words) > 2 and LABEL_WORD.fullmatch(words[2]):
        return True
    labelled = previous in COPULAS or previous in ARTICLES
    if labelled and LABEL.search(candidate.text, candidate.segment, candidate.at - 1):
        return True
    follow = candidate.follow(end)
    if len(candidate.word(follow)) == 1 and candidate.character(follow + 1) == " ":
        return True
    return _opens_sentence(candidate, end)


def _is_letter_next(candidate: Candidate, end: int) -> bool:
    """Whether a single letter with a full stop comes next: `J. R.`, `a. C.`."""
    follow = candidate.follow(end)
    return candidate.character(follow).isalpha() and candidate.character(follow + 1) == "."


def _is_large(candidate: Candidate, end: int) -> bool:
    """Whether what follows can begin a sentence: not a small letter, not a comma."""
    follow = candidate.follow(end)
    if candidate.is_paragraph_between(end, follow):
        return True
    character = candidate.character(follow)
    return not (character.islower() or (character and character in ",;:)/&%°=+."))


def _goes_on_large(candidate: Candidate, end: int) -> bool:
    """Whether what follows begins a sentence, as far as this text begins them with capitals."""
    if candidate.is_newline_between(end, end + 1):
        return True
    return _is_large(candidate, end) or _begins_small(candidate)


def _begins_small(candidate: Candidate) -> bool:
    """Whether the sentence begins with a small letter, as in text without capitals."""
    sentence = candidate.text[candidate.segment : candidate.at].lstrip()
    return sentence[:1].islower()


def _opens_sentence(candidate: Candidate, end: int) -> bool:
    """Whether the next word opens sentences more often than it is a name."""
    follow = candidate.follow(end)
    if candidate.is_paragraph_between(end, follow) or not candidate.character(follow):
        return True
    if not candidate.is_word_of(follow, OPENERS_OF_SENTENCES, _OPENER_BEGINNINGS):
        return False
    return not _is_letter_next(candidate, end)
