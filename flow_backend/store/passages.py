"""Passages of a flow's documents, found by their words.

SQLite's FTS5 ranks by BM25, PostgreSQL by the rarity of the words that fit, in the `simple`
configuration: no language is assumed. Accents are folded on SQLite only.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from time import time
from typing import Any

from sqlalchemy import delete, func, insert, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from flow_backend.store.database import upsert
from flow_backend.store.tables import corpora, passages

PASSAGE_CHARACTERS = 700
"""Paragraphs are joined, and cut at sentences, to passages of about this length."""
_MAX_WORDS = 24
_RENEWED_S = 86400.0
"""How often a corpus in use is marked so: far more often than unused ones are forgotten."""


@dataclass(frozen=True, slots=True)
class Document:
    """A text with its title."""

    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a document."""

    title: str
    text: str


class PassageStore:
    """Indexes documents once, by the hash of what they say, and searches them."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._marked_at: dict[str, float] = {}
        """Corpora that are known to be in the database, and when they were marked as used."""

    async def search(self, documents: Sequence[Document], query: str, limit: int) -> list[Passage]:
        """The passages that share most with a query, the best first."""
        words = list(dict.fromkeys(re.findall(r"\w+", query.lower())))[:_MAX_WORDS]
        if not words or not documents:
            return []
        corpus = await self._index(documents)
        async with self._engine.connect() as connection:
            if self._engine.dialect.name == "postgresql":
                rows = await _search_postgresql(connection, corpus, words, limit)
            else:
                rows = await _search_sqlite(connection, corpus, words, limit)
        return [Passage(title, body) for title, body in rows]

    async def _index(self, documents: Sequence[Document]) -> str:
        content = json.dumps([(document.title, document.text) for document in documents])
        corpus = hashlib.sha256(content.encode()).hexdigest()
        now = time()
        if now - self._marked_at.get(corpus, 0.0) < _RENEWED_S:
            return corpus
        pieces = [(document.title, piece) for document in documents for piece in cut(document.text)]
        try:
            async with self._engine.begin() as connection:
                await connection.execute(
                    upsert(corpora, connection.dialect).values(corpus=corpus, used_at=now)
                )
                known = await connection.scalar(
                    select(func.count()).select_from(passages).where(passages.c.corpus == corpus)
                )
                if not known and pieces:
                    await connection.execute(
                        insert(passages),
                        [
                            {"corpus": corpus, "position": number, "title": title, "text": piece}
                            for number, (title, piece) in enumerate(pieces)
                        ],
                    )
        except IntegrityError:
            # Another process has indexed the same documents at the same time.
            pass
        self._marked_at[corpus] = now
        return corpus

    async def forget(self, before: float) -> None:
        """Deletes the passages of documents that nobody searched since a time (Unix seconds).

        They are cut anew should a flow ask for them again; `before` is to lie days back.
        """
        unused = select(corpora.c.corpus).where(corpora.c.used_at < before)
        async with self._engine.begin() as connection:
            await connection.execute(delete(passages).where(passages.c.corpus.in_(unused)))
            await connection.execute(delete(corpora).where(corpora.c.used_at < before))
        for corpus, marked_at in list(self._marked_at.items()):
            if marked_at < before:
                del self._marked_at[corpus]


async def _search_sqlite(
    connection: AsyncConnection, corpus: str, words: list[str], limit: int
) -> Sequence[Any]:
    found = await connection.execute(
        text(
            "SELECT passages.title, passages.text FROM passage_words "
            "JOIN passages ON passages.id = passage_words.rowid "
            "WHERE passage_words MATCH :words AND corpus = :corpus "
            "ORDER BY passage_words.rank, position LIMIT :limit"
        ),
        {"words": " OR ".join(f'"{word}"' for word in words), "corpus": corpus, "limit": limit},
    )
    return found.all()


async def _search_postgresql(
    connection: AsyncConnection, corpus: str, words: list[str], limit: int
) -> Sequence[Any]:
    """A passage's rank is the sum of its words' rarities: PostgreSQL's own ranks know none."""
    vector = "to_tsvector('simple', title || ' ' || text)"
    hits = [f"({vector} @@ plainto_tsquery('simple', :w{n}))::int" for n in range(len(words))]
    named = {f"w{n}": word for n, word in enumerate(words)}
    counted = await connection.execute(
        text(f"SELECT count(*), {', '.join(f'sum({hit})' for hit in hits)} FROM passages "
             "WHERE corpus = :corpus"),
        {**named, "corpus": corpus},
    )  # fmt: skip
    total, *having = counted.one()
    score = " + ".join(
        f"{math.log(1 + total / count):.4f} * {hit}"
        for hit, count in zip(hits, having, strict=True)
        if count
    )
    if not score:
        return []
    found = await connection.execute(
        text(
            f"SELECT title, text FROM (SELECT title, text, position, {score} AS score "
            "FROM passages WHERE corpus = :corpus) AS scored "
            "WHERE score > 0 ORDER BY score DESC, position LIMIT :limit"
        ),
        {**named, "corpus": corpus, "limit": limit},
    )
    return found.all()


def cut(document: str) -> list[str]:
    """Cuts a text into passages: whole paragraphs where they fit, else whole sentences."""
    passages_found: list[str] = []
    for paragraph in re.split(r"\n\s*\n", document):
        for piece in _sentences(" ".join(paragraph.split())):
            last = passages_found[-1] if passages_found else ""
            if last and len(last) + len(piece) + 1 <= PASSAGE_CHARACTERS:
                passages_found[-1] = f"{last} {piece}"
            elif piece:
                passages_found.append(piece)
    return passages_found


def _sentences(paragraph: str) -> list[str]:
    if len(paragraph) <= PASSAGE_CHARACTERS:
        return [paragraph]
    pieces: list[str] = []
    for sentence in re.split(r"(?<=[.!?。！？])\s*", paragraph):
        pieces.extend(
            sentence[start : start + PASSAGE_CHARACTERS]
            for start in range(0, len(sentence), PASSAGE_CHARACTERS)
        )
    return pieces
