"""A database as it was found: tables, columns, keys and indexes, as plain frozen values.

`io/reflect.py` fills these from a live database, `registry/build.py` reads them, tests
write them by hand. Names are the database's own. How declared and reflected agree
is the registry's business; nothing here knows a type or a field.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

Dialect = Literal["mariadb", "sqlite"]

# Collations that compare text byte for byte without folding trailing spaces.
EXACT_COLLATIONS = frozenset({"utf8mb4_nopad_bin", "utf8mb3_nopad_bin", "latin1_nopad_bin", "binary"})
# The comment of MariaDB's DATETIME columns that we make: nothing else tells them from those of others.
UTC_MARK = "UTC"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReflectedColumn:
    """One column.

    Attributes:
        name: Column name.
        type: The database's own type, in lower case, as it prints it: ``varchar(160)``, ``int(11) unsigned``.
        kind: The field kind that fits best (a key of `registry.kinds.KINDS`, never ``id`` or ``relation``); None where
            none does (GEOMETRY, SET, …): then the column is no field.
        size: Most characters (bytes, for binary).
        bits: Width of an integer column.
        precision, scale: Of a decimal.
        nullable: NULL is allowed.
        has_default: An insert may leave the column out: it has a default (even NULL), counts by itself or is generated.
        default: The default's value as JSON where it is a constant, else None.
        is_generated: The database computes it; nobody writes it.
        auto_increment: It counts by itself.
        enum: Values of an ENUM, in declared order.
        charset, collation: Of a text column; on SQLite the collation is ``BINARY``, ``NOCASE`` or ``RTRIM``.
        stored_as: See `Field.stored_as`: ``native``, or on a reflected SQLite column how its values are written.
        is_utc: A datetime that is UTC whatever the registry says: MariaDB's TIMESTAMP, and what we made ourselves.
    """

    name: str
    type: str
    kind: str | None
    size: int | None = None
    bits: int | None = None
    precision: int | None = None
    scale: int | None = None
    unsigned: bool = False
    nullable: bool = True
    has_default: bool = False
    default: str | int | float | bool | None = None
    is_generated: bool = False
    auto_increment: bool = False
    enum: tuple[str, ...] = ()
    charset: str | None = None
    collation: str | None = None
    comment: str | None = None
    stored_as: str = "native"
    is_utc: bool = False

    @property
    def is_exact(self) -> bool:
        """Whether text compares byte for byte in this column as it is."""
        return self.collation is None or self.collation == "BINARY" or self.collation in EXACT_COLLATIONS


@dataclass(frozen=True, slots=True)
class ReflectedIndex:
    """An index or unique constraint; the primary key is not among them.

    Attributes:
        columns: In order; a prefix index names the column all the same.
        kind: ``fulltext`` and ``spatial`` serve no comparison.
        is_partial: It covers some rows or prefixes alone, so its uniqueness is no promise about values.
    """

    name: str
    columns: tuple[str, ...]
    is_unique: bool = False
    kind: Literal["btree", "fulltext", "spatial"] = "btree"
    is_partial: bool = False


@dataclass(frozen=True, slots=True)
class ReflectedForeignKey:
    """A foreign key.

    Attributes:
        name: Of the constraint; None where the database keeps none.
        on_delete: ``cascade``, ``restrict`` or ``set null``, as far as the database acts by itself.
    """

    columns: tuple[str, ...]
    table: str
    target_columns: tuple[str, ...]
    name: str | None = None
    on_delete: Literal["cascade", "restrict", "set null"] = "restrict"


@dataclass(frozen=True, kw_only=True)
class ReflectedTable:
    """One table or view.

    Attributes:
        columns: By name, in the table's order.
        primary_key: Its columns, in order; empty for none.
        charset, collation: The table's defaults; None on SQLite.
    """

    name: str
    columns: Mapping[str, ReflectedColumn]
    primary_key: tuple[str, ...] = ()
    indexes: tuple[ReflectedIndex, ...] = ()
    foreign_keys: tuple[ReflectedForeignKey, ...] = ()
    is_view: bool = False
    charset: str | None = None
    collation: str | None = None
    comment: str | None = None

    @cached_property
    def integer_key(self) -> str | None:
        """The only column of the primary key, if that is a whole number; else a unique one named ``row_id``."""
        if len(self.primary_key) == 1 and self._is_integer(self.primary_key[0]):
            return self.primary_key[0]
        return "row_id" if self._is_integer("row_id") and ("row_id",) in self.unique_sets else None

    @cached_property
    def unique_sets(self) -> frozenset[tuple[str, ...]]:
        """Sets of columns that are unique together."""
        found = {index.columns for index in self.indexes if index.is_unique and not index.is_partial}
        return frozenset(found | ({self.primary_key} if self.primary_key else set()))

    def foreign_key(self, column: str) -> ReflectedForeignKey | None:
        """The foreign key of this single column, if it has one."""
        return next((key for key in self.foreign_keys if key.columns == (column,)), None)

    def is_indexed(self, column: str) -> bool:
        """Whether a comparison of the column can use an index that begins with it."""
        if self.primary_key[:1] == (column,):
            return True
        return any(index.columns[:1] == (column,) and index.kind == "btree" for index in self.indexes)

    def _is_integer(self, column: str) -> bool:
        found = self.columns.get(column)
        return found is not None and found.kind in ("integer", "bigint")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReflectedDatabase:
    """A database's structure.

    Attributes:
        dialect: Which database it is.
        tables: By name, tables of the engine's own (``aether_…``) left out.
        ignores_case: Table names are found whatever their case (``lower_case_table_names`` ≠ 0, SQLite always).
    """

    dialect: Dialect
    tables: Mapping[str, ReflectedTable] = field(default_factory=dict)
    ignores_case: bool = False

    def table(self, name: str) -> ReflectedTable | None:
        """A table by the name that a registry gives it."""
        found = self.tables.get(name)
        if found is None and self.ignores_case:
            folded = name.lower()
            found = next((table for table in self.tables.values() if table.name.lower() == folded), None)
        return found
