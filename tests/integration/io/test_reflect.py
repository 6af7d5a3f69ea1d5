"""Structures of real databases, read back."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from engine.io.migrate import migrate
from engine.io.reflect import reflect
from engine.registry.reflection import ReflectedColumn, ReflectedForeignKey, ReflectedIndex
from tests.support import chinook, services
from tests.support.library import BOOK, REGISTRY

MARIADB_TABLES = (
    "CREATE TABLE maker (id INT UNSIGNED PRIMARY KEY AUTO_INCREMENT, name VARCHAR(40) CHARACTER SET latin1"
    " COLLATE latin1_swedish_ci NOT NULL DEFAULT 'it''s', UNIQUE KEY whole (name), KEY begin (name(5)))"
    " CHARSET=utf8mb4 COLLATE utf8mb4_general_ci COMMENT 'who makes it'",
    "CREATE TABLE thing (code CHAR(4) COLLATE utf8mb4_bin PRIMARY KEY, maker_id INT UNSIGNED,"
    " state ENUM('on','it''s off','a,b') NOT NULL DEFAULT 'on', flags SET('x','y'), spot POINT,"
    " is_on TINYINT(1) DEFAULT 1, bit_on BIT(1), size TINYINT UNSIGNED, mass DECIMAL(12,3) DEFAULT 1.500, rate FLOAT,"
    " doc JSON, note TEXT, raw VARBINARY(16), made YEAR, made_on DATETIME(3) DEFAULT CURRENT_TIMESTAMP(3),"
    " twice INT GENERATED ALWAYS AS (size * 2) STORED, FULLTEXT KEY words (note),"
    " CONSTRAINT made_by FOREIGN KEY (maker_id) REFERENCES maker (id) ON DELETE SET NULL) CHARSET=utf8mb4",
    "CREATE VIEW big_thing AS SELECT code, size FROM thing WHERE size > 9",
    "CREATE TABLE aether_own (id INT PRIMARY KEY)",
)
SQLITE_TABLES = """
CREATE TABLE maker (id INTEGER PRIMARY KEY, name NVARCHAR(40) COLLATE NOCASE NOT NULL DEFAULT 'it''s');
CREATE UNIQUE INDEX whole ON maker (name);
CREATE INDEX some ON maker (name) WHERE id > 5;
CREATE INDEX folded ON maker (lower(name));
CREATE TABLE "a thing" (
    code TEXT, -- PRIMARY KEY
    maker INTEGER REFERENCES MAKER ON DELETE CASCADE, is_on BOOLEAN DEFAULT TRUE, mass NUMERIC(12, 3) DEFAULT 1.5,
    rate DOUBLE PRECISION, doc JSON, raw BLOB, made_on DATE, seen_on TIMESTAMP, at TIME, epoch DATETIME, size SMALLINT,
    twice INTEGER GENERATED ALWAYS AS (size * 2), odd FISH, loose, PRIMARY KEY (code, maker)
);
INSERT INTO "a thing" (code, made_on, epoch) VALUES ('x', '2026-01-31 10:00:00', 1700000000);
CREATE TABLE pair (id INTEGER, other INTEGER, PRIMARY KEY (id, other)) WITHOUT ROWID;
CREATE VIEW big AS SELECT code, size FROM "a thing";
CREATE VIEW broken AS SELECT * FROM gone;
CREATE VIRTUAL TABLE words USING fts5(body);
CREATE TABLE aether_own (id INTEGER PRIMARY KEY);
"""


async def test_the_tables_that_we_make_say_what_they_hold(database_url: str) -> None:
    await migrate(database_url, lambda _: REGISTRY)
    found = (await reflect(database_url)).tables["book"]
    assert found.integer_key == "id"
    assert found.columns["id"].auto_increment
    for field in BOOK.fields.values():
        column = found.columns[field.column or ""]
        kind = {"id": "string", "relation": column.kind, "enum": "string"}.get(field.kind, field.kind)
        assert (column.kind, column.stored_as) == (kind, "native"), column
        assert column.is_exact or kind == "json"
        assert column.precision == field.precision
        assert column.scale == field.scale
        if field.kind == "string":
            assert column.size == field.size
    assert {index.name: index.columns for index in found.indexes if index.is_unique} == {
        "uq_book__id_random": ("id_random",),
        "uq_book__shelf_id__title": ("shelf_id", "title"),
    }
    assert {(key.columns, key.table, key.on_delete) for key in found.foreign_keys} == {
        (("library_id",), "library", "restrict"),
        (("shelf_id",), "shelf", "restrict"),
        (("sequel_id",), "book", "restrict"),
    }
    defaults = {name: column.default for name, column in found.columns.items() if column.default is not None}
    assert defaults == {"price": "9.90", "state": "it's new", "is_lent": False, "row_version": 1}


@pytest.mark.mariadb
async def test_chinook_is_read_alike_from_both_databases(tmp_path: Path, mariadb_url: str) -> None:
    url = f"sqlite:///{tmp_path / 'chinook.sqlite'}"
    chinook.load(url)
    await asyncio.to_thread(chinook.load, mariadb_url)
    one, other = await reflect(url), await reflect(mariadb_url)
    assert list(one.tables) == list(other.tables)
    assert len(one.tables) == 11
    for name, table in one.tables.items():
        twin = other.tables[name]
        assert table.integer_key == twin.integer_key
        assert {(c.name, c.kind, c.size, c.scale, c.nullable) for c in table.columns.values()} == {
            (c.name, c.kind, c.size, c.scale, c.nullable) for c in twin.columns.values()
        }
        assert {(key.columns, key.table, key.target_columns) for key in table.foreign_keys} == {
            (key.columns, key.table, key.target_columns) for key in twin.foreign_keys
        }
        assert {index.columns for index in table.indexes} == {index.columns for index in twin.indexes}
    assert one.tables["PlaylistTrack"].integer_key is None
    assert one.tables["Invoice"].columns["Total"].stored_as == "real"
    assert one.tables["Invoice"].columns["InvoiceDate"].stored_as == "datetime_text"


@pytest.mark.mariadb
async def test_everything_that_mariadb_has_is_seen_as_what_it_is(mariadb_url: str) -> None:
    name = urlsplit(mariadb_url).path.strip("/")
    await asyncio.to_thread(services.run_on_mariadb, *MARIADB_TABLES, database=name)
    found = await reflect(mariadb_url)
    assert list(found.tables) == ["big_thing", "maker", "thing"]
    maker, thing = found.tables["maker"], found.tables["thing"]
    assert maker.comment == "who makes it"
    assert (maker.charset, maker.collation) == ("utf8mb4", "utf8mb4_general_ci")
    assert maker.columns["name"] == ReflectedColumn(
        name="name", type="varchar(40)", kind="string", size=40, nullable=False, has_default=True, default="it's",
        charset="latin1", collation="latin1_swedish_ci",
    )  # fmt: skip
    assert maker.columns["id"].unsigned
    assert maker.indexes == (
        ReflectedIndex("begin", ("name",), is_partial=True),
        ReflectedIndex("whole", ("name",), is_unique=True),
    )
    assert {name: column.kind for name, column in thing.columns.items()} == {
        "code": "string", "maker_id": "integer", "state": "enum", "flags": None, "spot": None, "is_on": "boolean",
        "bit_on": "boolean", "size": "integer", "mass": "decimal", "rate": "float", "doc": "json", "note": "text",
        "raw": "binary", "made": "integer", "made_on": "datetime", "twice": "integer",
    }  # fmt: skip
    assert thing.columns["state"].enum == ("on", "it's off", "a,b")
    assert (thing.columns["state"].default, thing.columns["is_on"].default, thing.columns["mass"].default) == (
        "on", True, "1.500",
    )  # fmt: skip
    assert thing.columns["made_on"].has_default
    assert thing.columns["made_on"].default is None
    assert thing.columns["twice"].is_generated
    assert (thing.columns["size"].bits, thing.columns["size"].unsigned) == (8, True)
    assert thing.integer_key is None
    assert thing.foreign_keys == (ReflectedForeignKey(("maker_id",), "maker", ("id",), "made_by", "set null"),)
    assert [index.kind for index in thing.indexes if index.name == "words"] == ["fulltext"]
    assert found.tables["big_thing"].is_view


async def test_everything_that_sqlite_has_is_seen_as_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "found.sqlite"
    with sqlite3.connect(path) as connection:
        connection.executescript(SQLITE_TABLES)
    connection.close()
    found = await reflect(f"sqlite:///{path}")
    assert list(found.tables) == ["a thing", "big", "broken", "maker", "pair"]
    maker, thing = found.tables["maker"], found.tables["a thing"]
    assert maker.columns["name"] == ReflectedColumn(
        name="name", type="nvarchar(40)", kind="string", size=40, nullable=False, has_default=True, default="it's",
        collation="NOCASE",
    )  # fmt: skip
    assert maker.columns["id"].auto_increment
    assert {index.name: (index.columns, index.is_unique, index.is_partial) for index in maker.indexes} == {
        "whole": (("name",), True, False),
        "some": (("name",), False, True),
        "folded": ((), False, True),
    }
    assert {name: (column.kind, column.stored_as) for name, column in thing.columns.items()} == {
        "code": ("text", "native"), "maker": ("integer", "native"), "is_on": ("boolean", "native"),
        "mass": ("decimal", "real"), "rate": ("float", "native"), "doc": ("json", "native"),
        "raw": ("binary", "native"),
        "made_on": ("date", "datetime_text"), "seen_on": ("datetime", "datetime_text"), "at": ("time", "time_text"),
        "epoch": ("bigint", "native"), "size": ("integer", "native"), "twice": ("integer", "native"),
        "odd": (None, "native"), "loose": (None, "native"),
    }  # fmt: skip
    assert (thing.columns["is_on"].default, thing.columns["mass"].default) == (True, "1.5")
    assert thing.columns["twice"].is_generated
    assert thing.foreign_keys == (ReflectedForeignKey(("maker",), "MAKER", ("id",), None, "cascade"),)
    assert found.table("MAKER") is maker
    assert found.tables["pair"].primary_key == ("id", "other")
    assert not found.tables["pair"].columns["id"].auto_increment
    assert found.tables["big"].is_view
    assert found.tables["broken"].columns == {}


async def test_a_thousand_tables_are_read_in_seconds(tmp_path: Path) -> None:
    path = tmp_path / "large.sqlite"
    with sqlite3.connect(path) as connection:
        columns = ", ".join(f"c{i} VARCHAR(40)" for i in range(12))
        connection.execute("BEGIN")
        for i in range(1000):
            connection.execute(
                f"CREATE TABLE t{i} (id INTEGER PRIMARY KEY, {columns}, up INTEGER REFERENCES t{i // 2})"
            )
            connection.execute(f"CREATE INDEX i{i} ON t{i} (up)")
    connection.close()
    began = time.perf_counter()
    found = await reflect(f"sqlite:///{path}")
    assert len(found.tables) == 1000
    # It takes 0.3 s; the rest is for machines that are busy with something else.
    assert time.perf_counter() - began < 3
