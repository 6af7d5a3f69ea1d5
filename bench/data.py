"""The data that all servers of a benchmark share: a million entries, the same ones every time.

Rows are made by the database itself out of a sequence, so that seeding takes a
minute; public ids are a function of the row's number, so that the load driver
knows them without asking. The tables are those that `aether migrate` makes of
`bench/resources.yaml`. It does not know any server.

    python -m bench.data            seeds what is missing and says what is there
"""

from __future__ import annotations

import asyncio
import atexit
import base64
import fcntl
import hashlib
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO
from urllib.parse import urlsplit

import asyncmy

from bench.servers import LOGS, REGISTRY, run_command

DATABASE_URL = os.environ.get("BENCH_DATABASE_URL", "mysql+asyncmy://root@127.0.0.1:3306/aether_bench")
ACCOUNTS = 10
PERSONS_PER_ACCOUNT = 100
JOURNALS_PER_ACCOUNT = 100
ENTRIES_PER_JOURNAL = 1_000
ROWS_PER_STATEMENT = 50_000
BUFFER_POOL_BYTES = 2 * 1024**3

WORDS = ("field", "notes", "tax", "river", "lamp", "stone", "harbour", "winter", "copper", "meadow", "signal", "ledger")


@dataclass(frozen=True, slots=True)
class Size:
    """How many rows there are of everything, and who owns which.

    Row numbers begin at 1 and run through the accounts: journal 1 to 100 are account 1's.
    """

    accounts: int = ACCOUNTS
    persons: int = PERSONS_PER_ACCOUNT
    journals: int = JOURNALS_PER_ACCOUNT
    entries: int = ENTRIES_PER_JOURNAL

    @property
    def total(self) -> dict[str, int]:
        """Rows per table."""
        journals = self.accounts * self.journals
        return {
            "account": self.accounts,
            "person": self.accounts * self.persons,
            "journal": journals,
            "journal_entry": journals * self.entries,
        }

    def account_of_journal(self, journal: int) -> int:
        """Number of the account that a journal belongs to."""
        return (journal - 1) // self.journals + 1

    def journal_of_entry(self, entry: int) -> int:
        """Number of the journal that an entry belongs to."""
        return (entry - 1) // self.entries + 1

    def account_of_entry(self, entry: int) -> int:
        """Number of the account that an entry belongs to."""
        return self.account_of_journal(self.journal_of_entry(entry))


FULL = Size()
SMALL = Size(accounts=2, persons=5, journals=4, entries=50)


def public_id(type_name: str, number: int) -> str:
    """The public id of a seeded row: 22 characters that look random; `_public_id_sql` says the same in SQL."""
    digest = hashlib.md5(f"{type_name}:{number}".encode(), usedforsecurity=False).digest()
    return base64.urlsafe_b64encode(digest).decode()[:22]


def seed(url: str = DATABASE_URL, size: Size = FULL) -> None:
    """Make the database, its tables (by `aether migrate`) and the rows that are missing.

    Rows beyond the seeded ones (made by the create workload) are removed, so that every run begins alike. The
    database stays this process' own until it ends: a second benchmark on the same one waits.
    """
    _lock(urlsplit(url).path.strip("/"))
    asyncio.run(make_database(url))
    run_command("migrate", "--yes", settings={"AETHER_DATABASE_URL": url, "AETHER_REGISTRY": str(REGISTRY)})
    asyncio.run(_fill_tables(url, size))


async def make_database(url: str) -> None:
    """Make the database of a URL unless it exists."""
    connection = await connect(url, with_database=False)
    try:
        async with connection.cursor() as cursor:
            name = urlsplit(url).path.lstrip("/")
            if not await fetch(cursor, f"SHOW DATABASES LIKE '{name}'"):
                await cursor.execute(f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin")
    finally:
        await connection.ensure_closed()


async def connect(url: str, *, with_database: bool = True) -> asyncmy.Connection:
    """Open a connection of the benchmark's own, in autocommit."""
    parts = urlsplit(url)
    return await asyncmy.connect(
        host=parts.hostname or "127.0.0.1",
        port=parts.port or 3306,
        user=parts.username or "root",
        password=parts.password or "",
        database=parts.path.lstrip("/") if with_database else None,
        charset="utf8mb4",
        autocommit=True,
        init_command="SET time_zone = '+00:00'",
    )


async def fetch(cursor: asyncmy.cursors.Cursor, sql: str) -> Sequence[tuple[object, ...]]:
    """Run a statement and fetch what it answers."""
    await cursor.execute(sql)
    rows: Sequence[tuple[object, ...]] = await cursor.fetchall()
    return rows


def _lock(name: str) -> None:
    if name in _locks:
        return
    LOGS.mkdir(parents=True, exist_ok=True)
    lock = _locks[name] = (LOGS / f"{name}.lock").open("w")
    atexit.register(lock.close)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"another benchmark uses {name}; waiting for its end", file=sys.stderr, flush=True)
        fcntl.flock(lock, fcntl.LOCK_EX)


_locks: dict[str, IO[str]] = {}


