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

if TYPE_CHECKING:
    from engine.plan.rights import Rights
    from engine.principal import Principal
    from engine.registry.resource import Registry

Dialect = Literal["mariadb", "sqlite"]


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


@dataclass(frozen=True, slots=True)
class Const:
    """Always true or always false."""

    value: bool


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


@dataclass(frozen=True, slots=True)
class FieldLeaf:
    """A field compared with another field of the same row (or of its to-one relations)."""

    path: Path
    operator: str
    other: Path
    negated: bool = False
    zone: str | None = None


@dataclass(frozen=True, slots=True)
class Present:
    """Whether a to-one relation's target is there and visible (`negated`: absent or invisible)."""

    hops: tuple[str, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Exists:
    """Whether some related row of a to-many fulfils a condition; None is any row at all."""

    hops: tuple[str, ...]
    relation: str
    condition: Condition | None
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Count:
    """How many related rows of a to-many fulfil a condition, compared with integers."""

    hops: tuple[str, ...]
    relation: str
    condition: Condition | None
    operator: str
    arity: int
    negated: bool = False


@dataclass(frozen=True, slots=True)
class And:
    """All of them."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """At least one of them."""

    parts: tuple[Condition, ...]


Condition = Const | Leaf | FieldLeaf | Present | Exists | Count | And | Or


@dataclass(frozen=True, slots=True)
class PlannedCondition:
    """A condition's shape with its values, the latter ready for the driver of the dialect."""

    shape: Condition
    values: tuple[object, ...]


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
