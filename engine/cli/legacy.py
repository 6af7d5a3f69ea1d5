"""`aether legacy report`: which old routes nobody has used for a while, so that they can be switched off.

What counts as a use is decided where old routes are served; how uses are counted in `io/uses.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Annotated

import typer

from engine.auth.mint import parse_duration
from engine.cli.documents import print_json
from engine.cli.ground import find_ground, opened, read_settings
from engine.cli.terminal import Refused, remark, say, show_table
from engine.io.uses import KEPT_DAYS, RouteTotal, list_totals
from engine.main import find_old_routes
from engine.plugins.layers import OldRoute
from engine.registry.legacy import NO_SWITCHES, LegacySwitches
from engine.registry.resource import Registry
from engine.settings import Settings


class ReportFormat(StrEnum):
    """How the report is printed."""

    text = "text"
    json = "json"


@dataclass(frozen=True, slots=True)
class Unused:
    """Old routes that nobody has used for the time that was asked for.

    Attributes:
        subject: What they are: a route for any type, or a type with a version.
        version: ``v1``.
        switch: The word that switches them off in the registry: at its top, or in the type.
        is_off: They are switched off already.
        count: Uses before that time.
        last_used_on: None where there was none at all.
    """

    subject: str
    version: str
    switch: str
    is_off: bool
    count: int
    last_used_on: datetime | None


@dataclass(frozen=True, slots=True)
class Report:
    """What nobody has used.

    Attributes:
        counted_since: The first day on which uses were counted; None where they never were.
        unused_since: The moment after which there was no use.
        is_counted: Whether uses were counted during all of that time.
    """

    counted_since: date | None
    unused_since: datetime
    is_counted: bool
    routes: Sequence[Unused]
    types: Sequence[Unused]


def report(
    unused_for: Annotated[str, typer.Option("--unused-for", help="How long: 12h, 30d, 8w.")] = "30d",
    format: Annotated[ReportFormat, typer.Option(help="How to print it.")] = ReportFormat.text,
) -> None:
    """List the old routes and types that nobody has used for some time, with the word that switches each off.

    The word goes into `legacy: {off: […]}`, at the top of the registry or in the type. A route that was never used
    is listed too. Calls of callers who are not known are no uses.
    """
    made = asyncio.run(_make(read_settings(), timedelta(seconds=parse_duration(unused_for))))
    if format is ReportFormat.json:
        print_json(asdict(made))
        return
    _warn(made, unused_for)
    _show(made.routes, "ROUTE", f"Every old route was used in the last {unused_for}, for one type or another.")
    say("")
    _show(made.types, "TYPE", f"Every type was used in the last {unused_for}, by each old version.")


def make_report(
    registry: Registry,
    routes: Sequence[OldRoute],
    began: str | None,
    totals: Iterable[RouteTotal],
    unused_since: datetime,
) -> Report:
    """Say what was not used.

    Args:
        registry: What is served.
        routes: All old routes, for each of its types.
        began: The first day on which uses were counted.
        totals: What was counted.
        unused_since: The moment, aware.
    """
    counted = {total.route: total for total in totals}
    by_route: dict[str, list[OldRoute]] = {}
    by_type: dict[tuple[str, str], list[OldRoute]] = {}
    for route in routes:
        by_route.setdefault(route.pattern, []).append(route)
        by_type.setdefault((route.type, route.version), []).append(route)

    def describe(subject: str, some: Sequence[OldRoute], switch: str, of_type: LegacySwitches) -> Unused:
        uses = [counted[one.route] for one in some if one.route in counted]
        return Unused(
            subject,
            some[0].version,
            switch,
            all(_is_off(one, registry.legacy) or _is_off(one, of_type) for one in some),
            sum(one.uses for one in uses),
            max((one.last_used_on for one in uses), default=None),
        )

    def is_unused(one: Unused) -> bool:
        return one.last_used_on is None or one.last_used_on < unused_since

    of_routes = [describe(name, some, f"{some[0].door}:{some[0].verb}", NO_SWITCHES) for name, some in by_route.items()]
    of_types = [
        describe(name, some, version, registry.types[name].legacy.switches) for (name, version), some in by_type.items()
    ]
    since = None if began is None else date.fromisoformat(began)
    return Report(
        since,
        unused_since,
        since is not None and since <= unused_since.date(),
        [one for one in of_routes if is_unused(one)],
        [one for one in of_types if is_unused(one)],
    )


# ---------------------------------------------------------------- private


async def _make(settings: Settings, unused_for: timedelta) -> Report:
    registry = (await find_ground(settings)).registry
    routes = find_old_routes(registry)
    if not routes:
        raise Refused("No old API is served here: there is no legacy_shim/.")
    async with opened(settings) as database:
        began, totals = await list_totals(database)
    now = datetime.now(UTC)
    if began is not None:
        # What is older is forgotten.
        began = max(began, (now - timedelta(days=KEPT_DAYS)).date().isoformat())
    return make_report(registry, routes, began, totals, now - unused_for)


def _is_off(route: OldRoute, switches: LegacySwitches) -> bool:
    return any(one.covers(route.door, route.verb) for one in switches.off)


def _warn(made: Report, unused_for: str) -> None:
    """Say how far the list can be believed."""
    if made.counted_since is None:
        remark("warning: uses were never counted in this database: no server has run on it, so nothing is known.")
    elif not made.is_counted:
        remark(
            f"warning: uses are counted since {made.counted_since} only, less than {unused_for}: "
            "what stands here may have been used before."
        )
    else:
        remark(f"Uses are counted since {made.counted_since}.")


def _show(some: Sequence[Unused], head: str, nothing: str) -> None:
    if not some:
        say(nothing)
        return
    rows = [
        (
            one.subject,
            one.version,
            "never" if one.last_used_on is None else f"{one.last_used_on:%Y-%m-%d %H:%M}Z",
            str(one.count),
            f"{one.switch} (is off)" if one.is_off else one.switch,
        )
        for one in some
    ]
    place = "OFF AT THE TOP" if head == "ROUTE" else "OFF IN THE TYPE"
    show_table((head, "VERSION", "LAST USED", "USES", place), rows)
