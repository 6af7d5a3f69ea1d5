"""Opening the database that the settings name, and the checks of a start.

What a database promises is in `storage.py`, which this file passes on; how it is kept is in `mariadb.py` and
`sqlite.py`.
"""

from __future__ import annotations

import sqlite3

from engine.errors import Unavailable
from engine.io.mariadb import MariaDatabase
from engine.io.mariadb_link import parse_target
from engine.io.sqlite import SqliteDatabase, parse_path
from engine.io.storage import Binds, Database, Row, Rows, StatementListener, Transaction
from engine.settings import Settings, SettingsError, dialect_of

__all__ = [
    "Binds",
    "Database",
    "Row",
    "Rows",
    "StatementListener",
    "Transaction",
    "check_capacity",
    "open_database",
]

SHARE_OF_CONNECTIONS = 0.8


def open_database(
    settings: Settings,
    *,
    url: str | None = None,
) -> Database:
    """A database, ready to be used; MariaDB is connected to when it is first needed.

    Args:
        settings: Where it is, and how it is used.
        url: Another database than `settings.database_url`, such as the replica.

    Raises:
        SettingsError: The SQLite file cannot be opened or made.
    """
    where = url or settings.database_url
    if dialect_of(where) == "sqlite":
        try:
            return SqliteDatabase(
                parse_path(where),
                wait_s=settings.database_pool_wait_s,
                statement_time_s=settings.database_statement_time_s,
                lock_wait_s=settings.database_lock_wait_s,
                slow_s=settings.slow_statement_ms / 1000,
            )
        except (sqlite3.Error, OSError) as fault:
            raise SettingsError(
                [f"AETHER_DATABASE_URL {where!r}: expected a file that can be written ({fault})."]
            ) from fault
    target = parse_target(
        where,
        connect_timeout_s=settings.database_connect_timeout_s,
        statement_time_s=settings.database_statement_time_s,
        lock_wait_s=settings.database_lock_wait_s,
        prepares=settings.database_prepare,
    )
    return MariaDatabase(
        target,
        size=settings.database_pool_size,
        wait_s=settings.database_pool_wait_s,
        recycle_s=settings.database_recycle_s,
        slow_s=settings.slow_statement_ms / 1000,
    )


async def check_capacity(database: Database, settings: Settings) -> None:
    """Refuse a start whose workers could use up the server's connections.

    Raises:
        SettingsError: Workers times pool size is more than 0.8 of the server's ``max_connections``.
    """
    if database.dialect == "sqlite":
        return
    try:
        rows = await database.fetch("SELECT @@max_connections")
    except Unavailable:
        # A start while the database is away is allowed: it serves 503 until the database is back.
        return
    allowed = int(rows[0][0] * SHARE_OF_CONNECTIONS)
    wanted = settings.workers * settings.database_pool_size
    if wanted > allowed:
        raise SettingsError(
            [
                f"AETHER_WORKERS ({settings.workers}) times AETHER_DATABASE_POOL_SIZE ({settings.database_pool_size}): "
                f"expected at most {allowed} connections, which is 0.8 of the server's max_connections."
            ]
        )
