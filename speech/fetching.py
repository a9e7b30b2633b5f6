"""Fetching a large file: goes on where an earlier try broke off, and keeps only what is whole."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

import httpx

from protocol.errors import ConfigError

TIMEOUT_S = 30.0
TRIES = 4
"""So many connections in a row may break off without having brought anything."""
PAUSE_S = 1.0
"""Between two of them."""
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_IN_WORDS = {
    "ConnectError": "no connection",
    "ReadError": "the connection broke off",
    "RemoteProtocolError": "the connection broke off",
}
Moved = Callable[[int, int], None]
"""Is told the bytes that are there, and the bytes of the whole."""


class BrokenOffError(Exception):
    """The file cannot be had now; what has come of it is kept. Says why, in part of a sentence."""


class DamagedError(Exception):
    """What comes is not the file that was announced; none of it is kept. Says how it differs."""


@dataclass(frozen=True, slots=True)
class Announced:
    """What is known of a file before it is fetched."""

    size_bytes: int
    method: Literal["md5", "sha256"]
    checksum: str | None
    """Hexadecimal; None where none is known."""

    @property
    def tag(self) -> str:
        """Differs between two versions of one file."""
        return hashlib.sha256(f"{self.size_bytes} {self.checksum}".encode()).hexdigest()[:8]

    def is_at(self, path: Path) -> bool:
        """Whether the whole file lies there already."""
        if not path.is_file() or path.stat().st_size != self.size_bytes:
            return False
        with path.open("rb") as file:
            return self.fits(file)

    def fits(self, file: BinaryIO) -> bool:
        """Whether an open file has the checksum."""
        file.seek(0)
        made = hashlib.new(self.method, usedforsecurity=False)
        while block := file.read(1 << 20):
            made.update(block)
        return self.checksum in (None, made.hexdigest())


def fetch_file(
    url: str,
    target: Path,
    announced: Announced,
    *,
    headers: Mapping[str, str] | None = None,
    moved: Moved = lambda done_bytes, total_bytes: None,
) -> None:
    """Fetches a file, unless it is there and whole.

    It grows under a hidden name beside `target`, where the next call finds it again, and gets its
    name when it is whole and has its checksum. What has come is given up only for something that
    may be the file: never for an answer of another length.

    Args:
        url: Where it is.
        target: Where to keep it; folders are made.
        announced: Its size and checksum.
        headers: Of the request; those with a secret go to the first host only.
        moved: Is told how far it is.

    Raises:
        BrokenOffError: If it cannot be had, or another process fetches it.
        DamagedError: If it is not what was announced.
        ConfigError: `disk_full`, or `setting_invalid` for a folder that cannot be written.
    """
    part = target.with_name(f".{target.name}.{announced.tag}.part")
    try:
        if announced.is_at(target):
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        with _taken(part) as out:
            # The process that had it until now may have come to the end.
            if announced.is_at(target):
                return
            _require_room(target, announced.size_bytes - out.seek(0, os.SEEK_END))
            _fill(out, url, announced.size_bytes, headers or {}, moved)
            if not announced.fits(out):
                out.truncate(0)
                raise DamagedError("it has another checksum")
            os.fsync(out.fileno())
            _name(part, target, announced)
    except OSError as error:
        raise cannot_write(target, error) from error


def cannot_write(target: Path, error: OSError) -> ConfigError:
    """What to tell of a file that cannot be kept."""
    what = f"{target.name} cannot be written to {target.parent} ({error.strerror})."
    if error.errno in _FULL:
        return ConfigError(
            "disk_full",
            f"{what} Free some space there and try again, which goes on from what has come, or "
            "choose another folder with --folder.",
        )
    return ConfigError(
        "setting_invalid", f"{what} Choose a folder that you may write to with --folder."
    )


@contextmanager
def _taken(part: Path) -> Iterator[BinaryIO]:
    """Opens a part, made if need be, that no other process writes to; empty, it is removed."""
    for _ in range(TRIES):
        with os.fdopen(os.open(part, os.O_RDWR | os.O_CREAT, 0o666), "r+b") as out:
            _lock(out)
            if not _lies_at(part, out):
                continue  # it got its name, or was given up, before it was locked
            try:
                yield out
            finally:
                if not os.fstat(out.fileno()).st_size and _lies_at(part, out):
                    part.unlink()
            return
    raise BrokenOffError("other processes are fetching it")


def _lock(out: BinaryIO) -> None:
    """Keeps other processes from writing to the same file, until it is closed."""
    try:
        fcntl.flock(out, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise BrokenOffError("another process is fetching it") from error
    except OSError:
        return  # some file systems know no locks


def _lies_at(path: Path, file: BinaryIO) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _name(part: Path, target: Path, announced: Announced) -> None:
    try:
        part.replace(target)
    except FileNotFoundError:
        # Without locks another process may have done it.
        if not announced.is_at(target):
            raise


def _require_room(target: Path, missing_bytes: int) -> None:
    """Refuses at the beginning what could not end."""
    free_bytes = shutil.disk_usage(target.parent).free
    if free_bytes < missing_bytes:
        raise ConfigError(
            "disk_full",
            f"{target.name} needs {missing_bytes / 1e6:.0f} MB in {target.parent}, and "
            f"{free_bytes / 1e6:.0f} MB are free. Free some space there, or choose another folder "
            "with --folder.",
        )


def _fill(
    out: BinaryIO, url: str, size_bytes: int, headers: Mapping[str, str], moved: Moved
) -> None:
    """Appends what is missing, by as many connections as it takes."""
    tries = TRIES
    while (had_bytes := out.seek(0, os.SEEK_END)) < size_bytes:
        reason = "it ended too early"
        try:
            _append(out, url, size_bytes, headers, moved)
        except httpx.TransportError as error:
            reason = why(error)
        except (httpx.HTTPStatusError, httpx.TooManyRedirects, httpx.InvalidURL) as error:
            raise BrokenOffError(why(error)) from error
        has_bytes = out.seek(0, os.SEEK_END)
        tries = TRIES if has_bytes > had_bytes else tries - 1
        if not tries:
            raise BrokenOffError(reason)
        if has_bytes < size_bytes:
            time.sleep(PAUSE_S)


def why(error: Exception) -> str:
    """What went wrong with a request, in a few words; of httpx, or of what is made like it."""
    name = type(error).__name__
    if (response := getattr(error, "response", None)) is not None:
        return f"HTTP {response.status_code}"
    if "Timeout" in name:
        return "no answer in time"
    return _IN_WORDS.get(name, name)


def _append(
    out: BinaryIO, url: str, size_bytes: int, headers: Mapping[str, str], moved: Moved
) -> None:
    had = begun = out.tell()
    # Sizes are counted as they come: nothing may grow when it is unpacked.
    asked = {
        **headers,
        "Accept-Encoding": "identity",
        **({"Range": f"bytes={had}-"} if had else {}),
    }
    with httpx.stream(
        "GET", url, headers=asked, follow_redirects=True, timeout=TIMEOUT_S
    ) as response:
        if response.status_code == 416:
            raise DamagedError("it is shorter than what has come of it")
        response.raise_for_status()
        told = response.headers
        if told.get("Content-Encoding", "identity") != "identity":
            raise DamagedError("it comes compressed although that was not asked for")
        at = had if response.status_code == 206 else 0
        if at and not told.get("Content-Range", "").startswith(f"bytes {at}-"):
            raise DamagedError("another part of it came than was asked for")
        length = told.get("Content-Length")
        if length and at + int(length) != size_bytes:
            raise DamagedError(f"it has {at + int(length)} bytes instead of {size_bytes}")
        for block in response.iter_raw():
            if at < had and not _known(out, at, block):
                if not length:
                    raise DamagedError("it begins otherwise than what has come of it")
                out.truncate(at)
                had = at
            at += len(block)
            if at > size_bytes:
                out.truncate(begun)
                raise DamagedError("it is larger than announced")
            if at > had:
                out.seek(had)
                out.write(block[had - at :])
                had = at
                moved(at, size_bytes)


def _known(out: BinaryIO, at: int, block: bytes) -> bool:
    """Whether a block that comes again is what is there, as far as that goes."""
    out.seek(at)
    there = out.read(len(block))
    return block.startswith(there)
