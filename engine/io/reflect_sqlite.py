"""SQLite's structure, from its pragmas: one query per kind of thing, never one per table."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal

from engine.io.storage import Row, Rows
from engine.io.structure import Structure, StructureFault
from engine.registry.reflection import ReflectedColumn, ReflectedForeignKey, ReflectedIndex, ReflectedTable
from engine.registry.spellings import read_truth, spelling_of_moment, spelling_of_truth

TABLES = """
SELECT name, type, coalesce(sql, '') FROM sqlite_master
WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name"""
COLUMNS = """
SELECT m.name, c.name, c.type, c."notnull", c.dflt_value, c.pk, c.hidden
FROM sqlite_master m JOIN pragma_table_xinfo(m.name) c WHERE m.type = ? ORDER BY m.name, c.cid"""
VIEW_COLUMNS = 'SELECT ?1, name, type, "notnull", dflt_value, pk, hidden FROM pragma_table_xinfo(?1) ORDER BY cid'
INDEXES = """
SELECT m.name, i.name, i."unique", i.origin, i.partial, c.name, c.coll
FROM sqlite_master m JOIN pragma_index_list(m.name) i JOIN pragma_index_xinfo(i.name) c
WHERE m.type = 'table' AND c.key ORDER BY m.name, i.seq, c.seqno"""
KEYS = """
SELECT m.name, k.id, k."from", k."table", k."to", k.on_delete
FROM sqlite_master m JOIN pragma_foreign_key_list(m.name) k WHERE m.type = 'table' ORDER BY m.name, k.id, k.seq"""

# Spellings of tables that we made: values are kept as the kinds keep them.
_OWN_KINDS = {
    "decimal_int": "decimal", "datetime_text": "datetime", "date_text": "date", "time_text": "time",
    "json_text": "json",
}  # fmt: skip
_KINDS = {
    "bigint": "bigint", "unsigned big int": "bigint", "int8": "bigint", "boolean": "boolean", "bool": "boolean",
    "date": "date", "datetime": "datetime", "timestamp": "datetime", "time": "time", "json": "json", "blob": "binary",
    "uuid": "uuid", "clob": "text", "text": "text",
}  # fmt: skip
_STORED_AS = {"date": "date_text", "datetime": "datetime_text", "time": "time_text", "decimal": "real"}
_SPELLING = re.compile(r"\s*([a-z_][a-z0-9_ ]*?)\s*(?:\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\))?\s*", re.IGNORECASE)
_COLLATE = re.compile(
    r"""^[ \t]*(?:"([^"]+)"|`([^`]+)`|\[([^\]]+)\]|(\w+))[^\n]*?\bCOLLATE\s+["'`\[]?(\w+)""",
    re.IGNORECASE | re.MULTILINE,
)
_QUOTED = re.compile(r"'((?:[^']|'')*)'")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_HIDDEN_GENERATED = (2, 3)


async def reflect_sqlite(structure: Structure) -> tuple[dict[str, ReflectedTable], bool]:
    """Read all tables of the file; their names ignore case always."""
    found = await structure.fetch(TABLES)
    # A virtual table keeps its content in tables of its own, whose names begin with its.
    hidden = tuple(f"{name}_" for name, _, sql in found if _is_virtual(sql))
    names = [row for row in found if not _is_virtual(row[2]) and not (hidden and row[0].startswith(hidden))]
    columns = _group(await structure.fetch(COLUMNS, ("table",)))
    indexes = _group(await structure.fetch(INDEXES))
    keys = _group(await structure.fetch(KEYS))
    primary_keys = {table: _primary_key(rows) for table, rows in columns.items()}
    folded = {table.lower(): key for table, key in primary_keys.items()}
    tables = {}
    for name, type_, sql in names:
        rows = await _view_columns(structure, name) if type_ == "view" else columns[name]
        collations = _collations(sql)
        primary = primary_keys.get(name, ())
        # `INTEGER PRIMARY KEY`, spelled so, is SQLite's own row number.
        counting = primary[0] if len(primary) == 1 and "without rowid" not in sql.lower() else None
        read = [_read_column(row, collations, counting) for row in rows]
        tables[name] = ReflectedTable(
            name=name,
            columns={c.name: await _look(structure, name, c) if type_ == "table" else c for c in read},
            primary_key=primary,
            indexes=_read_indexes(indexes[name]),
            foreign_keys=_read_keys(keys[name], folded),
            is_view=type_ == "view",
        )
    return tables, True


