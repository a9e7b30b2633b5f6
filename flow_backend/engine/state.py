"""What a session remembers, and the overlay in which a turn changes it.

A turn works on a `Draft`: reads fall through to the session's state, writes stay in the draft
until the turn is committed and over. Dropping the draft therefore undoes the turn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(slots=True)
class Entry:
    """One message of the history."""

    role: Literal["user", "assistant"]
    text: str
    """For the assistant: what was generated until a heard report says what was heard."""
    turn_id: str | None = None
    interrupted: bool = False
    heard: bool = False
    """Settled by a heard report or by the next turn."""
    estimated: bool = False
    """The report guessed where the text was cut off."""

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Entry:
        """An entry as JSON; what a newer version added is passed over."""
        return cls(**{name: data[name] for name in cls.__slots__ if name in data})

    def as_dict(self) -> dict[str, Any]:
        """A JSON object that `from_dict` reads back."""
        # Versions without the note `estimated` could not read it.
        return {
            name: getattr(self, name)
            for name in self.__slots__
            if name != "estimated" or self.estimated
        }


@dataclass(slots=True)
class SessionState:
    """Everything that a session carries from turn to turn; JSON through `as_dict`."""

    node_id: str | None = None
    """Where the session stands; None before the first turn."""
    waiting: bool = False
    """The node has said its part and waits for the user; False: it is to be run again."""
    effect_id: str | None = None
    """The outbox row of a side effect that the node began and has not taken the result of."""
    effect_seq: int = 0
    """How many events the turn had when it began that effect."""
    variables: dict[str, Any] = field(default_factory=dict)
    history: list[Entry] = field(default_factory=list)
    """The newest entries; those before them are put away, see `old_turns`."""
    returns: list[str] = field(default_factory=list)
    """Nodes to return to from global nodes, the innermost last."""
    passages: list[str] = field(default_factory=list)
    """What a knowledge node found for the next answer of the model."""
    ended: bool = False
    summary: str = ""
    """Stands in prompts for the history's first `summarised` entries."""
    summarised: int = 0

    def settle_heard(self) -> None:
        """A turn begins: what nobody reported on counts as heard."""
        for entry in reversed(self.history):
            if entry.role == "assistant":
                if entry.heard:
                    break
                entry.heard = True

    def as_dict(self) -> dict[str, Any]:
        """A JSON object that `from_dict` reads back, of the state's own values."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        return {**fields, "history": [entry.as_dict() for entry in self.history]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> SessionState:
        """Reads what `as_dict` wrote."""
        fields = dict(data)
        fields["history"] = [Entry.from_dict(entry) for entry in fields.get("history", [])]
        return cls(**fields)


def note_heard(history: list[Entry], user_input: str, heard: Entry) -> None:
    """Of the answer to a turn's input this was heard, and nothing more.

    What the history lacks of the turn is added: its process died before it had stored it.
    """
    mine = [i for i, entry in enumerate(history) if entry.turn_id == heard.turn_id]
    if not mine:
        mine = [len(history)]
        history.append(Entry("user", user_input, heard.turn_id, heard=True))
    if history[mine[-1]].role == "assistant":
        history[mine[-1]] = heard
    elif heard.text:
        history.insert(mine[-1] + 1, heard)


class Draft:
    """A turn's copy-on-write view of a session's state."""

    def __init__(self, base: SessionState) -> None:
        self._base = base
        self.node_id = base.node_id
        self.waiting = base.waiting
        self.effect_id = base.effect_id
        self.returns = list(base.returns)
        self.passages = list(base.passages)
        self.ended = base.ended
        self.changed: dict[str, Any] = {}
        """Variables set by this turn."""

    @property
    def variables(self) -> dict[str, Any]:
        """All variables as this turn sees them; a fresh mapping, values are not to be mutated."""
        return {**self._base.variables, **self.changed}

    @property
    def history(self) -> list[Entry]:
        """The session's history before this turn; later heard reports show in it."""
        return self._base.history

    @property
    def summary(self) -> tuple[str, int]:
        """The summary of old turns and the number of entries that it stands for."""
        return self._base.summary, self._base.summarised

    def value_before(self, name: str) -> tuple[bool, Any]:
        """Whether a variable was set before this turn, and its value."""
        return name in self._base.variables, self._base.variables.get(name)

    def position(self) -> dict[str, Any]:
        """The fields of a state that this draft would change if it was merged now, as JSON."""
        return {
            "node_id": self.node_id,
            "waiting": self.waiting,
            "effect_id": self.effect_id,
            "returns": self.returns,
            "passages": self.passages,
            "variables": self.variables,
        }

    def merge(self) -> None:
        """Writes the turn's changes into the session's state."""
        self._base.node_id = self.node_id
        self._base.waiting = self.waiting
        self._base.effect_id = self.effect_id
        self._base.effect_seq = 0
        self._base.returns = self.returns
        self._base.passages = self.passages
        self._base.ended = self._base.ended or self.ended
        self._base.variables.update(self.changed)
