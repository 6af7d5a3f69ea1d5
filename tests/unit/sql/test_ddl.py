"""DDL, whole statements, for both dialects."""

from __future__ import annotations

import pytest
from sqlalchemy import Column

from engine.plan.shape import Dialect
from engine.registry.reflection import ReflectedColumn, ReflectedDatabase, ReflectedTable
from engine.sql import ddl
from engine.tables import IndexPart, TableIndex, build_tables
from tests.support.library import REGISTRY

BOOK = {
    "mariadb": """\
CREATE TABLE IF NOT EXISTS book (
	id BIGINT NOT NULL AUTO_INCREMENT,
	id_random CHAR(22) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
	library_id BIGINT NOT NULL,
	shelf_id BIGINT NOT NULL,
	title VARCHAR(200) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
	summary MEDIUMTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin,
	price DECIMAL(8, 2) DEFAULT '9.90',
	state VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL DEFAULT 'it''s new',
	is_lent TINYINT(1) NOT NULL DEFAULT 0,
	published_on DATE,
	opens_at TIME(6),
	extra JSON,
	sequel_id BIGINT,
	row_version BIGINT NOT NULL DEFAULT 1,
	deleted_on DATETIME(6) COMMENT 'UTC',
	PRIMARY KEY (id),
	CONSTRAINT fk_book__library_id FOREIGN KEY(library_id) REFERENCES library (id) ON DELETE RESTRICT,
	CONSTRAINT fk_book__shelf_id FOREIGN KEY(shelf_id) REFERENCES shelf (id) ON DELETE RESTRICT,
	CONSTRAINT fk_book__sequel_id FOREIGN KEY(sequel_id) REFERENCES book (id) ON DELETE RESTRICT
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_nopad_bin""",
    "sqlite": """\
CREATE TABLE IF NOT EXISTS book (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	id_random CHAR(22) NOT NULL,
	library_id INTEGER NOT NULL,
	shelf_id INTEGER NOT NULL,
	title VARCHAR(200) NOT NULL,
	summary TEXT,
	price DECIMAL_INT(8,2) DEFAULT 990,
	state VARCHAR(64) DEFAULT 'it''s new' NOT NULL,
	is_lent BOOLEAN DEFAULT 0 NOT NULL,
	published_on DATE_TEXT,
	opens_at TIME_TEXT,
	extra JSON_TEXT,
	sequel_id INTEGER,
	row_version BIGINT DEFAULT 1 NOT NULL,
	deleted_on DATETIME_TEXT,
	CONSTRAINT fk_book__library_id FOREIGN KEY(library_id) REFERENCES library (id) ON DELETE RESTRICT,
	CONSTRAINT fk_book__shelf_id FOREIGN KEY(shelf_id) REFERENCES shelf (id) ON DELETE RESTRICT,
	CONSTRAINT fk_book__sequel_id FOREIGN KEY(sequel_id) REFERENCES book (id) ON DELETE RESTRICT
)""",
}


@pytest.mark.parametrize("dialect", ["mariadb", "sqlite"])
def test_a_table_is_created_with_its_keys_and_its_charset(dialect: Dialect) -> None:
    table = build_tables(REGISTRY, dialect).with_foreign_keys("book")
    assert ddl.create_table(table, dialect) == BOOK[dialect]


def test_a_foreign_key_can_be_left_for_later() -> None:
    table = build_tables(REGISTRY, "mariadb").with_foreign_keys("shelf")
    created = ddl.create_table(table, "mariadb", without=frozenset({"fk_shelf__library_id"}))
    assert "FOREIGN KEY" not in created
    (key,) = table.foreign_key_constraints
    assert ddl.alter_table("shelf", [ddl.foreign_key_added(key)], "mariadb") == (
        "ALTER TABLE `shelf` ADD CONSTRAINT fk_shelf__library_id FOREIGN KEY(library_id)"
        " REFERENCES library (id) ON DELETE RESTRICT"
    )


