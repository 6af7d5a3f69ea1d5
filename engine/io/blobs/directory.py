"""Blobs in a directory: ``ab/cd/<digest>`` below it, uploads under way in ``tmp``, and the lock of the clean-up.

A path is made of a digest or of our own random words, never of what a caller said. All disk work runs in threads of
the store's own. What a store is stands in `store.py`; an upload's way in stands in `incoming.py`.

Keeping a blob always renames the upload's file over whatever lies there: these are the same bytes, so nothing is
lost, a damaged copy is replaced, and nobody can tell by the time it takes whether they were there before.
"""

from __future__ import annotations

import asyncio
import builtins
import fcntl
import os
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from time import monotonic, sleep
from typing import TypeVar

from engine.io.blobs.faults import refuse
from engine.io.blobs.hot import HotBlobs, MemoryBlob
from engine.io.blobs.incoming import DirectoryUpload, open_temporary, sync_directory
from engine.io.blobs.reading import OpenFile, open_file
from engine.io.blobs.store import Leftover, OpenBlob, Stored, Upload, is_digest, require_digest

T = TypeVar("T")

THREADS = 16
DIRECTORY_MODE = 0o750
LOCK = "lock"
TEMPORARY = "tmp"
LOCK_PATIENCE_S = 5.0
LOCK_PAUSE_S = 0.005


