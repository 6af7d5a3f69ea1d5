"""Rate limits of several processes, added up in Redis."""

from __future__ import annotations

import pytest

from engine.auth.limits import RateLimiter
from engine.errors import RateLimited
from engine.io.cache import RedisCache

START = 1_800_000_000.0 - 1_800_000_000.0 % 60


def spend(limiter: RateLimiter, most: int) -> int:
    for count in range(most):
        try:
            limiter.spend("user:ä b")
        except RateLimited:
            return count
    return most


@pytest.mark.redis
async def test_two_processes_share_one_allowance_through_redis(redis_url: str) -> None:
    caches = [RedisCache(redis_url, timeout_s=2, breaker_s=5) for _ in range(2)]
    one, two = (RateLimiter(100, shared=cache, now=lambda: START) for cache in caches)
    assert spend(one, 60) == 60
    await one.reconcile()
    assert spend(two, 5) == 5
    await two.reconcile()
    assert spend(two, 100) == 35
    await two.reconcile()
    assert spend(one, 5) == 5
    await one.reconcile()
    assert spend(one, 100) == 0
    for cache in caches:
        await cache.close()


async def test_without_redis_each_process_keeps_its_own_limit() -> None:
    cache = RedisCache("redis://127.0.0.1:1/0", timeout_s=0.2, breaker_s=5)
    limiter = RateLimiter(50, shared=cache, now=lambda: START)
    assert spend(limiter, 20) == 20
    await limiter.reconcile()
    assert spend(limiter, 100) == 30
    await cache.close()
