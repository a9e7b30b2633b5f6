"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes the tables, and the text index of passages in the database's own way."""
    op.create_table(
        "flows",
        sa.Column("id", sa.String(200), primary_key=True),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("published_version", sa.Integer),
        sa.Column("updated_at", sa.Double, nullable=False),
    )
    op.create_table(
        "flow_versions",
        sa.Column(
            "flow_id",
            sa.String(200),
            sa.ForeignKey("flows.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("published_at", sa.Double, nullable=False),
    )
    op.create_table(
        "sessions",
        sa.Column("uid", sa.String(32), primary_key=True),
        sa.Column("flow_id", sa.String(200), nullable=False),
        sa.Column("session_id", sa.String(200), nullable=False),
        sa.Column("flow_version", sa.Integer, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("metadata", sa.Text, nullable=False),
        sa.Column("ended", sa.Boolean, nullable=False),
        sa.Column("last_used_at", sa.Double, nullable=False),
        sa.UniqueConstraint("flow_id", "session_id", name="uq_sessions_flow_session"),
    )
    op.create_index("ix_sessions_ended_last_used", "sessions", ["ended", "last_used_at"])
    op.create_table(
        "turns",
        sa.Column("session_uid", sa.String(32), primary_key=True),
        sa.Column("turn_id", sa.String(200), primary_key=True),
        sa.Column("input", sa.Text, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("rewind", sa.Text, nullable=False),
        sa.Column("updated_at", sa.Double, nullable=False),
    )
    op.create_index("ix_turns_status_updated", "turns", ["status", "updated_at"])
    op.create_table(
        "journal",
        sa.Column("session_uid", sa.String(32), primary_key=True),
        sa.Column("turn_id", sa.String(200), primary_key=True),
        sa.Column("first_seq", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("frames", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "outbox",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("session_uid", sa.String(32), nullable=False),
        sa.Column("turn_id", sa.String(200), nullable=False),
        sa.Column("node_id", sa.String(200), nullable=False),
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("result", sa.Text),
        sa.Column("claimed_until", sa.Double, nullable=False),
    )
    op.create_index("ix_outbox_status_claimed", "outbox", ["status", "claimed_until"])
    op.create_table(
        "passages",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("corpus", sa.String(64), nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.UniqueConstraint("corpus", "position", name="uq_passages_corpus_position"),
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE INDEX ix_passages_words ON passages "
            "USING gin (to_tsvector('simple', title || ' ' || text))"
        )
    else:
        op.execute(
            "CREATE VIRTUAL TABLE passage_words USING fts5("
            "title, text, content='passages', content_rowid='id', "
            "tokenize='unicode61 remove_diacritics 2')"
        )
        op.execute(
            "CREATE TRIGGER passages_added AFTER INSERT ON passages BEGIN "
            "INSERT INTO passage_words(rowid, title, text) "
            "VALUES (new.id, new.title, new.text); END"
        )
        op.execute(
            "CREATE TRIGGER passages_removed AFTER DELETE ON passages BEGIN "
            "INSERT INTO passage_words(passage_words, rowid, title, text) "
            "VALUES ('delete', old.id, old.title, old.text); END"
        )


def downgrade() -> None:
    """Drops every table."""
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TABLE passage_words")
    for table in (
        "passages",
        "outbox",
        "journal",
        "turns",
        "sessions",
        "flow_versions",
        "flows",
    ):
        op.drop_table(table)
