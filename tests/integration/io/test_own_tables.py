"""The revision chain makes the tables of our own that the statements speak to."""

from __future__ import annotations

import pytest
from sqlalchemy import Table
from sqlalchemy.schema import CreateIndex, CreateTable, ExecutableDDLElement

from engine.io.database import Database
from engine.io.own_tables import upgrade_statements
from engine.sql import idempotency, keys, legacy_use, sessions
from engine.sql.own import OWN_METADATA
from engine.sql.statement import DIALECTS
from tests.support.databases import opened

OWN_MODULES = (idempotency, keys, legacy_use, sessions)  # imported, so that their tables are known
each_table = pytest.mark.parametrize("table", OWN_METADATA.sorted_tables, ids=lambda table: table.name)


async def describe(database: Database, table: Table) -> list[str]:
    """The table as the database tells it, in the same words however it was made; indexes in no order."""
    if database.dialect == "mariadb":
        (row,) = await database.fetch(f"SHOW CREATE TABLE {table.name}")
        return sorted(line.rstrip(",") for line in str(row[1]).splitlines())
    told = [str(tuple(row)) for row in await database.fetch(f"PRAGMA table_info({table.name})")]
    for index in await database.fetch(f"PRAGMA index_list({table.name})"):
        columns = await database.fetch(f"PRAGMA index_info({index[1]})")
        told.append(str((index[2], index[3], *(column[2] for column in columns))))
    return sorted(told)


@each_table
async def test_the_revision_chain_makes_the_table_that_the_statements_speak_to(database_url: str, table: Table) -> None:
    async with opened(database_url) as database:
        for statement in upgrade_statements(None, database.dialect):
            await database.execute(statement.replace("%", "%%") if database.dialect == "mariadb" else statement)
        migrated = await describe(database, table)
        await database.execute(f"DROP TABLE {table.name}")
        declared: tuple[ExecutableDDLElement, ...] = (
            CreateTable(table),
            *(CreateIndex(index) for index in table.indexes),
        )
        for element in declared:
            await database.execute(str(element.compile(dialect=DIALECTS[database.dialect])))
        assert migrated == await describe(database, table)
