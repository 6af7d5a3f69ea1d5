"""The services that integration tests talk to: where they are, whether they answer, and databases of one test's own.

It knows nothing of the engine: it speaks to the servers by the drivers directly.

    python -m tests.support.services mariadb|redis      exits 0 when it answers
"""

from __future__ import annotations

import asyncio
import functools
import os
import secrets
import sys
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

import asyncmy
import asyncmy.errors
import pytest
import redis


def _own_redis(url: str) -> str:
    """Tests that run side by side would empty Redis under one another: each process of pytest-xdist has a database."""
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"/{int(parts.path.strip('/') or 0) + number}"))


MARIADB_URL = os.environ.get("AETHER_TEST_MARIADB_URL", "mysql+asyncmy://root@127.0.0.1:3306").rstrip("/")
REDIS_URL = _own_redis(os.environ.get("AETHER_TEST_REDIS_URL", "redis://127.0.0.1:6379/9"))
ARE_REQUIRED = os.environ.get("AETHER_TEST_REQUIRE_SERVICES") == "1"
CONNECT_TIMEOUT_S = 2


def require_mariadb() -> None:
    """Skip the running test, or fail it where services are required, when MariaDB does not answer."""
    _require(_mariadb_fault())


def require_redis() -> None:
    """Skip the running test, or fail it where services are required, when Redis does not answer."""
    _require(_redis_fault())


def missing(*, are_asked: bool) -> list[str]:
    """Say which services a test asked for in vain.

    Args:
        are_asked: Tests of other processes have asked for them, which this one cannot know.
    """
    probes = [probe for probe in (_mariadb_fault, _redis_fault) if are_asked or probe.cache_info().currsize]
    return [fault for probe in probes if (fault := probe())]


@contextmanager
def make_mariadb_database() -> Iterator[str]:
    """Make an empty database with a random name, give its URL, drop it at the end."""
    name = f"aether_test_{secrets.token_hex(6)}"
    run_on_mariadb(f"CREATE DATABASE {name} CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin")
    try:
        yield f"{MARIADB_URL}/{name}"
    finally:
        run_on_mariadb(f"DROP DATABASE {name}")


def run_on_mariadb(*statements: str, database: str | None = None) -> None:
    """Run statements as the test user, outside of any event loop."""
    _run(_execute(statements, database))


def empty_redis() -> None:
    """Empty the database of Redis that tests use."""
    with redis.Redis.from_url(REDIS_URL, socket_connect_timeout=CONNECT_TIMEOUT_S) as client:
        client.flushdb()


def _require(fault: str | None) -> None:
    if fault is None:
        return
    if ARE_REQUIRED:
        pytest.fail(fault)
    pytest.skip(fault)


@functools.cache
def _mariadb_fault() -> str | None:
    try:
        run_on_mariadb("SELECT 1")
    except (OSError, asyncmy.errors.MySQLError, TimeoutError) as fault:
        return f"MariaDB does not answer at {_without_password(MARIADB_URL)} ({type(fault).__name__})"
    return None


@functools.cache
def _redis_fault() -> str | None:
    try:
        with redis.Redis.from_url(REDIS_URL, socket_connect_timeout=CONNECT_TIMEOUT_S) as client:
            client.ping()
    except redis.RedisError as fault:
        return f"Redis does not answer at {_without_password(REDIS_URL)} ({type(fault).__name__})"
    return None


async def _execute(statements: tuple[str, ...], database: str | None) -> None:
    url = urlsplit(MARIADB_URL)
    connection = await asyncmy.connect(
        host=url.hostname or "127.0.0.1",
        port=url.port or 3306,
        user=url.username or "root",
        password=url.password or "",
        database=database,
        connect_timeout=CONNECT_TIMEOUT_S,
        autocommit=True,
    )
    try:
        async with connection.cursor() as cursor:
            for statement in statements:
                await cursor.execute(statement)
    finally:
        await connection.ensure_closed()


def _run(work: Coroutine[object, object, None]) -> None:
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(work)
    finally:
        loop.close()


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port}"


if __name__ == "__main__":
    fault = {"mariadb": _mariadb_fault, "redis": _redis_fault}[sys.argv[1]]()
    sys.exit(fault)
