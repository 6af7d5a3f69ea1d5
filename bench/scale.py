"""What must not cost more when there is more: types, depth of a page, rows of an answer.

    python -m bench.scale              everything
    python -m bench.scale --types 100  a smaller registry: to try, not to judge

Three laws. A start with 1,000 types takes less than 5 s, and a request costs there
what it costs with 10 (processor time of the server per request, within 1.1 ×). The
page 3,900 of an account's flat list costs what page 1 costs (p50, within 1.3 ×). The
number of statements of a request does not depend on the rows it answers.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.counts import count_statements
from bench.data import DATABASE_URL, FULL, connect, fetch, make_database, public_id, seed
from bench.load import drive
from bench.servers import OURS, Running, Server, run_command, run_server
from bench.workloads import FLAT_PAGE, WORKLOADS, Ask, ask, find_cursors, make_requests

FEW, MANY = 10, 1_000
ROUNDS = 5
REQUESTS = 3_000
MOST_START_S = 5.0
MOST_BY_TYPES = 1.1
MOST_BY_DEPTH = 1.3

HEAD = """version: 1
types:
  account:
    table: account
    account: self
    search: [name]
    fields:
      name: {type: string(200), required: true}
"""
TYPE = """
  thing_{n}:
    table: thing_{n}
    account: own
    display: "{{title}}"
    search: [title, entry_date, visibility, priority, flagged]
    sort: [-entry_date]
    fields:
      title: {{type: string(200), required: true}}
      body: {{type: text, heavy: true}}
      entry_date: {{type: date}}
      visibility: {{enum: {{private: Private, public: Public}}, default: private}}
      priority: {{type: integer, min: 0, max: 9, default: 0}}
      tags: {{type: json}}
      flagged: {{type: boolean, default: false}}
      previous_id: {{ref: thing_{previous}}}
"""


def main() -> int:
    """Check the three laws; 1 when one is broken."""
    parser = argparse.ArgumentParser(prog="python -m bench.scale")
    parser.add_argument("--types", type=int, default=MANY)
    options = parser.parse_args()
    seed(DATABASE_URL, FULL)
    broken = [*_check_types(options.types), *_check_depth()]
    for line in broken:
        print(f"BROKEN: {line}")
    return 1 if broken else 0


def _check_types(many: int) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        few_server, few_request = stack.enter_context(_serve(FEW, Path(folder)))
        many_server, many_request = stack.enter_context(_serve(many, Path(folder)))
        costs: dict[int, list[float]] = {FEW: [], many: []}
        for _ in range(ROUNDS):
            costs[FEW].append(_cost_us(few_server, few_request))
            costs[many].append(_cost_us(many_server, many_request))
        few_us, many_us = statistics.median(costs[FEW]), statistics.median(costs[many])
        print(f"start with {FEW} types {few_server.start_s:.2f} s, with {many} {many_server.start_s:.2f} s")
        print(f"a get costs {few_us:.0f} µs with {FEW} types, {many_us:.0f} µs with {many}: {many_us / few_us:.2f} ×")
        print(
            f"resident: {few_server.resident_mib:.0f} MiB with {FEW} types, {many_server.resident_mib:.0f} with {many}"
        )
        if many_server.start_s > MOST_START_S:
            yield f"{many} types start in {many_server.start_s:.1f} s"
        if many_us > MOST_BY_TYPES * few_us:
            yield f"a request costs {many_us / few_us:.2f} times as much with {many} types"


@contextmanager
def _serve(types: int, folder: Path) -> Iterator[tuple[Running, bytes]]:
    """A server with so many types, in a database of its own, and a get of a row of the last type."""
    registry = folder / f"types_{types}.yaml"
    registry.write_text(HEAD + "".join(TYPE.format(n=n, previous=max(1, n - 1)) for n in range(1, types + 1)))
    url = f"{DATABASE_URL}_types_{types}"
    asyncio.run(make_database(url))
    run_command("migrate", "--yes", settings={"AETHER_DATABASE_URL": url, "AETHER_REGISTRY": str(registry)})
    asyncio.run(_make_account(url))
    server = Server(f"types_{types}", OURS.command, {**OURS.settings, "AETHER_REGISTRY": str(registry)}, OURS.probe)
    with run_server(server, url) as running:
        body = {"title": "one", "priority": 3, "tags": {"a": [1]}, "entry_date": "2026-01-01"}
        status, answer = ask(running.port, Ask("POST", f"/v3/crud/thing_{types}/", 1, body))
        if status != 201:
            raise RuntimeError(f"{status}: {answer!r}")
        made = json.loads(answer)["data"]["id"]
        yield running, Ask("GET", f"/v3/crud/thing_{types}/{made}", 1).encode()


async def _make_account(url: str) -> None:
    """The account that the load's tokens name."""
    connection = await connect(url)
    async with connection.cursor() as cursor:
        if not await fetch(cursor, "SELECT 1 FROM account"):
            await cursor.execute(
                "INSERT INTO account (id_random, name, row_version, created_on, updated_on)"
                f" VALUES ('{public_id('account', 1)}', 'One', 1, UTC_TIMESTAMP(6), UTC_TIMESTAMP(6))"
            )
    await connection.ensure_closed()


def _cost_us(server: Running, request: bytes) -> float:
    """Processor time of the server per request, in microseconds."""
    drive(server.port, [request], connections=8, seconds=30, warm_up=0, most=REQUESTS // 10)
    before = server.cpu_s
    outcome = drive(server.port, [request], connections=8, seconds=30, warm_up=0, most=REQUESTS)
    return (server.cpu_s - before) * 1e6 / outcome.count


def _check_depth() -> Iterator[str]:
    with run_server(OURS, DATABASE_URL) as server:
        cursors = find_cursors(server, FULL, DATABASE_URL)
        first = make_requests(FLAT_PAGE, FULL, count=100, seed=1, cursors=cursors)
        deep = make_requests(WORKLOADS["deep page by cursor"], FULL, count=100, seed=1, cursors=cursors)
        times: dict[str, list[float]] = {"first": [], "deep": []}
        for _ in range(ROUNDS):
            for name, requests in (("first", first), ("deep", deep)):
                outcome = drive(server.port, requests, connections=1, seconds=2, warm_up=0.3)
                times[name].append(outcome.p50_ms)
        first_ms, deep_ms = statistics.median(times["first"]), statistics.median(times["deep"])
        print(f"page 1 takes {first_ms:.2f} ms, page 3,900 {deep_ms:.2f} ms: {deep_ms / first_ms:.2f} ×")
        if deep_ms > MOST_BY_DEPTH * first_ms:
            yield f"page 3,900 takes {deep_ms / first_ms:.2f} times as long as page 1"
        counts = {limit: _count(server, limit) for limit in (1, 25, 500)}
        print("statements of a nested page: " + ", ".join(f"{count:.2f} for {rows}" for rows, count in counts.items()))
        if round(max(counts.values())) != round(min(counts.values())):
            yield f"statements depend on the rows: {counts}"


def _count(server: Running, limit: int) -> float:
    path = f"/v3/crud/journal/{public_id('journal', 1)}/entry/?limit={limit}"
    return count_statements(server.port, [Ask("GET", path, 1).encode()] * 50)


if __name__ == "__main__":
    sys.exit(main())
