"""Takes a session back to where the user stopped hearing.

While a turn runs, each node that spoke leaves a checkpoint: how far the spoken text went, and the
position and variables at that point. A heard report that ends before the last checkpoint takes
the session back to the node that was speaking at the cut, but never behind a side effect.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from flow_backend.engine.state import SessionState


@dataclass(slots=True)
class Checkpoint:
    """The state after a node has spoken."""

    end: int
    """Letters and digits spoken up to here; what a voice makes of spaces and marks varies."""
    node_id: str
    returns: list[str]
    changed: dict[str, Any]
    """Variables that the turn had set by then."""
    waited: bool
    """The node was waiting for the user when the turn began."""


@dataclass(slots=True)
class Rewind:
    """What of a turn can be taken back."""

    checkpoints: list[Checkpoint] = field(default_factory=list)
    floor: int = 0
    """Index of the first checkpoint that no side effect follows."""
    names: list[str] = field(default_factory=list)
    """Variables that the turn set."""
    before: dict[str, Any] = field(default_factory=dict)
    """Their values before it; those missing here were not set."""

    def place(self, heard: str) -> tuple[Checkpoint, bool] | None:
        """Where a report leaves the session: the checkpoint, and whether its node waits.

        None: everything was heard up to the last checkpoint, or there is no way back.
        """
        length = letters(heard)
        if not self.checkpoints or length >= self.checkpoints[-1].end:
            return None
        index = next(i for i, mark in enumerate(self.checkpoints) if mark.end > length)
        if index > 0 and length <= self.checkpoints[index - 1].end:
            index -= 1
        if index < self.floor:
            return None
        mark = self.checkpoints[index]
        return mark, length > 0 or mark.waited

    def as_dict(self) -> dict[str, Any]:
        """A JSON object that `from_dict` reads back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Rewind:
        """Reads what `as_dict` wrote."""
        fields = dict(data)
        fields["checkpoints"] = [Checkpoint(**mark) for mark in fields.get("checkpoints", [])]
        return cls(**fields)


def take_back(state: SessionState, rewind: Rewind, heard: str) -> None:
    """Takes the position and the variables back to where the user stopped hearing."""
    place = rewind.place(heard)
    if place is None or state.ended:
        return
    mark, waiting = place
    state.node_id, state.waiting, state.returns = mark.node_id, waiting, list(mark.returns)
    for name in rewind.names:
        if name in mark.changed:
            state.variables[name] = mark.changed[name]
        elif name in rewind.before:
            state.variables[name] = rewind.before[name]
        else:
            state.variables.pop(name, None)


def letters(text: str) -> int:
    """Number of letters and digits."""
    return sum(map(str.isalnum, text))
