"""Random filters over random rows: both databases find the same, and a filter and its negation every row once."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, time
from decimal import Decimal

import pytest

from engine.errors import ValidationFailed
from tests.support.conditions import World, make_registry
from tests.support.databases import opened

TEXTS = ["", " ", "a", "A", "a ", "ab", "Ab", "é", "E\u0301", "ß", "SS", "%", "a_b", "x y", "İ", "😀", None]
MOMENTS = [
    datetime(2026, 1, 1, tzinfo=UTC),
    datetime(2025, 12, 31, 23, 59, 59, 999999, tzinfo=UTC), datetime(2026, 3, 29, 1, tzinfo=UTC),
    datetime(2024, 2, 29, 12, 30, tzinfo=UTC),
]  # fmt: skip
DOCUMENTS = [["a", 1], ["b"], {"k": "a"}, {"k": 1.5, "l": [1, "a"]}, [], {}, "a", 1, True, None, {"k": None}]
PATTERNS = ["eq", "ne", "ieq", "ine", "contains", "icontains", "starts_with", "istarts_with", "ends_with", "iends_with",
            "like", "ilike", "search", "lt", "lte", "gt", "gte", "ncontains", "nlike"]  # fmt: skip
ORDERED = ["eq", "ne", "lt", "lte", "gt", "gte"]
PARTS = ["year", "month", "week", "weekday", "hour"]
PLACES = ["k", "l[0]", "l[1]", "[0]"]
FILTERS = 150


def draw_row(dice: random.Random) -> dict[str, object]:
    values = {
        "title": dice.choice(TEXTS),
        "body": dice.choice(TEXTS),
        "n": dice.choice([None, -1, 0, 1, 5]),
        "price": dice.choice([None, Decimal("1.00"), Decimal("1.50")]),
        "cost": dice.choice([None, Decimal("1.0000"), Decimal("1.5001")]),
        "ratio": dice.choice([None, 0.5, -2.0]),
        "flag": dice.choice([None, True, False]),
        "day": dice.choice([None, date(2026, 1, 1), date(2024, 2, 29)]),
        "at": dice.choice([None, time(0), time(23, 59, 59)]),
        "status": dice.choice([None, "open", "closed"]),
        "tags": dice.choice(DOCUMENTS),
    }
    moment = dice.choice([None, *MOMENTS])
    return {**values, "seen_on": None if moment is None else moment.replace(tzinfo=None)}


def draw_filter(dice: random.Random, depth: int = 3) -> dict[str, object]:
    if depth and dice.random() < 0.5:
        word = dice.choice(["and", "or", "not"])
        if word == "not":
            return {"not": draw_filter(dice, depth - 1)}
        return {word: [draw_filter(dice, depth - 1) for _ in range(dice.randint(0, 3))]}
    text = dice.choice([one for one in TEXTS if one is not None])
    field = dice.choice(["title", "body", "person.name"])
    return dice.choice(
        [
            {field: {dice.choice(PATTERNS): text}},
            {field: {"in": dice.sample(["a", "A", "é", "", " "], 3)}},
            {field: {"null": dice.random() < 0.5}},
            {field: {"empty": dice.random() < 0.5}},
            {field: {"between": ["A", "b"]}},
            {field: {dice.choice(["eq", "ne", "lt", "ieq"]): {"field": dice.choice(["title", "body"])}}},
            {f"lower({field})": text},
            {f"length({field})": {dice.choice(ORDERED): dice.randint(0, 2)}},
            {dice.choice(["n", "person.age"]): {dice.choice(ORDERED): dice.randint(-1, 5)}},
            {"n": {"nin": [1, 5]}},
            {"price": {dice.choice(ORDERED): {"field": "cost"}}},
            {"price": {dice.choice(ORDERED): "1.50"}},
            {"ratio": {dice.choice(ORDERED): 0.5}},
            {"flag": {dice.choice(["eq", "ne"]): True}},
            {"status": {"in": ["open"]}},
            {"day": {dice.choice(ORDERED): "2026-01-01"}},
            {"at": {dice.choice(ORDERED): "23:59:59"}},
            {"seen_on": {dice.choice(ORDERED): dice.choice(["2026-01-01", "2025-12-31T23:59:59Z", "$now"])}},
            {f"{dice.choice(PARTS)}(seen_on)": {dice.choice(ORDERED): dice.randint(1, 12)}},
            {"year(seen_on)": {dice.choice([*ORDERED, "nin"]): 2026} if dice.random() < 0.5 else [2026, 2024]},
            {"tags": {dice.choice(["has", "has_key"]): "a"}},
            {"tags": {dice.choice(["has_any", "has_all"]): ["a", 1]}},
            {"tags": {"length": {dice.choice(ORDERED[2:]): 1}}},
            {"tags": {dice.choice(["eq", "ne"]): dice.choice([["a", 1], {}, "a", True, 1])}},
            {"tags": {"empty": True}},
            {"tags": {"json": {dice.choice(PLACES): {dice.choice([*ORDERED, "nin"]): dice.choice(["a", 1])}}}},
            {"person": {"null": dice.random() < 0.5}},
            {"entry": {dice.choice(["any", "all", "none"]): {"title": {dice.choice(PATTERNS): text}}}},
            {"entry": {"any": {"n": {"gt": 0}, "journal.title": text}}},
            {"entry": {"count": {dice.choice([*ORDERED, "nbetween"]): dice.randint(0, 2), "where": {"n": {"gte": 1}}}}},
        ]
    )  # fmt: skip


async def fill(world: World, dice: random.Random) -> set[int]:
    await world.create()
    people = [
        None,
        *[await world.insert("person", name=dice.choice(TEXTS), age=dice.choice([None, 1, 5])) for _ in range(6)],
    ]
    journals = [await world.insert("journal", person_id=dice.choice(people), **draw_row(dice)) for _ in range(60)]
    for _ in range(60):
        values = {"title": dice.choice(TEXTS), "n": dice.choice([None, 0, 1, 2])}
        await world.insert("entry", journal_id=dice.choice(journals), **values)
    return set(journals)


@pytest.mark.mariadb
@pytest.mark.parametrize("seed", [1, 2])
async def test_both_databases_find_the_same_and_a_negation_the_rest(
    sqlite_url: str, mariadb_url: str, seed: int
) -> None:
    async with opened(sqlite_url) as one, opened(mariadb_url) as other:
        registry = make_registry()
        small, large = World(registry, one), World(registry, other)
        every = await fill(small, random.Random(seed))
        assert every == await fill(large, random.Random(seed))
        dice = random.Random(seed)
        asked = 0
        while asked < FILTERS:
            raw = draw_filter(dice)
            zone = dice.choice(["UTC", "Europe/Berlin"])
            try:
                found = await small.find(raw, timezone=zone)
            except ValidationFailed:
                continue
            asked += 1
            assert found == await large.find(raw, timezone=zone), (raw, zone)
            rest = await small.find({"not": raw}, timezone=zone)
            assert sorted(found + rest) == sorted(every), (raw, zone)
            assert rest == await large.find({"not": raw}, timezone=zone), (raw, zone)


async def test_the_deepest_filter_allowed_runs(database_url: str) -> None:
    """SQLite's parser gives up on deep nesting; ours must stay below that."""
    async with opened(database_url) as database:
        world = World(make_registry(), database)
        await world.create()
        await world.insert("journal", title="x")
        raw: object = {"title": {"ne": "x"}, "tags": {"json": {"a[0].b[0]": {"gt": 5}}}}
        for level in range(5):
            word = "or" if level % 2 else "and"
            raw = {word: [raw, {"title": {"icontains": "x"}}, {"not": {"title": {"iends_with": "q"}}}]}
        for relation in ("journal", "entry", "journal", "entry"):
            raw = {relation: raw}
        await world.find(raw)
        wide = {"or": [{"title": {"nin": [f"{index}", "b"]}} for index in range(200)]}
        assert len(await world.find(wide)) == 1
