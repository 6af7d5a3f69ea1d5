"""The values that planning yields: shapes, which pick a cached statement, and what goes with them.

A shape is hashable and holds nothing that a caller typed but names the registry
knows. Operands, ids and limits travel beside it, as values. How a shape becomes
SQL is `sql/`'s business; how a filter becomes a shape is `plan/conditions.py`'s.

Order of values: a condition's values are the operands of its leaves in the order
of a depth-first walk, children first to last; a `Count` gives the values of its
inner condition, then those of its comparison.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from engine.light import light

if TYPE_CHECKING:
    from engine.plan.rights import Rights
    from engine.principal import Principal
    from engine.registry.resource import Registry

Dialect = Literal["mariadb", "sqlite"]


@light
@dataclass(frozen=True, slots=True)
class Path:
    """A way over to-one relations to a field of the last type.

    Attributes:
        hops: Names of to-one relations, from the root type on.
        field: Wire name of the field on the type where the hops end.
        function: One of the functions of the search language (``year … date length lower``), or None.
    """

    hops: tuple[str, ...]
    field: str
    function: str | None = None


@light
@dataclass(frozen=True, slots=True)
class Const:
    """Always true or always false."""

    value: bool


@light
@dataclass(frozen=True, slots=True)
class Leaf:
    """A field compared with operands.

    Attributes:
        path: What is compared.
        operator: A key of the operator table.
        arity: How many values it takes; lists are padded, so that few arities exist.
        negated: True where the leaf must be true exactly when the plain leaf is not.
        zone: The time zone of the path's function, where it matters (part of the shape), else None.
        variant: What else the operator's SQL depends on (JSON: the type of the operand, ``str`` or ``int``…), else "".
    """

    path: Path
    operator: str
    arity: int
    negated: bool = False
    zone: str | None = None
    variant: str = ""


@light
@dataclass(frozen=True, slots=True)
class FieldLeaf:
    """A field compared with another field of the same row (or of its to-one relations)."""

    path: Path
    operator: str
    other: Path
    negated: bool = False
    zone: str | None = None


@light
@dataclass(frozen=True, slots=True)
class Present:
    """Whether a to-one relation's target is there and visible (`negated`: absent or invisible)."""

    hops: tuple[str, ...]
    negated: bool = False


@light
@dataclass(frozen=True, slots=True)
class Exists:
    """Whether some related row of a to-many fulfils a condition; None is any row at all."""

    hops: tuple[str, ...]
    relation: str
    condition: Condition | None
    negated: bool = False


@light
@dataclass(frozen=True, slots=True)
class Count:
    """How many related rows of a to-many fulfil a condition, compared with integers."""

    hops: tuple[str, ...]
    relation: str
    condition: Condition | None
    operator: str
    arity: int
    negated: bool = False


@light
@dataclass(frozen=True, slots=True)
class And:
    """All of them."""

    parts: tuple[Condition, ...]


@light
@dataclass(frozen=True, slots=True)
class Or:
    """At least one of them."""

    parts: tuple[Condition, ...]


Condition = Const | Leaf | FieldLeaf | Present | Exists | Count | And | Or


@light
@dataclass(frozen=True, slots=True)
class PlannedCondition:
    """A condition's shape with its values, the latter ready for the driver of the dialect."""

    shape: Condition
    values: tuple[object, ...]


@light
@dataclass(frozen=True, slots=True)
class Order:
    """One planned key of an order.

    Attributes:
        path: What is sorted by; for a ``count(to-many)`` key `path.field` is the relation and `is_count` is true.
        nulls_last: Decided already.
        nullable: Whether the expression can be NULL at all (a hop makes it so).
    """

    path: Path
    descending: bool
    nulls_last: bool
    nullable: bool
    is_count: bool = False
    zone: str | None = None


