"""Statements of live changes: rows as they are, whole; and a subscription's search over a row that is given by value.

To say whether a row belonged to an answer before a change, the search is asked of the row's image: the statement is
the one of a read, with all its guards and operators, but its root is a table of one or two rows made of binds. So
there is one meaning of every operator and one place for every guard, here as elsewhere.

A row of the answer holds first which image it is of (0 = before, 1 = after), then what a read holds.
Names of the values: ``b0_…`` and ``b1_…`` are the columns of the images, ``which`` the only image's number,
``parent`` the row id of a bound parent; the others as in `sql/read.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, bindparam, literal_column, select, union_all
from sqlalchemy.sql.selectable import FromClause

from engine.operators import as_double
from engine.operators.fragment import sql
from engine.plan.shape import Const, ReadShape
from engine.plan.write import ImageShape
from engine.registry.resource import Field, Registry
from engine.sql.read import leading_columns, select_columns
from engine.sql.relations import Scope, account_clauses
from engine.sql.setting import Names, Setting
from engine.sql.statement import Statement, compile_statement

WHICH = "which"
MAX_TABLES = 5_000
CHARSET, COLLATION = "utf8mb4", "utf8mb4_nopad_bin"

_ROOT = "t1"
# What a statement takes of its root, in either dialect's spelling.
_USED = re.compile(r"\bt1\.(?:`((?:[^`]|``)+)`|\"((?:[^\"]|\"\")+)\"|(\w+))")
_WORD = re.compile(r"[A-Za-z0-9_]+")
_TEXT = frozenset({"string", "text", "email", "uri", "uuid", "enum", "id"})


@dataclass(frozen=True, slots=True)
class Column:
    """A column of an image: its name, and the field that says what it holds (None: a number of the engine's own)."""

    name: str
    field: Field | None


def image_columns(registry: Registry, table: str) -> tuple[Column, ...]:
    """The columns of a table's images, in a fixed order: all that its types have, but what is secret."""
    known = _COLUMNS.get((id(registry), table))
    if known is not None and known[0] is registry:
        return known[1]
    columns = _list_columns(registry, table)
    if len(_COLUMNS) >= MAX_TABLES:
        _COLUMNS.clear()
    _COLUMNS[id(registry), table] = (registry, columns)
    return columns


# They hold their registry, so an id in a key cannot be another registry's.
_COLUMNS: dict[tuple[int, str], tuple[Registry, tuple[Column, ...]]] = {}


def _list_columns(registry: Registry, table: str) -> tuple[Column, ...]:
    found: dict[str, Field | None] = {}
    secret: set[str] = set()
    for resource in registry.types.values():
        if resource.table != table:
            continue
        found.setdefault(resource.key, None)
        for known in resource.fields.values():
            if known.column is not None and known.secret:
                secret.add(known.column)
            elif known.column is not None:
                found[known.column] = None if known.kind == "relation" else known
        if resource.public_id:
            found[resource.public_id] = resource.fields["id"]
        for name in (resource.account.column, resource.version):
            if name:
                found[name] = None
        for name in (resource.created, resource.updated, resource.soft_delete):
            if name and found.get(name) is None:
                found[name] = Field(name=name, column=name, kind="datetime")
    return tuple(Column(name, found[name]) for name in sorted(found) if name not in secret)


def build_images(shape: ImageShape, setting: Setting) -> Statement:
    """The statement that reads rows whole, by ``row0`` …; the key stands first, the image's columns behind it."""
    resource = setting.registry.types[shape.type]
    table = setting.tables[shape.type]
    names = Names()
    rows: list[ColumnElement[Any]] = [bindparam(f"row{i}") for i in range(shape.width)]
    key = table.c[resource.key]
    clauses = [key == rows[0] if shape.width == 1 else key.in_(rows)]
    clauses.extend(account_clauses(Scope(setting, resource.name, names, with_rule=False), table, resource))
    columns = [_stored(table.c[column.name], column) for column in image_columns(setting.registry, resource.table)]
    built = select(key, *columns).where(*clauses)
    return compile_statement(built.with_for_update() if shape.holds else built, setting.dialect, tuple(names.guarded))


@dataclass(frozen=True, slots=True)
class ImageQuery:
    """A subscription's search over images.

    Attributes:
        columns: Places, in `image_columns`, of those that it takes.
    """

    statement: Statement
    columns: tuple[int, ...]


def build_image_query(shape: ReadShape, setting: Setting, *, images: int) -> ImageQuery:
    """Compile the search of a subscription over one or two images of a row.

    Args:
        shape: A page's or an arm's; its order counts for nothing.
        setting: Registry, tables, dialect and the caller whose rights key is the shape's.
        images: 1 or 2.

    Raises:
        LookupError: It looks at something that images do not hold.
        QueryTooComplex: The search joins too many tables.
    """
    resource = setting.registry.types[shape.type]
    columns = image_columns(setting.registry, resource.table)
    whole = _compile(shape, setting, dict(enumerate(columns)), images)
    used = {_unquote(match) for match in _USED.findall(whole.text)}
    places = {index: column for index, column in enumerate(columns) if column.name in used}
    return ImageQuery(_compile(shape, setting, places, images), tuple(places))


# ---------------------------------------------------------------- private


def _compile(shape: ReadShape, setting: Setting, columns: Mapping[int, Column], images: int) -> Statement:
    names = Names()
    names.next_alias()
    root = _image_table(columns, setting, images)
    scope = Scope(setting, shape.type, names, deleted=shape.deleted, proven=shape.via, image=root)
    clauses = list(scope.guard)
    if shape.condition != Const(True):
        clauses.append(scope.condition(shape.condition))
    if shape.via is not None:
        column = scope.resource.fields[shape.via].column or ""
        clauses.append(root.c[column] == bindparam("parent"))
    selected = [root.c[WHICH], *leading_columns(scope), *select_columns(scope, shape.selection)]
    built = select(*selected).select_from(scope.source).where(*clauses)
    return compile_statement(built, setting.dialect, tuple(names.guarded))


def _image_table(columns: Mapping[int, Column], setting: Setting, images: int) -> FromClause:
    rows = []
    for number in range(images):
        which: ColumnElement[Any] = bindparam(WHICH) if images == 1 else literal_column(str(number))
        number_of = setting.dialect == "mariadb" and images == 1
        taken = [(sql("CAST({0} AS SIGNED)", which) if number_of else which).label(WHICH)]
        for index, column in columns.items():
            bind: ColumnElement[Any] = bindparam(f"b{number}_{index}")
            typed = sql(_cast(column, setting.dialect), bind)
            taken.append(typed.label(column.name))
        rows.append(select(*taken))
    return (rows[0] if images == 1 else union_all(*rows)).subquery(_ROOT)


def _cast(column: Column, dialect: str) -> str:
    """How a bound value becomes what a column of its kind would hold: same type, same collation."""
    known = column.field
    if dialect == "sqlite":
        # The driver gave the value as it is stored and takes it back as that.
        if known is not None and known.collation and _WORD.fullmatch(known.collation):
            return "({0} COLLATE " + known.collation + ")"
        return "{0}"
    if known is None:
        return "CAST({0} AS SIGNED)"
    if known.kind in _TEXT or known.kind == "json":
        charset = known.charset if known.charset and _WORD.fullmatch(known.charset) else CHARSET
        collation = known.collation if known.collation and _WORD.fullmatch(known.collation) else COLLATION
        if known.kind == "json" and not known.collation:
            collation = "utf8mb4_bin"
        return "(CONVERT({0} USING " + charset + ") COLLATE " + collation + ")"
    if known.kind == "decimal":
        return "CAST({0} AS DECIMAL(" + f"{known.precision or 65},{known.scale or 0}" + "))"
    if known.kind in ("integer", "bigint"):
        return "CAST({0} AS UNSIGNED)" if known.unsigned else "CAST({0} AS SIGNED)"
    return _CASTS.get(known.kind, "{0}")


_CASTS = {
    "boolean": "CAST({0} AS SIGNED)",
    "float": "CAST({0} AS DOUBLE)",
    "date": "CAST({0} AS DATE)",
    "time": "CAST({0} AS TIME(6))",
    "datetime": "CAST({0} AS DATETIME(6))",
    "binary": "CAST({0} AS BINARY)",
}


def _stored(column: ColumnElement[Any], known: Column) -> ColumnElement[Any]:
    return as_double(column, known.field) if known.field is not None else column


def _unquote(match: tuple[str, str, str]) -> str:
    backticked, quoted, plain = match
    return backticked.replace("``", "`") or quoted.replace('""', '"') or plain


__all__ = ["Column", "ImageQuery", "build_image_query", "build_images", "image_columns"]
