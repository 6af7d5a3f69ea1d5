"""What a migration plans, without a database."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.plan.shape import Dialect
from engine.registry.reflection import ReflectedColumn, ReflectedDatabase, ReflectedTable
from engine.registry.resource import AccountRule, Field, Index, Registry, Relation
from engine.sql.migration import MigrationRefused, plan_migration
from engine.sql.rebuild import Source, with_key
from tests.support.library import BOOK, EMPTY, LIBRARY, REGISTRY, SHELF

PAGE = ReflectedTable(
    name="Page",
    columns={
        "BookId": ReflectedColumn(name="BookId", type="int(11)", kind="integer", bits=32, nullable=False),
        "Number": ReflectedColumn(name="Number", type="int(11)", kind="integer", bits=32, nullable=False),
    },
    primary_key=("BookId", "Number"),
)
PAGE_TYPE = replace(
    LIBRARY,
    name="page",
    table="Page",
    key="row_id",
    public_id=None,
    version=None,
    account=AccountRule(kind="none"),
    fields={"number": Field(name="number", column="Number", kind="integer")},
)
PAGES = Registry(types={"page": PAGE_TYPE})


def _descriptions(registry: Registry, reflection: ReflectedDatabase) -> list[str]:
    return [step.description for step in plan_migration(registry, reflection)]


@pytest.mark.parametrize("dialect", ["mariadb", "sqlite"])
def test_tables_are_created_after_those_they_point_at(dialect: Dialect) -> None:
    assert _descriptions(REGISTRY, EMPTY[dialect]) == [
        "library: create the table, with 4 columns and 1 index",
        "shelf: create the table, with 6 columns and 3 indexes",
        "book: create the table, with 15 columns and 7 indexes",
    ]


def test_tables_that_point_at_one_another_get_a_key_afterwards_on_mariadb() -> None:
    favourite = Field(
        name="favourite_id", column="favourite_id", kind="relation", role="relation", relation="favourite"
    )
    shelf = replace(
        SHELF,
        fields={**SHELF.fields, "favourite_id": favourite},
        relations={
            **SHELF.relations,
            "favourite": Relation(name="favourite", kind="one", target="book", field="favourite_id"),
        },
    )
    circle = replace(REGISTRY, types={**REGISTRY.types, "shelf": shelf})
    assert _descriptions(circle, EMPTY["mariadb"])[-1] == (
        "book: add the foreign key to shelf, which is created later than the table"
    )
    assert len(_descriptions(circle, EMPTY["sqlite"])) == 3


def test_a_table_of_others_gets_a_key_public_ids_and_versions_and_nothing_else() -> None:
    found = ReflectedDatabase(dialect="mariadb", tables={"Page": PAGE})
    steps = plan_migration(PAGES, found)
    assert [(step.description, step.statements, step.after) for step in steps] == [
        (
            "Page: add the unique whole number `row_id`, since the table has no single integer key",
            ("ALTER TABLE `Page` ADD COLUMN `row_id` BIGINT NOT NULL AUTO_INCREMENT UNIQUE",),
            (),
        ),
        (
            "Page: add the columns `id_random` (public ids), `row_version` (changes with every write)",
            (
                "ALTER TABLE `Page` ADD COLUMN id_random CHAR(22) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin,"
                " ADD COLUMN row_version BIGINT NOT NULL DEFAULT 1",
            ),
            (),
        ),
        (
            "Page: give every row without one a random public id in `id_random`, and make them unique",
            (),
            (
                "ALTER TABLE `Page` MODIFY COLUMN id_random CHAR(22) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin"
                " NOT NULL, ADD UNIQUE INDEX `uq_Page__id_random` (`id_random`)",
            ),
        ),
    ]


def test_ids_that_a_crash_left_half_done_are_finished() -> None:
    half = ReflectedColumn(name="id_random", type="char(22)", kind="string", size=22, collation="utf8mb4_nopad_bin")
    row_id = ReflectedColumn(name="row_id", type="bigint(20)", kind="bigint", nullable=False)
    version = replace(row_id, name="row_version")
    columns = {**PAGE.columns, "row_id": row_id, "row_version": version, "id_random": half}
    found = ReflectedDatabase(dialect="mariadb", tables={"Page": replace(PAGE, columns=columns)})
    (step,) = plan_migration(PAGES, found)
    assert step.fill is not None
    assert step.after[0].startswith("ALTER TABLE `Page` MODIFY COLUMN id_random")


def test_a_table_of_sqlite_without_a_key_is_rebuilt_from_its_own_text() -> None:
    source = Source(
        "CREATE TABLE [Page] (\n  [BookId] INTEGER NOT NULL, -- PRIMARY KEY\n  [Number] INTEGER DEFAULT (1),\n"
        "  \"primary key\" TEXT CHECK (x <> 'PRIMARY KEY'),\n  PRIMARY  KEY ([BookId], [Number])\n) WITHOUT ROWID",
        ("CREATE INDEX i ON Page (Number)",),
    )
    found = ReflectedDatabase(dialect="sqlite", tables={"Page": PAGE})
    steps = plan_migration(PAGES, found, sources={"Page": source})
    assert steps[0].statements == (
        'DROP TABLE IF EXISTS "aether_rebuilt_Page"',
        'CREATE TABLE "aether_rebuilt_Page" (\n    "row_id" INTEGER PRIMARY KEY AUTOINCREMENT,\n'
        "  [BookId] INTEGER NOT NULL, -- PRIMARY KEY\n  [Number] INTEGER DEFAULT (1),\n"
        "  \"primary key\" TEXT CHECK (x <> 'PRIMARY KEY'),\n  UNIQUE ([BookId], [Number])\n)",
        'INSERT INTO "aether_rebuilt_Page" ("BookId", "Number") SELECT "BookId", "Number" FROM "Page"',
        'DROP TABLE "Page"',
        'ALTER TABLE "aether_rebuilt_Page" RENAME TO "Page"',
        "CREATE INDEX i ON Page (Number)",
    )


def test_a_text_key_becomes_unique() -> None:
    assert with_key("CREATE TABLE if not exists t (code TEXT PRIMARY KEY DESC, n INT)", "t", "row_id") == (
        'CREATE TABLE "t" (\n    "row_id" INTEGER PRIMARY KEY AUTOINCREMENT,code TEXT UNIQUE, n INT)'
    )


def test_the_account_is_copied_from_the_parent_when_asked_for() -> None:
    bare = replace(BOOK, account=AccountRule(kind="inherited"), version=None, indexes=())
    columns = {
        name: ReflectedColumn(name=name, type="bigint(20)", kind="bigint", nullable=False)
        for name in ("id", "id_random", "row_version", "deleted_on", *(f.column or "" for f in BOOK.fields.values()))
        if name != "library_id"
    }
    table = ReflectedTable(name="book", columns=columns, primary_key=("id",))
    found = ReflectedDatabase(dialect="mariadb", tables={"book": table})
    bare = replace(bare, fields={name: one for name, one in bare.fields.items() if name != "library_id"})
    registry = replace(REGISTRY, types={**REGISTRY.types, "book": bare})
    steps = plan_migration(registry, found, add_account_column=True)
    assert (
        "UPDATE `book` SET `account_id` = (SELECT above.`library_id` FROM `shelf` AS above"
        " WHERE above.`id` = `book`.`shelf_id`) WHERE `account_id` IS NULL",
    ) in [step.statements for step in steps]
    assert not [step for step in plan_migration(registry, found) if "account_id" in step.description]


def test_a_declared_index_that_mariadb_cannot_hold_is_refused_before_anything_is_changed() -> None:
    wide = {name: Field(name=name, column=name, kind="string", size=255) for name in ("a", "b", "c", "d")}
    shelf = replace(SHELF, fields={**SHELF.fields, **wide}, indexes=(Index(tuple(wide)),))
    registry = replace(REGISTRY, types={**REGISTRY.types, "shelf": shelf})
    with pytest.raises(MigrationRefused, match="shelf: the index over a, b, c, d takes up to 4088 bytes"):
        plan_migration(registry, EMPTY["mariadb"])
    assert plan_migration(registry, EMPTY["sqlite"])


def test_a_view_is_left_alone() -> None:
    view = replace(PAGE, is_view=True)
    registry = Registry(types={"page": replace(PAGE_TYPE, is_view=True)})
    assert plan_migration(registry, ReflectedDatabase(dialect="mariadb", tables={"Page": view})) == ()
