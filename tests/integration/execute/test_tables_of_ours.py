"""After a restart our own tables are found tables: they must still be known to give back what is written."""

from __future__ import annotations

from pathlib import Path

from engine.io.migrate import migrate
from engine.io.reflect import reflect
from engine.registry.load import load_registry
from engine.registry.reflection import ReflectedDatabase
from engine.registry.resource import Registry

SHIPPED = Path(__file__).parents[3] / "resources.yaml"


def load(found: ReflectedDatabase | None) -> Registry:
    loaded = load_registry(SHIPPED, found)
    assert loaded.registry is not None, loaded.findings
    return loaded.registry


async def test_tables_that_we_created_echo_what_is_written_and_keep_their_keys(database_url: str) -> None:
    await migrate(database_url, load)
    registry = load(await reflect(database_url))
    for one in registry.types.values():
        assert one.is_reflected, one.name
        assert one.echoes, one.name
        assert all(field.is_keyed for field in one.fields.values() if field.kind == "relation"), one.name
