"""`knowledge`: finds passages in documents for the model's next answer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from flow_backend.engine.context import Filler, NodeContext
from flow_backend.flows.document import Storable, Template
from flow_backend.nodes.base import Go, NodeData, NodeType, Outcome
from flow_backend.store.passages import Document


class KnowledgeDocument(BaseModel):
    """A text to search in."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    title: Annotated[str, Storable] = ""
    text: Annotated[str, Field(min_length=1, max_length=1_000_000), Storable]


class KnowledgeData(NodeData):
    """Fields of a knowledge node."""

    documents: list[KnowledgeDocument] = Field(min_length=1, max_length=1000)
    query: Template = "{{ input }}"
    """What to look for."""
    limit: int = Field(default=3, ge=1, le=20)
    """At most so many passages."""
    variable: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """Also sets this variable: a list of `{title, text}`."""
    filler: Filler | None = None


class Knowledge(NodeType[KnowledgeData]):
    """Searches by words, in SQLite's FTS5 or PostgreSQL; event `nothing_found` if none fit."""

    name: ClassVar[str] = "knowledge"
    data_model = KnowledgeData
    events: ClassVar[tuple[str, ...]] = ("nothing_found",)

    def sets(self, data: KnowledgeData) -> Iterable[str]:
        """The variable, if it is named."""
        return [data.variable] if data.variable else ()

    async def run(self, data: KnowledgeData, context: NodeContext) -> Outcome:
        """Puts what it finds into the next prompt."""
        found = await context.find_passages(
            [Document(document.title, document.text) for document in data.documents],
            context.render(data.query),
            data.limit,
            data.filler,
        )
        context.give_passages(
            [f"{passage.title}: {passage.text}" if passage.title else passage.text
             for passage in found]
        )  # fmt: skip
        if data.variable:
            context.set_variables(
                {data.variable: [{"title": item.title, "text": item.text} for item in found]}
            )
        return Go(event=None if found else "nothing_found")
