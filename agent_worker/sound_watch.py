"""Notices a voice that has been given all its words and gives no sound for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable

SILENT_S = 6.0
"""Longer than a chain of voices takes to go on with the next one."""


class SoundWatch:
    """Watches one speech from the end of its text to the end of its sound.

    Args:
        on_silence: Called once if no frame comes for so long while some are due.
        silent_s: How long.
    """

    def __init__(self, on_silence: Callable[[], None], silent_s: float = SILENT_S) -> None:
        self._on_silence = on_silence
        self._silent_s = silent_s
        self._timer: asyncio.TimerHandle | None = None
        self._due = False

    async def text(self, pieces: AsyncIterable[str]) -> AsyncIterator[str]:
        """Passes the text on to the voice."""
        written = False
        async for piece in pieces:
            written = written or any(map(str.isalnum, piece))
            yield piece
        self._due = written
        self.sounded()

    def sounded(self) -> None:
        """The voice gives sound, or should begin to."""
        self._stop()
        if self._due:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._silent_s, self._fire)

    def close(self) -> None:
        """The speech is over."""
        self._due = False
        self._stop()

    def _fire(self) -> None:
        self._due = False
        self._on_silence()

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
