"""What the engine's own tables (`aether_…`) are made of: the kinds of column, and the options of all tables.

Each table stands beside the statements over it (`keys.py`, `sessions.py`, …); the migrations that make them are
in the revision chain, and a test compares the two. Row ids are stored without foreign keys: which tables hold
accounts and users is the registry's to say.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import CHAR, BigInteger, Column, Integer, MetaData, String, Table, Text
from sqlalchemy.dialects.mysql import CHAR as MYSQL_CHAR
from sqlalchemy.dialects.mysql import DATETIME as MYSQL_DATETIME
from sqlalchemy.dialects.mysql import MEDIUMTEXT
from sqlalchemy.dialects.mysql import VARCHAR as MYSQL_VARCHAR
from sqlalchemy.schema import SchemaItem
from sqlalchemy.types import TypeEngine

from engine.tables import CHARSET, COLLATION

OWN_METADATA = MetaData()
OPTIONS: dict[str, Any] = {
    f"{dialect}_{option}": value
    for dialect in ("mysql", "mariadb")
    for option, value in (("engine", "InnoDB"), ("charset", CHARSET), ("collate", COLLATION))
}
_EXACT: dict[str, Any] = {"charset": CHARSET, "collation": COLLATION}


def own_table(name: str, *parts: SchemaItem) -> Table:
    """A table of the engine's own."""
    return Table(name, OWN_METADATA, *parts, **OPTIONS)


def key_column() -> Column[int]:
    """The integer key."""
    return Column("id", row_id(), primary_key=True, autoincrement=True)


def row_id() -> TypeEngine[int]:
    """A row id, of this table or of another."""
    return BigInteger().with_variant(Integer(), "sqlite")


def chars(size: int) -> TypeEngine[str]:
    """A text of one length, like a public id or a digest in hexadecimal; compared byte by byte."""
    return CHAR(size).with_variant(MYSQL_CHAR(size, **_EXACT), "mysql", "mariadb")


def words(size: int) -> TypeEngine[str]:
    """A short text; compared byte by byte."""
    return String(size).with_variant(MYSQL_VARCHAR(size, **_EXACT), "mysql", "mariadb")


def long_text() -> TypeEngine[str]:
    """A long text, JSON for example."""
    return Text().with_variant(MEDIUMTEXT(**_EXACT), "mysql", "mariadb")


def moment() -> TypeEngine[str]:
    """A moment in UTC; SQLite keeps `YYYY-MM-DD HH:MM:SS.ffffff` as text, like all datetimes of ours."""
    return Text().with_variant(MYSQL_DATETIME(fsp=6), "mysql", "mariadb")
