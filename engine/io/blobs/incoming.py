"""An upload into a directory: a locked temporary file, hashed as it is written, and renamed when it is kept.

Bytes are written behind: while a thread hashes and writes one block, the next one is being received. So an upload
needs two blocks of memory, whatever its size.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import secrets
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

from engine.faultpoints import fault_point
from engine.io.blobs.faults import refuse
from engine.io.blobs.store import CHUNK_BYTES, Staged

T = TypeVar("T")
FILE_MODE = 0o640
SUFFIX = ".part"


class Place(Protocol):
    """What an upload needs of the directory that it goes into; see `directory.py`."""

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Begin disk work in a thread."""

    def temporary(self) -> Path:
        """The directory of uploads under way."""

    def place(self, digest: str) -> Path:
        """The path of a blob."""

    def locked(self, *, is_exclusive: bool) -> AbstractContextManager[None]:
        """Hold the store's lock."""


class DirectoryUpload:
    """One upload."""

    def __init__(self, store: Place) -> None:
        self._store = store
        self._size_bytes = 0
        self._block = bytearray()
        self._hash = hashlib.sha256()
        self._file = -1
        self._path: Path | None = None
        self._job: Future[Any] | None = None
        self._staged: Staged | None = None
        self._is_over = False

    @property
    def size_bytes(self) -> int:
        """How many bytes were written so far."""
        return self._size_bytes

    async def write(self, chunk: bytes | bytearray | memoryview) -> None:
        """Take bytes; they are hashed and written when there is a block of them."""
        if self._staged is not None:
            raise RuntimeError("the upload is finished")
        self._block += chunk
        self._size_bytes += len(chunk)
        if len(self._block) >= CHUNK_BYTES:
            block, self._block = self._block, bytearray()
            await self._last_job()
            self._begin(lambda: self._store_block(block))

    async def finish(self) -> Staged:
        """Write what is left, and say the hash."""
        if self._staged is None:
            block, self._block = self._block, bytearray()
            await self._last_job()
            self._begin(lambda: self._store_block(block))
            await self._last_job()
            self._staged = Staged(self._hash.hexdigest(), self._size_bytes)
        return self._staged

    async def keep(self) -> None:
        """Bring the bytes to the disk, give them their name, and bring that to the disk as well."""
        if self._staged is None:
            raise RuntimeError("the upload is not finished")
        digest = self._staged.digest
        if self._path is not None:
            self._begin(lambda: self._rename(digest))
            await self._last_job()

    async def __aenter__(self) -> Self:
        self._begin(self._open)
        try:
            await self._last_job()
        except BaseException:
            self._end()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Removing is not waited for in vain: whoever leaves because he was cancelled cannot wait, and it goes on.
        await asyncio.shield(asyncio.wrap_future(self._end()))

    # ------------------------------------------------------------ one job at a time, in a thread

    def _begin(self, work: Callable[[], None]) -> None:
        self._job = self._store.submit(work)

    async def _last_job(self) -> None:
        """Wait for the job under way; what went wrong in it ends the upload."""
        if self._job is None:
            return
        try:
            await asyncio.wrap_future(self._job)
        except OSError as error:
            raise refuse("store", error) from error
        self._job = None

    def _end(self) -> Future[None]:
        """Remove what was not kept, after the job under way has ended, whoever is still waiting."""
        ended: Future[None] = Future()

        def discard(_: object = None) -> None:
            def work() -> None:
                try:
                    self._discard()
                finally:
                    ended.set_result(None)

            self._store.submit(work)

        if self._job is None:
            discard()
        else:
            self._job.add_done_callback(discard)
        return ended

    def _open(self) -> None:
        self._file, self._path = open_temporary(self._store.temporary())

    def _store_block(self, block: bytearray) -> None:
        self._hash.update(block)
        left = memoryview(block)
        while left:
            fault_point("blob-write")
            left = left[os.write(self._file, left) :]

    def _rename(self, digest: str) -> None:
        if self._path is None:
            return
        fault_point("blob-fsync")
        os.fsync(self._file)
        with self._store.locked(is_exclusive=False):
            os.utime(self._file)
            place = self._store.place(digest)
            os.rename(self._path, place)
            self._path = None
        # A directory may have been made by another upload that has not brought it to the disk yet.
        for directory in (place.parent, place.parent.parent, place.parent.parent.parent):
            sync_directory(directory)

    def _discard(self) -> None:
        if self._path is not None:
            with suppress(OSError):
                os.unlink(self._path)
            self._path = None
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def open_temporary(directory: Path) -> tuple[int, Path]:
    """Make a file for an upload and lock it, which says that the upload is under way as long as this process lives.

    Raises:
        OSError: It cannot be made.
    """
    while True:
        path = directory / (secrets.token_hex(16) + SUFFIX)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(file).st_nlink:
                return file, path
        except BlockingIOError:
            # The clean-up has found it between the two calls, and removes it.
            pass
        except BaseException:
            os.close(file)
            raise
        os.close(file)


def sync_directory(path: Path) -> None:
    """Bring a directory's entries to the disk."""
    fault_point("blob-fsync")
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
