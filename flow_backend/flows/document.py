"""The flow document: React Flow's nodes and edges, as people write them in JSON or YAML.

Unknown fields are errors, so that a typing mistake is named and not ignored. A node's `data`
stays a plain mapping here; each node type checks its own.
"""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


class Mark(Enum):
    """What the text of a field is, so that validation can parse it."""

    TEMPLATE = "template"
    EXPRESSION = "expression"


Template = Annotated[str, Mark.TEMPLATE, Field(json_schema_extra={"format": "liquid"})]
"""Text with `{{ name }}`; for node data too, also inside lists and mappings."""
Expression = Annotated[str, Mark.EXPRESSION, Field(json_schema_extra={"format": "cel"})]
"""A CEL expression."""


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("has a NUL character")
    return text


Storable = AfterValidator(_without_nul)
"""Of text that stands in a column of its own: PostgreSQL cannot keep NUL characters there."""

PROVIDED = frozenset({"input"})
"""Names that templates and expressions see beside the session's variables."""

ConditionType = Literal["always", "expression", "llm", "event"]


class Part(BaseModel):
    """Base of every part of a document."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class Position(Part):
    """Where an editor draws a node, in its own units."""

    x: float = 0
    y: float = 0


class Defaults(Part):
    """What nodes use where they name nothing else."""

    llm: str = "default"
    """A provider's name, or `provider/model`."""
    voice: str = "default"
    language: str = "en"
    """BCP 47."""
    allow_interruptions: bool = True


class Node(Part):
    """One step of a flow."""

    id: Annotated[str, Field(min_length=1, max_length=200), Storable]
    type: str
    data: dict[str, Any] = Field(default_factory=dict)
    position: Position | None = None


class EdgeData(Part):
    """When an edge is taken, and what is said on the way."""

    label: str = ""
    condition_type: ConditionType = "always"
    """`always` edges are tried after all others: one that stands beside conditions is the else."""
    condition: str = ""
    """CEL for `expression`, a template in plain words for `llm`, an event's name for `event`."""
    priority: int = 0
    """Lower goes first; equal ones go in the document's order."""
    transition_speech: Template = ""
    """Spoken when the edge is taken."""


class Edge(Part):
    """A way from one node to another."""

    id: str = Field(min_length=1, max_length=200)
    source: str
    target: str
    data: EdgeData = Field(default_factory=EdgeData)
    source_handle: str | None = Field(default=None, alias="sourceHandle")
    target_handle: str | None = Field(default=None, alias="targetHandle")

    model_config = ConfigDict(populate_by_name=True)


class Flow(Part):
    """A whole flow."""

    id: str = Field(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9][A-Za-z0-9._~-]*$")
    name: str = ""
    description: str = ""
    version: int | None = None
    """Set by the store: None for a draft, 1 and up for published versions."""
    default: Defaults = Field(default_factory=Defaults)
    variables: dict[str, Any] = Field(default_factory=dict)
    """Names and first values; every session begins with a copy."""
    nodes: list[Node]
    edges: list[Edge] = Field(default_factory=list)
