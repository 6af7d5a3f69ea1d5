"""Found columns that keep a zone's clocks, on both databases, against a model of Python's own zones."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.support import services
from tests.support.found import Found, served

# Whole hours, half an hour of summer time on the other side of the year, and half hours behind UTC.
ZONES = ("Europe/Berlin", "Australia/Lord_Howe", "America/St_Johns")
ASKED = ("UTC", "Europe/Berlin", "America/New_York")
PARTS = ("year", "quarter", "month", "week", "day", "weekday", "hour", "minute", "date")
ROWS, FILTERS, WRITES = 60, 120, 25
# Clocks were put forward and back in these years; days without a change are near as well.
YEARS = (2025, 2026)
LONG_AGO = datetime(1970, 1, 1)  # noqa: DTZ001 - naive, as all of the model

TYPES = """\
  thing:
    table: thing
    account: {none: shared}
    search: [name, at, other, utc_at]
    sort: [name]
    soft_delete: deleted_on
    fields: {utc_at: {timezone: UTC}}
  part:
    table: part
    account: {none: shared}
    parent: thing
    soft_delete: gone_on
    fields: {gone_on: {timezone: UTC}}
"""
DDL = {
    "mariadb": (
        """CREATE TABLE thing (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(20), at DATETIME(6), other DATETIME(6),
           utc_at DATETIME(6), created_on DATETIME(6) NULL, updated_on DATETIME NULL, deleted_on DATETIME(6),
           KEY (at))""",
        """CREATE TABLE part (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(20), thing_id INT,
           gone_on DATETIME(6), FOREIGN KEY (thing_id) REFERENCES thing (id))""",
    ),
    "sqlite": (
        """CREATE TABLE thing (id INTEGER PRIMARY KEY, name VARCHAR(20), at DATETIME, other TIMESTAMP, utc_at DATETIME,
           created_on DATETIME, updated_on DATETIME, deleted_on DATETIME)""",
        "CREATE INDEX thing_at ON thing (at)",
        """CREATE TABLE part (id INTEGER PRIMARY KEY, name VARCHAR(20), thing_id INTEGER REFERENCES thing (id),
           gone_on DATETIME)""",
    ),
}


# ---------------------------------------------------------------- the model


@dataclass
class Row:
    """A row: clocks as they are stored, and what they mean."""

    name: str
    at: datetime | None
    other: datetime | None
    utc_at: datetime | None

    def meant(self, zone: str) -> dict[str, datetime | None]:
        """The instants."""
        return {"at": meaning(self.at, zone), "other": meaning(self.other, zone), "utc_at": self.utc_at}


def shown(instant: datetime, zone: str) -> datetime:
    """What a zone's clocks show."""
    return instant.replace(tzinfo=UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0)


def meaning(clock: datetime | None, zone: str) -> datetime | None:
    """What a stored clock means: of two instants the first; of none the moment at which the clocks were put forward."""
    if clock is None:
        return None
    info = ZoneInfo(zone)
    instants = [clock.replace(tzinfo=info, fold=fold).astimezone(UTC).replace(tzinfo=None) for fold in (0, 1)]
    if shown(instants[0], zone) == clock:
        return instants[0]
    low, high = min(instants), max(instants)
    before = shown(low, zone) - low
    while high - low > timedelta(microseconds=1):
        middle = low + (high - low) / 2
        low, high = (middle, high) if shown(middle, zone) - middle == before else (low, middle)
    return high


def is_second(instant: datetime, zone: str) -> bool:
    """Whether the clocks have shown this before."""
    return meaning(shown(instant, zone), zone) != instant


def part_of(part: str, instant: datetime, zone: str) -> object:
    """A function of the search language."""
    local = shown(instant, zone)
    parts: dict[str, Callable[[], object]] = {
        "year": lambda: local.year, "quarter": lambda: (local.month + 2) // 3, "month": lambda: local.month,
        "week": lambda: local.isocalendar().week, "day": lambda: local.day, "weekday": local.isoweekday,
        "hour": lambda: local.hour, "minute": lambda: local.minute, "date": lambda: local.date().isoformat(),
    }  # fmt: skip
    return parts[part]()


COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda a, b: a == b, "lt": lambda a, b: a < b, "lte": lambda a, b: a <= b, "gt": lambda a, b: a > b,
    "gte": lambda a, b: a >= b,
}  # fmt: skip


# ---------------------------------------------------------------- drawing


@dataclass
class Case:
    """A filter, the zone it is asked in, and what it is true for."""

    filter: dict[str, Any]
    asked: str
    holds: Callable[[Row], bool]


