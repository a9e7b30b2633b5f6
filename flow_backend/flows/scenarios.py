"""Scenario files: what a user says to a flow, and what is expected of it.

A scenario file is YAML: the flow's file, scripted answers of the language model, and scenarios
with their turns. docs/flows.md describes it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from flow_backend.flows.loading import load_file
from flow_backend.llm.scripted import Reply
from protocol.errors import FlowError
from protocol.faults import in_words, path_text


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class Expectation(_Part):
    """What a turn should come to; what is not named is not looked at."""

    says: str | list[str] = Field(default_factory=list)
    """Words that are spoken, each in one piece; case and white space aside."""
    says_not: str | list[str] = Field(default_factory=list)
    """Words that are not spoken."""
    matches: str | None = None
    """A regular expression that is found in what is spoken, case aside."""
    path: list[str] | None = None
    """Ids of the nodes that the turn enters, in order."""
    node: str | None = None
    """Where the session stands afterwards."""
    variables: dict[str, Any] = Field(default_factory=dict)
    """Variables and their values afterwards."""
    ended: bool | None = None
    """Whether the session is over."""
    error: str | None = None
    """The code of the error that ends the turn."""
    within_ms: float | None = Field(default=None, gt=0)
    """How long the whole turn may take."""
    first_word_within_ms: float | None = Field(default=None, gt=0)
    """How long it may take to the first word."""

    @field_validator("matches")
    @classmethod
    def _is_pattern(cls, value: str | None) -> str | None:
        try:
            re.compile(value or "")
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from error
        return value


class ScenarioTurn(_Part):
    """One thing that the user says, and what is expected of the answer."""

    user: str
    expect: Expectation = Field(default_factory=Expectation)


class Scenario(_Part):
    """One conversation."""

    name: str = Field(min_length=1)
    variables: dict[str, Any] = Field(default_factory=dict)
    """Given when the session opens."""
    greeting: str | None = None
    """Words that the greeting must hold."""
    llm: list[Reply] = Field(default_factory=list)
    """Scripted answers, tried before the file's."""
    turns: list[ScenarioTurn] = Field(min_length=1)


class ScenarioFile(_Part):
    """A file of scenarios."""

    flow: Path
    """The flow's document, from the scenario file's folder."""
    llm: list[Reply] = Field(default_factory=list)
    """Scripted answers for every scenario."""
    scenarios: list[Scenario] = Field(min_length=1)


def load_scenarios(path: Path) -> ScenarioFile:
    """Reads a scenario file; the flow's path is then relative to the working directory.

    Raises:
        FlowError: `flow_invalid`, with every fault, its path and its line.
    """
    source = load_file(path)
    try:
        scenarios = ScenarioFile.model_validate(source.data)
    except ValidationError as error:
        lines = []
        for fault in error.errors(include_url=False):
            line = source.line_of(fault["loc"])
            place = path_text(fault["loc"]) or "file"
            lines.append(f"\n- {place}: {in_words(fault, ScenarioFile)} (line {line})")
        raise FlowError("flow_invalid", f"{path} is no scenario file:{''.join(lines)}") from error
    scenarios.flow = path.parent / scenarios.flow
    return scenarios
