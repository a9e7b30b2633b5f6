"""Adds settings to the git-ignored `.env`."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from protocol.errors import ConfigError


def add_to_env_file(file: Path, values: Mapping[str, str], what: str) -> None:
    """Sets variables in a `.env` file, which only its owner can read from then on.

    The file is replaced as a whole, so that an interruption or a full disk leaves the old one.

    Args:
        file: The file; made if it is not there.
        values: By variable; lines that set one of them already are taken out.
        what: What is written, for the error's sentence.

    Raises:
        ConfigError: `start_failed` if the file cannot be written.
    """
    try:
        old = file.read_text(encoding="utf-8") if file.exists() else ""
        kept = [line for line in old.splitlines() if line.partition("=")[0].strip() not in values]
        lines = [*kept, *(f"{name}={value}" for name, value in values.items())]
        # mkstemp makes files that only their owner can read.
        handle, name = tempfile.mkstemp(dir=file.parent, prefix=".env.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as new:
                new.write("\n".join(lines) + "\n")
            os.replace(name, file)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        raise ConfigError(
            "start_failed",
            f"{what} cannot be written to {file} ({error.strerror}). Make the folder writable, or "
            f"set {' and '.join(values)}.",
        ) from error
