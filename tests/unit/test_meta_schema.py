"""One document says of schemas what the published parts say."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

from flow_backend.flows import meta_schema

_KEYWORDS = """
$anchor $comment $defs $dynamicAnchor $dynamicRef $id $recursiveAnchor $recursiveRef $ref
$schema $vocabulary additionalProperties allOf anyOf const contains contentEncoding
contentSchema default definitions dependencies dependentRequired dependentSchemas
deprecated else enum examples exclusiveMaximum format if items maxContains maxItems
maxLength minProperties minimum multipleOf not oneOf pattern patternProperties prefixItems
properties propertyNames readOnly required then title type unevaluatedItems
unevaluatedProperties uniqueItems
"""
KEYWORDS = _KEYWORDS.split()
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 3),
    st.sampled_from(["string", "object", "integer", "nothing", "a", "#/$defs/a", "[", ""]),
)
NAMES = st.sampled_from([*KEYWORDS, "a", "b"])
INNER = LEAVES | st.lists(LEAVES, max_size=3) | st.dictionaries(NAMES, LEAVES, max_size=4)
VALUES = INNER | st.lists(INNER, max_size=3) | st.dictionaries(NAMES, INNER, max_size=4)


@pytest.mark.parametrize("rule", [{"pattern": "["}, {"patternProperties": {"[": True}}])
def test_what_must_be_an_expression_is_one(rule: dict[str, Any]) -> None:
    assert (meta_schema.fault(rule) is None) == is_schema(rule)


def test_no_expression_is_a_fault() -> None:
    assert meta_schema.fault({"properties": {"a": {"pattern": "["}}}) is not None


@given(st.dictionaries(st.sampled_from(KEYWORDS), VALUES, max_size=5))
def test_it_finds_the_same_faulty(schema: dict[str, Any]) -> None:
    assert (meta_schema.fault(schema) is None) == is_schema(schema)


@pytest.mark.parametrize("keyword", KEYWORDS)
@pytest.mark.parametrize("value", [3, -1, "x", [], [1], {}, {"a": 1}, {"a": {"type": 1}}, True])
def test_each_keyword_takes_the_same_values(keyword: str, value: Any) -> None:
    nested = {"type": "object", "properties": {"p": {"items": {keyword: value}}}}
    assert (meta_schema.fault(nested) is None) == is_schema(nested)


def is_schema(schema: Any) -> bool:
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError:
        return False
    return True
