"""What a database lacks of what a registry needs, as steps of DDL with a sentence each. Pure.

A step may be run again after a crash in its middle: the plan made then holds only what is still missing. Nothing is
ever dropped or narrowed. Who runs the steps, and under which lock, is `io/migrate.py`'s business; the engine's own
tables are `io/own_tables.py`'s.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Table

from engine.plan.shape import Dialect
from engine.registry.reflection import ReflectedColumn, ReflectedDatabase, ReflectedTable
from engine.registry.resource import Field, Registry, Resource
from engine.sql import ddl
from engine.sql.rebuild import Source, rebuild_with_key
from engine.tables import (
    COLLATION,
    MAX_INDEX_BYTES,
    TableIndex,
    build_tables,
    column_names,
    foreign_keys_of,
    index_bytes,
    indexes_of,
)


@dataclass(frozen=True, slots=True)
class FillIds:
    """Rows of a table that get random public ids where they have none."""

    table: str
    key: str
    column: str


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a migration.

    Attributes:
        description: What it does, in plain English.
        statements: DDL, in order.
        fill: Ids to be filled in after the statements.
        after: DDL that needs the filled ids.
        rebuilds: The table that SQLite makes anew, whose foreign keys are to be checked afterwards; or None.
    """

    description: str
    statements: tuple[str, ...] = ()
    fill: FillIds | None = None
    after: tuple[str, ...] = ()
    rebuilds: str | None = None


class MigrationRefused(Exception):
    """The registry asks for something that no step can bring about."""


def plan_migration(
    registry: Registry,
    reflection: ReflectedDatabase,
    *,
    add_account_column: bool = False,
    sources: Mapping[str, Source] | None = None,
) -> tuple[Step, ...]:
    """Compare a registry with a database.

    Args:
        registry: What is wanted.
        reflection: What is there.
        add_account_column: Give inherited types that reach their account through their parents a column of their own.
        sources: SQLite: the statements that tables were made by, by table; needed for those that are to be rebuilt.

    Raises:
        MigrationRefused: A table cannot be given what it lacks.
    """
    wanted = _completed(registry, reflection, add_account_column=add_account_column)
    return tuple(_Planner(wanted, reflection, sources or {}).steps())


def _completed(registry: Registry, reflection: ReflectedDatabase, *, add_account_column: bool) -> Registry:
    """The registry as it will be when the database has all that the engine adds to tables of others."""
    names = registry.columns
    types: dict[str, Resource] = {}
    for name, resource in registry.types.items():
        if resource.is_view:
            continue
        done = resource
        if done.public_id is None:
            id_field = done.fields.get("id") or Field(name="id", column=None, kind="id", role="public_id")
            fields = {**done.fields, "id": replace(id_field, column=names.public, nullable=False, role="public_id")}
            done = replace(done, public_id=names.public, fields=fields)
        done = replace(done, version=done.version or names.version)
        if add_account_column and done.account.kind == "inherited" and done.account.column is None:
            done = replace(done, account=replace(done.account, column=names.account))
        types[name] = done
    return replace(registry, types=types)


