"""The one field gate: whether a caller may use a field in a way, and where the field is.

Every name that a caller writes (in a filter, an order, a field list, an expand,
a body) is resolved here and nowhere else. A field that does not exist, one that
may not be used so and one that the caller may not see are refused alike.
Answers are memoised: they depend on the registry and on the rights alone.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import Literal

from engine.plan.rights import Rights
from engine.plan.shape import Order, Path, ReadShape, Selection
from engine.registry.families import FUNCTIONS
from engine.registry.kinds import KINDS
from engine.registry.resource import Field, Registry, Relation, Resource

Use = Literal["read", "filter", "sort", "write"]

MAX_MEMO = 20_000
MAX_GATES = 1_000
MAX_EXPRESSION = 300
_CALL = re.compile(r"([a-z]+)\(([A-Za-z0-9_.]+)\)\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Resolved:
    """A field expression that the caller may use.

    Attributes:
        path: The way to it.
        resource: The type that the field belongs to.
        field: The field.
    """

    path: Path
    resource: Resource
    field: Field


class FieldRefused(Exception):
    """A field expression that the caller may not use: item code ``unknown-field``.

    Attributes:
        type_name: The type that was asked for the name.
        name: The part of the expression that is not known there.
        suggestions: Names that the caller may have meant, all usable by him.
        too_many_hops: Whether the expression crosses more relations than allowed (item code ``too-complex``).
    """

    def __init__(
        self, type_name: str, name: str, suggestions: tuple[str, ...] = (), *, limit: int | None = None
    ) -> None:
        detail = f"{type_name} has no field {name[:80]!r} that can be used here."
        if limit is not None:
            detail = f"{name[:80]!r} crosses more than {limit} relations (limit `hops`)."
        super().__init__(detail)
        self.type_name = type_name
        self.name = name
        self.suggestions = suggestions
        self.too_many_hops = limit is not None

    @property
    def detail(self) -> str:
        """The sentence for the problem."""
        return str(self)


class Gate:
    """Resolves names for one set of rights.

    Args:
        registry: The running registry.
        rights: The caller's.
    """

    __slots__ = ("_memo", "_relations", "digests", "orders", "registry", "rights", "selections")

    def __init__(self, registry: Registry, rights: Rights) -> None:
        self.registry = registry
        self.rights = rights
        self._memo: dict[tuple[str, str, Use], Resolved] = {}
        self._relations: dict[tuple[str, str], Relation | None] = {}
        self.selections: dict[str, Selection] = {}
        self.orders: dict[str, tuple[Order, ...]] = {}
        self.digests: dict[tuple[str, int], ReadShape] = {}

    def resolve(self, type_name: str, expression: str, use: Use) -> Resolved:
        """Find a field expression from a type on.

        Args:
            type_name: Where the expression starts.
            expression: ``name``, ``relation.name`` or ``function(relation.name)``.
            use: What it is wanted for.

        Raises:
            FieldRefused: There is no such field for this caller and use.
        """
        key = (type_name, expression, use)
        known = self._memo.get(key)
        if known is None:
            known = self._resolve(type_name, expression, use)
            if len(self._memo) < MAX_MEMO:
                self._memo[key] = known
        return known

    def relation(self, type_name: str, name: str) -> Relation | None:
        """A relation of a type whose other side the caller may read, or None."""
        key = (type_name, name)
        if key in self._relations:
            return self._relations[key]
        resource = self.registry.types[type_name]
        found = resource.relations.get(name)
        if found is not None and not self._may_follow(resource, found):
            found = None
        if found is not None or name in resource.relations:
            self._relations[key] = found
        return found

    def usable(self, type_name: str, use: Use) -> list[str]:
        """Names of the fields of a type that the caller may use in a way."""
        resource = self.registry.types[type_name]
        return [field.name for field in resource.fields.values() if self._may_use(resource, field, None, use)]

    def relation_names(self, type_name: str) -> list[str]:
        """Names of the relations of a type that the caller may follow."""
        return [name for name in self.registry.types[type_name].relations if self.relation(type_name, name)]

    def is_known_relation(self, resource: Resource, relation: Relation) -> bool:
        """Whether the caller may know of a relation, though perhaps not read its target: its id is not hidden."""
        if relation.kind == "one":
            return relation.field in self.rights.readable(resource.name)
        return self.registry.types[relation.target].fields[relation.field].is_readable

    # ------------------------------------------------------------ private

    def _resolve(self, type_name: str, expression: str, use: Use) -> Resolved:
        function: str | None = None
        dotted = expression
        if len(expression) > MAX_EXPRESSION:
            raise FieldRefused(type_name, expression)
        call = _CALL.match(expression)
        if call is not None:
            function, dotted = call.group(1), call.group(2)
            if function not in FUNCTIONS or use not in ("filter", "sort"):
                raise FieldRefused(type_name, expression, tuple(difflib.get_close_matches(function, FUNCTIONS)))
        *hops, last = dotted.split(".")
        if len(hops) > self.registry.limits.hops:
            raise FieldRefused(type_name, expression, limit=self.registry.limits.hops)
        resource = self.registry.types[type_name]
        for hop in hops:
            relation = self.relation(resource.name, hop)
            if relation is None or relation.kind != "one":
                raise FieldRefused(resource.name, hop, self._suggest(resource, hop, use))
            resource = self.registry.types[relation.target]
        field = resource.fields.get(last)
        if field is None or not self._may_use(resource, field, function, use):
            raise FieldRefused(resource.name, last, self._suggest(resource, last, use))
        return Resolved(Path(tuple(hops), field.name, function), resource, field)

    def _may_follow(self, resource: Resource, relation: Relation) -> bool:
        if self.rights.is_full:
            return True
        if not self.rights.may(relation.target, "read"):
            return False
        if relation.kind == "one":
            return relation.field in self.rights.readable(resource.name)
        return relation.field in self.rights.readable(relation.target)

    def _may_use(self, resource: Resource, field: Field, function: str | None, use: Use) -> bool:
        if use == "write":
            return field.name in self.rights.createable(resource.name) | self.rights.updateable(resource.name)
        if function is not None and KINDS[field.kind].family not in FUNCTIONS[function]:
            return False
        if self.rights.is_full:
            return field.column is not None
        if field.name not in self.rights.readable(resource.name):
            return False
        if use == "filter":
            return bool(field.operators)
        if use == "sort":
            return field.sortable and function in (None, "lower")
        return True

    def _suggest(self, resource: Resource, name: str, use: Use) -> tuple[str, ...]:
        names = {*self.usable(resource.name, use), *self.relation_names(resource.name)} - {name}
        return tuple(difflib.get_close_matches(name[:80], sorted(names), n=3))


def gate_of(registry: Registry, rights: Rights) -> Gate:
    """The gate of a set of rights; one for all requests that have them."""
    key = (id(registry), rights.key)
    gate = _GATES.get(key)
    if gate is None:
        if len(_GATES) >= MAX_GATES:
            _GATES.clear()
        gate = _GATES[key] = Gate(registry, rights)
    return gate


# A gate holds its registry, so an id in a key cannot be another registry's.
_GATES: dict[tuple[int, int], Gate] = {}
