"""A real S3-compatible server on a free port, which checks signatures."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

import pytest

KEY, SECRET = "access-key", "a-secret-of-forty-characters-0123456789ab"
BUCKET = "recordings"


@dataclass(frozen=True)
class S3Server:
    url: str
    folder: Path
    """The bucket's objects, as files."""

    @property
    def objects(self) -> set[str]:
        return {
            str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file()
        }

    @property
    def settings(self) -> dict[str, str]:
        """The variables by which it is reached."""
        return {
            "RECORDINGS_BUCKET": BUCKET,
            "S3_URL": self.url,
            "S3_ACCESS_KEY_ID": KEY,
            "S3_SECRET_ACCESS_KEY": SECRET,
        }


def s3_program() -> str:
    """rclone, which can serve a folder as S3; skips the test where it is not installed."""
    program = shutil.which("rclone", path=Path(sys.executable).parent) or shutil.which("rclone")
    if program is None:
        pytest.skip("rclone is not installed")
    return program


@contextmanager
def s3_server(root: Path) -> Iterator[S3Server]:
    """Serves one bucket, kept in a folder."""
    (root / BUCKET).mkdir(parents=True, exist_ok=True)
    command = [
        *(s3_program(), "serve", "s3", "--config", "", "--auth-key", f"{KEY},{SECRET}"),
        *("--addr", "127.0.0.1:0", str(root)),
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            said = ""
            while not (found := re.search(r"server on \[(http://[0-9.:]+)", said)):
                line = process.stderr.readline()
                if not line:
                    raise RuntimeError(said)
                said += line
            # A full pipe would stop it.
            Thread(target=process.stderr.read, daemon=True).start()
            yield S3Server(found[1], root / BUCKET)
        finally:
            process.kill()
            process.wait()
