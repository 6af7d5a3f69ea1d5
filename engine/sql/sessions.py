"""The engine's own table of sign-ins, and the statements over it: each row is one, with its present refresh token.

The migration that makes the table is in the revision chain; a test compares the two. What a refresh token is and when
one holds is `auth/sessions.py`'s business.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import Column, Index, and_, bindparam, delete, insert, literal_column, select, update

from engine.plan.shape import Dialect
from engine.sql.own import chars, key_column, moment, own_table, row_id
from engine.sql.statement import Statement, compile_statement
from engine.sql.users import PersonSource

REFRESH_TOKENS = own_table(
    "aether_refresh_token",
    key_column(),
    Column("family", chars(22), nullable=False, unique=True),  # public id of the sign-in; stands in its access tokens
    Column("family_hash", chars(64), nullable=False),  # SHA-256 of what all its refresh tokens share, hexadecimal
    Column("token_hash", chars(64), nullable=False),  # SHA-256 of what only the present one has
    Column("user_id", row_id(), nullable=False),  # row id of the user
    Column("password_mark", chars(64), nullable=False),  # SHA-256 of the user's stored password at the time
    Column("network", chars(64), nullable=False),  # SHA-256 of the address that signed in
    Column("created_on", moment(), nullable=False),
    Column("used_on", moment()),  # when the present token took the place of another
    Column("expires_on", moment(), nullable=False),
    Column("revoked_on", moment()),
    Index("ix_aether_refresh_token_user_id", "user_id"),
)

NEW_COLUMNS = ("family", "family_hash", "token_hash", "user_id", "password_mark", "network", "created_on", "expires_on")
SESSION_COLUMNS = ("family", "family_hash", "token_hash", "user_id", "password_mark", "expires_on", "revoked_on")

_ROW = REFRESH_TOKENS.c


def select_sessions(people: PersonSource, width: int, dialect: Dialect) -> Statement:
    """Sign-ins, each with the user it belongs to: `SESSION_COLUMNS`, then `users.PERSON_COLUMNS`.

    There is no row where the user is gone for good.

    Args:
        people: Where users are read from.
        width: How many are asked for, by the binds ``family0`` ….
        dialect: For which database.
    """
    source = REFRESH_TOKENS.join(people.table, _ROW.user_id == people.key)
    chosen = select(*(_ROW[name] for name in SESSION_COLUMNS), *people.columns)
    chosen = chosen.select_from(people.join_account(source))
    wanted = _ROW.family.in_([bindparam(f"family{index}") for index in range(width)])
    return compile_statement(chosen.where(wanted), dialect)


@cache
def insert_session(dialect: Dialect) -> Statement:
    """A new sign-in; the binds are ``new_`` and the column, for each of `NEW_COLUMNS`."""
    values: dict[str, Any] = {name: bindparam(f"new_{name}") for name in NEW_COLUMNS}
    return compile_statement(insert(REFRESH_TOKENS).values(values), dialect)


@cache
def update_token(dialect: Dialect) -> Statement:
    """Put the token ``new_hash`` in the place of ``old_hash``, where that is still the present one of ``family``."""
    is_present = and_(
        _ROW.family == bindparam("family"),
        _ROW.token_hash == bindparam("old_hash"),
        _ROW.revoked_on.is_(None),
    )
    change = update(REFRESH_TOKENS).where(is_present)
    change = change.values(
        token_hash=bindparam("new_hash"), used_on=bindparam("moment"), expires_on=bindparam("expires")
    )
    return compile_statement(change, dialect)


@cache
def update_revoked(dialect: Dialect) -> Statement:
    """Revoke the sign-in ``family`` at ``moment``, unless it is revoked already."""
    change = update(REFRESH_TOKENS).values(revoked_on=bindparam("moment"))
    return compile_statement(change.where(_ROW.family == bindparam("family"), _ROW.revoked_on.is_(None)), dialect)


@cache
def update_marks(dialect: Dialect) -> Statement:
    """Let the sign-ins of ``user`` go on under ``new_mark`` that were made under ``old_mark``."""
    change = update(REFRESH_TOKENS).values(password_mark=bindparam("new_mark"))
    is_of = and_(_ROW.user_id == bindparam("user"), _ROW.password_mark == bindparam("old_mark"))
    return compile_statement(change.where(is_of), dialect)


@cache
def delete_ended(dialect: Dialect) -> Statement:
    """Forget the sign-ins of ``user`` that ended before ``before``."""
    gone = delete(REFRESH_TOKENS).where(_ROW.user_id == bindparam("user"), _ROW.expires_on < bindparam("before"))
    return compile_statement(gone, dialect)


@cache
def select_network(dialect: Dialect, width: int) -> Statement:
    """Whether one of the users ``user0`` … has signed in from ``network``: a row if so."""
    users: list[Any] = [bindparam(f"user{index}") for index in range(width)]
    found = select(_ROW.id).where(_ROW.user_id.in_(users), _ROW.network == bindparam("network"))
    return compile_statement(found.limit(literal_column("1")).offset(literal_column("0")), dialect)
