"""The engine's own table of refresh tokens: each row is one token of one sign-in (its family)."""

from __future__ import annotations

from sqlalchemy import Column, Index

from engine.sql.own import chars, key_column, moment, own_table, row_id

REFRESH_TOKENS = own_table(
    "aether_refresh_token",
    key_column(),
    Column("token_hash", chars(64), nullable=False, unique=True),  # SHA-256 of the token, hexadecimal
    Column("family", chars(22), nullable=False),  # the sign-in that all its successors share
    Column("user_id", row_id(), nullable=False),  # row id of the user
    Column("created_on", moment(), nullable=False),
    Column("expires_on", moment(), nullable=False),
    Column("used_on", moment()),  # when it was exchanged for its successor
    Column("revoked_on", moment()),
    Index("ix_aether_refresh_token_family", "family"),
    Index("ix_aether_refresh_token_user_id", "user_id"),
    Index("ix_aether_refresh_token_expires_on", "expires_on"),
)
