"""Which phonemes belong to which written word.

espeak-ng gives phonemes for a whole sentence, with spaces between spoken words that are not
always the written ones: numbers become several, "of the" becomes one. Each written word is
therefore phonemised on its own too, and the two sequences are aligned, group by group, at the
least edit distance.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_WORD = re.compile(r"\S+")
_UNVOICED = frozenset(" .,;:!?\"'()-…ˈˌːˑ^$_")
"""Symbols that do not count in a comparison: punctuation, stress and length."""
PUNCTUATION = frozenset(' .,;:!?"()-…«»¿¡،؟。！？、')
"""Symbols that stand for a pause rather than a sound."""
_MAX_GROUPS = 12
"""Spoken words that one written word may become in the alignment."""
_MAX_MERGED = 4
"""Written words that espeak may speak as one."""


@dataclass(frozen=True, slots=True)
class Word:
    """A written word: `text[start_char:end_char]`."""

    start_char: int
    end_char: int


@dataclass(frozen=True, slots=True)
class WordPhonemes:
    """A word and its sounds: `phonemes[first:end]`, pauses after it not included."""

    word: int
    first: int
    end: int


def written_words(text: str) -> list[Word]:
    """Splits at white space."""
    return [Word(*match.span()) for match in _WORD.finditer(text)]


def assign(
    phonemes: Sequence[str], words: Sequence[str], pronounce: Callable[[str], Sequence[str]]
) -> list[WordPhonemes]:
    """Gives each word its place in the phonemes; words without a sound are left out.

    Args:
        phonemes: The sentence's phonemes, " " between spoken words.
        words: The sentence's words in order.
        pronounce: Gives a word's own phonemes.
    """
    groups = _groups(phonemes)
    own = [_groups_of(pronounce(word)) for word in words]
    sounding = [index for index, parts in enumerate(own) if parts]
    if not groups or not sounding:
        return []
    heard = [_letters(phonemes[first:end]) for first, end in groups]
    expected = [own[index] for index in sounding]
    counts = [len(parts) for parts in expected]
    if sum(counts) == len(groups) and _agrees(heard, expected):
        spans = _consecutive(counts)
    else:
        spans = _align(heard, expected)
    found = []
    for members, (start, end) in spans:
        if start == end:
            continue
        if len(members) == 1:
            found.append(WordPhonemes(sounding[members[0]], groups[start][0], groups[end - 1][1]))
            continue
        first, stop = groups[start][0], groups[end - 1][1]
        lengths = [sum(map(len, expected[member])) for member in members]
        edge = first
        for position, member in enumerate(members):
            share = sum(lengths[: position + 1]) / sum(lengths)
            upto = max(edge, first + round((stop - first) * share))
            if upto > edge:
                found.append(WordPhonemes(sounding[member], edge, upto))
            edge = upto
    return found


def _groups(phonemes: Sequence[str]) -> list[tuple[int, int]]:
    """Spans of spoken words, punctuation at their edges left out."""
    groups: list[tuple[int, int]] = []
    first: int | None = None
    end = 0
    for index, phoneme in enumerate([*phonemes, " "]):
        if phoneme == " ":
            if first is not None:
                groups.append((first, end))
            first = None
        elif phoneme not in PUNCTUATION:
            first = index if first is None else first
            end = index + 1
    return groups


def _groups_of(phonemes: Sequence[str]) -> list[str]:
    letters = [_letters(phonemes[first:end]) for first, end in _groups(phonemes)]
    return [part for part in letters if part]


def _letters(phonemes: Sequence[str]) -> str:
    return "".join(phoneme for phoneme in phonemes if phoneme not in _UNVOICED)


def _agrees(heard: Sequence[str], expected: Sequence[list[str]]) -> bool:
    flat = [part for parts in expected for part in parts]
    return all(
        _distance(a, b) <= max(len(a), len(b)) // 2 for a, b in zip(heard, flat, strict=True)
    )


def _consecutive(counts: Sequence[int]) -> list[tuple[list[int], tuple[int, int]]]:
    spans = []
    start = 0
    for index, count in enumerate(counts):
        spans.append(([index], (start, start + count)))
        start += count
    return spans


def _align(
    heard: Sequence[str], expected: Sequence[list[str]]
) -> list[tuple[list[int], tuple[int, int]]]:
    """Least-cost monotone assignment of words to spans of groups."""
    joined = ["".join(parts) for parts in expected]
    words, groups = len(expected), len(heard)
    drift = abs(groups - sum(map(len, expected))) + 2 * _MAX_MERGED
    infinite = float("inf")
    cost = [[infinite] * (groups + 1) for _ in range(words + 1)]
    back: list[list[tuple[int, int]]] = [[(0, 0)] * (groups + 1) for _ in range(words + 1)]
    cost[0][0] = 0.0
    ideal = 0
    for i in range(words + 1):
        for j in range(max(0, ideal - drift), min(groups, ideal + drift) + 1):
            here = cost[i][j]
            if here == infinite:
                continue
            steps = []
            if i < words:
                usual = len(expected[i])
                spans = {0, 1, *range(max(0, usual - 2), min(usual + 2, _MAX_GROUPS) + 1), usual}
                steps += [(1, count) for count in spans]
                steps += [(many, 1) for many in range(2, _MAX_MERGED + 1)]
            steps.append((0, 1))
            for take, count in steps:
                if i + take > words or j + count > groups:
                    continue
                price = _distance("".join(joined[i : i + take]), "".join(heard[j : j + count]))
                total = here + price + 0.1 * (take != 1)
                if total < cost[i + take][j + count]:
                    cost[i + take][j + count] = total
                    back[i + take][j + count] = (take, count)
        if i < words:
            ideal += len(expected[i])
    if cost[words][groups] == infinite:
        return _proportional(groups, joined)
    spans_found = []
    i, j = words, groups
    while i or j:
        take, count = back[i][j]
        if take:
            spans_found.append((list(range(i - take, i)), (j - count, j)))
        i, j = i - take, j - count
    return spans_found[::-1]


def _proportional(groups: int, joined: Sequence[str]) -> list[tuple[list[int], tuple[int, int]]]:
    """For sequences too far apart to align: by length."""
    total = sum(map(len, joined))
    spans = []
    start = done = 0
    for index, letters in enumerate(joined):
        done += len(letters)
        end = round(groups * done / total)
        spans.append(([index], (start, end)))
        start = end
    return spans


def _distance(a: str, b: str) -> int:
    """Levenshtein's edit distance."""
    if a == b:
        return 0
    row = list(range(len(b) + 1))
    for i, left in enumerate(a, 1):
        corner, row[0] = row[0], i
        for j, right in enumerate(b, 1):
            corner, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, corner + (left != right))
    return row[-1]
