"""Databases opened by the engine's own code, for tests: with any settings, closed afterwards."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from engine.io.database import Database, open_database
from engine.settings import Settings, load_settings


def make_settings(url: str, **overrides: object) -> Settings:
    """Settings for a test: nothing from the environment's file, any secret allowed."""
    return load_settings(env_file=None, mode="dev", database_url=url, **overrides)


@asynccontextmanager
async def opened(url: str, **overrides: object) -> AsyncIterator[Database]:
    """A database that is closed at the end."""
    database = open_database(make_settings(url, **overrides))
    try:
        yield database
    finally:
        await database.close()


def sql_for(database: Database, sql: str) -> str:
    """The statement for the database's dialect, from one written with ``?``."""
    return sql if database.dialect == "sqlite" else sql.replace("%", "%%").replace("?", "%s")
