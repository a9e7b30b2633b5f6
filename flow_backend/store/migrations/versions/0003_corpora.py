"""When each corpus of passages was last used, so that those that no flow has any more can go."""

from __future__ import annotations

import time

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes the table; what is there counts as used now."""
    op.create_table(
        "corpora",
        sa.Column("corpus", sa.String(64), primary_key=True),
        sa.Column("used_at", sa.Double, nullable=False),
    )
    op.create_index("ix_corpora_used", "corpora", ["used_at"])
    op.execute(
        sa.text("INSERT INTO corpora (corpus, used_at) SELECT DISTINCT corpus, :now FROM passages")
        .bindparams(sa.bindparam("now", time.time(), sa.Double))
    )  # fmt: skip


def downgrade() -> None:
    """Drops it; the passages stay."""
    op.drop_table("corpora")
