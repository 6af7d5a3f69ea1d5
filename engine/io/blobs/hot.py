"""Small blobs that were read lately, in memory: most downloads are of few files, and a hop to a thread costs as much as
all the rest of a small one.

What is remembered is never wrong: bytes are taken only after their hash was checked, and a hash's bytes never change.
Whether a caller may have them, and whether there is still a row, is asked before, each time.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator
from hashlib import sha256
from types import TracebackType
from typing import Self

SMALL_BYTES = 64 * 1024
MOST_BYTES = 8 * 1024 * 1024


class HotBlobs:
    """The blobs that were asked for last, up to `MOST_BYTES` together."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._blobs: OrderedDict[str, bytes] = OrderedDict()
        self._size_bytes = 0

    @property
    def size_bytes(self) -> int:
        """How many bytes are remembered."""
        return self._size_bytes

    def get(self, digest: str) -> bytes | None:
        """The bytes, if they are remembered."""
        content = self._blobs.get(digest)
        if content is not None:
            self._blobs.move_to_end(digest)
        return content

    def put(self, digest: str, content: bytes) -> None:
        """Remember bytes, whose hash was checked (`is_whole`); the longest unused ones give way."""
        self.forget(digest)
        self._blobs[digest] = content
        self._size_bytes += len(content)
        while self._size_bytes > self._most_bytes:
            _, oldest = self._blobs.popitem(last=False)
            self._size_bytes -= len(oldest)

    def forget(self, digest: str) -> None:
        """Forget a blob that is removed."""
        self._size_bytes -= len(self._blobs.pop(digest, b""))


class MemoryBlob:
    """A blob that is open because all of it is here."""

    def __init__(self, digest: str, content: bytes) -> None:
        self._digest = digest
        self._content = content

    @property
    def digest(self) -> str:
        """Its hash."""
        return self._digest

    @property
    def size_bytes(self) -> int:
        """How many bytes it is."""
        return len(self._content)

    @property
    def fileno(self) -> int | None:
        """None: it is no file."""
        return None

    async def prepare(self, start: int, end: int) -> None:
        """Nobody takes bytes by a descriptor."""

    async def read(self, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes, in one chunk."""
        part = self._content[start:end] if start or end is not None else self._content
        if part:
            yield part

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is held."""


def is_whole(digest: str, content: bytes) -> bool:
    """Whether bytes are those of a hash."""
    return sha256(content).hexdigest() == digest
