from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from agent_worker.waterfall import KEPT_TURNS, MAX_NODES, Waterfall, Waterfalls
from bench.waterfall import BAR_CELLS, bar, waterfall_table
from protocol.events import Done, NodeFinished, NodeStarted, Token

SPEECH_END_S = 1000.0
USER = {"stopped_speaking_at": SPEECH_END_S, "end_of_turn_delay": 0.3}
ANSWER = {
    "llm_node_ttfs": 0.1,
    "tts_node_ttfb": 0.12,
    "started_speaking_at": SPEECH_END_S + 0.5,
    "playback_latency": 0.02,
}


def a_turn(waterfalls: Waterfalls, turn_id: str = "t") -> None:
    waterfalls.paused(SPEECH_END_S + 0.25)
    waterfalls.preflight(SPEECH_END_S + 0.27)
    waterfalls.requested(turn_id, SPEECH_END_S + 0.28)
    at_s = SPEECH_END_S + 0.3
    for event in (
        NodeStarted(node_id="talk", node_type="llm"),
        Token(content="Hidden words.", node_id="talk"),
        NodeFinished(node_id="talk", node_type="llm", duration_ms=20),
        Done(content="", timings_ms={"llm_request": 2, "first_token": 30}),
    ):
        waterfalls.event(turn_id, event, at_s)
        at_s += 0.01
    waterfalls.final(SPEECH_END_S + 0.29)
    waterfalls.committed(turn_id, USER, SPEECH_END_S + 0.31)


def spans(waterfall: Waterfall) -> dict[str, tuple[int, int]]:
    return {s.name: (round(s.start_ms), round(s.end_ms)) for s in waterfall.stages}


def test_every_stage_has_its_place() -> None:
    waterfalls = Waterfalls()
    a_turn(waterfalls)
    waterfall = waterfalls.finished("t", ANSWER, interrupted=False, heard_text="Hidden words.")
    assert waterfall is not None
    assert spans(waterfall) == {
        "vad": (0, 250),
        "preflight": (0, 270),
        "transcript": (0, 290),
        "end_of_turn": (0, 300),
        "commit": (300, 310),
        "request": (280, 300),
        "node talk": (300, 320),
        "model": (282, 310),
        "first_token": (280, 310),
        "first_sentence": (310, 380),
        "first_audio": (310, 430),
        "published": (310, 480),
        "played": (480, 500),
    }
    assert round(waterfall.total_ms) == 500
    starts = [stage.start_ms for stage in waterfall.stages]
    assert starts == sorted(starts)


def test_the_room_is_told_the_same_and_no_words_of_an_answer_that_was_not_cut() -> None:
    waterfalls = Waterfalls()
    a_turn(waterfalls)
    waterfall = waterfalls.finished("t", ANSWER, interrupted=False, heard_text="Hidden words.")
    assert waterfall is not None
    sent = json.loads(waterfall.as_json())
    assert sent["turn_id"] == "t"
    assert sent["total_ms"] == 500.0
    assert sent["interrupted"] is False
    assert {"name": "played", "start_ms": 480.0, "end_ms": 500.0} in sent["stages"]
    assert "idden" not in waterfall.as_json() + waterfall.log_line()


def test_a_cut_answer_says_what_was_heard_in_the_room_but_not_in_the_log() -> None:
    waterfalls = Waterfalls()
    a_turn(waterfalls)
    waterfall = waterfalls.finished("t", {}, interrupted=True, heard_text="Hidden")
    assert waterfall is not None
    told = json.loads(waterfall.as_json())
    assert (told["heard_text"], told["estimated"]) == ("Hidden", False)
    assert "interrupted" in waterfall.log_line()
    assert "Hidden" not in waterfall.log_line()
    assert "played" not in spans(waterfall)


def test_heard_words_that_were_guessed_are_told_as_such() -> None:
    waterfalls = Waterfalls()
    a_turn(waterfalls)
    waterfall = waterfalls.finished("t", {}, interrupted=True, heard_text="Some", estimated=True)
    assert waterfall is not None
    assert json.loads(waterfall.as_json())["estimated"] is True


def test_wrong_guesses_are_counted_once_and_with_the_turn_that_came_of_them() -> None:
    waterfalls = Waterfalls()
    waterfalls.requested("guess", SPEECH_END_S)
    waterfalls.event("guess", Token(content="Well", node_id="talk"), SPEECH_END_S)
    waterfalls.discarded("guess")
    waterfalls.discarded("guess")
    a_turn(waterfalls, "first")
    a_turn(waterfalls, "second")
    assert waterfalls.finished("guess", {}, interrupted=False) is None
    first = waterfalls.finished("first", ANSWER, interrupted=False)
    second = waterfalls.finished("second", ANSWER, interrupted=False)
    assert first is not None
    assert second is not None
    assert (first.wasted, first.wasted_tokens) == (1, 1)
    assert (second.wasted, second.wasted_tokens) == (0, 0)


def test_an_earlier_pause_of_the_same_turn_is_not_its_end() -> None:
    waterfalls = Waterfalls()
    waterfalls.paused(SPEECH_END_S - 2)
    waterfalls.preflight(SPEECH_END_S - 2)
    waterfalls.committed("t", USER, SPEECH_END_S + 0.3)
    waterfall = waterfalls.finished("t", {}, interrupted=True)
    assert waterfall is not None
    assert set(spans(waterfall)) == {"end_of_turn", "commit"}


def test_typed_words_count_from_the_request() -> None:
    waterfalls = Waterfalls()
    waterfalls.requested("t", 50.0)
    waterfalls.committed("t", {}, 50.01)
    waterfalls.event("t", Token(content="Hi.", node_id="talk"), 50.2)
    waterfall = waterfalls.finished("t", {"started_speaking_at": 50.4}, interrupted=False)
    assert waterfall is not None
    assert round(waterfall.total_ms) == 400
    assert "vad" not in spans(waterfall)


def test_what_never_ends_is_forgotten() -> None:
    waterfalls = Waterfalls()
    for number in range(KEPT_TURNS + 1):
        waterfalls.committed(f"t{number}", USER)
    assert waterfalls.finished("t0", {}, interrupted=False) is None
    assert waterfalls.finished("t1", {}, interrupted=False) is not None


def test_a_loop_of_nodes_does_not_grow_the_message() -> None:
    waterfalls = Waterfalls()
    waterfalls.committed("t", USER)
    for _ in range(MAX_NODES * 3):
        waterfalls.event("t", NodeFinished(node_id="n", node_type="set", duration_ms=1), 1000.5)
    waterfall = waterfalls.finished("t", {}, interrupted=False)
    assert waterfall is not None
    assert sum(stage.name == "node n" for stage in waterfall.stages) == MAX_NODES


def test_the_table_shows_medians_and_waste() -> None:
    turns = [
        {"stages": [{"name": "vad", "start_ms": 0, "end_ms": end}], "wasted": 1}
        for end in (100, 200, 900)
    ]
    table = waterfall_table(turns)
    assert list(table.columns[0].cells) == ["vad"]
    assert list(table.columns[2].cells) == ["200 ms"]
    assert table.caption == "3 answers begun on a wrong guess at the transcript"
    assert waterfall_table([]).row_count == 0


@given(
    st.floats(0, 1e5, allow_nan=False),
    st.floats(0, 1e5, allow_nan=False),
    st.floats(-1e4, 0, allow_nan=False),
)
def test_a_bar_stays_in_its_cells(start: float, length: float, first: float) -> None:
    last = max(start + length, first + 1)
    cells = bar(start, start + length, first, last)
    assert 1 <= len(cells) <= BAR_CELLS
    assert cells.strip()
