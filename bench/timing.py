"""Whether time tells another account's id from an id that does not exist.

    python -m bench.timing

At each door 200 pairs of requests, one with another account's id and one with a
random one, in changing order, every id used once. The medians must be within 5 %.
"""

from __future__ import annotations

import random
import secrets
import statistics
import sys
import time
from collections.abc import Callable

from bench.client import Client, open_client
from bench.data import DATABASE_URL, FULL, public_id, seed
from bench.servers import OURS, run_server
from bench.workloads import Ask

PAIRS = 200
WARM_UP_PAIRS = 50
MOST_APART = 0.05
ASKING_ACCOUNT = 1

DOORS: dict[str, Callable[[str, str], Ask]] = {
    "get": lambda entry, _: Ask("GET", f"/v3/crud/journal_entry/{entry}", ASKING_ACCOUNT),
    "patch": lambda entry, _: Ask("PATCH", f"/v3/crud/journal_entry/{entry}", ASKING_ACCOUNT, {"title": "x"}),
    "nested list": lambda _, journal: Ask("GET", f"/v3/crud/journal/{journal}/entry/", ASKING_ACCOUNT),
    "nested get": lambda entry, journal: Ask("GET", f"/v3/crud/journal/{journal}/entry/{entry}", ASKING_ACCOUNT),
    "relation of a create": lambda entry, _: Ask(
        "POST",
        f"/v3/crud/journal/{public_id('journal', 1)}/entry/",
        ASKING_ACCOUNT,
        {"title": "x", "person_id": entry},
    ),
}


def main() -> int:
    """Measure every door; 1 when one tells."""
    seed(DATABASE_URL, FULL)
    telling = 0
    with run_server(OURS, DATABASE_URL) as server, open_client(server.port) as client:
        for door, make in DOORS.items():
            foreign_us, unknown_us = _measure(client, door, make)
            apart = abs(foreign_us - unknown_us) / min(foreign_us, unknown_us)
            telling += apart > MOST_APART
            print(f"{door:<22} foreign {foreign_us:7.0f} µs   unknown {unknown_us:7.0f} µs   {apart:6.1%} apart")
    print("TELLING: the medians differ by more than 5 %." if telling else "The medians are within 5 % of each other.")
    return 1 if telling else 0


def _measure(client: Client, door: str, make: Callable[[str, str], Ask]) -> tuple[float, float]:
    """Medians in microseconds, for another account's ids and for unknown ones."""
    dice = random.Random(door)
    times: dict[bool, list[float]] = {True: [], False: []}
    answers: set[int] = set()
    for pair in range(WARM_UP_PAIRS + PAIRS):
        for is_foreign in (True, False) if dice.random() < 0.5 else (False, True):
            request = make(*(_foreign_ids(door, dice) if is_foreign else _unknown_ids())).encode()
            started = time.perf_counter()
            status, _ = client.ask(request)
            if pair >= WARM_UP_PAIRS:
                times[is_foreign].append((time.perf_counter() - started) * 1e6)
            answers.add(status)
    if len(answers) != 1 or not answers <= {404, 422}:
        raise RuntimeError(f"{door} answers {sorted(answers)}")
    return statistics.median(times[True]), statistics.median(times[False])


def _foreign_ids(door: str, dice: random.Random) -> tuple[str, str]:
    """An entry (or person) and a journal of an account that is not the asking one."""
    journal = dice.randint(FULL.journals + 1, FULL.total["journal"])
    if door == "relation of a create":
        return public_id("person", dice.randint(FULL.persons + 1, FULL.total["person"])), ""
    entry = dice.randint((journal - 1) * FULL.entries + 1, journal * FULL.entries)
    return public_id("journal_entry", entry), public_id("journal", journal)


def _unknown_ids() -> tuple[str, str]:
    return secrets.token_urlsafe(16), secrets.token_urlsafe(16)


if __name__ == "__main__":
    sys.exit(main())
