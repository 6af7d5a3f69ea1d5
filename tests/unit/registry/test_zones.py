"""Columns that keep a zone's clocks: what a stored clock means, and which columns are such."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.registry.load import Loaded, load_registry_text
from engine.registry.reflection import ReflectedColumn, ReflectedDatabase, ReflectedTable
from engine.registry.zones import clock_of, is_zone

BERLIN = clock_of("Europe/Berlin")
# Every sort of zone: whole and half hours, half an hour of summer time, a day left out, none at all, much history.
NAMES = (
    "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Pacific/Apia", "America/New_York", "Asia/Kathmandu",
    "Africa/Casablanca", "Antarctica/Troll", "UTC", "Etc/GMT-14", "Etc/GMT+12", "Pacific/Kwajalein",
)  # fmt: skip

zones = st.sampled_from(NAMES)
years = st.datetimes(datetime(1950, 1, 1), datetime(2099, 1, 1))  # noqa: DTZ001 - naive UTC


@st.composite
def near_changes(draw: st.DrawFn) -> tuple[str, datetime]:
    """An instant of a zone: any, or one within hours of a change of its clocks."""
    zone = draw(zones)
    changes = [one for one in clock_of(zone).changes if 1950 <= one.year < 2099]
    if not changes or draw(st.booleans()):
        return zone, draw(years)
    near = draw(st.integers(-4 * 3600 * 10**6, 4 * 3600 * 10**6))
    return zone, draw(st.sampled_from(changes)) + timedelta(microseconds=near)


def shown(zone: str, instant: datetime) -> datetime:
    """The clock, by Python's own zones."""
    return instant.replace(tzinfo=UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0)


@given(near_changes())
def test_clocks_show_what_pythons_zones_show(case: tuple[str, datetime]) -> None:
    zone, instant = case
    assert clock_of(zone).show(instant) == shown(zone, instant)


@given(near_changes())
def test_what_is_written_is_read_as_it_was_but_in_an_hour_that_came_before(case: tuple[str, datetime]) -> None:
    zone, instant = case
    clock = shown(zone, instant)
    is_second = clock.replace(tzinfo=ZoneInfo(zone), fold=0).astimezone(UTC).replace(tzinfo=None) != instant
    back = clock_of(zone).read(clock)
    assert (back < instant) if is_second else (back == instant)
    assert clock_of(zone).show(back) == clock


@given(near_changes(), st.integers(0, 3 * 3600 * 10**6))
def test_what_is_read_never_goes_backward(case: tuple[str, datetime], step: int) -> None:
    zone, clock = case
    reader = clock_of(zone)
    assert reader.read(clock) <= reader.read(clock + timedelta(microseconds=step))


@given(near_changes(), st.integers(-3 * 3600 * 10**6, 3 * 3600 * 10**6))
def test_clocks_compare_with_the_bounds_of_an_instant_as_instants_do(case: tuple[str, datetime], away: int) -> None:
    zone, instant = case
    reader = clock_of(zone)
    clock = shown(zone, instant) + timedelta(microseconds=away)
    first, after = reader.bounds(instant)
    assert (clock >= first) == (reader.read(clock) >= instant)
    assert (clock >= after) == (reader.read(clock) > instant)


@pytest.mark.long
def test_no_zone_of_the_world_reads_backward() -> None:
    for zone in sorted(available_timezones()):
        if not is_zone(zone):
            continue
        pieces = clock_of(zone).pieces
        for one, following in pairwise(pieces):
            assert one.start < following.start, zone
            last = following.start - timedelta(microseconds=1)
            assert clock_of(zone).read(last) <= following.instant, zone


