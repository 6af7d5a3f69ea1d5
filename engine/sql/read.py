"""Read shapes as statements: one function, memoised by shape, pure.

What a row of the answer holds, in this order: the row id, the version (NULL
where the type has none), the selection's columns as `plan/columns.py` lists
them, then the values of the order's keys. Where tables and conditions come from
is `sql/relations.py`'s business.

Names of the values: ``id`` the public id asked for, ``row_id``, ``parent`` the parent
row of an arm, ``chain0`` … the public ids of a nested path (nearest first), ``account0`` …,
``v0`` … the condition's, ``rule_…`` the row rules', ``k0`` … the cursor position's, ``limit``, ``offset``.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Select, bindparam, func, literal_column, null, select
from sqlalchemy.sql.elements import BindParameter
from sqlalchemy.sql.selectable import FromClause

from engine.errors import NotFound
from engine.operators import Subject, build_leaf
from engine.plan.columns import selection_columns
from engine.plan.shape import Const, Dialect, Link, Order, Path, ReadShape, Selection
from engine.registry.resource import Resource
from engine.sql.keyset import order_keys
from engine.sql.page import build_page
from engine.sql.relations import Scope, guard_clauses
from engine.sql.setting import Names, Setting
from engine.sql.statement import Statement, compile_statement

COUNT_CAP = 10_000


def build_read(shape: ReadShape, setting: Setting) -> Statement:
    """Compile the statement of a read shape.

    Args:
        shape: What is read.
        setting: Registry, tables, dialect and the caller whose rights key is the shape's.

    Raises:
        QueryTooComplex: The search joins too many tables.
    """
    names = Names(is_cut=shape.page in ("page", "arm"))
    build = _build_chain if shape.page == "chain" else _build_rows
    built = build(shape, setting, names)
    return compile_statement(built, setting.dialect, tuple(names.guarded))


def _build_rows(shape: ReadShape, setting: Setting, names: Names) -> Select[Any]:
    scope = Scope(setting, shape.type, names, deleted=shape.deleted, proven=_proven_parent(shape, setting))
    resource = scope.resource
    clauses = list(scope.guard)
    clauses.extend(join_chain(scope, shape.chain))
    if shape.condition != Const(True):
        clauses.append(scope.condition(shape.condition))
    if shape.page == "one":
        clauses.append(is_public_id(scope.root, resource, bindparam("id"), setting.dialect))
    elif shape.page == "key":
        clauses.append(scope.root.c[resource.key] == bindparam("row_id"))
    elif shape.page == "arm":
        clauses.append(_via_column(scope, shape) == bindparam("parent"))
    if shape.page in ("count", "capped"):
        return _count(scope, clauses, is_capped=shape.page == "capped")
    columns = [*leading_columns(scope), *select_columns(scope, shape.selection)]
    if shape.page in ("one", "key"):
        return select(*columns).select_from(scope.source).where(*clauses)
    orders = [_order_exprs(scope, key, f"k{index}") for index, key in enumerate(shape.order)]
    keys = order_keys(shape.order, [key for key, _ in orders], scope.root.c[resource.key])
    columns.extend([_via_column(scope, shape)] if shape.page == "arm" else [kept for _, kept in orders])
    return build_page(shape, setting.dialect, columns, scope.source, clauses, keys)


def _build_chain(shape: ReadShape, setting: Setting, names: Names) -> Select[Any]:
    nearest, *rest = shape.chain
    scope = Scope(setting, nearest.type, names)
    clauses = list(scope.guard)
    clauses.append(is_public_id(scope.root, scope.resource, bindparam("chain0"), setting.dialect))
    clauses.extend(join_chain(scope, tuple(rest), first=1))
    return select(*leading_columns(scope)).select_from(scope.source).where(*clauses)


def _proven_parent(shape: ReadShape, setting: Setting) -> str | None:
    """The parent that the path names, or whose children are read: it is guarded by itself."""
    if shape.chain:
        return shape.chain[0].field
    is_child = any(parent.field == shape.via for parent in setting.registry.types[shape.type].parents)
    return shape.via if is_child else None


# ---------------------------------------------------------------- parts that writes use too


def leading_columns(scope: Scope) -> list[ColumnElement[Any]]:
    """The row id and the version of the root's row."""
    version = scope.resource.version
    return [scope.root.c[scope.resource.key], scope.root.c[version] if version else null()]


def select_columns(scope: Scope, selection: Selection) -> list[ColumnElement[Any]]:
    """The columns of a selection over a scope, in the order of `selection_columns`."""
    columns: list[ColumnElement[Any]] = []
    for selected in selection_columns(scope.setting.registry, selection):
        if selected.field is None:
            columns.append(scope.row_id(selected.hops))
        else:
            columns.append(scope.shown(Path(selected.hops, selected.field.name)))
    return columns


def is_public_id(
    table: FromClause, resource: Resource, bind: BindParameter[Any], dialect: Dialect
) -> ColumnElement[bool]:
    """Whether a row has exactly this public id, whatever the column's collation."""
    if resource.public_id is None:
        raise NotFound("There is nothing here.")
    subject = Subject(table.c[resource.public_id], resource.fields["id"], None, None, dialect)
    return build_leaf("eq", subject, [bind], negated=False, variant="")


def join_chain(scope: Scope, chain: tuple[Link, ...], first: int = 0) -> list[ColumnElement[bool]]:
    """Join the parents of a nested path, each with its guard, and require their public ids ``chain0`` …"""
    clauses: list[ColumnElement[bool]] = []
    below: FromClause = scope.root
    below_resource = scope.resource
    hops: tuple[str, ...] = ()
    for index, link in enumerate(chain, start=first):
        above = scope.setting.registry.types[link.type]
        table = scope.setting.tables[link.type].alias(scope.names.next_alias())
        on = table.c[above.key] == below.c[below_resource.fields[link.field].column or ""]
        scope.source = scope.source.join(table, on)
        clauses.extend(guard_clauses(scope, table, above))
        clauses.append(is_public_id(table, above, bindparam(f"chain{index}"), scope.setting.dialect))
        hops = (*hops, below_resource.fields[link.field].relation or "")
        scope.reuse(hops, table)
        below, below_resource = table, above
    return clauses


# ---------------------------------------------------------------- private


def _count(scope: Scope, clauses: list[ColumnElement[bool]], *, is_capped: bool) -> Select[Any]:
    if not is_capped:
        return select(func.count()).select_from(scope.source).where(*clauses)
    found: Select[Any] = select(literal_column("1").label("one")).select_from(scope.source).where(*clauses)
    found = found.limit(literal_column(str(COUNT_CAP + 1)))
    if scope.setting.dialect == "sqlite":
        # See `sql/page.py`: SQLAlchemy would give it an OFFSET with a value of its own.
        found = found.offset(literal_column("0"))
    return select(func.count()).select_from(found.subquery("capped"))


def _order_exprs(scope: Scope, key: Order, name: str) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    """What is sorted by, and what a cursor keeps of it."""
    if key.is_count:
        # By its label, so that the database counts once and not again to sort.
        counted = scope.count_of(key.path.hops, key.path.field).label(name)
        return counted, counted
    return scope.order(key.path)


def _via_column(scope: Scope, shape: ReadShape) -> ColumnElement[Any]:
    return scope.root.c[scope.resource.fields[shape.via or ""].column or ""]
