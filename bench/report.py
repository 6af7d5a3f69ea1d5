"""The table of a run, and which targets it misses.

The targets stand with the workloads; here they are only compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.workloads import WORKLOADS

MOST_P99_BY_P50 = 4.0
HEADING = (
    f"{'workload':<28}{'conns':>6} {'server':<7}{'req/s':>9}{'p50 ms':>9}{'p99 ms':>9}{'p99/p50':>9}"
    f"{'RSS MiB':>9}{'stmts':>7}{'ours/hand':>11}{'ours/floor':>12}"
)


@dataclass(frozen=True, slots=True)
class Measure:
    """One line of the table: a server at a workload with so many connections."""

    workload: str
    connections: int
    server: str
    per_second: float
    p50_ms: float
    p99_ms: float
    resident_mib: float
    statements: float | None
    driver_cpu: float


def format_table(measures: Sequence[Measure], starts: Mapping[str, float], *, heading: bool = True) -> str:
    """The measures as text, with the ratios on the lines of ours."""
    lines = [HEADING] if heading else []
    for one in measures:
        hand, floor = _ratio(measures, one, "hand"), _ratio(measures, one, "floor")
        statements = "" if one.statements is None else f"{one.statements:.2f}"
        lines.append(
            f"{one.workload:<28}{one.connections:>6} {one.server:<7}{one.per_second:>9,.0f}{one.p50_ms:>9.2f}"
            f"{one.p99_ms:>9.2f}{one.p99_ms / one.p50_ms:>9.1f}{one.resident_mib:>9.1f}{statements:>7}"
            f"{_times(hand):>11}{_times(floor):>12}"
        )
    lines.extend(f"start of {name}: {seconds:.2f} s" for name, seconds in starts.items())
    return "\n".join(lines)


def judge(measures: Sequence[Measure]) -> list[str]:
    """The targets that ours misses, each as a sentence."""
    missed: list[str] = []
    for one in measures:
        if one.server != "ours":
            continue
        workload = WORKLOADS[one.workload]
        if one.connections > 1:
            for other, wanted in (("hand", workload.ratio_hand), ("floor", workload.ratio_floor)):
                ratio = _ratio(measures, one, other)
                if wanted is not None and ratio is not None and ratio < wanted:
                    missed.append(f"{one.workload}: {ratio:.2f} × {other}, at least {wanted} wanted")
            if one.p99_ms > MOST_P99_BY_P50 * one.p50_ms:
                missed.append(f"{one.workload}: p99 is {one.p99_ms / one.p50_ms:.1f} times the p50, below 4 wanted")
        if one.statements is not None and one.statements > workload.most_statements:
            missed.append(f"{one.workload}: {one.statements:.2f} statements, at most {workload.most_statements} wanted")
    return missed


def _ratio(measures: Sequence[Measure], one: Measure, server: str) -> float | None:
    if one.server != "ours":
        return None
    for other in measures:
        if (other.server, other.workload, other.connections) == (server, one.workload, one.connections):
            return one.per_second / other.per_second
    return None


def _times(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f} ×"
