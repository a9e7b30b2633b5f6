"""The LiveKit key pair: made on the first run and kept in the git-ignored `.env`."""

from __future__ import annotations

import os
import secrets
import string
import tempfile
from dataclasses import dataclass
from pathlib import Path

from protocol.errors import ConfigError
from stack.settings import StackSettings

SECRET_BYTES = 32
"""LiveKit signs with HMAC-SHA256; RFC 7518, section 3.2 asks for a key of its 32 bytes."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """What signs access tokens."""

    key: str
    secret: str

    def __repr__(self) -> str:
        """Leaves the secret out."""
        return f"KeyPair(key={self.key!r})"


def key_pair(settings: StackSettings) -> KeyPair | None:
    """The pair in the settings, or None if neither half is set.

    Raises:
        ConfigError: `setting_missing` if one half is, `setting_invalid` if the secret is short
            and is for a server of our own.
    """
    key = settings.livekit_api_key
    secret = settings.livekit_api_secret.get_secret_value() if settings.livekit_api_secret else None
    if key is None and secret is None:
        return None
    if key is None or secret is None:
        absent = "LIVEKIT_API_KEY" if key is None else "LIVEKIT_API_SECRET"
        raise ConfigError(
            "setting_missing",
            f"{absent} is not set, and its other half is. Set both, or neither to have a new pair "
            "made.",
        )
    if settings.livekit_url is None and len(secret.encode()) < SECRET_BYTES:
        raise ConfigError(
            "setting_invalid",
            f"LIVEKIT_API_SECRET: expected {SECRET_BYTES} bytes or more. Unset it and "
            "LIVEKIT_API_KEY to have a new pair made.",
        )
    return KeyPair(key, secret)


def make_key_pair(file: Path) -> KeyPair:
    """Makes a pair and adds it to a `.env` file, which only its owner can read from then on.

    The file is replaced as a whole, so that an interruption or a full disk leaves the old one.

    Raises:
        ConfigError: `disk_full` or `start_failed` if the file cannot be written.
    """
    alphabet = string.ascii_letters + string.digits
    pair = KeyPair(
        "API" + "".join(secrets.choice(alphabet) for _ in range(12)),
        secrets.token_urlsafe(SECRET_BYTES),
    )
    try:
        old = file.read_text(encoding="utf-8") if file.exists() else ""
        kept = [line for line in old.splitlines() if not _is_empty_setting(line)]
        lines = [
            *kept,
            f"LIVEKIT_API_KEY={pair.key}",
            f"LIVEKIT_API_SECRET={pair.secret}",
        ]
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
            f"The LiveKit key pair cannot be written to {file} ({error.strerror}). Make the "
            "folder writable, or set LIVEKIT_API_KEY and LIVEKIT_API_SECRET.",
        ) from error
    return pair


def _is_empty_setting(line: str) -> bool:
    name, equals, value = line.partition("=")
    return (
        bool(equals)
        and name.strip() in {"LIVEKIT_API_KEY", "LIVEKIT_API_SECRET"}
        and not value.strip()
    )
