"""What `parley` writes: plain lines into a pipe, colours and a waiting line in a terminal."""

from __future__ import annotations

import asyncio
import contextlib
import io
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.status import Status
from rich.text import Text

COLOURS = ("cyan", "magenta", "blue", "yellow", "green", "bright_red")
NAME_COLUMNS = 8
PLAIN_PROGRESS_EVERY_S = 10.0


class Terminal:
    """Writes for people: states of parts, their output, and what is being waited for."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False, soft_wrap=True)
        self._colours: dict[str, str] = {}
        self._waiting: Status | None = None
        self._last_plain = 0.0

    def say(self, text: str) -> None:
        """A line, with rich's markup."""
        self.console.print(text)

    def status(self, name: str, text: str, *, good: bool = True) -> None:
        """A change of a part's state."""
        mark = Text("● ", style="green" if good else "bold red")
        self.console.print(Text.assemble(self._label(name), mark, text))

    def output(self, name: str, line: str) -> None:
        """A line that a part wrote; colours of its own are kept."""
        self.console.print(Text.assemble(self._label(name), ("│ ", "dim"), Text.from_ansi(line)))

    @contextmanager
    def waiting(self, text: str) -> Iterator[None]:
        """Shows that something takes its time, with a turning sign in a terminal."""
        if not self.console.is_terminal:
            self.say(f"{text} …")
            yield
            return
        with self.console.status(text) as self._waiting:
            try:
                yield
            finally:
                self._waiting = None

    def progress(self, text: str) -> None:
        """Renews the text of `waiting`; in a pipe, a line every ten seconds."""
        if self._waiting is not None:
            self._waiting.update(Text(text))
        elif time.monotonic() - self._last_plain > PLAIN_PROGRESS_EVERY_S:
            self._last_plain = time.monotonic()
            self.console.print(Text(text))

    def _label(self, name: str) -> Text:
        colour = self._colours.setdefault(name, COLOURS[len(self._colours) % len(COLOURS)])
        return Text(f"{name:<{NAME_COLUMNS}} ", style=colour)


async def line_typed() -> str | None:
    """The next line of standard input that holds something; None at its end.

    Cancelled, it leaves a thread behind that waits for a line: that neither keeps the process from
    ending nor holds a lock of `sys.stdin`.
    """
    loop = asyncio.get_running_loop()
    while True:
        typed: asyncio.Future[bytes] = loop.create_future()
        threading.Thread(target=_read_line, args=(loop, typed), daemon=True).start()
        line = (await typed).decode(errors="replace")
        if line.strip() or not line:
            return line.strip() or None


def _read_line(loop: asyncio.AbstractEventLoop, typed: asyncio.Future[bytes]) -> None:
    with io.FileIO(sys.stdin.fileno(), closefd=False) as unbuffered:
        line = unbuffered.readline()

    def tell() -> None:
        if not typed.done():
            typed.set_result(line)

    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(tell)
