"""Blobs for tests: a store by its URL, bytes put into it, and what lies in it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256

from engine.io.blobs import BlobStore, open_blobs
from engine.settings import load_settings

PIECE_BYTES = 1 << 20
LATER = 4e9
"""A time that everything is older than."""


@asynccontextmanager
async def store_at(url: str) -> AsyncIterator[BlobStore]:
    """A store, closed at the end."""
    blobs = open_blobs(load_settings(env_file=None, mode="dev", storage_url=url))
    try:
        yield blobs
    finally:
        await blobs.close()


async def put(blobs: BlobStore, content: bytes) -> str:
    """Keep bytes; their digest."""
    async with blobs.begin() as upload:
        for at in range(0, len(content), PIECE_BYTES):
            await upload.write(content[at : at + PIECE_BYTES])
        staged = await upload.finish()
        await upload.keep()
    return staged.digest


async def get(blobs: BlobStore, digest: str, start: int = 0, end: int | None = None) -> bytes | None:
    """Read bytes; None where there is no such blob."""
    found = await blobs.open(digest)
    if found is None:
        return None
    async with found as blob:
        return b"".join([chunk async for chunk in blob.read(start, end)])


async def contents(blobs: BlobStore) -> dict[str, int]:
    """Every blob's digest and size."""
    return {stored.digest: stored.size_bytes async for stored in blobs.list()}


async def leftovers(blobs: BlobStore) -> list[str]:
    """The names of what uploads have left or are writing."""
    return [leftover.name async for leftover in blobs.list_leftovers()]


def digest_of(content: bytes) -> str:
    """SHA-256 in the form that the product writes it in."""
    return sha256(content).hexdigest()
