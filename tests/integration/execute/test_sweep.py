"""The clean-up on both databases and both stores: what no row has goes, what a row has stays, whichever row it is."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest

from engine.auth.moments import store_moment
from engine.execute.sweep import StrangeDigests, Swept, known_to, purge_expired, require_digests, sweep, verify
from engine.io.blobs import BlobStore
from engine.io.database import Database
from engine.io.migrate import migrate
from engine.io.reflect import reflect
from engine.io.seed import seed
from engine.registry.load import load_registry_text
from engine.registry.reflection import ReflectedDatabase
from engine.registry.resource import Registry
from engine.sql.blobs import ASKED, DigestColumn, digest_columns
from engine.tables import build_tables
from tests.support.blobs import contents, digest_of, get, leftovers, put, store_at
from tests.support.databases import opened, sql_for

FIELDS = """{name: {type: string(100)}, content_type: {type: string(100)},
      size_bytes: {type: bigint}, sha: {type: string(64)}}"""
REGISTRY = """\
version: 1
types:
  account: {table: account, account: self, search: [name], fields: {name: {type: string(100)}}}
  document:
    table: document
    account: own
    soft_delete: deleted_on
    file: {digest: sha, size: size_bytes, type: content_type, name: name}
    search: [name]
    fields: FIELDS
  shared_file:
    table: shared_file
    account: {none: "everybody's"}
    file: {digest: sha, size: size_bytes, type: content_type, name: name}
    search: [name]
    fields: FIELDS
""".replace("FIELDS", FIELDS)
NOW = -2.0
"""A grace period that is over before it has begun, by the seconds of a bucket too, so that a test need not wait."""
HOUR = 3600.0


@dataclass
class Ground:
    """A database with its rows, a store with its blobs."""

    database: Database
    blobs: BlobStore
    columns: tuple[DigestColumn, ...]
    registry: Registry
    folder: Path

    async def add_row(self, type_name: str, digest: str, name: str = "row") -> None:
        """A row of a file, of an account of its own."""
        text = f"account: {{owner-{name}: {{name: {name}}}}}\n" if type_name == "document" else ""
        owner = f'account_id: "@owner-{name}", ' if type_name == "document" else ""
        text += f'{type_name}: {{{name}: {{{owner}name: {name}, sha: "{digest}"}}}}\n'
        path = self.folder / "rows.yaml"
        path.write_text(text)
        await seed(self.database, self.registry, path)

    async def run(self, sql: str, *binds: object) -> int:
        """A statement of the test's own."""
        return await self.database.execute(sql_for(self.database, sql), binds)

    async def sweep(self, *, grace_s: float = NOW, is_dry: bool = False) -> Swept:
        """The clean-up."""
        return await sweep(self.blobs, known_to(self.database, self.columns), grace_s=grace_s, is_dry=is_dry)


def load(found: ReflectedDatabase) -> Registry:
    """The registry of these tests."""
    loaded = load_registry_text(REGISTRY, found)
    assert loaded.target is not None, loaded.findings
    return loaded.target


@pytest.fixture
async def ground(database_url: str, storage_url: str, tmp_path: Path) -> AsyncIterator[Ground]:
    """Both databases with both stores."""
    await migrate(database_url, load)
    reflection = await reflect(database_url)
    registry = load(reflection)
    async with opened(database_url) as database, store_at(storage_url) as blobs:
        columns = digest_columns(registry, build_tables(registry, database.dialect, reflection), database.dialect)
        yield Ground(database, blobs, columns, registry, tmp_path)


async def test_bytes_without_a_row_go_and_all_others_stay(ground: Ground) -> None:
    kept = [await put(ground.blobs, b"of an account"), await put(ground.blobs, b"of nobody")]
    await ground.add_row("document", kept[0], "one")
    await ground.add_row("shared_file", kept[1], "two")
    await put(ground.blobs, b"without a row")
    swept = await ground.sweep()
    assert (swept.blobs, swept.removed, swept.removed_bytes) == (3, 1, len(b"without a row"))
    assert set(await contents(ground.blobs)) == set(kept)
    assert (await ground.sweep()).removed == 0


async def test_a_deleted_row_keeps_its_bytes_and_one_that_is_gone_does_not(ground: Ground) -> None:
    digest = await put(ground.blobs, b"deleted")
    await ground.add_row("document", digest)
    await ground.run("UPDATE document SET deleted_on = '2026-01-01 00:00:00'")
    assert (await ground.sweep()).removed == 0
    await ground.run("DELETE FROM document")
    assert (await ground.sweep()).removed == 1
    assert await contents(ground.blobs) == {}


async def test_rows_of_several_accounts_keep_one_blob_as_long_as_one_is_left(ground: Ground) -> None:
    digest = await put(ground.blobs, b"shared")
    await ground.add_row("document", digest, "one")
    await ground.add_row("document", digest, "two")
    await ground.run("DELETE FROM document WHERE name = ?", "one")
    assert (await ground.sweep()).removed == 0
    assert await get(ground.blobs, digest) == b"shared"


async def test_what_is_young_is_left_alone(ground: Ground) -> None:
    await put(ground.blobs, b"young")
    assert (await ground.sweep(grace_s=HOUR)).removed == 0
    assert len(await contents(ground.blobs)) == 1


