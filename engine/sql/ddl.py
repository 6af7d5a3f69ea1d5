"""DDL as text: tables, columns, indexes and keys, for each dialect.

The text holds no values and no placeholders, and percent signs are not doubled: it
goes to the driver as it stands. What is to be created, and when, is `io/migrate.py`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from sqlalchemy import Column, ForeignKeyConstraint, MetaData, Table
from sqlalchemy.dialects import mysql, sqlite
from sqlalchemy.engine.interfaces import Dialect as SqlDialect
from sqlalchemy.schema import AddConstraint, CreateColumn, CreateTable

from engine.plan.shape import Dialect
from engine.tables import CHARSET, COLLATION, TableIndex

# Not the dialects of `statement.py`: their style of placeholders doubles percent signs, even in a default's text.
DIALECTS: Mapping[Dialect, SqlDialect] = {
    "mariadb": cast("Callable[..., SqlDialect]", mysql.dialect)(paramstyle="named", is_mariadb=True),
    "sqlite": cast("Callable[..., SqlDialect]", sqlite.dialect)(paramstyle="named"),
}
# Every CREATE TABLE says so, since the server's own default may be latin1.
TABLE_OPTIONS: Mapping[Dialect, str] = {
    "mariadb": f" ENGINE=InnoDB CHARSET={CHARSET} COLLATE {COLLATION}",
    "sqlite": "",
}


def create_table(table: Table, dialect: Dialect, *, without: frozenset[str] = frozenset()) -> str:
    """The statement that creates a table unless it is there.

    Args:
        table: With its columns and foreign keys; indexes have statements of their own.
        dialect: Whose DDL.
        without: Names of foreign keys to leave out: what they point at does not exist yet.
    """
    keys = [key for key in table.foreign_key_constraints if key.name not in without]
    return _compile(CreateTable(table, include_foreign_key_constraints=keys, if_not_exists=True), dialect)


def create_index(index: TableIndex, dialect: Dialect) -> str:
    """The statement that creates an index; on SQLite only where none of its name is there."""
    unique = "UNIQUE " if index.is_unique else ""
    parts = ", ".join(f"{quote(part.column, dialect)}{' DESC' if part.descending else ''}" for part in index.parts)
    if_not_exists = "IF NOT EXISTS " if dialect == "sqlite" else ""
    on = f"{quote(index.name, dialect)} ON {quote(index.table, dialect)}"
    return f"CREATE {unique}INDEX {if_not_exists}{on} ({parts})"


def add_column(table: str, column: Column[Any], dialect: Dialect, *, nullable: bool | None = None) -> str:
    """The statement that adds a column.

    Args:
        table: The table's name.
        column: The column, from `build_tables`.
        dialect: Whose DDL.
        nullable: Overrides the column's own, for a column that is filled afterwards.
    """
    plain = Column(
        column.name,
        column.type,
        nullable=bool(column.nullable if nullable is None else nullable),
        server_default=column.server_default,
    )
    Table(table, MetaData(), plain)
    return f"ALTER TABLE {quote(table, dialect)} ADD COLUMN {_compile(CreateColumn(plain), dialect)}"


def with_foreign_keys(column: str, keys: Sequence[ForeignKeyConstraint], dialect: Dialect) -> str:
    """One MariaDB statement out of one that adds a column and those that add its foreign keys: all of it or nothing."""
    # `ALTER TABLE t ADD CONSTRAINT …` begins with the table, which stands in the first statement already.
    added = ["ADD " + add_foreign_key(key, dialect).partition(" ADD ")[2] for key in keys]
    return ", ".join([column, *added])


def add_counting_column(table: str, name: str, dialect: Dialect) -> str:
    """The statement that adds a unique column of whole numbers which MariaDB fills and counts on by itself."""
    column = quote(name, dialect)
    return f"ALTER TABLE {quote(table, dialect)} ADD COLUMN {column} BIGINT NOT NULL AUTO_INCREMENT UNIQUE"


def set_not_null(table: str, column: Column[Any], dialect: Dialect) -> str:
    """The statement that forbids NULL in a column that MariaDB has already."""
    plain = Column(column.name, column.type, nullable=False, server_default=column.server_default)
    Table(table, MetaData(), plain)
    return f"ALTER TABLE {quote(table, dialect)} MODIFY COLUMN {_compile(CreateColumn(plain), dialect)}"


def add_foreign_key(key: ForeignKeyConstraint, dialect: Dialect) -> str:
    """The statement that adds a foreign key to a table that exists."""
    return _compile(AddConstraint(key, isolate_from_table=False), dialect)


def quote(name: str, dialect: Dialect) -> str:
    """A name, always quoted: what is a reserved word differs from one server version to the next."""
    return DIALECTS[dialect].identifier_preparer.quote_identifier(name)


def _compile(construct: Any, dialect: Dialect) -> str:
    text = str(construct.compile(dialect=DIALECTS[dialect]))
    return "\n".join(line.rstrip() for line in text.strip().splitlines())
