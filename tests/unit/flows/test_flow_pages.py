"""Every example of docs/flows.md is what it says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from flow_backend.flows.document import Edge
from flow_backend.flows.loading import load_text
from flow_backend.flows.scenarios import Expectation, ScenarioFile
from flow_backend.flows.validation import validate
from flow_backend.llm.scripted import Reply
from flow_backend.nodes.catalogue import NODE_TYPES

PAGE = (Path(__file__).parents[3] / "docs" / "flows.md").read_text(encoding="utf-8")
EXAMPLES = [load_text(text).data for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]
NODES = [example for example in EXAMPLES if "type" in example]
EDGES = [example for example in EXAMPLES if "source" in example]
NAMES = ["company", "tries", "name", "booking_url", "day", "time", "extension", "age"]


def within_a_flow(*nodes: dict[str, Any]) -> list[str]:
    """Problems of nodes that stand between a start and an end."""
    around = [{"id": "first", "type": "start"}, {"id": "last", "type": "end"}]
    if nodes[0]["type"] == "start":
        around = around[1:]
    edges = []
    for number, node in enumerate(nodes):
        if node["type"] != "start":
            edges.append({"id": f"in{number}", "source": "first", "target": node["id"]})
        if node["type"] != "end":
            out = {"id": f"out{number}", "source": node["id"], "target": "last", "data": {}}
            if node["type"] == "conversation":
                out["data"] = {"condition_type": "expression", "condition": "true"}
            edges.append(out)
    if nodes[0]["type"] in ("end",):
        edges = [{"id": "in", "source": "first", "target": nodes[0]["id"]}]
        around = around[:1]
    document = {
        "id": "page",
        "variables": dict.fromkeys(NAMES, ""),
        "nodes": [*around, *nodes],
        "edges": edges,
    }
    return [str(problem) for problem in validate(document)[1]]


@pytest.mark.parametrize("node", NODES, ids=lambda node: str(node["id"]))
def test_a_node_is_valid(node: dict[str, Any]) -> None:
    assert within_a_flow(node) == []


def test_every_node_type_has_an_example() -> None:
    assert {node["type"] for node in NODES} == {node_type.name for node_type in NODE_TYPES}
    for node_type in NODE_TYPES:
        assert f"### {node_type.name}\n" in PAGE


@pytest.mark.parametrize("edge", EDGES, ids=lambda edge: str(edge["id"]))
def test_an_edge_is_valid(edge: dict[str, Any]) -> None:
    Edge.model_validate(edge)
    source: dict[str, Any] = {"id": edge["source"], "type": "logic_split"}
    if edge["data"]["condition_type"] == "event":
        source.update(type="http", data={"url": "https://example.com"})
    ends = {"nodes": [{"id": "s", "type": "start"}, source,
                      {"id": edge["target"], "type": "end"}]}  # fmt: skip
    extra = [{"id": "in", "source": "s", "target": edge["source"]}]
    if edge["data"]["condition_type"] != "always":
        extra.append({"id": "else", "source": edge["source"], "target": edge["target"]})
    variables = dict.fromkeys(NAMES, 1)
    document = {"id": "page", "variables": variables, **ends, "edges": [*extra, edge]}
    assert [str(problem) for problem in validate(document)[1]] == []


def test_every_kind_of_edge_has_an_example() -> None:
    kinds = {edge["data"]["condition_type"] for edge in EDGES}
    assert kinds == {"always", "expression", "llm", "event"}


def test_whole_flows_and_scenario_files_are_valid() -> None:
    flows = [example for example in EXAMPLES if "nodes" in example]
    scenarios = [example for example in EXAMPLES if "scenarios" in example]
    assert [validate(flow)[1] for flow in flows] == [[]]
    assert len([ScenarioFile.model_validate(example) for example in scenarios]) == 1
    assert len(flows) + len(scenarios) + len(NODES) + len(EDGES) == len(EXAMPLES)


def test_every_expectation_and_every_field_of_an_answer_is_explained() -> None:
    for model in (Expectation, Reply):
        for name, field in model.model_fields.items():
            assert f"`{field.alias or name}`" in PAGE
