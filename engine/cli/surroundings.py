"""What a server stands on besides rows, looked at by `aether doctor`: the database's clock, the cache, the storage.

What is wrong comes as probes, beside those about rows; what is merely so, as lines to read.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

from engine.errors import Unavailable
from engine.io.blobs import open_blobs
from engine.io.cache import open_cache
from engine.io.structure import Structure
from engine.registry.resource import Registry
from engine.settings import Settings
from engine.sql.doctor import Probe

# Tokens have seconds; so have the times that rows are compared by.
MOST_APART = timedelta(seconds=2)
PINGS = 5

_CLOCK = "SELECT UTC_TIMESTAMP(6), IF(@@global.time_zone = 'SYSTEM', @@system_time_zone, @@global.time_zone)"


async def look_around(settings: Settings, structure: Structure, registry: Registry) -> AsyncIterator[Probe | str]:
    """Look at clock, cache and storage, in this order.

    Args:
        settings: Where they are.
        structure: A connection to the database.
        registry: For the zones of its columns.

    Yields:
        What is wrong as a probe without a question, and what there is to know as a line.
    """
    async for found in _look_at_clock(structure, registry):
        yield found
    yield await _look_at_cache(settings)
    yield await _look_at_storage(settings)


async def _look_at_clock(structure: Structure, registry: Registry) -> AsyncIterator[Probe | str]:
    if structure.dialect == "sqlite":
        yield "clock: SQLite goes by this machine's"
    else:
        asked = datetime.now(UTC)
        ((theirs, zone),) = await structure.fetch(_CLOCK)
        answered = datetime.now(UTC)
        told = datetime.fromisoformat(str(theirs)).replace(tzinfo=UTC)
        # It was read between the two.
        apart = told - answered if told > answered else told - asked if told < asked else timedelta(0)
        if abs(apart) > MOST_APART:
            word = "ahead of" if apart > timedelta(0) else "behind"
            yield Probe(
                "clock",
                f"the database is {abs(apart).total_seconds():.0f} s {word} this machine",
                advice="set both by NTP: rows are stamped by this machine, and by the database where others write",
            )
        yield f"clock: the database is {abs(apart).total_seconds():.1f} s apart; its own time zone is {zone}"
    zones: dict[str, list[str]] = {}
    for resource in registry.types.values():
        for known in resource.fields.values():
            if known.zone is not None:
                zones.setdefault(known.zone, []).append(f"{resource.name}.{known.name}")
    for zone, names in sorted(zones.items()):
        yield f"clock: in {zone} are {', '.join(names)}; all other times are UTC"


async def _look_at_cache(settings: Settings) -> Probe | str:
    if settings.redis_url is None:
        return "cache: none is set (AETHER_REDIS_URL); each process remembers by itself"
    cache = open_cache(settings)
    try:
        # The first one connects.
        await cache.ping()
        taken = [await cache.ping() for _ in range(PINGS)]
    finally:
        await cache.close()
    times = sorted(one for one in taken if one is not None)
    if len(times) < PINGS:
        complaint = f"Redis answered {len(times)} of {PINGS} times within {settings.redis_timeout_ms} ms"
        return Probe("cache", complaint, advice="see AETHER_REDIS_URL and AETHER_REDIS_TIMEOUT_MS; requests go without")
    return f"cache: Redis answers in {times[PINGS // 2] * 1000:.1f} ms, and is given {settings.redis_timeout_ms}"


async def _look_at_storage(settings: Settings) -> Probe | str:
    blobs = open_blobs(settings)
    try:
        await blobs.check()
    except Unavailable as fault:
        return Probe("storage", f"nothing can be stored: {fault.detail}", advice="see AETHER_STORAGE_URL")
    finally:
        await blobs.close()
    return "storage: it takes bytes"
