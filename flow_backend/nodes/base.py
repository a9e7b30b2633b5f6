"""What a node type is to the engine."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from flow_backend.engine.context import NodeContext
    from flow_backend.engine.plan import PlannedEdge


class NodeData(BaseModel):
    """Fields that every node's `data` may have; each type adds its own."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True, use_attribute_docstrings=True)

    label: str = ""
    """For people and editors."""
    allow_interruptions: bool | None = None
    """Whether the user may interrupt what this node says; None: as the flow's default says."""
    is_global: bool = Field(default=False, alias="global")
    """It can be reached from wherever the flow waits for the user, and returns there."""
    condition_type: Literal["llm", "expression", "event"] = "llm"
    """How `condition` is judged, for a global node."""
    condition: str = ""
    """When a global node is reached."""


SILENCE = "silence"
"""The event that a node which waits gets an input without words."""

DataT = TypeVar("DataT", bound=NodeData)


@dataclass(frozen=True, slots=True)
class Go:
    """Go on, along the edge given or the first whose condition holds."""

    edge: PlannedEdge | None = None
    event: str | None = None
    """What happened, for `event` edges: `error`, `digits`, …"""


@dataclass(frozen=True, slots=True)
class Wait:
    """The turn is over; the session waits here for the user."""


@dataclass(frozen=True, slots=True)
class End:
    """The session is over."""


Outcome = Go | Wait | End


class NodeType(ABC, Generic[DataT]):
    """Behaviour of one node type: stateless, one instance for all flows."""

    name: ClassVar[str]
    aliases: ClassVar[tuple[str, ...]] = ()
    data_model: type[DataT]
    events: ClassVar[tuple[str, ...]] = ()
    """What may happen at the node, beside `silence`, for `event` edges."""
    waits_by_itself: ClassVar[bool] = False
    """The node's work waits for the commit at its side effect (`NodeContext.effect`); others that
    have side effects are not entered before it."""

    def has_side_effects(self, data: DataT) -> bool:
        """Whether the node may run only after the turn's commit."""
        return False

    def waits(self, data: DataT) -> bool:
        """Whether the session may stay here for the user; else an edge must always be free."""
        return False

    def sets(self, data: DataT) -> Iterable[str]:
        """Names of the variables that the node sets."""
        return ()

    def addressed_by(self, data: DataT) -> Iterable[str]:
        """Names of the variables that say whom the node calls, or to whom it hands over."""
        return ()

    @abstractmethod
    async def run(self, data: DataT, context: NodeContext) -> Outcome:
        """Does the node's work on entry."""

    async def prefill(self, data: DataT, context: NodeContext) -> None:
        """The user begins to speak to this node: gets ready what can be; changes nothing."""
        return

    async def resume(self, data: DataT, context: NodeContext) -> Outcome:
        """The node waited and the user has spoken: takes an edge, or does its work again."""
        edge = await context.choose_edge()
        return Go(edge=edge) if edge is not None else await self.run(data, context)
