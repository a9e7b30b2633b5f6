"""What a turn has said, token by token, without the cost of a string for each token."""

from __future__ import annotations

_LOOSE_TOKENS = 64


class Spoken:
    """The spoken text; its length is the number of tokens."""

    def __init__(self) -> None:
        self._blocks: list[str] = []
        self._loose: list[str] = []
        self._count = 0

    def append(self, text: str) -> None:
        """Adds a token, which is not empty."""
        self._loose.append(text)
        self._count += 1
        if len(self._loose) > _LOOSE_TOKENS:
            self._blocks.append("".join(self._loose[:-1]))
            self._loose = self._loose[-1:]

    def __len__(self) -> int:
        return self._count

    def __str__(self) -> str:
        return "".join([*self._blocks, *self._loose])

    @property
    def ends_in_space(self) -> bool:
        """Whether the next word may follow as it is."""
        return bool(self._loose) and self._loose[-1][-1:].isspace()
