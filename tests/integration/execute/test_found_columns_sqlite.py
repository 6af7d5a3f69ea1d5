"""Columns of SQLite databases that others made: however a value is spelled, it compares and sorts as what it means."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.found import Found, served

TYPES = "  thing: {table: thing, account: {none: shared}, search: [name, bought, day, opens, price, is_open]}\n"
# Six instants in six spellings, oldest first; what cannot be read; nothing.
ROWS = (
    ("a", "2009-01-01 00:00:00", "2009-01-01 00:00:00", "07:30", 0.98, 0),
    ("b", "2009-01-01T00:00:00.5Z", "2009-01-02", "08:00:00", 0.99, 1),
    ("c", "2009-01-01T02:00:01+01:00", "2009-01-03T10:00:00", "08:00:00.25", 2.675, "t"),
    ("d", "2009-01-02", "2009-01-04", "09:00", 10, "f"),
    ("e", "2009-01-02 00:00", "2009-01-05", "10:00:00", 0.1 + 0.2, 2),
    ("f", "2009-06-30T22:30:00", "2009-01-06", "23:59:59.999999", -1.005, "false"),
    ("g", "rubbish", "rubbish", "rubbish", "rubbish", None),
    ("h", None, None, None, None, None),
)  # fmt: skip


def ddl(moment: str = "DATETIME") -> list[str]:
    def literal(value: Any) -> str:
        return "NULL" if value is None else f"'{value}'" if isinstance(value, str) else repr(value)

    made = f"""CREATE TABLE thing (id INTEGER PRIMARY KEY, name NVARCHAR(20), bought {moment}, day DATE, opens TIME,
        price NUMERIC(10,2), is_open BOOLEAN)"""
    rows = ", ".join(f"({', '.join(map(literal, row))})" for row in ROWS)
    return [made, f"INSERT INTO thing (name, bought, day, opens, price, is_open) VALUES {rows}"]


@pytest.fixture(scope="module")
async def found(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Found]:
    path = tmp_path_factory.mktemp("found")
    async with served(f"sqlite:///{path / 'test.sqlite3'}", path, TYPES, ddl()) as one:
        yield one


async def test_found_columns_are_shown_in_one_spelling(found: Found) -> None:
    shown = {row["name"]: row for row in await found.search("thing")}
    assert {name: row["bought"] for name, row in shown.items()} == {
        "a": "2009-01-01T00:00:00Z",
        "b": "2009-01-01T00:00:00.500000Z",
        "c": "2009-01-01T01:00:01Z",
        "d": "2009-01-02T00:00:00Z",
        "e": "2009-01-02T00:00:00Z",
        "f": "2009-06-30T22:30:00Z",
        "g": None,
        "h": None,
    }
    assert [shown[name]["day"] for name in "abcgh"] == ["2009-01-01", "2009-01-02", "2009-01-03", None, None]
    assert [shown[name]["opens"] for name in "abcg"] == ["07:30:00", "08:00:00", "08:00:00.250000", None]
    assert [shown[name]["price"] for name in "abcdefgh"] == [
        "0.98", "0.99", "2.68", "10.00", "0.30", "-1.01", None, None,
    ]  # fmt: skip
    assert [shown[name]["is_open"] for name in "abcdefgh"] == [False, True, True, False, True, False, None, None]
    for name in "abcdefgh":
        await found.one("thing", name)


@pytest.mark.parametrize(
    ("filter_", "names"),
    [
        ({"bought": "2009-01-02T00:00:00Z"}, "d e"),
        ({"bought": {"in": ["2009-01-01T00:00:00.500000Z", "2009-01-01T01:00:01Z"]}}, "b c"),
        ({"bought": {"gt": "2009-01-01T00:00:00Z"}}, "b c d e f"),
        ({"bought": {"lte": "2009-01-01T01:00:01Z"}}, "a b c"),
        ({"bought": {"between": ["2009-01-01T00:00:00.1Z", "2009-01-02T00:00:00Z"]}}, "b c d e"),
        ({"bought": "2009-01-01"}, "a b c"),
        ({"bought": {"gt": "2009-01-01"}}, "d e f"),
        ({"bought": {"null": True}}, "g h"),
        ({"bought": {"ne": "2009-01-02T00:00:00Z"}}, "a b c f g h"),
        ({"year(bought)": 2009}, "a b c d e f"),
        ({"month(bought)": {"gt": 1}}, "f"),
        ({"date(bought)": "2009-01-02"}, "d e"),
        ({"hour(bought)": 1}, "c"),
        ({"not": {"bought": {"lt": "2009-01-02T00:00:00Z"}}}, "d e f g h"),
        ({"day": "2009-01-03"}, "c"),
        ({"day": {"between": ["2009-01-01", "2009-01-03"]}}, "a b c"),
        ({"day": {"lt": "2009-01-02"}}, "a"),
        ({"weekday(day)": 4}, "a"),
        ({"bought": {"lt": "2009-01-01T00:00:00.6Z"}, "day": {"gt": "2009-01-01"}}, "b"),
        ({"opens": "08:00:00"}, "b"),
        ({"opens": {"gt": "08:00:00"}}, "c d e f"),
        ({"opens": {"null": True}}, "g h"),
        ({"price": "0.99"}, "b"),
        ({"price": "0.3"}, "e"),
        ({"price": "2.68"}, "c"),
        ({"price": {"in": ["10", "-1.01"]}}, "d f"),
        ({"price": {"between": ["0.98", "0.99"]}}, "a b"),
        ({"price": {"gt": "0.98"}}, "b c d"),
        ({"price": {"null": False}}, "a b c d e f"),
        ({"is_open": True}, "b c e"),
        ({"is_open": False}, "a d f"),
        ({"is_open": {"ne": True}}, "a d f g h"),
        ({"is_open": {"null": True}}, "g h"),
    ],
)
async def test_found_columns_compare_as_what_they_mean(found: Found, filter_: object, names: str) -> None:
    assert await found.names("thing", filter_) == names
    rest = set("abcdefgh") - set(names.split())
    assert await found.names("thing", {"not": filter_}) == " ".join(sorted(rest))


async def test_a_time_zone_of_a_search_is_heeded_in_found_columns(found: Found) -> None:
    assert await found.names("thing", {"date(bought)": "2009-07-01"}, timezone="Europe/Berlin") == "f"
    assert await found.names("thing", {"bought": "2009-07-01"}, timezone="Europe/Berlin") == "f"
    assert await found.names("thing", {"bought": "2009-07-01"}) == ""


@pytest.mark.parametrize(
    ("sort", "names"),
    [
        ("bought", "g h a b c d e f"),
        ("-bought", "f e d c b a h g"),
        ("-bought:nulls_first", "h g f e d c b a"),
        ("day", "g h a b c d e f"),
        ("-opens", "f e d c b a h g"),
        ("price", "g h f e a b c d"),
        ("-price", "d c b a e f h g"),
        ("is_open", "g h a d f b c e"),
    ],
)
async def test_found_columns_sort_and_page(found: Found, sort: str, names: str) -> None:
    assert await found.walk("thing", sort) == names
    assert await found.walk("thing", sort, limit=3) == names


@pytest.mark.parametrize(
    ("example", "written", "fraction"),
    [
        ("2009-01-01 00:00:00", "2026-02-11 14:03:00", "2026-02-11 14:03:00.250000"),
        ("2009-01-01T00:00:00", "2026-02-11T14:03:00", "2026-02-11T14:03:00.250000"),
        ("2009-01-01T00:00:00Z", "2026-02-11T14:03:00Z", "2026-02-11T14:03:00.250000Z"),
    ],
)
async def test_what_is_written_is_spelled_as_the_column_spells(
    sqlite_url: str, tmp_path: Path, example: str, written: str, fraction: str
) -> None:
    statements = [
        "CREATE TABLE thing (id INTEGER PRIMARY KEY, name NVARCHAR(20), bought DATETIME, day DATE, opens TIME,"
        " price NUMERIC(10,2), is_open BOOLEAN)",
        f"INSERT INTO thing (name, bought, day, price, is_open) VALUES ('a', '{example}', '{example}', 0.99, 't')",
    ]
    async with served(sqlite_url, tmp_path, TYPES, statements) as found:
        body = {
            "name": "n", "bought": "2026-02-11T15:03:00+01:00", "day": "2026-02-11", "opens": "08:00:00",
            "price": "1.10", "is_open": False,
        }  # fmt: skip
        made = await found.write("POST", "thing/", body)
        assert {**body, "bought": "2026-02-11T14:03:00Z"}.items() <= made.items()
        assert await found.stored("thing", "bought", "n") == written
        assert await found.stored("thing", "day", "n") == example.replace("2009-01-01", "2026-02-11")
        assert await found.stored("thing", "opens", "n") == "08:00:00"
        assert await found.stored("thing", "price", "n") == 1.1
        assert await found.stored("thing", "is_open", "n") == "f"
        etag = (await found.client.get(f"/v3/crud/thing/{made['id']}")).header("etag")
        body = {"bought": "2026-02-11T14:03:00.25Z", "price": "0.30"}
        await found.write("PATCH", f"thing/{made['id']}", body, headers={"If-Match": str(etag)})
        assert await found.stored("thing", "bought", "n") == fraction
        stale = await found.client.send(
            "PATCH", f"/v3/crud/thing/{made['id']}", {"price": "0.31"}, headers={"If-Match": str(etag)}
        )
        assert stale.status == 412
        assert await found.names("thing", {"price": "0.3", "bought": {"gt": "2026-02-11T14:03:00Z"}}) == "n"


async def test_columns_of_text_and_numbers_are_what_they_are_declared_to_be(sqlite_url: str, tmp_path: Path) -> None:
    types = """
  thing:
    table: thing
    account: {none: shared}
    search: [name, bought, price]
    fields:
      bought: {type: datetime}
      price: {type: "decimal(10,2)"}
"""
    statements = [
        "CREATE TABLE thing (id INTEGER PRIMARY KEY, name TEXT, bought TEXT, price INTEGER)",
        "INSERT INTO thing (name, bought, price) VALUES ('a', '2009-01-01T00:00:00Z', 2), ('b', '2009-01-02', 0.5)",
    ]
    async with served(sqlite_url, tmp_path, types, statements) as found:
        assert [(await found.one("thing", name))["price"] for name in "ab"] == ["2.00", "0.50"]
        assert await found.names("thing", {"price": {"lt": "1"}}) == "b"
        assert await found.names("thing", {"bought": "2009-01-01"}) == "a"
        await found.write("POST", "thing/", {"name": "c", "bought": "2009-01-01T12:00:00Z", "price": "0.25"})
        assert await found.walk("thing", "bought") == "a c b"
        assert await found.walk("thing", "-price") == "a b c"
