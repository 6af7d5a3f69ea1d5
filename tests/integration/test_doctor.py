"""The doctor on both databases: finds nothing in what we made, finds what was broken, and its plan mends it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.io.migrate import migrate
from engine.io.reflect import reflect_structure
from engine.io.seed import seed
from engine.io.structure import open_structure
from engine.registry.load import load_registry_text
from engine.registry.reflection import ReflectedDatabase
from engine.registry.resource import Registry
from engine.sql.doctor import Probe, probes_of
from tests.support.databases import opened

REGISTRY = """\
version: 1
types:
  account: {table: account, account: self, search: [name], fields: {name: {type: string(100)}}}
  person: {table: person, account: own, search: [name], fields: {name: {type: string(100)}}}
  journal: {table: journal, account: own, search: [name], fields: {name: {type: string(100)}, person_id: {ref: person}}}
  journal_entry:
    table: journal_entry
    account: inherited
    parent: journal
    search: [title]
    fields: {title: {type: string(100)}}
"""
DATA = """\
account: {ours: {name: Ours}, theirs: {name: Theirs}}
person: {ann: {account_id: "@ours", name: Ann}, bob: {account_id: "@theirs", name: Bob}}
journal: {notes: {account_id: "@ours", name: Notes, person_id: "@ann"}}
journal_entry: {one: {journal_id: "@notes", title: One}, two: {journal_id: "@notes", title: Two}}
"""
# What is done to the rows, and what the doctor says of it.
BREAKS = {
    "UPDATE person SET id_random = account_id": (
        "person.id: 2 rows have an id that no caller can use: not 11 to 64 letters, digits, _ or - (a number, perhaps)"
    ),
    "UPDATE journal_entry SET id_random = '' WHERE title = 'One'": (
        "journal_entry.id: 1 rows have no public id and cannot be reached"
    ),
    "UPDATE journal SET person_id = 4711": "journal.person_id: 1 rows point at no person",
    "UPDATE journal SET person_id = (SELECT id FROM person WHERE name = 'Bob')": (
        "journal.person_id: 1 rows point at a person of another account; callers read null there"
    ),
    "UPDATE journal_entry SET account_id = (SELECT id FROM account WHERE name = 'Theirs') WHERE title = 'Two'": (
        "journal_entry: 1 rows have another account than the journal they stand under"
    ),
}


def load(found: ReflectedDatabase) -> Registry:
    """The registry of these tests."""
    loaded = load_registry_text(REGISTRY, found)
    assert loaded.target is not None, loaded.findings
    return loaded.target


async def make(url: str, folder: Path) -> None:
    """Tables and healthy rows."""
    await migrate(url, load)
    (folder / "data.yaml").write_text(DATA)
    async with opened(url) as database, open_structure(url) as structure:
        await seed(database, load(await reflect_structure(structure)), folder / "data.yaml")


async def examine(structure: Any) -> dict[str, Probe]:
    """What the doctor complains about."""
    reflection = await reflect_structure(structure)
    found = {}
    for probe in probes_of(load(reflection), reflection):
        count = 1 if probe.count is None else (await structure.fetch(probe.count))[0][0]
        if count:
            found[f"{probe.subject}: {probe.complaint.format(count)}"] = probe
    return found


async def loosen(structure: Any) -> None:
    """Let the session write what foreign keys forbid, as imports do."""
    is_sqlite = structure.dialect == "sqlite"
    await structure.execute("PRAGMA foreign_keys = OFF" if is_sqlite else "SET foreign_key_checks = 0")


async def test_what_we_made_ourselves_is_healthy(database_url: str, tmp_path: Path) -> None:
    await make(database_url, tmp_path)
    async with open_structure(database_url) as structure:
        assert await examine(structure) == {}


@pytest.mark.parametrize("statement", BREAKS)
async def test_what_is_broken_is_said_and_its_remedy_mends_it(
    database_url: str, tmp_path: Path, statement: str
) -> None:
    await make(database_url, tmp_path)
    async with open_structure(database_url) as structure:
        await loosen(structure)
        assert await structure.execute(statement) > 0
        found = await examine(structure)
        assert list(found) == [BREAKS[statement]]
        (probe,) = found.values()
        assert probe.remedy or probe.advice
        if not probe.remedy:
            return
        await structure.execute(probe.remedy)
        assert await examine(structure) == {}


async def test_an_index_that_is_gone_is_missed_with_its_ddl(database_url: str, tmp_path: Path) -> None:
    await make(database_url, tmp_path)
    async with open_structure(database_url) as structure:
        reflection = await reflect_structure(structure)
        table = reflection.tables["journal_entry"]
        index = next(one for one in table.indexes if one.columns == ("account_id", "id"))
        on = " ON journal_entry" if structure.dialect == "mariadb" else ""
        await loosen(structure)
        await structure.execute(f"DROP INDEX {index.name}{on}")
        found = await examine(structure)
        (complaint,) = found
        assert complaint.startswith("journal_entry: has no index over account_id, id (")
        await structure.execute(found[complaint].remedy)
        assert await examine(structure) == {}


async def test_ids_in_a_column_that_folds_case_are_a_complaint_on_mariadb(mariadb_url: str, tmp_path: Path) -> None:
    await make(mariadb_url, tmp_path)
    async with open_structure(mariadb_url) as structure:
        await structure.execute(
            "ALTER TABLE person MODIFY id_random VARCHAR(40) CHARACTER SET latin1 COLLATE latin1_swedish_ci NOT NULL,"
            " DROP INDEX uq_person__id_random"
        )
        await structure.execute("UPDATE person SET id_random = IF(name = 'Ann', 'sameButInCase', 'SAMEbutINcase')")
        found = list(await examine(structure))
        assert found[0] == "person.id: 1 ids are there more than once, or differ in case alone"
        assert found[1].startswith("person.id: its column folds case (collation latin1_swedish_ci)")
