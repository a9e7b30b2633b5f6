"""Conversations with a tutor, their messages and vocabulary."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def _conversation() -> sa.Column[str]:
    return sa.Column(
        "conversation_id",
        sa.String(200),
        sa.ForeignKey("conversations.id", ondelete="CASCADE"),
        primary_key=True,
    )


def upgrade() -> None:
    """Makes the three tables."""
    op.create_table(
        "conversations",
        sa.Column("id", sa.String(200), primary_key=True),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("language", sa.String(60), nullable=False),
        sa.Column("difficulty_level", sa.String(2), nullable=False),
        sa.Column("summary", sa.Text, nullable=False),
        sa.Column("summarised", sa.Integer, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("updated_at", sa.Double, nullable=False),
    )
    op.create_index("ix_conversations_updated", "conversations", ["updated_at"])
    op.create_table(
        "conversation_messages",
        _conversation(),
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("cut_off", sa.Boolean, nullable=False),
        sa.Column("corrections", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
    )
    op.create_table(
        "vocabulary",
        _conversation(),
        sa.Column("word", sa.String(100), primary_key=True),
        sa.Column("translation", sa.Text),
        sa.Column("example", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
    )


def downgrade() -> None:
    """Drops them."""
    for table in ("vocabulary", "conversation_messages", "conversations"):
        op.drop_table(table)
