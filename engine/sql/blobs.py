"""Which bytes have rows: statements over the digests of every type that is a file (``file:``), for the clean-up.

They ask for all accounts at once, and for deleted rows too: a row that can come back needs its bytes. So they have no
account condition, and nothing but digests leaves them; nobody but `aether gc` may run them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import Table, bindparam, delete, literal_column, select

from engine.plan.shape import Dialect
from engine.registry.resource import Registry
from engine.sql.idempotency import IDEMPOTENCY_KEYS
from engine.sql.sessions import REFRESH_TOKENS
from engine.sql.setting import stored_name
from engine.sql.statement import Statement, compile_statement
from engine.tables import Tables

ASKED = 200
"""How many digests one statement asks for."""
LISTED = 1_000
"""How many rows one statement lists or deletes."""
EXPIRING: Mapping[str, Table] = {table.name: table for table in (IDEMPOTENCY_KEYS, REFRESH_TOKENS)}
"""The engine's own tables whose rows have an ``expires_on`` after which they mean nothing."""


@dataclass(frozen=True, slots=True)
class DigestColumn:
    """Where a type keeps the digests of its files.

    Attributes:
        type: The type's name.
        known: Of ``d0`` … ``d{2 * ASKED - 1}``, the digests that rows have.
        listed: At most `LISTED` different digests after the bind ``after``, in order.
    """

    type: str
    known: Statement
    listed: Statement


def digest_columns(registry: Registry, tables: Tables, dialect: Dialect) -> tuple[DigestColumn, ...]:
    """Where digests stand: one for each table and column, whichever types share it."""
    found: dict[tuple[str, str], DigestColumn] = {}
    for resource in registry.types.values():
        if resource.file is None:
            continue
        name = stored_name(resource, resource.file.digest)
        column = tables[resource.name].c[name]
        asked: list[Any] = [bindparam(f"d{number}") for number in range(2 * ASKED)]
        known = select(column).distinct().where(column.in_(asked))
        listed = select(column).distinct().where(column > bindparam("after")).order_by(column)
        found[resource.table, name] = DigestColumn(
            resource.name,
            compile_statement(known, dialect),
            compile_statement(listed.limit(literal_column(str(LISTED))).offset(literal_column("0")), dialect),
        )
    return tuple(found.values())


@cache
def select_expired(table: str, dialect: Dialect) -> Statement:
    """Row ids after ``after`` of at most `LISTED` rows that ended before ``moment``, in order."""
    source = EXPIRING[table]
    chosen = select(source.c.id).where(source.c.id > bindparam("after"), source.c.expires_on < bindparam("moment"))
    return compile_statement(
        chosen.order_by(source.c.id).limit(literal_column(str(LISTED))).offset(literal_column("0")), dialect
    )


@cache
def delete_expired(table: str, dialect: Dialect) -> Statement:
    """Delete the rows from ``first`` to ``last`` that ended before ``moment``."""
    source = EXPIRING[table]
    gone = delete(source).where(
        source.c.id.between(bindparam("first"), bindparam("last")), source.c.expires_on < bindparam("moment")
    )
    return compile_statement(gone, dialect)
