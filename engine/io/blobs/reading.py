"""A file of a directory store that is being read: a small one in one go when it is opened, others by chunks."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, TypeVar

from engine.errors import Unavailable
from engine.io.blobs.faults import refuse
from engine.io.blobs.hot import SMALL_BYTES, is_whole
from engine.io.blobs.store import CHUNK_BYTES

T = TypeVar("T")

BUFFER_BYTES = 256 * 1024


class Threads(Protocol):
    """Where disk work runs; see `directory.py`."""

    async def run(self, work: Callable[[], T]) -> T:
        """Run work in a thread."""

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Begin work in a thread."""


class OpenFile:
    """An open file of a blob."""

    def __init__(self, store: Threads, digest: str, file: int, size_bytes: int) -> None:
        self._store = store
        self._digest = digest
        self._file = file
        self._size_bytes = size_bytes
        self._reading = threading.Lock()
        self._is_closed = False

    @property
    def digest(self) -> str:
        """Its hash."""
        return self._digest

    @property
    def size_bytes(self) -> int:
        """How many bytes it is."""
        return self._size_bytes

    @property
    def fileno(self) -> int | None:
        """Its descriptor."""
        return self._file

    async def prepare(self, start: int, end: int) -> None:
        """Read what the system does not remember, into nowhere."""
        if start < end and not (_is_remembered(self._file, start) and _is_remembered(self._file, end - 1)):
            try:
                await self._store.run(lambda: self._read_away(start, end))
            except OSError as error:
                raise refuse("read", error) from error

    async def read(self, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes; while a chunk is being used, the next one is being read."""
        last = self._size_bytes if end is None else min(end, self._size_bytes)
        coming = self._begin_reading(start, last)
        while coming is not None:
            try:
                chunk = await asyncio.wrap_future(coming)
            except OSError as error:
                raise refuse("read", error) from error
            if not chunk:
                raise Unavailable("The file's bytes cannot be read at the moment.")
            start += len(chunk)
            coming = self._begin_reading(start, last)
            yield chunk

    def _begin_reading(self, start: int, last: int) -> Future[bytes] | None:
        if start >= last:
            return None
        return self._store.submit(lambda: self._read_at(start, min(CHUNK_BYTES, last - start)))

    def _read_at(self, start: int, number: int) -> bytes:
        # The lock keeps the descriptor from being closed, and given to another file, below a read that runs on.
        with self._reading:
            return b"" if self._is_closed else os.pread(self._file, number, start)

    def _read_away(self, start: int, end: int) -> None:
        buffer = bytearray(min(BUFFER_BYTES, end - start))
        while start < end:
            with self._reading:
                count = 0 if self._is_closed else os.preadv(self._file, [buffer], start)
            if not count:
                return
            start += count

    def _close(self) -> None:
        with self._reading:
            self._is_closed = True
            os.close(self._file)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Not waited for: whoever leaves because he was cancelled cannot wait.
        self._store.submit(self._close)


def open_file(path: Path, digest: str) -> tuple[int, int, bytes | None, bool]:
    """Open a large file, or read and close a small one: descriptor, size, content, whether its hash is right."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    is_small = True
    try:
        size_bytes = os.fstat(file).st_size
        is_small = size_bytes <= SMALL_BYTES
        if not is_small:
            return file, size_bytes, None, False
        content = os.pread(file, SMALL_BYTES, 0)
        return -1, size_bytes, content, is_whole(digest, content)
    finally:
        if is_small:
            os.close(file)


def _is_remembered(file: int, place: int) -> bool:
    """Whether a byte can be read without waiting for a disk; False also where the system does not tell."""
    try:
        os.preadv(file, [bytearray(1)], place, os.RWF_NOWAIT)
    except (AttributeError, OSError):
        return False
    return True
