"""One command: seed, start the servers side by side, compare answers, drive them in turn, print the table.

    python -m bench.run                      everything, about ten minutes
    python -m bench.run --quick              shorter rounds, one of them
    python -m bench.run --servers hand,floor --workloads "get one,patch"

The servers take turns (A B C A B C …) and the median round counts, so that what
else the machine does falls on all of them. See README.md for how to read it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from bench.counts import count_statements
from bench.data import DATABASE_URL, FULL, SMALL, Size, seed
from bench.load import Outcome, drive
from bench.report import Measure, format_table, judge
from bench.servers import LOGS, SERVERS, Running, run_servers
from bench.verify import find_differences
from bench.workloads import WORKLOADS, Workload, find_cursors, make_requests

REQUESTS = 4_000
CONNECTIONS = (1, 32)
WARM_UP_S = 0.5


def main() -> int:
    """Run what the command line asks for; 1 when answers differ or a target is missed with ``--judge``."""
    options = _parse(sys.argv[1:])
    size = SMALL if options.small else FULL
    chosen = [SERVERS[name] for name in options.servers.split(",")]
    workloads = [workload for name, workload in WORKLOADS.items() if name in (options.workloads or ",".join(WORKLOADS))]
    seed(options.database, size)
    with run_servers(chosen, options.database) as servers:
        deep = _find_deep_page(size)
        cursors = {
            server.name: find_cursors(server, size, options.database, deep)
            for server in servers
            if server.name != "hand"
        }
        differences = find_differences(servers, size, cursors) if len(servers) > 1 else []
        for difference in differences:
            print(f"DIFFERENT: {difference}", file=sys.stderr)
        if differences and not options.keep_going:
            return 1
        starts = {server.name: round(server.start_s, 2) for server in servers}
        measures = [
            measure
            for workload in workloads
            for connections in CONNECTIONS
            for measure in _measure(workload, connections, servers, size, cursors, options)
        ]
    _write(measures, starts, options)
    missed = judge(measures)
    print(format_table(measures, starts))
    for line in missed:
        print(f"MISSED: {line}")
    return 1 if missed and options.judge else 0


def _measure(
    workload: Workload,
    connections: int,
    servers: Sequence[Running],
    size: Size,
    cursors: Mapping[str, Mapping[int, str]],
    options: argparse.Namespace,
) -> list[Measure]:
    """Drive all servers at one workload in turn, round after round."""
    able = [server for server in servers if server.name in workload.servers]
    outcomes: dict[str, list[Outcome]] = {server.name: [] for server in able}
    for turn in range(options.rounds):
        for server in able:
            requests = make_requests(
                workload, size, count=REQUESTS, seed=100 + turn, cursors=cursors.get(server.name, {})
            )
            try:
                outcome = drive(
                    server.port, requests, connections=connections, seconds=options.seconds, warm_up=WARM_UP_S
                )
            except RuntimeError as failure:
                raise RuntimeError(f"{server.name} at {workload.name}: {failure}\n{server.log_tail}") from failure
            outcomes[server.name].append(outcome)
    measures = []
    for server in able:
        requests = make_requests(workload, size, count=100, seed=7, cursors=cursors.get(server.name, {}))
        statements = count_statements(server.port, requests, options.database) if connections == 1 else None
        measures.append(_sum_up(workload, connections, server, outcomes[server.name], statements))
        print(f"  {format_table(measures[-1:], {}, heading=False)}", file=sys.stderr, flush=True)
    return measures


def _sum_up(
    workload: Workload, connections: int, server: Running, outcomes: Sequence[Outcome], statements: float | None
) -> Measure:
    """The median of the rounds."""
    return Measure(
        workload=workload.name,
        connections=connections,
        server=server.name,
        per_second=statistics.median(outcome.per_second for outcome in outcomes),
        p50_ms=statistics.median(outcome.p50_ms for outcome in outcomes),
        p99_ms=statistics.median(outcome.p99_ms for outcome in outcomes),
        resident_mib=server.resident_mib,
        statements=statements,
        driver_cpu=statistics.median(outcome.driver_cpu for outcome in outcomes),
    )


def _find_deep_page(size: Size) -> int:
    """Page 3,900 of the full data; the last whole one but one of smaller data."""
    return min(3_900, size.journals * size.entries // 25 - 1)


def _write(measures: Sequence[Measure], starts: Mapping[str, float], options: argparse.Namespace) -> None:
    document = {
        "made_on": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "load_before": os.getloadavg(),
        "rounds": options.rounds,
        "seconds": options.seconds,
        "start_s": dict(starts),
        "measures": [asdict(measure) for measure in measures],
    }
    LOGS.mkdir(parents=True, exist_ok=True)
    (LOGS / "run.json").write_text(json.dumps(document, indent=1))


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.run", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--servers", default=",".join(SERVERS), help="comma-separated; default all three")
    parser.add_argument("--workloads", default="", help="comma-separated names; default all")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="measured per round, server, workload")
    parser.add_argument("--database", default=DATABASE_URL, help="its user must be able to create databases")
    parser.add_argument("--small", action="store_true", help="a few hundred rows: to try the harness, not to measure")
    parser.add_argument("--quick", action="store_true", help="one round of one second")
    parser.add_argument("--keep-going", action="store_true", help="measure though answers differ")
    parser.add_argument("--judge", action="store_true", help="exit 1 when a target is missed")
    options = parser.parse_args(arguments)
    if options.quick:
        options.rounds, options.seconds = 1, 1.0
    return options


if __name__ == "__main__":
    sys.exit(main())
