"""The shared cache: the same promises in this process and in Redis, and Redis may go away."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest

from engine.io.cache import Cache, LocalCache, RedisCache, open_cache
from engine.observe import CacheUnreachable, take_observations
from tests.support.databases import make_settings
from tests.support.proxy import open_proxy


@pytest.fixture(params=["local", pytest.param("redis", marks=pytest.mark.redis)])
async def cache(request: pytest.FixtureRequest) -> AsyncIterator[Cache]:
    url = request.getfixturevalue("redis_url") if request.param == "redis" else None
    settings = make_settings("sqlite:///x.db", redis_url=url, redis_timeout_ms=1000)
    cache = open_cache(settings)
    yield cache
    await cache.close()


async def test_a_value_is_kept_and_forgotten(cache: Cache) -> None:
    assert await cache.get("a") is None
    await cache.put("a", b"\x00\xff", ttl_s=60)
    await cache.put("b", b"", ttl_s=60)
    assert (await cache.get("a"), await cache.get("b")) == (b"\x00\xff", b"")
    await cache.delete("a", "b", "c")
    await cache.delete()
    assert (await cache.get("a"), await cache.get("b")) == (None, None)


async def test_a_counter_counts(cache: Cache) -> None:
    assert [await cache.add("n", amount, ttl_s=60) for amount in (1, 5, 2)] == [1, 6, 8]


async def test_the_cache_says_how_long_it_takes(cache: Cache) -> None:
    answer = await cache.ping()
    assert answer is not None
    assert answer < 1


async def test_the_local_cache_is_bounded_and_ends_values() -> None:
    cache = LocalCache(size=2)
    for key in "abc":
        await cache.put(key, b"1", ttl_s=60)
    assert [await cache.get(key) for key in "abc"] == [None, b"1", b"1"]
    await cache.put("b", b"1", ttl_s=-1)
    assert await cache.get("b") is None


@pytest.mark.redis
async def test_redis_that_goes_away_is_left_alone_and_found_again(redis_url: str) -> None:
    parts = urlsplit(redis_url)
    async with open_proxy(parts.hostname or "127.0.0.1", parts.port or 6379) as proxy:
        cache = RedisCache(f"redis://127.0.0.1:{proxy.port}{parts.path}", timeout_s=0.05, breaker_s=60)
        other = RedisCache(redis_url, timeout_s=1, breaker_s=60)
        try:
            await cache.put("a", b"1", ttl_s=60)
            await cache.put("b", b"1", ttl_s=60)
            take_observations()
            proxy.freeze()
            began = time.monotonic()
            assert await cache.get("a") is None
            assert time.monotonic() - began < 0.2
            assert cache.is_left_alone
            for _ in range(1000):
                assert await cache.get("a") is None
                await cache.put("a", b"2", ttl_s=60)
            assert await cache.add("n", 1, ttl_s=60) is None
            await cache.delete("b")
            assert time.monotonic() - began < 0.5
            assert [type(seen) for seen in take_observations()] == [CacheUnreachable]
            proxy.cut()
            await proxy.refuse()
            assert await cache.ping() is None
            proxy.thaw()
            await proxy.listen()
            assert await cache.ping() is not None
            # What could not be deleted while it was away is deleted before anything else is asked.
            assert await cache.get("b") is None
            assert await other.get("b") is None
            assert await cache.get("a") == b"1"
        finally:
            await cache.close()
            await other.close()
