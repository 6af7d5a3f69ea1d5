"""What the statements of one caller and one running engine share, and what the parts of one statement do.

Which tables a statement has is `relations.py`'s business.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import bindparam
from sqlalchemy.sql.elements import BindParameter

from engine.errors import ErrorItem, QueryTooComplex
from engine.plan.rights import Rights
from engine.plan.shape import Dialect, Viewer
from engine.registry.resource import Registry, Resource
from engine.tables import Tables

MAX_TABLES = 50


@dataclass(slots=True)
class Names:
    """What one whole statement shares: alias numbers, bind numbers, and the types whose rules it holds.

    Attributes:
        is_cut: Whether the statement reads the first rows of an order, and not all rows.
    """

    tables: int = 0
    values: int = 0
    is_cut: bool = False
    guarded: list[str] = field(default_factory=list)

    def next_alias(self) -> str:
        """Name one more table; refuse a statement with too many."""
        self.tables += 1
        if self.tables > MAX_TABLES:
            detail = f"The search joins more than {MAX_TABLES} tables. Use fewer relations in it."
            raise QueryTooComplex(detail, errors=[ErrorItem("too-complex", detail, pointer="")])
        return f"t{self.tables}"

    def next_values(self, count: int) -> list[BindParameter[object]]:
        """Name the next `count` values of the condition."""
        first, self.values = self.values, self.values + count
        return [bindparam(f"v{i}") for i in range(first, first + count)]


@dataclass(frozen=True, slots=True)
class Setting:
    """What all statements of one caller and one running engine have in common."""

    registry: Registry
    tables: Tables
    dialect: Dialect
    viewer: Viewer
    rights: Rights


def stored_name(resource: Resource, field_name: str) -> str:
    """The column of a stored field."""
    column = resource.fields[field_name].column
    if column is None:
        raise LookupError(f"{resource.name}.{field_name} has no column")
    return column


def public_name(resource: Resource) -> str:
    """The column of the public id."""
    if resource.public_id is None:
        raise LookupError(f"{resource.name} has no public ids")
    return resource.public_id
