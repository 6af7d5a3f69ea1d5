"""What is left of uploads when the process, the client, the disk or its fsync fails: all of a file, or nothing of it.

A 2xx is never said of what was not kept, no row lacks its bytes, no hash has half a blob, and what is left over goes
with one clean-up.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import product
from pathlib import Path
from random import Random
from urllib.parse import quote

import anyio
import pytest

from engine import faultpoints
from engine.auth.mint import EVERYTHING, mint_token
from engine.language.ids import new_public_id
from engine.settings import Settings
from tests.support.blobs import contents, digest_of, leftovers, store_at
from tests.support.ledger import Ledger, Sender, check_clean, check_files, clean_up
from tests.support.mortal import mortals
from tests.support.serving import ROOT, SECRET, Client, make_settings, prepare, running, serving

AT_ONCE = 3
POINTS = ["bytes-stored", "row-inserted", "committed", "answered"]
# How often a process is killed at each point; it takes half a second each time, and twice that with a bucket.
BOTH = ["sqlite-directory", pytest.param("mariadb-s3", marks=pytest.mark.mariadb)]
PAIRS = [
    pytest.param("sqlite-directory", 20, id="sqlite-directory"),
    pytest.param("mariadb-s3", 5, id="mariadb-s3", marks=pytest.mark.mariadb),
    pytest.param("mariadb-s3", 20, id="mariadb-s3-long", marks=[pytest.mark.mariadb, pytest.mark.long]),
]
REGISTRY = ROOT / "resources.yaml"
EVENT = {"name": "E", "code": "e", "starts_on": "2026-01-01T00:00:00Z", "ends_on": "2026-01-02T00:00:00Z"}
Application = Callable[..., Awaitable[None]]


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
    status, made = admin.ask(port, "POST", "/v3/crud/event/", EVENT)
    assert status == 201, made
    return Sender(token, made["data"]["id"])


@pytest.mark.parametrize(("pair", "kills"), PAIRS, indirect=["pair"])
async def test_a_process_killed_at_any_point_leaves_all_of_a_file_or_nothing(
    pair: tuple[str, str], environment: Mapping[str, str], operator_token: str, kills: int, tmp_path: Path
) -> None:
    await prepare(make_settings(pair[0], REGISTRY))
    ledger, sizes = Ledger(), Random(kills)
    with mortals(environment, tmp_path / "log") as servers, ThreadPoolExecutor(AT_ONCE) as threads:
        sender = settle(servers.start(), operator_token)
        servers.stop()
        for number in range(kills * len(POINTS)):
            point, time = POINTS[number // kills], 1 + number % AT_ONCE
            upload = partial(sender.upload, servers.start(f"{point}:kill@{time}"))
            sent = [os.urandom(sizes.choice([1, 70_000, 1_500_000])) for _ in range(AT_ONCE)]
            for content, status in zip(sent, threads.map(upload, sent), strict=True):
                ledger.note(content, status)
            assert servers.wait() == -signal.SIGKILL, f"{point} was not passed {time} times"
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


BREAKS = [0.01, 0.5, 0.99]


@pytest.mark.parametrize(
    "pair", ["sqlite-directory", pytest.param("mariadb-s3", marks=pytest.mark.mariadb)], indirect=True
)
async def test_a_client_that_drops_leaves_nothing(
    pair: tuple[str, str], environment: Mapping[str, str], operator_token: str, tmp_path: Path
) -> None:
    await prepare(make_settings(pair[0], REGISTRY))
    content = os.urandom(8 << 20)
    with mortals(environment, tmp_path / "log") as servers:
        port = servers.start()
        sender = settle(port, operator_token)
        for share, is_chunked, is_reset in product(BREAKS, (False, True), (False, True)):
            await anyio.to_thread.run_sync(
                partial(drop, port, sender, content, share, is_chunked=is_chunked, is_reset=is_reset)
            )
        async with store_at(pair[1]) as blobs:
            with anyio.fail_after(30):
                # The server learns of it in its own time; nothing but asking tells when.
                while await leftovers(blobs):
                    pass
            assert await contents(blobs) == {}
        assert sender.list_all(port, "hosted_file", "id") == []
        assert sender.list_all(port, "event_file", "id") == []
        assert sender.upload(port, content) == 201
        assert servers.stop() == -signal.SIGTERM


def drop(port: int, sender: Sender, content: bytes, share: float, *, is_chunked: bool, is_reset: bool) -> None:
    """Send a part of an upload, then go."""
    part = content[: int(len(content) * share)]
    length = "Transfer-Encoding: chunked" if is_chunked else f"Content-Length: {len(content)}"
    head = (
        f"POST /v3/action/event/{sender.event}/file?file_name=x HTTP/1.1\r\nHost: x\r\n{length}\r\n"
        f"Authorization: Bearer {sender.token}\r\nContent-Type: application/octet-stream\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(head.encode())
        if is_chunked:
            connection.sendall(b"%x\r\n" % len(content))
        connection.sendall(part)
        if is_reset:
            # A close without lingering is a reset, as when a network goes away.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


FAULTS = [
    *(f"blob-write:ENOSPC@{time}" for time in (1, 2, 3)),
    "blob-write:EIO",
    *(f"blob-fsync:EIO@{time}" for time in (1, 2, 3, 4)),
]


async def test_a_disk_that_fails_at_any_point_is_503_and_leaves_no_row(database_url: str, directory_url: str) -> None:
    settings = make_settings(database_url, REGISTRY, storage_url=directory_url)
    await prepare(settings)
    content = os.urandom(3 << 20)
    async with running(settings) as app, store_at(directory_url) as blobs:
        client, event = await settle_within(app.engine.application, settings)
        try:
            for fault in FAULTS:
                faultpoints.arm(fault)
                reply = await client.send(
                    "POST", f"/v3/action/event/{event}/file?file_name=x", raw=pieces(content), headers=BINARY
                )
                assert (reply.status, reply.code) == (503, "unavailable"), fault
                assert int(reply.header("retry-after") or 0) == (60 if "ENOSPC" in fault else 2)
                assert (await client.get("/v3/crud/hosted_file/")).data == []
                assert (await client.get("/v3/crud/event_file/")).data == []
                assert await leftovers(blobs) == []
        finally:
            faultpoints.arm("")
        reply = await client.send(
            "POST", f"/v3/action/event/{event}/file?file_name=x", raw=pieces(content), headers=BINARY
        )
        assert reply.status == 201, reply
        assert len(await contents(blobs)) == 1


async def test_a_full_disk_keeps_what_fits_and_refuses_the_rest(small_disk: Path, sqlite_url: str) -> None:
    url = f"file:{small_disk}/blobs"
    settings = make_settings(sqlite_url, REGISTRY, storage_url=url)
    await prepare(settings)
    ledger = Ledger()
    async with running(settings) as app, store_at(url) as blobs:
        client, event = await settle_within(app.engine.application, settings)
        assert (await client.get("/health/ready")).status == 200
        statuses = []
        for size in (1 << 20, 9 << 20, 1 << 20, 3 << 20, 1 << 19):
            content = os.urandom(size)
            reply = await client.send(
                "POST", f"/v3/action/event/{event}/file?file_name=x", raw=pieces(content), headers=BINARY
            )
            ledger.note(content, reply.status)
            statuses.append(reply.status)
        assert statuses == [201, 503, 201, 503, 201]
        assert set(await contents(blobs)) == ledger.kept
        assert await leftovers(blobs) == []
        rows = (await client.get("/v3/crud/hosted_file/?fields=hash_sha256")).data
        assert {row["hash_sha256"] for row in rows} == ledger.kept
        (small_disk / "filler").write_bytes(b"x" * (os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize))
        ready = await client.get("/health/ready")
        assert (ready.status, ready.json["checks"]["storage"]["status"]) == (503, "unavailable")


@pytest.mark.parametrize("accounts", [1, 5])
async def test_fifty_clients_with_the_same_bytes_make_one_blob_and_fifty_rows(
    database_url: str, directory_url: str, accounts: int, tmp_path: Path
) -> None:
    settings = make_settings(database_url, REGISTRY, mode="dev")
    await prepare(settings)
    content = os.urandom(300_000)
    given = {"AETHER_STORAGE_URL": directory_url}
    token = mint_token(settings, is_operator=True, scopes=EVERYTHING)
    with serving(settings, tmp_path, "--workers", "2", environment=given) as server, ThreadPoolExecutor(50) as threads:
        senders = [settle(server.port, token) for _ in range(accounts)] * (50 // accounts)
        statuses = list(threads.map(lambda sender: sender.upload(server.port, content), senders))
        assert statuses == [201] * 50
        for sender in senders[:accounts]:
            files = sender.list_all(server.port, "event_file", "id,hosted_file_id")
            assert len(files) == 50 // accounts
            assert len({one["hosted_file_id"] for one in files}) == 1
            assert len(sender.list_all(server.port, "hosted_file", "id")) == 1
        async with store_at(directory_url) as blobs:
            assert list((await contents(blobs)).values()) == [len(content)]
            assert await leftovers(blobs) == []


BINARY = {"Content-Type": "application/octet-stream"}


def pieces(content: bytes) -> list[bytes]:
    """A body as it comes in."""
    return [content[at : at + 65_536] for at in range(0, len(content), 65_536)]


async def settle_within(application: Application, settings: Settings) -> tuple[Client, str]:
    """An administrator of a new account, and an event of it, of an application in this process."""
    operator_token = mint_token(settings, is_operator=True, scopes=EVERYTHING)
    operator = Client(application, "operator", {"Authorization": f"Bearer {operator_token}"})
    made = await operator.send("POST", "/v3/crud/account/", {"name": "A", "code": f"a{secrets.token_hex(8)}"})
    token = mint_token(settings, user=new_public_id(), accounts=[made.data["id"]], roles=["admin"])
    client = Client(application, "admin", {"Authorization": f"Bearer {token}"})
    event = await client.send("POST", "/v3/crud/event/", EVENT)
    assert event.status == 201, event
    return client, event.data["id"]


NAMES = ["a\r\nSet-Cookie: x=1", "../../etc/x", "C:\\x", '"; filename*=', "x" * 10_240, "🙂", "/abs", "lock", "tmp"]


async def test_no_name_of_a_file_becomes_a_path(sqlite_url: str, tmp_path: Path) -> None:
    root = tmp_path / "outer" / "blobs"
    settings = make_settings(sqlite_url, REGISTRY, storage_url=f"file:{root}")
    await prepare(settings)
    before = paths_below(tmp_path, root)
    async with running(settings) as app:
        client, event = await settle_within(app.engine.application, settings)
        for name in NAMES:
            target = f"/v3/action/event/{event}/file?file_name={quote(name)}"
            reply = await client.send("POST", target, raw=[name.encode()], headers=BINARY)
            assert reply.status in (201, 422), reply
    assert paths_below(tmp_path, root) - before <= {tmp_path / "outer"}
    places = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    expected = {digest_of(name.encode()) for name in NAMES}
    assert places <= {f"{digest[:2]}/{digest[2:4]}/{digest}" for digest in expected} | {"lock"}
    assert len(places) > 2


def paths_below(folder: Path, without: Path) -> set[Path]:
    """What lies in a folder, but for one part of it and the database."""
    return {path for path in folder.rglob("*") if without not in (path, *path.parents) and "sqlite3" not in path.name}
