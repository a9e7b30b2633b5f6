"""The tables. Times are Unix seconds; JSON stands in text columns, the same on both databases."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData()

flows = Table(
    "flows",
    metadata,
    Column("id", String(200), primary_key=True),
    Column("document", Text, nullable=False),
    # Counts saves of the draft: what `ETag` and `If-Match` compare.
    Column("revision", Integer, nullable=False),
    Column("published_version", Integer),
    Column("updated_at", Double, nullable=False),
)

flow_versions = Table(
    "flow_versions",
    metadata,
    Column("flow_id", String(200), ForeignKey("flows.id", ondelete="CASCADE"), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("document", Text, nullable=False),
    Column("published_at", Double, nullable=False),
)

sessions = Table(
    "sessions",
    metadata,
    Column("uid", String(32), primary_key=True),
    Column("flow_id", String(200), nullable=False),
    Column("session_id", String(200), nullable=False),
    # Id of the API key that opened it; empty where keys were off.
    Column("owner", String(32), nullable=False, server_default=""),
    Column("flow_version", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("metadata", Text, nullable=False),
    Column("ended", Boolean, nullable=False),
    Column("last_used_at", Double, nullable=False),
    # Counts the replicas that have had it: writes of an earlier one are refused.
    Column("generation", Integer, nullable=False, server_default="0"),
    UniqueConstraint("flow_id", "session_id", name="uq_sessions_flow_session"),
    Index("ix_sessions_ended_last_used", "ended", "last_used_at"),
)

turns = Table(
    "turns",
    metadata,
    Column("session_uid", String(32), primary_key=True),
    Column("turn_id", String(200), primary_key=True),
    Column("input", Text, nullable=False),
    # `running`, `over`, or `lost`: its process died.
    Column("status", String(16), nullable=False),
    # Where a heard report can take the session back to; see engine/rewind.py.
    Column("rewind", Text, nullable=False),
    # Renewed while the turn runs, so that another process knows a lost one.
    Column("updated_at", Double, nullable=False),
    Index("ix_turns_status_updated", "status", "updated_at"),
)

transcript_parts = Table(
    "transcript_parts",
    metadata,
    Column(
        "session_uid", String(32), ForeignKey("sessions.uid", ondelete="CASCADE"), primary_key=True
    ),
    Column("number", Integer, primary_key=True, autoincrement=False),
    # A list of entries as in `sessions.state`, in which the newest are; see engine/old_turns.py.
    Column("entries", Text, nullable=False),
)

journal = Table(
    "journal",
    metadata,
    Column("session_uid", String(32), primary_key=True),
    Column("turn_id", String(200), primary_key=True),
    Column("first_seq", Integer, primary_key=True, autoincrement=False),
    # SSE frames with the numbers from `first_seq` on, one after another.
    Column("frames", LargeBinary, nullable=False),
)

outbox = Table(
    "outbox",
    metadata,
    # Also the idempotency key of the call.
    Column("id", String(32), primary_key=True),
    Column("session_uid", String(32), nullable=False),
    Column("turn_id", String(200), nullable=False),
    Column("node_id", String(200), nullable=False),
    Column("request", Text, nullable=False),
    # `pending`, `done` or `failed`.
    Column("status", String(16), nullable=False),
    Column("result", Text),
    # Until then the call belongs to the process that claimed it.
    Column("claimed_until", Double, nullable=False),
    Index("ix_outbox_status_claimed", "status", "claimed_until"),
)

passages = Table(
    "passages",
    metadata,
    Column("id", Integer, primary_key=True),
    # Hash of the documents that the passages were cut from.
    Column("corpus", String(64), nullable=False),
    Column("position", Integer, nullable=False),
    Column("title", Text, nullable=False),
    Column("text", Text, nullable=False),
    UniqueConstraint("corpus", "position", name="uq_passages_corpus_position"),
)

corpora = Table(
    "corpora",
    metadata,
    Column("corpus", String(64), primary_key=True),
    # Renewed once a day while the corpus is searched.
    Column("used_at", Double, nullable=False),
    Index("ix_corpora_used", "used_at"),
)

conversations = Table(
    "conversations",
    metadata,
    Column("id", String(200), primary_key=True),
    # As in `sessions`.
    Column("owner", String(32), nullable=False, server_default=""),
    Column("title", String(200), nullable=False),
    Column("language", String(60), nullable=False),
    Column("difficulty_level", String(2), nullable=False),
    # Stands in prompts for the messages before position `summarised`.
    Column("summary", Text, nullable=False),
    Column("summarised", Integer, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    Index("ix_conversations_updated", "updated_at"),
)

conversation_messages = Table(
    "conversation_messages",
    metadata,
    Column(
        "conversation_id",
        String(200),
        ForeignKey("conversations.id", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("position", Integer, primary_key=True, autoincrement=False),
    # `user` or `assistant`.
    Column("role", String(16), nullable=False),
    Column("text", Text, nullable=False),
    Column("cut_off", Boolean, nullable=False),
    # JSON, of user messages.
    Column("corrections", Text, nullable=False),
    Column("created_at", Double, nullable=False),
)

vocabulary = Table(
    "vocabulary",
    metadata,
    Column(
        "conversation_id",
        String(200),
        ForeignKey("conversations.id", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("word", String(100), primary_key=True),
    Column("translation", Text),
    Column("example", Text, nullable=False),
    Column("created_at", Double, nullable=False),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", String(100), nullable=False),
    Column("secret_hash", String(64), nullable=False),
    # Words with spaces between.
    Column("scopes", String(200), nullable=False),
    Column("rate_limit", String(200)),
    Column("concurrency", Integer),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double),
    Column("revoked_at", Double),
)
