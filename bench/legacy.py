"""What the old API costs: the same get by V1, V2 and V3, of one server, in turn.

    python -m bench.legacy                one server, a minute and a half
    python -m bench.legacy --small        on a hundred times less data

A legacy get must give at least 0.8 × the requests per second of its V3 form. The processor time that the server spends
on one is printed beside: a busy machine moves it less.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable
from random import Random

from bench.data import DATABASE_URL, FULL, SMALL, Size, seed
from bench.load import drive
from bench.servers import OURS, Running, run_server
from bench.workloads import WORKLOADS, Ask, ask

WANTED = 0.8
ROUNDS = 15
SECONDS = 1.0
REQUESTS = 2_000

# By the form, the path of an entry and how to take the object out of the reply.
FORMS: dict[str, tuple[str, Callable[[dict[str, object]], object]]] = {
    "v3": ("/v3/crud/journal_entry/", lambda shown: shown["data"]),
    "v1": ("/journal_entry/", lambda shown: shown),
    "v2": ("/v2/crud/journal_entry/", lambda shown: shown["data"]),
}


def main() -> int:
    """Compare answers, drive in turn; 1 when the target is missed."""
    parser = argparse.ArgumentParser(prog="python -m bench.legacy", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--small", action="store_true", help="less data")
    parser.add_argument("--database", default=DATABASE_URL, help="a MariaDB database of the benchmark's own")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each measurement")
    options = parser.parse_args()
    size = SMALL if options.small else FULL
    seed(options.database, size)
    with run_server(OURS, options.database) as server:
        _check_equal(server, size)
        ratios = [_measure(server, size, connections, options.seconds) for connections in (1, 32)]
    return 0 if min(ratios) >= WANTED else 1


def _check_equal(server: Running, size: Size) -> None:
    """The three forms must answer the same object, but for the old names that two of them add."""
    for number in range(20):
        answers = []
        for form, (_, take) in FORMS.items():
            status, answer = ask(server.port, _make(Random(number), size, form))
            found = take(json.loads(answer))
            if status != 200 or not isinstance(found, dict):
                raise RuntimeError(f"{form} answered {status}: {answer[:300]!r}")
            answers.append({key: value for key, value in found.items() if not key.endswith("_random")})
        if any(one != answers[0] for one in answers):
            raise RuntimeError(f"different answers: {answers}")


def _measure(server: Running, size: Size, connections: int, seconds: float) -> float:
    """Drive in turn, print; answer the lower ratio of the medians."""
    rates: dict[str, list[float]] = {form: [] for form in FORMS}
    spent_us: dict[str, list[float]] = {form: [] for form in FORMS}
    for turn in range(ROUNDS):
        for form in FORMS:
            dice = Random(turn)
            requests = [_make(dice, size, form).encode() for _ in range(REQUESTS)]
            before_s = server.cpu_s
            outcome = drive(server.port, requests, connections=connections, seconds=seconds, warm_up=0)
            rates[form].append(outcome.per_second)
            spent_us[form].append((server.cpu_s - before_s) / (outcome.per_second * seconds) * 1e6)
    medians = {form: statistics.median(figures) for form, figures in rates.items()}
    for form, median in medians.items():
        print(
            f"get one by {form}, {connections:>2} connections: {median:7,.0f}/s, {median / medians['v3']:.2f} × V3"
            f" (at least {WANTED} wanted), {statistics.median(spent_us[form]):4.0f} µs of the server"
        )
    return min(medians["v1"], medians["v2"]) / medians["v3"]


def _make(dice: Random, size: Size, form: str) -> Ask:
    asked = WORKLOADS["get one"].make(dice, size, {})
    return Ask(asked.method, FORMS[form][0] + asked.path.rpartition("/")[2], asked.account)


if __name__ == "__main__":
    sys.exit(main())
