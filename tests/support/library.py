"""A small registry written by hand: a library with its own account type, one level of nesting, and every index kind."""

from __future__ import annotations

from engine.registry.reflection import ReflectedDatabase
from engine.registry.resource import (
    AccountRule,
    Child,
    EnumValue,
    Field,
    Index,
    Parent,
    Registry,
    Relation,
    Resource,
    SortKey,
)

_ID = Field(name="id", column="id_random", kind="id", role="public_id", size=22, nullable=False)
_ACCOUNT = Field(
    name="library_id", column="library_id", kind="relation", role="account", relation="library", nullable=False
)
_STATES = (EnumValue("it's new", "New"), EnumValue("worn", "Worn"))
_ACCOUNT_RELATION = Relation(name="library", kind="one", target="library", field="library_id")


def _resource(name: str, account: AccountRule, *fields: Field, **more: object) -> Resource:
    return Resource(
        name=name,
        table=name,
        key="id",
        public_id="id_random",
        title=name.title(),
        plural=f"{name.title()}s",
        account=account,
        fields={field.name: field for field in (_ID, *fields)},
        version="row_version",
        **{"relations": {}, **more},  # type: ignore[arg-type]
    )


LIBRARY = _resource(
    "library",
    AccountRule(kind="self"),
    Field(name="name", column="name", kind="string", size=100, required=True, nullable=False),
)
SHELF = _resource(
    "shelf",
    AccountRule(kind="own", column="library_id"),
    _ACCOUNT,
    Field(name="code", column="code", kind="string", size=20, unique=True, nullable=False),
    Field(name="created_on", column="created_on", kind="datetime", role="created", nullable=False),
    relations={"library": _ACCOUNT_RELATION},
    children=(Child("book", "shelf_id", "book", "cascade"),),
    created="created_on",
)
BOOK = _resource(
    "book",
    AccountRule(kind="inherited", column="library_id"),
    _ACCOUNT,
    Field(name="shelf_id", column="shelf_id", kind="relation", role="parent", relation="shelf"),
    Field(name="title", column="title", kind="string", size=200, nullable=False, sortable=True),
    Field(name="summary", column="summary", kind="text"),
    Field(name="price", column="price", kind="decimal", precision=8, scale=2, has_default=True, default="9.90"),
    Field(
        name="state", column="state", kind="enum", enum=_STATES, has_default=True, default="it's new", nullable=False
    ),
    Field(name="is_lent", column="is_lent", kind="boolean", has_default=True, default=False, nullable=False),
    Field(name="published_on", column="published_on", kind="date"),
    Field(name="opens_at", column="opens_at", kind="time"),
    Field(name="extra", column="extra", kind="json"),
    Field(name="sequel_id", column="sequel_id", kind="relation", role="relation", relation="sequel"),
    relations={
        "library": _ACCOUNT_RELATION,
        "shelf": Relation(name="shelf", kind="one", target="shelf", field="shelf_id"),
        "sequel": Relation(name="sequel", kind="one", target="book", field="sequel_id"),
    },
    parents=(Parent(type="shelf", field="shelf_id", segment="book"),),
    soft_delete="deleted_on",
    sort=(SortKey("published_on", True), SortKey("title", True)),
    unique=(Index(("shelf_id", "title"), is_unique=True),),
    indexes=(Index(("state", "-published_on")), Index(("library_id",))),
)
REGISTRY = Registry(types={one.name: one for one in (BOOK, LIBRARY, SHELF)}, account_type="library")
EMPTY = {"mariadb": ReflectedDatabase(dialect="mariadb"), "sqlite": ReflectedDatabase(dialect="sqlite")}
