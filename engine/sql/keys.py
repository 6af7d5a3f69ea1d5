"""The engine's own table of API keys, and the statements over it.

What a key is and how one is verified is `auth/keys.py`'s business.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import Column, ColumnElement, Index, and_, bindparam, column, insert, null, or_, select, table, update
from sqlalchemy.sql.selectable import FromClause

from engine.plan.shape import Dialect
from engine.registry.resource import Resource
from engine.sql.own import chars, key_column, long_text, moment, own_table, row_id, words
from engine.sql.statement import Statement, compile_statement

API_KEYS = own_table(
    "aether_api_key",
    key_column(),
    Column("public_id", chars(22), nullable=False, unique=True),  # the key's prefix
    Column("secret_hash", chars(64), nullable=False),  # SHA-256 of the secret, hexadecimal
    Column("account_id", row_id()),  # NULL: the key belongs to no account
    Column("name", words(200), nullable=False),
    Column("scopes", long_text(), nullable=False),
    Column("roles", long_text(), nullable=False),
    Column("expires_on", moment()),
    Column("revoked_on", moment()),
    Column("last_used_on", moment()),
    Column("created_on", moment(), nullable=False),
    Index("ix_aether_api_key_account_id", "account_id"),
)

NEW_COLUMNS = ("public_id", "secret_hash", "account_id", "name", "scopes", "roles", "expires_on", "created_on")
LISTED_COLUMNS = ("public_id", "name", "scopes", "roles", "expires_on", "revoked_on", "last_used_on", "created_on")

_KEY = API_KEYS.c


def select_key(account: Resource | None, dialect: Dialect) -> Statement:
    """A key by its prefix, with the account it belongs to.

    Args:
        account: The account type, or None where the registry has none.
        dialect: For which database.

    Returns:
        A statement with the bind ``prefix``. Its columns: row id, prefix, secret_hash, account_id, the account's public
        id (NULL where the account is gone), scopes, roles, expires_on, revoked_on, last_used_on.
    """
    public, source = _join_account(account)
    columns = (_KEY.scopes, _KEY.roles, _KEY.expires_on, _KEY.revoked_on, _KEY.last_used_on)
    chosen = select(_KEY.id, _KEY.public_id, _KEY.secret_hash, _KEY.account_id, public, *columns)
    return compile_statement(chosen.select_from(source).where(_KEY.public_id == bindparam("prefix")), dialect)


@cache
def insert_key(dialect: Dialect) -> Statement:
    """A new key; the binds are ``new_`` and the column, for each of `NEW_COLUMNS`."""
    return compile_statement(insert(API_KEYS).values({name: bindparam(f"new_{name}") for name in NEW_COLUMNS}), dialect)


def select_keys(account: Resource | None, dialect: Dialect, *, all_accounts: bool) -> Statement:
    """Keys, oldest first: `LISTED_COLUMNS`, then the account's public id.

    All of them, or those of the account whose row id is the bind ``account``.
    """
    public, source = _join_account(account)
    chosen = select(*(_KEY[name] for name in LISTED_COLUMNS), public).select_from(source).order_by(_KEY.id)
    return compile_statement(chosen if all_accounts else chosen.where(_KEY.account_id == bindparam("account")), dialect)


@cache
def update_revoked(dialect: Dialect, *, any_account: bool) -> Statement:
    """Revoke the key with the bind ``prefix``, of ``account`` unless it may be of any; the moment is ``moment``."""
    change = update(API_KEYS).values(revoked_on=bindparam("moment")).where(_KEY.public_id == bindparam("prefix"))
    change = change.where(_KEY.revoked_on.is_(None))
    return compile_statement(change if any_account else change.where(_KEY.account_id == bindparam("account")), dialect)


@cache
def update_last_used(dialect: Dialect) -> Statement:
    """Record the last use of the key with the row id ``key``, unless one later than ``before`` is recorded."""
    change = update(API_KEYS).values(last_used_on=bindparam("moment")).where(_KEY.id == bindparam("key"))
    is_older = or_(_KEY.last_used_on.is_(None), _KEY.last_used_on <= bindparam("before"))
    return compile_statement(change.where(is_older), dialect)


def _join_account(account: Resource | None) -> tuple[ColumnElement[Any], FromClause]:
    """The column with the account's public id, and the keys joined to accounts that are there."""
    if account is None or account.public_id is None:
        return null().label("account"), API_KEYS
    wanted = (account.key, account.public_id, account.soft_delete)
    accounts = table(account.table, *(column(name) for name in dict.fromkeys(wanted) if name is not None)).alias("a")
    on = _KEY.account_id == accounts.c[account.key]
    if account.soft_delete:
        on = and_(on, accounts.c[account.soft_delete].is_(None))
    return accounts.c[account.public_id], API_KEYS.outerjoin(accounts, on)
