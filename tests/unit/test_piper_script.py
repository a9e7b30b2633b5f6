"""Where a long sentence is cut into utterances."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from speech.piper.script import CLAUSE_IDS, MAX_IDS, MIN_CLAUSE_IDS, _cuts

PHONEMES = st.lists(st.sampled_from(["a"] * 8 + [" ", " ", ",", ";"]), max_size=1200)


@given(PHONEMES)
def test_the_parts_make_up_the_sentence(phonemes: list[str]) -> None:
    spans = list(_cuts(phonemes))
    assert (spans[0][0], spans[-1][1]) == (0, len(phonemes))
    assert all(before[1] == after[0] for before, after in pairwise(spans))
    assert all(end - first >= MIN_CLAUSE_IDS // 4 for first, end in spans[1:])
    if 2 * len(phonemes) <= CLAUSE_IDS:
        assert len(spans) == 1


def test_a_long_sentence_begins_with_its_first_clause_alone() -> None:
    clause = [*"a clause of forty phonemes goes like this,", " "]
    spans = list(_cuts([*clause, *clause, *clause, *clause, *clause]))
    assert spans[0] == (0, len(clause))
    assert all(2 * (end - first) <= CLAUSE_IDS + len(clause) for first, end in spans)


def test_a_sentence_without_a_clause_is_cut_between_words_when_it_is_too_long() -> None:
    spans = list(_cuts([*"word "] * 200))
    assert all(2 * (end - first) <= MAX_IDS + 10 for first, end in spans)
    assert all(end % 5 == 0 for _, end in spans)
