"""Whether a sentence ends at a candidate: a terminator, a line end or an emoji.

Each candidate is decided once, from the sentence before it and as little after it as tells: one
character where the word before is plain, the next word where the word before is an abbreviation.
What follows never changes a decision, so that sentences are a function of the text alone.
"""

from __future__ import annotations

import re

from speech.sentences.candidate import Candidate, Decision, MoreTextNeededError, Verdict
from speech.sentences.characters import (
    CALLS,
    CLOSERS,
    DASHES,
    ENDS,
    FACES,
    NEWLINES,
    OPENING_QUOTES,
    PICTURES,
    QUOTES,
    RUN,
    SPACES,
    UNSPACED_ENDS,
    is_wide,
)
from speech.sentences.enclosures import is_inside, points_inward
from speech.sentences.lines import decide_line
from speech.sentences.structure import ITEM, WRAP_COLUMNS
from speech.sentences.vocabulary import (
    ADDRESSING,
    NAMES_WITH_CALLS,
    OPENERS_OF_SENTENCES,
    SPEECH_VERBS,
    Kind,
    is_chatty,
    kind_of,
    prefixes,
)
from speech.sentences.words import is_marker, period_ends

WAIT = Decision(Verdict.WAIT, -1)
ELLIPSIS = re.compile(r"(?:\.{2,}|[.…]*…[.…]*)")
FOOTNOTE = re.compile(r"\[\^?\w{1,3}\]")
FOOTNOTE_PART = re.compile(r"\[\^?\w{0,3}")
LINK_TARGET = re.compile(r"\([^\s()]{0,300}\)")
LINK_TARGET_PART = re.compile(r"\([^\s()]{0,300}")
INLINE_SPACES = re.compile(r"[ \u00a0\u202f]{0,4}")
TAG = re.compile(r"</?[A-Za-z][^<>\n]{0,40}>")
TAG_PART = re.compile(r"<(?:/?[A-Za-z][^<>\n]{0,40})?/?")
ADDRESS = re.compile(r"://|www\.|[/=@\\]")
MARKED = re.compile('[`|(["]')
"""What may open something that a sentence does not end in (ASCII)."""
UNQUOTED = frozenset(")]`")
"""What closes brackets and code."""
MIN_PLAIN_QUESTION = 4
"""Words of a question that is long enough not to be part of some banter."""
LETTERS = re.compile(r"[^\W\d_]{0,30}")
QUOTATIVES = frozenset({"라고", "이라고", "하고", "라며", "이라며", "라는", "하며", "라면서"})
"""What goes on after a Korean quotation."""
KOREAN_ENDINGS = frozenset("다요까죠네")
"""What a Korean sentence ends in."""
KOREAN_VERBS = ("말했", "말한", "물었", "대답했", "외쳤", "소리쳤", "속삭였", "덧붙였", "중얼거렸")
"""Verbs that tell who spoke, after a Korean quotation and its speaker."""
_QUOTATIVE_PARTS = prefixes(QUOTATIVES)
PARTICLES = frozenset("とっなのをにはがでもやとか的、，")
"""What goes on after a Japanese quotation or bracket, or a Chinese one."""
NOMINAL = frozenset("はをがのにもへ")
"""Particles that a Japanese name goes on with, whatever it ends in: `モーニング娘。は`."""
SAID = re.compile(r"[^\s，。！？、：“]{0,5}[问問说說道答喊叫]")
SAID_PART = re.compile(r"[^\s，。！？、：“]{0,6}")


def decide(
    text: str, segment: int, at: int, column: int, *, final: bool, vivid: bool = False
) -> Decision:
    """Decides the candidate at `at`; the arguments are those of `Candidate`."""
    character = text[at]
    if character in ".!?" and (plain := _decide_plain(text, segment, at, final, vivid)):
        return plain
    candidate = Candidate(text, segment, at, column, final, vivid)
    try:
        if character in ENDS or (character == ";" and "Ͱ" <= text[at - 1 : at] <= "Ͽ"):
            return _decide_end(candidate)
        if character in NEWLINES:
            return decide_line(candidate)
        if character == ";":
            return Decision(Verdict.JOIN, at + 1)
        return _decide_picture(candidate)
    except MoreTextNeededError:
        return WAIT


