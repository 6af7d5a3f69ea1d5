"""Writes to tables that somebody else made: no version, coarse times, other spellings, names of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.errors import ForeignKeyInUse, StaleVersion, ValidationFailed
from engine.io.reflect import reflect
from engine.registry.load import load_registry
from engine.registry.resource import Registry
from engine.render.headers import object_etag
from engine.render.rows import encode_json
from tests.support.databases import opened
from tests.support.writing import Engine, running, shown

DDL = {
    "sqlite": (
        "CREATE TABLE Artist (ArtistId INTEGER PRIMARY KEY, Name NVARCHAR(20) NOT NULL, id_random CHAR(22) UNIQUE)",
        "CREATE TABLE Track (TrackId INTEGER PRIMARY KEY, ArtistId INTEGER REFERENCES Artist (ArtistId),"
        " Title NVARCHAR(20) NOT NULL, Price NUMERIC(10,2), Bought DATETIME, id_random CHAR(22) UNIQUE)",
    ),
    "mariadb": (
        "CREATE TABLE Artist (ArtistId INT AUTO_INCREMENT PRIMARY KEY, Name VARCHAR(20) NOT NULL,"
        " id_random CHAR(22) UNIQUE) CHARACTER SET latin1",
        "CREATE TABLE Track (TrackId INT AUTO_INCREMENT PRIMARY KEY, ArtistId INT, Title VARCHAR(20) NOT NULL,"
        " Price NUMERIC(10,2), Bought DATETIME, id_random CHAR(22) UNIQUE,"
        " FOREIGN KEY (ArtistId) REFERENCES Artist (ArtistId)) CHARACTER SET latin1",
    ),
}
REGISTRY = """
version: 1
types:
  artist:
    table: Artist
    account: {none: shared}
    fields:
      name: {column: Name}
  track:
    table: Track
    account: {none: shared}
    parent: {type: artist, field: artist_id, segment: track, on_delete: restrict}
    fields:
      artist_id: {column: ArtistId}
      title: {column: Title}
      price: {column: Price, type: "decimal(10,2)"}
      bought: {column: Bought, type: datetime}
"""


async def load(url: str, tmp_path: Path) -> Registry:
    async with opened(url) as database:
        for statement in DDL[database.dialect]:
            await database.execute(statement)
    path = tmp_path / "resources.yaml"
    path.write_text(REGISTRY)
    loaded = load_registry(path, await reflect(url))
    assert loaded.registry is not None, loaded.findings
    return loaded.registry


async def test_found_tables_are_written_and_answered_as_they_are_read(database_url: str, tmp_path: Path) -> None:
    registry = await load(database_url, tmp_path)
    async with running(database_url, registry=registry) as engine:
        who = engine.context(operator=True)

        async def patch(public_id: str, body: dict[str, Any], **more: Any) -> dict[str, Any]:
            return await engine.patch("track", public_id, body, who, **more)

        artist = await engine.make("artist", {"name": "Åse"}, who)
        body = {"title": "T", "price": "0.99", "bought": "2026-02-11T14:03:00.400000Z"}
        outcome = await engine.create("track", body, who, under=("artist", artist))
        assert shown(outcome) == await engine.get("track", outcome.public_id, who)
        assert shown(outcome)["price"] == "0.99"
        changed = await patch(outcome.public_id, {"title": "U", "bought": "2026-02-12T00:00:00.400000Z", "price": "1"})
        assert changed == await engine.get("track", outcome.public_id, who)
        assert (changed["price"], changed["artist_id"]) == ("1.00", artist)
        assert (await patch(outcome.public_id, {"artist_id": artist}))["title"] == "U"
        with pytest.raises(StaleVersion):
            await patch(outcome.public_id, {"title": "V"}, if_match='"00000000-00000000"')
        body = encode_json({"data": await engine.get("track", outcome.public_id, who), "meta": {}})
        assert (await patch(outcome.public_id, {"title": "V"}, if_match=object_etag(None, body)))["title"] == "V"
        with pytest.raises(ForeignKeyInUse):
            await engine.delete("artist", artist, who)
        await engine.delete("track", outcome.public_id, who)
        await engine.delete("artist", artist, who)
        assert await engine.count("Track") == 0


async def test_a_change_by_others_is_noticed_without_a_version(database_url: str, tmp_path: Path) -> None:
    registry = await load(database_url, tmp_path)
    async with running(database_url, registry=registry) as engine:
        who = engine.context(operator=True)
        artist = await engine.make("artist", {"name": "A"}, who)
        changes = await _always_change(engine)
        # The first attempt is lost; for the second the row is held, and nobody else is faster.
        await engine.patch("artist", artist, {"name": "B"}, who)
        assert changes
        assert (await engine.get("artist", artist, who))["name"] == "B"


async def test_a_value_that_the_charset_lacks_is_refused(mariadb_url: str, tmp_path: Path) -> None:
    registry = await load(mariadb_url, tmp_path)
    async with running(mariadb_url, registry=registry) as engine:
        who = engine.context(operator=True)
        with pytest.raises(ValidationFailed) as refused:
            await engine.create("artist", {"name": "😀"}, who)
        assert [(item.code, item.pointer) for item in refused.value.errors] == [("out-of-range", "/name")]


async def _always_change(engine: Engine) -> list[int]:
    """Have somebody else change the row behind every read of it outside of a transaction; how often it came to that."""
    original = engine.database.fetch
    changes: list[int] = []

    async def fetch(sql: str, binds: Any = (), *, point: bool = False) -> Any:
        rows = await original(sql, binds, point=point)
        changes.append(await engine.database.execute(f"UPDATE Artist SET Name = 'other {len(changes)}'"))
        return rows

    engine.database.fetch = fetch  # type: ignore[method-assign]
    return changes


async def test_a_zero_date_is_written_over_without_a_version(mariadb_url: str, tmp_path: Path) -> None:
    async with opened(mariadb_url) as database:
        await database.execute(
            "CREATE TABLE Visit (id INT AUTO_INCREMENT PRIMARY KEY, day DATE NOT NULL DEFAULT '0000-00-00',"
            " score FLOAT, id_random CHAR(22) UNIQUE) CHARACTER SET latin1"
        )
        await database.execute("INSERT INTO Visit (id_random, score) VALUES ('aaaaaaaaaaaaaaaaaaaaaa', 16777218)")
    path = tmp_path / "resources.yaml"
    path.write_text("version: 1\ntypes:\n  visit: {table: Visit, account: {none: shared}}\n")
    loaded = load_registry(path, await reflect(mariadb_url))
    assert loaded.registry is not None, loaded.findings
    async with running(mariadb_url, registry=loaded.registry) as engine:
        who = engine.context(operator=True)
        public_id = "a" * 22
        assert (await engine.get("visit", public_id, who))["day"] is None
        changed = await engine.patch("visit", public_id, {"day": "2026-02-11", "score": 1.5}, who)
        assert changed == await engine.get("visit", public_id, who)
        assert (changed["day"], changed["score"]) == ("2026-02-11", 1.5)
