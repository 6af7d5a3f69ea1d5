"""Columns that we did not make, brought to the form in which our own columns compare.

What is selected to be shown stays as it is stored (`registry/storing.py` renders it). What is compared, sorted and
kept in a cursor is what these make of it, so that operands are the same whatever the column. Which column is
stored how stands in `Field.stored_as`; ``native`` ones are left alone, and keep their indexes.

A column that keeps a zone's clocks (`Field.zone`) is compared in UTC on SQLite. On MariaDB it is compared and sorted
as it stands, so that indexes serve: there operands are made such clocks (`plan/operands.py`), and only functions and
comparisons with other fields make instants of the column.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement

from engine.operators.dates import clock_time
from engine.operators.fragment import Dialect, Subject, sql
from engine.registry.resource import Field
from engine.registry.spellings import (
    MOMENT_SPELLINGS,
    TRUTH_SPELLINGS,
    WIDE,
    read_clock,
    read_day,
    read_moment,
    read_number,
    read_truth,
)
from engine.registry.storing import SQLITE_MAX, scale_of
from engine.registry.zones import clock_of

Expr = ColumnElement[Any]

_SQLITE = {"date": "aether_day({0})", "datetime": "aether_moment({0})", "time": "aether_clock({0})"}
# Operator → which of its values is a lower bound, and which an upper one.
_BOUNDS: dict[str, tuple[int | None, int | None]] = {
    "eq": (0, 0), "lt": (None, 0), "lte": (None, 0), "gt": (0, None), "gte": (0, None), "between": (0, 1),
}  # fmt: skip
# JSON in a text column is JSON's own operators' business (`operators/json.py`).
_AS_THEY_ARE = frozenset({"native", "enum", "json_text"})
_NARROWING = frozenset({"date_text", "real", *MOMENT_SPELLINGS})
_UNREADABLE = frozenset({"date_text", "time_text", "real", *MOMENT_SPELLINGS})


def comparable(column: Expr, field: Field, dialect: Dialect) -> Expr:
    """A stored column as operators compare it."""
    stored = field.stored_as
    if stored in ("native", "json_text"):
        return column
    if stored in TRUTH_SPELLINGS:
        return sql("({0} <> 0)" if dialect == "mariadb" else "aether_truth({0})", column)
    if dialect == "mariadb":
        return as_double(column, field)
    if stored == "real":
        return sql("aether_decimal({0}, " + str(scale_of(field)) + ")", column)
    if field.zone is not None:
        return sql("aether_instant({0}, '" + field.zone + "')", column)
    if field.kind in _SQLITE:
        return sql(_SQLITE[field.kind], column)
    return column


def sortable(column: Expr, field: Field, dialect: Dialect) -> Expr:
    """A stored column as orders and positions compare it."""
    if field.stored_as == "enum":
        # MariaDB sorts an ENUM by its number and compares it by its text: only the number does both alike.
        return sql("({0} + 0)", column)
    return comparable(column, field, dialect)


def position(expr: Expr, field: Field) -> Expr:
    """A sort key as a cursor keeps it."""
    # The driver gives a zero date as none, but it does not sort as NULL does: its text does.
    return sql("CAST({0} AS CHAR)", expr) if field.stored_as == "zero" else expr


def as_double(column: Expr, field: Field) -> Expr:
    """MariaDB shows six digits of a FLOAT, and compares others: as a DOUBLE it shows what it compares."""
    return sql("CAST({0} AS DOUBLE)", column) if field.stored_as == "single" else column


def subject_of(
    column: Expr, field: Field, function: str | None, zone: str | None, dialect: Dialect, *, beside_field: bool = False
) -> Subject:
    """A stored column, with its function, as the operators take it.

    Args:
        column: As it is stored.
        field: Its field.
        function: Of the path.
        zone: Of the function.
        dialect: For which database.
        beside_field: It is compared with another field, and not with operands.
    """
    if field.zone is not None and dialect == "mariadb":
        if function is not None or beside_field:
            column = clock_time(column, field.zone, zone or "UTC" if function is not None else "UTC")
        return Subject(column, as_compared(field), function, None, dialect)
    if field.stored_as in _AS_THEY_ARE:
        return Subject(column, field, function, zone, dialect)
    expr = comparable(column, field, dialect)
    narrows = dialect == "sqlite" and function is None and field.stored_as in _NARROWING
    stored = column if narrows else None
    return Subject(expr, as_compared(field), function, zone, dialect, stored, field.stored_as)


def narrow(operator: str, subject: Subject, binds: Sequence[Expr]) -> list[Expr]:
    """Clauses that an index over the stored column can serve, and that no row misses which the operator finds.

    Whole days before and behind, since an offset moves an instant by less than a day; and one unit of the last place.
    """
    if subject.stored is None or operator not in _BOUNDS:
        return []
    low, high = _BOUNDS[operator]
    if subject.stored_as == "real":
        unit = str(10 ** scale_of(subject.field)) + ".0"
        # A double of 17 digits is not exact to the unit.
        slack = "(1 + abs({1}) / 1000000000)"
        below, above = f"({{1}} - {slack}) / {unit}", f"({{1}} + {slack}) / {unit}"
    else:
        # SQLite counts to the year 9999; "A" is behind all digits.
        below, above = "date({1}, '-1 day')", "coalesce(date({1}, '+2 days'), 'A')"
    clauses = []
    if low is not None:
        clauses.append(sql("({0} >= " + below + ")", subject.stored, binds[low]))
    if high is not None:
        clauses.append(sql("({0} <= " + above + ")", subject.stored, binds[high]))
    return clauses


def may_be_unreadable(field: Field) -> bool:
    """Whether `comparable` may make NULL of something: what cannot be read is answered as null, and sorts as that."""
    return field.stored_as in _UNREADABLE


def as_compared(field: Field) -> Field:
    """The field that describes what `comparable` makes: operands are bound as for a column of our own."""
    is_own = field.stored_as in _AS_THEY_ARE and field.zone is None
    return field if is_own else replace(field, stored_as="native", zone=None)


# ---------------------------------------------------------------- what SQLite calls


def sqlite_moment(value: object) -> str | None:
    """``aether_moment(text)``: 26 characters."""
    moment = read_moment(value)
    return None if moment is None else moment.isoformat(" ", "microseconds")


def sqlite_instant(value: object, zone: object) -> str | None:
    """``aether_instant(text, zone)``: what a stored clock of the zone means, as ``aether_moment`` spells it."""
    moment = read_moment(value, clock_of(str(zone)))
    return None if moment is None else moment.isoformat(" ", "microseconds")


def sqlite_day(value: object) -> str | None:
    """``aether_day(text)``: ``YYYY-MM-DD``."""
    day = read_day(value)
    return None if day is None else day.isoformat()


def sqlite_clock(value: object) -> str | None:
    """``aether_clock(text)``: ``HH:MM:SS.ffffff``."""
    clock = read_clock(value)
    return None if clock is None else clock.isoformat("microseconds")


def sqlite_decimal(value: object, scale: int) -> int | float | None:
    """``aether_decimal(number, places)``: a whole number, scaled by its places."""
    number = read_number(value, scale)
    if number is None:
        return None
    scaled = int(number.scaleb(scale, context=WIDE))
    return scaled if abs(scaled) <= SQLITE_MAX else float(scaled)


def sqlite_truth(value: object) -> int | None:
    """``aether_truth(value)``: 0 or 1."""
    return None if value is None else int(read_truth(value))
