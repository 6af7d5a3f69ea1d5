"""Blobs in a bucket: what parts leave, a bucket that is away, credentials that do not hold, a clean-up at work."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import anyio
import obstore
import pytest

from engine.errors import Unavailable
from engine.io.blobs import BlobStore, s3
from engine.io.blobs.s3 import S3Store, key_of, mark_of
from tests.support.blobs import LATER, contents, digest_of, get, leftovers, put, store_at
from tests.support.objects import ObjectServer
from tests.support.serving import free_port

MANY = 13 << 20


@pytest.fixture
async def blobs(s3_url: str) -> AsyncIterator[BlobStore]:
    """A store in a bucket."""
    async with store_at(s3_url) as store:
        yield store


@pytest.fixture
def bucket(s3_url: str) -> str:
    """The bucket's name."""
    return s3_url.split("/")[2]


async def test_a_key_is_the_prefix_and_the_hash(blobs: BlobStore, bucket: str, objects: ObjectServer) -> None:
    digest = await put(blobs, b"content")
    assert objects.keys(bucket) == [f"below/here/{digest[:2]}/{digest[2:4]}/{digest}"]


async def test_a_bucket_without_a_prefix_serves_as_well(s3_url: str, bucket: str, objects: ObjectServer) -> None:
    async with store_at(f"s3://{bucket}") as store:
        digest = await put(store, os.urandom(MANY))
        assert await contents(store) == {digest: MANY}
    assert objects.keys(bucket) == [f"{digest[:2]}/{digest[2:4]}/{digest}"]


async def test_an_upload_that_ends_early_leaves_no_parts(blobs: BlobStore, bucket: str, objects: ObjectServer) -> None:
    async with blobs.begin() as upload:
        for _ in range(12):
            await upload.write(os.urandom(1 << 20))
    assert objects.unfinished_uploads(bucket) == 0
    assert objects.keys(bucket) == []


async def test_a_cancelled_upload_leaves_no_parts(s3_url: str, bucket: str, objects: ObjectServer) -> None:
    async with store_at(s3_url) as store:

        async def upload_forever() -> None:
            async with store.begin() as upload:
                while True:
                    await upload.write(os.urandom(1 << 20))

        with anyio.move_on_after(0.7):
            await upload_forever()
    assert objects.unfinished_uploads(bucket) == 0
    assert objects.keys(bucket) == []


async def test_a_bucket_that_is_not_there_is_503_and_never_a_blob_that_is_not_there(s3_url: str) -> None:
    async with store_at("s3://nobody-has-made-this-bucket/x") as store:
        await refuses_everything(store)


async def test_credentials_that_do_not_hold_are_503(blobs: BlobStore, objects: ObjectServer) -> None:
    digest = await put(blobs, b"content")
    objects.require_credentials(0)
    try:
        await refuses_everything(blobs)
    finally:
        objects.require_credentials(None)
    assert await get(blobs, digest) == b"content"


async def test_a_server_that_is_away_is_503_in_seconds(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    async with store_at(s3_url) as store:
        with anyio.fail_after(60):
            await refuses_everything(store)


async def refuses_everything(store: BlobStore) -> None:
    """Each call says 503, with when to try again, and nothing of the inside."""
    digest = digest_of(b"content")
    for call in (
        store.check(),
        put(store, b"content"),
        put(store, os.urandom(MANY)),
        store.open(digest),
        store.size(digest),
        store.refresh(digest),
        store.remove(digest, older_than=LATER),
        store.now(),
        contents(store),
        leftovers(store),
    ):
        with pytest.raises(Unavailable) as refusal:
            await call
        assert refusal.value.headers
        for word in ("bucket", "127.0.0.1", "aws", "key"):
            assert word not in refusal.value.detail.lower()


async def test_a_keeper_waits_for_a_remover_of_the_same_digest(s3_url: str) -> None:
    """The remover has marked the digest and looked; it removes the blob right after the keeper has put it there."""
    async with store_at(s3_url) as store:
        assert isinstance(store, S3Store)
        digest = digest_of(b"content")
        await obstore.put_async(store.bucket, mark_of(digest), b"")

        async with anyio.create_task_group() as group:
            kept = anyio.Event()

            async def keep() -> None:
                await put(store, b"content")
                kept.set()

            group.start_soon(keep)
            while await store.size(digest) is None:
                pass
            assert not kept.is_set()
            await obstore.delete_async(store.bucket, key_of(digest))
            await obstore.delete_async(store.bucket, mark_of(digest))
        assert await get(store, digest) == b"content"


async def test_the_mark_of_a_remover_that_died_holds_nobody_up_for_long(
    s3_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "MARK_LIFE_S", 2)
    async with store_at(s3_url) as store:
        assert isinstance(store, S3Store)
        await obstore.put_async(store.bucket, mark_of(digest_of(b"content")), b"")
        digest = await put(store, b"content")
        assert await get(store, digest) == b"content"
        assert await leftovers(store) == []


async def test_a_mark_that_is_left_is_a_leftover_once_it_is_old(s3_url: str) -> None:
    async with store_at(s3_url) as store:
        assert isinstance(store, S3Store)
        await obstore.put_async(store.bucket, mark_of(digest_of(b"content")), b"")
        (left,) = [left async for left in store.list_leftovers()]
        assert not await store.remove_leftover(left, older_than=await store.now() - 60)
        assert await store.remove_leftover(left, older_than=LATER)
        assert await leftovers(store) == []
