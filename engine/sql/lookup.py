"""The statement that finds the row of a public id, for the resolver.

It is the one statement without an account condition: it answers whose the row is,
and whoever uses the answer has to compare. Soft-deleted rows are not found.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, bindparam, null, select

from engine.plan.shape import Dialect
from engine.registry.resource import Registry
from engine.sql.read import is_public_id
from engine.sql.statement import compile_statement
from engine.tables import Tables


def make_lookup(registry: Registry, tables: Tables, dialect: Dialect) -> Callable[[str], tuple[str, int]]:
    """A function from a type's name to its look-up statement and how often that binds the id.

    Args:
        registry: The running registry.
        tables: Its tables.
        dialect: For which database.
    """

    @cache
    def look_up(type_name: str) -> tuple[str, int]:
        resource = registry.types[type_name]
        table = tables[type_name]
        account: ColumnElement[Any] = null()
        if resource.account.kind == "self":
            account = table.c[resource.key]
        elif resource.account.column is not None:
            account = table.c[resource.account.column]
        clauses = [is_public_id(table, resource, bindparam("id"), dialect)]
        if resource.soft_delete is not None:
            clauses.append(table.c[resource.soft_delete].is_(None))
        found = select(table.c[resource.key], account, table.c[resource.public_id or ""]).where(*clauses)
        statement = compile_statement(found, dialect)
        return statement.text, len(statement.binds)

    return look_up
