"""Blobs in a directory: where they lie, what is left of a process that died, full disks and disks that fail."""

from __future__ import annotations

import fcntl
import os
import stat
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import anyio
import pytest

from engine import faultpoints
from engine.errors import Unavailable
from engine.io.blobs import BlobStore
from engine.io.blobs.directory import DirectoryStore
from engine.observe import BlobsFailed, take_observations
from tests.support.blobs import LATER, contents, digest_of, get, leftovers, put, store_at
from tests.support.serving import ROOT

HALF = 3 << 20


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Where the blobs lie."""
    return tmp_path / "blobs"


@pytest.fixture
async def blobs(directory_url: str) -> AsyncIterator[BlobStore]:
    """A store in a directory."""
    async with store_at(directory_url) as store:
        yield store


@pytest.fixture
def fault() -> Iterator[None]:
    """Leaves no fault point armed."""
    yield
    faultpoints.arm("")


def files_below(root: Path) -> set[str]:
    """Every file, relative."""
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


async def test_a_path_is_the_hash_and_nothing_else(blobs: BlobStore, root: Path) -> None:
    digest = await put(blobs, b"content")
    assert files_below(root) == {f"{digest[:2]}/{digest[2:4]}/{digest}", "lock"}
    assert (root / digest[:2] / digest[2:4] / digest).read_bytes() == b"content"


async def test_nobody_but_the_servers_user_and_group_may_read(blobs: BlobStore, root: Path) -> None:
    digest = await put(blobs, b"content")
    for path in everything_below(root):
        assert not stat.S_IMODE(path.stat().st_mode) & 0o007, path
    assert not (root / digest[:2] / digest[2:4] / digest).stat().st_mode & 0o111


async def test_an_open_blob_is_read_to_its_end_though_it_is_removed(blobs: BlobStore) -> None:
    content = os.urandom(HALF)
    digest = await put(blobs, content)
    opened = await blobs.open(digest)
    assert opened is not None
    async with opened as blob:
        read = bytearray()
        async for chunk in blob.read():
            read += chunk
            await blobs.remove(digest, older_than=LATER)
        assert blob.fileno is not None
        assert os.fstat(blob.fileno).st_nlink == 0
    assert read == content
    assert await blobs.open(digest) is None


async def test_a_damaged_blob_is_mended_by_the_next_upload_of_the_same_bytes(blobs: BlobStore, root: Path) -> None:
    digest = await put(blobs, b"content")
    (root / digest[:2] / digest[2:4] / digest).write_bytes(b"rubbish")
    assert await put(blobs, b"content") == digest
    assert await get(blobs, digest) == b"content"


async def test_a_blob_that_grows_shorter_while_it_is_read_is_an_error_and_no_short_answer(
    blobs: BlobStore, root: Path
) -> None:
    digest = await put(blobs, os.urandom(HALF))
    opened = await blobs.open(digest)
    assert opened is not None
    os.truncate(root / digest[:2] / digest[2:4] / digest, 10)
    async with opened as blob:
        with pytest.raises(Unavailable):
            _ = [chunk async for chunk in blob.read()]


async def test_strange_files_are_no_blobs_and_stay(blobs: BlobStore, root: Path) -> None:
    digest = await put(blobs, b"content")
    strange = digest_of(b"elsewhere")
    (root / digest[:2] / digest[2:4] / strange).write_bytes(b"")
    (root / digest[:2] / digest[2:4] / "README").write_bytes(b"")
    (root / "README").write_bytes(b"")
    (root / "00").write_bytes(b"a file where a directory might be")
    assert await contents(blobs) == {digest: 7}
    assert await leftovers(blobs) == []


async def test_a_link_is_no_blob(blobs: BlobStore, root: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    digest = await put(blobs, b"content")
    path = root / digest[:2] / digest[2:4] / digest
    path.unlink()
    path.symlink_to(secret)
    with pytest.raises(Unavailable):
        await blobs.open(digest)


def everything_below(root: Path) -> list[Path]:
    """Files and directories, the root as well."""
    return [root, *root.rglob("*")]


DYING = """
import asyncio, os, sys
from pathlib import Path
from engine.io.blobs.directory import DirectoryStore

async def main() -> None:
    async with DirectoryStore(Path(sys.argv[1])).begin() as upload:
        await upload.write(b"x" * 3_000_000)
        await upload.finish()
        os.kill(os.getpid(), 9)

asyncio.run(main())
"""


async def test_what_a_dead_process_has_left_goes_at_once_and_what_runs_stays(blobs: BlobStore, root: Path) -> None:
    done = await anyio.run_process([sys.executable, "-c", DYING, str(root)], cwd=ROOT, check=False)
    assert done.returncode == -9
    async with blobs.begin() as upload:
        await upload.write(b"y" * 3_000_000)
        assert len(await leftovers(blobs)) == 2
        removed = [await blobs.remove_leftover(one, older_than=0) async for one in blobs.list_leftovers()]
        assert sorted(removed) == [False, True]
        staged = await upload.finish()
        await upload.keep()
    assert await contents(blobs) == {staged.digest: 3_000_000}
    assert await leftovers(blobs) == []


async def test_a_new_temporary_file_that_the_clean_up_has_just_taken_is_made_anew(
    blobs: BlobStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the making of a file and its lock, the clean-up may come by."""
    taken: list[str] = []
    real = fcntl.flock

    def flock_late(file: int, operation: int) -> None:
        if operation & fcntl.LOCK_EX and not taken:
            (path,) = (root / "tmp").iterdir()
            taken.append(path.name)
            path.unlink()
        real(file, operation)

    monkeypatch.setattr(fcntl, "flock", flock_late)
    digest = await put(blobs, b"content")
    assert len(taken) == 1
    assert await get(blobs, digest) == b"content"