@light
@dataclass(frozen=True, slots=True)
class PlanContext:
    """What planning needs to know besides the call.

    Attributes:
        now: The request's time, UTC, aware. One per request, so that all macros agree.
        timezone: IANA name from the search body; decides macros, plain dates and functions.
    """

    registry: Registry
    rights: Rights
    principal: Principal
    dialect: Dialect
    now: datetime
    timezone: str = "UTC"


# ---------------------------------------------------------------- reads


@light
@dataclass(frozen=True, slots=True)
class Viewer:
    """As much of a caller as statements depend on.

    Attributes:
        accounts: Account binds of the statement, padded to 1, 2, 4, …; 0 = no account condition (an operator).
        rights: `Rights.key`; picks the row rules.
    """

    accounts: int
    rights: int


@light
@dataclass(frozen=True, slots=True)
class Selection:
    """What is read of one type, with the to-one relations that are read along.

    Attributes:
        fields: Wire names, in the order they are answered; ``id`` is among them.
        ones: To-one relations by name, each with its own selection.
        many: Names of to-many relations whose rows are read by statements of their own; here they
            only mean that the row id is needed.
        with_source: Whether all stored fields are read, for computed fields to be computed from.
    """

    type: str
    fields: tuple[str, ...]
    ones: tuple[tuple[str, Selection], ...] = ()
    many: tuple[str, ...] = ()
    with_source: bool = False


@light
@dataclass(frozen=True, slots=True)
class Link:
    """One step of a nested path: the parent's type, and the field by which the one below points at it."""

    type: str
    field: str


@light
@dataclass(frozen=True, slots=True)
class Keyset:
    """Where a cursor page starts, as far as the statement depends on it.

    Attributes:
        backward: Whether the rows before the position are wanted.
        nulls: For each key whether the position's value is NULL.
    """

    backward: bool
    nulls: tuple[bool, ...]


Deleted = Literal["exclude", "include", "only"]


@light
@dataclass(frozen=True, slots=True)
class ReadShape:
    """Picks one read statement.

    Attributes:
        page: ``one`` reads by public id, ``page`` a list, ``arm`` the rows of one parent of a to-many relation,
            ``count`` all of them, ``capped`` at most `COUNT_CAP` of them, ``chain`` whether the parents are there,
            ``key`` one row by its row id (a write reads its own row back).
        chain: The parents of a nested path, nearest first.
        via: For ``arm``: the field of `type` that points at the parent.
    """

    type: str
    viewer: Viewer
    selection: Selection
    page: Literal["one", "page", "arm", "count", "capped", "chain", "key"]
    condition: Condition = Const(True)
    chain: tuple[Link, ...] = ()
    order: tuple[Order, ...] = ()
    keyset: Keyset | None = None
    has_offset: bool = False
    deleted: Deleted = "exclude"
    via: str | None = None


@light
@dataclass(frozen=True, slots=True)
class Expansion:
    """Rows of a to-many relation, read for all rows of the level above at once.

    Attributes:
        hops: To-one relations from the row above to the rows that the relation belongs to.
        relation: Its name.
        shape: An ``arm`` shape.
        values: The values of its condition.
        limit: Rows for each parent.
        expansions: The level below.
    """

    hops: tuple[str, ...]
    relation: str
    shape: ReadShape
    values: tuple[object, ...]
    limit: int
    expansions: tuple[Expansion, ...] = ()


@light
@dataclass(frozen=True, slots=True)
class ReadPlan:
    """A read, ready to run.

    Attributes:
        values: By bind name (see `sql/read.py`), without those of row rules.
        limit: Rows of the page.
        offset: Rows left out before it; None on a cursor page.
        binding: What a cursor of this search is bound to; empty where the page has no cursor.
        count: How the rows are counted.
        warnings: Sentences for ``meta.warnings``.
    """

    shape: ReadShape
    values: dict[str, object]
    limit: int = 1
    offset: int | None = 0
    binding: bytes = b""
    count: Literal["none", "exact", "estimated"] = "none"
    expansions: tuple[Expansion, ...] = ()
    warnings: tuple[str, ...] = ()
    with_cursor: bool = False
