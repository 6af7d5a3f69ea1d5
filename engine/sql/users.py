"""The statements by which authentication looks at rows: the user's, and the accounts'.

They read a few columns of the registry's user and account types and nothing else, before
there is a caller whose account could narrow them. Whether the answer is a 401 is
`auth/gate.py`'s business. Public ids are read back, to be compared in Python: a column's
collation may fold case.
"""

from __future__ import annotations

from sqlalchemy import bindparam, column, null, select, table
from sqlalchemy.sql.expression import TableClause

from engine.plan.shape import Dialect
from engine.registry.resource import Resource
from engine.sql.statement import Statement, compile_statement

ENABLE_FIELD = "enable"


def select_user(user: Resource, dialect: Dialect) -> Statement | None:
    """The row of a user by its public id.

    Args:
        user: The type whose rows are people.
        dialect: For which database.

    Returns:
        A statement with the bind ``user``, or None where the type has no public ids yet. Its columns: row id, public
        id, the `enable` column (NULL where there is none), the time of its deletion (NULL where it is alive).
    """
    if user.public_id is None:
        return None
    field = user.fields.get(ENABLE_FIELD)
    enable = field.column if field is not None and field.kind == "boolean" else None
    people = _table_of(user, enable)
    chosen = select(
        people.c[user.key],
        people.c[user.public_id],
        people.c[enable] if enable is not None else null().label("enable"),
        people.c[user.soft_delete] if user.soft_delete is not None else null().label("deleted"),
    )
    return compile_statement(chosen.where(people.c[user.public_id] == bindparam("user")), dialect)


def select_accounts(account: Resource, width: int, dialect: Dialect) -> Statement | None:
    """The rows of accounts by their public ids, without deleted ones.

    Args:
        account: The type whose rows are accounts.
        width: How many ids are asked for.
        dialect: For which database.

    Returns:
        A statement with the binds ``account0`` …, or None where the type has no public ids yet. Its columns: row id,
        public id.
    """
    if account.public_id is None:
        return None
    rows = _table_of(account)
    wanted = rows.c[account.public_id].in_([bindparam(f"account{index}") for index in range(width)])
    chosen = select(rows.c[account.key], rows.c[account.public_id]).where(wanted)
    if account.soft_delete is not None:
        chosen = chosen.where(rows.c[account.soft_delete].is_(None))
    return compile_statement(chosen, dialect)


def _table_of(resource: Resource, *more: str | None) -> TableClause:
    wanted = (resource.key, resource.public_id, resource.soft_delete, *more)
    return table(resource.table, *(column(name) for name in dict.fromkeys(wanted) if name is not None))
