"""Field lists and expands as selections: what a read answers, and which relations it reads along.

Where the rows come from and in what order is `plan/read.py`'s business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from engine.errors import ErrorItem
from engine.language.search import ExpandNode
from engine.plan.conditions import plan_filter
from engine.plan.fields import FieldRefused, Gate, Resolved, gate_of
from engine.plan.order import plan_order
from engine.plan.shape import Const, Expansion, PlanContext, PlannedCondition, ReadShape, Selection, Viewer
from engine.registry.resource import Relation, Resource

DEFAULT_EXPAND_LIMIT = 20


@dataclass(slots=True)
class Faults:
    """Collects what is wrong with the parts of a search, each at its place.

    Attributes:
        is_query: Whether the search came in a query string; then places are parameters and not pointers.
    """

    is_query: bool = False
    items: list[ErrorItem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def add(self, code: str, detail: str, place: str, suggestions: tuple[str, ...] = ()) -> None:
        """Note a fault at a place such as ``/sort/0``."""
        if self.is_query:
            self.items.append(
                ErrorItem(code, detail, parameter=place.strip("/").partition("/")[0], suggestions=suggestions)
            )
        else:
            self.items.append(ErrorItem(code, detail, pointer=place, suggestions=suggestions))

    def refuse(self, refused: FieldRefused, place: str) -> None:
        """Note a field that the gate refused."""
        code = "too-complex" if refused.too_many_hops else "unknown-field"
        self.add(code, refused.detail, place, refused.suggestions)


@dataclass(slots=True)
class _Draft:
    """A selection while it is being put together."""

    type: str
    fields: dict[str, None] = field(default_factory=dict)
    ones: dict[str, _Draft] = field(default_factory=dict)
    many: dict[str, None] = field(default_factory=dict)

    def freeze(self, resources: Mapping[str, Resource]) -> Selection:
        names = tuple({"id": None, **self.fields})
        return Selection(
            type=self.type,
            fields=names,
            ones=tuple((name, inner.freeze(resources)) for name, inner in self.ones.items()),
            many=tuple(self.many),
            with_source=any(resources[self.type].fields[name].computed for name in names),
        )


def plan_selection(
    type_name: str,
    fields: Sequence[str] | None,
    expand: Sequence[ExpandNode],
    context: PlanContext,
    viewer: Viewer,
    faults: Faults,
) -> tuple[Selection, tuple[Expansion, ...]]:
    """Plan what is answered of each row.

    Args:
        type_name: The rows' type.
        fields: The caller's field list, or None for the default one.
        expand: The relations to read along, as a tree.
        context: What planning needs to know.
        viewer: The caller as statements see him.
        faults: Takes what is wrong, and warnings.

    Returns:
        The selection with its to-one relations, and an expansion for each to-many relation.
    """
    if fields is None and not expand:
        return default_selection(gate_of(context.registry, context.rights), type_name), ()
    planner = _Planner(context, viewer, faults)
    draft = _Draft(type_name)
    planner.add_fields(draft, fields, "/fields")
    expansions = planner.add_expands(draft, expand, (), 1)
    return draft.freeze(context.registry.types), expansions


def default_selection(gate: Gate, type_name: str) -> Selection:
    """All fields that the caller may read but the heavy ones; memoised in the gate."""
    known = gate.selections.get(type_name)
    if known is None:
        draft = _Draft(type_name, dict.fromkeys(_default_fields(gate, type_name)))
        known = gate.selections[type_name] = draft.freeze(gate.registry.types)
    return known


def id_selection(type_name: str) -> Selection:
    """The id alone."""
    return Selection(type_name, ("id",))


def _default_fields(gate: Gate, type_name: str) -> list[str]:
    resource = gate.registry.types[type_name]
    return [name for name in gate.usable(type_name, "read") if not resource.fields[name].heavy]


def without_rows(shape: ReadShape, page: Literal["count", "capped", "chain"]) -> ReadShape:
    """The shape that counts what a page's shape lists."""
    return replace(shape, page=page, selection=id_selection(shape.type), order=(), keyset=None, has_offset=False)