class DirectoryStore:
    """A store in a directory of one file system. Several processes may use it at once.

    Args:
        root: The directory; it is made when it is first needed.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._hot = HotBlobs()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="blobs")

    def path_of(self, digest: str) -> Path:
        """Where a blob lies, or would."""
        require_digest(digest)
        return self._root / digest[:2] / digest[2:4] / digest

    def begin(self) -> Upload:
        """Begin an upload."""
        return DirectoryUpload(self)

    async def open(self, digest: str, *, is_fresh: bool = False) -> OpenBlob | None:
        """Open a blob; a small one is read in the same go."""
        path = self.path_of(digest)
        hot = self._hot.get(digest)
        if hot is not None and not is_fresh:
            return MemoryBlob(digest, hot)
        try:
            file, size_bytes, content, is_right = await self.run(lambda: open_file(path, digest))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise refuse("open", error) from error
        if content is None:
            return OpenFile(self, digest, file, size_bytes)
        if is_right:
            self._hot.put(digest, content)
        return MemoryBlob(digest, content)

    async def size(self, digest: str) -> int | None:
        """How many bytes a blob is."""
        path = self.path_of(digest)
        try:
            return (await self.run(lambda: os.stat(path))).st_size
        except FileNotFoundError:
            return None
        except OSError as error:
            raise refuse("stat", error) from error

    async def refresh(self, digest: str) -> bool:
        """Set a blob's time of modification to now."""
        path = self.path_of(digest)

        def touch() -> None:
            with self.locked(is_exclusive=False):
                os.utime(path)

        try:
            await self.run(touch)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise refuse("refresh", error) from error
        return True

    async def remove(self, digest: str, *, older_than: float) -> bool:
        """Remove a blob, unless it was modified since `older_than`."""
        path = self.path_of(digest)
        self._hot.forget(digest)

        def unlink() -> bool:
            # While this is held nobody keeps or refreshes: what was looked at is what is removed.
            with self.locked(is_exclusive=True):
                if os.stat(path).st_mtime >= older_than:
                    return False
                os.unlink(path)
            return True

        try:
            return await self.run(unlink)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise refuse("remove", error) from error

    async def list(self) -> AsyncIterator[Stored]:
        """Every blob, one of at most 256 directories after the other."""
        try:
            for entry in await self.run(lambda: _entries(self._root)):
                for stored in await self.run(partial(_all_blobs_in, Path(entry.path))):
                    yield stored
        except OSError as error:
            raise refuse("list", error) from error

    async def list_leftovers(self) -> AsyncIterator[Leftover]:
        """The files of uploads, dead and under way."""
        try:
            found = await self.run(lambda: list(_leftovers_in(self._root / TEMPORARY)))
        except OSError as error:
            raise refuse("list", error) from error
        for leftover in found:
            yield leftover

    async def remove_leftover(self, leftover: Leftover, *, older_than: float) -> bool:
        """Remove an upload's file; a running upload holds a lock on it."""
        path = self._root / TEMPORARY / Path(leftover.name).name
        try:
            return await self.run(lambda: _is_dead(path, os.unlink))
        except FileNotFoundError:
            return False
        except OSError as error:
            raise refuse("remove", error) from error

    async def now(self) -> float:
        """The clock that the file system takes times of modification from."""

        def read_clock() -> float:
            with self._lock_file() as file:
                os.utime(file)
                return os.fstat(file).st_mtime

        try:
            return await self.run(read_clock)
        except OSError as error:
            raise refuse("clock", error) from error

    async def check(self) -> None:
        """Write a file and remove it."""

        def try_it() -> None:
            file, path = open_temporary(self.temporary())
            try:
                os.write(file, b"?")
            finally:
                os.unlink(path)
                os.close(file)

        try:
            await self.run(try_it)
        except OSError as error:
            raise refuse("check", error) from error

    async def close(self) -> None:
        """Let the threads end what they have begun."""
        await asyncio.to_thread(self._threads.shutdown)

    # ------------------------------------------------------------ for uploads and open blobs

    async def run(self, work: Callable[[], T]) -> T:
        """Run disk work in one of the store's threads. A cancelled caller leaves it running to its end."""
        return await asyncio.wrap_future(self.submit(work))

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Begin disk work in one of the store's threads; once the store is closed, do it at once, whoever comes."""
        try:
            return self._threads.submit(work)
        except RuntimeError:
            done: Future[T] = Future()
            try:
                done.set_result(work())
            except OSError as error:
                done.set_exception(error)
            return done

    def temporary(self) -> Path:
        """The directory of uploads under way, made where it is not there."""
        path = self._root / TEMPORARY
        _make_directories(path, self._root)
        return path

    def place(self, digest: str) -> Path:
        """The path of a blob, whose directory is made where it is not there."""
        path = self.path_of(digest)
        _make_directories(path.parent, self._root)
        return path

    @contextmanager
    def locked(self, *, is_exclusive: bool) -> Iterator[None]:
        """Hold the store's lock, with others or alone; it ends with the process that holds it, however that ends.

        Raises:
            TimeoutError: Somebody holds it for far longer than anybody should.
        """
        kind = fcntl.LOCK_EX if is_exclusive else fcntl.LOCK_SH
        give_up_at = monotonic() + LOCK_PATIENCE_S
        with self._lock_file() as file:
            while True:
                try:
                    fcntl.flock(file, kind | fcntl.LOCK_NB)
                    break
                except BlockingIOError as error:
                    if monotonic() > give_up_at:
                        raise TimeoutError("the store's lock is held") from error
                    sleep(LOCK_PAUSE_S)
            yield

    @contextmanager
    def _lock_file(self) -> Iterator[int]:
        _make_directories(self._root, self._root)
        file = os.open(self._root / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            yield file
        finally:
            os.close(file)


def _make_directories(path: Path, root: Path) -> None:
    """Make a directory and those between it and the root, which is made as well, readable by ours alone."""
    try:
        path.mkdir(mode=DIRECTORY_MODE)
        if path == root:
            # What lies in it outlasts a loss of power only with the directory itself.
            sync_directory(path.parent)
    except FileExistsError:
        return
    except FileNotFoundError:
        if path == root:
            path.parent.mkdir(parents=True, exist_ok=True)
        else:
            _make_directories(path.parent, root)
        _make_directories(path, root)


def _blobs_in(directory: Path) -> Iterator[Stored]:
    """The blobs below one of the 256 directories; what is no blob, or not where it belongs, is none."""
    for inner in _entries(directory):
        for entry in _entries(Path(inner.path)):
            if is_digest(entry.name) and entry.name.startswith(directory.name + inner.name):
                with suppress(FileNotFoundError):
                    found = entry.stat(follow_symlinks=False)
                    yield Stored(entry.name, found.st_size, found.st_mtime)


def _all_blobs_in(directory: Path) -> builtins.list[Stored]:
    return list(_blobs_in(directory))


def _leftovers_in(directory: Path) -> Iterator[Leftover]:
    for entry in _entries(directory):
        with suppress(FileNotFoundError):
            found = entry.stat(follow_symlinks=False)
            yield Leftover(entry.name, found.st_size, found.st_mtime, is_running=not _is_dead(Path(entry.path)))


def _entries(directory: Path) -> builtins.list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _is_dead(path: Path, then: Callable[[Path], None] = lambda path: None) -> bool:
    """Whether nobody holds the lock of an upload's file; what is to be done `then` is done under the lock."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        then(path)
    except BlockingIOError:
        return False
    finally:
        os.close(file)
    return True