def _decide_plain(text: str, segment: int, at: int, final: bool, vivid: bool) -> Decision | None:
    """The short way for most: plain words before, a space and a capital after; `3.5`, `a.com`."""
    space = text[at + 1 : at + 2]
    if "a" <= space <= "z" or "0" <= space <= "9":
        return Decision(Verdict.JOIN, at + 1)
    sentence = text[segment:at]
    if space not in (" ", "\n") or not sentence.isascii() or MARKED.search(sentence):
        return None
    following = text[at + 2 : at + 3]
    if text[at] == ".":
        word = sentence[sentence.rfind(" ") + 1 :]
        if not word.isalpha() or kind_of(word) or word.endswith("str"):
            return None
        small = word.islower()
        if "A" <= following <= "Z" or space == "\n":
            plain = len(word) > 3 or (len(word) > 1 and small and word.strip("ivx"))
            return Decision(Verdict.CUT, at + 1) if plain else None
        if len(word) < (4 if small else 5):
            return None
        if not (vivid or is_chatty(sentence)):
            return Decision(Verdict.CUT, at + 1)
    elif not sentence[-1:].isalnum():
        return None
    elif space == "\n" or (text[at] == "?" and not (vivid or _may_have_picture(sentence))):
        return Decision(Verdict.CUT, at + 1)
    if not following and not final:
        return WAIT
    return Decision(Verdict.CUT, at + 1) if "A" <= following <= "Z" else None


def _may_have_picture(question: str) -> bool:
    """Whether an emoji may well come after a question: a short one, or one to somebody."""
    words = question.lower().split()
    return len(words) < MIN_PLAIN_QUESTION or not ADDRESSING.isdisjoint(words)


def _decide_end(candidate: Candidate) -> Decision:
    text, at = candidate.text, candidate.at
    end = max(candidate.run(RUN, at, 32), at + 1)
    marks = text[at:end]
    following = candidate.character(end)
    if following.isalnum() and marks[-1] not in UNSPACED_ENDS and not is_wide(following):
        ends = not is_inside(candidate, end) and _unspaced_ends(candidate, marks, end)
        return Decision(Verdict.CUT if ends else Verdict.JOIN, end)
    closed = end if following.isspace() else _skip_closers(candidate, end)
    if "«" in text or "»" in text:
        closed = _skip_guillemet(candidate, closed)
    closers = text[end:closed]
    following = candidate.character(closed)
    if is_inside(candidate, closed):
        return Decision(Verdict.JOIN, closed)
    if following in ("¿", "¡"):
        goes_on = marks[-1] in ".…" and _is_inner_question(candidate, marks, closed)
        return Decision(Verdict.JOIN if goes_on else Verdict.CUT, closed)
    if not following or following.isspace():
        return _decide_spaced(candidate, marks, closers, closed)
    if marks[-1] in UNSPACED_ENDS or is_wide(following) or _ends_with_picture(closers):
        ends = _wide_ends(candidate, marks, closers, closed)
        return Decision(Verdict.CUT if ends else Verdict.JOIN, closed)
    return Decision(Verdict.JOIN, closed)


def _skip_closers(candidate: Candidate, end: int) -> int:
    """Where the quotes, brackets, markup and notes that belong to the end are over."""
    text = candidate.text
    while True:
        begin = end
        end = candidate.run(CLOSERS, begin, 32)
        for opener in "“»":
            closer = text.find(opener, begin, end)
            pair = "„" if opener == "“" else "«"
            if closer >= 0 and pair not in text[candidate.segment : candidate.at]:
                end = closer
        character = candidate.character(end)
        if character == "[":
            end = _skip(candidate, FOOTNOTE, FOOTNOTE_PART, end)
        elif character == "(" and text[end - 1] == "]":
            end = _skip(candidate, LINK_TARGET, LINK_TARGET_PART, end)
        elif character == "<":
            end = _skip(candidate, TAG, TAG_PART, end)
        if end == begin or candidate.character(end).isspace():
            return end


