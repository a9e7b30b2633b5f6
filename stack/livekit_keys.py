"""The LiveKit key pair: made on the first run and kept in the git-ignored `.env`."""

from __future__ import annotations

import secrets
import string
from dataclasses import dataclass
from pathlib import Path

from protocol.errors import ConfigError
from stack.env_file import add_to_env_file
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

    Raises:
        ConfigError: `start_failed` if the file cannot be written.
    """
    alphabet = string.ascii_letters + string.digits
    pair = KeyPair(
        "API" + "".join(secrets.choice(alphabet) for _ in range(12)),
        secrets.token_urlsafe(SECRET_BYTES),
    )
    add_to_env_file(
        file,
        {"LIVEKIT_API_KEY": pair.key, "LIVEKIT_API_SECRET": pair.secret},
        "The LiveKit key pair",
    )
    return pair
