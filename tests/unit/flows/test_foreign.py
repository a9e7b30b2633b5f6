from __future__ import annotations

from pathlib import Path

import pytest

from flow_backend.flows.foreign import convert
from flow_backend.flows.loading import load_file, load_text, to_yaml
from flow_backend.flows.validation import validate
from protocol.errors import FlowError

FOREIGN = Path(__file__).parent / "foreign"


@pytest.mark.parametrize(
    ("name", "mended"),
    [
        ("vapi.json", []),
        ("pipecat.json", []),
        ("pipecat_older.json", []),
        ("dify.yml", []),
    ],
)
def test_what_is_imported_is_a_valid_flow(name: str, mended: list[str]) -> None:
    document, _ = convert(load_file(FOREIGN / name).data, flow_id=name)
    assert [str(problem) for problem in validate(document)[1]] == mended
    assert load_text(to_yaml(document)).data == document


@pytest.mark.parametrize(
    ("name", "left_out"),
    [
        ("vapi.json", ["'voice'", "the tool '4f2a'", "workflow: the field 'model'"]),
        ("pipecat.json", ["context strategy", "could also lead to greet", "'Say goodbye.'"]),
        ("pipecat_older.json", []),
        ("dify.yml", ["'API_KEY'", "its authorization", "the node type 'code'"]),
    ],
)
def test_what_is_left_out_is_named(name: str, left_out: list[str]) -> None:
    _, found = convert(load_file(FOREIGN / name).data, flow_id=name)
    assert len(found) == len(left_out)
    for part, note in zip(left_out, found, strict=True):
        assert part in note


def test_edges_carry_the_conditions() -> None:
    document, _ = convert(load_file(FOREIGN / "dify.yml").data, flow_id="d")
    conditions = {(e["source"], e["target"]): e["data"].get("condition") for e in document["edges"]}
    assert conditions["1714", "1720"] == 'nights >= 7 && (name != null && name != "")'
    assert conditions["1717", "1712"] == "true"
    document, _ = convert(load_file(FOREIGN / "vapi.json").data, flow_id="v")
    nodes = {node["id"]: node["data"] for node in document["nodes"]}
    assert nodes["start"]["greeting"] == "Blue Door clinic, how can I help?"
    assert nodes["answer"]["global"] is True
    assert nodes["introduction_to_lookup"]["schema"]["properties"]["need"]["enum"] == [
        "visit",
        "question",
    ]


@pytest.mark.parametrize("data", [None, [], {}, {"nodes": []}, {"kind": "app", "workflow": {}}])
def test_what_is_none_of_them_is_refused(data: object) -> None:
    with pytest.raises(FlowError, match="none of what can be imported"):
        convert(data, flow_id="x")


@pytest.mark.parametrize(
    "data",
    [
        {"nodes": [{"name": "a"}]},
        {"initial_node": "x", "nodes": {"a": {}}},
        {"kind": "app", "workflow": {"graph": {"nodes": [{"id": "1", "data": {}}], "edges": []}}},
        {"nodes": [{"id": 1, "data": {"functions": "x"}, "type": "node"}]},
    ],
)
def test_a_broken_one_is_refused_and_not_guessed_at(data: object) -> None:
    with pytest.raises(FlowError, match="looks like"):
        convert(data, flow_id="x")
