"""API keys as the database has them: by hash, never in clear."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from time import time

from sqlalchemy import Row, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from flow_backend.store.tables import api_keys
from protocol.errors import ConfigError


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is known of a key; its secret is not."""

    id: str
    """Public: stands in logs, and owns sessions."""
    name: str
    scopes: frozenset[str]
    rate_limit: str | None = None
    """Overrides the setting KEY_RATE_LIMIT; empty: no limit."""
    concurrency: int | None = None
    """Overrides the setting KEY_CONCURRENCY; 0: no limit."""
    created_at: float = 0.0
    """Unix seconds, like the next two."""
    expires_at: float | None = None
    revoked_at: float | None = None
    secret_hash: str = ""
    """SHA-256 in hexadecimal."""

    @property
    def live(self) -> bool:
        """Neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or time() < self.expires_at)


class KeyStore:
    """Queries about API keys."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def add(self, key: ApiKey) -> None:
        """Stores a new key."""
        async with self._engine.begin() as connection:
            await connection.execute(
                insert(api_keys).values(
                    id=key.id,
                    name=key.name,
                    secret_hash=key.secret_hash,
                    scopes=" ".join(sorted(key.scopes)),
                    rate_limit=key.rate_limit,
                    concurrency=key.concurrency,
                    created_at=key.created_at,
                    expires_at=key.expires_at,
                )
            )

    async def get(self, key_id: str) -> ApiKey | None:
        """A key by its public id."""
        async with self._engine.connect() as connection:
            row = (
                await connection.execute(select(api_keys).where(api_keys.c.id == key_id))
            ).one_or_none()
        return None if row is None else _key(row)

    async def all(self) -> list[ApiKey]:
        """Every key that was ever made, the oldest first."""
        async with self._engine.connect() as connection:
            rows = await connection.execute(
                select(api_keys).order_by(api_keys.c.created_at, api_keys.c.id)
            )
            return [_key(row) for row in rows]

    async def any_live(self) -> bool:
        """Whether there is a key with which somebody can get in."""
        return any(key.live for key in await self.all())

    async def revoke(self, wanted: str) -> list[ApiKey]:
        """Revokes the key with this id, or all with this name; gives those that were live.

        Raises:
            ConfigError: `setting_invalid` if there is none.
        """
        async with self._engine.begin() as connection:
            mine = or_(api_keys.c.id == wanted, api_keys.c.name == wanted)
            found = [_key(row) for row in await connection.execute(select(api_keys).where(mine))]
            if not found:
                raise ConfigError(
                    "setting_invalid",
                    f"There is no API key {wanted!r}. `parley keys list` shows those there are.",
                )
            await connection.execute(
                update(api_keys)
                .where(mine, api_keys.c.revoked_at.is_(None))
                .values(revoked_at=time())
            )
        return [key for key in found if key.live]


def _key(row: Row[tuple[object, ...]]) -> ApiKey:
    values = dict(row._mapping)
    scopes: Collection[str] = str(values.pop("scopes")).split()
    return ApiKey(scopes=frozenset(scopes), **values)
