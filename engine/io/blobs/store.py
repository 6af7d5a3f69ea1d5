"""What a store of blobs is to the rest of the engine, whichever it is: bytes under the SHA-256 of themselves.

The stores are `directory.py` and `s3.py`; `__init__.py` picks one. A store knows digests and bytes: whose they are,
what they are called and who may have them stands in rows, and never here.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

CHUNK_BYTES = 1 << 20
"""How much is read, hashed and written at once: a hop to a thread costs as much as hashing 64 kB."""

_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Staged:
    """What an upload came to.

    Attributes:
        digest: SHA-256 of the bytes, 64 lower-case hex digits.
        size_bytes: How many bytes they are.
    """

    digest: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Stored:
    """One blob of a listing.

    Attributes:
        digest: The hash that it lies under.
        size_bytes: How many bytes lie there.
        modified_at: When it was last kept, Unix time by the store's own clock, in seconds.
    """

    digest: str
    size_bytes: int
    modified_at: float


@dataclass(frozen=True, slots=True)
class Leftover:
    """What an upload that never ended has left behind.

    Attributes:
        name: The store's own name of it, for `BlobStore.remove_leftover`; never for a caller.
        size_bytes: How many bytes it is.
        modified_at: When it was last written, Unix time by the store's own clock, in seconds.
        is_running: Whether the upload is still under way; None where the store cannot tell: then its age does.
    """

    name: str
    size_bytes: int
    modified_at: float
    is_running: bool | None = None


class Upload(Protocol):
    """Bytes on their way in; an async context manager.

    The order is ``write`` (any number of times), ``finish``, ``keep``. Who leaves the context without `keep`, or
    with an exception, has stored nothing. Every method may raise `Unavailable`: the store is away, full, or could
    not promise that the bytes would outlast a loss of power. Then nothing is kept, and the upload is over.
    """

    @property
    def size_bytes(self) -> int:
        """How many bytes were written so far."""

    async def write(self, chunk: bytes | bytearray | memoryview) -> None:
        """Take the next bytes, of any number. They are copied or written before the next call returns.

        Raises:
            Unavailable: They cannot be stored.
        """

    async def finish(self) -> Staged:
        """Take no more bytes, and say what they came to. They lie in the store, under no hash yet.

        Raises:
            Unavailable: They cannot be stored.
        """

    async def keep(self) -> None:
        """Make the bytes be there under their hash, wholly and lastingly, before this returns; idempotent.

        Where they lie already, nothing is stored twice; the blob counts as new again for the store's clean-up. Call
        it before the transaction that writes the row: bytes without a row are what `aether gc` is for. From here
        on the row must be committed within the grace period (``AETHER_BLOB_GRACE_S``).

        Raises:
            Unavailable: They cannot be kept.
        """

    async def __aenter__(self) -> Self:
        """Begin."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End; what was not kept is removed."""


class OpenBlob(Protocol):
    """A blob that is being read; an async context manager. It can be read to its end even if it is removed meanwhile.

    (On S3 that holds for one chunk; a blob removed while it is being read ends with `Unavailable`.)
    """

    @property
    def digest(self) -> str:
        """Its hash."""

    @property
    def size_bytes(self) -> int:
        """How many bytes it is."""

    @property
    def fileno(self) -> int | None:
        """A descriptor to read it by (``os.sendfile``, ``os.pread``), while it is open; None where it is no file."""

    async def prepare(self, start: int, end: int) -> None:
        """See that bytes are in the system's memory, so that whoever takes them by `fileno` waits for no disk.

        Raises:
            Unavailable: They cannot be read.
        """

    def read(self, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes from `start` up to and without `end` (None: the end of the blob), in chunks of bounded size.

        Raises:
            Unavailable: The store is away, or there are fewer bytes than there were.
        """

    async def __aenter__(self) -> Self:
        """Go on."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""


class BlobStore(Protocol):
    """A store. Digests are 64 lower-case hex digits (`is_digest`); anything else is refused with `ValueError`.

    Every method may raise `Unavailable`: the store is away.
    """

    def begin(self) -> Upload:
        """Begin an upload: ``async with blobs.begin() as upload``."""

    async def open(self, digest: str, *, is_fresh: bool = False) -> OpenBlob | None:
        """Open a blob: ``async with blob``; None when there is none.

        Args:
            digest: Its hash.
            is_fresh: Read what lies in the store now, whatever is remembered.
        """

    async def size(self, digest: str) -> int | None:
        """How many bytes a blob is, or None when there is none."""

    async def refresh(self, digest: str) -> bool:
        """Count a blob as new again, as `Upload.keep` does, for a row that is about to be written without an upload.

        Returns:
            Whether there is such a blob. Where not, no such row may be written.
        """

    async def remove(self, digest: str, *, older_than: float) -> bool:
        """Remove a blob that was last kept before `older_than` (Unix time by the store's clock).

        Returns:
            Whether it was removed: not when there is none, or it has been kept or refreshed since.
        """

    def list(self) -> AsyncIterator[Stored]:
        """Every blob, in no order; what is kept or removed meanwhile may be in it or not."""

    def list_leftovers(self) -> AsyncIterator[Leftover]:
        """What uploads that never ended have left, and those that are under way."""

    async def remove_leftover(self, leftover: Leftover, *, older_than: float) -> bool:
        """Remove what an upload has left; whether it was removed: not while the upload is under way."""

    async def now(self) -> float:
        """What time the store's clock says: Unix time in seconds. Ages are told by this clock alone."""

    async def check(self) -> None:
        """Find out whether bytes can be stored; for ``/health/ready``.

        Raises:
            Unavailable: They cannot.
        """

    async def close(self) -> None:
        """Give back what the store holds."""


def is_digest(text: str) -> bool:
    """Whether a text is a digest in the one form that there is: 64 lower-case hex digits."""
    return _DIGEST.fullmatch(text) is not None


def require_digest(text: str) -> str:
    """A digest, checked: it becomes part of a path.

    Raises:
        ValueError: It is none. Callers check what they are given before.
    """
    if not is_digest(text):
        raise ValueError("not a digest: 64 lower-case hex digits are")
    return text