class Dice:
    """Draws rows and filters of a zone, near the changes of its clocks and elsewhere."""

    def __init__(self, zone: str) -> None:
        self.zone = zone
        self.dice = random.Random(f"zoned {zone}")
        days = [datetime(year, 1, 1) + timedelta(days=day) for year, day in product(YEARS, range(365))]  # noqa: DTZ001
        offsets = [shown(day, zone) - day for day in days]
        self.days = [day for day, one, two in zip(days, offsets, offsets[1:], strict=False) if one != two]
        assert len(self.days) == 4

    def near(self) -> datetime:
        """A moment: on the days of changes one of few, so that different rows and operands meet."""
        if self.dice.random() < 0.2:
            return datetime(2026, 1, 1) + timedelta(minutes=30 * self.dice.randint(-3, 3))  # noqa: DTZ001
        moment = self.dice.choice(self.days) + timedelta(minutes=15 * self.dice.randint(0, 4 * 30))
        return moment + timedelta(microseconds=self.dice.choice([0, 0, 0, 1, -1, 500_000]))

    def second(self) -> datetime:
        """A moment at which the clocks show what they have shown before."""
        return next(moment for _ in range(100_000) if is_second(moment := self.near(), self.zone))

    def row(self, number: int) -> Row:
        """A row; its clocks may be ones that were never shown."""
        moments = [None if self.dice.random() < 0.1 else shown(self.near(), self.zone) for _ in range(2)]
        clocks = [one if one is None or self.dice.random() < 0.8 else self.near() for one in moments]
        return Row(f"n{number:02}", clocks[0], clocks[1], None if self.dice.random() < 0.1 else self.near())

    def case(self) -> Case:
        """A filter."""
        asked = self.dice.choice((*ASKED, self.zone))
        draw = self.dice.choice(
            [self.compared, self.compared, self.listed, self.between, self.day, self.part, self.field]
        )
        return draw(self.dice.choice(["at", "other"]), asked)

    def spell(self, instant: datetime, asked: str) -> str:
        """An operand for an instant: with an offset, or, where that says the same, without one."""
        local = shown(instant, asked)
        if self.dice.random() < 0.5 and meaning(local, asked) == instant:
            return local.isoformat()
        return f"{instant.isoformat()}Z"

    def compared(self, name: str, asked: str) -> Case:
        instant, word = self.near(), self.dice.choice([*COMPARE, "ne"])

        def holds(row: Row) -> bool:
            value = row.meant(self.zone)[name]
            if word == "ne":
                return value != instant
            return value is not None and COMPARE[word](value, instant)

        return Case({name: {word: self.spell(instant, asked)}}, asked, holds)

    def listed(self, name: str, asked: str) -> Case:
        instants, word = [self.near() for _ in range(self.dice.randint(1, 6))], self.dice.choice(["in", "nin"])

        def holds(row: Row) -> bool:
            return (row.meant(self.zone)[name] in instants) == (word == "in")

        return Case({name: {word: [self.spell(one, asked) for one in instants]}}, asked, holds)

    def between(self, name: str, asked: str) -> Case:
        low, high = sorted([self.near(), self.near()])

        def holds(row: Row) -> bool:
            value = row.meant(self.zone)[name]
            return value is not None and low <= value <= high

        return Case({name: {"between": [self.spell(low, asked), self.spell(high, asked)]}}, asked, holds)

    def day(self, name: str, asked: str) -> Case:
        day, word = self.near().date(), self.dice.choice([*COMPARE, "ne"])
        word_of = {"ne": "eq"}.get(word, word)

        def holds(row: Row) -> bool:
            value = row.meant(self.zone)[name]
            if value is None:
                return word == "ne"
            return COMPARE[word_of](shown(value, asked).date(), day) != (word == "ne")

        return Case({name: {word: day.isoformat()}}, asked, holds)

    def part(self, name: str, asked: str) -> Case:
        part, word = self.dice.choice(PARTS), self.dice.choice(list(COMPARE))
        operand = part_of(part, self.near(), asked)

        def holds(row: Row) -> bool:
            value = row.meant(self.zone)[name]
            return value is not None and COMPARE[word](part_of(part, value, asked), operand)

        return Case({f"{part}({name})": {word: operand}}, asked, holds)

    def field(self, name: str, asked: str) -> Case:
        other, word = self.dice.choice(["utc_at", "other"]), self.dice.choice(list(COMPARE))

        def holds(row: Row) -> bool:
            values = row.meant(self.zone)
            one, two = values["at"], values[other]
            return one is not None and two is not None and COMPARE[word](one, two)

        return Case({"at": {word: {"field": other}}}, asked, holds)


