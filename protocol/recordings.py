"""Files of recorded calls: the worker writes them, and a person's are found and deleted here."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

SOUND_SUFFIX = ".ogg"
ACCOUNT_SUFFIX = ".json"
PART_SUFFIX = ".part"
"""Behind the others while a file is written."""


def accounts(folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Every whole recording's account; a file that is none of ours is passed over."""
    for path in sorted(folder.glob(f"*{ACCOUNT_SUFFIX}")):
        with suppress(ValueError, OSError):
            account = json.loads(path.read_text(encoding="utf-8"))
            if isinstance(account, dict) and "sessions" in account:
                yield path, account


def of_sessions(folder: Path, session_ids: Collection[str]) -> list[Path]:
    """The accounts of recordings in which one of these sessions answered."""
    return [
        path
        for path, account in accounts(folder)
        if any(session["session_id"] in session_ids for session in account["sessions"])
    ]


def delete(account: Path) -> None:
    """Deletes a recording, given its account.

    Raises:
        OSError: A file cannot be deleted.
    """
    account.with_suffix(SOUND_SUFFIX).unlink(missing_ok=True)
    account.unlink()


def forget_old(folder: Path, *, older_than_s: float) -> int:
    """Deletes sound and accounts that were last written so long ago; gives how many files.

    Parts that a worker left behind when it was killed are among them.
    """
    before = time.time() - older_than_s
    forgotten = 0
    for suffix in (SOUND_SUFFIX, ACCOUNT_SUFFIX):
        for path in (*folder.glob(f"2*Z{suffix}"), *folder.glob(f"2*Z{suffix}{PART_SUFFIX}")):
            # Other calls give their files names, or delete old ones, meanwhile.
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < before:
                    path.unlink()
                    forgotten += 1
    return forgotten
