from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flow_backend.flows.folder import BUILTIN
from flow_backend.flows.loading import load_file, load_text
from flow_backend.flows.problems import WORDS, InvalidFlowError, Problem
from flow_backend.flows.schema import flow_schema, schema_text
from flow_backend.flows.validation import parse_flow, validate

ROOT = Path(__file__).parents[3]

MANY_FAULTS = """\
id: front desk
nmae: x
default: {llm: opnai}
variables: {company: "Blue", "a b": 1, input: 3}
nodes:
  - id: hello
    type: start
    data: {greeting: "Hello, {{ compny }}.", variables: {age: {type: integer, default: x}}}
  - {id: talk, type: conversaton, data: {instructions: "x"}}
  - {id: talk, type: conversation, data: {instrctions: "x", temperature: 9, llm: foo/bar}}
  - {id: bye, type: end, data: {text: "Goodbye {{ company | foo }}"}}
  - {id: lost, type: say, data: {text: "{{"}}
  - {id: 3, type: say, data: {text: hi}}
edges:
  - {id: e1, source: hello, target: talk, data: {condition_type: always}}
  - {id: e2, source: talk, target: byee, data: {condition_type: expression, condition: "age >"}}
  - {id: e2, source: hello, target: bye, data: {condition_type: llm}}
  - {id: e4, source: bye, target: talk, data: {condition: x}}
"""


def found(text: str) -> dict[str, str]:
    _, problems = validate(load_text(text))
    return {problem.path: problem.message for problem in problems}


def test_every_problem_is_told_at_once_with_its_path_and_line() -> None:
    _, problems = validate(load_text(MANY_FAULTS))
    by_path = {problem.path: problem for problem in problems}
    expected = {
        "id": "pattern",
        "nmae": "did you mean 'name'?",
        "default.llm": "did you mean 'openai'?",
        "variables['a b']": "name has only letters",
        "variables.input": "set by every turn",
        "nodes[0].data.greeting": "'compny', which nothing sets",
        "nodes[0].data.variables.age.default": "expected an integer",
        "nodes[1].type": "did you mean 'conversation'?",
        "nodes[2].id": "already taken",
        "nodes[2].data.instrctions": "did you mean 'instructions'?",
        "nodes[2].data.temperature": "less than or equal to 2",
        "nodes[3].data.text": "unknown filter 'foo'",
        "nodes[4].data.text": "does not parse",
        "nodes[4]": "no way leads",
        "nodes[5].id": "should be a valid string",
        "edges[1].target": "there is no node 'byee'; did you mean 'bye'?",
        "edges[1].data.condition": "does not parse: at 1:6",
        "edges[2].id": "already taken",
        "edges[2].data.condition": "missing",
        "edges[3]": "nothing follows",
        "edges[3].data.condition": "has no condition",
    }
    assert {path: by_path[path].message for path in expected if path in by_path}.keys() == (
        expected.keys()
    ), [str(problem) for problem in problems]
    for path, part in expected.items():
        assert part in by_path[path].message
    assert by_path["nodes[4].data.text"].line == 12
    assert by_path["edges[1].target"].line == 16
    lines = [problem.line or 0 for problem in problems]
    assert lines == sorted(lines)


GOOD: dict[str, Any] = {
    "id": "f",
    "variables": {"n": 1},
    "nodes": [
        {"id": "a", "type": "start", "data": {}},
        {"id": "b", "type": "conversation", "data": {"instructions": "{{ n }} {{ input }}"}},
        {"id": "c", "type": "end", "data": {}},
    ],
    "edges": [
        {"id": "1", "source": "a", "target": "b"},
        {
            "id": "2",
            "source": "b",
            "target": "c",
            "data": {"condition_type": "expression", "condition": "[1].exists(x, x == n)"},
        },
    ],
}


def test_a_right_flow_has_no_problems() -> None:
    assert parse_flow(GOOD).id == "f"


