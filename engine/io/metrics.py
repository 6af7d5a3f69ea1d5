"""Metrics for Prometheus, counted from observations.

Labels are bounded: route templates, methods, statuses and problem codes; never an id. With several workers the values
live in files that all of them read (prometheus_client's multiprocess mode), so that every worker tells the sum.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from engine.observe import (
    BlobsFailed,
    CacheUnreachable,
    ChangesDropped,
    DatabaseUnreachable,
    HookFailed,
    Observation,
    ObservationsDropped,
    OldRouteUsed,
    PoolExhausted,
    RequestServed,
    SlowStatement,
    TransactionRetried,
)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SHARED_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
MAX_ROUTES = 500
OTHER = "other"
_SHARED_FILE = re.compile(r"_(\d+)\.db$")
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

COUNTED: dict[type, tuple[str, str]] = {
    SlowStatement: ("aether_slow_statements", "Statements slower than AETHER_SLOW_STATEMENT_MS"),
    TransactionRetried: ("aether_transaction_retries", "Transactions that were run again"),
    DatabaseUnreachable: ("aether_database_faults", "Connections to the database that failed"),
    PoolExhausted: ("aether_pool_waits_in_vain", "Requests that got no connection in time"),
    BlobsFailed: ("aether_blob_faults", "Times that the file store failed"),
    CacheUnreachable: ("aether_cache_faults", "Times that Redis did not answer"),
    HookFailed: ("aether_hook_faults", "Hooks and subscribers that raised"),
    ChangesDropped: ("aether_changes_dropped", "Changes that were not announced"),
    ObservationsDropped: ("aether_observations_dropped", "Log lines and metrics that were lost"),
}


def share_metrics(directory: Path) -> None:
    """Have the processes that are started from here count together. Call it in the parent, before it starts them.

    Args:
        directory: Made, and emptied of what an earlier run left.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for left in directory.glob("*.db"):
        left.unlink(missing_ok=True)
    os.environ[SHARED_VARIABLE] = str(directory)


class Metrics:
    """The metrics of a process, or of all workers where they are shared."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._is_shared = SHARED_VARIABLE in os.environ
        if not self._is_shared:
            ProcessCollector(registry=self._registry)
        self._requests = Counter(
            "aether_requests", "Requests served", ("method", "route", "status"), registry=self._registry
        )
        self._durations = Histogram(
            "aether_request_duration_seconds",
            "Time from a request's first byte to its reply's last",
            ("method", "route"),
            buckets=BUCKETS,
            registry=self._registry,
        )
        self._problems = Counter("aether_problems", "Refusals by problem code", ("code",), registry=self._registry)
        self._old_uses = Counter("aether_legacy_uses", "Calls of old routes", ("route",), registry=self._registry)
        self._counters = {
            kind: Counter(name, meaning, registry=self._registry) for kind, (name, meaning) in COUNTED.items()
        }
        self._served: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._routes: set[str] = set()

    def count(self, observations: Iterable[Observation]) -> None:
        """Take observations into account; many at once cost less, since requests alike are added up first."""
        served: dict[tuple[str, str, int], int] = {}
        used: dict[str, int] = {}
        for observation in observations:
            if isinstance(observation, RequestServed):
                key = observation[1:4]
                served[key] = served.get(key, 0) + 1
                self._children(key)[1].observe(observation.duration_s)
                if observation.problem is not None:
                    self._problems.labels(observation.problem).inc()
                continue
            if isinstance(observation, OldRouteUsed):
                used[observation.name] = used.get(observation.name, 0) + 1
                continue
            found = self._counters.get(type(observation))
            if found is not None:
                found.inc(float(getattr(observation, "number", 1)))
        for key, number in served.items():
            self._children(key)[0].inc(number)
        for name, number in used.items():
            self._old_uses.labels(name).inc(number)

    def render(self) -> bytes:
        """The text that Prometheus reads."""
        if not self._is_shared:
            return generate_latest(self._registry)
        shared = CollectorRegistry()
        collect: Callable[[CollectorRegistry], object] = MultiProcessCollector
        collect(shared)
        shared.register(_Workers(Path(os.environ[SHARED_VARIABLE])))
        return generate_latest(shared)

    def _children(self, key: tuple[str, str, int]) -> tuple[Counter, Histogram]:
        found = self._served.get(key)
        if found is None:
            method, route, status = key
            method = method if method in METHODS else OTHER
            if route not in self._routes and len(self._routes) >= MAX_ROUTES:
                route = OTHER
            self._routes.add(route)
            found = self._requests.labels(method, route, str(status)), self._durations.labels(method, route)
            if OTHER not in (route, method):
                self._served[key] = found
        return found


class _Workers(Collector):
    """Memory, processor time and files of each worker that lives, by its number; read when they are asked for."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def collect(self) -> Iterator[Metric]:
        """The families, each with a sample for every worker."""
        families: dict[str, Metric] = {}
        for pid in self._find():
            collect: Callable[[], Iterable[Metric]] = ProcessCollector(pid=_always(pid), registry=None).collect
            for family in collect():
                known = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                for sample in family.samples:
                    known.add_sample(sample.name, {"pid": str(pid)}, sample.value)
        yield from families.values()

    def _find(self) -> list[int]:
        """Those that have left a file and are children of our own parent: numbers of the dead are given again."""
        found = {int(match[1]) for path in self._directory.glob("*.db") if (match := _SHARED_FILE.search(path.name))}
        return sorted(pid for pid in found | {os.getpid()} if _parent_of(pid) == os.getppid())


def _always(pid: int) -> Callable[[], int]:
    return lambda: pid


def _parent_of(pid: int) -> int | None:
    try:
        # What stands before the last bracket is the program's name, which may hold anything.
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        return int(stat.rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return None
