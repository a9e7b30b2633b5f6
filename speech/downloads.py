"""Downloads that run on this machine, written down so that every process can show them."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import platformdirs

WRITE_EVERY_S = 0.3
SILENT_S = 120.0
"""A download that has not moved for so long is not shown: its process died, or hangs."""


def ledger() -> Path:
    """The folder with a file for each download that runs."""
    return platformdirs.user_cache_path("parley") / "downloads"


class Download:
    """One download; use as a context manager, and say how far it is with `moved`.

    A ledger that cannot be written (a full disk, a read-only home) is no reason to stop: then
    nobody else sees the download.
    """

    def __init__(self, name: str, folder: Path | None = None) -> None:
        self.name = name
        safe = "".join(c if c.isalnum() or c in "-_." else "_" for c in name)[-100:]
        self._file = (folder or ledger()) / f"{os.getpid()}-{safe}.json"
        self._written_at = -WRITE_EVERY_S

    def __enter__(self) -> Self:
        self.moved(0, 0)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._file.unlink(missing_ok=True)
        except OSError:
            return

    def moved(self, done_bytes: int, total_bytes: int) -> None:
        """Says how far it is; `total_bytes` is 0 while it is not known."""
        now = time.monotonic()
        if now - self._written_at < WRITE_EVERY_S:
            return
        self._written_at = now
        entry = {"name": self.name, "done_bytes": done_bytes, "total_bytes": total_bytes}
        draft = self._file.with_suffix(".draft")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            draft.write_text(json.dumps(entry), encoding="utf-8")
            draft.replace(self._file)
        except OSError:
            return


def running(folder: Path | None = None) -> list[dict[str, Any]]:
    """Name, `done_bytes` and `total_bytes` of each download that moves, of any process."""
    found = []
    for file in sorted((folder or ledger()).glob("*.json")):
        try:
            if time.time() - file.stat().st_mtime > SILENT_S:
                continue
            entry = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue  # it ended between the listing and the reading
        found.append({key: entry[key] for key in ("name", "done_bytes", "total_bytes")})
    return found
