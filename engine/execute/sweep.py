"""The clean-up of the blob store: bytes that no row has, leftovers of uploads, and whether bytes are what they were.

Whether a blob is needed is asked of the rows, each time; nothing counts references. Why it may run at any time:

- An upload keeps its blob, and by that sets its time, before it writes the row, and has committed the row within the
  grace period or not at all.
- The clean-up lists a blob with its time first. Only if that is older than the grace period it asks for rows. An
  upload that set this time, or an earlier one, has committed before the question, so its row is seen.
- An upload that comes later sets a later time. Removing compares the time again, in one step that no keeping can
  come between (a lock in a directory, a mark in a bucket): either the blob is young again and stays, or it is gone
  before the upload puts its own copy there.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from engine.io.blobs import BlobStore, Stored, is_digest
from engine.io.database import Database
from engine.sql.blobs import ASKED, EXPIRING, DigestColumn, delete_expired, select_expired

Known = Callable[[Sequence[str]], Awaitable[set[str]]]


@dataclass(slots=True)
class Swept:
    """What a clean-up did, or would do."""

    blobs: int = 0
    removed: int = 0
    removed_bytes: int = 0
    leftovers: int = 0
    leftover_bytes: int = 0


@dataclass(slots=True)
class Verified:
    """What a look at all bytes and all rows has found.

    Attributes:
        damaged: Digests whose bytes have another digest.
        missing: Type and digest of rows without bytes.
        strange: Type and value of rows whose digest is none.
    """

    blobs: int = 0
    size_bytes: int = 0
    digests: int = 0
    damaged: list[str] = field(default_factory=list)
    missing: list[tuple[str, str]] = field(default_factory=list)
    strange: list[tuple[str, str]] = field(default_factory=list)


class StrangeDigests(Exception):
    """Rows hold digests in another form than the store does; a clean-up would take their bytes for nobody's."""


async def sweep(blobs: BlobStore, known: Known, *, grace_s: float, is_dry: bool = False) -> Swept:
    """Remove blobs that no row has and that were last kept longer ago than the grace period, and leftovers.

    Args:
        blobs: The store.
        known: Tells which of some digests rows have at the time it is asked.
        grace_s: Seconds.
        is_dry: Count, and remove nothing.

    Raises:
        Unavailable: The store or the database is away.
    """
    swept = Swept()
    cutoff = await blobs.now() - grace_s
    async for batch in _batches(blobs, cutoff, swept):
        needed = await known([stored.digest for stored in batch])
        for stored in batch:
            if stored.digest in needed:
                continue
            if is_dry or await blobs.remove(stored.digest, older_than=cutoff):
                swept.removed += 1
                swept.removed_bytes += stored.size_bytes
    async for leftover in blobs.list_leftovers():
        if leftover.is_running:
            continue
        is_old = leftover.is_running is False or leftover.modified_at < cutoff
        if is_old and (is_dry or await blobs.remove_leftover(leftover, older_than=cutoff)):
            swept.leftovers += 1
            swept.leftover_bytes += leftover.size_bytes
    return swept


async def verify(blobs: BlobStore, database: Database, columns: Iterable[DigestColumn]) -> Verified:
    """Hash all bytes anew, and look for those of every row. It changes nothing.

    Raises:
        Unavailable: The store or the database is away.
    """
    found = Verified()
    async for stored in blobs.list():
        opened = await blobs.open(stored.digest, is_fresh=True)
        if opened is None:
            continue
        found.blobs += 1
        found.size_bytes += stored.size_bytes
        digest = sha256()
        async with opened as blob:
            async for chunk in blob.read():
                await asyncio.to_thread(digest.update, chunk)
        if digest.hexdigest() != stored.digest:
            found.damaged.append(stored.digest)
    for column in columns:
        async for listed in list_digests(database, column):
            for value in listed:
                digest_text = value.lower()
                if not is_digest(digest_text):
                    found.strange.append((column.type, value))
                elif await blobs.size(digest_text) is None:
                    found.missing.append((column.type, digest_text))
                found.digests += 1
    return found


def known_to(database: Database, columns: Sequence[DigestColumn]) -> Known:
    """Ask the database which of some digests rows have; `sweep` is to be given this."""

    async def known(digests: Sequence[str]) -> set[str]:
        needed: set[str] = set()
        for at in range(0, len(digests), ASKED):
            asked = list(digests[at : at + ASKED])
            asked.extend([asked[0]] * (ASKED - len(asked)))
            # An older database may hold them in capitals, in a column that tells letters' cases apart.
            spelled = [*asked, *(digest.upper() for digest in asked)]
            values = {f"d{number}": digest for number, digest in enumerate(spelled)}
            for column in columns:
                rows = await database.fetch(column.known.text, column.known.arrange(values))
                needed.update(str(digest).lower() for (digest,) in rows)
        return needed

    return known


async def require_digests(database: Database, columns: Iterable[DigestColumn]) -> None:
    """Make sure, by the first rows of each type, that rows spell digests as the store does.

    Raises:
        StrangeDigests: They do not.
    """
    for column in columns:
        async for listed in list_digests(database, column):
            strange = [value for value in listed if not is_digest(value.lower())]
            if strange:
                raise StrangeDigests(
                    f"{len(strange)} of the first {len(listed)} digests of {column.type} are no SHA-256 in hex digits. "
                    "Nothing was removed; `aether gc --verify` names them."
                )
            break


async def list_digests(database: Database, column: DigestColumn) -> AsyncIterator[list[str]]:
    """All different digests of a type, in batches."""
    after = ""
    while True:
        rows = await database.fetch(column.listed.text, column.listed.arrange({"after": after}))
        if not rows:
            return
        listed = [str(digest) for (digest,) in rows]
        yield listed
        after = listed[-1]


async def purge_expired(database: Database, moment: object, *, is_dry: bool = False) -> dict[str, int]:
    """Delete what has expired from the engine's own tables.

    Args:
        database: Where they are.
        moment: Now, as their columns take it.
        is_dry: Count, and delete nothing.

    Returns:
        How many rows, by table.
    """
    gone: dict[str, int] = {}
    for table in EXPIRING:
        gone[table] = 0
        after = 0
        while True:
            chosen = select_expired(table, database.dialect)
            rows = await database.fetch(chosen.text, chosen.arrange({"after": after, "moment": moment}))
            if not rows:
                break
            first, after = rows[0][0], rows[-1][0]
            if is_dry:
                gone[table] += len(rows)
            else:
                statement = delete_expired(table, database.dialect)
                values = {"first": first, "last": after, "moment": moment}
                gone[table] += await database.execute(statement.text, statement.arrange(values))
    return gone


async def _batches(blobs: BlobStore, cutoff: float, swept: Swept) -> AsyncIterator[list[Stored]]:
    """The blobs that are old enough, as many at once as one statement asks for."""
    batch: list[Stored] = []
    async for stored in blobs.list():
        swept.blobs += 1
        if stored.modified_at < cutoff:
            batch.append(stored)
        if len(batch) == ASKED:
            yield batch
            batch = []
    if batch:
        yield batch
