"""Public ids become row ids by the nearest memory that knows them, and exactly."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from engine.io.cache import LocalCache
from engine.io.database import Database
from engine.io.resolver import ResolvedRow, Resolver
from tests.support.databases import opened

LOOK_UP = "SELECT id, account_id, public_id FROM thing WHERE public_id = ?"


@pytest.fixture
async def database(sqlite_url: str) -> AsyncIterator[Database]:
    async with opened(sqlite_url) as database:
        await database.execute(
            "CREATE TABLE thing (id INTEGER PRIMARY KEY, account_id INTEGER, public_id TEXT COLLATE NOCASE)"
        )
        await database.execute("INSERT INTO thing VALUES (1, 7, 'abCdefghijk'), (2, NULL, 'ABxdefghijk')")
        yield database


@pytest.fixture
def cache() -> LocalCache:
    return LocalCache()


def make(database: Database, cache: LocalCache | None, *, size: int = 10, digest: str = "d") -> Resolver:
    return Resolver(database, cache, lambda _: (LOOK_UP, 1), digest=digest, size=size)


def count_statements(database: Database) -> list[str]:
    seen: list[str] = []
    database.on_statement = lambda sql, *_: seen.append(sql)
    return seen


async def test_an_id_is_looked_up_once(database: Database, cache: LocalCache) -> None:
    resolver, seen = make(database, cache), count_statements(database)
    assert [await resolver.resolve("thing", "abCdefghijk") for _ in range(3)] == [ResolvedRow(1, 7)] * 3
    assert await resolver.resolve("thing", "ABxdefghijk") == ResolvedRow(2, None)
    assert len(seen) == 2


async def test_another_process_finds_it_in_the_shared_cache(database: Database, cache: LocalCache) -> None:
    await make(database, cache).resolve("thing", "abCdefghijk")
    seen = count_statements(database)
    assert await make(database, cache).resolve("thing", "abCdefghijk") == ResolvedRow(1, 7)
    assert seen == []
    assert await make(database, cache, digest="other").resolve("thing", "abCdefghijk") == ResolvedRow(1, 7)
    assert len(seen) == 1


@pytest.mark.parametrize("wrong", ["ABCDEFGHIJK", "abcdefghijk", "abCdefghijk ", "nothing0000"])
async def test_another_spelling_is_another_id(database: Database, cache: LocalCache, wrong: str) -> None:
    resolver = make(database, cache)
    assert await resolver.resolve("thing", wrong) is None
    assert await resolver.resolve("thing", "abCdefghijk") == ResolvedRow(1, 7)
    assert await resolver.resolve("thing", wrong) is None


async def test_a_forgotten_id_is_looked_up_again(database: Database, cache: LocalCache) -> None:
    resolver = make(database, cache)
    await resolver.resolve("thing", "abCdefghijk")
    await database.execute("DELETE FROM thing WHERE id = 1")
    await resolver.forget("thing", "abCdefghijk")
    assert await resolver.resolve("thing", "abCdefghijk") is None
    assert await make(database, cache).resolve("thing", "abCdefghijk") is None


async def test_a_fresh_answer_never_comes_from_the_shared_cache(database: Database, cache: LocalCache) -> None:
    await make(database, cache).resolve("thing", "abCdefghijk")
    await database.execute("DELETE FROM thing WHERE id = 1")
    assert await make(database, cache).resolve("thing", "abCdefghijk", fresh_s=4) is None


async def test_what_is_too_old_is_looked_up_again(database: Database) -> None:
    resolver = make(database, None)
    await resolver.resolve("thing", "abCdefghijk")
    await database.execute("DELETE FROM thing WHERE id = 1")
    assert await resolver.resolve("thing", "abCdefghijk") == ResolvedRow(1, 7)
    assert await resolver.resolve("thing", "abCdefghijk", fresh_s=-1) is None


async def test_what_was_created_is_known_at_once(database: Database) -> None:
    resolver, seen = make(database, None), count_statements(database)
    resolver.remember("thing", "newnewnewne", ResolvedRow(5, 7))
    assert await resolver.resolve("thing", "newnewnewne") == ResolvedRow(5, 7)
    assert seen == []


async def test_the_process_remembers_no_more_than_it_may(database: Database) -> None:
    resolver = make(database, None, size=2)
    for number in range(5):
        resolver.remember("thing", f"id{number}00000000", ResolvedRow(number, None))
    assert len(resolver._known) == 2
    await make(database, None, size=0).resolve("thing", "abCdefghijk")


@pytest.mark.parametrize("value", [b"", b"x", b"1,y", b"\xff"])
async def test_rubbish_in_the_shared_cache_is_as_good_as_nothing(
    database: Database, cache: LocalCache, value: bytes
) -> None:
    await cache.put("aether:d:id:thing:abCdefghijk", value, ttl_s=60)
    assert await make(database, cache).resolve("thing", "abCdefghijk") == ResolvedRow(1, 7)
