"""MariaDB's structure, from `information_schema`: one query per kind of thing, never one per table."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

from engine.io.storage import Row
from engine.io.structure import Structure
from engine.registry.reflection import UTC_MARK, ReflectedColumn, ReflectedForeignKey, ReflectedIndex, ReflectedTable

PRIMARY = "PRIMARY"

# Sequences and temporary tables are left out. Comments of views say only "VIEW".
TABLES = """
SELECT table_name, table_type, table_collation, IF(table_type = 'VIEW', '', table_comment)
FROM information_schema.tables
WHERE table_schema = DATABASE() AND table_type IN ('BASE TABLE', 'VIEW', 'SYSTEM VERSIONED')
ORDER BY table_name"""
COLUMNS = """
SELECT table_name, column_name, data_type, column_type, character_maximum_length, numeric_precision, numeric_scale,
       is_nullable, column_default, extra, is_generated, character_set_name, collation_name, column_comment
FROM information_schema.columns WHERE table_schema = DATABASE() ORDER BY table_name, ordinal_position"""
INDEXES = """
SELECT table_name, index_name, column_name, non_unique, sub_part, index_type
FROM information_schema.statistics WHERE table_schema = DATABASE()
ORDER BY table_name, index_name, seq_in_index"""
KEYS = """
SELECT table_name, constraint_name, column_name, referenced_table_name, referenced_column_name
FROM information_schema.key_column_usage
WHERE table_schema = DATABASE() AND referenced_table_schema = DATABASE()
ORDER BY table_name, constraint_name, ordinal_position"""
RULES = """
SELECT table_name, constraint_name, delete_rule
FROM information_schema.referential_constraints WHERE constraint_schema = DATABASE()"""
CHECKS = """
SELECT table_name, check_clause FROM information_schema.check_constraints
WHERE constraint_schema = DATABASE() AND check_clause LIKE '%json_valid%'"""

_KINDS = {
    "bigint": "bigint", "int": "integer", "mediumint": "integer", "smallint": "integer", "tinyint": "integer",
    "year": "integer", "decimal": "decimal", "float": "float", "double": "float", "date": "date", "time": "time",
    "datetime": "datetime", "timestamp": "datetime", "char": "string", "varchar": "string", "tinytext": "text",
    "text": "text", "mediumtext": "text", "longtext": "text", "enum": "enum", "uuid": "uuid", "binary": "binary",
    "varbinary": "binary", "tinyblob": "binary", "blob": "binary", "mediumblob": "binary", "longblob": "binary",
}  # fmt: skip
_BITS = {"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "bigint": 64, "year": 16}
# Longer than any request may be.
_UNLIMITED = frozenset({"mediumtext", "longtext", "mediumblob", "longblob"})
_BOOLEAN_TYPES = ("tinyint(1)", "bit(1)")
_ENUM_VALUE = re.compile(r"'((?:[^'\\]|''|\\.)*)'")
_JSON_CHECK = re.compile(r"json_valid\(`((?:[^`]|``)+)`\)", re.IGNORECASE)
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_ON_DELETE: Mapping[str, Literal["cascade", "restrict", "set null"]] = {"CASCADE": "cascade", "SET NULL": "set null"}
_INDEX_KINDS: Mapping[str, Literal["fulltext", "spatial"]] = {"FULLTEXT": "fulltext", "SPATIAL": "spatial"}


class _Column(NamedTuple):
    """A row of `COLUMNS`."""

    table: str
    name: str
    data_type: str
    column_type: str
    length: int | None
    precision: int | None
    scale: int | None
    is_nullable: str
    default: str | None
    extra: str
    is_generated: str
    charset: str | None
    collation: str | None
    comment: str


async def reflect_mariadb(structure: Structure) -> tuple[dict[str, ReflectedTable], bool]:
    """Read all tables of the connection's database, and whether their names ignore case."""
    ((case_rule,),) = await structure.fetch("SELECT @@lower_case_table_names")
    names = await structure.fetch(TABLES)
    columns = _group(await structure.fetch(COLUMNS))
    indexes = _group(await structure.fetch(INDEXES))
    keys = _group(await structure.fetch(KEYS))
    rules = {(str(table), str(name)): str(rule) for table, name, rule in await structure.fetch(RULES)}
    documents = {
        (str(table), found.replace("``", "`"))
        for table, clause in await structure.fetch(CHECKS)
        for found in _JSON_CHECK.findall(str(clause))
    }
    tables = {}
    for name, table_type, collation, comment in names:
        primary, others = _read_indexes(indexes[name])
        found = [_read_column(_Column(*row), documents) for row in columns[name]]
        tables[name] = ReflectedTable(
            name=name,
            columns={column.name: column for column in found},
            primary_key=primary,
            indexes=others,
            foreign_keys=_read_keys(name, keys[name], rules),
            is_view=table_type == "VIEW",
            charset=collation.split("_", 1)[0] if collation else None,
            collation=collation,
            comment=comment or None,
        )
    return tables, bool(case_rule)