def _skip_guillemet(candidate: Candidate, end: int) -> int:
    """Where the quotation is closed that began with `«` (French, with a space) or `»`."""
    text = candidate.text
    sentence = text[candidate.segment : candidate.at]
    opener, closer = "»«" if points_inward(sentence) else "«»"
    if sentence.rfind(opener) <= sentence.rfind(closer):
        return end
    space = candidate.run(INLINE_SPACES, end, 4) if closer == "»" else end
    return space + 1 if candidate.character(space) == closer else end


def _skip(candidate: Candidate, whole: re.Pattern[str], part: re.Pattern[str], index: int) -> int:
    if match := whole.match(candidate.text, index):
        return match.end()
    candidate.run(part, index, 301)
    return index


def _unspaced_ends(candidate: Candidate, marks: str, end: int) -> bool:
    """Whether a sentence ends where a letter follows at once: `one.Two`, `Really?Yes`."""
    text = candidate.text
    if not text[end].isupper():
        return False
    words = candidate.words_before(1)
    if not words and marks[-1] in CALLS:
        return True
    token = words[0].lstrip("([{«“„\"'‘*_~`¿¡—–-") if words else ""
    if not token or ADDRESS.search(token):
        return False
    if marks[-1] in CALLS:
        return True
    if marks != "." or not (token[-1].islower() or token[-1].isdigit()):
        return False
    stop = candidate.run(LETTERS, end, 30)
    word = text[end:stop]
    if not (word[1:].islower() or word in ("I", "A")):
        return False
    following = candidate.character(stop)
    if following in ("(", "_", "/", "@", "=", "[", "\\", "-") and following:
        return False
    if following in ("'", "’"):
        return True
    if following == "." and candidate.character(stop + 1).isalnum():
        return text[stop + 1].isupper() and token.islower()
    if word.lower() in OPENERS_OF_SENTENCES:
        return True
    if not token.replace("'", "").replace("’", "").isalpha() or len(token) < 2:
        return False
    sentence = text[candidate.segment : candidate.at].strip()
    return token.islower() or token == sentence


def _decide_spaced(candidate: Candidate, marks: str, closers: str, end: int) -> Decision:
    """Decides a candidate with white space, or nothing at all, behind it and its closers."""
    if ELLIPSIS.fullmatch(marks):
        ends = _ellipsis_ends(candidate, end)
    elif marks[-1] in CALLS or marks[0] in CALLS or marks == ";":
        return _decide_call(candidate, marks, closers, end)
    elif marks != ".":
        ends = True
    elif candidate.text[end - 1 : end] in QUOTES or not UNQUOTED.isdisjoint(closers):
        ends = _follows_large(candidate, end) and not is_marker(candidate)
        if ends and "가" <= candidate.character(candidate.follow(end)) <= "힣":
            ends = not _is_said_in_korean(candidate, candidate.follow(end))
    elif _is_spaced_ellipsis(candidate, end):
        ends = _ellipsis_ends(candidate, end)
    else:
        ends = _ends_item(candidate, end) or period_ends(candidate, end)
        if ends and _is_worth_a_look(candidate):
            end = _skip_pictures(candidate, end)
    return Decision(Verdict.CUT if ends else Verdict.JOIN, end)


def _is_inner_question(candidate: Candidate, marks: str, end: int) -> bool:
    """Whether a Spanish question that follows at once goes on: `1.¿Qué?`, `Pero...¿qué?`."""
    if marks == "." and is_marker(candidate):
        return True
    return marks != "." and candidate.character(candidate.follow(end)).islower()


