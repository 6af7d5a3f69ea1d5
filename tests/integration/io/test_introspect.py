"""A database of somebody else's, proposed as a registry, migrated, and served by that registry from then on."""

from __future__ import annotations

import asyncio

import pytest

from engine.io.introspect import introspect
from engine.io.migrate import migrate, pending
from engine.io.reflect import reflect
from engine.io.structure import open_structure
from engine.registry.load import load_registry_text
from engine.registry.reflection import ReflectedDatabase
from engine.registry.resource import Registry
from tests.support import chinook

COUNTS = {"Track": 3503, "PlaylistTrack": 8715, "InvoiceLine": 2240, "Artist": 275, "Employee": 8}
# What a user does with the proposal: the parents that the database could not tell. Two lines.
EDITS = {
    "parent: {type: media_type, on_delete: restrict}": "parent: {type: album, on_delete: restrict}",
    "# no parent proposed; candidates: employee by support_rep_id (may be NULL)": "",
}


def _loader(text: str) -> object:
    def load(found: ReflectedDatabase) -> Registry:
        loaded = load_registry_text(text, found)
        assert loaded.target is not None, [finding.message for finding in loaded.findings]
        return loaded.target

    return load


async def test_chinook_becomes_a_registry_and_is_migrated_once(database_url: str) -> None:
    await asyncio.to_thread(chinook.load, database_url)
    text = await introspect(database_url)
    assert not [one.message for one in load_registry_text(text).findings if one.severity == "error"]
    for proposed, edited in EDITS.items():
        assert proposed in text
        text = text.replace(proposed, edited)
    said: list[str] = []
    load = _loader(text)
    await migrate(database_url, load, say=said.append)  # type: ignore[arg-type]
    assert len(said) == len(set(said)) > 11
    assert await migrate(database_url, load) == ()  # type: ignore[arg-type]
    assert await pending(database_url, load) == ()  # type: ignore[arg-type]
    loaded = load_registry_text(text, await reflect(database_url))
    assert [one.message for one in loaded.findings if one.severity == "error"] == []
    registry = loaded.registry
    assert registry is not None
    assert {name: [parent.type for parent in one.parents] for name, one in registry.types.items() if one.parents} == {
        "album": ["artist"], "invoice": ["customer"], "invoice_line": ["invoice"], "playlist_track": ["playlist"],
        "track": ["album"],
    }  # fmt: skip
    assert all(one.public_id == "id_random" and one.version == "row_version" for one in registry.types.values())
    assert registry.types["playlist_track"].key == "row_id"
    async with open_structure(database_url) as structure:
        for table, count in COUNTS.items():
            counted = await structure.fetch(f"SELECT COUNT(*), COUNT(DISTINCT id_random) FROM {table}")
            assert tuple(counted[0]) == (count, count)


async def test_the_two_databases_give_the_same_proposal(sqlite_url: str, mariadb_url: str) -> None:
    await asyncio.to_thread(chinook.load, sqlite_url)
    await asyncio.to_thread(chinook.load, mariadb_url)
    assert await introspect(sqlite_url) == await introspect(mariadb_url)


@pytest.mark.parametrize("line", ["  playlist_track:", "    # has no single integer key: `aether migrate` adds"])
async def test_link_tables_are_there_too(sqlite_url: str, line: str) -> None:
    await asyncio.to_thread(chinook.load, sqlite_url)
    assert line in await introspect(sqlite_url)


async def test_an_empty_database_gives_a_registry_without_types(database_url: str) -> None:
    async with open_structure(database_url):
        pass
    text = await introspect(database_url)
    assert text.endswith("types: {}\n")
