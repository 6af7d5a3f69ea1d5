"""The table of sign-ins, as `sql/sessions.py` speaks to it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from engine.sql.own import OPTIONS, chars, key_column, moment, row_id

revision = "r0002"
down_revision = "r0001"
branch_labels = None
depends_on = None

TABLE = "aether_refresh_token"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        TABLE,
        key_column(),
        sa.Column("family", chars(22), nullable=False, unique=True),
        sa.Column("family_hash", chars(64), nullable=False),
        sa.Column("token_hash", chars(64), nullable=False),
        sa.Column("user_id", row_id(), nullable=False),
        sa.Column("password_mark", chars(64), nullable=False),
        sa.Column("network", chars(64), nullable=False),
        sa.Column("created_on", moment(), nullable=False),
        sa.Column("used_on", moment()),
        sa.Column("expires_on", moment(), nullable=False),
        sa.Column("revoked_on", moment()),
        if_not_exists=True,
        **OPTIONS,
    )
    op.create_index("ix_aether_refresh_token_user_id", TABLE, ["user_id"], if_not_exists=True)


def downgrade() -> None:
    """Drop the table."""
    op.drop_table(TABLE)
