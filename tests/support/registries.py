"""Registries made by hand, for tests that need one without reading YAML or a database.

`example_registry` holds the type of `tests/data/journal_entry.type.json` with the types
around it; `wide_registry` holds every field kind, four levels of nesting and a type with
several parents; `many_types` is as large as one likes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.principal import Account, Principal
from engine.registry.families import DEFAULTS, RANGE, SIX
from engine.registry.kinds import KINDS
from engine.registry.load import load_registry
from engine.registry.resource import (
    AccountRule,
    Child,
    Display,
    EnumValue,
    Field,
    Group,
    Parent,
    Registry,
    Relation,
    Resource,
    SortKey,
)

ROLES = {"viewer": ("*:read",), "editor": ("*:read", "*:write"), "admin": ("*:*", "action:*", "meta:*")}
ALL = Principal(kind="user", subject="u" * 22, is_operator=True, scopes=frozenset({"*:*", "action:*", "meta:*"}))
OWN_ACCOUNT = Account(1, "a" * 22)


def principal_of(*scopes: str) -> Principal:
    """A user of one account with these scopes."""
    return Principal(kind="user", subject="u" * 22, accounts=(OWN_ACCOUNT,), scopes=frozenset(scopes))


def field(name: str, kind: str, **more: Any) -> Field:
    """A field with the operators of its kind, unless told otherwise."""
    family = KINDS[kind].family
    more.setdefault("title", name.removesuffix("_id").replace("_", " ").capitalize())
    more.setdefault("operators", DEFAULTS[family])
    is_sortable = KINDS[kind].is_sortable and bool(more["operators"]) and family not in ("id", "json", "none")
    more.setdefault("sortable", is_sortable)
    return Field(name=name, kind=kind, **{"column": name, **more})


def relation_field(name: str, **more: Any) -> Field:
    """The id of a to-one relation that is called as the field without ``_id``."""
    more.setdefault("role", "relation")
    return field(name, "relation", relation=name.removesuffix("_id"), sortable=False, **more)


def resource(
    name: str,
    fields: Sequence[Field],
    *,
    account: str = "own",
    parents: Sequence[Parent] = (),
    relations: Iterable[Relation] = (),
    has_times: bool = True,
    **more: Any,
) -> Resource:
    """A type with the fields and relations that every type of its sort has."""
    title = name.replace("_", " ").capitalize()
    rule = AccountRule(kind=account, column=None if account in ("none", "self") else "account_id")  # type: ignore[arg-type]
    made = [field("id", "id", role="public_id", column="id_random", title="ID", nullable=False, sortable=False)]
    ones = list(relations)
    if account in ("own", "inherited"):
        made.append(relation_field("account_id", role="account", nullable=False))
        ones.append(Relation(name="account", kind="one", target="account", field="account_id"))
    for parent in parents:
        made.append(relation_field(parent.field, role="parent", nullable=len(parents) > 1, create_only=True))
        ones.append(Relation(name=parent.field.removesuffix("_id"), kind="one", target=parent.type, field=parent.field))
    made.extend(fields)
    if has_times:
        made.append(field("created_on", "datetime", role="created", title="Created", nullable=False))
        made.append(field("updated_on", "datetime", role="updated", title="Updated", nullable=False))
    return Resource(
        name=name,
        table=name,
        key="id",
        public_id="id_random",
        title=more.pop("title", title),
        plural=more.pop("plural", f"{title}s"),
        account=rule,
        fields={one.name: one for one in made},
        relations={one.name: one for one in ones},
        parents=tuple(parents),
        version="row_version",
        created="created_on" if has_times else None,
        updated="updated_on" if has_times else None,
        **more,
    )


def registry_of(*resources: Resource) -> Registry:
    """A registry of these types, with the other side of each parent put in."""
    children: dict[str, list[Child]] = {one.name: [] for one in resources}
    for one in resources:
        for parent in one.parents:
            children[parent.type].append(Child(one.name, parent.field, parent.segment, parent.on_delete))
    types = {}
    for one in resources:
        many = {
            child.segment: Relation(name=child.segment, kind="many", target=child.type, field=child.field, child=True)
            for child in children[one.name]
        }
        types[one.name] = replace(one, children=tuple(children[one.name]), relations={**one.relations, **many})
    account_type = "account" if "account" in types else None
    return Registry(types=types, roles=ROLES, account_type=account_type, digest="0123456789abcdef")


def example_registry() -> Registry:
    """The type of the example document, with account, person and journal."""
    account = resource(
        "account",
        [field("name", "string", size=200, required=True, nullable=False, searchable=True)],
        account="self",
        display=Display("{name}", lookup=("name",)),
    )
    person = resource(
        "person",
        [
            field("given_name", "string", size=100, required=True, nullable=False, searchable=True),
            field("family_name", "string", size=100, required=True, nullable=False, searchable=True),
            field("email", "email", size=254),
            field("enable", "boolean", has_default=True, default=True, nullable=False),
            field("passcode", "string", size=100, secret=True, operators=()),
        ],
        display=Display("{given_name} {family_name}", lookup=("given_name", "family_name")),
    )
    journal = resource(
        "journal",
        [
            field("name", "string", size=200, required=True, nullable=False, searchable=True),
            field("description", "text", operators=()),
            field("internal_note", "string", size=200, hidden=True, operators=()),
        ],
        display=Display("{name}", lookup=("name",)),
        soft_delete="deleted_on",
    )
    return registry_of(account, person, journal, _journal_entry())


def _journal_entry() -> Resource:
    ordered = (*SIX, "lt", "lte", "gt", "gte", "between")
    return resource(
        "journal_entry",
        [
            field(
                "title", "string", size=200, min_length=1, required=True, nullable=False, searchable=True,
                help="Short summary shown in lists.", placeholder="What happened?",
                operators=("eq", "ne", "in", "nin", "contains", "starts_with", "ends_with", "ieq"),
            ),
            field("entry_date", "date", title="Date", required=True, nullable=False, operators=ordered),
            relation_field(
                "person_id", title="Author", required=True, nullable=False, where={"enable": {"eq": True}}
            ),
            field(
                "amount", "decimal", precision=15, scale=2, required=True, nullable=False, operators=ordered,
                placeholder="0.00", examples=("125.00",),
            ),
            field(
                "status", "enum", has_default=True, default="draft", nullable=False,
                enum=(
                    EnumValue("draft", "Draft", "gray"), EnumValue("posted", "Posted", "green"),
                    EnumValue("void", "Void", "red"),
                ),
            ),
            field(
                "body", "text", title="Notes", max_length=65_535, searchable=True, operators=("contains", "null"),
                sortable=False,
            ),
            field("reference", "string", size=64, unique=True, operators=(*SIX, "starts_with")),
            field("reviewed_at", "datetime", operators=ordered),
            field(
                "tags", "json", items="string", has_default=True, default=[], nullable=False,
                operators=("has", "has_any", "has_all"),
            ),
            field("pinned", "boolean", has_default=True, default=False, nullable=False),
        ],
        account="inherited",
        parents=[Parent(type="journal", field="journal_id", segment="entry")],
        relations=[Relation(name="person", kind="one", target="person", field="person_id")],
        title="Journal entry",
        plural="Journal entries",
        description="One dated line of a journal.",
        icon="notebook-pen",
        display=Display("{title}", "{entry_date}", ("title", "reference")),
        sort=(SortKey("entry_date", descending=True),),
        list_fields=("entry_date", "title", "person_id", "amount", "status"),
        groups=(
            Group("main", "Entry", ("journal_id", "title", "entry_date", "person_id", "amount")),
            Group("state", "State", ("status", "pinned", "reviewed_at")),
            Group("details", "Details", ("reference", "tags", "body"), collapsed=True),
        ),
    )  # fmt: skip


def shipped_registry() -> Registry:
    """The registry that the product comes with, as it is without a database."""
    loaded = load_registry(Path(__file__).parents[2] / "resources.yaml", None)
    assert loaded.registry is not None, loaded.findings
    return loaded.registry


def wide_registry() -> Registry:
    """Every kind, every role; house > room > shelf > slot, and a note under each of the four."""
    account = resource("account", [field("name", "string", size=200, required=True, nullable=False)], account="self")
    kinds = [field(f"a_{kind}", kind) for kind in KINDS if kind not in ("id", "relation", "enum")]
    needed = [
        field(f"b_{kind}", kind, required=True, nullable=False)
        for kind in KINDS
        if kind not in ("id", "relation", "enum")
    ]
    house = resource(
        "house",
        [
            *kinds,
            *needed,
            field("colour", "enum", enum=(EnumValue("red", "Red"), EnumValue("blue", "Blue"))),
            field("level", "integer", bits=8, unsigned=True, min=1, max=9, operators=RANGE),
            field("code", "string", size=10, pattern="^[A-Z]+$", create_only=True, unique=True),
            field("area", "decimal", precision=8, scale=3, computed=True, column=None, operators=(), sortable=False),
            field("pin", "string", size=100, secret=True, operators=()),
            field("key_text", "string", size=100, hidden=True, operators=()),
            field("essay", "text", heavy=True),
            relation_field("twin_id"),
        ],
        relations=[Relation(name="twin", kind="one", target="house", field="twin_id")],
        soft_delete="deleted_on",
    )
    chain = [house]
    for name, above in (("room", "house"), ("shelf", "room"), ("slot", "shelf")):
        parent = Parent(type=above, field=f"{above}_id", segment=name)
        label = field("label", "string", size=50, required=True, nullable=False, searchable=True)
        chain.append(resource(name, [label], account="inherited", parents=[parent]))
    note = resource(
        "note",
        [field("body", "text", required=True, nullable=False, searchable=True)],
        account="inherited",
        parents=[Parent(type=one.name, field=f"{one.name}_id", segment="note") for one in chain],
        if_match_required=True,
    )
    word = resource(
        "word", [field("name", "string", size=50, required=True, nullable=False)], account="none", public={}
    )
    view = resource("house_report", [field("total", "integer")], is_view=True)
    return registry_of(account, *chain, note, word, view)


def many_types(count: int) -> Registry:
    """A registry of some number of types in nests of four, each with a dozen fields."""
    account = resource("account", [field("name", "string", size=200, required=True, nullable=False)], account="self")
    made = [account]
    for number in range(count - 1):
        fields = [
            field("name", "string", size=200, required=True, nullable=False, searchable=True),
            field("body", "text", operators=("contains", "icontains")),
            field("day", "date"),
            field("moment", "datetime"),
            field("amount", "decimal", precision=12, scale=2),
            field("count_of", "integer"),
            field("is_open", "boolean", has_default=True, default=True, nullable=False),
            field("state", "enum", enum=(EnumValue("a", "A"), EnumValue("b", "B"), EnumValue("c", "C"))),
            field("extra", "json"),
            relation_field("friend_id"),
        ]
        name = f"type{number}"
        parents = (
            []
            if number % 4 == 0
            else [Parent(type=f"type{number - 1}", field=f"type{number - 1}_id", segment=f"part{number}")]
        )
        friend = Relation(name="friend", kind="one", target=f"type{max(number - 7, 0)}", field="friend_id")
        made.append(
            resource(
                name, fields, account="inherited" if parents else "own", parents=parents, relations=[friend],
                display=Display("{name}", lookup=("name",)),
            )
        )  # fmt: skip
    return registry_of(*made)
