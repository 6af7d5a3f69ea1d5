"""Data files put into databases: the same rows with the same ids, once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.io.database import Database
from engine.io.migrate import migrate
from engine.io.seed import SeedRefused, seed, seed_id
from engine.registry.resource import Field
from tests.support.databases import opened
from tests.support.library import REGISTRY

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
FILE = """\
library:
  town: {name: "Town & Country: 50 %"}
shelf:
  north: {library_id: "@town", code: A1, created_on: 2026-01-05T08:30:00Z}
  south: {library_id: "@town", code: B2}
book:
  tides: {shelf_id: "@north", title: Tides, price: "12.50", is_lent: true, published_on: 2025-12-31, extra: {pages: 2}}
  tides_again: {id: theIdThatItHadBefore01, shelf_id: "@south", title: Tides again, sequel_id: "@tides", state: worn}
unknown_type:
  what: {name: Passed over}
"""


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    await migrate(database_url, lambda _: REGISTRY)
    async with opened(database_url) as database:
        yield database


def _write(folder: Path, text: str) -> Path:
    path = folder / "data.yaml"
    path.write_text(text, encoding="utf-8")
    return path


async def test_rows_are_made_with_their_accounts_defaults_and_relations(database: Database, tmp_path: Path) -> None:
    done = await seed(database, REGISTRY, _write(tmp_path, FILE), now=NOW)
    assert (done.made, done.kept) == ({"library": 1, "shelf": 2, "book": 2}, {})
    shelves = await database.fetch("SELECT id_random, library_id, code, row_version, created_on FROM shelf ORDER BY id")
    assert [tuple(row[:4]) for row in shelves] == [
        (seed_id("shelf", "north"), 1, "A1", 1),
        (seed_id("shelf", "south"), 1, "B2", 1),
    ]
    assert [str(row[4])[:19] for row in shelves] == ["2026-01-05 08:30:00", "2026-03-01 12:00:00"]
    books = await database.fetch(
        "SELECT id_random, library_id, shelf_id, title, state, is_lent, extra, sequel_id FROM book ORDER BY id"
    )
    assert [tuple(row) for row in books] == [
        (seed_id("book", "tides"), 1, 1, "Tides", "it's new", 1, '{"pages":2}', None),
        ("theIdThatItHadBefore01", 1, 2, "Tides again", "worn", 0, None, 1),
    ]
    prices = await database.fetch("SELECT price FROM book ORDER BY id")
    assert [row[0] for row in prices] == ([1250, 990] if database.dialect == "sqlite" else ["12.50", "9.90"])


async def test_a_second_run_changes_nothing_and_new_rows_find_the_old_ones(database: Database, tmp_path: Path) -> None:
    await seed(database, REGISTRY, _write(tmp_path, FILE), now=NOW)
    more = FILE.replace(
        "unknown_type:", '  third: {shelf_id: "@south", title: Third, sequel_id: "@tides_again"}\nunknown_type:'
    )
    done = await seed(database, REGISTRY, _write(tmp_path, more), now=NOW)
    assert (done.made, done.kept) == ({"book": 1}, {"library": 1, "shelf": 2, "book": 2})
    assert [
        tuple(row) for row in await database.fetch("SELECT sequel_id, library_id FROM book WHERE title = 'Third'")
    ] == [(2, 1)]


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("{shelf_id: '@north', titel: X}", "book.b: has no field 'titel'\nbook.b: lacks title"),
        ("{shelf_id: '@north', title: 5}", "book.b: "),
        ("{shelf_id: '@town', title: X}", "book.b: shelf_id is '@town', which is no shelf above it"),
        ("{shelf_id: north, title: X}", "book.b: shelf_id is 'north', which is no shelf above it"),
        ("{title: X}", "book.b: lacks its account, or a parent that has one"),
        ("{id: short, shelf_id: '@north', title: X}", "book.b: 'short' is no public id"),
        ("[1]", "book.b: expected fields"),
    ],
)
async def test_a_row_that_does_not_fit_is_named_and_nothing_is_written(
    database: Database, tmp_path: Path, row: str, fault: str
) -> None:
    required = {
        **REGISTRY.types["book"].fields,
        "title": replace(REGISTRY.types["book"].fields["title"], required=True),
    }
    registry = replace(REGISTRY, types={**REGISTRY.types, "book": replace(REGISTRY.types["book"], fields=required)})
    text = f"library:\n  town: {{name: T}}\nshelf:\n  north: {{library_id: '@town', code: A}}\nbook:\n  b: {row}\n"
    with pytest.raises(SeedRefused) as refused:
        await seed(database, registry, _write(tmp_path, text))
    assert str(refused.value).startswith(fault)
    assert list(await database.fetch("SELECT id FROM library")) == []


async def test_a_password_is_stored_as_its_hash(database: Database, tmp_path: Path) -> None:
    password = Field(name="name", column="name", kind="string", size=100, secret=True, password=True)
    library = replace(REGISTRY.types["library"], fields={**REGISTRY.types["library"].fields, "name": password})
    registry = replace(REGISTRY, types={**REGISTRY.types, "library": library})
    await seed(database, registry, _write(tmp_path, "library:\n  town: {name: open sesame}\n"))
    ((stored,),) = await database.fetch("SELECT name FROM library")
    assert stored.startswith("$argon2id$")
