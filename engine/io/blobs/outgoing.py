"""An upload into a bucket: hashed as it streams; large ones go to a key of their own, small ones wait in memory.

What is smaller than one part is sent once, under its hash, when it is kept. What is larger is sent as parts to a
temporary key while it comes in, and copied by the store itself when it is kept.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store as Bucket

from engine.faultpoints import fault_point
from engine.io.blobs.faults import refuse
from engine.io.blobs.store import CHUNK_BYTES, Staged

T = TypeVar("T")

PART_BYTES = 5 * 1024 * 1024
"""The smallest part that S3 takes; up to 10,000 of them."""
PARTS_AT_ONCE = 2
BLOCKS_AHEAD = 1
FAULTS = (BaseError, OSError, TimeoutError)


class Shelf(Protocol):
    """What an upload needs of the store that it goes into; see `s3.py`."""

    @property
    def bucket(self) -> Bucket:
        """The bucket."""

    async def run(self, work: Callable[[], T]) -> T:
        """Run work for the processor in a thread."""

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Begin what goes on whoever waits for it."""

    def new_key(self) -> str:
        """A key for an object that lives for the length of an upload."""

    async def settle(self, digest: str, source: str | bytes) -> None:
        """Put bytes under their hash."""

    async def discard(self, key: str) -> None:
        """Remove an object of ours."""


class _Abandoned(Exception):
    """Makes obstore abort the parts that were sent."""


class S3Upload:
    """One upload."""

    def __init__(self, store: Shelf) -> None:
        self._store = store
        self._size_bytes = 0
        self._block = bytearray()
        self._held: list[bytes] = []
        self._hash = hashlib.sha256()
        self._hashing: asyncio.Future[None] | None = None
        self._blocks: asyncio.Queue[bytes | None] = asyncio.Queue(BLOCKS_AHEAD)
        self._sending: asyncio.Task[None] | None = None
        self._key = store.new_key()
        self._is_abandoned = False
        self._staged: Staged | None = None
        self._is_kept = False

    @property
    def size_bytes(self) -> int:
        """How many bytes were written so far."""
        return self._size_bytes

    async def write(self, chunk: bytes | bytearray | memoryview) -> None:
        """Take bytes; they are hashed and sent when there is a block of them."""
        if self._staged is not None:
            raise RuntimeError("the upload is finished")
        self._block += chunk
        self._size_bytes += len(chunk)
        if len(self._block) >= CHUNK_BYTES:
            await self._pass_on()

    async def finish(self) -> Staged:
        """Send what is left, and say the hash."""
        if self._staged is None:
            await self._pass_on()
            if self._hashing is not None:
                await self._hashing
            if self._sending is not None:
                await self._hand_over(None)
                await self._sent()
            self._staged = Staged(self._hash.hexdigest(), self._size_bytes)
        return self._staged

    async def keep(self) -> None:
        """Put the bytes under their hash."""
        if self._staged is None:
            raise RuntimeError("the upload is not finished")
        if not self._is_kept:
            source = b"".join(self._held) if self._sending is None else self._key
            await self._store.settle(self._staged.digest, source)
            self._is_kept = True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._sending is not None:
            # Not waited for in vain: whoever leaves because he was cancelled cannot wait, and it goes on.
            await asyncio.shield(self._store.spawn(self._clean_up(self._sending)))

    async def _pass_on(self) -> None:
        """Hash a block in a thread, and send it or hold it."""
        block, self._block = bytes(self._block), bytearray()
        if self._hashing is not None:
            await self._hashing
        self._hashing = asyncio.ensure_future(self._store.run(lambda: self._hash.update(block)))
        if self._sending is None:
            self._held.append(block)
            if self._size_bytes <= PART_BYTES:
                return
            self._sending = self._store.spawn(self._send())
            held, self._held = self._held, []
            for one in held:
                await self._hand_over(one)
        else:
            await self._hand_over(block)

    async def _hand_over(self, block: bytes | None) -> None:
        """Give a block to the sender, unless that has failed."""
        if self._sending is None:
            return
        placing = asyncio.ensure_future(self._blocks.put(block))
        try:
            await asyncio.wait({placing, self._sending}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not placing.done():
                placing.cancel()
        if self._sending.done() and block is not None:
            await self._sent()

    async def _sent(self) -> None:
        if self._sending is None:
            return
        try:
            await asyncio.shield(self._sending)
        except FAULTS as error:
            raise refuse("store", error) from error

    async def _send(self) -> None:
        fault_point("blob-write")
        await obstore.put_async(
            self._store.bucket,
            self._key,
            self._outgoing(),
            use_multipart=True,
            chunk_size=PART_BYTES,
            max_concurrency=PARTS_AT_ONCE,
        )

    async def _outgoing(self) -> AsyncIterator[bytes]:
        while True:
            block = await self._blocks.get()
            if self._is_abandoned:
                raise _Abandoned
            if block is None:
                return
            if block:
                yield block

    async def _clean_up(self, sending: asyncio.Task[None]) -> None:
        self._is_abandoned = True
        with suppress(asyncio.QueueFull):
            self._blocks.put_nowait(None)
        with suppress(_Abandoned, *FAULTS):
            await sending
            await self._store.discard(self._key)
