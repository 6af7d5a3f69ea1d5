"""The worker API: how a plug-in declares work that runs in the server beside the requests.

A function of a file in `actions/` that is marked by `@worker(…)` runs again and again: at the start, after every
commit that wrote an object of its type, and every so many seconds. Every process of the server runs it, so it takes
what it works on under a lock. What it is given, and when it is called, is `execute/workers.py`'s business.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any, TypeVar

from engine.plugins.actions import CLAIMED, SKIPPED, UNFIT, place_of
from engine.registry.findings import Finding
from engine.registry.resource import Registry

Work = Callable[..., Awaitable[None]]
W = TypeVar("W", bound=Work)
SHORTEST_S = 0.1

_MARK = "__aether_worker__"
_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Worker:
    """One declared worker.

    Attributes:
        name: Unique; it stands in the log.
        type: The resource type that it is about: written objects of it wake it, and a registry without it leaves the
            worker out.
        every_s: How long it sleeps at most.
        work: The function.
        source: File and line of it, for findings.
    """

    name: str
    type: str
    every_s: float
    work: Work
    source: str


def worker(name: str, *, type: str, every_s: float) -> Callable[[W], W]:
    """Declare a function as a worker.

    Args:
        name: Unique; snake_case.
        type: The resource type whose committed writes wake it.
        every_s: How long it sleeps at most when nothing wakes it, in seconds.
    """

    def declare(work: W) -> W:
        code = work.__code__
        setattr(work, _MARK, Worker(name, type, every_s, work, f"{code.co_filename}:{code.co_firstlineno}"))
        return work

    return declare


def collect_workers(module: ModuleType) -> tuple[Worker, ...]:
    """The workers that a module declares."""
    values: list[Any] = [one for one in vars(module).values() if getattr(one, "__module__", None) == module.__name__]
    return tuple(found for found in (getattr(one, _MARK, None) for one in values) if isinstance(found, Worker))


def check_workers(workers: Iterable[Worker], registry: Registry) -> tuple[tuple[Worker, ...], tuple[Finding, ...]]:
    """Decide which workers run.

    Returns:
        Those that do, and what is wrong with the others.
    """
    running: dict[str, Worker] = {}
    findings: list[Finding] = []
    for one in workers:
        place = place_of(one.source)
        if one.type not in registry.types:
            message = f"the worker `{one.name}` is left out: there is no type `{one.type}`"
            findings.append(Finding(SKIPPED, message, place))
            continue
        faults = [Finding(UNFIT, message, place, help=way_out) for message, way_out in _unfit(one)]
        if one.name in running:
            note = f"first declared in {running[one.name].source}"
            message = f"two workers claim the name `{one.name}`"
            faults.append(Finding(CLAIMED, message, place, help="change one of them", notes=(note,)))
        findings.extend(faults)
        if not faults:
            running[one.name] = one
    return tuple(running.values()), tuple(findings)


def _unfit(one: Worker) -> Iterator[tuple[str, str]]:
    """Why a worker cannot run, each with the way out."""
    if not _NAME.fullmatch(one.name):
        yield f"{one.name!r} is no name for a worker", "write snake_case: letters, digits and _"
    if not inspect.iscoroutinefunction(one.work):
        yield f"the worker `{one.name}` is not async", "write `async def`: a plain function would hold up every request"
    if len(inspect.signature(one.work).parameters) != 1:
        yield f"the worker `{one.name}` must take one argument", "take `host: WorkerHost`"
    if one.every_s < SHORTEST_S:
        yield f"the worker `{one.name}` would hardly sleep", f"let it sleep {SHORTEST_S} s at least"