def _ends_item(candidate: Candidate, end: int) -> bool:
    """Whether the line of a list item ends here that nobody would have wrapped."""
    if candidate.text[end : end + 1] not in NEWLINES:
        return False
    words = candidate.words_before(1)
    if words and kind_of(words[0]) is Kind.JOINS:
        return False
    line = candidate.line
    short = candidate.has_whole_line and candidate.at - line < WRAP_COLUMNS
    item = ITEM.match(candidate.text, line, candidate.at) if short else None
    return item is not None and item.end() < candidate.at


def _is_worth_a_look(candidate: Candidate) -> bool:
    """Whether to look for emoji: where they are likely, and where what follows was seen anyway."""
    if candidate.vivid or is_chatty(candidate.text[candidate.segment : candidate.at]):
        return True
    words = candidate.words_before(1)
    return bool(words) and kind_of(words[0]) is not None


def _follows_large(candidate: Candidate, end: int) -> bool:
    follow = candidate.follow(end)
    if candidate.is_newline_between(end, follow):
        return True
    return not candidate.character(follow).islower()


def _is_spaced_ellipsis(candidate: Candidate, end: int) -> bool:
    text, at = candidate.text, candidate.at
    if text[at - 1 : at] != " ":
        return False
    return (
        text[max(0, at - 2) : at] == ". "
        or candidate.character(candidate.run(SPACES, end, 64)) == "."
    )


def _ellipsis_ends(candidate: Candidate, end: int) -> bool:
    text = candidate.text
    if not text[candidate.segment : candidate.at].strip(" .…\"'“«*_-"):
        return False
    follow = candidate.follow(end)
    if candidate.is_newline_between(end, follow) or not candidate.character(follow):
        return True
    if any(character in QUOTES for character in text[end:follow]):
        return True
    if "가" <= text[follow] <= "힣":
        return text[candidate.segment : candidate.at].rstrip(".…")[-1:] in KOREAN_ENDINGS
    if not text[follow].isupper():
        return text[follow] in "¿¡"
    return text[follow] != "I" or candidate.word(follow) != "I"


def _decide_call(candidate: Candidate, marks: str, closers: str, end: int) -> Decision:
    """Decides a question or a call."""
    text, segment = candidate.text, candidate.segment
    quoted = any(character in QUOTES for character in closers)
    bracketed = not UNQUOTED.isdisjoint(closers)
    sentence = text[segment : candidate.at].lstrip()
    following = candidate.character(end)
    if following and following in NEWLINES:
        return Decision(Verdict.CUT, end)
    plain = marks in ("?", "؟") and following == " " and not (closers or candidate.vivid)
    plain = plain and sentence[:1] not in DASHES and "¿" not in sentence[1:]
    if plain and not _may_have_picture(sentence):
        return Decision(Verdict.CUT, end)
    space = candidate.run(SPACES, end, 64)
    following = candidate.character(space)
    if not following or candidate.is_newline_between(end, space):
        return Decision(Verdict.CUT, end)
    if picture := _picture_end(candidate, space):
        return Decision(Verdict.CUT, picture)
    if quoted and following in OPENING_QUOTES:
        return Decision(Verdict.CUT, end)
    follow = candidate.follow(end)
    letter = candidate.character(follow)
    ends = True
    if quoted or bracketed:
        ends = not letter.islower() and not (quoted and _is_said(candidate, sentence, follow))
    elif letter.islower():
        words = candidate.words_before(1)
        ends = not words or words[0].lower() not in NAMES_WITH_CALLS
        ends = ends and following not in DASHES and not _is_spanish_title(sentence)
    return Decision(Verdict.CUT if ends else Verdict.JOIN, end)


def _is_spanish_title(sentence: str) -> bool:
    """Whether a question stands inside a sentence: `El libro ¿Quién soy?`."""
    return sentence[:1].isupper() and ("¿" in sentence or "¡" in sentence)


