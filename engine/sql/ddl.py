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


def create_table(
    table: Table, dialect: Dialect, *, indexes: Sequence[TableIndex] = (), without: frozenset[str] = frozenset()
) -> str:
    """The statement that creates a table unless it is there.

    Args:
        table: With its columns and foreign keys.
        dialect: Whose DDL.
        indexes: MariaDB: made along with the table, for a tenth of what they cost afterwards. SQLite has no such form.
        without: Names of foreign keys to leave out: what they point at does not exist yet.
    """
    keys = [key for key in table.foreign_key_constraints if key.name not in without]
    text = _compile(CreateTable(table, include_foreign_key_constraints=keys, if_not_exists=True), dialect)
    if dialect == "sqlite" or not indexes:
        return text
    body, _, options = text.rpartition("\n)")
    lines = [
        f"{'UNIQUE ' if index.is_unique else ''}KEY {quote(index.name, dialect)} ({_parts(index, dialect)})"
        for index in indexes
    ]
    return ",\n\t".join([body, *lines]) + f"\n){options}"


def create_index(index: TableIndex, dialect: Dialect) -> str:
    """The statement that creates an index; on SQLite only where none of its name is there."""
    unique = "UNIQUE " if index.is_unique else ""
    if_not_exists = "IF NOT EXISTS " if dialect == "sqlite" else ""
    on = f"{quote(index.name, dialect)} ON {quote(index.table, dialect)}"
    return f"CREATE {unique}INDEX {if_not_exists}{on} ({_parts(index, dialect)})"


# ---------------------------------------------------------------- what `alter_table` takes


def alter_table(table: str, clauses: Sequence[str], dialect: Dialect) -> str:
    """One statement that changes a table: on MariaDB all of it or nothing. SQLite takes one clause."""
    return f"ALTER TABLE {quote(table, dialect)} {', '.join(clauses)}"


def column_added(
    column: Column[Any], dialect: Dialect, *, nullable: bool, target: tuple[str, str] | None = None
) -> str:
    """The clause that adds a column.

    Args:
        column: From `build_tables`.
        dialect: Whose DDL.
        nullable: Instead of the column's own, for a column that is filled afterwards.
        target: SQLite: table and key that the column points at. MariaDB wants `foreign_key_added`.
    """
    clause = f"ADD COLUMN {_describe(column, dialect, nullable=nullable)}"
    if target is None or dialect == "mariadb":
        return clause
    table, key = (quote(name, dialect) for name in target)
    return f"{clause} REFERENCES {table} ({key}) ON DELETE RESTRICT"


def column_filled(column: Column[Any]) -> str:
    """The clause that forbids NULL in a column of MariaDB's that has its values now."""
    return f"MODIFY COLUMN {_describe(column, 'mariadb', nullable=False)}"


def index_added(index: TableIndex) -> str:
    """The clause that adds an index to a table of MariaDB's."""
    unique = "UNIQUE " if index.is_unique else ""
    return f"ADD {unique}INDEX {quote(index.name, 'mariadb')} ({_parts(index, 'mariadb')})"


def foreign_key_added(key: ForeignKeyConstraint) -> str:
    """The clause that adds a foreign key to a table of MariaDB's."""
    # SQLAlchemy writes `ALTER TABLE t ADD CONSTRAINT …`.
    return "ADD " + _compile(AddConstraint(key, isolate_from_table=False), "mariadb").partition(" ADD ")[2]


def counting_column_added(name: str) -> str:
    """The clause that adds a unique column of whole numbers which MariaDB fills and counts on by itself."""
    return f"ADD COLUMN {quote(name, 'mariadb')} BIGINT NOT NULL AUTO_INCREMENT UNIQUE"


def quote(name: str, dialect: Dialect) -> str:
    """A name, always quoted: what is a reserved word differs from one server version to the next."""
    return DIALECTS[dialect].identifier_preparer.quote_identifier(name)


def _parts(index: TableIndex, dialect: Dialect) -> str:
    return ", ".join(f"{quote(part.column, dialect)}{' DESC' if part.descending else ''}" for part in index.parts)


def _describe(column: Column[Any], dialect: Dialect, *, nullable: bool) -> str:
    plain = Column(
        column.name, column.type, nullable=nullable, server_default=column.server_default, comment=column.comment
    )
    Table("t", MetaData(), plain)
    return _compile(CreateColumn(plain), dialect)


def _compile(construct: Any, dialect: Dialect) -> str:
    text = str(construct.compile(dialect=DIALECTS[dialect]))
    return "\n".join(line.rstrip() for line in text.strip().splitlines())
