"""API keys, and whose sessions and conversations are whose."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_OWNED = ("sessions", "conversations")


def upgrade() -> None:
    """Makes the table; what there is already belongs to nobody."""
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("secret_hash", sa.String(64), nullable=False),
        sa.Column("scopes", sa.String(200), nullable=False),
        sa.Column("rate_limit", sa.String(200)),
        sa.Column("concurrency", sa.Integer),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("expires_at", sa.Double),
        sa.Column("revoked_at", sa.Double),
    )
    for table in _OWNED:
        op.add_column(table, sa.Column("owner", sa.String(32), nullable=False, server_default=""))


def downgrade() -> None:
    """Drops the keys and forgets who owned what."""
    for table in _OWNED:
        op.drop_column(table, "owner")
    op.drop_table("api_keys")
