"""Migrations on real databases: what is made, that a second run has nothing to do, and that two never run at once."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from engine.errors import UniqueViolated
from engine.io import migrate as module
from engine.io import structure as structure_module
from engine.io.migrate import MigrationRunning, migrate, pending
from engine.io.own_tables import latest_revision
from engine.io.reflect import reflect
from engine.io.structure import StructureFault, open_structure
from engine.language.ids import is_public_id
from engine.registry.reflection import ReflectedDatabase
from engine.registry.resource import AccountRule, Field, Index, Parent, Registry, Relation
from engine.tables import fields_of_index
from tests.support.databases import opened
from tests.support.library import BOOK, LIBRARY, REGISTRY, SHELF

ROWS = (
    "INSERT INTO library (id_random, name) VALUES ('aaaaaaaaaaaaaaaaaaaaaa', 'Town')",
    "INSERT INTO shelf (id_random, library_id, code, created_on)"
    " VALUES ('bbbbbbbbbbbbbbbbbbbbbb', 1, 'A1', '2026-01-01')",
)
# What somebody else made: a link table without a key of its own, and its targets.
THEIRS = (
    "CREATE TABLE Reader (ReaderId INTEGER PRIMARY KEY, Name VARCHAR(40) NOT NULL)",
    "CREATE TABLE Loan (ReaderId INTEGER NOT NULL, Title VARCHAR(40) NOT NULL, PRIMARY KEY (ReaderId, Title),"
    " FOREIGN KEY (ReaderId) REFERENCES Reader (ReaderId))",
    "CREATE INDEX loan_title ON Loan (Title)",
    "INSERT INTO Reader VALUES (1, 'Ada'), (2, 'Bo')",
    *(f"INSERT INTO Loan VALUES ({1 + i % 2}, 'Book {i:04}')" for i in range(40)),
)


def _load(_: ReflectedDatabase) -> Registry:
    return REGISTRY


def _load_theirs(found: ReflectedDatabase) -> Registry:
    def type_(name: str, key: str, *fields: Field, **more: object) -> object:
        has_ids = "id_random" in found.tables[name].columns
        return replace(
            LIBRARY, name=name.lower(), table=name, key=key, public_id="id_random" if has_ids else None, version=None,
            account=AccountRule(kind="none"), fields={field.name: field for field in fields}, **more,  # type: ignore[arg-type]
        )  # fmt: skip

    reader_id = Field(name="reader_id", column="ReaderId", kind="relation", role="parent", relation="reader")
    title = Field(name="title", column="Title", kind="string", size=40)
    loan = type_(
        "Loan", "row_id", reader_id, title,
        relations={"reader": Relation(name="reader", kind="one", target="reader", field="reader_id")},
        parents=(Parent(type="reader", field="reader_id", segment="loan"),),
    )  # fmt: skip
    reader = type_("Reader", "ReaderId", Field(name="name", column="Name", kind="string", size=40))
    return Registry(types={"reader": reader, "loan": loan})  # type: ignore[dict-item]


async def _run(url: str, *statements: str) -> None:
    async with open_structure(url) as structure:
        for statement in statements:
            await structure.execute(statement)


async def _rows(url: str, sql: str) -> list[tuple[object, ...]]:
    async with open_structure(url) as structure:
        return [tuple(row) for row in await structure.fetch(sql)]


async def test_an_empty_database_gets_all_tables_and_a_second_run_nothing(database_url: str) -> None:
    said: list[str] = []
    steps = await migrate(database_url, _load, say=said.append)
    assert said == [step.description for step in steps]
    assert said[0] == f"bring the engine's own tables (aether_…) to revision {latest_revision()}"
    assert len(said) == 4
    assert await migrate(database_url, _load) == ()
    assert await pending(database_url, _load) == ()
    assert await _rows(database_url, "SELECT version_num FROM aether_alembic_version") == [(latest_revision(),)]
    await _run(database_url, *ROWS)
    with pytest.raises(StructureFault):
        await _run(database_url, "DELETE FROM library")


async def test_a_dry_run_says_what_it_would_do_and_does_nothing(database_url: str) -> None:
    said: list[str] = []
    assert len(await migrate(database_url, _load, is_dry=True, say=said.append)) == len(said) == 4
    assert (await reflect(database_url)).tables == {}


async def test_a_field_and_an_index_that_are_declared_later_are_added(database_url: str) -> None:
    await migrate(database_url, _load)
    await _run(database_url, *ROWS)
    colour = Field(
        name="colour", column="colour", kind="string", size=20, has_default=True, default="grey", nullable=False
    )
    room = Field(name="room", column="room", kind="integer", required=True, nullable=False)
    twin = Field(name="twin_id", column="twin_id", kind="relation", role="relation", relation="twin")
    shelf = replace(
        SHELF,
        fields={**SHELF.fields, "colour": colour, "room": room, "twin_id": twin},
        relations={**SHELF.relations, "twin": Relation(name="twin", kind="one", target="shelf", field="twin_id")},
        indexes=(Index(("colour", "-room")),),
    )
    later = replace(REGISTRY, types={**REGISTRY.types, "shelf": shelf})
    steps = await migrate(database_url, lambda _: later)
    assert [step.description for step in steps] == [
        "shelf: add the columns `colour`, `room`, `twin_id`",
        "shelf: add the index over colour, room descending (declared)",
        "shelf: add the index over twin_id, id (rows of a twin)",
    ]
    assert await migrate(database_url, lambda _: later) == ()
    # Rows that were there have the default, and nothing where there is none.
    assert await _rows(database_url, "SELECT colour, room, twin_id FROM shelf") == [("grey", None, None)]
    (key,) = [key for key in (await reflect(database_url)).tables["shelf"].foreign_keys if key.columns == ("twin_id",)]
    assert (key.table, key.on_delete) == ("shelf", "restrict")


async def test_tables_of_others_get_ids_versions_and_keys_and_keep_what_they_have(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FILLED_AT_ONCE", 7)
    await _run(database_url, *THEIRS)
    await migrate(database_url, _load_theirs)
    assert await migrate(database_url, _load_theirs) == ()
    rows = await _rows(database_url, "SELECT row_id, ReaderId, Title, id_random, row_version FROM Loan ORDER BY row_id")
    assert len(rows) == 40
    assert {row[1:3] for row in rows} == {(1 + i % 2, f"Book {i:04}") for i in range(40)}
    assert [row[0] for row in rows] == list(range(1, 41))
    assert len({row[3] for row in rows}) == 40
    assert all(is_public_id(row[3]) for row in rows)
    assert {row[4] for row in rows} == {1}
    loan = (await reflect(database_url)).tables["Loan"]
    assert loan.integer_key == "row_id"
    assert {("ReaderId", "Title"), ("id_random",)} <= loan.unique_sets
    assert [(key.columns, key.table) for key in loan.foreign_keys] == [(("ReaderId",), "Reader")]
    assert "loan_title" in {index.name for index in loan.indexes}
    # The new key counts on, and the keys still hold.
    await _run(
        database_url, "INSERT INTO Loan (ReaderId, Title, id_random) VALUES (1, 'New', 'cccccccccccccccccccccc')"
    )
    assert await _rows(database_url, "SELECT row_id FROM Loan WHERE Title = 'New'") == [(41,)]
    with pytest.raises(StructureFault):
        await _run(database_url, "INSERT INTO Loan (ReaderId, Title) VALUES (9, 'Nobody')")


async def test_a_migration_that_was_cut_off_goes_on_where_it_stopped(database_url: str) -> None:
    await _run(database_url, *THEIRS)
    steps = await migrate(database_url, _load_theirs, is_dry=True)
    for step in steps[:-1]:
        await _run(database_url, *step.statements)
    async with open_structure(database_url) as structure:
        await structure.execute("UPDATE Loan SET id_random = 'dddddddddddddddddddddd' WHERE Title = 'Book 0001'")
    await migrate(database_url, _load_theirs)
    assert await migrate(database_url, _load_theirs) == ()
    rows = await _rows(database_url, "SELECT id_random FROM Loan WHERE Title = 'Book 0001'")
    assert rows == [("dddddddddddddddddddddd",)]
    assert len(set(await _rows(database_url, "SELECT id_random FROM Loan"))) == 40


async def test_inherited_types_get_the_account_of_their_parents_when_asked(database_url: str) -> None:
    bare_book = replace(
        BOOK,
        account=AccountRule(kind="inherited"),
        fields={name: field for name, field in BOOK.fields.items() if name != "library_id"},
        indexes=(),
    )
    bare = replace(REGISTRY, types={**REGISTRY.types, "book": bare_book})
    await migrate(database_url, lambda _: bare)
    await _run(
        database_url,
        *ROWS,
        "INSERT INTO book (id_random, shelf_id, title, state) VALUES ('eeeeeeeeeeeeeeeeeeeeee', 1, 'T', 'worn')",
    )
    assert await pending(database_url, lambda _: bare) == ()
    steps = await migrate(database_url, lambda _: bare, add_account_column=True)
    assert [step.description for step in steps][:2] == [
        "book: add the column `account_id` (the account's row id)",
        "book: copy every row's account from its parent into `account_id`",
    ]
    assert await _rows(database_url, "SELECT account_id FROM book") == [(1,)]
    assert await migrate(database_url, lambda _: bare, add_account_column=True) == ()


async def test_a_refused_step_leaves_sqlite_as_it_was(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'doubled.sqlite'}"
    await migrate(url, _load)
    # The same code in two accounts, which an index of all accounts would not take.
    await _run(url, *ROWS, ROWS[0].replace("aaa", "ddd"), ROWS[1].replace("bbb", "ccc").replace(" 1,", " 2,"))
    narrow = replace(
        SHELF,
        fields={**SHELF.fields, "note": Field(name="note", column="note", kind="text")},
        unique=(Index(("code",), is_unique=True, name="code_alone"),),
    )
    with pytest.raises(StructureFault, match="UNIQUE"):
        await migrate(url, lambda _: replace(REGISTRY, types={**REGISTRY.types, "shelf": narrow}))
    assert "note" not in (await reflect(url)).tables["shelf"].columns


async def test_two_migrations_never_run_at_once(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOCK_WAIT_S", 0)
    monkeypatch.setattr(structure_module, "LOCK_WAIT_S", 1)
    refused: list[type[BaseException]] = []

    async def try_another() -> None:
        try:
            await migrate(database_url, _load)
        except MigrationRunning as fault:
            refused.append(type(fault))

    def load(_: ReflectedDatabase) -> Registry:
        # The lock is held while the registry is loaded. Another thread, since this one is busy here.
        thread = threading.Thread(target=asyncio.run, args=(try_another(),))
        thread.start()
        thread.join()
        return REGISTRY

    await migrate(database_url, load)
    assert refused == [MigrationRunning]


@pytest.mark.parametrize(
    ("statement", "fields"),
    [
        (ROWS[1].replace("bbb", "ccc"), ("code",)),
        (ROWS[1].replace("'A1'", "'A2'"), ("id",)),
    ],
)
async def test_a_duplicate_is_traced_to_its_fields(database_url: str, statement: str, fields: tuple[str, ...]) -> None:
    await migrate(database_url, _load)
    await _run(database_url, *ROWS)
    async with opened(database_url) as database:
        with pytest.raises(UniqueViolated) as violated:
            await database.execute(statement)
    assert fields_of_index(SHELF, violated.value.key) == fields


async def test_a_missing_database_file_is_made_with_its_folders(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "down" / "new.sqlite"
    await migrate(f"sqlite:///{path}", _load)
    assert path.exists()


async def test_a_rebuilt_table_keeps_views_triggers_generated_columns_and_who_points_at_it(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'rich.sqlite'}"
    await _run(
        url,
        "CREATE TABLE log (what TEXT)",
        "CREATE TABLE Part (code TEXT PRIMARY KEY NOT NULL COLLATE NOCASE, above TEXT REFERENCES Part (code),"
        " n INTEGER DEFAULT 3 CHECK (n > 0), twice INTEGER GENERATED ALWAYS AS (n * 2) STORED) WITHOUT ROWID",
        'CREATE TABLE "Uses, of PRIMARY KEY" (code TEXT REFERENCES Part (code) ON DELETE CASCADE)',
        "CREATE VIEW big_part AS SELECT code, twice FROM Part WHERE n > 2",
        "CREATE TRIGGER noted AFTER INSERT ON Part BEGIN INSERT INTO log VALUES (new.code); END",
        "CREATE INDEX part_n ON Part (n DESC)",
        "INSERT INTO Part (code, above, n) VALUES ('a', NULL, 1), ('b', 'a', 5)",
        "INSERT INTO \"Uses, of PRIMARY KEY\" VALUES ('b')",
        "DELETE FROM log",
    )
    part = replace(
        LIBRARY, name="part", table="Part", key="row_id", public_id=None, version=None,
        account=AccountRule(kind="none"), fields={"code": Field(name="code", column="code", kind="text")},
    )  # fmt: skip
    await migrate(url, lambda _: Registry(types={"part": part}))
    assert await _rows(url, "SELECT row_id, code, above, n, twice FROM Part ORDER BY row_id") == [
        (1, "a", None, 1, 2),
        (2, "b", "a", 5, 10),
    ]
    assert await _rows(url, "SELECT * FROM log") == []
    assert await _rows(url, "SELECT * FROM big_part") == [("b", 10)]
    await _run(url, "INSERT INTO Part (code, n) VALUES ('c', 7)", "DELETE FROM Part WHERE code = 'B'")
    assert await _rows(url, "SELECT * FROM log") == [("c",)]
    assert await _rows(url, 'SELECT * FROM "Uses, of PRIMARY KEY"') == []
    for refused in (
        "INSERT INTO Part (code, n) VALUES ('C', 1)",
        "INSERT INTO Part (code, n) VALUES ('d', 0)",
        "INSERT INTO Part (code, above) VALUES ('d', 'nobody')",
    ):
        with pytest.raises(StructureFault):
            await _run(url, refused)
