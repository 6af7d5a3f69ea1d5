"""What both stores of blobs promise: a directory and a bucket behind the real S3 protocol."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from hashlib import sha256
from random import Random

import anyio
import pytest

from engine.io.blobs import BlobStore
from tests.support.blobs import LATER, contents, digest_of, get, leftovers, put, store_at

MANY = 13 * 1024 * 1024 + 7
"""More than two parts of an S3 upload, and no multiple of anything."""
UNKNOWN = digest_of(b"nobody has ever stored this")


@pytest.fixture
async def blobs(storage_url: str) -> AsyncIterator[BlobStore]:
    """A store of either kind."""
    async with store_at(storage_url) as store:
        yield store


def some_bytes(number: int, seed: int = 1) -> bytes:
    """Bytes that no compression or block boundary makes look right by luck."""
    return Random(seed).randbytes(number)


@pytest.mark.parametrize("number", [0, 1, 65_536, 65_537, 1 << 20, (1 << 20) + 1, MANY])
async def test_what_is_kept_is_read_back_byte_for_byte_under_its_hash(blobs: BlobStore, number: int) -> None:
    content = some_bytes(number)
    digest = await put(blobs, content)
    assert digest == digest_of(content)
    assert await blobs.size(digest) == number
    assert await get(blobs, digest) == content
    assert await contents(blobs) == {digest: number}
    assert await leftovers(blobs) == []


async def test_pieces_of_any_size_and_type_come_to_the_same_bytes(blobs: BlobStore) -> None:
    content = some_bytes(MANY)
    sizes = Random(2)
    async with blobs.begin() as upload:
        at = 0
        while at < len(content):
            size = sizes.choice([0, 1, 17, 65_536, 1 << 20, 3 << 20])
            kind = sizes.choice([bytes, bytearray, memoryview])
            await upload.write(kind(content[at : at + size]))
            at += size
        assert upload.size_bytes == len(content)
        staged = await upload.finish()
        assert (staged.digest, staged.size_bytes) == (digest_of(content), len(content))
        await upload.keep()
    assert await get(blobs, staged.digest) == content


async def test_a_piece_may_be_written_over_as_soon_as_it_was_taken(blobs: BlobStore) -> None:
    piece = bytearray(1 << 20)
    expected = sha256()
    async with blobs.begin() as upload:
        for number in range(12):
            piece[:] = bytes([number]) * len(piece)
            expected.update(piece)
            await upload.write(piece)
        piece[:] = b"!" * len(piece)
        assert (await upload.finish()).digest == expected.hexdigest()
        await upload.keep()
    content = await get(blobs, expected.hexdigest())
    assert content is not None
    assert digest_of(content) == expected.hexdigest()


@pytest.mark.parametrize(
    ("start", "end"), [(0, 1), (0, None), (5, 6), (1 << 20, (1 << 20) + 1), (100, 3 << 20), (MANY - 1, None), (7, 7)]
)
async def test_a_range_is_read_as_it_was_asked_for(blobs: BlobStore, start: int, end: int | None) -> None:
    content = some_bytes(MANY)
    digest = await put(blobs, content)
    assert await get(blobs, digest, start, end) == content[start:end]


async def test_nothing_is_seen_under_a_hash_before_it_is_kept(blobs: BlobStore) -> None:
    content = some_bytes(MANY)
    async with blobs.begin() as upload:
        await upload.write(content[: len(content) // 2])
        assert await contents(blobs) == {}
        await upload.write(content[len(content) // 2 :])
        await upload.finish()
        assert await contents(blobs) == {}
        assert await blobs.size(digest_of(content)) is None
        await upload.keep()
        assert await get(blobs, digest_of(content)) == content


@pytest.mark.parametrize("number", [0, 3, MANY])
@pytest.mark.parametrize("is_finished", [True, False])
async def test_who_leaves_without_keeping_has_stored_nothing(blobs: BlobStore, number: int, is_finished: bool) -> None:
    async with blobs.begin() as upload:
        await upload.write(some_bytes(number))
        if is_finished:
            await upload.finish()
    assert await contents(blobs) == {}
    assert await leftovers(blobs) == []


async def test_a_client_that_breaks_off_leaves_nothing(blobs: BlobStore) -> None:
    async def break_off() -> None:
        async with blobs.begin() as upload:
            await upload.write(some_bytes(MANY))
            raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await break_off()
    assert await contents(blobs) == {}
    assert await leftovers(blobs) == []


async def test_an_upload_that_is_cancelled_at_any_moment_leaves_nothing(storage_url: str) -> None:
    content = some_bytes(7 << 20)
    for turns in range(0, 60, 3):
        async with store_at(storage_url) as blobs:

            async def upload_all(blobs: BlobStore = blobs) -> None:
                async with blobs.begin() as upload:
                    for at in range(0, len(content), 1 << 20):
                        await upload.write(content[at : at + (1 << 20)])
                    await upload.finish()
                    await anyio.sleep_forever()

            task = asyncio.create_task(upload_all())
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        # The store is closed: whatever it was still cleaning up has ended.
        async with store_at(storage_url) as blobs:
            assert await contents(blobs) == {}
            assert await leftovers(blobs) == []


async def test_the_same_bytes_twice_are_one_blob(blobs: BlobStore) -> None:
    content = some_bytes(100_000)
    assert await put(blobs, content) == await put(blobs, content)
    assert await contents(blobs) == {digest_of(content): len(content)}
    assert await leftovers(blobs) == []


async def test_fifty_at_once_with_the_same_bytes_are_one_blob(blobs: BlobStore) -> None:
    content = some_bytes(200_000)
    digests: list[str] = []

    async def upload() -> None:
        digests.append(await put(blobs, content))

    async with anyio.create_task_group() as group:
        for _ in range(50):
            group.start_soon(upload)
    assert digests == [digest_of(content)] * 50
    assert await contents(blobs) == {digest_of(content): len(content)}
    assert await get(blobs, digest_of(content)) == content
    assert await leftovers(blobs) == []


async def test_keeping_twice_is_keeping_once(blobs: BlobStore) -> None:
    async with blobs.begin() as upload:
        await upload.write(b"once")
        first = await upload.finish()
        assert await upload.finish() == first
        await upload.keep()
        await upload.keep()
    assert await contents(blobs) == {first.digest: 4}


async def test_a_blob_that_is_not_there_is_nothing(blobs: BlobStore) -> None:
    assert await blobs.open(UNKNOWN) is None
    assert await blobs.size(UNKNOWN) is None
    assert not await blobs.refresh(UNKNOWN)
    assert not await blobs.remove(UNKNOWN, older_than=LATER)
    assert await leftovers(blobs) == []


@pytest.mark.parametrize(
    "name", ["", "../../etc/passwd", UNKNOWN.upper(), UNKNOWN[:-1], UNKNOWN + "0", f"{UNKNOWN[:-1]}\n", "ä" * 64]
)
async def test_only_a_digest_becomes_a_path(blobs: BlobStore, name: str) -> None:
    for call in (blobs.open, blobs.size, blobs.refresh):
        with pytest.raises(ValueError, match="digest"):
            await call(name)
    with pytest.raises(ValueError, match="digest"):
        await blobs.remove(name, older_than=LATER)


async def test_a_blob_is_removed_when_it_is_old_enough_and_no_sooner(blobs: BlobStore) -> None:
    digest = await put(blobs, b"old")
    now = await blobs.now()
    assert not await blobs.remove(digest, older_than=now - 60)
    assert await get(blobs, digest) == b"old"
    assert await blobs.remove(digest, older_than=now + 60)
    assert await contents(blobs) == {}
    assert await leftovers(blobs) == []
    assert await put(blobs, b"old") == digest
    assert await get(blobs, digest) == b"old"


async def test_times_are_told_by_the_stores_own_clock(blobs: BlobStore) -> None:
    before = await blobs.now()
    digest = await put(blobs, b"now")
    after = await blobs.now()
    (stored,) = [stored async for stored in blobs.list()]
    assert stored.digest == digest
    assert before <= stored.modified_at <= after
    assert await leftovers(blobs) == []


async def test_a_blob_that_is_being_read_can_be_read_again_from_anywhere(blobs: BlobStore) -> None:
    content = some_bytes(3 << 20)
    digest = await put(blobs, content)
    opened = await blobs.open(digest)
    assert opened is not None
    async with opened as blob:
        async for _ in blob.read():
            break
        assert b"".join([chunk async for chunk in blob.read(10, 20)]) == content[10:20]
        assert b"".join([chunk async for chunk in blob.read()]) == content


async def test_a_store_that_works_says_so(blobs: BlobStore) -> None:
    await blobs.check()
    assert await contents(blobs) == {}
    assert await leftovers(blobs) == []
