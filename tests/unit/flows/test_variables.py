from __future__ import annotations

from typing import Any

import pytest

from flow_backend.engine.plan import make_plan
from flow_backend.flows.document import Flow
from flow_backend.flows.variables import VariableType, check_sizes, coerce, type_of
from protocol.errors import FlowError


@pytest.mark.parametrize(
    ("value", "wanted", "result"),
    [
        ("4", "integer", 4),
        (4.0, "integer", 4),
        (" 4.5 ", "number", 4.5),
        (4, "string", "4"),
        (True, "string", "true"),
        ("yes", "boolean", True),
        ("Off", "boolean", False),
        (0, "boolean", False),
        ("[1]", "array", [1]),
        ('{"a": 1}', "object", {"a": 1}),
        (None, "integer", None),
    ],
)
def test_values_become_of_their_type(value: Any, wanted: VariableType, result: Any) -> None:
    changed = coerce(value, wanted)
    assert changed == result
    assert type(changed) is type(result)


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("4.5", "integer"),
        (4.5, "integer"),
        ("four", "number"),
        ("nan", "number"),
        (float("inf"), "number"),
        (True, "integer"),
        ("maybe", "boolean"),
        (2, "boolean"),
        ("{}", "array"),
        ("[" * 100_000, "array"),
        ([1], "string"),
        ({}, "boolean"),
    ],
)
def test_what_is_not_of_the_type_is_refused(value: Any, wanted: VariableType) -> None:
    with pytest.raises(ValueError, match=f"expected an? {wanted}"):
        coerce(value, wanted)


def test_types_have_names() -> None:
    values = ["x", True, 1, 1.5, [], {}, None]
    assert [type_of(value) for value in values] == [
        "string", "boolean", "integer", "number", "array", "object", None,
    ]  # fmt: skip


def test_giant_variables_are_refused_with_their_path() -> None:
    limits = {"one_bytes": 100, "all_bytes": 250}
    kept = {"a": "x" * 90, "b": "x" * 90}
    check_sizes({"a": kept["a"]}, kept, **limits)
    with pytest.raises(FlowError, match="larger than 100 bytes") as one:
        check_sizes({"n": ["x" * 120]}, {"n": ["x" * 120]}, **limits)
    assert (one.value.code, one.value.path) == ("variable_too_large", "variables.n")
    with pytest.raises(FlowError, match="together are larger than 250 bytes") as all_of_them:
        check_sizes({"c": "x" * 90}, {**kept, "c": "x" * 90}, **limits)
    assert all_of_them.value.path == "variables.c"


def test_variables_that_say_whom_a_flow_calls() -> None:
    flow = Flow.model_validate(
        {
            "id": "f",
            "nodes": [
                {"id": "start", "type": "start", "data": {"variables": {"region": {}}}},
                {
                    "id": "call",
                    "type": "http",
                    "data": {"url": "https://{{ region }}.{{ host }}/{{ day }}?q={{ name }}"},
                },
                {"id": "desk", "type": "transfer", "data": {"to": "{{ desk }}"}},
            ],
        }
    )
    assert make_plan(flow, 1).addresses() == {"host", "desk"}
