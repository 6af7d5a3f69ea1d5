"""The benchmark's harness itself: what it asks, how it reads replies, what it calls a miss."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from bench.data import FULL, SMALL, fetch, public_id, seed
from bench.data import connect as connect_bench
from bench.load import drive
from bench.report import Measure, format_table, judge
from bench.servers import LOGS
from bench.workloads import WORKLOADS, Workload, make_requests


class Answering(BaseHTTPRequestHandler):
    """Answers `status` to everything."""

    protocol_version = "HTTP/1.1"
    status: ClassVar[int] = 200

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server_port(request: pytest.FixtureRequest) -> Iterator[int]:
    answering = type("Answering", (Answering,), {"status": getattr(request, "param", 200)})
    server = ThreadingHTTPServer(("127.0.0.1", 0), answering)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


def test_the_driver_counts_replies_and_their_latency(server_port: int) -> None:
    request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    outcome = drive(server_port, [request], connections=2, seconds=20, warm_up=0, most=50)
    assert 50 <= outcome.count <= 52
    assert 0 < outcome.p50_ms <= outcome.p99_ms <= outcome.max_ms


@pytest.mark.parametrize("server_port", [404], indirect=True)
def test_a_reply_that_is_no_success_ends_the_run(server_port: int) -> None:
    with pytest.raises(RuntimeError, match="not a 2xx"):
        drive(server_port, [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"], connections=1, seconds=20, warm_up=0)


@pytest.mark.parametrize("workload", WORKLOADS.values(), ids=lambda workload: workload.name)
def test_the_same_seed_asks_the_same(workload: Workload) -> None:
    asked = [make_requests(workload, FULL, count=20, seed=3, cursors={1: "c"}) for _ in range(2)]
    assert asked[0] == asked[1]
    assert len(set(asked[0])) > 1 or "cursor" in workload.name


def test_ids_of_seeded_rows_are_valid_public_ids() -> None:
    ids = {public_id("journal_entry", random.Random(1).randint(1, 10**6)) for _ in range(10)}
    assert all(len(one) == 22 and one.replace("-", "").replace("_", "").isalnum() for one in ids)


@pytest.mark.mariadb
def test_seeding_twice_leaves_the_same_rows_and_the_ids_the_driver_expects(
    mariadb_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async def read() -> list[object]:
        connection = await connect_bench(mariadb_url)
        async with connection.cursor() as cursor:
            rows = [*await fetch(cursor, "SELECT COUNT(*), MAX(account_id) FROM journal_entry")]
            rows += await fetch(cursor, "SELECT id_random FROM journal_entry WHERE id = 77")
        await connection.ensure_closed()
        return list(rows)

    for _ in range(2):
        seed(mariadb_url, SMALL)
    assert asyncio.run(read()) == [(400, 2), (public_id("journal_entry", 77),)]
    assert capsys.readouterr().out.count("seeded") == 4


def test_a_missed_target_is_a_sentence() -> None:
    def measure(server: str, per_second: float, p99_ms: float = 2.0) -> Measure:
        return Measure("get one", 32, server, per_second, 1.0, p99_ms, 50.0, None, 0.1)

    good = [measure("ours", 1000), measure("hand", 200), measure("floor", 1600)]
    assert judge(good) == []
    assert "5.00 ×" in format_table(good, {})
    bad = [measure("ours", 900, 5.0), measure("hand", 200), measure("floor", 1600)]
    assert [line.split(":")[1].strip() for line in judge(bad)] == [
        "4.50 × hand, at least 5 wanted",
        "0.56 × floor, at least 0.6 wanted",
        "p99 is 5.0 times the p50, below 4 wanted",
    ]


@pytest.mark.mariadb
def test_the_hand_written_server_and_the_floor_give_equal_answers(mariadb_url: str) -> None:
    command = [sys.executable, "-m", "bench.run", "--small", "--servers", "hand,floor", "--workloads", "get one"]
    command += ["--rounds", "1", "--seconds", "0.2", "--database", mariadb_url]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
    assert "get one" in run.stdout
    assert json.loads((LOGS / "run.json").read_text())["measures"]
