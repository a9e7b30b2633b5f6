from __future__ import annotations

import pytest

from flow_backend.engine.pace import KEPT_NODES, UsualDurations, filler_after_ms


def test_a_usual_duration_is_the_median_of_the_last_calls_of_a_node() -> None:
    durations = UsualDurations()
    for duration_ms in (9000, 100):
        durations.took("f", "book", duration_ms)
    assert durations.usual_ms("f", "book") is None
    durations.took("f", "book", 300)
    assert durations.usual_ms("f", "book") == 300
    assert durations.usual_ms("g", "book") is None
    for _ in range(9):
        durations.took("f", "book", 2000)
    assert durations.usual_ms("f", "book") == 2000


def test_nodes_that_are_not_called_are_forgotten() -> None:
    durations = UsualDurations()
    for node in range(KEPT_NODES):
        for _ in range(3):
            durations.took("f", str(node), 1)
    durations.took("f", "0", 1)
    durations.took("f", "new", 1)
    assert durations.usual_ms("f", "0") == 1
    assert durations.usual_ms("f", "1") is None


@pytest.mark.parametrize(
    ("usual_ms", "after_ms"),
    [(None, 700), (0, 700), (400, 700), (600, 900), (1000, 1500), (2199, 3298.5), (2200, 0)],
)
def test_a_filler_is_said_where_it_is_worth_it(usual_ms: float | None, after_ms: float) -> None:
    assert filler_after_ms(700, usual_ms) == after_ms