# ---------------------------------------------------------------- the tests


@dataclass
class World:
    """What is served, in a zone, with the rows that the model knows."""

    found: Found
    zone: str
    rows: list[Row]
    dice: Dice


@pytest.fixture(
    scope="module",
    params=[
        pytest.param((dialect, zone), marks=[pytest.mark.mariadb] if dialect == "mariadb" else [])
        for dialect in ("sqlite", "mariadb")
        for zone in ZONES
    ],
    ids="-".join,
)
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """An empty database and the zone of its columns."""
    dialect, zone = request.param
    if dialect == "sqlite":
        yield f"sqlite:///{tmp_path_factory.mktemp('zoned')}/zoned.db", zone
        return
    services.require_mariadb()
    with services.make_mariadb_database() as url:
        yield url, zone


@pytest.fixture(scope="module")
async def world(place: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    url, zone = place
    dice = Dice(zone)
    rows = [dice.row(number) for number in range(ROWS)]
    dialect = "sqlite" if url.startswith("sqlite") else "mariadb"
    values = ", ".join(
        f"('{row.name}', {literal(row.at)}, {literal(row.other)}, {literal(row.utc_at)})" for row in rows
    )
    statements = (*DDL[dialect], f"INSERT INTO thing (name, at, other, utc_at) VALUES {values}")
    folder = tmp_path_factory.mktemp("zoned")
    async with served(url, folder, TYPES, statements, head=f"timezone: {zone}\n") as found:
        yield World(found, zone, rows, dice)


def literal(clock: datetime | None) -> str:
    return "NULL" if clock is None else f"'{clock.isoformat(' ')}'"


def wire(instant: datetime | None) -> str | None:
    return None if instant is None else f"{instant.isoformat()}Z"


async def test_stored_clocks_are_read_as_what_they_mean(world: World) -> None:
    for row in await world.found.search("thing", {"name": {"starts_with": "n"}}, limit=ROWS):
        model = next(one for one in world.rows if one.name == row["name"])
        assert {name: row[name] for name in ("at", "other", "utc_at")} == {
            name: wire(value) for name, value in model.meant(world.zone).items()
        }, model


async def test_filters_find_what_the_model_finds(world: World) -> None:
    hits = 0
    for _ in range(FILTERS):
        case = world.dice.case()
        expected = sorted(row.name for row in world.rows if case.holds(row))
        both = {"and": [case.filter, {"name": {"starts_with": "n"}}]}
        assert await world.found.names("thing", both, timezone=case.asked, limit=ROWS) == " ".join(expected), case
        rest = {"and": [{"not": case.filter}, {"name": {"starts_with": "n"}}]}
        found = await world.found.names("thing", rest, timezone=case.asked, limit=ROWS)
        assert found.split() == [row.name for row in world.rows if row.name not in expected], case
        hits += 0 < len(expected) < ROWS
    assert hits > FILTERS / 3


async def test_pages_follow_the_instants_forward_and_back(world: World) -> None:
    def key(row: Row) -> tuple[bool, datetime]:
        value = row.meant(world.zone)["at"]
        return value is not None, value or LONG_AGO

    meant = {row.name: key(row) for row in world.rows}
    only = {"name": {"starts_with": "n"}}
    forward = (await world.found.walk("thing", "at", only, limit=7)).split()
    assert [meant[name] for name in forward] == sorted(meant.values())
    backward = (await world.found.walk("thing", "-at", only, limit=7)).split()
    assert [meant[name] for name in backward] == sorted(meant.values(), reverse=True)
    assert sorted(forward) == sorted(backward) == sorted(meant)


async def test_what_is_written_is_what_is_read(world: World) -> None:
    for number in range(WRITES):
        instant = world.dice.near() if number else world.dice.second()
        body = {"name": f"w{number}", "at": wire(instant), "utc_at": wire(instant)}
        made = await world.found.write("POST", "thing/", body)
        changed = await world.found.write("PATCH", f"thing/{made['id']}", {"other": wire(instant)})
        read = instant if not is_second(instant, world.zone) else meaning(shown(instant, world.zone), world.zone)
        assert made["at"] == changed["at"] == changed["other"] == wire(read)
        assert changed["utc_at"] == wire(instant)
        assert number or read != instant
        stored = await world.found.stored("thing", "at", f"w{number}")
        assert str(stored) == str(shown(instant, world.zone))
        # What was read can be sent back, read-only fields included.
        again = await world.found.write("PATCH", f"thing/{made['id']}", {**changed, "name": f"w{number}"})
        assert again["at"] == changed["at"]
        assert await world.found.names("thing", {"id": made["id"], "at": changed["at"]}) == f"w{number}"


async def test_times_that_the_engine_writes_are_the_zones_clocks(world: World) -> None:
    before = datetime.now(UTC).replace(tzinfo=None, microsecond=0)
    made = await world.found.write("POST", "thing/", {"name": "now"})
    changed = await world.found.write("PATCH", f"thing/{made['id']}", {"at": "2026-06-01T00:00:00Z"})
    assert changed["created_on"] == made["created_on"]
    for name in ("created_on", "updated_on"):
        told = datetime.fromisoformat(changed[name]).replace(tzinfo=None)
        assert before <= told <= before + timedelta(minutes=2)
        stored = datetime.fromisoformat(str(await world.found.stored("thing", name, "now")))
        assert stored == shown(told, world.zone)
    around = {"created_on": {"gte": "$now(-2 minutes)", "lte": "$now"}, "name": "now"}
    assert await world.found.names("thing", around) == "now"
    assert await world.found.names("thing", {"created_on": "$today", "name": "now"}, timezone=world.zone) == "now"


async def test_a_restore_finds_children_whose_column_is_in_another_zone(world: World) -> None:
    client = world.found.client
    thing = await world.found.write("POST", "thing/", {"name": "parent"})
    parts = [await world.found.write("POST", "part/", {"name": name, "thing_id": thing["id"]}) for name in "ab"]
    assert (await client.send("DELETE", f"/v3/crud/part/{parts[0]['id']}", None)).status == 204
    assert (await client.send("DELETE", f"/v3/crud/thing/{thing['id']}", None)).status == 204
    assert (await client.get(f"/v3/crud/part/{parts[1]['id']}")).status == 404
    assert (await client.send("POST", f"/v3/crud/thing/{thing['id']}/restore", None)).status == 200
    assert (await client.get(f"/v3/crud/part/{parts[1]['id']}")).status == 200
    assert (await client.get(f"/v3/crud/part/{parts[0]['id']}")).status == 404


async def test_a_year_out_of_range_is_refused(world: World) -> None:
    ends = ["9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z"]
    far = ends[0] if shown(datetime(2026, 1, 1), world.zone) > datetime(2026, 1, 1) else ends[1]  # noqa: DTZ001
    reply = await world.found.client.send("POST", "/v3/crud/thing/", {"name": "far", "at": far})
    assert reply.status == 422, str(reply)
    assert reply.json["errors"][0]["pointer"] == "/at"


async def test_columns_that_migrate_adds_stay_utc(tmp_path: Path, database_url: str) -> None:
    dialect = "sqlite" if database_url.startswith("sqlite") else "mariadb"
    types = TYPES.replace("utc_at: {timezone: UTC}", "added: {type: datetime}").replace(", utc_at]", "]")
    fields = "{name: {type: string(20)}, at: {type: datetime}}"
    types += f"  fresh: {{table: fresh, account: {{none: shared}}, search: [at], fields: {fields}}}\n"
    async with served(database_url, tmp_path, types, DDL[dialect], head="timezone: Europe/Berlin\n") as found:
        instant = "2026-06-01T12:00:00Z"
        await found.write("POST", "thing/", {"name": "a", "added": instant, "at": instant})
        await found.write("POST", "fresh/", {"name": "a", "at": instant})
        assert str(await found.stored("thing", "added", "a"))[:19] == "2026-06-01 12:00:00"
        assert str(await found.stored("thing", "at", "a"))[:19] == "2026-06-01 14:00:00"
        assert str(await found.stored("fresh", "at", "a"))[:19] == "2026-06-01 12:00:00"
        assert await found.names("fresh", {"at": instant}) == "a"


def test_the_model_is_a_model() -> None:
    twice = datetime(2026, 10, 25, 2, 30)  # noqa: DTZ001
    assert meaning(twice, "Europe/Berlin") == datetime(2026, 10, 25, 0, 30)  # noqa: DTZ001
    assert meaning(datetime(2026, 3, 29, 2, 30), "Europe/Berlin") == datetime(2026, 3, 29, 1)  # noqa: DTZ001
    assert part_of("date", datetime(2026, 1, 1), "America/New_York") == date(2025, 12, 31).isoformat()  # noqa: DTZ001
