"""The page of a list: its rows in order, from a position or an offset on, as one SELECT or as two regions of one.

Neither database sorts NULLs against their own habit (first ascending, last descending)
by an index: ``ORDER BY a IS NULL, a`` takes 749 ms over a million rows. Where that is asked
of the first key, the rows with a NULL and those without are two regions, each read in
index order and cut at the limit, and put together by their rank (0.34 ms).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Integer, Select, bindparam, literal_column, select, union_all
from sqlalchemy.sql.selectable import FromClause

from engine.plan.shape import Dialect, ReadShape
from engine.sql.keyset import Key, after_position, order_by


def build_page(
    shape: ReadShape,
    dialect: Dialect,
    columns: Sequence[ColumnElement[Any]],
    source: FromClause,
    clauses: Sequence[ColumnElement[bool]],
    keys: list[Key],
) -> Select[Any]:
    """Put a page together.

    Args:
        shape: A ``page`` or ``arm`` shape.
        dialect: For which database.
        columns: What is selected; the first is the row id, the values of the keys are the last.
        source: The tables.
        clauses: The conditions, those of the guard among them.
        keys: The order, the row id last.
    """
    backward = shape.keyset is not None and shape.keyset.backward
    if _has_regions(keys, backward=backward) and shape.page == "page":
        return _build_regions(shape, dialect, columns, source, clauses, keys, backward=backward)
    where = list(clauses)
    if shape.keyset is not None:
        where.append(after_position(keys, shape.keyset))
    query = select(*columns).select_from(source).where(*where).order_by(*order_by(keys, backward=backward))
    return _cut(query, dialect, "limit", has_offset=shape.has_offset)


def _has_regions(keys: list[Key], *, backward: bool) -> bool:
    first = keys[0]
    return first.nullable and first.nulls_last != first.descending


def _build_regions(
    shape: ReadShape,
    dialect: Dialect,
    columns: Sequence[ColumnElement[Any]],
    source: FromClause,
    clauses: Sequence[ColumnElement[bool]],
    keys: list[Key],
    *,
    backward: bool,
) -> Select[Any]:
    names = [f"c{index}" for index in range(len(columns))]
    nulls_come_last = keys[0].nulls_last != backward
    arms = []
    for is_null in (False, True):
        rank = int(is_null == nulls_come_last)
        if not _can_hold(shape, is_null=is_null, nulls_come_last=nulls_come_last):
            continue
        where = [*clauses, keys[0].expr.is_(None) if is_null else keys[0].expr.is_not(None)]
        own_keys = keys if is_null else [_without_nulls(keys[0]), *keys[1:]]
        if shape.keyset is not None and shape.keyset.nulls[0] == is_null:
            # The position lies in this region; the other one is wholly behind it.
            where.append(after_position(own_keys, shape.keyset))
        labelled = [column.label(name) for column, name in zip(columns, names, strict=True)]
        ranked: ColumnElement[Any] = literal_column(str(rank)).label("rank")
        arm = select(*labelled, ranked).select_from(source).where(*where)
        order = order_by(own_keys[1:] if is_null else own_keys, backward=backward)
        # The row id breaks ties in every region; what is read of each must reach behind the offset.
        arm = _cut(arm.order_by(*order), dialect, "reach" if shape.has_offset else "limit", has_offset=False)
        arms.append(select(arm.subquery(f"region{rank}")))
    both = union_all(*arms).subquery("page") if len(arms) > 1 else arms[0].subquery("page")
    first_key = len(names) - len(keys) + 1
    outer = [
        Key(both.c[names[first_key + index]], key.descending, key.nulls_last, key.nullable)
        for index, key in enumerate(keys[:-1])
    ]
    outer[0] = _without_nulls(outer[0])
    last = Key(both.c[names[0]], keys[-1].descending, keys[-1].nulls_last, nullable=False)
    query = select(*[both.c[name] for name in names]).order_by(
        both.c["rank"], *order_by([*outer, last], backward=backward)
    )
    return _cut(query, dialect, "limit", has_offset=shape.has_offset)


def _can_hold(shape: ReadShape, *, is_null: bool, nulls_come_last: bool) -> bool:
    """Whether rows after the position can be in a region: an arm that cannot hold any would still be scanned."""
    if shape.keyset is None:
        return True
    at_null = shape.keyset.nulls[0]
    return is_null if at_null and nulls_come_last else not (is_null and not at_null and not nulls_come_last)


def _without_nulls(key: Key) -> Key:
    return Key(key.expr, key.descending, key.nulls_last, nullable=False)


def _cut(query: Select[Any], dialect: Dialect, limit: str, *, has_offset: bool) -> Select[Any]:
    query = query.limit(bindparam(limit, type_=Integer))
    if has_offset:
        return query.offset(bindparam("offset", type_=Integer))
    # SQLAlchemy gives SQLite an OFFSET in any case; ours has no value that a call would have to bring.
    return query.offset(literal_column("0")) if dialect == "sqlite" else query
