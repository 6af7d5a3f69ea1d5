"""The engine's own table of idempotency keys: which call came with which, and what it was answered.

What a claim is and when it ends is `http/once.py`'s business.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Index,
    Integer,
    UniqueConstraint,
    and_,
    bindparam,
    delete,
    insert,
    null,
    select,
    update,
)

from engine.plan.shape import Dialect
from engine.sql.own import chars, key_column, long_text, moment, own_table
from engine.sql.statement import Statement, compile_statement

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

NEW_COLUMNS = ("caller", "key_hash", "created_on", "expires_on")
KEY_COLUMNS = ("request_hash", "status", "reply", "expires_on")

_ROW = IDEMPOTENCY_KEYS.c


@cache
def select_key(dialect: Dialect) -> Statement:
    """What is known of ``key`` of ``who``: `KEY_COLUMNS`."""
    return compile_statement(select(*(_ROW[name] for name in KEY_COLUMNS)).where(_is_key()), dialect)


@cache
def insert_claim(dialect: Dialect) -> Statement:
    """A call begins; the binds are ``new_`` and the column, for each of `NEW_COLUMNS`."""
    values: dict[str, Any] = {name: bindparam(f"new_{name}") for name in NEW_COLUMNS}
    return compile_statement(insert(IDEMPOTENCY_KEYS).values(values), dialect)


@cache
def update_claim(dialect: Dialect) -> Statement:
    """A call begins with a key whose row has expired at ``moment``: it is its own until ``expires``."""
    change = update(IDEMPOTENCY_KEYS).where(_is_key(), _ROW.expires_on <= bindparam("moment"))
    values: dict[str, Any] = {"created_on": bindparam("claim"), "expires_on": bindparam("expires")}
    nothing: dict[str, Any] = {"request_hash": null(), "status": null(), "reply": null()}
    return compile_statement(change.values({**values, **nothing}), dialect)


@cache
def update_lease(dialect: Dialect) -> Statement:
    """The call that began at ``claim`` is still running: until ``expires``."""
    change = update(IDEMPOTENCY_KEYS).where(_is_claim()).values(expires_on=bindparam("expires"))
    return compile_statement(change, dialect)


@cache
def update_done(dialect: Dialect) -> Statement:
    """The call that began at ``claim`` is done: ``hash``, ``code`` and ``reply`` are kept until ``expires``."""
    change = update(IDEMPOTENCY_KEYS).where(_is_claim())
    change = change.values(
        request_hash=bindparam("hash"),
        status=bindparam("code"),
        reply=bindparam("answer"),
        expires_on=bindparam("expires"),
    )
    return compile_statement(change, dialect)


@cache
def delete_claim(dialect: Dialect) -> Statement:
    """The call that began at ``claim`` was refused: its key is free again."""
    return compile_statement(delete(IDEMPOTENCY_KEYS).where(_is_claim()), dialect)


@cache
def delete_expired(dialect: Dialect) -> Statement:
    """Forget what has expired before ``moment``."""
    return compile_statement(delete(IDEMPOTENCY_KEYS).where(_ROW.expires_on <= bindparam("moment")), dialect)


def _is_key() -> ColumnElement[bool]:
    return and_(_ROW.caller == bindparam("who"), _ROW.key_hash == bindparam("key"))


def _is_claim() -> ColumnElement[bool]:
    """A claim is told from others of its key by when it was made, to the microsecond."""
    return and_(_is_key(), _ROW.created_on == bindparam("claim"), _ROW.status.is_(None))
