"""The cache that workers share: Redis, or nothing but this process.

It holds nothing that cannot be rebuilt. Every call answers in the time that the settings allow, or as if the cache
were empty; after a failure Redis is left alone for a while. What is cached under which key is its users' business.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar, cast

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from engine.observe import CacheUnreachable, observe
from engine.settings import Settings

T = TypeVar("T")
LOCAL_SIZE = 50_000
MAX_OWED = 10_000
PREFIX = "aether"


class Cache(Protocol):
    """A cache of bytes by text key. None of its methods raises because the cache is away."""

    async def get(self, key: str) -> bytes | None:
        """The value, or None when there is none or the cache is away."""

    async def put(self, key: str, value: bytes, *, ttl_s: float) -> None:
        """Keep a value for a while."""

    async def delete(self, *keys: str) -> None:
        """Forget values. What could not be told to the cache is told when it is back."""

    async def add(self, key: str, amount: int, *, ttl_s: float) -> int | None:
        """Add to a counter that ends `ttl_s` after its first use, and return its value; None when the cache is away."""

    async def ping(self) -> float | None:
        """How long the cache takes to answer, in seconds; None when it is away."""

    async def close(self) -> None:
        """Close."""


def open_cache(settings: Settings) -> Cache:
    """Redis where the settings name one, else a cache in this process."""
    if settings.redis_url is None:
        return LocalCache()
    return RedisCache(
        settings.redis_url, timeout_s=settings.redis_timeout_ms / 1000, breaker_s=settings.redis_breaker_s
    )


class LocalCache:
    """A bounded cache in this process; what was used longest ago goes first."""

    def __init__(self, size: int = LOCAL_SIZE) -> None:
        self._size = size
        self._values: OrderedDict[str, tuple[float, bytes]] = OrderedDict()

    async def get(self, key: str) -> bytes | None:
        """The value, or None."""
        found = self._values.get(key)
        if found is None:
            return None
        if found[0] < time.monotonic():
            del self._values[key]
            return None
        self._values.move_to_end(key)
        return found[1]

    async def put(self, key: str, value: bytes, *, ttl_s: float) -> None:
        """Keep a value for a while."""
        self._values[key] = (time.monotonic() + ttl_s, value)
        self._values.move_to_end(key)
        while len(self._values) > self._size:
            self._values.popitem(last=False)

    async def delete(self, *keys: str) -> None:
        """Forget values."""
        for key in keys:
            self._values.pop(key, None)

    async def add(self, key: str, amount: int, *, ttl_s: float) -> int | None:
        """Add to a counter."""
        ends_at, value = self._values.get(key, (0.0, b"0"))
        now = time.monotonic()
        if ends_at < now:
            ends_at, value = now + ttl_s, b"0"
        total = int(value) + amount
        await self.put(key, str(total).encode(), ttl_s=ends_at - now)
        return total

    async def ping(self) -> float | None:
        """It is always there."""
        return 0.0

    async def close(self) -> None:
        """Forget everything."""
        self._values.clear()


class RedisCache:
    """Redis behind a time-out and a breaker.

    Args:
        url: ``redis://…``.
        timeout_s: The longest that a call waits.
        breaker_s: How long Redis is left alone after a call that failed.
    """

    def __init__(self, url: str, *, timeout_s: float, breaker_s: float) -> None:
        self._timeout_s = timeout_s
        self._breaker_s = breaker_s
        self._open_until = 0.0
        self._owed: set[str] = set()
        self._client = redis.asyncio.Redis.from_url(
            url,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 0),
        )

    @property
    def is_left_alone(self) -> bool:
        """Whether the breaker is open."""
        return time.monotonic() < self._open_until

    async def get(self, key: str) -> bytes | None:
        """The value, or None when there is none or Redis is away."""
        if key in self._owed:
            # Redis may still hold what we were told to forget.
            return None
        return await self._call("get", lambda: cast("Awaitable[bytes | None]", self._client.get(key)))

    async def put(self, key: str, value: bytes, *, ttl_s: float) -> None:
        """Keep a value for a while."""
        milliseconds = max(int(ttl_s * 1000), 1)
        await self._call("put", lambda: cast("Awaitable[object]", self._client.set(key, value, px=milliseconds)))

    async def delete(self, *keys: str) -> None:
        """Forget values; those that Redis was not told about are owed to it."""
        if not keys:
            return
        done = await self._call("delete", lambda: self._client.delete(*keys))
        if done is None and len(self._owed) < MAX_OWED:
            self._owed.update(keys)

    async def add(self, key: str, amount: int, *, ttl_s: float) -> int | None:
        """Add to a counter; None when Redis is away."""
        milliseconds = max(int(ttl_s * 1000), 1)

        async def add() -> int:
            async with self._client.pipeline(transaction=True) as pipe:
                pipe.set(key, 0, px=milliseconds, nx=True)
                pipe.incrby(key, amount)
                return int((await pipe.execute())[1])

        return await self._call("add", add)

    async def ping(self) -> float | None:
        """How long Redis takes to answer. Asks even while the breaker is open, and closes it on success."""
        began = time.perf_counter()
        self._open_until = 0.0
        answer = await self._call("ping", self._client.ping)
        return time.perf_counter() - began if answer else None

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _call(self, operation: str, call: Callable[[], Awaitable[T]]) -> T | None:
        if self.is_left_alone:
            return None
        try:
            # The client's own time-outs are for each read; this one is for the whole.
            async with asyncio.timeout(self._timeout_s):
                if self._owed:
                    owed = tuple(self._owed)
                    await self._client.delete(*owed)
                    self._owed.difference_update(owed)
                return await call()
        except (RedisError, OSError, TimeoutError) as fault:
            self._open_until = time.monotonic() + self._breaker_s
            observe(CacheUnreachable(operation, type(fault).__name__))
            return None
