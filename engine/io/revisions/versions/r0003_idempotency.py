"""The table of idempotency keys, as `sql/idempotency.py` speaks to it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from engine.sql.own import OPTIONS, chars, key_column, long_text, moment

revision = "r0003"
down_revision = "r0002"
branch_labels = None
depends_on = None

TABLE = "aether_idempotency"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        TABLE,
        key_column(),
        sa.Column("caller", chars(64), nullable=False),
        sa.Column("key_hash", chars(64), nullable=False),
        sa.Column("request_hash", chars(64)),
        sa.Column("status", sa.Integer()),
        sa.Column("reply", long_text()),
        sa.Column("created_on", moment(), nullable=False),
        sa.Column("expires_on", moment(), nullable=False),
        sa.UniqueConstraint("caller", "key_hash", name="uq_aether_idempotency_caller_key_hash"),
        if_not_exists=True,
        **OPTIONS,
    )
    op.create_index("ix_aether_idempotency_expires_on", TABLE, ["expires_on"], if_not_exists=True)


def downgrade() -> None:
    """Drop the table."""
    op.drop_table(TABLE)
