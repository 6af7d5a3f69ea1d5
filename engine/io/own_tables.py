"""The engine's own tables: where their Alembic revision chain stands, and the statements of the revisions ahead.

Alembic writes the statements, our connection runs them: it needs no driver of its own. What the revisions do stands
in `revisions/versions/`, when they run is `migrate.py`'s business.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from engine.io.storage import Dialect
from engine.io.structure import Structure
from engine.sql.ddl import DIALECTS, TABLE_OPTIONS

VERSION_TABLE = "aether_alembic_version"
_REVISIONS = Path(__file__).with_name("revisions")
_EXISTS = {
    "mariadb": "SELECT 1 FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = %s",
    "sqlite": "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?",
}


class _Collected(list[str]):
    """Where Alembic writes its statements, one per call."""

    def write(self, text: str) -> None:
        statement = text.strip().removesuffix(";")
        if statement and not statement.startswith("--"):
            self.append(statement)

    def flush(self) -> None:
        """Nothing waits."""


def latest_revision() -> str:
    """The end of the chain."""
    return str(_chain().get_current_head())


async def present_revision(structure: Structure) -> str | None:
    """Where a database stands; None before the first revision."""
    if not await structure.fetch(_EXISTS[structure.dialect], (VERSION_TABLE,)):
        return None
    rows = await structure.fetch(f"SELECT version_num FROM {VERSION_TABLE}")
    return str(rows[0][0]) if rows else None


def upgrade_statements(present: str | None, dialect: Dialect) -> list[str]:
    """The statements from a revision to the latest, each of which may be run again after a crash between them."""
    collected = _Collected()
    context = MigrationContext.configure(
        dialect=DIALECTS[dialect],
        opts={
            "as_sql": True,
            "output_buffer": collected,
            "transactional_ddl": False,
            "version_table": VERSION_TABLE,
            "starting_rev": present,
            "fn": lambda heads, _: _chain()._upgrade_revs("head", heads),
            "script": _chain(),
        },
    )
    with Operations.context(context):
        context.run_migrations()
    return [_repeatable(statement, dialect) for statement in collected]


def _repeatable(statement: str, dialect: Dialect) -> str:
    """Alembic's own table, made so that a crash after it does no harm, in our charset as all tables."""
    begin = f"CREATE TABLE {VERSION_TABLE}"
    if statement.startswith(begin):
        return f"CREATE TABLE IF NOT EXISTS {VERSION_TABLE}{statement[len(begin) :]}{TABLE_OPTIONS[dialect]}"
    return statement


@cache
def _chain() -> ScriptDirectory:
    config: Any = Config()
    config.set_main_option("script_location", str(_REVISIONS).replace("%", "%%"))
    return ScriptDirectory.from_config(config)