def test_mariadb_makes_the_indexes_along_with_the_table() -> None:
    table = build_tables(REGISTRY, "mariadb").with_foreign_keys("shelf")
    indexes = [
        TableIndex("one", "shelf", (IndexPart("id_random"),), True, (), ""),
        TableIndex("two", "shelf", (IndexPart("code"), IndexPart("id", True)), False, (), ""),
    ]
    assert ddl.create_table(table, "mariadb", indexes=indexes) == (
        ddl.create_table(table, "mariadb").removesuffix("\n)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_nopad_bin")
        + ",\n\tUNIQUE KEY `one` (`id_random`),\n\tKEY `two` (`code`, `id` DESC)"
        "\n)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_nopad_bin"
    )
    sqlite = build_tables(REGISTRY, "sqlite")["shelf"]
    assert ddl.create_table(sqlite, "sqlite", indexes=indexes) == ddl.create_table(sqlite, "sqlite")


@pytest.mark.parametrize(
    ("dialect", "expected"),
    [
        ("mariadb", "CREATE UNIQUE INDEX `a``b` ON `t` (`x`, `y` DESC)"),
        ("sqlite", 'CREATE UNIQUE INDEX IF NOT EXISTS "a`b" ON "t" ("x", "y" DESC)'),
    ],
)
def test_an_index_keeps_its_directions_and_any_name_is_quoted(dialect: Dialect, expected: str) -> None:
    index = TableIndex("a`b", "t", (IndexPart("x"), IndexPart("y", True)), True, (), "")
    assert ddl.create_index(index, dialect) == expected


@pytest.mark.parametrize(
    ("dialect", "expected"),
    [
        (
            "mariadb",
            "ADD COLUMN state VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL DEFAULT 'it''s new'",
        ),
        ("sqlite", "ADD COLUMN state VARCHAR(64) DEFAULT 'it''s new' NOT NULL"),
    ],
)
def test_a_column_is_added_with_its_default(dialect: Dialect, expected: str) -> None:
    column: Column[object] = build_tables(REGISTRY, dialect)["book"].c["state"]
    assert ddl.column_added(column, dialect, nullable=False) == expected


def test_a_column_that_points_somewhere_says_so_on_sqlite() -> None:
    column: Column[object] = build_tables(REGISTRY, "sqlite")["book"].c["sequel_id"]
    assert ddl.column_added(column, "sqlite", nullable=True, target=("book", "id")) == (
        'ADD COLUMN sequel_id INTEGER REFERENCES "book" ("id") ON DELETE RESTRICT'
    )


def test_several_changes_are_one_statement_on_mariadb() -> None:
    table = build_tables(REGISTRY, "mariadb").with_foreign_keys("book")
    (key,) = [key for key in table.foreign_key_constraints if key.name == "fk_book__sequel_id"]
    clauses = [
        ddl.column_added(table.c["sequel_id"], "mariadb", nullable=True),
        ddl.foreign_key_added(key),
        ddl.column_filled(table.c["is_lent"]),
        ddl.index_added(TableIndex("i", "book", (IndexPart("is_lent"),), True, (), "")),
    ]
    assert ddl.alter_table("book", clauses, "mariadb") == (
        "ALTER TABLE `book` ADD COLUMN sequel_id BIGINT, ADD CONSTRAINT fk_book__sequel_id"
        " FOREIGN KEY(sequel_id) REFERENCES book (id) ON DELETE RESTRICT,"
        " MODIFY COLUMN is_lent TINYINT(1) NOT NULL DEFAULT 0, ADD UNIQUE INDEX `i` (`is_lent`)"
    )


@pytest.mark.parametrize(
    ("type_", "expected"), [("int(10) unsigned", "INT(10) UNSIGNED"), ("smallint(6)", "SMALLINT(6)")]
)
def test_a_foreign_key_has_the_type_of_the_key_it_points_at(type_: str, expected: str) -> None:
    key = ReflectedColumn(name="id", type=type_, kind="integer", nullable=False, auto_increment=True)
    found = ReflectedDatabase(
        dialect="mariadb", tables={"shelf": ReflectedTable(name="shelf", columns={"id": key}, primary_key=("id",))}
    )
    created = ddl.create_table(build_tables(REGISTRY, "mariadb", found).with_foreign_keys("book"), "mariadb")
    assert f"\tshelf_id {expected} NOT NULL,\n" in created
    assert "\tlibrary_id BIGINT NOT NULL,\n" in created