# ---------------------------------------------------------------- private


def _is_virtual(sql: str) -> bool:
    return sql[:14].upper() == "CREATE VIRTUAL"


def _group(rows: Iterable[Row]) -> defaultdict[str, list[Row]]:
    by_table: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_table[row[0]].append(row)
    return by_table


async def _view_columns(structure: Structure, name: str) -> Rows:
    try:
        return await structure.fetch(VIEW_COLUMNS, (name,))
    except StructureFault:
        # A view over something that is gone: it has no columns to speak of, and is no reason to see nothing else.
        return ()


def _primary_key(rows: Iterable[Row]) -> tuple[str, ...]:
    return tuple(row[1] for row in sorted((row for row in rows if row[5]), key=lambda row: int(row[5])))


def _collations(sql: str) -> dict[str, str]:
    """The collations that a CREATE TABLE gives to columns which stand on lines of their own or after a comma."""
    if "collate" not in sql.lower():
        return {}
    body = sql[sql.find("(") + 1 :]
    found = {}
    for match in _COLLATE.finditer(_one_per_line(body)):
        name = next(group for group in match.groups()[:4] if group)
        found[name.lower()] = match[5].upper()
    return found


def _one_per_line(body: str) -> str:
    lines, depth = [""], 0
    for letter in body:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            lines.append("")
        else:
            lines[-1] += " " if letter == "\n" else letter
    return "\n".join(lines)


def _read_column(row: Row, collations: dict[str, str], counting: str | None) -> ReflectedColumn:
    _, name, declared, notnull, default, _, hidden = row
    spelling = (declared or "").lower()
    kind, numbers, stored_as = _read_type(spelling)
    is_text = kind in ("string", "text", "uuid")
    is_key = spelling == "integer" and name == counting
    is_generated = hidden in _HIDDEN_GENERATED
    nullable = not notnull and not is_key
    return ReflectedColumn(
        name=name,
        type=spelling,
        kind=kind,
        size=numbers[0] if kind in ("string", "binary") else None,
        bits=64 if kind in ("integer", "bigint") else None,
        precision=numbers[0] if kind == "decimal" else None,
        scale=numbers[1] if kind == "decimal" else None,
        nullable=nullable,
        has_default=default is not None or nullable or is_key or is_generated,
        default=None if is_generated else _read_default(default, kind, numbers[1], stored_as),
        is_generated=is_generated,
        auto_increment=is_key,
        collation=collations.get(name.lower(), "BINARY") if is_text else None,
        stored_as=stored_as,
        is_utc=kind == "datetime" and stored_as == "native",
    )


def _read_type(spelling: str) -> tuple[str | None, tuple[int | None, int | None], str]:
    """The kind of a declared type, its numbers, and how values are stored."""
    match = _SPELLING.fullmatch(spelling)
    if match is None:
        return None, (None, None), "native"
    word = match[1]
    numbers = (int(match[2]) if match[2] else None, int(match[3]) if match[3] else None)
    if word in _OWN_KINDS:
        return _OWN_KINDS[word], numbers, "native"
    kind = _KINDS.get(word) or _by_affinity(word, numbers)
    if kind == "decimal":
        numbers = (numbers[0], numbers[1] or 0)
    return kind, numbers, _STORED_AS.get(kind or "", "native")


