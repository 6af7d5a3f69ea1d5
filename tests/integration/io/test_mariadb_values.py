"""Values to and from MariaDB: both of its protocols yield the same, and binds are safe in both."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import ValueRefused
from engine.io.database import Database
from tests.support.databases import opened

at = datetime.fromisoformat
pytestmark = pytest.mark.mariadb

COLUMNS = {
    "tiny": "TINYINT(1)",
    "big": "BIGINT",
    "huge": "BIGINT UNSIGNED",
    "amount": "DECIMAL(20,4)",
    "small_float": "FLOAT",
    "wide_float": "DOUBLE",
    "name": "VARCHAR(200)",
    "story": "MEDIUMTEXT",
    "raw": "VARBINARY(200)",
    "made": "DATETIME(6)",
    "stamped": "TIMESTAMP(6) NULL",
    "day": "DATE",
    "clock": "TIME(6)",
    "plain_clock": "TIME",
    "year_no": "YEAR",
    "bits": "BIT(9)",
    "document": "JSON",
    "choice": "ENUM('a','b')",
    "old": "VARCHAR(20) CHARACTER SET latin1",
}


@pytest.fixture(params=[True, False], ids=["prepared", "text"])
async def database(mariadb_url: str, request: pytest.FixtureRequest) -> AsyncIterator[Database]:
    async with opened(mariadb_url, database_pool_size=1, database_prepare=request.param) as database:
        columns = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
        await database.execute(f"CREATE TABLE thing (id BIGINT PRIMARY KEY AUTO_INCREMENT, {columns})")
        yield database


VALUES: list[tuple[str, object, object]] = [
    ("tiny", True, 1),
    ("tiny", -128, -128),
    ("big", -(2**63), -(2**63)),
    ("big", 2**63 - 1, 2**63 - 1),
    ("huge", 2**64 - 1, 2**64 - 1),
    ("amount", Decimal("-12.5"), "-12.5000"),
    ("amount", Decimal("1E+3"), "1000.0000"),
    ("amount", "0.0001", "0.0001"),
    ("small_float", 0.1, 0.10000000149011612),
    ("wide_float", 0.1, 0.1),
    ("wide_float", -1.7976931348623157e308, -1.7976931348623157e308),
    ("wide_float", 5e-324, 5e-324),
    ("name", 'O\'Neil \\ "x" %s %% 😀\x00\n\r\x1a', 'O\'Neil \\ "x" %s %% 😀\x00\n\r\x1a'),
    ("name", "trailing  ", "trailing  "),
    ("story", "x" * 300_000, "x" * 300_000),
    ("raw", bytes(range(200)), bytes(range(200))),
    ("raw", b"\xff'\\%s", b"\xff'\\%s"),
    ("made", at("2026-01-02T03:04:05.000006"), at("2026-01-02T03:04:05.000006")),
    ("made", at("1000-01-01"), at("1000-01-01")),
    ("made", at("9999-12-31T23:59:59.999999"), at("9999-12-31T23:59:59.999999")),
    ("stamped", at("2026-03-29T02:30:00"), at("2026-03-29T02:30:00")),
    ("day", date(2026, 2, 28), date(2026, 2, 28)),
    ("clock", time(8, 30), "08:30:00"),
    ("clock", time(8, 30, 1, 20), "08:30:01.000020"),
    ("clock", "-100:00:00.5", "-100:00:00.500000"),
    ("plain_clock", "838:59:59", "838:59:59"),
    ("plain_clock", time(0), "00:00:00"),
    ("year_no", 2026, 2026),
    ("bits", 257, 257),
    ("document", '{"a": [1, "é", null]}', '{"a": [1, "é", null]}'),
    ("choice", "b", "b"),
    ("old", "é", "é"),
    ("name", None, None),
    ("clock", None, None),
    ("bits", None, None),
]


@pytest.mark.parametrize(("column", "value", "expected"), VALUES)
async def test_a_value_goes_round_in_its_type(database: Database, column: str, value: object, expected: object) -> None:
    read = f"SELECT {column}, id FROM thing WHERE id = %s"
    for number in range(1, 4):
        await database.execute(f"INSERT INTO thing (id, {column}) VALUES (%s, %s)", (number, value))
        for _ in range(3):
            rows = await database.fetch(read, (number,))
            assert list(rows) == [(expected, number)]
            assert type(rows[0][0]) is type(expected)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("made", "0000-00-00 00:00:00"),
        ("made", "2026-00-00 00:00:00"),
        ("day", "0000-00-00"),
        ("day", "2026-02-00"),
        ("stamped", "0000-00-00 00:00:00"),
    ],
)
async def test_a_zero_date_is_null(database: Database, column: str, value: str) -> None:
    # Old data has them; our own sessions refuse to write them.
    await database.execute(f"SET STATEMENT sql_mode='' FOR INSERT INTO thing (id, {column}) VALUES (1, '{value}')")
    for _ in range(3):
        assert list(await database.fetch(f"SELECT {column} FROM thing WHERE id = %s", (1,))) == [(None,)]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("name", "x" * 201),
        ("tiny", 128),
        ("amount", "99999999999999999.0"),
        ("big", "five"),
        ("made", "yesterday"),
        ("choice", "c"),
        ("old", "😀"),
        ("document", "{"),
        ("huge", -1),
    ],
)
async def test_a_value_that_does_not_fit_is_refused_with_its_column(
    database: Database, column: str, value: object
) -> None:
    for _ in range(3):
        with pytest.raises(ValueRefused) as caught:
            await database.execute(f"INSERT INTO thing ({column}) VALUES (%s)", (value,))
        assert caught.value.column == column


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
async def test_a_number_that_is_none_is_refused(database: Database, value: float) -> None:
    for _ in range(3):
        with pytest.raises(ValueRefused):
            await database.execute("INSERT INTO thing (wide_float) VALUES (%s)", (value,))


async def test_a_value_of_an_unknown_type_is_a_fault_of_ours(database: Database) -> None:
    with pytest.raises(TypeError):
        await database.fetch("SELECT %s", (Path("x"),))
    assert await database.ping() >= 0


async def test_case_and_trailing_spaces_count_in_our_sessions(database: Database) -> None:
    for _ in range(3):
        assert list(await database.fetch("SELECT %s = %s, %s = %s", ("a", "A", "a", "a "))) == [(0, 0)]


async def test_hundreds_of_shapes_are_prepared_and_let_go(database: Database) -> None:
    for _ in range(2):
        for number in range(450):
            assert list(await database.fetch(f"SELECT %s + {number}", (1,))) == [(number + 1,)]
    prepared = await database.fetch("SHOW STATUS LIKE 'Prepared_stmt_count'")
    assert int(prepared[0][1]) < 10_000


async def test_binary_values_of_all_kinds_are_escaped(database: Database) -> None:
    samples: list[bytes] = []

    @given(st.binary(max_size=150))
    @settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def collect(value: bytes) -> None:
        samples.append(value)

    collect()
    await database.execute("INSERT INTO thing (id) VALUES (1)")
    for number, value in enumerate(samples):
        # A text of its own each time, so that half of them are literals.
        tail = f" AND id < {number + 2}" if number % 2 else ""
        await database.execute(f"UPDATE thing SET raw = %s WHERE id = 1{tail}", (value,))
        assert list(await database.fetch("SELECT raw FROM thing WHERE raw = %s", (value,))) == [(value,)]


async def test_a_statement_that_cannot_be_prepared_runs_as_text(database: Database) -> None:
    for _ in range(4):
        assert len(await database.fetch("SHOW STATUS LIKE %s", ("Threads_connected",))) == 1


LATER_SHAPES: list[tuple[str, tuple[object, ...]]] = [
    ("EXPLAIN SELECT id FROM thing WHERE name = %s", ("x",)),
    ("SELECT %s AS a, %s AS b, %s", ("a", 1, None)),
    ("SELECT id FROM thing WHERE id IN (%s, %s, %s) ORDER BY id LIMIT %s OFFSET %s", (1, 2, 2, 5, 1)),
    (
        "(SELECT id, name FROM thing WHERE big = %s ORDER BY id DESC LIMIT %s)"
        " UNION ALL (SELECT id, name FROM thing WHERE big = %s ORDER BY id LIMIT %s)",
        (1, 2, None, 2),
    ),
    (
        "SELECT COUNT(*) FROM thing a WHERE EXISTS (SELECT 1 FROM thing b WHERE b.big = a.big AND b.name = %s)"
        " AND (SELECT COUNT(*) FROM thing c WHERE c.id = a.id) >= %s",
        ("n1", 1),
    ),
    (
        "SELECT made >= %s, made + INTERVAL %s DAY, DATE(made) = %s FROM thing ORDER BY id",
        ("2026-01-02", 3, "2026-01-01"),
    ),
    ("SELECT JSON_EXTRACT(document, %s), JSON_VALUE(document, %s) FROM thing ORDER BY id", ("$.a", "$.a")),
    ("SELECT amount = %s, amount > %s, CAST(%s AS DECIMAL(20,4)) FROM thing ORDER BY id", ("1.5", "1.49999", "2.5")),
    ("SELECT name LIKE %s ESCAPE '!', name REGEXP %s FROM thing ORDER BY id", ("%n!_%", "^n")),
    ("SET STATEMENT max_statement_time=1 FOR SELECT COUNT(*) FROM thing WHERE name <> %s", ("x",)),
]


@pytest.mark.parametrize(("sql", "binds"), LATER_SHAPES, ids=[sql[:30] for sql, _ in LATER_SHAPES])
async def test_the_second_and_third_run_yield_what_the_first_did(
    database: Database, sql: str, binds: tuple[object, ...]
) -> None:
    insert = "INSERT INTO thing (name, big, made, document, amount) VALUES (%s, %s, %s, %s, %s)"
    for number in range(1, 4):
        made = f"2026-01-0{number} 10:00:00"
        await database.execute(insert, (f"n{number}", number % 2, made, f'{{"a": {number}}}', f"{number}.5"))
    first = list(await database.fetch(sql, binds))
    for _ in range(3):
        assert list(await database.fetch(sql, binds)) == first
    assert first
