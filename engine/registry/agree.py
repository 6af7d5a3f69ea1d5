"""What the registry says of a column beside what the database says: tightening is taken, loosening refused.

Both sides come as values. How a field is made of the two is `fields.py`'s business.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from engine.registry.findings import Path, Report
from engine.registry.grammar import FieldDeclaration
from engine.registry.parsing import DEFAULT_PRECISION, DEFAULT_SCALE, DEFAULT_SIZES
from engine.registry.reflection import Dialect, ReflectedColumn, ReflectedTable

_TYPE = re.compile(r"([a-z]+)(?:\(\s*([0-9]{1,9})\s*(?:,\s*([0-9]{1,9})\s*)?\))?")
_PLAIN = frozenset({"text", "integer", "bigint", "float", "boolean", "date", "time", "datetime", "json", "uuid"})
FIELD_TYPES = ("string", "decimal", "email", "uri", "binary", *sorted(_PLAIN))
MAX_STRING = 16_000

_TEXTS = frozenset({"string", "text", "uuid", "email", "uri", "enum"})
_WHOLE = frozenset({"integer", "bigint", "boolean"})
# Declared kind → reflected kinds whose columns hold it.
_HOLDS: dict[str, frozenset[str]] = {
    **dict.fromkeys(_TEXTS, _TEXTS),
    **dict.fromkeys(("integer", "bigint", "boolean", "relation"), _WHOLE),
    "decimal": frozenset({"decimal"}),
    "float": frozenset({"float", "decimal"}),
    "date": frozenset({"date"}),
    "datetime": frozenset({"datetime"}),
    "time": frozenset({"time"}),
    "json": frozenset({"json", "text", "string"}),
    "binary": frozenset({"binary"}),
}
# SQLite has no such types of its own: the column's type says little of what is in it.
_SQLITE_HOLDS: dict[str, frozenset[str]] = {
    "decimal": frozenset({"float", "integer", "bigint"}),
    "float": _WHOLE,
    **dict.fromkeys(("date", "datetime", "time"), frozenset({"text", "string"})),
}
_BITS = {"integer": 32, "bigint": 64}


@dataclass(frozen=True, slots=True)
class FieldType:
    """A field type taken apart."""

    kind: str
    size: int | None = None
    precision: int | None = None
    scale: int | None = None


def read_type(text: str) -> FieldType | None:
    """A field type as the registry spells it, or None where it is none."""
    match = _TYPE.fullmatch(text.strip())
    if match is None:
        return None
    kind, first, second = match[1], *(int(part) if part else None for part in match.groups()[1:])
    if kind in _PLAIN:
        return FieldType(kind) if first is None else None
    if kind == "decimal":
        precision = DEFAULT_PRECISION if first is None else first
        scale = second if second is not None else (DEFAULT_SCALE if first is None else 0)
        return FieldType(kind, None, precision, scale) if 1 <= precision <= 65 and scale <= min(precision, 38) else None
    if kind not in FIELD_TYPES or second is not None or first == 0:
        return None
    if kind == "binary":
        return FieldType(kind, first)
    return FieldType(kind, first or DEFAULT_SIZES[kind]) if (first or 0) <= MAX_STRING else None


def check_agreement(
    said: FieldDeclaration,
    wanted: FieldType,
    table: ReflectedTable,
    column: ReflectedColumn,
    dialect: Dialect,
    path: Path,
    report: Report,
) -> bool:
    """Report where a declared field wants more than its column gives.

    Returns:
        Whether the column holds values of the declared kind at all.
    """
    theirs = f"the database has {table.name}.{column.name}: {_spell(column)}"
    if not _is_held(wanted.kind, column, dialect):
        report.add(
            "R306", (*path, "type" if said.type else "ref" if said.ref else "enum"),
            f"{path[-1]} is declared {wanted.kind}, but its column is {column.type}",
            notes=(theirs,), help="leave `type` out, or change the column",
        )  # fmt: skip
        return False
    for key, message, help_ in _loosenings(said, wanted, column, dialect):
        report.add("R305", (*path, key), f"{path[-1]} {message}", notes=(theirs,), help=help_)
    return True


# ---------------------------------------------------------------- private


def _is_held(kind: str, column: ReflectedColumn, dialect: Dialect) -> bool:
    held = _HOLDS[kind] | (_SQLITE_HOLDS.get(kind, frozenset()) if dialect == "sqlite" else frozenset())
    return column.kind in held


def _loosenings(
    said: FieldDeclaration, wanted: FieldType, column: ReflectedColumn, dialect: Dialect
) -> Iterator[tuple[str, str, str]]:
    sized = min([size for size in (wanted.size, said.max_length) if size is not None], default=None)
    if said.type and wanted.kind in _TEXTS and wanted.kind != "uuid" and column.size and dialect != "sqlite":
        if sized is None and column.kind == "string":
            yield "type", f"takes any length, its column {column.size} characters", f"say string({column.size}) or less"
        elif sized is not None and sized > column.size:
            help_ = f"say at most {column.size}, or widen the column"
            yield "type", f"takes {sized} characters, its column {column.size}", help_
    if said.max_length and column.size and said.max_length > column.size and not said.type:
        help_ = f"say at most {column.size}"
        yield "max_length", f"takes {said.max_length} characters, its column {column.size}", help_
    if wanted.kind in _BITS and column.bits and column.bits < _BITS[wanted.kind] and said.type == "bigint":
        yield "type", f"is a bigint, its column has {column.bits} bits", "say `integer`"
    if wanted.kind == "decimal" and column.kind == "decimal" and column.precision and said.type:
        ours, theirs = (wanted.precision or 0) - (wanted.scale or 0), column.precision - (column.scale or 0)
        if ours > theirs or (wanted.scale or 0) > (column.scale or 0):
            help_ = f"say decimal({column.precision},{column.scale or 0}) or less"
            yield "type", "has more digits than its column", help_
    if said.nullable and not column.nullable:
        yield "nullable", "takes null, its column does not", "leave `nullable` out"
    if said.required is False and not column.nullable and not column.has_default and said.default is None:
        yield "required", "may be left out, its column may not", "leave `required` out, or give a `default`"
    if said.enum and column.enum:
        more = [value for value in said.enum if value not in column.enum]
        if more:
            yield "enum", f"takes {', '.join(more)}, its column does not", f"the column takes {', '.join(column.enum)}"


def _spell(column: ReflectedColumn) -> str:
    return column.type + ("" if column.nullable else " NOT NULL")
