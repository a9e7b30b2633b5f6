"""Which phonemes belong to which word.

espeak-ng gives the phonemes of a whole sentence, with spaces between groups that are not always
the words: "2,100" becomes several, "of the" becomes one. So each word is phonemised on its own
too, and the two sequences of groups are aligned: what is the same is matched first, what lies
between at the least edit distance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import pairwise

PAUSES = frozenset(' .,;:!?"()-…«»¿¡،؟。！？、—–')
"""Symbols that stand for a pause rather than a sound."""
_IGNORED = PAUSES | frozenset("'ˈˌːˑ^$_")
"""Symbols that do not count in a comparison: pauses, stress and length."""
_MAX_MERGED = 4
"""Groups on one side that may be one group on the other."""
_MAX_CELLS = 4096
"""Size of a gap that is aligned by edit distance; a larger one is shared out by length."""


@dataclass(frozen=True, slots=True)
class WordSound:
    """A word, by its number, and its sound: `phonemes[first:end]` without the pause after it."""

    word: int
    first: int
    end: int


def assign(
    phonemes: Sequence[str], words: Sequence[str], pronounce: Callable[[str], Sequence[str]]
) -> list[WordSound]:
    """Gives each word its place in a sentence's phonemes; words without a sound are left out.

    Args:
        phonemes: The sentence's phonemes, " " between groups.
        words: The sentence's words in order.
        pronounce: Gives the phonemes of a word on its own.
    """
    places = list(_groups(phonemes))
    heard = [_letters(phonemes[first:end]) for first, end in places]
    expected: list[str] = []
    owners: list[int] = []
    for number, word in enumerate(words):
        own = pronounce(word)
        parts = [part for first, end in _groups(own) if (part := _letters(own[first:end]))]
        expected += parts
        owners += [number] * len(parts)
    sounds: dict[int, tuple[int, int]] = {}
    for units, (start, stop) in _align(expected, heard):
        first, end = places[start][0], places[stop - 1][1]
        for unit, (low, high) in zip(units, _shares(units, expected, first, end), strict=True):
            owner = owners[unit]
            sounds[owner] = (sounds.get(owner, (low, 0))[0], high)
    return [WordSound(word, *sound) for word, sound in sounds.items()]


def _groups(phonemes: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Spans of spoken words, pauses at their edges left out."""
    first: int | None = None
    end = 0
    for index, phoneme in enumerate(phonemes):
        if phoneme == " ":
            if first is not None:
                yield first, end
            first = None
        elif phoneme not in PAUSES:
            first = index if first is None else first
            end = index + 1
    if first is not None:
        yield first, end


def _letters(phonemes: Sequence[str]) -> str:
    return "".join(phoneme for phoneme in phonemes if phoneme not in _IGNORED)


def _shares(
    units: Sequence[int], expected: Sequence[str], first: int, end: int
) -> list[tuple[int, int]]:
    """Shares one group's phonemes among the units that it holds, by their lengths."""
    total = sum(len(expected[unit]) for unit in units)
    edges = [first]
    done = 0
    for unit in units:
        done += len(expected[unit])
        edges.append(first + round((end - first) * done / total))
    return list(pairwise(edges))


def _align(
    expected: Sequence[str], heard: Sequence[str]
) -> Iterator[tuple[list[int], tuple[int, int]]]:
    """Matches units with spans of groups, in order; units without a group are left out."""
    left = right = 0
    blocks = SequenceMatcher(None, expected, heard, autojunk=False).get_matching_blocks()
    for a, b, size in blocks:
        for units, (start, stop) in _align_gap(expected[left:a], heard[right:b]):
            yield [left + unit for unit in units], (right + start, right + stop)
        for offset in range(size):
            yield [a + offset], (b + offset, b + offset + 1)
        left, right = a + size, b + size


def _align_gap(
    expected: Sequence[str], heard: Sequence[str]
) -> list[tuple[list[int], tuple[int, int]]]:
    rows, columns = len(expected), len(heard)
    if not rows or not columns:
        return []
    if rows * columns > _MAX_CELLS:
        return _by_length(expected, columns)
    steps = [(1, 1), (1, 0), (0, 1)]
    steps += [(many, 1) for many in range(2, _MAX_MERGED + 1)]
    steps += [(1, many) for many in range(2, _MAX_MERGED + 1)]
    cost = {(0, 0): 0.0}
    back: dict[tuple[int, int], tuple[int, int]] = {}
    for i in range(rows + 1):
        for j in range(columns + 1):
            here = cost[i, j]
            for take, use in steps:
                cell = (i + take, j + use)
                if cell[0] > rows or cell[1] > columns:
                    continue
                price = _distance("".join(expected[i : cell[0]]), "".join(heard[j : cell[1]]))
                total = here + price + 0.1 * (take != 1 or use != 1)
                if total < cost.get(cell, float("inf")):
                    cost[cell] = total
                    back[cell] = (take, use)
    found = []
    i, j = rows, columns
    while i or j:
        take, use = back[i, j]
        if take and use:
            found.append((list(range(i - take, i)), (j - use, j)))
        i, j = i - take, j - use
    return found[::-1]


def _by_length(expected: Sequence[str], columns: int) -> list[tuple[list[int], tuple[int, int]]]:
    total = sum(map(len, expected))
    found = []
    start = done = 0
    for unit, letters in enumerate(expected):
        done += len(letters)
        stop = round(columns * done / total)
        if stop > start:
            found.append(([unit], (start, stop)))
        start = stop
    return found


def _distance(a: str, b: str) -> int:
    """Levenshtein's edit distance."""
    if a == b or not a or not b:
        return 0 if a == b else len(a) + len(b)
    row = list(range(len(b) + 1))
    for i, left in enumerate(a, 1):
        corner, row[0] = row[0], i
        for j, right in enumerate(b, 1):
            corner, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, corner + (left != right))
    return row[-1]
