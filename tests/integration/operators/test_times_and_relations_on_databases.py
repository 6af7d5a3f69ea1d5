"""Numbers, times, functions, time zones, fields as operands and relations, on SQLite and on MariaDB."""

from __future__ import annotations

import unicodedata
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from engine.operators import fold
from engine.operators.dates import zone_steps
from engine.operators.text import is_word_char
from tests.support.conditions import World, make_registry
from tests.support.databases import opened


def utc(*parts: int) -> datetime:
    """A stored instant: naive, UTC."""
    return datetime(*parts, tzinfo=UTC).replace(tzinfo=None)  # type: ignore[misc, arg-type]


ZONES = ["UTC", "Europe/Berlin", "Australia/Lord_Howe", "Africa/Casablanca"]
INSTANTS = [
    utc(2026, 1, 1), utc(2025, 12, 31, 23, 30), utc(2026, 3, 29, 1), utc(2026, 3, 29, 0, 59, 59),
    utc(2026, 10, 25, 0, 30), utc(2026, 10, 25, 1, 30), utc(1970, 1, 1), utc(1955, 6, 15, 12),
    utc(2024, 12, 30, 5), utc(2021, 1, 3, 22, 59, 59, 999999), utc(2020, 2, 29, 6, 7, 8, 9),
    utc(2099, 7, 1), utc(1901, 2, 3),
]  # fmt: skip

PARTS = {
    "year": lambda local: local.year,
    "quarter": lambda local: (local.month + 2) // 3,
    "month": lambda local: local.month,
    "week": lambda local: local.isocalendar().week,
    "day": lambda local: local.day,
    "weekday": lambda local: local.isoweekday(),
    "hour": lambda local: local.hour,
    "minute": lambda local: local.minute,
}


async def test_functions_are_taken_in_the_time_zone_of_the_search(database_url: str) -> None:
    async with opened(database_url) as database:
        world = World(make_registry(), database)
        await world.create()
        ids = {await world.insert("journal", seen_on=instant): instant for instant in INSTANTS}
        null = await world.insert("journal")
        wrong = []
        for zone in ZONES:
            locals_ = {row: instant.replace(tzinfo=UTC).astimezone(ZoneInfo(zone)) for row, instant in ids.items()}
            for function, part in PARTS.items():
                for value in {part(local) for local in locals_.values()}:
                    expected = {row for row, local in locals_.items() if part(local) == value}
                    asked = {f"{function}(seen_on)": value}
                    found = set(await world.find(asked, timezone=zone))
                    rest = set(await world.find({"not": asked}, timezone=zone))
                    if found != expected or rest != {*ids, null} - expected:
                        wrong.append((zone, function, value, [ids[row] for row in found ^ expected]))
            for day in {local.date() for local in locals_.values()}:
                expected = {row for row, local in locals_.items() if local.date() == day}
                for asked in ({"date(seen_on)": day.isoformat()}, {"seen_on": day.isoformat()}):
                    if set(await world.find(asked, timezone=zone)) != expected:
                        wrong.append((zone, asked))
        assert not wrong


async def test_days_stand_for_their_first_or_last_instant(database_url: str) -> None:
    async with opened(database_url) as database:
        world = World(make_registry(), database)
        await world.create()
        moments = [
            utc(2026, 5, 3, 21, 59, 59),
            utc(2026, 5, 3, 22),
            utc(2026, 5, 4, 21, 59),
            utc(2026, 5, 4, 22),
        ]
        ids = [await world.insert("journal", seen_on=moment) for moment in moments]
        null = await world.insert("journal")
        day = "2026-05-04"
        for asked, expected in [
            ({"eq": day}, [1, 2]), ({"ne": day}, [0, 3, 4]), ({"lt": day}, [0]), ({"lte": day}, [0, 1, 2]),
            ({"gt": day}, [3]), ({"gte": day}, [1, 2, 3]), ({"between": [day, day]}, [1, 2]),
            ({"in": [day, "2026-05-04T22:00:00Z"]}, [1, 2, 3]),
            ({"nin": [day, "2026-05-04T22:00:00Z"]}, [0, 4]), ({"gte": "2026-05-05T00:00:00"}, [3]),
        ]:  # fmt: skip
            rows = [*ids, null]
            assert await world.find({"seen_on": asked}, timezone="Europe/Berlin") == [
                rows[place] for place in expected
            ], asked


