"""The shipped registry and its demo data, in real databases."""

from __future__ import annotations

from pathlib import Path

from engine.io.migrate import migrate
from engine.io.reflect import reflect
from engine.io.seed import seed
from engine.registry.load import load_registry
from engine.registry.reflection import ReflectedDatabase
from engine.registry.resource import Registry
from tests.support.databases import opened

ROOT = Path(__file__).parents[3]


def _load(found: ReflectedDatabase) -> Registry:
    loaded = load_registry(ROOT / "resources.yaml", found)
    assert loaded.target is not None, [finding.message for finding in loaded.findings]
    return loaded.target


async def test_the_shipped_registry_is_migrated_once_and_agrees_with_what_it_made(database_url: str) -> None:
    await migrate(database_url, _load)
    assert await migrate(database_url, _load) == ()
    loaded = load_registry(ROOT / "resources.yaml", await reflect(database_url))
    assert [finding.message for finding in loaded.findings if finding.severity == "error"] == []


async def test_the_demo_data_fits_the_shipped_registry_and_is_put_in_once(database_url: str) -> None:
    await migrate(database_url, _load)
    registry = _load(await reflect(database_url))
    async with opened(database_url) as database:
        first = await seed(database, registry, ROOT / "resources" / "demo.yaml")
        second = await seed(database, registry, ROOT / "resources" / "demo.yaml")
        assert set(first.made) == set(registry.types)
        assert first.kept == second.made == {}
        assert second.kept == first.made
        entries = await database.fetch(
            "SELECT COUNT(*), COUNT(DISTINCT entry_date) FROM journal_entry WHERE entry_date LIKE '2026-%'"
            if database.dialect == "sqlite"
            else "SELECT COUNT(*), COUNT(DISTINCT entry_date) FROM journal_entry WHERE YEAR(entry_date) = 2026"
        )
        assert entries[0][0] > 40
        # The rows of an account point at rows of that account alone.
        for table, column, target in (
            ("journal_entry", "journal_id", "journal"),
            ("event_session", "event_id", "event"),
            ("event_presenter", "event_presentation_id", "event_presentation"),
            ("contact", "person_id", "person"),
        ):
            joined = f"{table} c JOIN {target} p ON p.id = c.{column}"
            strangers = await database.fetch(f"SELECT COUNT(*) FROM {joined} WHERE p.account_id <> c.account_id")
            assert strangers[0][0] == 0