async def test_a_dry_run_counts_and_removes_nothing(ground: Ground) -> None:
    await put(ground.blobs, b"without a row")
    swept = await ground.sweep(is_dry=True)
    assert (swept.removed, swept.removed_bytes) == (1, 13)
    assert len(await contents(ground.blobs)) == 1


async def test_more_blobs_than_one_statement_asks_for(ground: Ground) -> None:
    digests: list[str] = []

    async def keep(number: int) -> None:
        digests.append(await put(ground.blobs, str(number).encode()))

    for start in range(0, ASKED + 20, 20):
        async with anyio.create_task_group() as group:
            for number in range(start, start + 20):
                group.start_soon(keep, number)
    for number, digest in enumerate(digests[::50]):
        await ground.add_row("shared_file", digest, f"n{number}")
    swept = await ground.sweep()
    assert set(await contents(ground.blobs)) == set(digests[::50])
    assert swept.removed == len(digests) - len(digests[::50])


async def test_an_upload_that_keeps_the_blob_between_the_question_and_the_removal_wins(ground: Ground) -> None:
    digest = await put(ground.blobs, b"content")
    known = known_to(ground.database, ground.columns)

    async def known_slowly(digests: object) -> set[str]:
        needed = await known([digest])
        await put(ground.blobs, b"content")
        return needed

    # Now the blob is old enough, by the seconds in which a bucket tells times.
    await _wait_until_old(ground.blobs)
    swept = await sweep(ground.blobs, known_slowly, grace_s=0)
    assert swept.removed == 0
    assert await get(ground.blobs, digest) == b"content"


async def _wait_until_old(blobs: BlobStore) -> None:
    """Wait until all that lies there is older than now, by the store's own clock."""
    newest = max([stored.modified_at async for stored in blobs.list()])
    for _ in range(100):
        if await blobs.now() >= newest + 2:
            return
        await anyio.sleep(0.05)
    pytest.fail("The store's clock stands still.")


async def test_capitals_in_an_older_database_keep_their_bytes(ground: Ground) -> None:
    digest = await put(ground.blobs, b"loud")
    await ground.add_row("document", digest.upper())
    await require_digests(ground.database, ground.columns)
    assert (await ground.sweep()).removed == 0
    found = await verify(ground.blobs, ground.database, ground.columns)
    assert (found.missing, found.strange, found.damaged) == ([], [], [])


async def test_digests_in_another_form_stop_the_clean_up(ground: Ground) -> None:
    await ground.add_row("document", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=")
    with pytest.raises(StrangeDigests, match="document"):
        await require_digests(ground.database, ground.columns)


async def test_leftovers_go_and_a_running_upload_does_not(ground: Ground) -> None:
    async with ground.blobs.begin() as upload:
        await upload.write(os.urandom(7 << 20))
        await upload.finish()
        swept = await ground.sweep(grace_s=HOUR)
        assert swept.leftovers == 0
        await upload.keep()
    assert await leftovers(ground.blobs) == []
    assert len(await contents(ground.blobs)) == 1


async def test_verifying_finds_what_is_missing_damaged_or_no_digest(ground: Ground, storage_url: str) -> None:
    whole = await put(ground.blobs, b"whole")
    await ground.add_row("document", whole, "whole")
    missing = digest_of(b"missing")
    await ground.add_row("shared_file", missing, "missing")
    await ground.add_row("document", "nonsense", "nonsense")
    found = await verify(ground.blobs, ground.database, ground.columns)
    assert (found.blobs, found.size_bytes, found.digests) == (1, 5, 3)
    assert found.missing == [("shared_file", missing)]
    assert found.strange == [("document", "nonsense")]
    assert found.damaged == []
    if storage_url.startswith("file:"):
        (Path(storage_url.removeprefix("file:")) / whole[:2] / whole[2:4] / whole).write_bytes(b"whale")
        assert (await verify(ground.blobs, ground.database, ground.columns)).damaged == [whole]


async def test_the_question_for_rows_goes_by_an_index(database_url: str) -> None:
    await migrate(database_url, load)
    reflection = await reflect(database_url)
    registry = load(reflection)
    async with opened(database_url) as database:
        columns = digest_columns(registry, build_tables(registry, database.dialect, reflection), database.dialect)
        for column in columns:
            for statement in (column.known, column.listed):
                values = {name: digest_of(name.encode()) for name in statement.binds}
                explain = "EXPLAIN QUERY PLAN " if database.dialect == "sqlite" else "EXPLAIN "
                plan = str(await database.fetch(explain + statement.text, statement.arrange(values)))
                assert f"ix_{column.type}__sha" in plan


async def test_expired_rows_of_our_own_tables_go(database_url: str) -> None:
    await migrate(database_url, load)
    async with opened(database_url) as database:
        now = time.time()
        for number, age in enumerate((-5, 5)):
            moments = (store_moment(now, database.dialect), store_moment(now - age, database.dialect))
            sql = "INSERT INTO aether_idempotency (caller, key_hash, created_on, expires_on) VALUES (?, ?, ?, ?)"
            await database.execute(sql_for(database, sql), ("c" * 64, str(number) * 64, *moments))
        moment = store_moment(now, database.dialect)
        expected = {"aether_idempotency": 1, "aether_refresh_token": 0}
        assert await purge_expired(database, moment, is_dry=True) == expected
        assert await purge_expired(database, moment) == expected
        assert await purge_expired(database, moment) == dict.fromkeys(expected, 0)
        ((left,),) = await database.fetch("SELECT COUNT(*) FROM aether_idempotency")
        assert left == 1
