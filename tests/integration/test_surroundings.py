"""The doctor looks at what a server stands on besides rows: the database's clock, the cache, the storage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.cli.surroundings import look_around
from engine.io.structure import Structure, open_structure
from engine.registry.load import load_registry_text
from engine.registry.reflection import ReflectedColumn, ReflectedDatabase, ReflectedTable
from engine.sql.doctor import Probe
from tests.support.serving import ROOT, make_settings

FOUND = ReflectedDatabase(
    dialect="mariadb",
    tables={
        "thing": ReflectedTable(
            name="thing",
            columns={
                "id": ReflectedColumn(name="id", type="int(11)", kind="integer", bits=32, auto_increment=True),
                "at": ReflectedColumn(name="at", type="datetime", kind="datetime"),
            },
            primary_key=("id",),
        )
    },
)
REGISTRY = "version: 1\ntimezone: Europe/Berlin\ntypes:\n  thing: {table: thing, account: {none: shared}}\n"


async def look(url: str, structure: Structure, **overrides: Any) -> tuple[dict[str, str], list[str]]:
    """What is wrong, by what it is about, and the lines to read."""
    registry = load_registry_text(REGISTRY, FOUND).target
    assert registry is not None
    wrong: dict[str, str] = {}
    lines: list[str] = []
    async for seen in look_around(make_settings(url, ROOT / "resources.yaml", **overrides), structure, registry):
        if isinstance(seen, Probe):
            wrong[seen.subject] = seen.complaint
        else:
            lines.append(seen)
    return wrong, lines


async def test_where_all_is_well_each_says_a_line(database_url: str, redis_url: str, tmp_path: Path) -> None:
    async with open_structure(database_url) as structure:
        wrong, lines = await look(
            database_url, structure, redis_url=redis_url, storage_url=f"file:{tmp_path}", redis_timeout_ms=1_000
        )
    assert wrong == {}
    assert [line.partition(":")[0] for line in lines] == ["clock", "clock", "cache", "storage"]
    assert lines[1] == "clock: in Europe/Berlin are thing.at; all other times are UTC"
    assert "Redis answers in" in lines[2]


async def test_a_clock_that_is_a_minute_off_is_wrong(mariadb_url: str, tmp_path: Path) -> None:
    async with open_structure(mariadb_url) as structure:
        for away, word in ((60, "ahead of"), (-60, "behind")):
            await structure.execute(f"SET timestamp = UNIX_TIMESTAMP(SYSDATE(6)) + {away}")
            wrong, _ = await look(mariadb_url, structure, storage_url=f"file:{tmp_path}")
            assert wrong["clock"].startswith("the database is ")
            assert wrong["clock"].endswith(f" s {word} this machine")


async def test_redis_that_does_not_answer_and_storage_that_takes_nothing_are_wrong(
    sqlite_url: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no folder")
    away = {"redis_url": "redis://127.0.0.1:1/0", "storage_url": f"file:{tmp_path}/file/blobs"}
    async with open_structure(sqlite_url) as structure:
        wrong, lines = await look(sqlite_url, structure, **away)
    assert wrong["cache"] == "Redis answered 0 of 5 times within 50 ms"
    assert wrong["storage"].startswith("nothing can be stored: ")
    assert lines[0] == "clock: SQLite goes by this machine's"
