"""The engine's own table of the uses of old routes, counted by day, route, caller and account, and what is asked of it.

What a use is, and how uses are gathered before they are counted here, is the business of `io/uses.py`. One row is no
count: the one with an empty route, whose day is the first on which uses were counted at all.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    UniqueConstraint,
    and_,
    bindparam,
    delete,
    distinct,
    func,
    literal_column,
    or_,
    select,
)
from sqlalchemy.dialects import mysql, sqlite
from sqlalchemy.sql.elements import ClauseElement, ColumnElement

from engine.plan.shape import Dialect
from engine.sql.own import chars, key_column, moment, own_table, row_id, words
from engine.sql.statement import Statement, compile_statement

NO_ACCOUNT = 0
_NO_ACCOUNT: ColumnElement[int] = literal_column("0")
_NO_ROUTE: ColumnElement[str] = literal_column("''")

LEGACY_USES = own_table(
    "aether_legacy_use",
    key_column(),
    Column("day", chars(10), nullable=False),  # YYYY-MM-DD, UTC
    Column("route", words(120), nullable=False),
    Column("version", words(10), nullable=False),
    Column("caller", words(260), nullable=False),
    Column("account_id", row_id(), nullable=False),  # row id of the caller's account; 0: none, or several
    Column("uses", BigInteger(), nullable=False),
    Column("first_used_on", moment(), nullable=False),
    Column("last_used_on", moment(), nullable=False),
    Column("replacement", words(300), nullable=False),
    UniqueConstraint("day", "route", "caller", "account_id", name="uq_aether_legacy_use_day_route_caller_account_id"),
    Index("ix_aether_legacy_use_account_id", "account_id"),
)

_USE = LEGACY_USES.c
_KEY = ("day", "route", "caller", "account_id")
COLUMNS = (*_KEY, "version", "uses", "first_used_on", "last_used_on", "replacement")


@cache
def add_uses(dialect: Dialect) -> Statement:
    """Count uses: a new row, or more of one that is there. The binds are ``new_`` and the column, for `COLUMNS`."""
    values: dict[str, Any] = {name: bindparam(f"new_{name}") for name in COLUMNS}
    if dialect == "mariadb":
        made = mysql.insert(LEGACY_USES).values(values)
        return compile_statement(made.on_duplicate_key_update(_added(made.inserted, dialect)), dialect)
    put = sqlite.insert(LEGACY_USES).values(values)
    return compile_statement(
        put.on_conflict_do_update(index_elements=_KEY, set_=_added(put.excluded, dialect)), dialect
    )


@cache
def select_beginning(dialect: Dialect) -> Statement:
    """The first day on which uses were counted; NULL where they never were."""
    return compile_statement(select(func.min(_USE.day)).where(_USE.route == _NO_ROUTE), dialect)


@cache
def forget_uses(dialect: Dialect) -> Statement:
    """Forget the uses of days before ``kept_from``; since when uses are counted stays known."""
    gone = delete(LEGACY_USES).where(_USE.route != _NO_ROUTE, _USE.day < bindparam("kept_from"))
    return compile_statement(gone, dialect)


def select_uses(dialect: Dialect, *, accounts: int | None) -> Statement:
    """Uses added up over days, the latest first.

    Args:
        dialect: For which database.
        accounts: Of how many accounts (binds ``account_0`` …) and of the caller ``me`` himself where he has none or
            several; None = all there are.

    Returns:
        A statement with the binds ``most`` and ``skipped``. Its columns: route, version, caller, uses, first and last
        moment, replacement.
    """
    chosen = _sums(_USE.route, _USE.version, _USE.caller).where(_USE.route != _NO_ROUTE)
    if accounts is not None:
        own = and_(_USE.account_id == _NO_ACCOUNT, _USE.caller == bindparam("me"))
        listed = _USE.account_id.in_([bindparam(f"account_{index}") for index in range(accounts)])
        chosen = chosen.where(or_(own, listed) if accounts else own)
    return compile_statement(chosen.limit(bindparam("most")).offset(bindparam("skipped")), dialect)


@cache
def select_totals(dialect: Dialect) -> Statement:
    """Uses added up over days and callers: route, version, number of callers, uses, first and last moment."""
    callers = func.count(distinct(_USE.caller))
    chosen = select(_USE.route, _USE.version, callers, func.sum(_USE.uses), *_moments()).where(_USE.route != _NO_ROUTE)
    return compile_statement(chosen.group_by(_USE.route, _USE.version), dialect)


# ---------------------------------------------------------------- private


def _moments() -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    return func.min(_USE.first_used_on), func.max(_USE.last_used_on)


def _sums(*keys: ColumnElement[Any]) -> Any:
    first, last = _moments()
    sums = select(*keys, func.sum(_USE.uses), first, last, func.max(_USE.replacement)).group_by(*keys)
    return sums.order_by(last.desc(), *keys)


def _added(new: Any, dialect: Dialect) -> dict[str, ClauseElement]:
    least, most = (func.least, func.greatest) if dialect == "mariadb" else (func.min, func.max)
    return {
        "uses": _USE.uses + new.uses,
        "first_used_on": least(_USE.first_used_on, new.first_used_on),
        "last_used_on": most(_USE.last_used_on, new.last_used_on),
    }
