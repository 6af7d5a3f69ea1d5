"""The blob store: bytes under the SHA-256 of themselves, in a directory or in an S3-compatible store.

What a store is stands in `store.py`. Whose the bytes are stands in rows; a store asks nobody for rights.
"""

from __future__ import annotations

from pathlib import Path

from engine.io.blobs.directory import DirectoryStore
from engine.io.blobs.s3 import S3Store
from engine.io.blobs.store import CHUNK_BYTES as CHUNK_BYTES
from engine.io.blobs.store import BlobStore, is_digest
from engine.io.blobs.store import Leftover as Leftover
from engine.io.blobs.store import OpenBlob as OpenBlob
from engine.io.blobs.store import Staged as Staged
from engine.io.blobs.store import Stored as Stored
from engine.io.blobs.store import Upload as Upload
from engine.settings import Settings

__all__ = ["CHUNK_BYTES", "BlobStore", "Leftover", "OpenBlob", "Staged", "Stored", "Upload", "is_digest", "open_blobs"]


def open_blobs(settings: Settings) -> BlobStore:
    """The store that ``AETHER_STORAGE_URL`` names. Nothing is read, written or connected to yet."""
    if settings.storage_url.startswith("file:"):
        return DirectoryStore(Path(settings.storage_url.removeprefix("file:")))
    return S3Store(settings.storage_url)
