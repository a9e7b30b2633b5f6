"""API keys: how they are made, what they allow, and how one that comes in is judged.

A key is `parley_<id>_<secret>`: the id is public, the secret has 256 bits from the system's random
source. Only the secret's SHA-256 is stored; a slow hash guards guessable passwords, which these
are not.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
import secrets
from collections import OrderedDict
from collections.abc import Collection
from time import monotonic, time
from typing import Literal, get_args

from pydantic import SecretStr
from sqlalchemy.exc import SQLAlchemyError

from flow_backend.store.database import storage_error
from flow_backend.store.keys import ApiKey, KeyStore
from protocol.errors import ConfigError

Scope = Literal["talk", "edit", "monitor", "admin"]
"""`talk`: the doors, sessions of one's own, tokens for rooms. `edit`: flows. `monitor`: metrics.
`admin`: all of these, and everybody's sessions."""
SCOPES: tuple[Scope, ...] = get_args(Scope)

TRUST_S = 5.0
"""How long a key that was judged is not looked up again: so long a revoked one may still work."""
LOOK_UP_S = 2.0
"""How long a key that was judged before waits for the database; then the last judgement counts."""
_REMEMBERED = 1000
_TOKEN = re.compile(r"parley_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")


def make_key(
    name: str,
    scopes: Collection[str],
    *,
    rate_limit: str | None = None,
    concurrency: int | None = None,
    lifetime_s: float | None = None,
) -> tuple[ApiKey, str]:
    """A new key, and the text of it, which can be seen only now."""
    key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    now = time()
    key = ApiKey(
        key_id,
        name,
        frozenset(scopes),
        rate_limit=rate_limit,
        concurrency=concurrency,
        created_at=now,
        expires_at=None if lifetime_s is None else now + lifetime_s,
        secret_hash=_hash(secret),
    )
    return key, f"parley_{key_id}_{secret}"


class Keyring:
    """Judges keys.

    While the database cannot be reached, the last judgement of a key counts: nobody can revoke it
    there.

    Args:
        store: The keys that were made.
        configured: A key that settings name: it may talk. If it is one of those in the store, what
            the store says of it counts.
    """

    def __init__(self, store: KeyStore, configured: SecretStr | None = None) -> None:
        self._store = store
        self._configured = configured
        self._judged: OrderedDict[str, tuple[float, ApiKey | None]] = OrderedDict()

    async def key(self, text: str) -> ApiKey | None:
        """The key that a text is; None if there is none such, or it is no longer live.

        Raises:
            StreamError: `database_unavailable`, for a key that was not judged before.
        """
        found = _TOKEN.fullmatch(text)
        if found is not None:
            key = await self._stored(found[1])
            if key is not None:
                same = hmac.compare_digest(key.secret_hash, _hash(found[2]))
                return key if same and key.live else None
        configured = self._configured.get_secret_value() if self._configured else None
        if configured and hmac.compare_digest(configured.encode(), text.encode()):
            return ApiKey("configured", "PARLEY_API_KEY", frozenset({"talk"}))
        return None

    async def _stored(self, key_id: str) -> ApiKey | None:
        until, key = self._judged.get(key_id, (0.0, None))
        if monotonic() >= until:
            try:
                async with asyncio.timeout(LOOK_UP_S if key is not None else None):
                    key = await self._store.get(key_id)
            except (SQLAlchemyError, OSError) as error:  # TimeoutError is one
                known = storage_error(error)
                if known is None:
                    raise
                if key is None:
                    raise known from error
            self._judged[key_id] = monotonic() + TRUST_S, key
            self._judged.move_to_end(key_id)
            if len(self._judged) > _REMEMBERED:
                self._judged.popitem(last=False)
        return key

    async def require_any(self, host: str) -> None:
        """Sees to it that somebody can get in.

        Raises:
            ConfigError: `setting_missing` if there is no key at all.
        """
        if self._configured is None and not await self._store.any_live():
            raise ConfigError(
                "setting_missing",
                f"There is no API key yet, and without one nobody may use a backend at {host}. "
                "Make one with `parley keys create NAME`, or set PARLEY_API_KEY; or set "
                "BACKEND_HOST=127.0.0.1 (and API_KEYS=auto) to serve this machine alone, without "
                "keys.",
            )


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
