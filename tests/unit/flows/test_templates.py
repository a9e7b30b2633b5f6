from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flow_backend.flows.templates import _names, _simple_names, check, render
from protocol.errors import FlowError


def test_templates_see_their_values_and_nothing_else() -> None:
    assert render("Hello, {{ name | upcase }}.", {"name": "Ana"}) == "Hello, ANA."
    assert render("{{ missing }}{{ name.__class__ }}{{ name.upper }}", {"name": "x"}) == ""
    assert render("no braces", {}) == "no braces"


@pytest.mark.parametrize(
    "source",
    [
        "{{ long | replace: 'a', long }}",
        "{% for i in (1..100000) %}x{% endfor %}",
        "{% for i in (1..900) %}{{ long }}{% endfor %}",
        "{% for i in (1..5000) %}{{ list | sort | join: ',' | split: ',' | size }}{% endfor %}",
        "{% assign a = long %}{% for i in (1..99) %}{% assign a = a | append: a %}{% endfor %}",
        "{{ (1..1000000000) | join: ',' }}",
        "{% assign far = (1..300000000) %}{{ far | reverse | first }}",
        "{% if (1..300000000) contains 'x' %}x{% endif %}",
        "{% for i in (1..300000000) limit: 1 offset: 299999990 %}x{% endfor %}",
        "{{ nested | uniq | size }}",
        "{% include 'x' %}",
        "{% render 'x' %}",
        "{{ 1 | divided_by: 0 }}",
        "{{ x",
    ],
)
def test_what_would_explode_is_stopped_in_time(source: str) -> None:
    begun = time.process_time()
    with pytest.raises(FlowError) as caught:
        render(
            source,
            {
                "long": "a" * 60_000,
                "list": list("abc" * 3000),
                "nested": [[str(n) for n in range(50_000)]],
            },
        )
    assert caught.value.code == "template_failed"
    assert "aaaa" not in caught.value.message
    assert time.process_time() - begun < 1


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("{{ a }} {{ b.c }}", {"a", "b"}),
        ("{{ a | append: b | default: 'c d' }}", {"a", "b"}),
        ("{{ a | truncate: 5, 'x' }} {{- true -}}", {"a"}),
        ("{% for q in all %}{{ q.text }}{{ other }}{% endfor %}", {"all", "other"}),
        ("{% assign z = y %}{{ z }}", {"y"}),
        ("{{ a['b'] }}", {"a"}),
        ("plain { text }", set()),
    ],
)
def test_names_that_a_template_reads(source: str, names: set[str]) -> None:
    assert check(source) == names


@given(
    st.lists(
        st.sampled_from(
            ["{{", "}}", "{{ a", " }}", "b", ".c", "|", " upcase ", "append:", "'x'", ",", "1", "-"]
        ),
        max_size=9,
    )
)
def test_the_short_cut_agrees_with_the_parser(pieces: list[str]) -> None:
    source = "".join(pieces)
    short = _simple_names(source)
    if short is not None:
        assert short == _names(source)


def test_what_does_not_parse_is_told() -> None:
    with pytest.raises(ValueError, match="unknown filter 'nofilter'"):
        check("{{ a | nofilter }}")
    with pytest.raises(ValueError, match="unexpected tag"):
        check("{% include 'a' %}")
