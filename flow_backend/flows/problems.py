"""What may be wrong with a flow document: codes that stay as they are, and their English words."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field

from pydantic import BaseModel
from pydantic_core import ErrorDetails, PydanticCustomError

from protocol.errors import FlowError
from protocol.faults import in_words, known_fields, meant

WORDS: dict[str, str] = {
    # The shape of the document and of its parts: whoever finds it has the words.
    "missing": "",
    "unknown_field": "",
    "not_text": "",
    "not_a_number": "",
    "not_whole": "",
    "not_true_or_false": "",
    "not_a_list": "",
    "not_an_object": "",
    "not_one_of": "",
    "not_of_form": "",
    "too_small": "",
    "too_large": "",
    "too_short": "",
    "too_long": "",
    "default_of_other_type": "",
    "value_invalid": "",
    # What nodes say of their own fields.
    "schema_invalid": "no JSON Schema: {why}",
    "schema_with_reference": "$ref is not supported: write the schema out",
    "schema_of_no_object": "expected an object's schema with `properties`",
    "schema_name_invalid": "{name!r} cannot be a variable's name",
    "pointer_invalid": "{name}: {pointer!r} is no JSON Pointer such as /items/0/name",
    "digits_missing": "digits: expected the digits to send",
    "not_one_source": "give exactly one of template, expression and value",
    # How the parts go together.
    "no_flow": "a flow is a mapping with `id`, `nodes` and `edges`",
    "too_many": "more than {limit} {kind}",
    "unknown_node_type": "unknown node type {name!r}",
    "unknown_node": "there is no node {name!r}",
    "unknown_provider": "there is no language model provider {name!r}",
    "unknown_event": "never taken: no event {name!r} happens there",
    "id_taken": "the id {name!r} is already taken",
    "condition_needless": "an edge of type 'always' has no condition",
    "condition_missing": "a condition of type {kind!r} is missing",
    "template_invalid": "the template does not parse: {why}",
    "expression_invalid": "the expression does not parse: {why}",
    "variable_name_invalid": ("a variable's name has only letters, digits and `_`, no digit first"),
    "variable_name_taken": "{name!r} is set by every turn; choose another name",
    "variable_never_set": "reads the variable {name!r}, which nothing sets",
    "start_missing": "there is no node of type 'start'",
    "start_twice": "there is more than one node of type 'start'",
    "after_the_end": "nothing follows a node of type 'end'",
    "leaves_conversation": (
        "never taken: a conversation goes on until a condition holds, so give the edge one; the "
        "expression `true` leaves with the user's next words"
    ),
    "else_twice": "never taken: the node has another 'always' edge",
    "else_missing": (
        "the else edge is missing: add one with `condition_type: always`, for when no other "
        "condition holds"
    ),
    "leads_nowhere": "leads nowhere: add an edge",
    "unreachable": "no way leads from the start to {name!r}",
}
"""Every code with its message, into which the problem's `values` are put."""

_CODES = {
    "missing": "missing",
    "extra_forbidden": "unknown_field",
    "string_type": "not_text",
    "int_type": "not_whole",
    "int_parsing": "not_whole",
    "int_from_float": "not_whole",
    "int_parsing_size": "too_large",
    "float_type": "not_a_number",
    "float_parsing": "not_a_number",
    "finite_number": "not_a_number",
    "bool_type": "not_true_or_false",
    "bool_parsing": "not_true_or_false",
    "list_type": "not_a_list",
    "dict_type": "not_an_object",
    "model_type": "not_an_object",
    "model_attributes_type": "not_an_object",
    "literal_error": "not_one_of",
    "string_pattern_mismatch": "not_of_form",
    "greater_than": "too_small",
    "greater_than_equal": "too_small",
    "less_than_equal": "too_large",
    "string_too_short": "too_short",
    "too_short": "too_short",
    "string_too_long": "too_long",
    "too_long": "too_long",
}
"""Codes of what pydantic finds by itself."""
_CONTEXT = {
    "gt": "limit",
    "ge": "limit",
    "le": "limit",
    "min_length": "limit",
    "max_length": "limit",
    "pattern": "pattern",
    "expected": "known",
}
"""What of pydantic's context people should know, and under which name."""
_MOST_NAMES = 20


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a document."""

    path: str
    """As `nodes[2].data.url`; empty for the document as a whole."""
    message: str
    line: int | None = None
    """In the document's text, from 1, where there is one."""
    code: str = "value_invalid"
    """A key of `WORDS`, for whoever says it in another language."""
    values: dict[str, str] = field(default_factory=dict, hash=False)
    """What the message names. `meant` is the name that was probably meant, `known` a list of
    those that there are."""

    def __str__(self) -> str:
        where = self.path or "flow"
        return f"{where}: {self.message}" + (f" (line {self.line})" if self.line else "")


class InvalidFlowError(FlowError):
    """A document with problems: `flow_invalid`, with all of them."""

    def __init__(self, problems: Iterable[Problem], *, name: str = "") -> None:
        self.problems = tuple(problems)
        lines = "".join(f"\n- {problem}" for problem in self.problems)
        count = f"{len(self.problems)} problem{'s' if len(self.problems) != 1 else ''}"
        super().__init__(
            "flow_invalid",
            f"{name or 'The flow'} has {count}:{lines}",
            path=self.problems[0].path,
        )

    def as_dict(self) -> dict[str, object]:
        """The JSON body, with `problems`."""
        return {**super().as_dict(), "problems": [asdict(problem) for problem in self.problems]}


def wrong_value(code: str, **values: str) -> PydanticCustomError:
    """What a node's validator raises: a code of `WORDS` and what its message names."""
    return PydanticCustomError(code, WORDS[code].format_map(values), values)


def read_fault(found: ErrorDetails, model: type[BaseModel]) -> tuple[str, str, dict[str, str]]:
    """Code, message and values of what pydantic finds in a part of a document."""
    message = in_words(found, model)
    context = found.get("ctx", {})
    kind = found["type"]
    if kind in WORDS and kind not in _CODES:
        return kind, message, {name: str(value) for name, value in context.items()}
    values = {_CONTEXT[key]: _plain(value) for key, value in context.items() if key in _CONTEXT}
    if kind == "extra_forbidden":
        name = str(found["loc"][-1])
        values = {"name": name, **names(name, known_fields(model, found["loc"]))}
    return _CODES.get(kind, "value_invalid"), message, values


def _plain(value: object) -> str:
    """A limit without needless zeros; the bare names of pydantic's list of choices."""
    if isinstance(value, float):
        return f"{value:g}"
    return ", ".join(re.findall(r"'([^']*)'", str(value))) or str(value)


def names(wrong: str, known: Iterable[str]) -> dict[str, str]:
    """The values that go with an unknown name."""
    there = sorted(known)
    if (close := meant(wrong, there)) is not None:
        return {"meant": close}
    return {"known": ", ".join(there[:_MOST_NAMES])} if there else {}
