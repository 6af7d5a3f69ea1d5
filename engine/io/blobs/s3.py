"""Blobs in a bucket of an S3-compatible store: ``ab/cd/<digest>`` below the prefix, uploads under way in ``tmp``.

The endpoint, the region and the credentials come from the usual ``AWS_…`` variables, which obstore reads. An upload's
way in stands in `outgoing.py`.

A bucket has no locks. So whoever removes a blob marks its digest first, looks at its time after that, and removes the
mark last; whoever keeps a blob puts it there first, then looks for a mark and for the blob itself, in this order, and
begins again where the one is there or the other is not. S3 reads what was written before: of a remover and a keeper
of the same digest, one sees the other.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from time import monotonic
from types import TracebackType
from typing import Any, Self, TypeVar

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store as Bucket

from engine.errors import Unavailable
from engine.io.blobs.faults import refuse
from engine.io.blobs.hot import SMALL_BYTES, HotBlobs, MemoryBlob, is_whole
from engine.io.blobs.outgoing import S3Upload
from engine.io.blobs.store import CHUNK_BYTES, Leftover, OpenBlob, Stored, Upload, is_digest, require_digest

T = TypeVar("T")

ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
THREADS = 4
CONNECT_S = 3
SILENCE_S = 30
LONGEST_S = 24 * 3600
CALL_S = 60
CHECK_S = 5
RETRIES = 2
RETRY_S = 10
FAULTS = (BaseError, OSError, TimeoutError)
TEMPORARY = "tmp"
MARKS = "condemned"
# A remover has given up, or is dead, when its mark is older than this; it never takes longer than half of it.
MARK_LIFE_S = 30
MARK_PAUSE_S = 0.2
# S3 tells times in whole seconds.
CLOCK_STEP_S = 1


class S3Store:
    """A store in a bucket. Several machines may use it at once.

    Args:
        url: ``s3://bucket/prefix``; the prefix may be missing.
    """

    def __init__(self, url: str) -> None:
        endpoint = next((os.environ[name] for name in ENDPOINTS if os.environ.get(name)), "")
        self._bucket = Bucket.from_url(
            url,
            client_options={
                "allow_http": endpoint.startswith("http://"),
                "connect_timeout": timedelta(seconds=CONNECT_S),
                # What counts is that something comes, not how long a large file takes as a whole.
                "read_timeout": timedelta(seconds=SILENCE_S),
                "timeout": timedelta(seconds=LONGEST_S),
            },
            retry_config={
                "max_retries": RETRIES,
                "retry_timeout": timedelta(seconds=RETRY_S),
                "backoff": {"init_backoff": timedelta(milliseconds=50), "max_backoff": timedelta(seconds=1)},
            },
        )
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="blobs")
        self._hot = HotBlobs()
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self) -> Upload:
        """Begin an upload."""
        return S3Upload(self)

    async def open(self, digest: str, *, is_fresh: bool = False) -> OpenBlob | None:
        """Look for a blob; the bytes of a large one are asked for when they are read."""
        hot = self._hot.get(require_digest(digest))
        if hot is not None and not is_fresh:
            return MemoryBlob(digest, hot)
        size_bytes = await self.size(digest)
        if size_bytes is None:
            return None
        opened = _OpenObject(self, digest, size_bytes)
        if size_bytes > SMALL_BYTES:
            return opened
        content = b"".join([chunk async for chunk in opened.read()])
        if is_whole(digest, content):
            self._hot.put(digest, content)
        return MemoryBlob(digest, content)

    async def size(self, digest: str) -> int | None:
        """How many bytes a blob is."""
        found = await self._look("stat", key_of(digest))
        if found is None:
            await self._require_bucket()
            return None
        return found[0]

    async def refresh(self, digest: str) -> bool:
        """Copy a blob away and back: S3 has no other way to make it new."""
        key, aside = key_of(digest), self.new_key()
        try:
            await self._call("refresh", lambda: obstore.copy_async(self._bucket, key, aside), missing=FileNotFoundError)
        except FileNotFoundError:
            await self._require_bucket()
            return False
        try:
            await self.settle(digest, aside)
        finally:
            await asyncio.shield(self.spawn(self.discard(aside)))
        return True

    async def remove(self, digest: str, *, older_than: float) -> bool:
        """Mark a blob, look at its time, remove it, remove the mark."""
        key, mark = key_of(digest), mark_of(digest)
        self._hot.forget(digest)
        began = monotonic()
        await self._call("remove", lambda: obstore.put_async(self._bucket, mark, b""))
        try:
            found = await self._look("remove", key)
            if found is None or found[1] + CLOCK_STEP_S >= older_than or monotonic() - began > MARK_LIFE_S / 3:
                return False
            left_s = MARK_LIFE_S / 2 - (monotonic() - began)
            await self._call("remove", lambda: obstore.delete_async(self._bucket, key), patience_s=left_s)
        finally:
            await self.discard(mark)
        return True

    async def list(self) -> AsyncIterator[Stored]:
        """Every blob; what is not where it belongs is none."""
        async for path, size_bytes, modified_at in self._walk(None):
            name = path.rpartition("/")[2]
            if is_digest(name) and path == key_of(name):
                yield Stored(name, size_bytes, modified_at)

    async def list_leftovers(self) -> AsyncIterator[Leftover]:
        """Uploads that came to their end and were not kept, and marks. (Parts of others are the bucket's to expire.)"""
        for prefix in (TEMPORARY, MARKS):
            async for path, size_bytes, modified_at in self._walk(prefix):
                yield Leftover(path, size_bytes, modified_at)

    async def remove_leftover(self, leftover: Leftover, *, older_than: float) -> bool:
        """Remove what has lain for so long that nothing can still need it."""
        if leftover.modified_at + CLOCK_STEP_S >= older_than:
            return False
        await self._call("remove", lambda: obstore.delete_async(self._bucket, leftover.name))
        return True

    async def now(self) -> float:
        """The clock of the store, as it stamps what is written."""
        key = self.new_key()
        try:
            await self._call("clock", lambda: obstore.put_async(self._bucket, key, b""))
            found = await self._look("clock", key)
        finally:
            await self.discard(key)
        if found is None:
            raise Unavailable("The files cannot be reached at the moment. Try again shortly.")
        return found[1]

    async def check(self) -> None:
        """Write an object and remove it."""
        key = self.new_key()
        await self._call("check", lambda: obstore.put_async(self._bucket, key, b"?"), patience_s=CHECK_S)
        await self._call("check", lambda: obstore.delete_async(self._bucket, key), patience_s=CHECK_S)

    async def close(self) -> None:
        """Wait for what is being cleaned up."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=SILENCE_S)
        await asyncio.to_thread(self._threads.shutdown)

    # ------------------------------------------------------------ for uploads and open blobs

    @property
    def bucket(self) -> Bucket:
        """The bucket, below the prefix."""
        return self._bucket

    def new_key(self) -> str:
        """A key for an object that lives for the length of a call."""
        return f"{TEMPORARY}/{secrets.token_hex(16)}"

    async def run(self, work: Callable[[], T]) -> T:
        """Run work for the processor in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Begin what goes on whoever waits for it, and is waited for at the end."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def settle(self, digest: str, source: str | bytes) -> None:
        """Put bytes under their hash such that no remover at work can take them away again.

        Args:
            digest: Their hash.
            source: The bytes, or the key where they lie.

        Raises:
            Unavailable: It cannot be done, or a remover holds the digest for longer than it may.
        """
        key, mark = key_of(digest), mark_of(digest)
        give_up_at = monotonic() + 2 * MARK_LIFE_S
        while monotonic() < give_up_at:
            await self._call("store", lambda: self._put(key, source))
            marked = await self._look("store", mark)
            kept = await self._look("store", key)
            if marked is None and kept is not None:
                return
            if marked is not None and kept is not None and kept[1] - marked[1] > MARK_LIFE_S:
                await self.discard(mark)
            else:
                await asyncio.sleep(MARK_PAUSE_S)
        raise refuse("store", TimeoutError("a clean-up holds the digest"))

    async def discard(self, key: str) -> None:
        """Remove an object of ours that nobody needs; where it cannot be, the clean-up will."""
        with suppress(Unavailable):
            await self._call("remove", lambda: obstore.delete_async(self._bucket, key))

    # ------------------------------------------------------------ calls

    async def _call(
        self,
        operation: str,
        call: Callable[[], Awaitable[T]],
        *,
        patience_s: float = CALL_S,
        missing: type[Exception] | tuple[()] = (),
    ) -> T:
        """Ask the store; every fault but `missing` becomes the one refusal."""
        try:
            async with asyncio.timeout(patience_s):
                return await call()
        except missing:
            raise
        except FAULTS as error:
            raise refuse(operation, error) from error

    async def _put(self, key: str, source: str | bytes) -> None:
        if isinstance(source, str):
            await obstore.copy_async(self._bucket, source, key)
        else:
            await obstore.put_async(self._bucket, key, source, use_multipart=False)

    async def _look(self, operation: str, key: str) -> tuple[int, float] | None:
        """Size and time of an object, or None when there is none."""
        try:
            found = await self._call(
                operation, lambda: obstore.head_async(self._bucket, key), missing=FileNotFoundError
            )
        except FileNotFoundError:
            return None
        return found["size"], found["last_modified"].timestamp()

    async def _require_bucket(self) -> None:
        """A bucket that is not there answers like an object that is not there; a listing tells them apart."""
        await self._call("stat", self._list_one)

    async def _list_one(self) -> None:
        async for _ in obstore.list(self._bucket, TEMPORARY, chunk_size=1):
            break

    async def _walk(self, prefix: str | None) -> AsyncIterator[tuple[str, int, float]]:
        try:
            async for batch in obstore.list(self._bucket, prefix):
                for one in batch:
                    yield one["path"], one["size"], one["last_modified"].timestamp()
        except FAULTS as error:
            raise refuse("list", error) from error


class _OpenObject:
    """A blob in a bucket."""

    def __init__(self, store: S3Store, digest: str, size_bytes: int) -> None:
        self._store = store
        self._digest = digest
        self._size_bytes = size_bytes

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
        """None: it is no file."""
        return None

    async def prepare(self, start: int, end: int) -> None:
        """Nobody takes bytes by a descriptor."""

    async def read(self, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes. A connection that breaks is taken up again where it broke, as long as anything comes."""
        last = self._size_bytes if end is None else min(end, self._size_bytes)
        key = key_of(self._digest)
        while start < last:
            began = start
            try:
                got = await obstore.get_async(self._store.bucket, key, options={"range": (start, last)})
                async for chunk in got.stream(min_chunk_size=CHUNK_BYTES):
                    start += len(chunk)
                    yield bytes(chunk)
            except FAULTS as error:
                if start == began:
                    raise refuse("read", error) from error
            if start == began:
                raise refuse("read", EOFError("no bytes came"))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is held."""


def key_of(digest: str) -> str:
    """Where a blob lies, below the prefix."""
    require_digest(digest)
    return f"{digest[:2]}/{digest[2:4]}/{digest}"


def mark_of(digest: str) -> str:
    """Where the mark of a blob that is being removed lies, below the prefix."""
    require_digest(digest)
    return f"{MARKS}/{digest}"
