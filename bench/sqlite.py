"""The same get on SQLite: ours beside the hand-written service on SQLAlchemy with aiosqlite.

    python -m bench.sqlite

Each server has a file of its own with the same ten thousand entries: ours as
`aether migrate` makes its tables, the other as SQLAlchemy does.
"""

from __future__ import annotations

import json
import random
import sqlite3
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path

from sqlalchemy import create_engine

from bench.data import WORDS, Size, public_id
from bench.hand.tables import Base
from bench.load import drive
from bench.servers import HAND, OURS, Running, run_command, run_server
from bench.workloads import WORKLOADS, ask, make_requests

SIZE = Size(accounts=2, persons=20, journals=10, entries=500)
WANTED = 3.0
ROUNDS = 3
SECONDS = 2.0
ENTRY_COLUMNS = (
    "account_id, journal_id, title, body, entry_date, visibility, priority, tags, amount, flagged, person_id"
)
Row = tuple[object, ...]


def main() -> int:
    """Fill both files, compare answers, drive in turn; 1 when the target is missed."""
    with tempfile.TemporaryDirectory() as folder:
        ours, hand = Path(folder) / "ours.db", Path(folder) / "hand.db"
        settings = {"AETHER_DATABASE_URL": f"sqlite:///{ours}", "AETHER_REGISTRY": OURS.settings["AETHER_REGISTRY"]}
        run_command("migrate", "--yes", settings=settings)
        engine = create_engine(f"sqlite:///{hand}")
        Base.metadata.create_all(engine)
        engine.dispose()
        _fill(ours, are_decimals_scaled=True)
        _fill(hand, are_decimals_scaled=False)
        with (
            run_server(OURS, f"sqlite:///{ours}") as first,
            run_server(HAND, f"sqlite+aiosqlite:///{hand}") as second,
        ):
            _check_equal(first, second)
            ratios = [_measure((first, second), connections) for connections in (1, 32)]
    return 0 if min(ratios) >= WANTED else 1


def _check_equal(first: Running, second: Running) -> None:
    for seed in range(20):
        request = WORKLOADS["get one"].make(random.Random(seed), SIZE, {})
        answers = [json.loads(ask(server.port, request)[1]).get("data") for server in (first, second)]
        if answers[0] != answers[1]:
            raise RuntimeError(f"different answers to {request.path}: {answers}")


def _measure(servers: Sequence[Running], connections: int) -> float:
    """Drive in turn, print, answer the ratio of the medians."""
    rates: dict[str, list[float]] = {server.name: [] for server in servers}
    for turn in range(ROUNDS):
        requests = make_requests(WORKLOADS["get one"], SIZE, count=2_000, seed=turn)
        for server in servers:
            outcome = drive(server.port, requests, connections=connections, seconds=SECONDS, warm_up=0.5)
            rates[server.name].append(outcome.per_second)
    medians = {name: statistics.median(figures) for name, figures in rates.items()}
    ratio = medians["ours"] / medians["hand"]
    print(
        f"get one on SQLite, {connections:>2} connections: ours {medians['ours']:,.0f}/s, "
        f"hand {medians['hand']:,.0f}/s, {ratio:.2f} × (at least {WANTED:.0f} wanted)"
    )
    return ratio


def _fill(path: Path, *, are_decimals_scaled: bool) -> None:
    with sqlite3.connect(path) as connection:
        for table, columns, rows in (
            ("account", "name", ((f"Account {n}",) for n in _numbers("account"))),
            ("person", "account_id, name", (((n - 1) // SIZE.persons + 1, f"Person {n}") for n in _numbers("person"))),
            (
                "journal",
                "account_id, name",
                ((SIZE.account_of_journal(n), f"Journal {n}") for n in _numbers("journal")),
            ),
            (
                "journal_entry",
                ENTRY_COLUMNS,
                _entries(are_decimals_scaled=are_decimals_scaled),
            ),
        ):
            named = f"id, id_random, {columns}, row_version, created_on, updated_on"
            marks = ", ".join("?" * len(named.split(",")))
            connection.executemany(f"INSERT INTO {table} ({named}) VALUES ({marks})", _complete(table, rows))
    connection.close()


def _complete(table: str, rows: Iterator[Row]) -> Iterator[Row]:
    """Rows with what all tables have: key, public id, version, instants."""
    for number, row in enumerate(rows, start=1):
        made = datetime(2024, 1, 1) + timedelta(minutes=number, microseconds=number)  # noqa: DTZ001 - as stored
        text = made.isoformat(sep=" ", timespec="microseconds")
        yield number, public_id(table, number), *row, 1, text, text


def _entries(*, are_decimals_scaled: bool) -> Iterator[Row]:
    dice = random.Random(1)
    for number in _numbers("journal_entry"):
        account, journal = SIZE.account_of_entry(number), SIZE.journal_of_entry(number)
        cents = dice.randint(0, 10**6)
        person = (account - 1) * SIZE.persons + dice.randint(1, SIZE.persons)
        yield (
            account,
            journal,
            f"{dice.choice(WORDS)} {dice.choice(WORDS)} {number}",
            f"{dice.choice(WORDS)} and {dice.choice(WORDS)}. " * 10,
            (date(2019, 1, 1) + timedelta(days=dice.randint(0, 2_500))).isoformat(),
            dice.choice(("public", "private")),
            dice.randint(0, 9),
            json.dumps({"topics": [dice.choice(WORDS)]}, separators=(",", ":")),
            cents if are_decimals_scaled else cents / 100,
            number % 10 == 0,
            person if number % 5 else None,
        )


def _numbers(table: str) -> range:
    return range(1, SIZE.total[table] + 1)


if __name__ == "__main__":
    sys.exit(main())
