"""Moonshine's vocabulary: token ids to text."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from protocol.errors import SpeechError

START = 1
END = 2
_FIRST_TEXT_ID = 3
_SPACE = "▁".encode()


class Tokenizer:
    """Reads `tokenizer.bin`: byte strings, each after its length in one or two bytes.

    A length of 128 or more is `low - 128 + 128 * high`. Ids 0 to 2 are marks without text.

    Raises:
        SpeechError: `model_missing` or `model_invalid`.
    """

    def __init__(self, path: Path) -> None:
        try:
            data = path.read_bytes()
        except OSError as error:
            raise SpeechError(
                "model_missing", f"{path} cannot be read ({error.strerror})."
            ) from error
        self._pieces: list[bytes] = []
        place = 0
        while place < len(data):
            length = data[place]
            place += 1
            if length >= 128:
                length += 128 * (data[place] - 1) if place < len(data) else len(data)
                place += 1
            self._pieces.append(data[place : place + length])
            place += length
        if place != len(data) or len(self._pieces) <= _FIRST_TEXT_ID:
            raise SpeechError("model_invalid", f"{path} is cut off or not a vocabulary.")

    def __len__(self) -> int:
        return len(self._pieces)

    def decode(self, tokens: Iterable[int]) -> str:
        """The tokens' text, stripped; ids without text and half characters are left out."""
        known = (token for token in tokens if _FIRST_TEXT_ID <= token < len(self._pieces))
        joined = b"".join(self._pieces[token] for token in known)
        return joined.replace(_SPACE, b" ").decode("utf-8", errors="ignore").strip()
