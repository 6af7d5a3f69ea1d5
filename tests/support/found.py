"""Tables that others made, served: a database with DDL of the test's own, migrated, and a caller who may all."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.auth.mint import mint_token
from engine.io.database import Database
from engine.language.ids import new_public_id
from tests.support.databases import opened
from tests.support.serving import Client, make_settings, prepare, running


@dataclass
class Found:
    """What is served, and the database behind it."""

    client: Client
    database: Database

    async def search(self, type_name: str, filter_: object = None, **more: Any) -> list[dict[str, Any]]:
        """The rows of a search."""
        reply = await self.client.search(type_name, {"filter": filter_ or {}, **more})
        assert reply.status == 200, f"{filter_} {more}: {reply}"
        rows: list[dict[str, Any]] = reply.data
        return rows

    async def names(self, type_name: str, filter_: object = None, **more: Any) -> str:
        """The names of the rows that a search finds, in order; alphabetically where it says no `sort`."""
        rows = await self.search(type_name, filter_, fields=["name"], **more)
        names = [row["name"] for row in rows]
        return " ".join(names if "sort" in more else sorted(names))

    async def walk(self, type_name: str, sort: str, filter_: object = None, limit: int = 1) -> str:
        """The names of all rows, page by page forward; and the same backward."""
        pages: list[list[str]] = []
        cursor = None
        for _ in range(100):
            body = {"filter": filter_ or {}, "fields": ["name"], "sort": [sort], "limit": limit, "cursor": cursor}
            reply = await self.client.search(type_name, body)
            assert reply.status == 200, str(reply)
            pages.append([row["name"] for row in reply.data])
            cursor = reply.json["meta"]["next_cursor"]
            if cursor is None:
                break
        back = reply.json["meta"]["prev_cursor"]
        for page in reversed(pages[:-1]):
            body = {"filter": filter_ or {}, "fields": ["name"], "sort": [sort], "limit": limit, "cursor": back}
            reply = await self.client.search(type_name, body)
            assert [row["name"] for row in reply.data] == page, str(reply)
            back = reply.json["meta"]["prev_cursor"]
        return " ".join(name for page in pages for name in page)

    async def one(self, type_name: str, name: str) -> dict[str, Any]:
        """The whole object of a name."""
        (row,) = await self.search(type_name, {"name": name})
        reply = await self.client.get(f"/v3/crud/{type_name}/{row['id']}")
        assert reply.data == row
        return row

    async def stored(self, table: str, column: str, name: str) -> object:
        """What stands in a column of the row of a name."""
        rows = await self.database.fetch(f"SELECT {column} FROM {table} WHERE name = '{name}'", ())
        return rows[0][0]

    async def write(self, method: str, target: str, body: object, **more: Any) -> dict[str, Any]:
        """A create or an update; its reply is what is read afterwards."""
        reply = await self.client.send(method, f"/v3/crud/{target}", body, **more)
        assert reply.status in (200, 201), str(reply)
        made: dict[str, Any] = reply.data
        again = await self.client.get(f"/v3/crud/{target.partition('/')[0]}/{made['id']}")
        assert again.data == made
        return made


@asynccontextmanager
async def served(
    url: str, tmp_path: Path, types: str, statements: Sequence[str], *, head: str = ""
) -> AsyncIterator[Found]:
    """Make tables, migrate, serve.

    Args:
        url: An empty database.
        tmp_path: For the registry.
        types: The registry's `types`, indented by two.
        statements: DDL and rows, one statement each.
        head: More keys of the registry.
    """
    async with opened(url) as database:
        for statement in statements:
            await database.execute(statement, ())
        registry = tmp_path / "resources.yaml"
        registry.write_text(f"version: 1\n{head}types:\n{types}", encoding="utf-8")
        settings = make_settings(url, registry)
        await prepare(settings)
        async with running(settings) as app:
            token = mint_token(app.settings, user=new_public_id(), is_operator=True)
            yield Found(Client(app.engine.application, "operator", {"Authorization": f"Bearer {token}"}), database)