def _is_said(candidate: Candidate, sentence: str, follow: int) -> bool:
    """Whether the words after a quotation tell who said it: `"Really?" John asked.`."""
    if sentence[:1] not in "\"'“‘«„":
        return False
    letter = candidate.character(follow)
    if not letter.isalpha():
        return False
    if not letter.isupper():
        return True
    word = candidate.word(follow)
    if word.lower() in OPENERS_OF_SENTENCES and word != "I":
        return False
    following = candidate.character(follow + len(word))
    if following != " ":
        return False
    return candidate.word(follow + len(word) + 1) in SPEECH_VERBS


def _is_said_in_korean(candidate: Candidate, follow: int) -> bool:
    """Whether a Korean quotation goes on: `"…." 라고`, `"…." 그가 말했다.`."""
    if candidate.is_word_of(follow, QUOTATIVES, _QUOTATIVE_PARTS):
        return True
    verb = follow + len(candidate.word(follow)) + 1
    return candidate.character(verb - 1) == " " and candidate.word(verb).startswith(KOREAN_VERBS)


def _wide_ends(candidate: Candidate, marks: str, closers: str, end: int) -> bool:
    """Whether a sentence ends where no white space follows: Chinese, Japanese, Hindi."""
    following = candidate.character(end)
    if following in ENDS:
        return False
    if marks == ".":
        return candidate.text[candidate.at - 1 : candidate.at].isalpha()
    if marks[-1] in "….":
        return bool(closers) and not following.islower() and not is_wide(following)
    if "」" in closers or "』" in closers or "）" in closers:
        return following not in PARTICLES
    sentence = candidate.text[candidate.segment : candidate.at]
    introduced = re.search(r"[：:]\s*“[^“]*$", sentence) is not None
    if "”" in closers and not introduced:
        if SAID.match(candidate.text, end):
            return False
        candidate.run(SAID_PART, end, 6)
    if introduced and "”" in closers and following in "然就便并接":
        return False
    if following in NOMINAL:
        return not _is_particle(candidate, end)
    return following not in "，、；："


def _is_particle(candidate: Candidate, index: int) -> bool:
    """Whether the kana at `index` is a particle: words that begin with it go on in kana."""
    following = candidate.character(index + 1)
    kana = "ぁ" <= following <= "ゟ"
    return candidate.text[index] == "を" or (following.isalnum() and not kana)


def _picture_end(candidate: Candidate, index: int) -> int:
    """Where the emoji and emoticons that begin at `index` end; 0 where there are none."""
    if match := PICTURES.match(candidate.text, index):
        if match.end() == len(candidate.text) and not candidate.final:
            raise MoreTextNeededError
        return match.end()
    if candidate.character(index) in (":", ";", "="):
        candidate.character(index + 1)
        candidate.character(index + 2)
    return 0


def _skip_pictures(candidate: Candidate, end: int) -> int:
    """Where the sentence ends, with the emoji that belong to it behind white space."""
    space = candidate.run(SPACES, end, 64)
    if not candidate.character(space) or candidate.is_newline_between(end, space):
        return end
    return _picture_end(candidate, space) or end


def _ends_with_picture(closers: str) -> bool:
    return bool(closers) and PICTURES.match(closers[-1]) is not None


def _is_opener(word: str) -> bool:
    """Whether a word opens sentences, and is no abbreviation in capitals: `La`, not `LA`."""
    return word.lower() in OPENERS_OF_SENTENCES and not (len(word) > 1 and word.isupper())


def _decide_picture(candidate: Candidate) -> Decision:
    """Decides emoji that no terminator stands before: they close a sentence, or stand in it."""
    text, at = candidate.text, candidate.at
    end = _picture_end(candidate, at) or at + 1
    if not candidate.character(end).isspace() or is_inside(candidate, end):
        return Decision(Verdict.JOIN, end)
    alone = not text[candidate.segment : at].strip()
    if alone and candidate.begins_line:
        return Decision(Verdict.JOIN, end)
    follow = candidate.follow(end)
    letter = candidate.character(follow)
    closes = alone or FACES.match(text, at) is not None
    ends = letter.isupper() and (closes or _is_opener(candidate.word(follow)))
    return Decision(Verdict.CUT if ends else Verdict.JOIN, end)