def _by_affinity(word: str, numbers: tuple[int | None, int | None]) -> str | None:
    """SQLite's own rules, in its order."""
    if "int" in word:
        return "integer"
    if "char" in word or "clob" in word or "text" in word:
        return "string" if numbers[0] else "text"
    if "blob" in word or "binary" in word:
        return "binary"
    if "real" in word or "floa" in word or "doub" in word:
        return "float"
    if word in ("numeric", "decimal", "dec", "money", "number"):
        return "decimal" if numbers[0] else "float"
    return None


def _read_default(
    default: str | None, kind: str | None, scale: int | None, stored_as: str
) -> str | int | float | bool | None:
    if default is None:
        return None
    quoted = _QUOTED.fullmatch(default.strip())
    if quoted and kind == "boolean":
        return read_truth(quoted[1]) if spelling_of_truth(quoted[1]) != "truth" else None
    if quoted:
        return quoted[1].replace("''", "'") if kind in ("string", "text", "uuid") else None
    value = default.strip()
    if kind == "boolean" and value.lower() in ("true", "false", "0", "1"):
        return value.lower() in ("true", "1")
    if not _NUMBER.fullmatch(value):
        return None
    if kind == "decimal":
        return str(Decimal(value).scaleb(-(scale or 0))) if stored_as == "native" else value
    if kind == "float":
        return float(value)
    return int(value) if kind in ("integer", "bigint") and "." not in value else None


async def _look(structure: Structure, table: str, column: ReflectedColumn) -> ReflectedColumn:
    """Look at one value of a foreign date or boolean column: SQLite lets anything stand there."""
    if column.kind not in ("date", "datetime", "boolean") or (
        column.stored_as == "native" and column.kind != "boolean"
    ):
        return column
    name, of = (part.replace('"', '""') for part in (column.name, table))
    rows = await structure.fetch(f'SELECT typeof("{name}"), "{name}" FROM "{of}" WHERE "{name}" IS NOT NULL LIMIT 1')
    if column.kind == "boolean":
        is_word = bool(rows) and rows[0][0] == "text"
        return replace(column, stored_as=spelling_of_truth(rows[0][1])) if is_word else column
    if not rows or rows[0][0] == "text":
        holds_time = bool(rows) and len(rows[0][1]) > len("2026-01-31")
        return replace(column, stored_as=spelling_of_moment(rows[0][1])) if holds_time else column
    kinds = {"integer": "bigint", "real": "float"}
    return replace(column, kind=kinds.get(rows[0][0]), stored_as="native", bits=64 if rows[0][0] == "integer" else None)


def _read_indexes(rows: Iterable[Row]) -> tuple[ReflectedIndex, ...]:
    by_name: dict[str, list[Row]] = {}
    for row in rows:
        if row[3] != "pk":
            by_name.setdefault(row[1], []).append(row)
    return tuple(
        ReflectedIndex(
            name=name,
            columns=tuple(part[5] for part in parts if part[5] is not None),
            is_unique=bool(parts[0][2]),
            # An index over an expression says nothing about the columns beside it.
            is_partial=bool(parts[0][4]) or any(part[5] is None for part in parts),
        )
        for name, parts in by_name.items()
    )


def _read_keys(rows: Iterable[Row], primary_keys: dict[str, tuple[str, ...]]) -> tuple[ReflectedForeignKey, ...]:
    by_id: dict[int, list[Row]] = {}
    for row in rows:
        by_id.setdefault(row[1], []).append(row)
    found = []
    for parts in by_id.values():
        target = parts[0][3]
        columns = tuple(part[4] for part in parts)
        if any(column is None for column in columns):
            # `REFERENCES t` alone means the key of t.
            columns = primary_keys.get(target.lower(), ())
        rule = str(parts[0][5]).lower()
        found.append(
            ReflectedForeignKey(
                columns=tuple(part[2] for part in parts),
                table=target,
                target_columns=columns,
                on_delete=rule if rule in ("cascade", "set null") else "restrict",  # type: ignore[arg-type]
            )
        )
    return tuple(reversed(found))
