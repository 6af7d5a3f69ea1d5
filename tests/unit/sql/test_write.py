"""Write shapes as whole statements, for each dialect."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.plan.rights import rights_of
from engine.plan.shape import Dialect, Viewer
from engine.plan.write import DeleteShape, FamilyShape, HoldShape, InsertShape, StampShape, UpdateShape, WriteShape
from engine.sql.setting import Setting
from engine.sql.write import build_write
from engine.tables import build_tables
from tests.support.registries import example_registry, principal_of

REGISTRY = example_registry()
RIGHTS = rights_of(REGISTRY, principal_of("*:*"))
ONE = Viewer(1, RIGHTS.key)
TWO = Viewer(2, RIGHTS.key)
ALL = Viewer(0, RIGHTS.key)


def build(shape: WriteShape, dialect: Dialect) -> tuple[str, tuple[str, ...]]:
    setting = Setting(REGISTRY, build_tables(REGISTRY, dialect), dialect, shape.viewer, RIGHTS)
    statement = build_write(shape, setting)
    return " ".join(statement.text.split()), statement.binds


@pytest.mark.parametrize(
    ("shape", "mariadb", "sqlite", "binds"),
    [
        (
            InsertShape("person", ONE, ("id_random", "email"), returning=("email",)),
            "INSERT INTO person (id_random, email) VALUES (%s, %s) RETURNING person.id, person.email",
            "INSERT INTO person (id_random, email) VALUES (?, ?) RETURNING id, email",
            ("s0", "s1"),
        ),
        (
            InsertShape("journal_entry", ONE, ("title", "journal_id"), ("journal",)),
            "INSERT INTO journal_entry (title, journal_id) SELECT %s AS anon_1, %s AS anon_2 FROM DUAL WHERE EXISTS "
            "(SELECT 1 FROM journal AS t1 WHERE t1.id = %s AND t1.account_id = %s AND t1.deleted_on IS NULL "
            "LOCK IN SHARE MODE) RETURNING journal_entry.id",
            "INSERT INTO journal_entry (title, journal_id) SELECT ? AS anon_1, ? AS anon_2 WHERE EXISTS "
            "(SELECT 1 FROM journal AS t1 WHERE t1.id = ? AND t1.account_id = ? AND t1.deleted_on IS NULL) "
            "RETURNING id",
            ("s0", "s1", "target0", "account0"),
        ),
        (
            UpdateShape("journal", TWO, ("name",)),
            "UPDATE journal SET name=%s, row_version=(journal.row_version + 1) WHERE journal.id = %s AND "
            "journal.row_version = %s AND journal.account_id IN (%s, %s) AND journal.deleted_on IS NULL",
            "UPDATE journal SET name=?, row_version=(journal.row_version + 1) WHERE journal.id = ? AND "
            "journal.row_version = ? AND journal.account_id IN (?, ?) AND journal.deleted_on IS NULL",
            ("s0", "row_id", "version", "account0", "account1"),
        ),
        (
            UpdateShape("person", ALL, ("email",), compares=("email",)),
            "UPDATE person SET email=%s, row_version=(person.row_version + 1) WHERE person.id = %s AND "
            "person.row_version = %s AND person.email <=> %s",
            "UPDATE person SET email=?, row_version=(person.row_version + 1) WHERE person.id = ? AND "
            "person.row_version = ? AND person.email IS ?",
            ("s0", "row_id", "version", "w0"),
        ),
        (
            DeleteShape("person", ONE),
            "DELETE FROM person WHERE person.id = %s AND person.row_version = %s AND person.account_id = %s",
            "DELETE FROM person WHERE person.id = ? AND person.row_version = ? AND person.account_id = ?",
            ("row_id", "version", "account0"),
        ),
        (
            FamilyShape("journal_entry", ONE, "journal_id", 2, "find"),
            "SELECT journal_entry.id, journal_entry.id_random, journal_entry.account_id FROM journal_entry WHERE "
            "journal_entry.journal_id IN (%s, %s) AND journal_entry.account_id = %s FOR UPDATE",
            "SELECT journal_entry.id, journal_entry.id_random, journal_entry.account_id FROM journal_entry WHERE "
            "journal_entry.journal_id IN (?, ?) AND journal_entry.account_id = ?",
            ("parent0", "parent1", "account0"),
        ),
        (
            StampShape("journal", ONE),
            "SELECT journal.deleted_on FROM journal WHERE journal.id = %s AND journal.account_id = %s",
            "SELECT journal.deleted_on FROM journal WHERE journal.id = ? AND journal.account_id = ?",
            ("row_id", "account0"),
        ),
        (
            HoldShape("journal", ONE),
            "SELECT 1 FROM journal WHERE journal.id = %s AND journal.account_id = %s FOR UPDATE",
            "SELECT 1 FROM journal WHERE journal.id = ? AND journal.account_id = ?",
            ("row_id", "account0"),
        ),
    ],
)
def test_statements(shape: WriteShape, mariadb: str, sqlite: str, binds: tuple[str, ...]) -> None:
    assert build(shape, "mariadb") == (mariadb, binds)
    assert build(shape, "sqlite") == (sqlite, binds)


@pytest.mark.parametrize("dialect", ["mariadb", "sqlite"])
@pytest.mark.parametrize("type_name", sorted(REGISTRY.types))
def test_no_write_of_an_account_bound_row_leaves_without_its_account(type_name: str, dialect: Dialect) -> None:
    shapes: list[WriteShape] = [
        UpdateShape(type_name, ONE, ()),
        DeleteShape(type_name, ONE),
        HoldShape(type_name, ONE),
        InsertShape("journal_entry", ONE, ("title",), (type_name,)),
    ]
    for shape in shapes:
        assert "account0" in build(shape, dialect)[1]
        assert "account0" not in build(replace(shape, viewer=ALL), dialect)[1]
