"""A type of which nothing but its table is said serves every verb, once `migrate` has given it public ids."""

from __future__ import annotations

from pathlib import Path

from engine.io.reflect import reflect
from engine.registry.load import load_registry
from tests.support.databases import opened
from tests.support.found import served

TYPES = "  thing: {table: thing, account: {none: shared}, search: [name, bought], soft_delete: deleted_on}\n"
DDL = {
    "sqlite": (
        "CREATE TABLE thing (id INTEGER PRIMARY KEY, name NVARCHAR(20) NOT NULL COLLATE NOCASE, bought DATETIME"
        " NOT NULL, created_on DATETIME, updated_on TIMESTAMP, deleted_on DATETIME, is_ok BOOL DEFAULT 'f')",
        "INSERT INTO thing (name, bought, created_on, updated_on, is_ok) VALUES"
        " ('a', '2009-01-01T00:00:00Z', '2009-01-01T00:00:00Z', '2009-01-01 10:00', 't'),"
        " ('B', '2009-01-02T00:00:00Z', '2010-01-01T00:00:00Z', 'x', 'f')",
    ),
    "mariadb": (
        "CREATE TABLE thing (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(20) NOT NULL, bought DATETIME NOT NULL,"
        " created_on DATETIME, updated_on TIMESTAMP NULL, deleted_on DATETIME, is_ok BOOL DEFAULT 0)"
        " CHARACTER SET latin1",
        "INSERT INTO thing (name, bought, created_on, updated_on, is_ok) VALUES"
        " ('a', '2009-01-01', '2009-01-01', '2009-01-01 10:00:00', 1), ('B', '2009-01-02', '2010-01-01', NULL, 0)",
    ),
}


async def test_a_table_without_public_ids_is_a_finding_that_migrate_mends(database_url: str, tmp_path: Path) -> None:
    async with opened(database_url) as database:
        await database.execute(DDL[database.dialect][0])
    path = tmp_path / "resources.yaml"
    path.write_text(f"version: 1\ntypes:\n{TYPES}")
    loaded = load_registry(path, await reflect(database_url))
    (finding,) = [one for one in loaded.findings if one.code.startswith("R")]
    assert (finding.code, "migrate" in str(finding)) == ("R303", True), finding


async def test_a_table_alone_is_a_type(database_url: str, tmp_path: Path) -> None:
    dialect = "sqlite" if database_url.startswith("sqlite") else "mariadb"
    async with served(database_url, tmp_path, TYPES, DDL[dialect]) as found:
        rows = await found.search("thing", sort=["created_on"])
        assert [(one["name"], one["bought"], one["is_ok"], one["created_on"], one["updated_on"]) for one in rows] == [
            ("a", "2009-01-01T00:00:00Z", True, "2009-01-01T00:00:00Z", "2009-01-01T10:00:00Z"),
            ("B", "2009-01-02T00:00:00Z", False, "2010-01-01T00:00:00Z", None),
        ]
        assert await found.walk("thing", "-updated_on") == "a B"
        assert await found.walk("thing", "name") == "a B"
        assert await found.names("thing", {"name": "b"}) == ""
        assert await found.names("thing", {"created_on": {"lt": "2009-06-01"}}) == "a"
        made = await found.write("POST", "thing/", {"name": "c", "bought": "2026-01-01T00:00:00Z"})
        assert made["is_ok"] is False
        path = f"thing/{made['id']}"
        assert (await found.write("PATCH", path, {"is_ok": True, "name": "C"}))["is_ok"] is True
        replaced = await found.write("PUT", path, {"name": "d", "bought": "2026-01-01T00:00:00Z"})
        assert (replaced["name"], replaced["is_ok"]) == ("d", False)
        assert (await found.client.send("DELETE", f"/v3/crud/{path}")).status == 204
        assert await found.names("thing") == "B a"
        assert (await found.client.send("POST", f"/v3/crud/{path}/restore")).status == 200
        assert await found.walk("thing", "created_on") == "a B d"
        assert await found.names("thing", {"updated_on": {"gt": {"field": "bought"}}}) == "a d"
