"""Random uploads, removals and clean-ups, interleaved, against a model in plain Python: both stores.

The model knows which bytes were kept and when they were last kept. The clean-up's idea of time is the test's own: it
is given the moment that all is older than, or one that nothing is.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule, run_state_machine_as_test

from engine.execute.sweep import sweep
from engine.io.blobs import BlobStore, Staged, Upload, open_blobs
from engine.settings import load_settings
from tests.support.blobs import LATER, contents, get, leftovers
from tests.support.objects import ObjectServer

# Few contents, so that uploads meet; one of them is several parts of a bucket's upload.
PIECES = [b"", b"a", b"b", b"x" * 70_000, bytes(range(256)) * 4096, b"p" * (6 << 20)]
OVER = -10.0
"""A grace period that is over for everything."""
NEVER = 3600.0


@dataclass
class Running:
    """An upload under way, and what was written."""

    upload: Upload
    written: bytearray = field(default_factory=bytearray)
    staged: Staged | None = None


class Uploads(RuleBasedStateMachine):
    """Uploads to one store, in any order."""

    runner: asyncio.Runner
    objects: ObjectServer | None

    uploads = Bundle("uploads")

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[str, bytes] = {}
        self.rows: set[str] = set()
        self.running: list[Running] = []
        self.folder = tempfile.TemporaryDirectory()
        url = f"file:{self.folder.name}" if self.objects is None else f"s3://{self.objects.make_bucket()}/p"
        self.blobs: BlobStore = open_blobs(load_settings(env_file=None, mode="dev", storage_url=url))

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Wait for something."""
        return self.runner.run(work)

    @rule(target=uploads)
    def begin(self) -> Running:
        running = Running(self.run(self.blobs.begin().__aenter__()))
        self.running.append(running)
        return running

    @rule(running=uploads, piece=st.sampled_from(PIECES))
    def write(self, running: Running, piece: bytes) -> None:
        if running in self.running and running.staged is None and len(running.written) < 12 << 20:
            self.run(running.upload.write(piece))
            running.written += piece
            assert running.upload.size_bytes == len(running.written)

    @rule(running=uploads)
    def finish(self, running: Running) -> None:
        if running in self.running:
            running.staged = self.run(running.upload.finish())
            assert running.staged == Staged(sha256(running.written).hexdigest(), len(running.written))

    @rule(running=uploads, has_row=st.booleans())
    def keep(self, running: Running, has_row: bool) -> None:
        if running in self.running and running.staged is not None:
            self.run(running.upload.keep())
            self.kept[running.staged.digest] = bytes(running.written)
            if has_row:
                self.rows.add(running.staged.digest)

    @rule(running=consumes(uploads))
    def end(self, running: Running) -> None:
        if running in self.running:
            self.running.remove(running)
            self.run(running.upload.__aexit__(None, None, None))

    @rule(running=consumes(uploads))
    def break_off(self, running: Running) -> None:
        if running in self.running:
            self.running.remove(running)
            self.run(running.upload.__aexit__(ConnectionResetError, ConnectionResetError(), None))

    @rule(number=st.integers(0, 9))
    def lose_row(self, number: int) -> None:
        if self.rows:
            self.rows.remove(sorted(self.rows)[number % len(self.rows)])

    @rule(number=st.integers(0, 9), is_old=st.booleans())
    def remove(self, number: int, is_old: bool) -> None:
        without_row = sorted(set(self.kept) - self.rows)
        if without_row:
            digest = without_row[number % len(without_row)]
            assert self.run(self.blobs.remove(digest, older_than=LATER if is_old else 0)) == is_old
            if is_old:
                del self.kept[digest]

    @rule(number=st.integers(0, 9))
    def refresh(self, number: int) -> None:
        for digest in sorted(self.kept)[number : number + 1]:
            assert self.run(self.blobs.refresh(digest))

    @rule(is_over=st.booleans(), is_dry=st.booleans())
    def clean_up(self, is_over: bool, is_dry: bool) -> None:
        async def known(digests: Sequence[str]) -> set[str]:
            return self.rows & set(digests)

        # A bucket cannot tell a running upload from a dead one but by its age: none may be older than the grace.
        if is_over and self.objects is not None and any(running.staged for running in self.running):
            return
        swept = self.run(sweep(self.blobs, known, grace_s=OVER if is_over else NEVER, is_dry=is_dry))
        doomed = set(self.kept) - self.rows if is_over else set()
        assert swept.removed == len(doomed)
        assert swept.removed_bytes == sum(len(self.kept[digest]) for digest in doomed)
        if not is_dry:
            for digest in doomed:
                del self.kept[digest]

    @rule(number=st.integers(0, 9), start=st.integers(0, 80_000), size=st.integers(0, 80_000))
    def read(self, number: int, start: int, size: int) -> None:
        for digest in sorted(self.kept)[number : number + 1]:
            assert self.run(get(self.blobs, digest, start, start + size)) == self.kept[digest][start : start + size]
            assert self.run(self.blobs.size(digest)) == len(self.kept[digest])

    @invariant()
    def what_lies_there_is_what_was_kept(self) -> None:
        assert self.run(contents(self.blobs)) == {digest: len(content) for digest, content in self.kept.items()}

    def teardown(self) -> None:
        for digest, content in self.kept.items():
            assert self.run(get(self.blobs, digest)) == content
        for running in self.running:
            self.run(running.upload.__aexit__(None, None, None))
        assert self.run(leftovers(self.blobs)) == []
        self.run(self.blobs.close())
        self.folder.cleanup()


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    """An event loop that waits between calls."""
    with asyncio.Runner() as runner:
        yield runner


def run_machine(runner: asyncio.Runner, objects: ObjectServer | None, *, share: int) -> None:
    """Run the machine on a store, with a share of the profile's examples."""

    class Machine(Uploads):
        pass

    Machine.runner = runner
    Machine.objects = objects
    profile = settings.default or settings()
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Machine, settings=settings(profile, max_examples=max(5, profile.max_examples // share), stateful_step_count=25)
    )


def test_any_order_of_uploads_and_clean_ups_in_a_directory(runner: asyncio.Runner) -> None:
    run_machine(runner, None, share=2)


@pytest.mark.usefixtures("s3_url")
def test_any_order_of_uploads_and_clean_ups_in_a_bucket(runner: asyncio.Runner, objects: ObjectServer) -> None:
    run_machine(runner, objects, share=8)
