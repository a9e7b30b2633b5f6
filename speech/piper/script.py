"""From written text to what the models read: utterances, and whose sound each word is."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from speech.piper.voice import PiperVoice
from speech.piper.words import assign
from speech.sentences import SentenceStreamBuffer
from speech.text import Lexicon, Spoken, SpokenStream

_WORD = re.compile(r"\S+")
CLAUSE_IDS = 240
"""A sentence longer than this many phoneme ids (about 120 characters) is cut at clauses: its text
stage would take longer than its first sound may. The first part is the first clause alone."""
MIN_CLAUSE_IDS = 60
MAX_IDS = 800
"""Longest utterance; beyond it a cut between words is better than the wait."""
_CLAUSE_ENDS = frozenset(",;:،؛、，；：—")


@dataclass(frozen=True, slots=True)
class WordPlace:
    """A written word and the phoneme ids that are its sound."""

    start_char: int
    end_char: int
    first_id: int
    end_id: int


@dataclass(frozen=True, slots=True)
class Line:
    """What one utterance says."""

    ids: list[int]
    words: tuple[WordPlace, ...]
    pause: str
    """What lies between this line and the one before: `none`, `clause`, `sentence`, `paragraph`."""


def lines_of(
    text: str | Spoken, voice: PiperVoice, lexicon: Lexicon | None = None
) -> Iterator[Line]:
    """Reads a text line by line, each only when it is asked for."""
    if isinstance(text, Spoken):
        yield from _sentence(text, 0, voice, "none")
        return
    buffer = SentenceStreamBuffer()
    spoken = SpokenStream(voice.language, lexicon)
    done = 0
    pause = "none"
    for sentence in [*buffer.push(text), *buffer.flush()]:
        start = text.index(sentence, done)
        if pause != "none" and text.count("\n", done, start) > 1:
            pause = "paragraph"
        done = start + len(sentence)
        for line in _sentence(spoken.push(sentence), start, voice, pause):
            yield line
            pause = "sentence"


def _sentence(spoken: Spoken, offset: int, voice: PiperVoice, pause: str) -> Iterator[Line]:
    """The lines of one sentence, which begins at `offset` of the text."""
    said = [match.span() for match in _WORD.finditer(spoken.spoken)]
    if not said:
        return
    sentences = voice.phonemize(spoken.spoken)
    flat = [phoneme for sentence in sentences for phoneme in (*sentence, " ")]
    names = [spoken.spoken[first:end] for first, end in said]
    written = [match.span() for match in _WORD.finditer(spoken.written)]
    places: list[tuple[int, int, int, int]] = []
    for sound in assign(flat, names, voice.pronounce):
        start, end = spoken.written_span(*said[sound.word])
        start_char = written[_word_at(written, start)][0]
        end_char = max(written[_word_at(written, end - 1)][1], start_char)
        if places and start_char < places[-1][3]:
            first, _, start_char, known = places.pop()
            places.append((first, sound.end, start_char, max(known, end_char)))
        else:
            places.append((sound.first, sound.end, start_char, end_char))
    base = 0
    for sentence in sentences:
        for first, end in _cuts(sentence):
            ids, at = voice.ids(sentence[first:end])
            low, high = base + first, base + end
            words = tuple(
                WordPlace(
                    offset + start_char,
                    offset + end_char,
                    at[max(start, low) - low],
                    at[min(stop, high) - low],
                )
                for start, stop, start_char, end_char in places
                if low <= start < high
            )
            if len(at) > 1 and at[-1] > at[0]:
                yield Line(ids, words, pause)
                pause = "clause" if end < len(sentence) else "sentence"
        base += len(sentence) + 1


def _word_at(written: list[tuple[int, int]], position: int) -> int:
    """The written word at a position, or the next one, or the last."""
    index = bisect_right(written, position, key=lambda span: span[1])
    return min(index, len(written) - 1)


def _cuts(phonemes: list[str]) -> Iterator[tuple[int, int]]:
    """Spans of a sentence's phonemes that are spoken as one utterance each."""
    first = 0
    while 2 * (len(phonemes) - first) > CLAUSE_IDS:
        clause = word = None
        for index in range(first + MIN_CLAUSE_IDS // 2, len(phonemes) - MIN_CLAUSE_IDS // 4):
            if phonemes[index] != " ":
                continue
            if phonemes[index - 1] in _CLAUSE_ENDS:
                clause = index + 1
            if 2 * (index - first) > MAX_IDS:
                break
            word = index + 1
            if clause and (first == 0 or 2 * (index - first) > CLAUSE_IDS):
                break
        end = clause or (word if 2 * (len(phonemes) - first) > MAX_IDS else None)
        if end is None:
            break
        yield first, end
        first = end
    yield first, len(phonemes)