@pytest.mark.parametrize(
    ("change", "path", "part"),
    [
        (lambda d: d["edges"].pop(0), "nodes[0]", "leads nowhere"),
        (lambda d: d["nodes"].pop(0), "nodes", "no node of type 'start'"),
        (lambda d: d["nodes"].append({**d["nodes"][0], "id": "z"}), "nodes[3].type", "more than"),
        (
            lambda d: d["edges"][0].update(data={"condition_type": "llm", "condition": "x"}),
            "nodes[0]",
            "else edge is missing",
        ),
        (
            lambda d: d["edges"].append({"id": "3", "source": "a", "target": "c"}),
            "edges[2]",
            "never taken",
        ),
        (lambda d: d.update(nodes={}), "nodes", "should be a valid list"),
        (
            lambda d: d["edges"].append({"id": "3", "source": "b", "target": "c"}),
            "edges[2]",
            "goes on until a condition holds",
        ),
        (lambda d: d["edges"].pop(1), "nodes[2]", "no way leads"),
        (
            lambda d: d["edges"][1].update(data={"condition_type": "event", "condition": "silnce"}),
            "edges[1].data.condition",
            "no event 'silnce' happens there; did you mean 'silence'?",
        ),
    ],
)
def test_faults_of_the_graph(change: Any, path: str, part: str) -> None:
    document = json.loads(json.dumps(GOOD))
    change(document)
    _, problems = validate(document)
    assert part in {problem.path: problem.message for problem in problems}[path]


def _with(node_type: str, **data: Any) -> Any:
    return lambda d: d["nodes"].append({"id": "new", "type": node_type, "data": data})


def _talk(**data: Any) -> Any:
    return lambda d: d["nodes"][1]["data"].update(data)


def _edge(source: str, target: str, **data: Any) -> Any:
    return lambda d: d["edges"].append(
        {"id": "new", "source": source, "target": target, "data": data}
    )


FAULTS: dict[str, Any] = {
    "missing": lambda d: d["edges"][0].pop("source"),
    "unknown_field": lambda d: d.update(nmae="x"),
    "not_text": lambda d: d.update(name=3),
    "not_a_number": _talk(temperature="hot"),
    "not_whole": _talk(max_tokens=1.5),
    "not_true_or_false": _talk(allow_interruptions="perhaps"),
    "not_a_list": lambda d: d.update(nodes={}),
    "not_an_object": lambda d: d.update(variables=3),
    "not_one_of": _edge("b", "c", condition_type="maybe"),
    "not_of_form": lambda d: d.update(id="a b"),
    "too_small": _talk(temperature=-1),
    "too_large": _talk(temperature=9),
    "too_short": _with("say", text=""),
    "too_long": lambda d: d.update(id="a" * 201),
    "schema_invalid": _with("extract", schema={"type": 3}),
    "schema_with_reference": _with("extract", schema={"properties": {"a": {"$ref": "#/b"}}}),
    "schema_of_no_object": _with("extract", schema={"type": "string"}),
    "schema_name_invalid": _with("extract", schema={"properties": {"a b": {}}}),
    "pointer_invalid": _with("http", url="http://x", response={"a": "b"}),
    "digits_missing": _with("press_digit"),
    "not_one_source": _with("set", assignments=[{"name": "n"}]),
    "too_many": lambda d: d.update(nodes=d["nodes"] * 700),
    "unknown_node_type": _with("sya"),
    "unknown_node": _edge("b", "cc", condition_type="llm", condition="x"),
    "unknown_provider": lambda d: d.update(default={"llm": "opnai"}),
    "unknown_event": _edge("b", "c", condition_type="event", condition="silnce"),
    "id_taken": lambda d: d["nodes"].append(d["nodes"][2]),
    "condition_needless": lambda d: d["edges"][0].update(data={"condition": "x"}),
    "condition_missing": _edge("b", "c", condition_type="llm"),
    "template_invalid": _talk(instructions="{{"),
    "expression_invalid": _edge("b", "c", condition_type="expression", condition="n >"),
    "variable_name_invalid": lambda d: d["variables"].update({"a b": 1}),
    "variable_name_taken": lambda d: d["variables"].update(input=1),
    "variable_never_set": _talk(instructions="{{ m }}"),
    "default_of_other_type": lambda d: d["nodes"][0].update(
        data={"variables": {"age": {"type": "integer", "default": "x"}}}
    ),
    "start_missing": lambda d: d["nodes"].pop(0),
    "start_twice": _with("start"),
    "after_the_end": _edge("c", "b"),
    "leaves_conversation": _edge("b", "c"),
    "else_twice": _edge("a", "c"),
    "else_missing": lambda d: d["edges"][0].update(
        data={"condition_type": "llm", "condition": "x"}
    ),
    "leads_nowhere": lambda d: d["edges"].pop(0),
    "unreachable": lambda d: d["edges"].pop(1),
}