class _Planner:
    def __init__(self, registry: Registry, reflection: ReflectedDatabase, sources: Mapping[str, Source]) -> None:
        self.registry = registry
        self.reflection = reflection
        self.sources = sources
        self.dialect: Dialect = reflection.dialect
        self.tables = build_tables(registry, self.dialect, reflection)
        self.by_table: dict[str, list[Resource]] = {}
        for resource in registry.types.values():
            self.by_table.setdefault(resource.table, []).append(resource)

    def steps(self) -> Iterator[Step]:
        existing = [(types, found) for types in self.by_table.values() if (found := self._found(types[0]))]
        for types, found in existing:
            yield from self._add_key(types[0], found)
        yield from self._create_tables()
        for types, found in existing:
            for resource in types:
                yield from self._add_columns(resource, found)
        for types, found in existing:
            yield from self._fill_ids(types[0], found)
        yield from self._fill_accounts()
        for types, found in existing:
            yield from self._add_indexes(types, found)

    def _found(self, resource: Resource) -> ReflectedTable | None:
        return self.reflection.table(resource.table)

    # ------------------------------------------------------------ keys

    def _add_key(self, resource: Resource, found: ReflectedTable) -> Iterator[Step]:
        if found.is_view or _column_of(found, resource.key) is not None:
            return
        what = f"{found.name}: add the unique whole number `{resource.key}`, since the table has no single integer key"
        if self.dialect == "mariadb":
            yield Step(what, (ddl.alter_table(found.name, [ddl.counting_column_added(resource.key)], self.dialect),))
            return
        source = self.sources.get(found.name)
        if source is None:
            raise MigrationRefused(f"{found.name}: its CREATE TABLE statement is not known, so it cannot be rebuilt.")
        columns = [name for name, column in found.columns.items() if not column.is_generated]
        statements = rebuild_with_key(found.name, resource.key, source, columns)
        yield Step(f"{what} (the table is rebuilt; its rows, keys and indexes stay)", statements, rebuilds=found.name)

    # ------------------------------------------------------------ tables

    def _create_tables(self) -> Iterator[Step]:
        missing = [
            self.tables.with_foreign_keys(types[0].name)
            for types in self.by_table.values()
            if not self._found(types[0])
        ]
        later: list[tuple[Table, Any]] = []
        for table, left_out in _in_order(missing, self.dialect):
            names = frozenset(str(key.name) for key in left_out)
            indexes = self._indexes_of(table.name)
            size = f"{len(table.columns)} columns and {_count(len(indexes), 'index', 'indexes')}"
            statements = [ddl.create_table(table, self.dialect, indexes=indexes, without=names)]
            if self.dialect == "sqlite":
                statements.extend(ddl.create_index(index, self.dialect) for index in indexes)
            yield Step(f"{table.name}: create the table, with {size}", tuple(statements))
            later.extend((table, key) for key in left_out)
        for table, key in later:
            target = key.elements[0].column.table.name
            yield Step(
                f"{table.name}: add the foreign key to {target}, which is created later than the table",
                (ddl.alter_table(table.name, [ddl.foreign_key_added(key)], self.dialect),),
            )

    # ------------------------------------------------------------ columns

    def _add_columns(self, resource: Resource, found: ReflectedTable) -> Iterator[Step]:
        missing = [name for name in column_names(resource) if _column_of(found, name) is None]
        if not missing:
            return
        table = self.tables.with_foreign_keys(resource.name)
        foreign = dict(foreign_keys_of(resource, self.registry))
        clauses = []
        for column in [table.c[name] for name in missing]:
            # Rows that are there have no value for it, unless it has a default.
            nullable = bool(column.nullable) or column.server_default is None
            target = foreign.get(column.name)
            points_at = (target.table, target.key) if target else None
            clauses.append(ddl.column_added(column, self.dialect, nullable=nullable, target=points_at))
        if self.dialect == "mariadb":
            new = [key for key in table.foreign_key_constraints if set(key.columns.keys()) <= set(missing)]
            clauses.extend(ddl.foreign_key_added(key) for key in sorted(new, key=lambda key: str(key.name)))
            statements = [ddl.alter_table(found.name, clauses, self.dialect)]
        else:
            statements = [ddl.alter_table(found.name, [clause], self.dialect) for clause in clauses]
        names = ", ".join(f"`{name}`{_why(resource, name)}" for name in missing)
        word = "column" if len(missing) == 1 else "columns"
        yield Step(f"{found.name}: add the {word} {names}", tuple(statements))

    # ------------------------------------------------------------ public ids

    def _fill_ids(self, resource: Resource, found: ReflectedTable) -> Iterator[Step]:
        name = resource.public_id or ""
        present = _column_of(found, name)
        is_unique = present is not None and (present.name,) in found.unique_sets
        is_half_done = present is not None and self.dialect == "mariadb" and present.nullable and _is_ours(present)
        if found.is_view or (is_unique and not is_half_done):
            return
        index = next(one for one in indexes_of(resource) if one.is_unique and one.columns == (name,))
        if self.dialect == "sqlite":
            after = ddl.create_index(index, self.dialect)
        else:
            clauses = [] if is_unique else [ddl.index_added(index)]
            if present is None or is_half_done:
                clauses.insert(0, ddl.column_filled(self.tables[resource.name].c[name]))
            after = ddl.alter_table(found.name, clauses, self.dialect)
        yield Step(
            f"{found.name}: give every row without one a random public id in `{name}`, and make them unique",
            fill=FillIds(found.name, resource.key, name),
            after=(after,),
        )

    # ------------------------------------------------------------ accounts

    def _fill_accounts(self) -> Iterator[Step]:
        for resource in _parents_first(self.registry):
            found = self._found(resource)
            column = resource.account.column
            if found is None or column is None or resource.account.kind != "inherited":
                continue
            # The index is made last: without it, an earlier run may have ended before the accounts were copied.
            index = next((one for one in indexes_of(resource) if one.columns[0] == column), None)
            if _column_of(found, column) and (index is None or _has_index(found, index)):
                continue
            sources = [self._account_of(resource, parent.field, parent.type) for parent in resource.parents]
            value = sources[0] if len(sources) == 1 else f"COALESCE({', '.join(sources)})"
            name, table = ddl.quote(column, self.dialect), ddl.quote(found.name, self.dialect)
            yield Step(
                f"{found.name}: copy every row's account from its parent into `{column}`",
                (f"UPDATE {table} SET {name} = {value} WHERE {name} IS NULL",),
            )

    def _account_of(self, resource: Resource, field: str, parent: str) -> str:
        above = self.registry.types[parent]
        account = above.key if above.account.kind == "self" else above.account.column
        if account is None:
            raise MigrationRefused(f"{resource.name}: its parent {parent} has no account to copy.")
        own = f"{self._quote(resource.table)}.{self._quote(resource.fields[field].column or '')}"
        above_key, above_account = (f"above.{self._quote(name)}" for name in (above.key, account))
        return f"(SELECT {above_account} FROM {self._quote(above.table)} AS above WHERE {above_key} = {own})"

    def _quote(self, name: str) -> str:
        return ddl.quote(name, self.dialect)

    # ------------------------------------------------------------ indexes

    def _indexes_of(self, table: str) -> list[TableIndex]:
        """The indexes that the types of a table want, each once."""
        wanted: dict[str, TableIndex] = {}
        for resource in self.by_table[table]:
            for index in indexes_of(resource):
                self._check_size(resource, index)
                wanted.setdefault(index.name, index)
        return list(wanted.values())

    def _add_indexes(self, types: list[Resource], found: ReflectedTable) -> Iterator[Step]:
        as_rebuilt = self._as_rebuilt(found, types[0])
        public_ids = {(resource.public_id,) for resource in types}
        for index in self._indexes_of(types[0].table):
            # That of the public ids is made when they are filled in.
            if (index.is_unique and index.columns in public_ids) or _has_index(as_rebuilt, index):
                continue
            kind = "unique index" if index.is_unique else "index"
            over = ", ".join(f"{part.column}{' descending' if part.descending else ''}" for part in index.parts)
            statement = ddl.create_index(replace(index, table=found.name), self.dialect)
            yield Step(f"{found.name}: add the {kind} over {over} ({index.purpose})", (statement,))

    def _as_rebuilt(self, found: ReflectedTable, resource: Resource) -> ReflectedTable:
        """SQLite: a table that gets its key by being rebuilt has it as its primary key then."""
        if self.dialect == "sqlite" and _column_of(found, resource.key) is None:
            return replace(found, primary_key=(resource.key,))
        return found

    def _check_size(self, resource: Resource, index: TableIndex) -> None:
        size = index_bytes(resource, index)
        if self.dialect == "mariadb" and size > MAX_INDEX_BYTES:
            raise MigrationRefused(
                f"{resource.name}: the index over {', '.join(index.columns)} takes up to {size} bytes, and MariaDB"
                f" takes {MAX_INDEX_BYTES}. Shorten a field, or take it out of the index."
            )


