"""JSON in text columns that somebody else fills: what is no JSON is null to readers, and can be written over."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.io.reflect import reflect
from engine.registry.load import load_registry
from tests.support.databases import opened
from tests.support.writing import running

DDL = {
    "sqlite": "CREATE TABLE Note (NoteId INTEGER PRIMARY KEY, Extra TEXT, id_random CHAR(22) UNIQUE)",
    "mariadb": "CREATE TABLE Note (NoteId INT AUTO_INCREMENT PRIMARY KEY, Extra TEXT, id_random CHAR(22) UNIQUE)"
    " CHARACTER SET utf8mb4",
}
REGISTRY = """
version: 1
types:
  note:
    table: Note
    account: {none: shared}
    search: [extra]
    fields: {extra: {column: Extra, type: json}}
"""
ID = "aNoteOfSomebody_123456"


@pytest.mark.parametrize("text", ["{", "", "rubbish", '{"a": NaN}', "[" * 5_000, '{"a": 1}'])
async def test_what_is_no_json_is_null_and_can_be_written_over(database_url: str, tmp_path: Path, text: str) -> None:
    async with opened(database_url) as database:
        await database.execute(DDL[database.dialect])
        mark = "%s" if database.dialect == "mariadb" else "?"
        await database.execute(f"INSERT INTO Note (Extra, id_random) VALUES ({mark}, '{ID}')", (text,))
    path = tmp_path / "resources.yaml"
    path.write_text(REGISTRY)
    registry = load_registry(path, await reflect(database_url)).registry
    assert registry is not None
    is_json = text[-1:] == "}" and "NaN" not in text
    async with running(database_url, registry=registry) as engine:
        who = engine.context(operator=True)
        found = await engine.get("note", ID, who)
        assert found["extra"] == (json.loads(text) if is_json else None)
        written = await engine.patch("note", ID, {"extra": {"b": [1]}}, who)
        assert written["extra"] == {"b": [1]}
