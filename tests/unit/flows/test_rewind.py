"""Where a report of what was heard leads back to."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flow_backend.engine.rewind import Checkpoint, Rewind, letters


def mark(end: int, node_id: str, *, waited: bool = False) -> Checkpoint:
    return Checkpoint(end=end, node_id=node_id, returns=[], changed={}, waited=waited)


def place(rewind: Rewind, heard: str) -> tuple[str, bool] | None:
    found = rewind.place(heard)
    return None if found is None else (found[0].node_id, found[1])


@pytest.mark.parametrize(
    ("heard", "expected"),
    [
        ("", ("a", False)),  # nothing was heard: the first node is run again
        ("12", ("a", True)),  # within the first
        ("1234", ("a", True)),  # all of the first, nothing of the second
        ("12345", ("b", True)),  # within the second
        ("12-34 5.", ("b", True)),  # marks and spaces do not count
        ("12345678", None),  # all
        ("123456789", None),
    ],
)
def test_the_node_that_was_speaking_at_the_cut(heard: str, expected: object) -> None:
    assert place(Rewind([mark(4, "a"), mark(8, "b")]), heard) == expected


def test_a_node_that_was_waiting_waits_again_even_if_nothing_was_heard() -> None:
    assert place(Rewind([mark(4, "a", waited=True)]), "") == ("a", True)


def test_never_behind_a_side_effect() -> None:
    rewind = Rewind([mark(4, "a"), mark(8, "b"), mark(12, "c")], floor=2)
    assert place(rewind, "12") is None
    assert place(rewind, "12345678") is None
    assert place(rewind, "123456789") == ("c", True)


def test_without_speech_there_is_no_way_back() -> None:
    assert place(Rewind(), "") is None


@given(
    st.lists(st.integers(1, 50), unique=True, max_size=6), st.text(max_size=60), st.integers(0, 6)
)
def test_any_report_leads_into_what_was_said(ends: list[int], heard: str, floor: int) -> None:
    marks = [mark(end, f"n{number}") for number, end in enumerate(sorted(ends))]
    rewind = Rewind(marks, floor=min(floor, len(marks)))
    again = Rewind.from_dict(json.loads(json.dumps(rewind.as_dict())))
    assert again == rewind
    found = rewind.place(heard)
    if not marks or letters(heard) >= marks[-1].end:
        assert found is None
    elif found is not None:
        index = marks.index(found[0])
        assert index >= rewind.floor
        begun = marks[index - 1].end if index else 0
        assert begun <= letters(heard) <= found[0].end