def test_of_an_hour_that_comes_twice_the_first_is_meant_and_of_one_left_out_the_change() -> None:
    twice, left_out = datetime(2026, 10, 25, 2, 30), datetime(2026, 3, 29, 2, 30)  # noqa: DTZ001
    assert BERLIN.read(twice) == datetime(2026, 10, 25, 0, 30)  # noqa: DTZ001
    assert BERLIN.read(left_out) == datetime(2026, 3, 29, 1)  # noqa: DTZ001
    again = datetime(2026, 10, 25, 1, 30)  # noqa: DTZ001
    first, after = BERLIN.bounds(again)
    assert first == after == datetime(2026, 10, 25, 3)  # noqa: DTZ001


@pytest.mark.parametrize("zone", NAMES)
def test_the_first_and_last_years_are_read_without_fault(zone: str) -> None:
    reader = clock_of(zone)
    first, last = datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999_999)  # noqa: DTZ001
    assert first <= reader.read(first) <= reader.read(first + timedelta(days=3))
    assert reader.read(last - timedelta(days=3)) < reader.read(last) <= last
    for instant in (first, last):
        low, high = reader.bounds(instant)
        assert first <= low <= high <= last


# ---------------------------------------------------------------- which columns


def load(fields: str = "", head: str = "timezone: Europe/Berlin", dialect: str = "mariadb") -> Loaded:
    def column(name: str, type_: str, **more: object) -> ReflectedColumn:
        kind = "bigint" if "int" in type_ else "string" if "char" in type_ else "datetime"
        return ReflectedColumn(name=name, type=type_, kind=kind, **{"nullable": name != "id", **more})  # type: ignore[arg-type]

    columns = [
        column("id", "bigint(20)", auto_increment=True, has_default=True, bits=64),
        column("id_random", "char(22)", nullable=False), column("row_version", "bigint(20)", bits=64),
        column("at", "datetime(6)"), column("seen", "timestamp", is_utc=True),
        column("ours", "datetime(6)", is_utc=True),
        column("created_on", "datetime"), column("deleted_on", "datetime"),
    ]  # fmt: skip
    table = ReflectedTable(name="thing", columns={one.name: one for one in columns}, primary_key=("id",))
    said = f"table: thing, account: {{none: shared}}, soft_delete: deleted_on{fields}"
    text = f"version: 1\n{head}\ntypes:\n  thing: {{{said}}}\n"
    return load_registry_text(text, ReflectedDatabase(dialect=dialect, tables={"thing": table}))  # type: ignore[arg-type]


def zones_of(loaded: Loaded) -> dict[str, str | None]:
    assert loaded.target is not None
    fields = loaded.target.types["thing"].fields
    return {name: fields[name].zone for name in ("at", "seen", "ours", "created_on", "deleted_on")}


def test_found_columns_are_in_the_registrys_zone_and_those_that_are_utc_are_not() -> None:
    berlin = "Europe/Berlin"
    expected = {"at": berlin, "seen": None, "ours": None, "created_on": berlin, "deleted_on": berlin}
    assert zones_of(load()) == expected
    assert set(zones_of(load(head="timezone: UTC")).values()) == {None}


def test_a_field_says_its_own_zone() -> None:
    fields = ", fields: {at: {timezone: UTC}, created_on: {timezone: Asia/Tokyo}}"
    assert zones_of(load(fields)) == {
        "at": None, "seen": None, "ours": None, "created_on": "Asia/Tokyo", "deleted_on": "Europe/Berlin",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ("at: {timezone: Mars/Olympus}", "R107"),
        ("seen: {timezone: Europe/Berlin}", "R310"),
        ("ours: {timezone: Europe/Berlin}", "R310"),
        ("row_version: {timezone: Europe/Berlin, type: bigint}", "R310"),
        ("new: {timezone: Europe/Berlin, type: datetime}", "R310"),
        ("seen: {timezone: UTC}", None),
        ("new: {timezone: UTC, type: datetime}", None),
    ],
)
def test_a_zone_that_a_column_cannot_have_is_a_finding(fields: str, code: str | None) -> None:
    found = [one for one in load(f", fields: {{{fields}}}").findings if one.code in ("R107", "R310")]
    assert [one.code for one in found] == ([code] if code else [])