async def _fill_tables(url: str, size: Size) -> None:
    connection = await connect(url)
    try:
        async with connection.cursor() as cursor:
            await _grow_buffer_pool(cursor, size)
            await cursor.execute("SET SESSION unique_checks = 0, foreign_key_checks = 0")
            for table, total in size.total.items():
                await _fill(cursor, table, total, size)
    finally:
        await connection.ensure_closed()


async def _fill(cursor: asyncmy.cursors.Cursor, table: str, total: int, size: Size) -> None:
    await cursor.execute(f"DELETE FROM {table} WHERE id > {total}")
    present = (await fetch(cursor, f"SELECT COUNT(*) FROM {table}"))[0][0]
    if present == total:
        return
    started = time.perf_counter()
    await cursor.execute(f"DELETE FROM {table}")
    for first in range(1, total + 1, ROWS_PER_STATEMENT):
        last = min(first + ROWS_PER_STATEMENT - 1, total)
        await cursor.execute(_insert_sql(table, first, last, size))
    await cursor.execute(f"ANALYZE TABLE {table}")
    await cursor.fetchall()
    print(f"seeded {total} rows of {table} in {time.perf_counter() - started:.1f} s", flush=True)


def _insert_sql(table: str, first: int, last: int, size: Size) -> str:
    columns = {"id": "seq", "id_random": _public_id_sql(table), **_columns(table, size)}
    columns |= {"row_version": "1", "created_on": _instant_sql(), "updated_on": _instant_sql()}
    names, values = ", ".join(columns), ", ".join(columns.values())
    return f"INSERT INTO {table} ({names}) SELECT {values} FROM seq_{first}_to_{last}"


def _columns(table: str, size: Size) -> dict[str, str]:
    if table == "account":
        return {"name": "CONCAT('Account ', seq)"}
    if table == "person":
        return {"account_id": _owner_sql(size.persons), "name": "CONCAT('Person ', seq)"}
    if table == "journal":
        return {"account_id": _owner_sql(size.journals), "name": "CONCAT('Journal ', seq)"}
    account = _owner_sql(size.journals * size.entries)
    person = f"({account} - 1) * {size.persons} + 1 + {_dice_sql(15)} % {size.persons}"
    return {
        "account_id": account,
        "journal_id": _owner_sql(size.entries),
        "title": f"CONCAT({_word_sql(1)}, ' ', {_word_sql(2)}, ' ', {_word_sql(3)}, ' ', seq)",
        "body": f"REPEAT(CONCAT({_word_sql(4)}, ' ', {_word_sql(5)}, ' and {WORDS[0]}. '), 5 + {_dice_sql(6)} % 15)",
        "entry_date": f"DATE('2019-01-01') + INTERVAL ({_dice_sql(7)} % 2500) DAY",
        "visibility": f"IF({_dice_sql(8)} % 10 < 8, 'public', 'private')",
        "priority": f"{_dice_sql(9)} % 10",
        "tags": f"CONCAT('{{\"topics\":[\"', {_word_sql(10)}, '\",\"', {_word_sql(11)}, '\"]}}')",
        "amount": f"({_dice_sql(12)} % 1000000) / 100",
        "flagged": f"{_dice_sql(13)} % 10 = 0",
        "person_id": f"IF({_dice_sql(14)} % 5 = 0, NULL, {person})",
    }


def _public_id_sql(table: str) -> str:
    encoded = f"TO_BASE64(UNHEX(MD5(CONCAT('{table}:', seq))))"
    return f"LEFT(REPLACE(REPLACE({encoded}, '+', '-'), '/', '_'), 22)"


def _owner_sql(rows_per_owner: int) -> str:
    return f"((seq - 1) DIV {rows_per_owner} + 1)"


def _dice_sql(salt: int) -> str:
    """A number that looks random but is the same for the same row and salt."""
    return f"CRC32(CONCAT({salt}, ':', seq))"


def _word_sql(salt: int) -> str:
    listed = ", ".join(f"'{word}'" for word in WORDS)
    return f"ELT(1 + {_dice_sql(salt)} % {len(WORDS)}, {listed})"


def _instant_sql() -> str:
    return f"TIMESTAMP('2024-01-01') + INTERVAL ({_dice_sql(16)} % 31536000) SECOND + INTERVAL seq MICROSECOND"


async def _grow_buffer_pool(cursor: asyncmy.cursors.Cursor, size: Size) -> None:
    """Give the server memory for the whole data where it has less and we may say so.

    With the default of 128 MiB the disk would be measured, alike for all servers.
    """
    if size is not FULL:
        return
    present = (await fetch(cursor, "SELECT @@GLOBAL.innodb_buffer_pool_size"))[0][0]
    if not isinstance(present, int) or present >= BUFFER_POOL_BYTES:
        return
    try:
        await cursor.execute(f"SET GLOBAL innodb_buffer_pool_size = {BUFFER_POOL_BYTES}")
        print(f"innodb_buffer_pool_size raised from {present >> 20} to {BUFFER_POOL_BYTES >> 20} MiB", flush=True)
    except asyncmy.errors.MySQLError as refusal:
        print(f"innodb_buffer_pool_size stays at {present >> 20} MiB: {refusal}", flush=True)


if __name__ == "__main__":
    seed()
