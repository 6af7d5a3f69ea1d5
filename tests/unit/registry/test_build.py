"""Declarations and reflections made into registries: every default decided, the database's word before ours."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import pytest

from engine.language.query import LIST_PARAMETERS
from engine.operators import OPERATORS
from engine.registry.families import DEFAULTS, FAMILIES, FUNCTIONS, RANGE, SIX
from engine.registry.findings import render_findings
from engine.registry.kinds import KINDS
from engine.registry.load import Loaded, load_registry, load_registry_text
from engine.registry.names import QUERY_PARAMETERS, plural_of, snake_case, title_of
from engine.registry.paths import chains, segments_of, template_of
from engine.registry.reflection import (
    ReflectedColumn,
    ReflectedDatabase,
    ReflectedForeignKey,
    ReflectedIndex,
    ReflectedTable,
)
from engine.registry.resource import Field, Index, Registry, Relation

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def shipped() -> Registry:
    loaded = load_registry(ROOT / "resources.yaml")
    assert loaded.findings == (), render_findings(loaded.findings)
    assert loaded.registry is not None
    return loaded.registry


def column(name: str, kind: str | None, type_: str = "", **more: object) -> ReflectedColumn:
    return ReflectedColumn(name=name, type=type_ or str(kind), kind=kind, **more)  # type: ignore[arg-type]


def table(name: str, *columns: ReflectedColumn, **more: object) -> ReflectedTable:
    own = (
        column("id", "bigint", "bigint(20)", nullable=False, bits=64, auto_increment=True, has_default=True),
        column("id_random", "string", "char(22)", size=22, nullable=False, collation="utf8mb4_nopad_bin"),
    )
    by_name = {one.name: one for one in (*own, *columns)}
    return ReflectedTable(name=name, columns=by_name, primary_key=("id",), **more)  # type: ignore[arg-type]


def database(*tables: ReflectedTable) -> ReflectedDatabase:
    return ReflectedDatabase(dialect="mariadb", tables={one.name: one for one in tables})


def load(types: str, *tables: ReflectedTable) -> Loaded:
    return load_registry_text(f"version: 1\ntypes:\n{types}", database(*tables))


def codes(loaded: Loaded) -> list[str]:
    return [finding.code for finding in loaded.findings]


# ---------------------------------------------------------------- the shipped file


def test_the_shipped_file_declares_the_whole_domain(shipped: Registry) -> None:
    nested = {name: [parent.type for parent in one.parents] for name, one in shipped.types.items() if one.parents}
    assert nested == {
        "contact": ["person"],
        "journal_entry": ["journal"],
        "event_session": ["event"],
        "event_presentation": ["event_session"],
        "event_presenter": ["event_presentation"],
        "event_file": ["event", "event_session", "event_presentation", "event_presenter"],
        "event_badge_template": ["event"],
        "event_badge": ["event"],
    }
    flat = {"account", "user", "person", "page", "post", "journal", "event", "hosted_file", "email", "email_template"}
    assert set(shipped.types) == flat | set(nested)
    assert (shipped.account_type, shipped.user_type) == ("account", "user")
    kinds = {field.kind for one in shipped.types.values() for field in one.fields.values()}
    assert kinds == set(KINDS) - {"binary"}


def test_fields_stand_in_the_order_in_which_they_are_shown(shipped: Registry) -> None:
    names = list(shipped.types["journal_entry"].fields)
    assert names[:4] == ["id", "account_id", "journal_id", "title"]
    assert names[-3:] == ["created_on", "updated_on", "deleted_on"]


def test_what_is_always_filterable_and_what_sorts(shipped: Registry) -> None:
    fields = shipped.types["journal_entry"].fields
    for name in ("id", "account_id", "journal_id", "person_id"):
        assert (fields[name].operators, fields[name].sortable) == (SIX, False)
    for name in ("created_on", "updated_on"):
        assert fields[name].sortable
        assert "between" in fields[name].operators
    assert fields["amount"].operators == RANGE
    assert fields["body"].operators == ("icontains", "search")
    assert [name for name in fields if fields[name].sortable] == [
        "title", "entry_date", "visibility", "priority", "amount", "reviewed_on", "flagged", "created_on", "updated_on",
    ]  # fmt: skip
    for name in ("internal_note", "word_count"):
        assert not fields[name].operators
    assert not shipped.types["journal"].fields["passcode"].is_readable


def test_a_field_with_a_default_is_not_nullable_and_one_with_nothing_is(shipped: Registry) -> None:
    fields = shipped.types["journal_entry"].fields
    assert (fields["priority"].has_default, fields["priority"].nullable, fields["priority"].required) == (
        True,
        False,
        False,
    )
    assert (fields["amount"].has_default, fields["amount"].nullable) == (False, True)
    assert (fields["title"].required, fields["title"].nullable) == (True, False)


def test_relations_are_called_by_segment_and_by_the_id_without_its_end(shipped: Registry) -> None:
    assert shipped.types["journal"].relations["entry"] == Relation(
        name="entry", kind="many", target="journal_entry", field="journal_id", child=True
    )
    entry = shipped.types["journal_entry"].relations
    assert set(entry) == {"account", "journal", "person"}
    assert shipped.types["person"].relations["journals"].child is False
    file = shipped.types["event_file"]
    assert [file.fields[parent.field].nullable for parent in file.parents] == [True] * 4


def test_every_nested_path_is_found_once(shipped: Registry) -> None:
    found = [template_of(chain, "event_file") for chain in chains(shipped, "event_file")]
    assert len(found) == len(set(found)) == 4 + 3 + 2 + 1
    assert found[0] == "/event/{event_id}/file/"
    assert found[-1] == (
        "/event/{event_id}/session/{event_session_id}/presentation/{event_presentation_id}"
        "/presenter/{event_presenter_id}/file/"
    )
    assert template_of((), "event") == "/event/"
    assert segments_of(shipped)["event_session"]["file"].type == "event_file"


def test_the_digest_tells_declarations_and_databases_apart_and_not_their_spelling() -> None:
    one = load("  a: {table: a, account: {none: x}, fields: {b: {enum: [c]}}}\n")
    same = load("  a:\n    # a remark\n    table: a\n    account: {none: x}\n    fields: {b: {enum: {c: {}}}}\n")
    other = load("  a: {table: a, account: {none: y}, fields: {b: {enum: [c]}}}\n")
    found = load("  a: {table: a, account: {none: x}, fields: {b: {enum: [c]}}}\n", table("z"))
    digests = [loaded.registry.digest for loaded in (one, same, other, found) if loaded.registry]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3
    assert all(len(digest) == 16 for digest in digests)


def test_a_thousand_types_of_twenty_lines_load_in_good_time() -> None:
    text = "version: 1\ntypes:\n  firm: {table: firm, account: self, fields: {name: {type: string}}}\n"
    for number in range(1_000):
        text += f"  t{number}:\n    table: t{number}\n    account: own\n    search: [f1, f2, f3]\n    fields:\n"
        text += "".join(f"      f{at}: {{type: string(100), required: true}}\n" for at in range(14))
        text += "    sort: [f1]\n"
    before = time.process_time()
    loaded = load_registry_text(text)
    assert loaded.registry is not None
    assert len(loaded.registry.types) == 1_001
    assert time.process_time() - before < 5


# ---------------------------------------------------------------- reflection


CHARGE = table(
    "charge",
    column(
        "Title", "string", "varchar(160)", size=160, nullable=False, charset="latin1", collation="latin1_swedish_ci"
    ),
    column("amountPaid", "decimal", "decimal(10,2)", precision=10, scale=2),
    column("state", "enum", "enum('new','old')", enum=("new", "old"), nullable=False, has_default=True, default="new"),
    column("shop_id", "integer", "int(11)", bits=32, nullable=False),
    column("stray_id", "integer", "int(11)", bits=32),
    column("shape", None, "geometry"),
    indexes=(ReflectedIndex("title_once", ("Title",), is_unique=True),),
    foreign_keys=(
        ReflectedForeignKey(("shop_id",), "shop", ("id",)),
        ReflectedForeignKey(("stray_id",), "stray", ("id",)),
    ),
)
SHOP = table("shop", column("name", "string", "varchar(50)", size=50, nullable=False))
SHOP_TYPE = "  shop: {table: shop, account: {none: shared}}\n"


def test_a_type_with_only_a_table_gets_every_column() -> None:
    loaded = load(SHOP_TYPE + "  charge: {table: charge, account: {none: shared}}\n", CHARGE, SHOP)
    assert set(codes(loaded)) <= {"W103", "W111"}
    assert loaded.registry is not None
    charge = loaded.registry.types["charge"]
    # A foreign key to a table that is no type is a row id, which never leaves.
    assert list(charge.fields) == ["id", "title", "amount_paid", "state", "shop_id"]
    title = charge.fields["title"]
    assert (title.column, title.size, title.required, title.unique) == ("Title", 160, True, True)
    assert (title.charset, title.collation, title.is_exact) == ("latin1", "latin1_swedish_ci", False)
    assert charge.unique == (Index(("title",), is_unique=True, name="title_once"),)
    assert [one.value for one in charge.fields["state"].enum] == ["new", "old"]
    assert (charge.fields["state"].default, charge.fields["state"].nullable) == ("new", False)
    assert charge.relations["shop"].target == "shop"
    assert (charge.version, charge.created, charge.is_reflected) == (None, None, True)


@pytest.mark.parametrize(
    ("field", "code", "facts"),
    [
        ("title: {type: string(100)}", None, {"size": 100, "required": True}),
        ("title: {max_length: 100}", None, {"size": 160, "max_length": 100}),
        ("title: {type: string(200)}", "R305", {}),
        ("title: {type: text}", "R305", {}),
        ("title: {nullable: true}", None, {}),
        ("title: {type: string(100), nullable: true}", "R305", {}),
        ("title: {type: string(100), required: false}", "R305", {}),
        ("title: {type: integer}", "R306", {}),
        ("amount_paid: {type: 'decimal(8,2)', required: true}", None, {"precision": 8, "stores_null": True}),
        ("amount_paid: {type: 'decimal(10,4)'}", "R305", {}),
        ("state: {enum: {new: New}}", None, {"default": "new"}),
        ("state: {enum: {new: New, odd: Odd}}", "R305", {}),
        ("renamed: {column: amountPaid}", None, {"column": "amountPaid", "kind": "decimal"}),
        ("missing: {type: date}", "R302", {}),
        ("shape: {title: Shape}", "R306", {}),
    ],
)
def test_the_registry_may_tighten_what_the_database_says_and_never_loosen_it(
    field: str, code: str | None, facts: dict[str, object]
) -> None:
    loaded = load(SHOP_TYPE + f"  charge: {{table: charge, account: {{none: x}}, fields: {{{field}}}}}\n", CHARGE, SHOP)
    errors = [one for one in codes(loaded) if one.startswith("R")]
    assert errors == ([code] if code else []), render_findings(loaded.findings)
    if code == "R305":
        (finding,) = [one for one in loaded.findings if one.code == code]
        assert finding.place is not None
        assert "the database has charge." in finding.notes[0]
    if loaded.registry is not None:
        made = loaded.registry.types["charge"].fields[field.partition(":")[0]]
        assert {name: getattr(made, name) for name in facts} == facts


def test_what_a_migration_mends_leaves_a_target_and_nothing_else_does() -> None:
    bare = ReflectedTable(
        name="bare", columns={"BareId": column("BareId", "integer", nullable=False)}, primary_key=("BareId",)
    )
    loaded = load("  bare: {table: bare, account: {none: x}, soft_delete: gone_on, fields: {a: {type: date}}}\n", bare)
    assert sorted(codes(loaded)) == ["R302", "R302", "R303"]
    assert loaded.registry is None
    assert loaded.target is not None
    assert (loaded.target.types["bare"].key, loaded.target.types["bare"].public_id) == ("BareId", None)
    worse = load("  bare: {table: bare, account: own, fields: {a: {type: date}}}\n", bare)
    assert worse.target is None


def test_a_link_table_without_a_single_key_keeps_its_relations() -> None:
    link = ReflectedTable(
        name="link",
        columns={name: column(name, "integer", nullable=False) for name in ("charge_id", "shop_id")},
        primary_key=("charge_id", "shop_id"),
        foreign_keys=(
            ReflectedForeignKey(("charge_id",), "charge", ("id",)),
            ReflectedForeignKey(("shop_id",), "shop", ("id",)),
        ),
    )
    types = SHOP_TYPE + "  charge: {table: charge, account: {none: x}}\n  link: {table: link, account: {none: x}}\n"
    loaded = load(types, CHARGE, SHOP, link)
    assert {"R303", "R304"} <= set(codes(loaded))
    assert loaded.target is not None
    assert loaded.target.types["link"].key == "row_id"
    assert set(loaded.target.types["link"].relations) == {"charge", "shop"}


def test_an_inherited_type_without_an_account_column_is_reached_through_its_parents() -> None:
    firm = table("firm")
    shop = table("shop", column("account_id", "bigint", nullable=False))
    charge = table(
        "charge", column("ShopRef", "bigint"), foreign_keys=(ReflectedForeignKey(("ShopRef",), "shop", ("id",)),)
    )
    types = (
        "  firm: {table: firm, account: self}\n  shop: {table: shop, account: own}\n"
        "  charge: {table: charge, account: inherited, parent: shop}\n"
    )
    loaded = load(types, firm, shop, charge)
    assert "W106" in codes(loaded)
    assert loaded.registry is not None
    made = loaded.registry.types["charge"]
    assert (made.account.kind, made.account.column) == ("inherited", None)
    assert "account_id" not in made.fields
    assert made.fields["shop_id"].column == "ShopRef"


def test_columns_that_look_like_secrets_are_pointed_out_until_the_registry_speaks_of_them() -> None:
    user = table("user", column("password_hash", "string", size=100))
    assert "W112" in codes(load("  user: {table: user, account: {none: x}}\n", user))
    hidden = "  user: {table: user, account: {none: x}, fields: {password_hash: {hidden: true}}}\n"
    assert "W112" not in codes(load(hidden, user))


def test_without_a_database_names_may_be_columns_that_nobody_has_declared() -> None:
    text = (
        "version: 1\ntypes:\n  a: {table: a, account: {none: x}, display: '{title}', search: [title], sort: [-title]}\n"
    )
    loaded = load_registry_text(text)
    assert {finding.code for finding in loaded.findings} == {"W202"}
    assert loaded.registry is not None


# ---------------------------------------------------------------- lists that stand in two places


def test_families_functions_operators_and_kinds_agree() -> None:
    named = [name for names in FAMILIES.values() for name in names]
    assert set(named) == set(OPERATORS)
    for names in FAMILIES.values():
        assert list(names) == [name for name in OPERATORS if name in names], "the operator table's order"
    assert {kind.family for kind in KINDS.values()} == set(FAMILIES) == set(DEFAULTS)
    assert {family for families in FUNCTIONS.values() for family in families} <= set(FAMILIES)
    assert "regex" not in named


def test_the_parameters_of_lists_are_those_of_the_language() -> None:
    assert set(LIST_PARAMETERS) == QUERY_PARAMETERS


@pytest.mark.parametrize(
    ("column_name", "name"),
    [
        ("InvoiceLineId", "invoice_line_id"),
        ("HTTPServer", "http_server"),
        ("created on", "created_on"),
        ("2fa", "x_2fa"),
    ],
)
def test_columns_are_called_as_the_wire_writes_names(column_name: str, name: str) -> None:
    assert snake_case(column_name) == name


def test_titles_and_plurals_are_made_of_names() -> None:
    assert [title_of(name) for name in ("given_name", "person_id", "id")] == ["Given name", "Person", "ID"]
    assert [plural_of(title) for title in ("Entry", "Day", "Box", "Journal")] == [
        "Entries",
        "Days",
        "Boxes",
        "Journals",
    ]


def test_fields_can_be_keys_of_caches() -> None:
    """Statements and writers are cached by them."""
    assert hash(Field(name="a", column="a", kind="string")) == hash(Field(name="a", column="a", kind="string"))
    assert dataclasses.fields(Field)
