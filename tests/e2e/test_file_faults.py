"""What is left of uploads when the process, the client, the disk or its fsync fails: all of a file, or nothing of it.

A 2xx is never said of what was not kept, no row lacks its bytes, no hash has half a blob, and what is left over goes
with one clean-up.
"""

from __future__ import annotations

import os
import secrets
import signal
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import anyio
import pytest

from engine.auth.mint import EVERYTHING, mint_token
from engine.language.ids import new_public_id
from tests.support.ledger import Ledger, Sender, check_clean, check_files, clean_up
from tests.support.mortal import mortals
from tests.support.serving import ROOT, SECRET, make_settings, prepare

AT_ONCE = 3
POINTS = ["bytes-stored", "row-inserted", "committed", "answered"]
# How often a process is killed at each point; it takes half a second each time, and twice that with a bucket.
PAIRS = [
    pytest.param("sqlite-directory", 20, id="sqlite-directory"),
    pytest.param("mariadb-s3", 5, id="mariadb-s3", marks=pytest.mark.mariadb),
    pytest.param("mariadb-s3", 20, id="mariadb-s3-long", marks=[pytest.mark.mariadb, pytest.mark.long]),
]
REGISTRY = ROOT / "resources.yaml"


@pytest.fixture(scope="module")
def operator_token() -> str:
    """A token of a platform operator."""
    return mint_token(make_settings("sqlite:///x.db", REGISTRY), is_operator=True, scopes=EVERYTHING)


@pytest.fixture
def pair(request: pytest.FixtureRequest) -> tuple[str, str]:
    """A database and a store."""
    database, store = request.param.split("-")
    return request.getfixturevalue(f"{database}_url"), request.getfixturevalue(f"{store}_url")


@pytest.fixture
def environment(pair: tuple[str, str]) -> Mapping[str, str]:
    """What servers and commands are told."""
    return {
        "AETHER_MODE": "dev",
        "AETHER_DATABASE_URL": pair[0],
        "AETHER_STORAGE_URL": pair[1],
        "AETHER_REGISTRY": str(REGISTRY),
        "AETHER_JWT_SECRET": SECRET,
        "AETHER_LOG_FORMAT": "json",
        "PYTHONPATH": str(ROOT),
    }


def settle(port: int, operator_token: str) -> Sender:
    """A new account with an event, and an administrator of it."""
    operator = Sender(operator_token)
    status, made = operator.ask(port, "POST", "/v3/crud/account/", {"name": "A", "code": f"a{secrets.token_hex(8)}"})
    assert status == 201, made
    account = made["data"]["id"]
    token = mint_token(
        make_settings("sqlite:///x.db", REGISTRY), user=new_public_id(), accounts=[account], roles=["admin"]
    )
    admin = Sender(token)
    event = {"name": "E", "code": "e", "starts_on": "2026-01-01T00:00:00Z", "ends_on": "2026-01-02T00:00:00Z"}
    status, made = admin.ask(port, "POST", "/v3/crud/event/", event)
    assert status == 201, made
    return Sender(token, made["data"]["id"])


@pytest.mark.parametrize(("pair", "kills"), PAIRS, indirect=["pair"])
@pytest.mark.parametrize("point", POINTS)
async def test_a_process_killed_at_any_point_leaves_all_of_a_file_or_nothing(
    pair: tuple[str, str], environment: Mapping[str, str], operator_token: str, point: str, kills: int, tmp_path: Path
) -> None:
    await prepare(make_settings(pair[0], REGISTRY))
    ledger, sizes = Ledger(), Random(point)
    with mortals(environment, tmp_path / "log") as servers, ThreadPoolExecutor(AT_ONCE) as threads:
        sender = settle(servers.start(), operator_token)
        servers.stop()
        for number in range(kills):
            port = servers.start(f"{point}:kill@{1 + number % AT_ONCE}")
            sent = [os.urandom(sizes.choice([1, 70_000, 1_500_000])) for _ in range(AT_ONCE)]
            for content, status in zip(sent, threads.map(lambda one: sender.upload(port, one), sent), strict=True):
                ledger.note(content, status)
            assert servers.wait() == -signal.SIGKILL, (tmp_path / "log").read_text()[-3000:]
        port = servers.start()
        await check_files(port, sender, pair[1], ledger)
        done = clean_up(environment, "--grace", "0")
        assert done.returncode == 0, done.stderr
        await check_files(port, sender, pair[1], ledger)
        if pair[1].startswith("s3:"):
            # A bucket tells times in seconds: what is younger than one is not yet "older than 0 seconds".
            await anyio.sleep(2)
            done = clean_up(environment, "--grace", "0")
        await check_clean(port, sender, pair[1])
        assert clean_up(environment, "--verify").returncode == 0
        servers.stop()