async def test_numbers_and_plain_times_compare_by_value(database_url: str) -> None:
    async with opened(database_url) as database:
        world = World(make_registry(), database)
        await world.create()
        one = await world.insert(
            "journal", n=5, big=2**62 + 1, price=Decimal("9.50"), cost=Decimal("9.5000"), ratio=0.1, flag=True,
            day=date(2026, 2, 3), at=time(9, 30), status="open",
        )  # fmt: skip
        two = await world.insert(
            "journal", n=-7, big=-(2**62), price=Decimal("10.00"), cost=Decimal("9.9999"), ratio=2.5, flag=False,
            day=date(2025, 12, 31), at=time(23, 59, 59, 999999), status="closed",
        )  # fmt: skip
        null = await world.insert("journal")
        for asked, expected in [
            ({"n": {"between": [-7, 4]}}, [two]),
            ({"n": {"in": [5, 6, 7]}}, [one]),
            ({"big": 2**62 + 1}, [one]),
            ({"big": {"lt": 2**62 + 1}}, [two]),
            ({"price": "9.50"}, [one]),
            ({"price": "9.5"}, [one]),
            ({"price": {"gt": "9.99"}}, [two]),
            ({"price": {"between": ["9.50", "10.00"]}}, [one, two]),
            ({"price": {"eq": {"field": "cost"}}}, [one]),
            ({"price": {"ne": {"field": "cost"}}}, [two, null]),
            ({"price": {"gt": {"field": "cost"}}}, [two]),
            ({"ratio": 0.1}, [one]),
            ({"ratio": {"gte": 1}}, [two]),
            ({"flag": True}, [one]),
            ({"flag": {"ne": True}}, [two, null]),
            ({"day": {"lt": "2026-01-01"}}, [two]),
            ({"day": "2026-02-03"}, [one]),
            ({"year(day)": 2026}, [one]),
            ({"week(day)": {"gte": 6}}, [one]),
            ({"at": {"gte": "23:59:59"}}, [two]),
            ({"at": "09:30:00"}, [one]),
            ({"hour(at)": 9}, [one]),
            ({"status": "open"}, [one]),
            ({"status": {"nin": ["open"]}}, [two, null]),
        ]:
            assert await world.find(asked) == expected, asked


async def test_relations_are_asked_as_the_grammar_says(database_url: str) -> None:
    async with opened(database_url) as database:
        world = World(make_registry(), database)
        await world.create()
        ann = await world.insert("person", name="Ann", age=40)
        bob = await world.insert("person", name="Bob")
        one = await world.insert("journal", title="Ann", person_id=ann)
        two = await world.insert("journal", title="two", person_id=bob)
        three = await world.insert("journal", title="three")
        for journal, title, n in [(one, "a", 1), (one, "b", 2), (one, "c", 3), (two, "a", 2), (two, "b", None)]:
            await world.insert("entry", journal_id=journal, title=title, n=n)
        public = {row: f"p{row:021d}" for row in (ann, bob)}
        everything = {one, two, three}
        for asked, expected in [
            ({"person.name": "Ann"}, [one]),
            ({"person": {"name": "Ann"}}, [one]),
            ({"person": {"name": {"ne": "Ann"}}}, [two, three]),
            ({"person.age": None}, [two, three]),
            ({"person": None}, [three]),
            ({"person": {"null": False, "age": None}}, [two]),
            ({"person": {}}, [one, two, three]),
            ({"person_id": public[ann]}, [one]),
            ({"person.id": public[ann]}, [one]),
            ({"person": {"id": {"ne": public[ann]}}}, [two, three]),
            ({"person_id": {"in": [public[ann], "x" * 22]}}, [one]),
            ({"person_id": None}, [three]),
            ({"title": {"eq": {"field": "person.name"}}}, [one]),
            ({"title": {"ieq": {"field": "person.name"}}}, [one]),
            ({"title": {"ne": {"field": "person.name"}}}, [two, three]),
            ({"entry": {}}, [one, two]),
            ({"entry": {"title": "a", "n": 2}}, [two]),
            ({"entry": {"any": {"title": "a"}}}, [one, two]),
            ({"entry": {"any": {"title": "a"}, "none": {"title": "c"}}}, [two]),
            ({"entry": {"all": {"n": {"gte": 1}}}}, [one, three]),
            ({"entry": {"all": {}}}, [one, two, three]),
            ({"entry": {"none": {}}}, [three]),
            ({"entry": {"count": {"gte": 2}}}, [one, two]),
            ({"entry": {"count": 0}}, [three]),
            ({"entry": {"count": {"gte": 2, "where": {"n": {"gte": 2}}}}}, [one]),
            ({"entry": {"count": {"in": [0, 3]}}}, [one, three]),
            ({"entry": {"count": {"nbetween": [1, 2]}}}, [one, three]),
            ({"entry": {"any": {"journal.person.name": "Bob"}}}, [two]),
            ({"entry": {"any": {"journal": {"entry": {"any": {"title": "c"}}}}}}, [one]),
            ({"or": [{"person.name": "Bob"}, {"not": {"entry": {"any": {}}}}]}, [two, three]),
            ({"and": [], "or": [{"title": "two"}, {"or": []}]}, [two]),
            ({"person.name": {"or": [{"eq": "Bob"}, {"null": True}], "not": {"eq": "Zoe"}}}, [two, three]),
        ]:
            assert await world.find(asked) == expected, asked
            assert set(await world.find({"not": asked})) == everything - set(expected), asked


