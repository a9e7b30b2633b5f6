"""Recorded calls: the worker writes their files, and a person's are found and deleted here."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, model_validator

from protocol.settings import HTTP_URL_PATTERN, EnvSettings

SOUND_SUFFIX = ".ogg"
ACCOUNT_SUFFIX = ".json"
PART_SUFFIX = ".part"
"""Behind the others while a file is written."""
OURS = re.compile(
    rf"\d{{8}}T\d{{6}}\.\d{{6}}Z(-[0-9a-f]{{8}})?"
    rf"({re.escape(SOUND_SUFFIX)}|{re.escape(ACCOUNT_SUFFIX)})"
)
"""Names that recordings get, without what stands behind them while they are written."""


class BucketSettings(EnvSettings):
    """Where recordings go once they are whole, if they do not stay in their folder."""

    recordings_bucket: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]$",
        description="S3-compatible bucket into which recordings are moved from RECORDINGS_DIR once "
        "they are whole; unset: they stay there.",
    )
    recordings_prefix: str = Field(
        default="",
        pattern=r"^([A-Za-z0-9_=-][A-Za-z0-9._=-]*(/|$))*$",
        description="Folder in the bucket, such as `calls`.",
    )
    s3_url: str | None = Field(
        default=None,
        pattern=HTTP_URL_PATTERN,
        description="Address of the server that has the bucket; unset: Amazon's.",
    )
    s3_region: str = Field(default="us-east-1", min_length=1, description="The bucket's region.")
    s3_access_key_id: str | None = Field(
        default=None,
        min_length=1,
        description="Access key of the bucket; unset: the role of the machine at Amazon.",
    )
    s3_secret_access_key: SecretStr | None = Field(
        default=None, min_length=1, description="Its secret."
    )

    @model_validator(mode="after")
    def _keys_come_together(self) -> Self:
        keys = (self.s3_access_key_id, self.s3_secret_access_key)
        if self.recordings_bucket is not None and keys.count(None) == 1:
            raise ValueError("S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY belong together")
        return self


def session_ids(account: bytes) -> set[str]:
    """Ids of the sessions that answered in a recording, given what is in its account.

    Raises:
        ValueError: It is no account.
    """
    try:
        return {str(session["session_id"]) for session in json.loads(account)["sessions"]}
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError("no account of a recording") from error


def accounts(folder: Path) -> Iterator[tuple[Path, set[str]]]:
    """Every whole recording's account and its sessions; what is no account is passed over."""
    for path in sorted(folder.glob(f"*{ACCOUNT_SUFFIX}")):
        with suppress(ValueError, OSError):
            yield path, session_ids(path.read_bytes())


def of_sessions(folder: Path, wanted: Collection[str]) -> list[Path]:
    """The accounts of recordings in which one of these sessions answered."""
    return [path for path, answered in accounts(folder) if not answered.isdisjoint(wanted)]


def delete(account: Path) -> None:
    """Deletes a recording, given its account.

    Raises:
        OSError: A file cannot be deleted.
    """
    account.with_suffix(SOUND_SUFFIX).unlink(missing_ok=True)
    account.unlink(missing_ok=True)


def forget_old(folder: Path, *, older_than_s: float) -> int:
    """Deletes sound and accounts that were last written so long ago; gives how many files.

    Parts that a worker left behind when it was killed are among them, strangers' files are not.
    """
    before = time.time() - older_than_s
    forgotten = 0
    for path in list(folder.iterdir()):
        if OURS.fullmatch(path.name.removesuffix(PART_SUFFIX)):
            # Other calls give their files names, or delete old ones, meanwhile.
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < before:
                    path.unlink()
                    forgotten += 1
    return forgotten