class _Planner:
    """Plans field lists and expands for one caller, and collects what is wrong with them."""

    __slots__ = ("context", "faults", "gate", "viewer")

    def __init__(self, context: PlanContext, viewer: Viewer, faults: Faults) -> None:
        self.context = context
        self.viewer = viewer
        self.faults = faults
        self.gate = gate_of(context.registry, context.rights)

    # ------------------------------------------------------------ field lists

    def add_fields(self, draft: _Draft, fields: Sequence[str] | None, place: str) -> None:
        """Add a field list; None, and one that only takes away, stand for the default one."""
        if fields is None or (fields and all(name.startswith("-") for name in fields)):
            draft.fields.update(dict.fromkeys(_default_fields(self.gate, draft.type)))
        for index, name in enumerate(fields or ()):
            at = f"{place}/{index}"
            if name.startswith("-"):
                self._remove_field(draft, name[1:], at)
            else:
                self._add_field(draft, name, at)

    def _add_field(self, draft: _Draft, name: str, place: str) -> None:
        *hops, last = name.split(".")
        if last == "*" and len(hops) <= self.gate.registry.limits.hops:
            target = self._walk(draft, hops, place)
            if target is not None:
                target.fields.update(dict.fromkeys(_default_fields(self.gate, target.type)))
            return
        resolved = self._resolve(draft, name, place)
        target = None if resolved is None else self._walk(draft, list(resolved.path.hops), place)
        if target is not None and resolved is not None:
            target.fields[resolved.field.name] = None

    def _remove_field(self, draft: _Draft, name: str, place: str) -> None:
        resolved = self._resolve(draft, name, place)
        if resolved is None:
            return
        target: _Draft | None = draft
        for hop in resolved.path.hops:
            target = target.ones.get(hop) if target is not None else None
        if target is not None:
            target.fields.pop(resolved.field.name, None)

    def _resolve(self, draft: _Draft, name: str, place: str) -> Resolved | None:
        try:
            return self.gate.resolve(draft.type, name, "read")
        except FieldRefused as refused:
            self.faults.refuse(refused, place)
            return None

    def _walk(self, draft: _Draft, hops: list[str], place: str) -> _Draft | None:
        target = draft
        for hop in hops:
            relation = self.gate.relation(target.type, hop)
            if relation is None or relation.kind != "one":
                self.faults.refuse(FieldRefused(target.type, hop), place)
                return None
            target = target.ones.setdefault(hop, _Draft(relation.target))
        return target

    # ------------------------------------------------------------ expands

    def add_expands(
        self, draft: _Draft, nodes: Sequence[ExpandNode], hops: tuple[str, ...], level: int
    ) -> tuple[Expansion, ...]:
        """Add relations: to-one ones to the draft, to-many ones as expansions.

        Args:
            draft: Of the rows that have the relations.
            nodes: The relations.
            hops: To-one relations from the rows that a statement reads to those of the draft.
            level: How deep the nodes stand, from 1.
        """
        expansions: list[Expansion] = []
        most = self.context.registry.limits.expand_levels
        for node in nodes:
            relation = self.gate.relation(draft.type, node.relation)
            if level > most:
                self.faults.add("too-complex", f"Expands nest {most} levels deep at most (limit `expand`).", node.place)
            elif relation is None:
                self._refuse_expand(draft.type, node)
            elif relation.kind == "one":
                self._refuse_list_keys(relation, node)
                inner = draft.ones.setdefault(relation.name, _Draft(relation.target))
                self.add_fields(inner, node.fields, f"{node.place}/fields")
                expansions.extend(self.add_expands(inner, node.children, (*hops, relation.name), level + 1))
            else:
                draft.many[node.relation] = None
                expansions.append(self._expand_many(relation, node, hops, level))
        return tuple(expansions)

    def _refuse_expand(self, type_name: str, node: ExpandNode) -> None:
        name = node.relation
        resource = self.context.registry.types[type_name]
        relation = resource.relations.get(name)
        if relation is not None and self.gate.is_known_relation(resource, relation):
            self.faults.warnings.append(f"The expand {name!r} is left out: you may not read it.")
            return
        known = tuple(self.gate.relation_names(type_name))
        self.faults.refuse(FieldRefused(type_name, name, known[:5]), node.place)

    def _refuse_list_keys(self, relation: Relation, node: ExpandNode) -> None:
        for key, value in (("filter", node.filter), ("sort", node.sort), ("limit", node.limit)):
            if value is not None:
                detail = f"{relation.name} is one object: {key!r} is for relations to many."
                self.faults.add("bad-operand", detail, f"{node.place}/{key}")

    def _expand_many(self, relation: Relation, node: ExpandNode, hops: tuple[str, ...], level: int) -> Expansion:
        target = self.context.registry.types[relation.target]
        draft = _Draft(relation.target)
        self.add_fields(draft, node.fields, f"{node.place}/fields")
        below = self.add_expands(draft, node.children, (), level + 1)
        condition = PlannedCondition(Const(True), ())
        if node.filter is not None:
            condition = plan_filter(node.filter, relation.target, self.context, pointer=f"{node.place}/filter")
        order = plan_order(target, node.sort, self.context, self.faults, f"{node.place}/sort")
        limit = DEFAULT_EXPAND_LIMIT if node.limit is None else node.limit
        if limit > target.page_max:
            self.faults.warnings.append(f"The limit of the expand {relation.name!r} was reduced to {target.page_max}.")
            limit = target.page_max
        shape = ReadShape(
            type=relation.target,
            viewer=self.viewer,
            selection=draft.freeze(self.context.registry.types),
            page="arm",
            condition=condition.shape,
            order=order,
            via=relation.field,
        )
        return Expansion(hops, relation.name, shape, condition.values, limit, below)
