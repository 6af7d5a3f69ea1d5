"""`aether gc` as a command: what it says, in words and in JSON, and how it ends."""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path

import pytest
from anyio import to_thread
from typer.testing import CliRunner, Result

from engine.cli import app
from engine.io.reflect import reflect
from engine.io.seed import seed
from engine.registry.load import load_registry
from tests.support.blobs import contents, digest_of, put, store_at
from tests.support.databases import opened
from tests.support.serving import ROOT, make_settings, prepare

OLD = time.time() - 7200


@pytest.fixture
def folder(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with a blob that has a row, one that has none, a young one and a leftover; and an environment for it."""
    root = tmp_path / "blobs"
    asyncio.run(fill(database_url, root))
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("AETHER_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AETHER_DATABASE_URL", database_url)
    monkeypatch.setenv("AETHER_REGISTRY", str(ROOT / "resources.yaml"))
    monkeypatch.setenv("AETHER_STORAGE_URL", f"file:{root}")
    return root


async def fill(database_url: str, root: Path) -> None:
    """Make the tables, the rows and the blobs."""
    await prepare(make_settings(database_url, ROOT / "resources.yaml"))
    async with store_at(f"file:{root}") as blobs, opened(database_url) as database:
        for content in (b"has a row", b"has none"):
            digest = await put(blobs, content)
            os.utime(root / digest[:2] / digest[2:4] / digest, (OLD, OLD))
        await put(blobs, b"is young")
        (root / "tmp" / "dead.part").write_bytes(b"half")
        rows = root.parent / "rows.yaml"
        rows.write_text(
            "account: {ours: {name: Ours, code: ours}}\n"
            f'hosted_file: {{one: {{account_id: "@ours", file_name: x, hash_sha256: "{digest_of(b"has a row")}"}}}}\n'
        )
        registry = load_registry(ROOT / "resources.yaml", await reflect(database_url)).registry
        assert registry is not None
        await seed(database, registry, rows)


def gc(*arguments: str) -> Result:
    """The command. It has an event loop of its own, so tests that call it do not wait."""
    return CliRunner().invoke(app, ["gc", *arguments])


def digests_in(folder: Path) -> set[str]:
    """What lies in the store."""
    return {path.name for path in folder.rglob("*") if len(path.name) == 64}


def test_it_says_what_it_would_remove_and_then_removes_it(folder: Path) -> None:
    expected = {
        "blobs": 3,
        "removed": {"blobs": 1, "bytes": len(b"has none")},
        "leftovers": {"number": 1, "bytes": 4},
        "expired": {"aether_idempotency": 0, "aether_refresh_token": 0},
    }
    trial = gc("--dry-run", "--format", "json")
    assert (trial.exit_code, json.loads(trial.stdout)) == (0, {"dry_run": True, **expected})
    assert len(digests_in(folder)) == 3
    done = gc("--format", "json")
    assert (done.exit_code, json.loads(done.stdout)) == (0, {"dry_run": False, **expected})
    assert digests_in(folder) == {digest_of(b"has a row"), digest_of(b"is young")}
    assert list((folder / "tmp").iterdir()) == []


def test_it_speaks_in_words_and_takes_another_grace_period(folder: Path) -> None:
    done = gc("--grace", "0")
    assert done.exit_code == 0
    assert "blobs: 3 looked at; without a row: 2 removed, 16 bytes" in done.stdout
    assert "leftovers of uploads: 1 removed, 4 bytes" in done.stdout
    assert digests_in(folder) == {digest_of(b"has a row")}


def test_verifying_ends_with_0_while_all_is_well_and_with_1_when_it_is_not(folder: Path) -> None:
    assert gc("--verify").exit_code == 0
    digest = digest_of(b"has a row")
    (folder / digest[:2] / digest[2:4] / digest).unlink()
    damaged = digest_of(b"is young")
    (folder / damaged[:2] / damaged[2:4] / damaged).write_bytes(b"is older")
    done = gc("--verify")
    assert done.exit_code == 1
    assert f"missing: {digest} of hosted_file" in done.stdout
    assert f"damaged: {damaged}" in done.stdout
    told = json.loads(gc("--verify", "--format", "json").stdout)
    assert told["damaged"] == [damaged]
    assert told["missing"] == [{"type": "hosted_file", "digest": digest}]
    assert len(digests_in(folder)) == 2


def test_a_registry_without_files_removes_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "version: 1\ntypes:\n  account: {table: account, account: self, search: [], fields: {}}\n"
    (tmp_path / "resources.yaml").write_text(text)
    monkeypatch.setenv("AETHER_REGISTRY", str(tmp_path / "resources.yaml"))
    done = gc("--grace", "0")
    assert done.exit_code == 1
    assert "file:" in done.stderr
    assert len(digests_in(folder)) == 3


async def test_a_database_that_is_away_removes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with store_at(f"file:{tmp_path}/blobs") as blobs:
        await put(blobs, b"content")
        monkeypatch.setenv("AETHER_DATABASE_URL", "mysql+asyncmy://root@127.0.0.1:1/nowhere")
        monkeypatch.setenv("AETHER_REGISTRY", str(ROOT / "resources.yaml"))
        monkeypatch.setenv("AETHER_STORAGE_URL", f"file:{tmp_path}/blobs")
        monkeypatch.chdir(tmp_path)
        from_thread = await run_elsewhere("--grace", "0")
        assert from_thread.exit_code == 1
        assert len(await contents(blobs)) == 1


async def run_elsewhere(*arguments: str) -> Result:
    """The command in a thread: here is an event loop already."""
    return await to_thread.run_sync(lambda: gc(*arguments))
