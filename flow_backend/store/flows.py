"""Drafts and published versions of flows."""

from __future__ import annotations

import json
from dataclasses import dataclass
from time import time
from typing import Any

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from flow_backend.store.tables import flow_versions, flows
from protocol.errors import FlowError


@dataclass(frozen=True, slots=True)
class StoredFlow:
    """A flow's draft."""

    id: str
    document: dict[str, Any]
    revision: int
    """Counts saves: 1 for the first."""
    published_version: int | None
    updated_at: float
    """Unix seconds."""

    @property
    def etag(self) -> str:
        """What `If-Match` must name."""
        return f'"{self.revision}"'


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """A published version: never changed."""

    flow_id: str
    version: int
    document: dict[str, Any]
    published_at: float
    """Unix seconds."""


class FlowStore:
    """Queries about flows. Documents that come in have passed validation."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def all(self) -> list[StoredFlow]:
        """Every flow, by id."""
        async with self._engine.connect() as connection:
            rows = await connection.execute(select(flows).order_by(flows.c.id))
            return [_flow(row) for row in rows]

    async def draft(self, flow_id: str) -> StoredFlow:
        """A flow's draft.

        Raises:
            FlowError: `flow_not_found`.
        """
        async with self._engine.connect() as connection:
            return await _draft(connection, flow_id)

    async def create(self, document: dict[str, Any]) -> StoredFlow:
        """Stores a new flow.

        Raises:
            FlowError: `flow_exists`.
        """
        flow_id = document["id"]
        try:
            async with self._engine.begin() as connection:
                await connection.execute(
                    insert(flows).values(
                        id=flow_id,
                        document=json.dumps(document),
                        revision=1,
                        updated_at=time(),
                    )
                )
                return await _draft(connection, flow_id)
        except IntegrityError as error:
            raise FlowError(
                "flow_exists", f"There is a flow {flow_id!r}; PUT replaces its draft.", path="id"
            ) from error

    async def replace(self, flow_id: str, document: dict[str, Any], etag: str) -> StoredFlow:
        """Saves a new draft over the one that the caller has seen.

        Args:
            flow_id: Which flow.
            document: The new draft.
            etag: Of the draft that was seen; `*` for any.

        Raises:
            FlowError: `flow_not_found`; `flow_conflict` if somebody saved in between.
        """
        async with self._engine.begin() as connection:
            seen = await _draft(connection, flow_id)
            if etag not in ("*", seen.etag):
                raise _lost_update(flow_id, seen)
            saved = await connection.execute(
                update(flows)
                .where(flows.c.id == flow_id, flows.c.revision == seen.revision)
                .values(
                    document=json.dumps(document), revision=seen.revision + 1, updated_at=time()
                )
            )
            if saved.rowcount != 1:
                raise _lost_update(flow_id, seen)
            return await _draft(connection, flow_id)

    async def publish(self, flow_id: str) -> StoredVersion:
        """Makes the draft the next version; one that equals the last version stays that.

        Raises:
            FlowError: `flow_not_found`; `flow_conflict` if somebody published at the same time.
        """
        try:
            async with self._engine.begin() as connection:
                return await _publish(connection, flow_id)
        except IntegrityError as error:
            raise FlowError(
                "flow_conflict", f"Flow {flow_id!r} was published at the same time.", retryable=True
            ) from error

    async def versions(self, flow_id: str) -> list[StoredVersion]:
        """Published versions, the newest first.

        Raises:
            FlowError: `flow_not_found`.
        """
        async with self._engine.connect() as connection:
            await _draft(connection, flow_id)
            rows = await connection.execute(
                select(flow_versions)
                .where(flow_versions.c.flow_id == flow_id)
                .order_by(flow_versions.c.version.desc())
            )
            return [_version(row) for row in rows]

    async def version(self, flow_id: str, version: int | None = None) -> StoredVersion:
        """A published version; None: the newest.

        Raises:
            FlowError: `flow_not_found`, for a version that there is not, too.
        """
        query = select(flow_versions).where(flow_versions.c.flow_id == flow_id)
        if version is not None:
            query = query.where(flow_versions.c.version == version)
        async with self._engine.connect() as connection:
            row = (
                await connection.execute(query.order_by(flow_versions.c.version.desc()).limit(1))
            ).one_or_none()
            if row is not None:
                return _version(row)
            await _draft(connection, flow_id)
        wanted = "published version" if version is None else f"version {version}"
        raise FlowError("flow_not_found", f"Flow {flow_id!r} has no {wanted}.")

    async def remove(self, flow_id: str) -> None:
        """Deletes a flow with its versions.

        Raises:
            FlowError: `flow_not_found`.
        """
        async with self._engine.begin() as connection:
            removed = await connection.execute(delete(flows).where(flows.c.id == flow_id))
        if removed.rowcount == 0:
            raise _unknown(flow_id)

    async def load(self, document: dict[str, Any]) -> StoredVersion:
        """Takes over a flow from a folder: stores and publishes it if it has changed."""
        flow_id = document["id"]
        try:
            await self.create(document)
        except FlowError:
            if (await self.draft(flow_id)).document != document:
                await self.replace(flow_id, document, "*")
        return await self.publish(flow_id)


async def _draft(connection: AsyncConnection, flow_id: str) -> StoredFlow:
    row = (await connection.execute(select(flows).where(flows.c.id == flow_id))).one_or_none()
    if row is None:
        raise _unknown(flow_id)
    return _flow(row)


async def _publish(connection: AsyncConnection, flow_id: str) -> StoredVersion:
    draft = await _draft(connection, flow_id)
    last = await connection.scalar(
        select(func.max(flow_versions.c.version)).where(flow_versions.c.flow_id == flow_id)
    )
    if last is not None:
        row = (
            await connection.execute(
                select(flow_versions).where(
                    flow_versions.c.flow_id == flow_id, flow_versions.c.version == last
                )
            )
        ).one()
        if json.loads(row.document) == draft.document:
            return _version(row)
    version = StoredVersion(flow_id, (last or 0) + 1, draft.document, time())
    await connection.execute(
        insert(flow_versions).values(
            flow_id=flow_id,
            version=version.version,
            document=json.dumps(version.document),
            published_at=version.published_at,
        )
    )
    await connection.execute(
        update(flows).where(flows.c.id == flow_id).values(published_version=version.version)
    )
    return version


def _flow(row: Any) -> StoredFlow:
    return StoredFlow(
        id=row.id,
        document=json.loads(row.document),
        revision=row.revision,
        published_version=row.published_version,
        updated_at=row.updated_at,
    )


def _version(row: Any) -> StoredVersion:
    return StoredVersion(
        flow_id=row.flow_id,
        version=row.version,
        document=json.loads(row.document),
        published_at=row.published_at,
    )


def _unknown(flow_id: str) -> FlowError:
    return FlowError("flow_not_found", f"There is no flow {flow_id!r}.")


def _lost_update(flow_id: str, seen: StoredFlow) -> FlowError:
    return FlowError(
        "flow_conflict",
        f"Somebody saved flow {flow_id!r} in between (now {seen.etag}). Read it again and repeat "
        "the change.",
    )
