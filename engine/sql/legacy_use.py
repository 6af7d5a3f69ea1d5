"""The engine's own table of the uses of old routes, counted by day, route and caller."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, UniqueConstraint

from engine.sql.own import chars, key_column, moment, own_table, row_id, words

LEGACY_USES = own_table(
    "aether_legacy_use",
    key_column(),
    Column("day", chars(10), nullable=False),  # YYYY-MM-DD, UTC
    Column("route", words(120), nullable=False),
    Column("version", words(10), nullable=False),
    Column("caller", words(120), nullable=False),
    Column("account_id", row_id()),  # row id of the caller's account; NULL: none, or several
    Column("uses", BigInteger(), nullable=False),
    Column("first_used_on", moment(), nullable=False),
    Column("last_used_on", moment(), nullable=False),
    Column("replacement", words(300), nullable=False),
    UniqueConstraint("day", "route", "caller", name="uq_aether_legacy_use_day_route_caller"),
    Index("ix_aether_legacy_use_route_last_used_on", "route", "last_used_on"),
)