# ---------------------------------------------------------------- private


def _group(rows: Iterable[Row]) -> defaultdict[str, list[Row]]:
    by_table: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_table[row[0]].append(row)
    return by_table


def _read_column(row: _Column, documents: set[tuple[str, str]]) -> ReflectedColumn:
    kind = _KINDS.get(row.data_type)
    if row.column_type in _BOOLEAN_TYPES:
        kind = "boolean"
    elif row.data_type == "longtext" and (row.table, row.name) in documents:
        kind = "json"
    is_generated = row.is_generated == "ALWAYS"
    counts = "auto_increment" in row.extra.lower()
    nullable = row.is_nullable == "YES"
    is_marked = row.data_type == "datetime" and row.comment == UTC_MARK
    return ReflectedColumn(
        name=row.name,
        type=row.column_type.lower() if row.data_type not in ("enum", "set") else row.column_type,
        kind=kind,
        size=row.length if kind in ("string", "text", "binary") and row.data_type not in _UNLIMITED else None,
        bits=_BITS.get(row.data_type) if kind in ("integer", "bigint") else None,
        precision=row.precision if kind == "decimal" else None,
        scale=row.scale if kind == "decimal" else None,
        unsigned="unsigned" in row.column_type,
        nullable=nullable,
        has_default=row.default is not None or nullable or counts or is_generated,
        default=None if is_generated else _read_default(row.default, kind),
        is_generated=is_generated,
        auto_increment=counts,
        enum=_read_enum(row.column_type) if kind == "enum" else (),
        charset=row.charset,
        collation=row.collation,
        comment=None if is_marked else row.comment or None,
        stored_as={"float": "single", "enum": "enum"}.get(row.data_type, "native"),
        is_utc=is_marked or row.data_type == "timestamp",
    )


def _read_enum(column_type: str) -> tuple[str, ...]:
    return tuple(value.replace("''", "'") for value in _ENUM_VALUE.findall(column_type))


def _read_default(default: str | None, kind: str | None) -> str | int | float | bool | None:
    """A constant default as JSON: the server shows it as an expression, text in quotes."""
    if default is None or default == "NULL":
        return None
    quoted = _ENUM_VALUE.fullmatch(default)
    value = quoted[1].replace("''", "'").replace("\\\\", "\\") if quoted else default
    if kind in ("integer", "bigint", "boolean", "decimal", "float"):
        if not _NUMBER.fullmatch(value):
            return None
        if kind == "boolean":
            return value != "0"
        if kind == "decimal":
            return value
        return float(value) if kind == "float" else int(value)
    return value if quoted and kind in ("string", "text", "enum", "uuid") else None


def _read_indexes(rows: Iterable[Row]) -> tuple[tuple[str, ...], tuple[ReflectedIndex, ...]]:
    by_name: dict[str, list[Row]] = {}
    for row in rows:
        by_name.setdefault(row[1], []).append(row)
    primary = tuple(row[2] for row in by_name.pop(PRIMARY, []))
    return primary, tuple(_read_index(name, parts) for name, parts in by_name.items())


def _read_index(name: str, parts: list[Row]) -> ReflectedIndex:
    first = parts[0]
    return ReflectedIndex(
        name=name,
        columns=tuple(part[2] for part in parts),
        is_unique=not first[3],
        kind=_INDEX_KINDS.get(first[5], "btree"),
        is_partial=any(part[4] is not None for part in parts),
    )


def _read_keys(
    table: str, rows: Iterable[Row], rules: Mapping[tuple[str, str], str]
) -> tuple[ReflectedForeignKey, ...]:
    by_name: dict[str, list[Any]] = {}
    for row in rows:
        by_name.setdefault(row[1], []).append(row)
    return tuple(
        ReflectedForeignKey(
            columns=tuple(part[2] for part in parts),
            table=parts[0][3],
            target_columns=tuple(part[4] for part in parts),
            name=name,
            on_delete=_ON_DELETE.get(rules.get((table, name), ""), "restrict"),
        )
        for name, parts in by_name.items()
    )
