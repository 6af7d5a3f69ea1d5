"""Columns that others made: however a value is spelled, the clause says of it what Python says of its meaning."""

from __future__ import annotations

import operator
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import bindparam, column, select, table
from sqlalchemy.dialects import sqlite

from engine.operators import SQLITE_FUNCTIONS, build_leaf, subject_of
from engine.registry.kinds import KINDS
from engine.registry.resource import Field

MOMENT = Field(name="x", column="x", kind="datetime", stored_as="datetime_text")
PRICE = Field(name="x", column="x", kind="decimal", precision=18, scale=2, stored_as="real")
COMPARISONS: dict[str, Callable[[object, object], bool]] = {
    "eq": operator.eq, "lt": operator.lt, "lte": operator.le, "gt": operator.gt, "gte": operator.ge,
}  # fmt: skip


def connect(declared: str) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    for name, function in SQLITE_FUNCTIONS.items():
        connection.create_function(name, function.arguments, function.call, deterministic=function.is_deterministic)
    connection.execute(f"CREATE TABLE t (x {declared})")
    connection.execute("CREATE INDEX i ON t (x)")
    return connection


def clause(field: Field, name: str, *, negated: bool = False) -> str:
    count = 2 if name == "between" else 1
    subject = subject_of(column("x"), field, None, None, "sqlite")
    built = build_leaf(name, subject, [bindparam(f"v{i}") for i in range(count)], negated=negated)
    return str(
        select(column("x")).select_from(table("t")).where(built).compile(dialect=sqlite.dialect(paramstyle="named"))
    )


def found(connection: sqlite3.Connection, field: Field, name: str, *operands: object) -> bool:
    binds = {f"v{i}": value for i, value in enumerate(operands)}
    plain = connection.execute(clause(field, name), binds).fetchall()
    negated = connection.execute(clause(field, name, negated=True), binds).fetchall()
    assert len(plain) + len(negated) == 1
    return bool(plain)


@pytest.mark.parametrize("field", [MOMENT, PRICE])
@pytest.mark.parametrize("name", ["eq", "lt", "gte", "between"])
def test_an_index_over_the_stored_values_narrows_a_search(field: Field, name: str) -> None:
    connection = connect("DATETIME" if field is MOMENT else "NUMERIC(18,2)")
    binds = dict.fromkeys(("v0", "v1"), "2009-01-01 00:00:00.000000" if field is MOMENT else 99)
    (plan,) = connection.execute(f"EXPLAIN QUERY PLAN {clause(field, name)}", binds).fetchall()
    assert plan[3].startswith("SEARCH t USING COVERING INDEX i"), plan


moments = st.datetimes(min_value=datetime(1, 1, 3), max_value=datetime(9999, 12, 29))  # noqa: DTZ001 - naive UTC
near = st.timedeltas(min_value=timedelta(hours=-30), max_value=timedelta(hours=30))


@given(moments, near, st.integers(-14 * 60, 14 * 60), st.sampled_from([" ", "T"]), st.booleans(), st.data())
def test_moments_in_any_spelling_compare_by_the_instant(
    moment: datetime, apart: timedelta, offset: int, between: str, has_offset: bool, data: st.DataObject
) -> None:
    try:
        operand = moment + apart
    except OverflowError:
        return
    if has_offset:
        zone = timezone(timedelta(minutes=offset))
        spelled = moment.replace(tzinfo=UTC).astimezone(zone).isoformat(between)
    else:
        spelled = moment.isoformat(between) + data.draw(st.sampled_from(["", "Z", " UTC"]))
    connection = connect("DATETIME")
    connection.execute("INSERT INTO t VALUES (?)", (spelled,))
    bound = operand.isoformat(" ", "microseconds")
    for name, compare in COMPARISONS.items():
        assert found(connection, MOMENT, name, bound) is compare(moment, operand)
    same = moment.isoformat(" ", "microseconds")
    assert found(connection, MOMENT, "eq", same)
    assert found(connection, MOMENT, "between", *sorted((same, bound)))


@given(st.integers(-(10**16), 10**16), st.integers(-3, 3))
def test_doubles_compare_as_decimals_of_their_places(units: int, apart: int) -> None:
    stored = units / 100
    shown = KINDS["decimal"].render["sqlite"](PRICE)
    assert shown is not None
    number = int(Decimal(str(shown(stored))).scaleb(2))
    connection = connect("NUMERIC(18,2)")
    connection.execute("INSERT INTO t VALUES (?)", (stored,))
    for name, compare in COMPARISONS.items():
        assert found(connection, PRICE, name, number + apart) is compare(number, number + apart)
    assert found(connection, PRICE, "between", number, number)
