"""`aether migrate`: brings a database to what a registry needs, step by step, under a lock, and says what it does.

What is missing is planned in `sql/migration.py`, the engine's own tables in `own_tables.py`. Only this changes a
database's structure. MariaDB keeps what ran before a crash, so every step can be repeated; SQLite does all or nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from engine.io.own_tables import latest_revision, present_revision, upgrade_statements
from engine.io.reflect import reflect_structure
from engine.io.structure import Structure, StructureFault, open_structure
from engine.language.ids import new_public_id
from engine.registry.reflection import ReflectedDatabase
from engine.registry.resource import Registry
from engine.sql.ddl import quote
from engine.sql.migration import FillIds, MigrationRefused, Step, plan_migration
from engine.sql.rebuild import Source

__all__ = ["MigrationRefused", "MigrationRunning", "Step", "StructureFault", "migrate", "pending"]

Load = Callable[[ReflectedDatabase], Registry]
Say = Callable[[str], None]

FILLED_AT_ONCE = 500
LOCK_WAIT_S = 10
SQLITE_SOURCES = (
    "SELECT tbl_name, type, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY type = 'table' DESC, rowid"
)


class MigrationRunning(Exception):
    """Another process migrates the same database."""

    def __init__(self) -> None:
        super().__init__("Another migration of this database is running. Wait for it to end.")


async def migrate(
    url: str, load: Load, *, is_dry: bool = False, add_account_column: bool = False, say: Say = lambda line: None
) -> tuple[Step, ...]:
    """Bring the database of a checked URL to what the registry needs.

    Args:
        url: The database; an SQLite file is made where there is none.
        load: Makes the registry for a database as it is. Called with the database locked against other migrations.
        is_dry: Only plan.
        add_account_column: See `plan_migration`.
        say: Told each step's sentence before it runs (on a dry run: all of them).

    Returns:
        The steps that ran, or would; none when nothing is missing.

    Raises:
        MigrationRefused: The registry asks for what cannot be done.
        MigrationRunning: Another process migrates this database.
        StructureFault: The database refused a step. On MariaDB those before it stay; running it again goes on there.
        Unavailable: The database cannot be reached.
    """
    async with open_structure(url) as structure:
        if is_dry:
            steps = await _plan(structure, load, add_account_column=add_account_column)
            for step in steps:
                say(step.description)
            return steps
        async with _alone(structure):
            steps = await _plan(structure, load, add_account_column=add_account_column)
            for step in steps:
                say(step.description)
                await _run(structure, step)
            return steps


async def pending(url: str, load: Load) -> tuple[Step, ...]:
    """The steps that `migrate` would run: a server on MariaDB does not start while there are any."""
    return await migrate(url, load, is_dry=True)


# ---------------------------------------------------------------- private


async def _plan(structure: Structure, load: Load, *, add_account_column: bool) -> tuple[Step, ...]:
    reflection = await reflect_structure(structure)
    steps = plan_migration(
        load(reflection),
        reflection,
        add_account_column=add_account_column,
        sources=await _sources(structure),
    )
    present = await present_revision(structure)
    if present == latest_revision():
        return steps
    own = upgrade_statements(present, structure.dialect)
    return (Step(f"bring the engine's own tables (aether_…) to revision {latest_revision()}", tuple(own)), *steps)


async def _sources(structure: Structure) -> dict[str, Source]:
    if structure.dialect != "sqlite":
        return {}
    found: dict[str, Source] = {}
    for table, kind, sql in await structure.fetch(SQLITE_SOURCES):
        if kind == "table":
            found[table] = Source(sql)
        elif table in found:
            found[table] = Source(found[table].create, (*found[table].others, sql))
    return found


async def _run(structure: Structure, step: Step) -> None:
    dangling = await _dangling(structure, step.rebuilds)
    for statement in step.statements:
        await structure.execute(statement)
    if await _dangling(structure, step.rebuilds) != dangling:
        raise MigrationRefused(f"{step.rebuilds}: rows would point at nothing. Nothing was changed.")
    if step.fill is not None:
        await _fill(structure, step.fill)
    for statement in step.after:
        await structure.execute(statement)


async def _dangling(structure: Structure, table: str | None) -> int:
    """How many rows of a table that is rebuilt point at nothing."""
    return len(await structure.fetch(f"PRAGMA foreign_key_check({quote(table, 'sqlite')})")) if table else 0


async def _fill(structure: Structure, fill: FillIds) -> None:
    """Give ids to the rows without one, some at a time, in the order of the key."""
    dialect = structure.dialect
    table, key, column = (quote(name, dialect) for name in (fill.table, fill.key, fill.column))
    mark = "%s" if dialect == "mariadb" else "?"
    next_keys = (
        f"SELECT {key} FROM {table} WHERE {key} > {mark} AND ({column} IS NULL OR {column} = '')"
        f" ORDER BY {key} LIMIT {FILLED_AT_ONCE}"
    )
    last: object = -(2**63)
    while keys := [row[0] for row in await structure.fetch(next_keys, (last,))]:
        # One statement for all of them: a round trip each would take minutes for a million rows.
        cases = f"WHEN {mark} THEN {mark} " * len(keys)
        marks = ", ".join([mark] * len(keys))
        sql = f"UPDATE {table} SET {column} = CASE {key} {cases}END WHERE {key} IN ({marks})"
        binds: list[object] = [value for one in keys for value in (one, new_public_id())]
        await structure.execute(sql, [*binds, *keys])
        last = keys[-1]


@asynccontextmanager
async def _alone(structure: Structure) -> AsyncIterator[None]:
    """Keep other migrations out. On SQLite all that runs inside is one transaction."""
    if structure.dialect == "mariadb":
        async with _named_lock(structure):
            yield
        return
    # Both settings are needed to rebuild a table, and neither can be changed inside of a transaction.
    await structure.execute("PRAGMA foreign_keys = OFF")
    await structure.execute("PRAGMA legacy_alter_table = ON")
    try:
        await structure.execute("BEGIN IMMEDIATE")
    except StructureFault as fault:
        raise MigrationRunning() from fault
    try:
        yield
    except BaseException:
        await structure.execute("ROLLBACK")
        raise
    await structure.execute("COMMIT")


@asynccontextmanager
async def _named_lock(structure: Structure) -> AsyncIterator[None]:
    name = f"aether_migrate_{hashlib.sha256(structure.name.encode()).hexdigest()[:32]}"
    ((is_held,),) = await structure.fetch("SELECT GET_LOCK(%s, %s)", (name, LOCK_WAIT_S))
    if is_held != 1:
        raise MigrationRunning()
    try:
        yield
    finally:
        await structure.fetch("SELECT RELEASE_LOCK(%s)", (name,))
