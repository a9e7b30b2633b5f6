"""Ids of turns are known again, whatever they are made of."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flow_backend.engine.turn_ids import TurnIds

TEXTS = st.sets(st.text(st.characters(), max_size=200), max_size=30)


@given(TEXTS, TEXTS, TEXTS)
def test_it_knows_what_was_added_and_nothing_else(
    stored: set[str], added: set[str], others: set[str]
) -> None:
    known = TurnIds(stored)
    for turn_id in (*added, *added):
        known.add(turn_id)
    assert all(turn_id in known for turn_id in stored | added)
    assert not any(turn_id in known for turn_id in others - stored - added)
