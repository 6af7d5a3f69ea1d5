"""The migration makes the table that the statements over API keys speak to."""

from __future__ import annotations

from sqlalchemy.schema import CreateIndex, CreateTable, ExecutableDDLElement

from engine.io.database import Database
from engine.io.own_tables import upgrade_statements
from engine.sql.keys import API_KEYS
from engine.sql.statement import DIALECTS
from tests.support.databases import opened


async def describe(database: Database) -> list[tuple[object, ...]]:
    """The table as the database tells it, in the same words however it was made."""
    if database.dialect == "mariadb":
        return [tuple(row) for row in await database.fetch(f"SHOW CREATE TABLE {API_KEYS.name}")]
    told = [tuple(row) for row in await database.fetch(f"PRAGMA table_info({API_KEYS.name})")]
    for index in await database.fetch(f"PRAGMA index_list({API_KEYS.name})"):
        columns = await database.fetch(f"PRAGMA index_info({index[1]})")
        told.append((index[2], index[3], *(column[2] for column in columns)))
    return told


async def test_the_revision_chain_makes_the_table_that_the_statements_speak_to(database_url: str) -> None:
    async with opened(database_url) as database:
        for statement in upgrade_statements(None, database.dialect):
            await database.execute(statement.replace("%", "%%") if database.dialect == "mariadb" else statement)
        migrated = await describe(database)
        await database.execute(f"DROP TABLE {API_KEYS.name}")
        declared: tuple[ExecutableDDLElement, ...] = (
            CreateTable(API_KEYS),
            *(CreateIndex(index) for index in API_KEYS.indexes),
        )
        for element in declared:
            await database.execute(str(element.compile(dialect=DIALECTS[database.dialect])))
        assert migrated == await describe(database)
