from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flow_backend.flows.expressions import check, evaluate, holds
from protocol.errors import FlowError


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("age >= 18 && name != ''", True),
        ("missing == null", True),
        ("tags.exists(t, t == 'b')", True),
        ("tags.map(t, t + '!')", ["a!", "b!"]),
        ("size(name) + 1", 4),
        ("timestamp('2024-01-02T03:04:05Z')", "2024-01-02T03:04:05+00:00"),
        ("duration('90s')", "90s"),
        ("{'a': age}", {"a": 30}),
    ],
)
def test_expressions_give_what_json_can_hold(source: str, value: object) -> None:
    assert evaluate(source, {"age": 30, "name": "Ana", "tags": ["a", "b"]}) == value


@pytest.mark.parametrize(
    "source",
    [
        "1/0",
        "name.foo",
        "tags[9]",
        "9223372036854775807 + 1",
        "1.0e308 * 10.0",
        "age +",
        "nothing(1)",
        "",
        "x" * 5000,
        "big.map(a, big.map(b, big.map(c, 1)))",
        "(" * 500 + "1" + ")" * 500,
    ],
)
def test_what_fails_is_told_in_time(source: str) -> None:
    begun = time.process_time()
    with pytest.raises(FlowError) as caught:
        evaluate(source, {"name": "Ana", "tags": [], "age": 1, "big": list(range(1000))})
    assert caught.value.code == "expression_failed"
    assert time.process_time() - begun < 1


def _grown(rounds: int, pluses: int) -> str:
    """A text that each round adds to itself so many times."""
    source = "'hello'"
    for _ in range(rounds):
        source = f"[{source}].map(a, {'+'.join(['a'] * (pluses + 1))})[0]"
    return source


@pytest.mark.parametrize(
    "source",
    [
        "+".join(["text"] * 700),
        _grown(5, 60),
        f"({'+'.join(['list'] * 100)}).map(x, ({'+'.join(['list'] * 100)}).all(y, y >= 0))",
        "list.map(x, list.map(y, x + y))",
        "list.map(x, text)",
        "long.map(x, x)",
        "list.//\nall(x, list.//\nall(y, list.all//\n(z, z >= 0)))",
        "list\n.all(x, list. all (y, list.existsOne(z, z >= 0)))",
        "list.all(x, ')' != r'\\' || list.all(y, list.all(z, z >= 0)))",
        "list.all(x, '''//''' + \"\"\"'\"\"\" == '' || list.all(y, list.all(z, z >= 0)))",
    ],
)
def test_what_would_take_too_long_or_too_much_memory_is_not_begun(source: str) -> None:
    values = {"text": "x" * 1_000_000, "list": list(range(400)), "long": list(range(10_000))}
    check(source)
    begun = time.process_time()
    with pytest.raises(FlowError, match="too many times"):
        evaluate(source, values)
    assert time.process_time() - begun < 1


def test_lists_of_ordinary_length_are_gone_over() -> None:
    rooms = [{"name": f"room {n}", "free": n % 2 == 0, "beds": n} for n in range(500)]
    found = evaluate(
        "rooms.filter(r, r.free && r.beds + 1 > 3).map(r, 'our ' + r.name)[0] + '!'",
        {"rooms": rooms},
    )
    assert found == "our room 4!"
    assert evaluate("text + ', ' + text == ''", {"text": "x" * 1_000_000}) is False
    assert evaluate("list.all(x, x >= 0)", {"list": list(range(100_000))}) is True


def test_a_condition_on_what_is_not_known_yet_does_not_hold() -> None:
    assert holds("age > 18", {"age": 20})
    assert not holds("age > 18", {})
    assert not holds("age", {"age": "yes"})
    with pytest.raises(FlowError):
        holds("age > 18", {"age": "twenty"})


def test_faults_are_told_before_running() -> None:
    assert check("a.b > c") == {"a", "c"}
    with pytest.raises(ValueError, match="at 1:4"):
        check("a >")
    with pytest.raises(ValueError, match="no function 'lower'"):
        check("lower(a)")
    for function in ("size", "contains", "startsWith", "matches", "string", "int"):
        check(f"{function}(a)")


@given(st.text(alphabet="abx().[]{}\"'+-*/<>=!&|?:, 019\n\\", max_size=40))
def test_any_text_gives_a_value_or_a_flow_error(source: str) -> None:
    with contextlib.suppress(FlowError):
        evaluate(source, {"a": 1, "b": [1, 2], "x": "y"})