def _found_in(change: Any) -> list[Problem]:
    document = json.loads(json.dumps(GOOD))
    change(document)
    return validate(document)[1]


@pytest.mark.parametrize("code", FAULTS)
def test_each_fault_has_a_code_of_its_own(code: str) -> None:
    problems = _found_in(FAULTS[code])
    assert code in {problem.code for problem in problems}
    assert all(problem.message and problem.code in WORDS for problem in problems)


def test_every_code_is_known_here() -> None:
    assert validate([])[1][0].code == "no_flow"
    # The last one is for what pydantic may find that nobody has thought of.
    assert set(WORDS) == {*FAULTS, "no_flow", "value_invalid"}


def test_what_a_message_names_is_told_apart_from_it() -> None:
    def values(code: str) -> dict[str, str]:
        return next(p.values for p in _found_in(FAULTS[code]) if p.code == code)

    assert values("unknown_field") == {"name": "nmae", "meant": "name"}
    assert values("unknown_node_type") == {"name": "sya", "meant": "say"}
    assert values("unknown_node") == {"name": "cc", "meant": "c"}
    assert values("too_large") == {"limit": "2"}
    assert values("too_small") == {"limit": "0"}
    assert values("not_one_of") == {"known": "always, expression, llm, event"}
    assert values("pointer_invalid") == {"name": "a", "pointer": "b"}
    assert values("default_of_other_type")["type"] == "integer"


def test_an_invalid_flow_carries_its_problems_to_the_wire() -> None:
    with pytest.raises(InvalidFlowError) as caught:
        parse_flow({"id": "x", "nodes": [], "edges": [], "oops": 1})
    body = caught.value.as_dict()
    assert body["code"] == "flow_invalid"
    assert {
        key: body["problems"][0][key]
        for key in ("path", "line")  # type: ignore[index]
    } == {"path": "oops", "line": None}
    json.dumps(body)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    )
)
def test_any_json_is_judged_and_never_crashes(value: Any) -> None:
    validate({"id": "f", "nodes": value, "edges": value, "variables": value, "default": value})
    validate({"id": "f", "nodes": [value, {"id": "a", "type": "say", "data": value}]})
    _, problems = validate(value)
    assert problems


def test_the_published_schema_is_current() -> None:
    published = (ROOT / "docs" / "flow.schema.json").read_text(encoding="utf-8")
    assert published == schema_text(), (
        "docs/flow.schema.json is not current. Write it anew: "
        "python -m flow_backend.flows.schema > docs/flow.schema.json"
    )


def test_the_schema_accepts_right_flows_and_refuses_wrong_fields() -> None:
    validator = jsonschema.Draft202012Validator(flow_schema())
    assert list(validator.iter_errors(GOOD)) == []
    for path in BUILTIN.glob("*.yaml"):
        assert list(validator.iter_errors(load_file(path).data)) == []
    wrong = {**GOOD, "nodes": [{"id": "a", "type": "start", "data": {"greting": "x"}}]}
    assert list(validator.iter_errors(wrong))


def test_five_hundred_nodes_take_less_than_50_ms() -> None:
    nodes = [{"id": "s", "type": "start", "data": {}}] + [
        {
            "id": f"n{i}",
            "type": "conversation",
            "data": {"instructions": f"You are {i}, {{{{ name | upcase }}}} {{{{ topic }}}}."},
        }
        for i in range(500)
    ]
    edges = [{"id": "e", "source": "s", "target": "n0"}] + [
        {
            "id": f"e{i}",
            "source": f"n{i}",
            "target": f"n{i + 1}",
            "data": {"condition_type": "expression", "condition": f"count > {i}"},
        }
        for i in range(499)
    ]
    document = {
        "id": "big",
        "variables": {"topic": "x", "name": "y", "count": 1},
        "nodes": nodes,
        "edges": edges,
    }
    spent = []
    for _ in range(5):
        begun = time.process_time()
        flow, problems = validate(document)
        spent.append((time.process_time() - begun) * 1000)
    assert flow is not None
    assert not problems
    assert min(spent) < 50