@pytest.mark.usefixtures("fault")
@pytest.mark.parametrize("error", ["ENOSPC", "EDQUOT", "EIO"])
@pytest.mark.parametrize("time", [1, 2, 4])
async def test_a_disk_that_is_full_or_fails_is_503_and_nothing_is_kept(blobs: BlobStore, error: str, time: int) -> None:
    faultpoints.arm(f"blob-write:{error}@{time}")
    with pytest.raises(Unavailable) as refusal:
        await put(blobs, os.urandom(4 << 20))
    assert refusal.value.status == 503
    assert int(dict(refusal.value.headers)["Retry-After"]) >= (2 if error == "EIO" else 60)
    assert str(blobs) not in refusal.value.detail
    faultpoints.arm("")
    assert await contents(blobs) == {}
    assert await leftovers(blobs) == []
    (seen,) = take_observations()
    assert isinstance(seen, BlobsFailed)


@pytest.mark.usefixtures("fault")
@pytest.mark.parametrize("time", [1, 2, 3, 4])
async def test_a_failing_fsync_is_503_whichever_it_is(blobs: BlobStore, time: int) -> None:
    """The first is the file's, the others are the directories': then bytes may lie there, and nobody was told so."""
    faultpoints.arm(f"blob-fsync:EIO@{time}")
    with pytest.raises(Unavailable):
        await put(blobs, b"content")
    faultpoints.arm("")
    assert await leftovers(blobs) == []
    assert await contents(blobs) in ({}, {digest_of(b"content"): 7} if time > 1 else {})
    assert await put(blobs, b"content") == digest_of(b"content")
    assert await get(blobs, digest_of(b"content")) == b"content"


async def can_write(store: DirectoryStore) -> bool:
    """Whether the store takes bytes at the moment."""
    try:
        await store.check()
    except Unavailable:
        return False
    return True


async def test_a_disk_that_is_really_full_keeps_what_fits_and_goes_on_when_there_is_room(small_disk: Path) -> None:
    store = DirectoryStore(small_disk / "blobs")
    kept = await put(store, os.urandom(1 << 20))
    with pytest.raises(Unavailable, match="no room"):
        await put(store, os.urandom(8 << 20))
    assert await contents(store) == {kept: 1 << 20}
    assert await leftovers(store) == []
    assert await put(store, os.urandom(1 << 20))
    (small_disk / "other").write_bytes(b"x" * os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize)
    with pytest.raises(Unavailable):
        await store.check()
    assert await get(store, kept) is not None
    assert await store.remove(kept, older_than=LATER)
    # A file that was read is closed in a thread: its room is there a moment later.
    with anyio.fail_after(10):
        while not await can_write(store):  # noqa: ASYNC110 - a disk has no event to wait for
            await anyio.sleep(0.01)
    await store.close()


async def test_bytes_that_the_system_does_not_remember_are_read_before_they_are_sent(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path / "blobs")
    digest = await put(store, os.urandom(3 << 20))
    file = os.open(store.path_of(digest), os.O_RDONLY)
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    blob = await store.open(digest)
    assert blob is not None
    async with blob:
        await blob.prepare(0, 1 << 20)
    # Where a file system forgets nothing (tmpfs), this has nothing to show.
    assert os.preadv(file, [bytearray(1 << 20)], 0, os.RWF_NOWAIT) == 1 << 20
    os.close(file)
    await store.close()


async def test_a_directory_that_cannot_be_written_to_is_not_ready(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    store = DirectoryStore(tmp_path / "file")
    with pytest.raises(Unavailable):
        await store.check()
    with pytest.raises(Unavailable):
        await put(store, b"content")
    await store.close()


async def test_a_removal_that_meets_a_refresh_lets_the_blob_live(blobs: BlobStore) -> None:
    digest = await put(blobs, b"content")
    os.utime(blobs.path_of(digest), (1, 1))  # type: ignore[attr-defined]
    assert await blobs.refresh(digest)
    assert not await blobs.remove(digest, older_than=await blobs.now() - 60)
    assert await get(blobs, digest) == b"content"


def test_a_fault_point_that_there_is_not_is_refused() -> None:
    for text in ("nowhere:kill", "bytes-stored:maybe", "bytes-stored"):
        with pytest.raises(ValueError, match="fault point"):
            faultpoints.arm(text)


async def test_a_small_blob_is_read_from_the_disk_once_and_a_damaged_one_is_never_remembered(
    blobs: BlobStore, root: Path
) -> None:
    digest = await put(blobs, b"content")
    path = root / digest[:2] / digest[2:4] / digest
    path.write_bytes(b"rubbish")
    assert await get(blobs, digest) == b"rubbish"
    path.write_bytes(b"content")
    assert await get(blobs, digest) == b"content"
    path.unlink()
    assert await get(blobs, digest) == b"content"
    await blobs.remove(digest, older_than=LATER)
    assert await get(blobs, digest) is None