async def test_every_character_folds_alike_in_python_and_in_the_database(database_url: str) -> None:
    """Characters that Python's own Unicode knows; a database may know more."""
    letters = [chr(code) for code in range(1, 0x110000) if not 0xD800 <= code < 0xE000]
    mark = "?" if database_url.startswith("sqlite") else "%s"
    if mark == "?":
        expr = f"aether_fold({mark})"
    else:
        expr = f"(LOWER(CONVERT({mark} USING utf8mb4) COLLATE utf8mb4_uca1400_as_ci) COLLATE utf8mb4_nopad_bin)"
    wrong = []
    async with opened(database_url) as database:
        for start in range(0, len(letters), 20_000):
            part = letters[start : start + 20_000]
            # One character and a letter behind each, so that context would show.
            text = "x".join(part)
            (row,) = await database.fetch(f"SELECT {expr}", [text])
            if str(row[0]) != fold(text):
                got, expected = str(row[0]).split("x"), fold(text).split("x")
                wrong += [
                    (char, one) for char, one, other in zip(part, got, expected, strict=False)
                    if one != other and unicodedata.category(char) != "Cn"
                ]  # fmt: skip
    assert not wrong


@pytest.mark.mariadb
async def test_mariadb_and_python_agree_on_what_a_word_is_made_of(mariadb_url: str) -> None:
    letters = [chr(code) for code in range(1, 0x110000) if not 0xD800 <= code < 0xE000]
    known = [char for char in letters if unicodedata.category(char) not in ("Cn", "Co")]
    words = {char for char in known if is_word_char(char)}
    async with opened(mariadb_url) as database:
        wrong = []
        for start in range(0, len(known), 10_000):
            text = "".join(known[start : start + 10_000])
            (row,) = await database.fetch(
                "SELECT REGEXP_REPLACE(%s COLLATE utf8mb4_nopad_bin, %s, '')", [text, r"[^\p{L}\p{M}\p{Nd}_]"]
            )
            wrong += sorted(set(str(row[0])) ^ {char for char in text if char in words})
    assert not wrong


def test_the_offsets_of_a_zone_are_those_of_python() -> None:
    for zone in ZONES:
        starts, offsets = zone_steps(zone)
        info = ZoneInfo(zone)
        for place, start in enumerate(starts):
            for second, index in ((start - 1, place), (start, place + 1)):
                moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=second)
                offset = moment.astimezone(info).utcoffset()
                assert offset is not None
                assert int(offset.total_seconds()) == offsets[index], (zone, moment)
