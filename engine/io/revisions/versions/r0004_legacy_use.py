"""The table of the uses of old routes, as `sql/legacy_use.py` speaks to it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from engine.sql.own import OPTIONS, chars, key_column, moment, row_id, words

revision = "r0004"
down_revision = "r0003"
branch_labels = None
depends_on = None

TABLE = "aether_legacy_use"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        TABLE,
        key_column(),
        sa.Column("day", chars(10), nullable=False),
        sa.Column("route", words(120), nullable=False),
        sa.Column("version", words(10), nullable=False),
        sa.Column("caller", words(260), nullable=False),
        sa.Column("account_id", row_id(), nullable=False),
        sa.Column("uses", sa.BigInteger(), nullable=False),
        sa.Column("first_used_on", moment(), nullable=False),
        sa.Column("last_used_on", moment(), nullable=False),
        sa.Column("replacement", words(300), nullable=False),
        sa.UniqueConstraint(
            "day", "route", "caller", "account_id", name="uq_aether_legacy_use_day_route_caller_account_id"
        ),
        if_not_exists=True,
        **OPTIONS,
    )
    op.create_index("ix_aether_legacy_use_account_id", TABLE, ["account_id"], if_not_exists=True)


def downgrade() -> None:
    """Drop the table."""
    op.drop_table(TABLE)
