"""Orders and keyset positions as SQL: which keys a page is sorted by, and the rows after a position.

For each key of the order the page's statement also selects the key's value, so
that a cursor is made of what the database compared and never recomputed. The clause
has the form ``a <= x AND (a < x OR (a = x AND b < y))``. For ``(a, b) < (x, y)`` MariaDB
scans; without the ``a = x`` it reads every row that shares x's place, since it pushes no
condition into an index that it reads backwards; SQLite needs the first part.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, false, or_

from engine.plan.shape import Keyset, Order


@dataclass(frozen=True, slots=True)
class Key:
    """One key of an order over a statement's expression; the row id is the last, never NULL."""

    expr: ColumnElement[object]
    descending: bool
    nulls_last: bool
    nullable: bool


def order_keys(
    order: tuple[Order, ...], exprs: list[ColumnElement[object]], row_id: ColumnElement[object]
) -> list[Key]:
    """Pair an order with its expressions and add the row id, in the last key's direction (newest first if none)."""
    keys = [Key(expr, key.descending, key.nulls_last, key.nullable) for key, expr in zip(order, exprs, strict=True)]
    descending = keys[-1].descending if keys else True
    return [*keys, Key(row_id, descending, nulls_last=descending, nullable=False)]


def order_by(keys: list[Key], *, backward: bool = False) -> list[ColumnElement[Any]]:
    """The ORDER BY of keys, reversed for a page before a position.

    Both databases put NULL first ascending and last descending, so only another wish needs a clause.
    """
    clauses: list[ColumnElement[Any]] = []
    for key in keys:
        descending = key.descending != backward
        nulls_last = key.nulls_last != backward
        if key.nullable and nulls_last != descending:
            is_null = key.expr.is_(None)
            clauses.append(is_null.asc() if nulls_last else is_null.desc())
        clauses.append(key.expr.desc() if descending else key.expr.asc())
    return clauses


def after_position(keys: list[Key], keyset: Keyset) -> ColumnElement[bool]:
    """The rows after (or before, if backward) the position whose values are bound as ``k0 … kN``, ``kN`` the row id."""
    nulls = (*keyset.nulls, False)
    clause: ColumnElement[bool] = false()
    for index in range(len(keys) - 1, -1, -1):
        key = keys[index]
        is_last = index == len(keys) - 1
        beyond, at = _compare(key, bindparam(f"k{index}"), is_null=nulls[index], backward=keyset.backward)
        if is_last:
            clause = beyond
        elif at is None:
            clause = or_(beyond, and_(key.expr.is_(None), clause))
        else:
            clause = and_(at, or_(beyond, and_(key.expr == bindparam(f"k{index}"), clause)))
    return clause


def _compare(
    key: Key, bind: ColumnElement[object], *, is_null: bool, backward: bool
) -> tuple[ColumnElement[bool], ColumnElement[bool] | None]:
    """What is strictly beyond the position in one key, and what is beyond or level with it (None: level is IS NULL)."""
    descending = key.descending != backward
    nulls_last = key.nulls_last != backward
    if is_null:
        return (false() if nulls_last else key.expr.is_not(None)), None
    beyond = key.expr < bind if descending else key.expr > bind
    level = key.expr <= bind if descending else key.expr >= bind
    if key.nullable and nulls_last:
        return or_(beyond, key.expr.is_(None)), or_(level, key.expr.is_(None))
    return beyond, level
