"""The shipped registry on the tables that it made itself: reflecting them changes nothing that callers see."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from engine.io.migrate import migrate
from engine.io.reflect import reflect
from engine.registry.findings import render_findings
from engine.registry.load import load_registry
from engine.registry.reflection import ReflectedDatabase
from engine.registry.resource import Field, Registry

SHIPPED = Path(__file__).parents[2] / "resources.yaml"
# What only a database knows, and what makes no difference to a kind.
STORAGE = {"bits": None, "charset": None, "collation": None}


def seen(field: Field) -> Field:
    size = None if field.kind == "uuid" else field.size
    return replace(field, size=size, **STORAGE)  # type: ignore[arg-type]


async def test_a_registry_means_the_same_on_the_tables_that_it_made(database_url: str) -> None:
    declared = load_registry(SHIPPED).registry
    assert declared is not None

    def target(found: ReflectedDatabase) -> Registry:
        loaded = load_registry(SHIPPED, found)
        assert loaded.target is not None, render_findings(loaded.findings)
        return loaded.target

    await migrate(database_url, target)
    loaded = load_registry(SHIPPED, await reflect(database_url))
    assert loaded.registry is not None, render_findings(loaded.findings)
    assert {finding.code for finding in loaded.findings} <= {"W103"}
    for name, wanted in declared.types.items():
        made = loaded.registry.types[name]
        assert [seen(field) for field in made.fields.values()] == [seen(field) for field in wanted.fields.values()]
        assert made.relations == wanted.relations
        assert {index.fields for index in made.unique} == {index.fields for index in wanted.unique}
        assert replace(made, fields={}, relations={}, unique=(), is_reflected=False) == replace(
            wanted, fields={}, relations={}, unique=(), is_reflected=False
        )
