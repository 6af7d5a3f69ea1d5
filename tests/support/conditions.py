"""A small world to search: three related types, their tables, and filters run over them by the engine's own stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import and_, select

from engine.io.database import Database
from engine.plan.conditions import plan_filter
from engine.plan.rights import rights_of
from engine.plan.shape import Dialect, PlanContext, PlannedCondition, Viewer
from engine.principal import Account, Principal
from engine.registry.families import FAMILIES
from engine.registry.kinds import KINDS
from engine.registry.resource import (
    AccountRule,
    EnumValue,
    Field,
    Limits,
    Parent,
    Registry,
    Relation,
    Resource,
    SortKey,
)
from engine.sql.ddl import create_table
from engine.sql.relations import Scope
from engine.sql.setting import Names, Setting
from engine.sql.statement import compile_statement
from engine.tables import build_tables

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
CALLER = Principal("user", subject="u" * 22, accounts=(Account(1, "a" * 22),), scopes=frozenset({"*:read", "*:write"}))


def make_field(name: str, kind: str, **more: Any) -> Field:
    """A field with every operator of its family."""
    column = None if kind == "computed" else name
    return Field(
        name=name,
        column="id_random" if kind == "id" else column,
        kind=kind,
        operators=more.pop("operators", FAMILIES[KINDS[kind].family]),
        sortable=True,
        searchable=more.pop("searchable", kind in ("string", "text")),
        **more,
    )


def make_type(name: str, fields: Sequence[Field], relations: Sequence[Relation] = (), **more: Any) -> Resource:
    """A shared type."""
    own = [make_field("id", "id", role="public_id", nullable=False), *fields]
    return Resource(
        name=name,
        table=name,
        key="id",
        public_id="id_random",
        title=name,
        plural=f"{name}s",
        account=AccountRule(kind="none", reason="a test"),
        fields={field.name: field for field in own},
        relations={relation.name: relation for relation in relations},
        **more,
    )


def make_registry(*extra: Field, limits: Limits | None = None) -> Registry:
    """Journals of persons, with entries; `extra` fields go to the journal."""
    person = make_type(
        "person",
        [make_field("name", "string"), make_field("age", "integer"), make_field("secret", "string", hidden=True)],
    )
    journal = make_type(
        "journal",
        [
            make_field("title", "string"),
            make_field("body", "text"),
            make_field("n", "integer"),
            make_field("big", "bigint"),
            make_field("price", "decimal", precision=10, scale=2),
            make_field("cost", "decimal", precision=12, scale=4),
            make_field("ratio", "float"),
            make_field("flag", "boolean"),
            make_field("day", "date"),
            make_field("at", "time"),
            make_field("seen_on", "datetime"),
            make_field("tags", "json"),
            make_field("status", "enum", enum=(EnumValue("open", "Open"), EnumValue("closed", "Closed"))),
            make_field("person_id", "relation", role="relation", relation="person"),
            make_field("secret", "string", hidden=True),
            *extra,
        ],
        [
            Relation(name="person", kind="one", target="person", field="person_id"),
            Relation(name="entry", kind="many", target="entry", field="journal_id", child=True),
        ],
        sort=(SortKey("title"),),
    )
    entry = make_type(
        "entry",
        [
            make_field("journal_id", "relation", role="parent", relation="journal"),
            make_field("title", "string"),
            make_field("n", "integer"),
        ],
        [Relation(name="journal", kind="one", target="journal", field="journal_id")],
        parents=(Parent(type="journal", field="journal_id", segment="entry"),),
    )
    types = {one.name: one for one in (person, journal, entry)}
    return Registry(types=types, limits=limits or Limits())


def make_context(
    registry: Registry, dialect: Dialect = "sqlite", *, timezone: str = "UTC", principal: Principal = CALLER
) -> PlanContext:
    """What planning needs to know."""
    return PlanContext(
        registry=registry,
        rights=rights_of(registry, principal),
        principal=principal,
        dialect=dialect,
        now=NOW,
        timezone=timezone,
    )


def make_scope(registry: Registry, dialect: Dialect, type_name: str = "journal") -> Scope:
    """Where conditions over a type become clauses, without a database."""
    rights = rights_of(registry, CALLER)
    setting = Setting(registry, build_tables(registry, dialect), dialect, Viewer(1, rights.key), rights)
    return Scope(setting, type_name, Names())


class World:
    """A registry with its tables in a database."""

    def __init__(self, registry: Registry, database: Database) -> None:
        self.registry = registry
        self.database = database
        self.tables = build_tables(registry, database.dialect)

    async def create(self) -> None:
        """Create the tables."""
        for name in ("person", "journal", "entry"):
            await self.database.execute(create_table(self.tables[name], self.database.dialect).replace("%", "%%"))

    async def insert(self, type_name: str, **values: object) -> int:
        """Insert a row of canonical values; relation ids are row ids here. Its row id."""
        resource = self.registry.types[type_name]
        columns: dict[str, object] = {"id_random": f"{type_name[:1]}{await self._next(type_name):021d}"}
        for name, value in values.items():
            field = resource.fields[name]
            if value is None or field.kind == "relation":
                columns[str(field.column)] = value
            else:
                columns[str(field.column)] = KINDS[field.kind].bind[self.database.dialect](value, field)
        mark = "?" if self.database.dialect == "sqlite" else "%s"
        sql = (
            f"INSERT INTO {resource.table} ({', '.join(f'`{name}`' for name in columns)}) "
            f"VALUES ({', '.join([mark] * len(columns))}) RETURNING id"
        )
        return int(str((await self.database.fetch(sql, list(columns.values())))[0][0]))

    async def find(self, raw: object, type_name: str = "journal", *, timezone: str = "UTC") -> list[int]:
        """Row ids that a filter finds."""
        context = make_context(self.registry, self.database.dialect, timezone=timezone)
        return await self.run(plan_filter(raw, type_name, context), type_name)

    async def run(self, planned: PlannedCondition, type_name: str = "journal") -> list[int]:
        """Row ids that a planned condition finds."""
        rights = rights_of(self.registry, CALLER)
        setting = Setting(self.registry, self.tables, self.database.dialect, Viewer(1, rights.key), rights)
        scope = Scope(setting, type_name, Names())
        clause = scope.condition(planned.shape)
        statement = compile_statement(
            select(scope.root.c["id"]).select_from(scope.source).where(and_(*scope.guard, clause)), setting.dialect
        )
        values: Mapping[str, object] = {f"v{index}": value for index, value in enumerate(planned.values)}
        binds = statement.arrange(values)
        first = await self.database.fetch(statement.text, binds)
        # The second time MariaDB runs it prepared, with binary values.
        second = await self.database.fetch(statement.text, binds)
        assert first == second, statement.text
        return sorted(int(str(row[0])) for row in first)

    async def _next(self, type_name: str) -> int:
        return int(str((await self.database.fetch(f"SELECT COUNT(*) FROM {type_name}"))[0][0])) + 1