# ---------------------------------------------------------------- private


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _column_of(found: ReflectedTable, name: str) -> ReflectedColumn | None:
    column = found.columns.get(name)
    if column is None:
        folded = name.casefold()
        column = next((one for one in found.columns.values() if one.name.casefold() == folded), None)
    return column


def _is_ours(column: ReflectedColumn) -> bool:
    return column.type == "char(22)" and column.collation == COLLATION


def _why(resource: Resource, column: str) -> str:
    reasons = {
        resource.public_id: " (public ids)",
        resource.version: " (changes with every write)",
        resource.account.column: " (the account's row id)",
    }
    return reasons.get(column, "")


def _has_index(found: ReflectedTable, index: TableIndex) -> bool:
    if any(one.name.casefold() == index.name.casefold() for one in found.indexes):
        return True
    if any(part.descending for part in index.parts):
        return False
    if index.is_unique:
        return any(set(one) == set(index.columns) for one in found.unique_sets)
    if index.columns == found.primary_key[: len(index.columns)]:
        return True
    # Both databases append the primary key to every index, so an index without it at the end is the same one.
    return any(
        one.kind == "btree"
        and not one.is_partial
        and (*one.columns, *found.primary_key)[: len(index.columns)] == index.columns
        for one in found.indexes
    )


def _in_order(tables: list[Table], dialect: Dialect) -> Iterator[tuple[Table, list[Any]]]:
    """Tables after those they point at; where they point in a circle, with the keys that must come later."""
    waiting = {table.name: table for table in tables}
    while waiting:
        ready = [table for table in waiting.values() if not _pending_keys(table, waiting)]
        table = ready[0] if ready else min(waiting.values(), key=lambda one: len(_pending_keys(one, waiting)))
        # SQLite takes keys to tables that do not exist yet, and adds none afterwards.
        yield table, [] if dialect == "sqlite" else _pending_keys(table, waiting)
        del waiting[table.name]


def _pending_keys(table: Table, waiting: Mapping[str, Table]) -> list[Any]:
    keys = sorted(table.foreign_key_constraints, key=lambda key: str(key.name))
    targets = [(key, key.elements[0].column.table.name) for key in keys]
    return [key for key, target in targets if target in waiting and target != table.name]


def _parents_first(registry: Registry) -> list[Resource]:
    done: dict[str, Resource] = {}

    def visit(resource: Resource, path: tuple[str, ...]) -> None:
        if resource.name in done or resource.name in path:
            return
        for parent in resource.parents:
            if parent.type in registry.types:
                visit(registry.types[parent.type], (*path, resource.name))
        done[resource.name] = resource

    for resource in registry.types.values():
        visit(resource, ())
    return list(done.values())
