"""Each type's table as SQLAlchemy sees it: columns with their types, keys, foreign keys.

Statements use the columns by name alone; the types matter to DDL. For columns that
exist already a plain type stands there, since no statement of ours lets SQLAlchemy
convert values. The indexes are `indexes.py`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from sqlalchemy import (
    BigInteger,
    Column,
    DefaultClause,
    ForeignKeyConstraint,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.sql import text
from sqlalchemy.types import TypeEngine, UserDefinedType

from engine.registry.kinds import KINDS, KindError, column_type
from engine.registry.reflection import UTC_MARK, ReflectedColumn, ReflectedDatabase
from engine.registry.resource import Field, Registry, Resource
from engine.registry.storing import scale_of
from engine.tables.indexes import bounded_name

Dialect = Literal["mariadb", "sqlite"]

CHARSET, COLLATION = "utf8mb4", "utf8mb4_nopad_bin"
FIRST_VERSION = 1


class Declared(UserDefinedType[Any]):
    """A column type by its spelling in DDL."""

    cache_ok = True

    def __init__(self, spelling: str) -> None:
        self.spelling = spelling

    def get_col_spec(self, **_: object) -> str:
        """The spelling."""
        return self.spelling


# SQLite goes by parts of a type's name: INT and TEXT in it decide what becomes of a value. So these names keep
# values as the kinds store them, and tell whoever reflects the table later what they are.
SQLITE_SPELLINGS = {
    "boolean": "BOOLEAN",
    "bigint": "BIGINT",
    "date": "DATE_TEXT",
    "time": "TIME_TEXT",
    "datetime": "DATETIME_TEXT",
    "json": "JSON_TEXT",
}


class Tables(Mapping[str, Table]):
    """A table for each type, made when it is first asked for: a thousand at a start would take seconds.

    Types that share a table share it here as well.
    """

    def __init__(self, registry: Registry, dialect: Dialect, reflection: ReflectedDatabase | None) -> None:
        self._registry = registry
        self._keys = _Keys(registry, dialect, reflection)
        self._metadata = MetaData()
        self._with_keys: set[str] = set()
        self._sharing: dict[str, list[Resource]] = {}
        for resource in registry.types.values():
            self._sharing.setdefault(resource.table, []).append(resource)

    def __getitem__(self, type_name: str) -> Table:
        name = self._registry.types[type_name].table
        made = self._metadata.tables.get(name)
        return _make_table(name, self._sharing[name], self._metadata, self._keys) if made is None else made

    def __iter__(self) -> Iterator[str]:
        return iter(self._registry.types)

    def __len__(self) -> int:
        return len(self._registry.types)

    def by_name(self) -> dict[str, Table]:
        """All tables by their own names, each once, with their foreign keys."""
        return {resource.table: self.with_foreign_keys(name) for name, resource in self._registry.types.items()}

    def with_foreign_keys(self, type_name: str) -> Table:
        """A type's table as DDL wants it; statements have no use for its foreign keys."""
        table = self[type_name]
        if table.name not in self._with_keys:
            self._with_keys.add(table.name)
            self._add_foreign_keys(table)
        return table

    def _add_foreign_keys(self, table: Table) -> None:
        seen: set[str] = set()
        for resource in self._sharing[table.name]:
            for column, target in foreign_keys_of(resource, self._registry):
                if column in seen or target.is_view:
                    continue
                seen.add(column)
                remote = self[target.name].c[target.key]
                name = bounded_name(f"fk_{table.name}__{column}")
                # The engine deletes children itself, so that each is checked, announced and recorded.
                key = ForeignKeyConstraint([table.c[column]], [remote], name=name, ondelete="RESTRICT")
                table.append_constraint(key)


def build_tables(registry: Registry, dialect: Dialect, reflection: ReflectedDatabase | None = None) -> Tables:
    """The tables of a registry.

    Args:
        registry: The types.
        dialect: Whose column types the columns have.
        reflection: The database as it is, so that a foreign key takes the type of the key it points at. Statements do
            not need it.
    """
    return Tables(registry, dialect, reflection)


def column_names(resource: Resource) -> list[str]:
    """The columns of a type besides its key, in the order in which a table has them, each once."""
    names = [resource.public_id, resource.account.column, *(field.column for field in resource.fields.values())]
    names += [resource.version, resource.created, resource.updated, resource.soft_delete]
    return [name for name in dict.fromkeys(names) if name and name != resource.key]


class _Keys:
    """What the keys of the types are like: a foreign key must be the same to the bit."""

    def __init__(self, registry: Registry, dialect: Dialect, reflection: ReflectedDatabase | None) -> None:
        self.registry = registry
        self.dialect = dialect
        self.reflection = reflection

    def type_of(self, type_name: str | None) -> TypeEngine[Any]:
        """The type of a column that points at a type's key."""
        if self.dialect == "sqlite":
            return Integer()
        resource = self.registry.types.get(type_name or "")
        found = self._reflected(resource) if resource else None
        if found is None:
            return BigInteger()
        return Declared(found.type.upper())

    def _reflected(self, resource: Resource) -> ReflectedColumn | None:
        table = self.reflection.table(resource.table) if self.reflection else None
        return table.columns.get(resource.key) if table else None


