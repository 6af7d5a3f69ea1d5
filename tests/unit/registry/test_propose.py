"""Registries proposed for databases, read back by the registry's own reader."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.registry.load import load_registry_text
from engine.registry.propose import propose_registry
from engine.registry.reflection import (
    ReflectedColumn,
    ReflectedDatabase,
    ReflectedForeignKey,
    ReflectedIndex,
    ReflectedTable,
)
from engine.registry.resource import Registry
from engine.registry.wording import free_name, singular
from engine.sql.migration import plan_migration


def _column(name: str, kind: str | None = "string", **more: Any) -> ReflectedColumn:
    types = {"string": "varchar(40)", "integer": "int(11)", None: "geometry"}
    size = 40 if kind == "string" else None
    return ReflectedColumn(name=name, type=types.get(kind, kind or ""), kind=kind, **{"size": size, **more})


def _table(name: str, *columns: ReflectedColumn, **more: Any) -> ReflectedTable:
    key = _column("id", "integer", nullable=False, bits=32, has_default=True, auto_increment=True)
    named = {column.name: column for column in (key, *columns)}
    return ReflectedTable(name=name, columns=named, **{"primary_key": ("id",), **more})


def _key(column: str, table: str, **more: Any) -> ReflectedForeignKey:
    return ReflectedForeignKey((column,), table, ("id",), **more)


def _database(*tables: ReflectedTable) -> ReflectedDatabase:
    return ReflectedDatabase(dialect="mariadb", tables={table.name: table for table in tables})


def _registry(database: ReflectedDatabase) -> tuple[str, Registry]:
    text = propose_registry(database)
    loaded = load_registry_text(text, database)
    wrong = [finding.message for finding in loaded.findings if finding.severity == "error" and not finding.is_mendable]
    assert not wrong, "\n".join([*wrong, text])
    assert loaded.target is not None
    return text, loaded.target


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("invoices", "invoice"), ("order_items", "order_item"), ("categories", "category"), ("boxes", "box"),
        ("addresses", "address"), ("address", "address"), ("status", "status"), ("people", "person"), ("news", "news"),
        ("sales_data", "sales_data"), ("branches", "branch"), ("gas", "gas"), ("houses", "house"), ("bus", "bus"),
    ],
)  # fmt: skip
def test_names_become_singular(name: str, expected: str) -> None:
    assert singular(name) == expected


def test_a_taken_name_gets_an_ending_and_no_name_is_too_long() -> None:
    assert free_name("note", {"note"}, "type") == "note_type"
    assert free_name("note", {"note", "note_type"}, "type") == "note_type_2"
    assert len(free_name("x" * 200, set(), "type")) <= 60


def test_names_that_collide_or_mean_something_are_changed() -> None:
    database = _database(
        _table("Users"),
        _table("user"),
        _table("search"),
        _table("2nd table", _column("no"), _column("NULL"), _column("Ärger"), _column("a b"), _column("a_b")),
        _table("yes"),
    )
    _, registry = _registry(database)
    assert list(registry.types) == ["user", "user_type", "search_type", "x_2nd_table", "yes"]
    assert [one.table for one in registry.types.values()] == ["Users", "user", "search", "2nd table", "yes"]
    fields = {field.column: name for name, field in registry.types["x_2nd_table"].fields.items() if field.column}
    assert fields == {"no": "no", "NULL": "null_value", "Ärger": "rger", "a b": "a_b", "a_b": "a_b_value"}


def test_a_parent_is_every_table_that_begins_the_name_else_the_only_one_that_must_be_there() -> None:
    text, registry = _registry(
        _database(
            _table("order"),
            _table("shop"),
            _table("clerk"),
            _table(
                "order_line",
                *(_column(name, "integer", bits=32, nullable=False) for name in ("order_id", "shop_id")),
                foreign_keys=(_key("order_id", "order", on_delete="cascade"), _key("shop_id", "shop")),
            ),
            _table(
                "visit",
                _column("shop_id", "integer", bits=32, nullable=False),
                _column("clerk_id", "integer", bits=32),
                foreign_keys=(_key("shop_id", "shop"), _key("clerk_id", "clerk")),
            ),
            _table(
                "gift",
                *(_column(name, "integer", bits=32, nullable=False) for name in ("shop_id", "clerk_id", "gift_id")),
                foreign_keys=(_key("shop_id", "shop"), _key("clerk_id", "clerk"), _key("gift_id", "gift")),
            ),
        )
    )
    found = {
        name: [(parent.type, parent.segment, parent.on_delete) for parent in one.parents]
        for name, one in registry.types.items()
        if one.parents
    }
    assert found == {"order_line": [("order", "line", "cascade")], "visit": [("shop", "visit", "restrict")]}
    assert (
        "parent: {type: shop, on_delete: restrict}  # candidates: shop by shop_id, clerk by clerk_id (may be NULL)"
        in text
    )
    assert "# no parent proposed; candidates: shop by shop_id, clerk by clerk_id" in text


def test_parents_never_go_in_a_circle() -> None:
    def one(name: str, other: str) -> ReflectedTable:
        column = _column(f"{other}_id", "integer", bits=32, nullable=False)
        return _table(name, column, foreign_keys=(_key(f"{other}_id", other),))

    _, registry = _registry(_database(one("hen", "egg"), one("egg", "hen")))
    assert [name for name, resource in registry.types.items() if resource.parents] == ["hen"]


def test_a_segment_that_is_taken_in_its_parent_is_the_whole_name() -> None:
    child = _table(
        "order_line", _column("order_id", "integer", bits=32, nullable=False), foreign_keys=(_key("order_id", "order"),)
    )
    _, registry = _registry(_database(_table("order", _column("line")), child))
    assert [parent.segment for parent in registry.types["order_line"].parents] == ["order_line"]


def test_relations_are_called_as_their_field_without_id_and_nothing_else_is() -> None:
    visit = _table(
        "visit",
        _column("shop"),
        _column("shop_id", "integer", bits=32),
        _column("boss", "integer", bits=32),
        _column("code", "integer", bits=32),
        foreign_keys=(
            _key("shop_id", "shop"),
            _key("boss", "visit"),
            ReflectedForeignKey(("code",), "shop", ("code",)),
        ),
    )
    shop = _table("shop", _column("code", "integer", bits=32), indexes=(ReflectedIndex("c", ("code",), True),))
    text, registry = _registry(_database(shop, visit))
    resource = registry.types["visit"]
    assert {name: field.column for name, field in resource.fields.items() if field.column} == {
        "shop_value": "shop", "shop_id": "shop_id", "boss_id": "boss",
    }  # fmt: skip
    assert {"shop": "shop", "boss": "visit"}.items() <= {n: r.target for n, r in resource.relations.items()}.items()
    assert "# no relation: code → shop (code), which is not the single integer key of shop" in text


def test_what_cannot_be_served_is_named() -> None:
    text, registry = _registry(
        _database(
            _table("spot", _column("at", None, nullable=False), _column("flags", None, has_default=True)),
            _table("seen", _column("name"), is_view=True),
        )
    )
    assert list(registry.types) == ["spot"]
    assert "# left out: at, of type geometry; it needs a value, so nothing can be created" in text
    assert "# left out: flags, of type geometry\n" in text
    assert "  # seen:\n  #   table: seen\n" in text


def test_a_column_that_may_say_whose_a_row_is_is_left_to_decide() -> None:
    database = _database(
        _table("account"),
        _table(
            "note",
            _column("AccountId", "integer", bits=32, nullable=False),
            _column("Created_On", "datetime"),
            foreign_keys=(_key("AccountId", "account"),),
        ),
    )
    text, registry = _registry(database)
    assert "# left out: AccountId; if it says whose a row is, say `account: {own: AccountId}`" in text
    assert registry.types["note"].parents == ()
    assert list(registry.types["note"].fields) == ["id", "created_on"]
    nobody = 'account: {none: "introspected, decide"}'
    decided = text.replace(nobody, "account: self", 1).replace(nobody, "account: {own: AccountId}", 1)
    owned = load_registry_text(decided, database).target
    assert owned is not None
    assert owned.types["note"].account.column == "AccountId"


def test_columns_that_look_like_secrets_are_hidden_and_not_searched() -> None:
    _, registry = _registry(
        _database(_table("member", _column("name"), _column("password_hash"), _column("api_token"), _column("hashtag")))
    )
    fields = registry.types["member"].fields
    assert [name for name, field in fields.items() if field.hidden] == ["password_hash", "api_token"]
    assert [name for name, field in fields.items() if field.operators and field.role == "plain"] == ["name", "hashtag"]


def test_a_row_is_shown_by_what_names_it() -> None:
    _, registry = _registry(
        _database(
            _table("a", _column("note"), _column("title")),
            _table("b", _column("first_name"), _column("last_name")),
            _table("c", _column("note")),
            _table("d", _column("size", "integer", bits=32)),
        )
    )
    assert [one.display.title for one in registry.types.values()] == [
        "{title}",
        "{first_name} {last_name}",
        "{note}",
        "{id}",
    ]


_NAMES = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=70) | st.sampled_from(
    [
        "id",
        "name",
        "account_id",
        "AccountId",
        "created_on",
        "count",
        "null",
        "search",
        "order",
        "orders",
        "order_id",
        "a b",
    ]
)
_KINDS = st.sampled_from(
    ["string", "text", "integer", "bigint", "decimal", "date", "datetime", "time", "json", "binary"]
)


@st.composite
def _databases(draw: st.DrawFn) -> ReflectedDatabase:
    tables = []
    names = draw(st.lists(_NAMES, min_size=1, max_size=5, unique_by=str.lower))
    for name in names:
        columns = [
            _column(one, draw(_KINDS | st.none()), nullable=draw(st.booleans()), bits=32)
            for one in draw(st.lists(_NAMES.filter(lambda one: one.lower() != "id"), max_size=6, unique_by=str.lower))
        ]
        keys = tuple(
            _key(one.name, draw(st.sampled_from(names)), on_delete=draw(st.sampled_from(["cascade", "restrict"])))
            for one in columns
            if one.kind == "integer" and draw(st.booleans())
        )
        tables.append(_table(name, *columns, foreign_keys=keys, is_view=draw(st.integers(0, 9)) == 0))
    return _database(*tables)


@given(_databases())
def test_whatever_a_database_holds_the_proposal_can_be_read_and_migrated(database: ReflectedDatabase) -> None:
    _, registry = _registry(database)
    assert len(registry.types) == sum(not table.is_view for table in database.tables.values())
    plan_migration(registry, database)


def test_hundreds_of_tables_are_proposed_and_read() -> None:
    tables = [
        _table(
            f"t{i}",
            *(_column(f"c{j}") for j in range(8)),
            _column(f"t{i // 2}_id", "integer", bits=32, nullable=False),
            foreign_keys=(_key(f"t{i // 2}_id", f"t{i // 2}"),) if i else (),
        )
        for i in range(200)
    ]
    _, registry = _registry(_database(*tables))
    assert len(registry.types) == 200
