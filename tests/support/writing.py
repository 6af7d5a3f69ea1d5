"""A small running engine without HTTP, for tests of writes: two accounts, nested types, both databases."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from engine.execute.read import read_one
from engine.execute.runtime import Runtime
from engine.execute.write import (
    Outcome,
    WriteCall,
    create_object,
    delete_object,
    move_object,
    restore_object,
    update_object,
)
from engine.io.blobs.directory import DirectoryStore
from engine.io.changes import Change, Changes
from engine.io.database import Database
from engine.io.resolver import Resolver
from engine.language.call import Precondition, parse_precondition
from engine.language.search import EMPTY_SEARCH
from engine.plan.read import plan_get
from engine.plan.rights import rights_of
from engine.plan.shape import Link, PlanContext
from engine.plugins.overrides import Overrides
from engine.principal import Account, Principal
from engine.registry.resource import EnumValue, Index, Parent, Registry, Relation
from engine.render.rows import encode_json
from engine.sql.ddl import create_index, create_table
from engine.sql.lookup import make_lookup
from engine.tables import build_tables, indexes_of
from tests.support.databases import opened, sql_for
from tests.support.registries import field, registry_of, relation_field, resource

ACCOUNTS = ("aaaaaaaaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbbbbbbbb")
KINDS_FIELDS = (
    "string", "text", "integer", "bigint", "float", "boolean", "date", "time", "datetime", "json", "uuid", "email",
    "uri",
)  # fmt: skip


def make_registry() -> Registry:
    """journal > entry > note, person > tag (restrict), photo under either (detach, cascade), and plain types."""
    account = resource("account", [field("name", "string", size=100, required=True, nullable=False)], account="self")
    person = resource(
        "person",
        [
            field("name", "string", size=100, required=True, nullable=False),
            field("pin", "string", size=200, secret=True, password=True, operators=()),
        ],
    )
    journal = resource(
        "journal",
        [
            field("name", "string", size=100, required=True, nullable=False),
            field("code", "string", size=20, unique=True),
            field("status", "enum", enum=(EnumValue("open", "Open"), EnumValue("shut", "Shut")), has_default=True,
                  default="open", nullable=False),
            field("internal", "string", size=20, hidden=True, operators=()),
            field("born", "string", size=20, create_only=True),
            field("size", "integer", min=0, max=9, has_default=True, default=1, nullable=False),
            relation_field("person_id"),
        ],
        relations=[Relation(name="person", kind="one", target="person", field="person_id")],
        soft_delete="deleted_on",
        rows={"reader": {"status": "open"}},
    )  # fmt: skip
    entry = resource(
        "entry",
        [
            field("title", "string", size=50, min_length=1, required=True, nullable=False),
            field("body", "text", heavy=True, operators=()),
        ],
        account="inherited",
        parents=[Parent(type="journal", field="journal_id", segment="entry")],
        soft_delete="deleted_on",
        unique=(Index(("journal_id", "title"), is_unique=True),),
    )
    note = resource(
        "note",
        [field("body", "text", required=True, nullable=False, operators=())],
        account="inherited",
        parents=[Parent(type="entry", field="entry_id", segment="note")],
        soft_delete="deleted_on",
    )
    tag = resource(
        "tag",
        [field("word", "string", size=20, required=True, nullable=False)],
        account="inherited",
        parents=[Parent(type="person", field="person_id", segment="tag", on_delete="restrict")],
    )
    photo = resource(
        "photo",
        [field("label", "string", size=20)],
        account="inherited",
        parents=[
            Parent(type="journal", field="journal_id", segment="photo", on_delete="detach"),
            Parent(type="person", field="person_id", segment="photo", on_delete="cascade"),
        ],
    )
    thing = resource(
        "thing",
        [
            *[field(f"a_{kind}", kind) for kind in KINDS_FIELDS],
            field("a_decimal", "decimal", precision=15, scale=3),
        ],
    )
    word = resource("word", [field("name", "string", size=20, required=True, nullable=False)], account="none")
    plain = replace(resource("plain", [field("name", "string", size=20)], has_times=False), version=None)
    made = registry_of(account, person, journal, entry, note, tag, photo, thing, word, plain)
    roles = {**made.roles, "reader": ("*:read", "*:write", "*:delete_hard")}
    return replace(made, roles=roles)


class Engine:
    """The engine with callers, and short ways to write with it."""

    def __init__(self, database: Database, registry: Registry, overrides: dict[str, Overrides]) -> None:
        self.database = database
        self.registry = registry
        self.tables = build_tables(registry, database.dialect)
        resolver = Resolver(
            database, None, make_lookup(registry, self.tables, database.dialect), digest="d", size=1_000
        )
        self.changes: list[Change] = []
        announcer = Changes()

        async def note(change: Change) -> None:
            self.changes.append(change)

        announcer.subscribe("test", note)
        self.announcer = announcer
        self.runtime = Runtime(
            registry,
            self.tables,
            database,
            resolver,
            announcer,
            overrides,
            cursor_key=b"k" * 32,
            blobs=DirectoryStore(Path(tempfile.gettempdir(), "aether-test-without-blobs")),
        )
        self.statements: list[str] = []

    async def create_tables(self) -> None:
        """Make the tables and the two accounts, with large row ids."""
        made = {}
        for table in self.tables.by_name().values():
            made[table.name] = table
        indexes = {one.table: indexes_of(one) for one in self.registry.types.values()}
        done: set[str] = set()
        while len(done) < len(made):
            for name, table in made.items():
                needs = {key.referred_table.name for key in table.foreign_key_constraints} - {name}
                if name not in done and needs <= done:
                    made_with = create_table(table, self.database.dialect, indexes=indexes[name])
                    await self.database.execute(_raw(made_with, self.database))
                    done.add(name)
        if self.database.dialect == "sqlite":
            for index in (index for group in indexes.values() for index in group):
                await self.database.execute(_raw(create_index(index, self.database.dialect), self.database))
        for number, public_id in enumerate(ACCOUNTS, start=1):
            columns = "id, id_random, name, row_version, created_on, updated_on"
            sql = f"INSERT INTO account ({columns}) VALUES (?, ?, ?, 1, ?, ?)"
            stamp = "2026-01-01 00:00:00.000000"
            await self.database.execute(
                sql_for(self.database, sql), (number, public_id, f"Account {number}", stamp, stamp)
            )

    def context(
        self, *numbers: int, scopes: str = "*:*", role: str | None = None, operator: bool = False
    ) -> PlanContext:
        """A caller of some of the two accounts, now."""
        principal = Principal(
            "user",
            subject="u" * 22,
            accounts=tuple(Account(number, ACCOUNTS[number - 1]) for number in numbers),
            scopes=frozenset() if role else frozenset(scopes.split()),
            roles=(role,) if role else (),
            is_operator=operator,
        )
        return PlanContext(
            registry=self.registry,
            rights=rights_of(self.registry, principal),
            principal=principal,
            dialect=self.database.dialect,
            now=datetime.now(UTC),
        )

    def call(self, type_name: str, public_id: str = "", body: object = None, **more: Any) -> WriteCall:
        """A write's call; ``under=("journal", id)`` names the parent of the path."""
        under = more.pop("under", None)
        if_match = more.pop("if_match", None)
        one = self.registry.types[type_name]
        chain = ()
        if under is not None:
            parent = next(parent for parent in one.parents if parent.type == under[0])
            chain = ((Link(parent.type, parent.field), under[1]),)
        return WriteCall(resource=one, chain=chain, public_id=public_id, body=body, if_match=_tag(if_match), **more)

    async def create(self, type_name: str, body: object, who: PlanContext | None = None, **more: Any) -> Outcome:
        """Create as a caller, by default one of account A."""
        return await create_object(self.runtime, self.call(type_name, body=body, **more), who or self.context(1))

    async def make(self, type_name: str, body: object, who: PlanContext | None = None, **more: Any) -> str:
        """Create and give the public id."""
        return (await self.create(type_name, body, who, **more)).public_id

    async def patch(
        self, type_name: str, public_id: str, body: object, who: PlanContext | None = None, **more: Any
    ) -> dict[str, Any]:
        """Update and give the object answered."""
        call = self.call(type_name, public_id, body, **more)
        return shown(await update_object(self.runtime, call, who or self.context(1)))

    async def put(
        self, type_name: str, public_id: str, body: object, who: PlanContext | None = None, **more: Any
    ) -> dict[str, Any]:
        """Replace and give the object answered."""
        call = self.call(type_name, public_id, body, **more)
        return shown(await update_object(self.runtime, call, who or self.context(1), replaces=True))

    async def delete(self, type_name: str, public_id: str, who: PlanContext | None = None, **more: Any) -> None:
        """Delete."""
        await delete_object(self.runtime, self.call(type_name, public_id, **more), who or self.context(1))

    async def restore(self, type_name: str, public_id: str, who: PlanContext | None = None, **more: Any) -> Outcome:
        """Undo a soft delete."""
        return await restore_object(self.runtime, self.call(type_name, public_id, **more), who or self.context(1))

    async def move(
        self, type_name: str, public_id: str, parent: tuple[str, str], who: PlanContext | None = None
    ) -> Any:
        """Move under another parent."""
        body = {"parent": {"type": parent[0], "id": parent[1]}}
        return await move_object(self.runtime, self.call(type_name, public_id, body), who or self.context(1))

    async def get(self, type_name: str, public_id: str, who: PlanContext | None = None) -> dict[str, Any]:
        """Read as a GET does."""
        context = who or self.context(1)
        plan = plan_get(self.registry.types[type_name], public_id, (), EMPTY_SEARCH, context)
        found = await read_one(self.runtime, plan, context)
        return _json(found.data)

    async def column(self, table: str, public_id: str, column: str) -> Any:
        """A stored value, past everything."""
        sql = sql_for(self.database, f"SELECT {column} FROM {table} WHERE id_random = ?")
        return (await self.database.fetch(sql, (public_id,)))[0][0]

    async def count(self, table: str) -> int:
        """How many rows a table has."""
        return int((await self.database.fetch(f"SELECT count(*) FROM {table}"))[0][0])

    @asynccontextmanager
    async def counted(self) -> AsyncIterator[list[str]]:
        """The statements that run inside."""
        seen: list[str] = []
        self.database.on_statement = lambda sql, *_: seen.append(sql)
        try:
            yield seen
        finally:
            self.database.on_statement = None


@asynccontextmanager
async def running(
    url: str, overrides: dict[str, Overrides] | None = None, registry: Registry | None = None, **settings: object
) -> AsyncIterator[Engine]:
    """An engine over an empty database, or over the tables that a given registry was loaded from."""
    async with opened(url, **settings) as database:
        engine = Engine(database, registry or make_registry(), overrides or {})
        if registry is None:
            await engine.create_tables()
        yield engine
        await engine.announcer.close()


def shown(outcome: Outcome) -> dict[str, Any]:
    """The object that a write answers, as the caller reads it."""
    assert outcome.found is not None
    return _json(outcome.found.data)


def _json(data: object) -> dict[str, Any]:
    decoded: dict[str, Any] = orjson.loads(encode_json(data))
    return decoded


def _tag(value: str | None) -> Precondition | None:
    return None if value is None else parse_precondition(value)


def _raw(sql: str, database: Database) -> str:
    return sql if database.dialect == "sqlite" else sql.replace("%", "%%")
