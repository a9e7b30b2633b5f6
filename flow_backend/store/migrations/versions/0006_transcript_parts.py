"""Older turns of sessions, in rows that are written once."""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes the table; each session fills it when it goes on."""
    op.create_table(
        "transcript_parts",
        sa.Column(
            "session_uid",
            sa.String(32),
            sa.ForeignKey("sessions.uid", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("entries", sa.Text, nullable=False),
    )


def downgrade() -> None:
    """Puts the older turns back before the newer ones."""
    connection = op.get_bind()
    parts = sa.table(
        "transcript_parts", sa.column("session_uid"), sa.column("number"), sa.column("entries")
    )
    sessions = sa.table("sessions", sa.column("uid"), sa.column("state"))
    for uid in connection.scalars(sa.select(parts.c.session_uid).distinct()).all():
        mine = sa.select(parts.c.entries).where(parts.c.session_uid == uid)
        rows = connection.scalars(mine.order_by(parts.c.number)).all()
        old = [entry for row in rows for entry in json.loads(row)]
        row = sessions.c.uid == uid
        state = json.loads(connection.execute(sa.select(sessions.c.state).where(row)).scalar_one())
        state["history"] = old + state["history"]
        state["summarised"] += len(old)
        connection.execute(sa.update(sessions).where(row).values(state=json.dumps(state)))
    op.drop_table("transcript_parts")
