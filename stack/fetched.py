"""How far a download is: a bar in a terminal, and an entry that every process can show."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TransferSpeedColumn,
)

from speech.downloads import Download
from speech.fetching import Moved


@contextmanager
def shown(name: str) -> Iterator[Moved]:
    """Shows a download while it runs; gives what is to be told how far it is."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    with (
        Progress(*columns, console=console, disable=not console.is_terminal) as progress,
        Download(name) as ledger,
    ):
        task = progress.add_task(name, total=None)

        def moved(done_bytes: int, total_bytes: int) -> None:
            progress.update(task, completed=done_bytes, total=total_bytes)
            ledger.moved(done_bytes, total_bytes)

        yield moved