def _make_table(name: str, types: Iterable[Resource], metadata: MetaData, keys: _Keys) -> Table:
    columns: dict[str, Column[Any]] = {}
    key = ""
    for resource in types:
        key = key or resource.key
        for column in _columns_of(resource, keys):
            columns.setdefault(column.name, column)
    return Table(
        name,
        metadata,
        *columns.values(),
        PrimaryKeyConstraint(key),
        mysql_engine="InnoDB",
        mysql_charset=CHARSET,
        mysql_collate=COLLATION,
        mariadb_engine="InnoDB",
        mariadb_charset=CHARSET,
        mariadb_collate=COLLATION,
        # Without it SQLite gives the number of a deleted last row to the next one, and an id that some cache
        # remembers would then name another row.
        sqlite_autoincrement=True,
    )


def _columns_of(resource: Resource, keys: _Keys) -> Iterator[Column[Any]]:
    dialect = keys.dialect
    yield Column(resource.key, Integer() if dialect == "sqlite" else BigInteger(), nullable=False, autoincrement=True)
    if resource.public_id:
        yield _public_id_column(resource.public_id, dialect)
    if resource.account.column:
        yield Column(resource.account.column, keys.type_of(keys.registry.account_type), nullable=False)
    for field in resource.fields.values():
        if field.column:
            yield _field_column(resource, field, keys)
    if resource.version:
        yield version_column(resource.version)
    for name, nullable in ((resource.created, False), (resource.updated, False), (resource.soft_delete, True)):
        if name:
            moment = Field(name=name, column=name, kind="datetime")
            yield Column(name, _type_of(moment, dialect), nullable=nullable, comment=_comment_of(moment, dialect))


def version_column(name: str) -> Column[Any]:
    """The column that changes with every write."""
    return Column(name, BigInteger(), nullable=False, server_default=text(str(FIRST_VERSION)))


def _public_id_column(name: str, dialect: Dialect) -> Column[Any]:
    return Column(name, _type_of(Field(name="id", column=name, kind="id"), dialect), nullable=False)


def _field_column(resource: Resource, field: Field, keys: _Keys) -> Column[Any]:
    nullable = field.nullable
    if field.role in ("created", "updated", "public_id", "account"):
        nullable = False
    elif field.role == "parent":
        # With several parents exactly one is set, which the engine sees to; what a delete detaches has none.
        nullable = len(resource.parents) > 1 or any(one.on_delete == "detach" for one in resource.parents)
    if field.kind == "relation":
        type_: TypeEngine[Any] = keys.type_of(_target_of(resource, field))
    else:
        type_ = _type_of(field, keys.dialect)
    return Column(
        field.column,
        type_,
        nullable=nullable,
        server_default=default_clause(field, keys.dialect),
        comment=_comment_of(field, keys.dialect),
    )


def _comment_of(field: Field, dialect: Dialect) -> str | None:
    return UTC_MARK if dialect == "mariadb" and field.kind == "datetime" else None


def _type_of(field: Field, dialect: Dialect) -> TypeEngine[Any]:
    if dialect == "sqlite":
        if field.kind == "decimal":
            kind_type = column_type(field, "mariadb")
            if isinstance(kind_type, mysql.DECIMAL):
                return Declared(f"DECIMAL_INT({kind_type.precision},{scale_of(field)})")
        if field.kind in SQLITE_SPELLINGS:
            return Declared(SQLITE_SPELLINGS[field.kind])
    return column_type(field, dialect)


def default_clause(field: Field, dialect: Dialect) -> DefaultClause | None:
    """A declared default as the column's own, where it is a plain constant.

    The engine fills defaults in itself; the column's serves rows that others write, and rows that are there when the
    column is added.
    """
    if not field.has_default or field.default is None or field.kind not in _CONSTANT_KINDS:
        return None
    if isinstance(field.default, str) and field.default.startswith("$"):
        return None
    kind = KINDS[field.kind]
    try:
        value = kind.bind[dialect](kind.parse(field.default, field), field)
    except KindError:
        # A default that the field itself does not take is a finding of the registry, and no reason for worse here.
        return None
    # A string is quoted by SQLAlchemy, as the dialect quotes.
    return DefaultClause(text(repr(value)) if isinstance(value, int | float) else str(value))


_CONSTANT_KINDS = frozenset({"string", "enum", "email", "uri", "integer", "bigint", "boolean", "decimal", "float"})


def foreign_keys_of(resource: Resource, registry: Registry) -> Iterator[tuple[str, Resource]]:
    """Columns of a type that hold row ids, each with the type it points at."""
    if resource.account.column and registry.account_type:
        yield resource.account.column, registry.types[registry.account_type]
    for field in resource.fields.values():
        if field.kind == "relation" and field.column:
            target = registry.types.get(_target_of(resource, field) or "")
            if target is not None:
                yield field.column, target


def _target_of(resource: Resource, field: Field) -> str | None:
    relation = resource.relations.get(field.relation or "")
    if relation is not None:
        return relation.target
    return next((parent.type for parent in resource.parents if parent.field == field.name), None)


__all__ = ["Declared", "Dialect", "Tables", "build_tables", "column_names", "foreign_keys_of", "version_column"]
