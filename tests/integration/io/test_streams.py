"""Streams of changes: what is put in comes out once and in order, or it is said that something is missing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, date, datetime, time
from decimal import Decimal

import pytest
import redis.asyncio

from engine.io import redis_watch, streams
from engine.io.changes import Changes
from engine.io.live_entries import (
    MAX_IMAGE_BYTES,
    Entry,
    Image,
    RowChange,
    make_image,
    open_entry,
    seal_entry,
)
from engine.io.redis_streams import RedisStream
from engine.io.streams import Arrival, LocalStream, Stream

KEY = b"k" * 32
PATIENCE_S = 15.0
NAME = "aether:test-live"


def row(number: int, type_name: str = "note") -> RowChange:
    return RowChange(type_name, f"public-{number}", number, 7, number, None, Image((number, "x")))


async def take(stream: Stream) -> Arrival:
    return await asyncio.wait_for(stream.take(), PATIENCE_S)


def number_of(arrival: Arrival) -> int | None:
    return arrival.entry.rows[0].row_id if arrival.entry is not None and arrival.entry.rows else None


@asynccontextmanager
async def node(url: str, *, digest: str = "d", key: bytes = KEY) -> AsyncIterator[tuple[RedisStream, Changes]]:
    changes = Changes()
    stream = RedisStream(url, name=NAME, key=key, changes=changes, digest=digest)
    stream.start()
    try:
        yield stream, changes
    finally:
        await stream.close()


# ---------------------------------------------------------------- entries


def test_an_entry_comes_out_as_it_went_in() -> None:
    values = (
        1, -(2**63), 2**64 - 1, 1.5, "text \u2028 é", None, True, b"\x00\xff", Decimal("1.20"),
        datetime(2026, 1, 2, 3, 4, 5, 6), datetime(2026, 1, 1, tzinfo=UTC), date(2026, 1, 2), time(1, 2, 3, 4),  # noqa: DTZ001
    )  # fmt: skip
    entry = Entry("n", 3, "d", (RowChange("note", "p", 5, None, 1, Image(values, frozenset({2})), None),))
    sealed = seal_entry(entry, key=KEY)
    assert open_entry(sealed, key=KEY) == entry
    assert b"text" not in sealed


def test_an_entry_that_was_altered_or_is_of_others_is_none() -> None:
    sealed = seal_entry(Entry("n", 1, "d", (row(1),)), key=KEY)
    assert open_entry(sealed, key=b"j" * 32) is None
    for place in (0, len(sealed) // 2, len(sealed) - 1):
        assert open_entry(sealed[:place] + bytes((sealed[place] ^ 1,)) + sealed[place + 1 :], key=KEY) is None
    for none in (b"", b"x", sealed[:20]):
        assert open_entry(none, key=KEY) is None


def test_the_largest_values_of_a_row_are_left_out_until_it_can_be_carried() -> None:
    image = make_image([1, "a" * MAX_IMAGE_BYTES, "b" * 1000, None, b"c" * (MAX_IMAGE_BYTES - 500)])
    assert image.omitted == {1, 4}
    assert image.values == (1, None, "b" * 1000, None, None)
    assert make_image([1, "a" * 300]).omitted == frozenset()


# ---------------------------------------------------------------- one process


async def test_a_ring_gives_what_comes_and_says_what_was_pushed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MAX_KEPT", 3)
    changes = Changes()
    stream = LocalStream(changes, "d")
    stream.start()
    await stream.watch(["note"])
    assert changes.watched == {"note"}
    begin = stream.place
    for number in range(2):
        changes.announce_rows([row(number)], ())
    assert [number_of(await take(stream)) for _ in range(2)] == [0, 1]
    middle = stream.place
    missed = await stream.replay(begin, middle, ["note"])
    assert missed is not None
    assert [number_of(one) for one in missed] == [None, 0, 1]
    for number in range(5):
        changes.announce_rows([row(10 + number)], ())
    assert (await take(stream)).entry is None
    assert [number_of(await take(stream)) for _ in range(3)] == [12, 13, 14]
    assert await stream.replay(begin, stream.place, ["note"]) is None
    assert await stream.replay(middle, stream.place, ["note"]) is None
    assert await stream.replay("other-1", stream.place, ["note"]) is None


async def test_a_ring_of_large_rows_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MAX_KEPT_BYTES", 30_000)
    changes = Changes()
    stream = LocalStream(changes, "d")
    stream.start()
    await stream.watch(["note"])
    for number in range(9):
        image = Image((number, "x" * 5_000))
        changes.announce_rows([RowChange("note", f"p{number}", number, 7, 1, image, image)], ())
    assert (await take(stream)).entry is None
    assert [number_of(await take(stream)) for _ in range(2)] == [7, 8]


async def test_a_ring_does_not_know_what_was_written_while_nobody_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "LINGER_S", 0.0)
    changes = Changes()
    stream = LocalStream(changes, "d")
    stream.start()
    await stream.watch(["note", "page"])
    changes.announce_rows([row(1)], ())
    await take(stream)
    before = stream.place
    stream.unwatch(["note"])
    changes.announce_rows([row(2, "page")], ())
    await take(stream)
    assert changes.watched == {"page"}
    await stream.watch(["note"])
    assert await stream.replay(before, stream.place, ["note"]) is None
    assert await stream.replay(before, stream.place, ["page"]) is not None
    assert await stream.replay(stream.place, stream.place, ["note"]) is not None


async def test_what_was_written_unseen_is_told_as_such() -> None:
    changes = Changes()
    stream = LocalStream(changes, "d")
    stream.start()
    await stream.watch(["note"])
    changes.announce_rows([], {"note"})
    arrival = await take(stream)
    assert arrival.entry is not None
    assert [one.is_blind for one in arrival.entry.rows] == [True]


# ---------------------------------------------------------------- several processes


@pytest.mark.redis
async def test_every_writer_knows_of_a_follower_when_he_begins(redis_url: str) -> None:
    async with AsyncExitStack() as stack:
        nodes = [await stack.enter_async_context(node(redis_url)) for _ in range(3)]
        async with redis.asyncio.Redis.from_url(redis_url) as client, asyncio.timeout(PATIENCE_S):
            # Each has to have been heard of once.
            while await client.hlen(f"{NAME}:nodes") < 3:  # noqa: ASYNC110
                await asyncio.sleep(redis_watch.BEAT_S / 5)
        stream, _ = nodes[0]
        await stream.watch(["note"])
        assert all("note" in changes.watched for _, changes in nodes)
        for number, (_, changes) in enumerate(nodes):
            changes.announce_rows([row(number)], ())
        assert sorted([number_of(await take(stream)) or 0 for _ in range(3)]) == [0, 1, 2]


@pytest.mark.redis
async def test_an_entry_that_is_missing_is_noticed_by_the_next_ones_number(redis_url: str) -> None:
    async with (
        node(redis_url) as (reader, _),
        node(redis_url) as (writer, changes),
        redis.asyncio.Redis.from_url(redis_url) as client,
    ):
        await reader.watch(["note"])
        changes.announce_rows([row(1)], ())
        assert number_of(await take(reader)) == 1
        # As if Redis had forgotten one: its number was given, and it never came.
        writer._number += 1
        changes.announce_rows([row(3)], ())
        assert (await take(reader)).entry is None
        assert number_of(await take(reader)) == 3
        assert await client.xlen(f"{NAME}:entries") == 3  # the mark, and two


@pytest.mark.redis
async def test_an_entry_that_is_missing_is_noticed_though_none_follows(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.io.redis_streams.LAG_S", 0.2)
    async with node(redis_url) as (reader, _), node(redis_url) as (writer, changes):
        await reader.watch(["note"])
        changes.announce_rows([row(1)], ())
        assert number_of(await take(reader)) == 1
        await writer._is_sent.wait()
        writer._number += 1
        writer._sent = writer._number
        assert (await take(reader)).entry is None


@pytest.mark.redis
async def test_an_entry_that_is_put_in_twice_comes_once(redis_url: str) -> None:
    async with (
        node(redis_url) as (reader, _),
        node(redis_url) as (_, changes),
        redis.asyncio.Redis.from_url(redis_url) as client,
    ):
        await reader.watch(["note"])
        changes.announce_rows([row(1)], ())
        assert number_of(await take(reader)) == 1
        ((_, fields),) = await client.xrevrange(f"{NAME}:entries", count=1)
        await client.xadd(f"{NAME}:entries", fields)
        changes.announce_rows([row(2)], ())
        assert number_of(await take(reader)) == 2


@pytest.mark.redis
async def test_a_place_is_known_as_long_as_its_entry_is_there(redis_url: str) -> None:
    async with (
        node(redis_url) as (reader, _),
        node(redis_url) as (other, changes),
        redis.asyncio.Redis.from_url(redis_url) as client,
    ):
        await reader.watch(["note"])
        begin = reader.place
        for number in range(3):
            changes.announce_rows([row(number)], ())
        arrivals = [await take(reader) for _ in range(3)]
        missed = await reader.replay(arrivals[0].place, reader.place, ["note"])
        assert missed is not None
        assert [number_of(one) for one in missed] == [0, 1, 2]
        await other.watch(["note"])
        assert await other.replay(begin, reader.place, ["note"]) is not None
        assert await reader.replay(begin, reader.place, ["page"]) is None
        await client.xtrim(f"{NAME}:entries", maxlen=3, approximate=False)
        assert await reader.replay(arrivals[0].place, reader.place, ["note"]) is None
        assert await reader.replay(arrivals[1].place, reader.place, ["note"]) is not None
        for nonsense in ("", "x", "1-1", "-", "99999999999999999-0", "1", arrivals[0].place + "0"):
            assert await reader.replay(nonsense, reader.place, ["note"]) is None


@pytest.mark.redis
async def test_entries_of_another_registry_or_secret_say_that_something_is_missing(redis_url: str) -> None:
    async with node(redis_url) as (reader, _):
        await reader.watch(["note"])
        for more in ({"digest": "e"}, {"key": b"j" * 32}):
            async with node(redis_url, **more) as (_, changes):  # type: ignore[arg-type]
                changes.announce_rows([row(1)], ())
                assert (await take(reader)).entry is None


@pytest.mark.redis
async def test_a_queue_that_is_too_long_is_given_up_and_that_is_said(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.io.redis_streams.MAX_WAITING", 5)
    async with node(redis_url) as (reader, _), node(redis_url) as (_, changes):
        await reader.watch(["note"])
        for number in range(7):
            changes.announce_rows([row(number)], ())
        seen = [await take(reader)]
        while seen[-1].entry is None or seen[-1].entry.rows[:1] != (row(6),):
            if seen[-1].entry is not None and not seen[-1].entry.rows:
                break
            seen.append(await take(reader))
        assert any(one.entry is None or not one.entry.rows for one in seen)


async def test_without_redis_a_process_goes_on_by_itself() -> None:
    async with node("redis://127.0.0.1:1/0") as (stream, changes):
        await stream.watch(["note"])
        changes.announce_rows([row(1)], ())
        assert number_of(await take(stream)) == 1
        assert await stream.replay("1-1", stream.place, ["note"]) is None
