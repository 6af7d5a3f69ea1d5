"""The engine's own table of idempotency keys: which call came with which, and what it was answered."""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, UniqueConstraint

from engine.sql.own import chars, key_column, long_text, moment, own_table

IDEMPOTENCY_KEYS = own_table(
    "aether_idempotency",
    key_column(),
    Column("caller", chars(64), nullable=False),  # SHA-256 of who calls, hexadecimal
    Column("key_hash", chars(64), nullable=False),  # SHA-256 of the key
    Column("request_hash", chars(64)),  # SHA-256 of the call and its body; NULL as long as it is not known
    Column("status", Integer()),  # of the saved reply; NULL: the call is still running
    Column("reply", long_text()),
    Column("created_on", moment(), nullable=False),
    Column("expires_on", moment(), nullable=False),
    UniqueConstraint("caller", "key_hash", name="uq_aether_idempotency_caller_key_hash"),
    Index("ix_aether_idempotency_expires_on", "expires_on"),
)
