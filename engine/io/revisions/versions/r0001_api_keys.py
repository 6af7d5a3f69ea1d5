"""The table of API keys, as `sql/keys.py` speaks to it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeEngine

revision = "r0001"
down_revision = None
branch_labels = None
depends_on = None

TABLE = "aether_api_key"
_EXACT = {"charset": "utf8mb4", "collation": "utf8mb4_nopad_bin"}


def _row_id() -> TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _chars(size: int) -> TypeEngine[str]:
    return sa.CHAR(size).with_variant(mysql.CHAR(size, **_EXACT), "mysql", "mariadb")


def _moment() -> TypeEngine[str]:
    return sa.Text().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")


def _json() -> TypeEngine[str]:
    return sa.Text().with_variant(mysql.MEDIUMTEXT(**_EXACT), "mysql", "mariadb")


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        TABLE,
        sa.Column("id", _row_id(), primary_key=True, autoincrement=True),
        sa.Column("public_id", _chars(22), nullable=False, unique=True),
        sa.Column("secret_hash", _chars(64), nullable=False),
        sa.Column("account_id", _row_id()),
        sa.Column(
            "name", sa.String(200).with_variant(mysql.VARCHAR(200, **_EXACT), "mysql", "mariadb"), nullable=False
        ),
        sa.Column("scopes", _json(), nullable=False),
        sa.Column("roles", _json(), nullable=False),
        sa.Column("expires_on", _moment()),
        sa.Column("revoked_on", _moment()),
        sa.Column("last_used_on", _moment()),
        sa.Column("created_on", _moment(), nullable=False),
        if_not_exists=True,
        mysql_engine="InnoDB",
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_nopad_bin",
    )
    op.create_index("ix_aether_api_key_account_id", TABLE, ["account_id"], if_not_exists=True)


def downgrade() -> None:
    """Drop the table."""
    op.drop_table(TABLE)
