"""Which entries of the history stand whole in a prompt, and when older ones are summarised."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from flow_backend.engine.history import (
    BACKLOG,
    PART_ENTRIES,
    WHOLE_ENTRIES,
    due,
    fitting,
    settled,
    summary_request,
    tokens_of,
)
from flow_backend.engine.prompt import CUT, SILENCE, build_prompt
from flow_backend.engine.state import Entry

ENTRIES = st.lists(
    st.builds(
        Entry,
        role=st.sampled_from(["user", "assistant"]),
        text=st.text(max_size=200),
        interrupted=st.booleans(),
    ),
    max_size=20,
)


@given(ENTRIES, st.integers(0, 300))
def test_the_newest_entries_that_fit_and_at_least_the_last(
    entries: list[Entry], limit: int
) -> None:
    chosen = fitting(entries, limit)
    assert chosen == entries[len(entries) - len(chosen) :]
    assert len(chosen) >= min(1, len(entries))
    size = sum(tokens_of(entry.text) for entry in chosen)
    assert size <= limit or len(chosen) == 1
    if len(chosen) < len(entries):
        assert size + tokens_of(entries[-len(chosen) - 1].text) > limit


@given(ENTRIES, st.integers(0, 20), st.integers(0, 400))
def test_a_summary_never_takes_the_newest_entries(
    entries: list[Entry], summarised: int, limit: int
) -> None:
    summarised = min(summarised, len(entries))
    end = due(entries, summarised, limit)
    assert end == 0 or summarised < end <= len(entries) - WHOLE_ENTRIES


def test_a_summary_is_due_at_three_quarters_of_the_limit() -> None:
    history = [Entry("user", "x" * 36) for _ in range(10)]  # 13 tokens each
    assert due(history, 0, 200) == 0
    assert due(history, 0, 150) == 10 - WHOLE_ENTRIES
    assert due(history, 4, 150) == 0  # nothing is left that may be summarised


@given(st.integers(0, 80), st.integers(0, 80), st.integers(0, 400), st.lists(st.integers(0, 200)))
def test_what_is_put_away_changes_no_prompt(
    count: int, summarised: int, limit: int, lengths: list[int]
) -> None:
    history = [
        Entry("user", "x" * (lengths[n % len(lengths)] if lengths else 0)) for n in range(count)
    ]
    summarised = min(summarised, len(history))
    end = settled(history, summarised, limit)
    left, rest = history[end:], max(0, summarised - end)
    assert fitting(left[rest:], limit) == fitting(history[summarised:], limit)
    assert end == 0 or PART_ENTRIES <= end <= len(history) - WHOLE_ENTRIES
    tokens = sum(tokens_of(entry.text) for entry in history[summarised:])
    if tokens <= limit * BACKLOG:
        assert end <= summarised, "what waits for a summary stays"
        assert due(left, rest, limit) == max(0, due(history, summarised, limit) - end)


def test_the_request_for_a_summary_holds_the_last_one_and_what_was_heard() -> None:
    messages, params = summary_request(
        "They met.",
        [
            Entry("user", "hi"),
            Entry("assistant", "Good mor", interrupted=True),
            Entry("assistant", ""),
        ],
    )
    assert messages[-1].content == f"Earlier: They met.\nUser: hi\nAgent: Good mor{CUT}"
    assert params.purpose == "summary"


@given(ENTRIES, st.text(max_size=40))
def test_prompts_alternate_and_leave_out_what_was_not_heard(
    entries: list[Entry], said: str
) -> None:
    messages = build_prompt("Be kind.", entries, said)
    roles = [message.role for message in messages]
    assert roles[0] == "system"
    assert roles[-1] == "user"
    assert all(one != other for one, other in pairwise(roles))
    assert messages[-1].content.endswith(said.strip() or SILENCE)
