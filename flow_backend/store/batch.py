"""What is handed in for the database together, until it is there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Table

from flow_backend.store.tables import sessions, transcript_parts

Row = dict[str, Any]

WHOLE = (sessions, transcript_parts)
"""Of a session these are stored together: its row lacks what the parts have."""


@dataclass(slots=True)
class Batch:
    """Rows of tables, by their keys, and pieces of journals in their order."""

    rows: dict[Table, dict[tuple[Any, ...], Row]] = field(default_factory=dict)
    chunks: list[Row] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.rows or self.chunks)

    @classmethod
    def joined(cls, batches: Iterable[Batch]) -> Batch:
        """All in one; later rows take the place of earlier ones."""
        whole = cls()
        for batch in batches:
            for table, by_key in batch.rows.items():
                whole.rows.setdefault(table, {}).update(by_key)
            whole.chunks += batch.chunks
        return whole

    def put(self, table: Table, row: Row) -> None:
        """Adds a row; it takes the place of one with the same key."""
        key = tuple(row[column.name] for column in table.primary_key.columns)
        self.rows.setdefault(table, {})[key] = row

    def uids(self) -> set[str]:
        """The sessions that it has something of."""
        uids = {uid_of(row) for by_key in self.rows.values() for row in by_key.values()}
        return uids | {uid_of(chunk) for chunk in self.chunks}

    def by_session(self) -> dict[str, Batch]:
        """The same, a batch for each session's uid."""
        found = {uid: Batch() for uid in self.uids()}
        for table, by_key in self.rows.items():
            for row in by_key.values():
                found[uid_of(row)].put(table, row)
        for chunk in self.chunks:
            found[uid_of(chunk)].chunks.append(chunk)
        return found

    def pieces(self) -> Iterator[Batch]:
        """One session's, in the smallest batches that may be stored without the others."""
        if whole := {table: self.rows[table] for table in WHOLE if table in self.rows}:
            yield Batch(whole)
        for table, by_key in self.rows.items():
            if table not in WHOLE:
                yield from (Batch({table: {key: row}}) for key, row in by_key.items())
        yield from (Batch(chunks=[chunk]) for chunk in self.chunks)


def uid_of(row: Row) -> str:
    """The session of a row of any table."""
    uid: str = row["uid"] if "uid" in row else row["session_uid"]
    return uid
