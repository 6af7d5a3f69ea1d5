"""The registry as the engine runs on it: frozen, complete, every default decided.

These values are what `registry/build.py` makes of the YAML declarations and of
the reflected database, and what all later stages read. Nothing here knows YAML,
SQL or HTTP. The grammar is `registry/grammar.py`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from engine.registry.legacy import NO_SWITCHES, LegacySwitches
from engine.registry.sign_in import SignInFields

OnDelete = Literal["cascade", "restrict", "detach"]


@dataclass(frozen=True, slots=True)
class EnumValue:
    """One value of an enum field, as stored and on the wire."""

    value: str
    title: str
    color: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of a type, by its wire name.

    Attributes:
        name: Wire name.
        column: Column name; None for a computed field (it comes from an override).
        kind: A key of `registry.kinds.KINDS`: ``string text integer bigint decimal float boolean date time datetime
            json uuid email uri binary enum`` and, for the two id families, ``id`` (this row's public id) and
            ``relation`` (the public id of what the column's row id points at).
        role: What the engine uses it for. Everything but ``plain`` and ``relation`` is written by the engine alone;
            ``parent`` is a relation that is also a parent field.
        size: Most characters of a string (of the column), or None.
        precision, scale: Of a decimal.
        unsigned: The column takes no negative numbers.
        bits: Width of an integer column (8, 16, 24, 32, 64).
        default: JSON value used when a create leaves the field out; see `has_default`.
        hidden: Exists in the table, never leaves the server and is never taken from outside.
        secret: Writable, never readable; `password` also stores it as argon2id.
        operators: Operators a filter may use on it, in the operator table's order; empty = not filterable.
        sortable: Whether a sort may name it.
        searchable: Whether `q` looks into it (a text field named by the type's `search`).
        relation: Name of the to-one relation that this id carries; None for others.
        read, write: Scope or role that the caller needs beyond the type's, or None.
        collation, charset: Of the column as reflected; None where we created it (utf8mb4_nopad_bin).
        is_exact: The column compares text byte for byte, trailing spaces included, as it is.
        stored_as: How the column stores the value: ``native`` is the kind's own way, as in all columns that we create.
            ``json_text``: JSON in a column that takes any text.
            Reflected SQLite ones: ``date_text time_text real``, and the spellings of `registry/spellings.py`.
            Reflected MariaDB ones: ``single`` (FLOAT), ``enum``, ``truth`` (any number), ``zero`` (may be a zero date).
        zone: IANA zone whose clocks the column keeps, for a reflected datetime; None = UTC, as in all that we create.
        stores_null: The column may hold NULL although `nullable` is false: the registry tightened it.
        ui: Options for form libraries, passed on as they are.
        is_keyed: Of a relation: a foreign key of the database proves that its target exists.
    """

    name: str
    column: str | None
    kind: str
    role: Literal["plain", "public_id", "account", "created", "updated", "deleted", "parent", "relation"] = "plain"
    size: int | None = None
    precision: int | None = None
    scale: int | None = None
    unsigned: bool = False
    bits: int | None = None
    title: str = ""
    help: str | None = None
    placeholder: str | None = None
    widget: str | None = None
    has_default: bool = False
    default: Any = None
    required: bool = False
    nullable: bool = True
    readonly: bool = False
    create_only: bool = False
    hidden: bool = False
    secret: bool = False
    password: bool = False
    heavy: bool = False
    computed: bool = False
    operators: tuple[str, ...] = ()
    sortable: bool = False
    searchable: bool = False
    min: int | float | str | None = None
    max: int | float | str | None = None
    min_length: int | None = None
    max_length: int | None = None
    pattern: str | None = None
    enum: tuple[EnumValue, ...] = ()
    relation: str | None = None
    where: Mapping[str, Any] | None = None
    unique: bool = False
    read: str | None = None
    write: str | None = None
    examples: tuple[Any, ...] = ()
    deprecated: bool = False
    items: str | None = None
    collation: str | None = None
    charset: str | None = None
    is_exact: bool = True
    stored_as: str = "native"
    zone: str | None = None
    is_keyed: bool = True
    stores_null: bool = False
    ui: Mapping[str, Any] | None = None

    @property
    def is_readable(self) -> bool:
        """Whether anybody may read it at all."""
        return not (self.hidden or self.secret)

    @property
    def is_createable(self) -> bool:
        """Whether a create may give it at all."""
        return self.role in ("plain", "relation", "parent") and not (self.readonly or self.hidden or self.computed)

    @property
    def is_updateable(self) -> bool:
        """Whether an update may change it at all."""
        return self.role in ("plain", "relation") and not (
            self.readonly or self.hidden or self.computed or self.create_only
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """A named way from one type to another.

    Attributes:
        name: Wire name (``person``; a to-many is called by the child's segment or by ``reverse``).
        kind: ``one`` follows this type's `field`; ``many`` looks at the target's `field`.
        target: Name of the type on the other side.
        field: Name of the id field that carries it: on this type for ``one``, on the target for ``many``.
        child: For ``many``: whether the other side is a nested child (its `field` is a parent field).
    """

    name: str
    kind: Literal["one", "many"]
    target: str
    field: str
    child: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Parent:
    """One type under which a type is nested."""

    type: str
    field: str
    segment: str
    on_delete: OnDelete = "cascade"


@dataclass(frozen=True, slots=True)
class Child:
    """The other side of `Parent`."""

    type: str
    field: str
    segment: str
    on_delete: OnDelete


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRule:
    """How a type belongs to an account.

    Attributes:
        kind: ``self`` (the account type), ``own``, ``inherited`` or ``none``.
        column: Column with the account's row id. None for ``none``, for ``self`` (it is the key), and for an
            inherited reflected table that has none: then the account is reached through the parents.
        reason: Why a ``none`` type is shared.
    """

    kind: Literal["self", "own", "inherited", "none"]
    column: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class SortKey:
    """One key of an order.

    Attributes:
        expression: A field expression (``title``, ``person.family_name``, ``lower(title)``) or ``count(segment)``.
        descending: Direction.
        nulls_last: Where NULLs go; None = the contract's default (first ascending, last descending).
    """

    expression: str
    descending: bool = False
    nulls_last: bool | None = None


@dataclass(frozen=True, slots=True)
class Index:
    """An index or unique constraint over wire field names; ``-name`` is a descending part."""

    fields: tuple[str, ...]
    is_unique: bool = False
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """A group of form fields."""

    name: str
    title: str
    fields: tuple[str, ...]
    collapsed: bool = False


@dataclass(frozen=True, slots=True)
class Display:
    """How an object is named to people: templates over field names, and the fields a look-up searches."""

    title: str
    subtitle: str | None = None
    lookup: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FileRule:
    """Which fields of a file type hold what: names of fields."""

    digest: str
    size: str
    type: str
    name: str


@dataclass(frozen=True, slots=True)
class Legacy:
    """What V1 and V2 called the type and its fields (old → new), and what of its old routes is switched off."""

    name: str | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    switches: LegacySwitches = NO_SWITCHES


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A resource type, complete.

    Attributes:
        key: Column of the integer row id.
        public_id: Column of the public id; None until `aether migrate` has added it.
        fields: By wire name, in declared order: ``id``, ``account_id``, parent fields, the others, the timestamps.
        relations: By wire name, to-one and to-many.
        version: Column that changes with every write, or None (reflected tables before `migrate`).
        created, updated: Columns of the timestamps, or None.
        soft_delete: Column of the deletion time, or None.
        sort: Default order; empty = newest first (by row id, descending).
        list_fields: Columns a list shows, by field name.
        rows: Role → row rule, a filter in the search grammar as written.
        public: None (not public), or the filter of the rows that everybody may read (``{}`` = all).
        is_reflected: The table existed when the registry was loaded.
        echoes: What is written to a column is read from it unchanged; so it is in tables that we create, and in found
            ones whose columns are of the very types that we would create.
        is_view: Read-only.
        ui: Options for form libraries, passed on as they are.
    """

    name: str
    table: str
    key: str
    public_id: str | None
    title: str
    plural: str
    account: AccountRule
    fields: Mapping[str, Field]
    relations: Mapping[str, Relation]
    parents: tuple[Parent, ...] = ()
    children: tuple[Child, ...] = ()
    description: str | None = None
    icon: str | None = None
    display: Display = Display("{id}")
    version: str | None = None
    created: str | None = None
    updated: str | None = None
    soft_delete: str | None = None
    sort: tuple[SortKey, ...] = ()
    list_fields: tuple[str, ...] = ()
    groups: tuple[Group, ...] = ()
    rows: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    public: Mapping[str, Any] | None = None
    unique: tuple[Index, ...] = ()
    indexes: tuple[Index, ...] = ()
    page_limit: int = 50
    page_max: int = 1000
    if_match_required: bool = False
    resolves_to: str | None = None
    file: FileRule | None = None
    legacy: Legacy = Legacy()
    history: bool = False
    is_reflected: bool = False
    echoes: bool = True
    is_view: bool = False
    ui: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Limits:
    """The published limits of a search."""

    depth: int = 10
    leaves: int = 200
    in_values: int = 1000
    hops: int = 4
    expand_levels: int = 4
    body_bytes: int = 256 * 1024
    offset: int = 100_000


@dataclass(frozen=True, slots=True)
class ColumnNames:
    """What `defaults` calls the engine's own columns; `aether migrate` adds those that an existing table lacks."""

    row: str = "id"
    public: str = "id_random"
    created: str = "created_on"
    updated: str = "updated_on"
    version: str = "row_version"
    account: str = "account_id"


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """Every resource type, and what they share.

    Attributes:
        types: By name, in declared order.
        roles: Role → scopes.
        user_type: The type whose rows are people (`auth.user`), or None.
        require_user: Whether a token's ``sub`` must have a row.
        sign_in: By which of its fields people sign in; None where nobody can.
        account_type: The type with ``account: self``, or None.
        timezone: IANA zone in which reflected DATETIME columns are stored.
        digest: Hash of all that was declared and reflected, 16 hex characters.
        source: Path of the file, as given.
        columns: Names of the engine's own columns.
        legacy: Which old routes are switched off for all types.
    """

    types: Mapping[str, Resource]
    roles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    user_type: str | None = None
    require_user: bool = False
    sign_in: SignInFields | None = None
    account_type: str | None = None
    limits: Limits = Limits()
    timezone: str = "UTC"
    digest: str = ""
    source: str = "resources.yaml"
    columns: ColumnNames = ColumnNames()
    legacy: LegacySwitches = NO_SWITCHES
