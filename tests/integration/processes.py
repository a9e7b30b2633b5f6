"""Programs of others that tests start: killed at the end, by their id."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Thread


@contextmanager
def started(argv: Sequence[str], folder: Path, *, says: bytes) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a program in a folder; begins when its output holds these words.

    Raises:
        RuntimeError: It ended before, with what it wrote.
    """
    with subprocess.Popen(
        argv, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert process.stdout is not None
        try:
            lines: list[bytes] = []
            for line in process.stdout:
                lines.append(line)
                if says in line:
                    break
            else:
                raise RuntimeError(b"".join(lines).decode())
            # A full pipe would stop it.
            Thread(target=process.stdout.read, daemon=True).start()
            yield process
        finally:
            process.kill()
            process.wait()
