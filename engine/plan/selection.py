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
from engine.plan.fields import FieldRefused, Gate, gate_of
from engine.plan.order import plan_order
from engine.plan.shape import Const, Expansion, PlanContext, PlannedCondition, ReadShape, Selection, Viewer
from engine.registry.resource import Relation, Resource, SortKey

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
    gate = gate_of(context.registry, context.rights)
    if fields is None and not expand:
        return default_selection(gate, type_name), ()
    draft = _Draft(type_name)
    _add_fields(draft, fields, gate, faults, "/fields")
    expansions = _add_expands(draft, expand, context, viewer, faults, (), 1)
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


# ---------------------------------------------------------------- field lists


def _add_fields(draft: _Draft, fields: Sequence[str] | None, gate: Gate, faults: Faults, place: str) -> None:
    if fields is None or (fields and all(name.startswith("-") for name in fields)):
        draft.fields.update(dict.fromkeys(_default_fields(gate, draft.type)))
    for index, name in enumerate(fields or ()):
        at = f"{place}/{index}"
        if name.startswith("-"):
            _remove_field(draft, name[1:], gate, faults, at)
        else:
            _add_field(draft, name, gate, faults, at)


def _add_field(draft: _Draft, name: str, gate: Gate, faults: Faults, place: str) -> None:
    *hops, last = name.split(".")
    if last == "*" and len(hops) <= gate.registry.limits.hops:
        target = _walk(draft, hops, gate, faults, place)
        if target is not None:
            target.fields.update(dict.fromkeys(_default_fields(gate, target.type)))
        return
    try:
        resolved = gate.resolve(draft.type, name, "read")
    except FieldRefused as refused:
        faults.refuse(refused, place)
        return
    target = _walk(draft, list(resolved.path.hops), gate, faults, place)
    if target is not None:
        target.fields[resolved.field.name] = None


def _remove_field(draft: _Draft, name: str, gate: Gate, faults: Faults, place: str) -> None:
    try:
        resolved = gate.resolve(draft.type, name, "read")
    except FieldRefused as refused:
        faults.refuse(refused, place)
        return
    target: _Draft | None = draft
    for hop in resolved.path.hops:
        target = target.ones.get(hop) if target is not None else None
    if target is not None:
        target.fields.pop(resolved.field.name, None)


def _walk(draft: _Draft, hops: list[str], gate: Gate, faults: Faults, place: str) -> _Draft | None:
    target = draft
    for hop in hops:
        relation = gate.relation(target.type, hop)
        if relation is None or relation.kind != "one":
            faults.refuse(FieldRefused(target.type, hop), place)
            return None
        target = target.ones.setdefault(hop, _Draft(relation.target))
    return target


# ---------------------------------------------------------------- expands


def _add_expands(
    draft: _Draft,
    nodes: Sequence[ExpandNode],
    context: PlanContext,
    viewer: Viewer,
    faults: Faults,
    hops: tuple[str, ...],
    level: int,
) -> tuple[Expansion, ...]:
    gate = gate_of(context.registry, context.rights)
    resource = context.registry.types[draft.type]
    expansions: list[Expansion] = []
    for node in nodes:
        if level > context.registry.limits.expand_levels:
            limit = context.registry.limits.expand_levels
            faults.add("too-complex", f"An expand may be {limit} levels deep at most (limit `expand`).", node.place)
            continue
        relation = gate.relation(draft.type, node.relation)
        if relation is None:
            _refuse_expand(resource, node, gate, faults)
        elif relation.kind == "one":
            expansions.extend(_expand_one(draft, relation, node, context, viewer, faults, hops, level))
        else:
            draft.many[node.relation] = None
            expansions.append(_expand_many(relation, node, context, viewer, faults, hops, level))
    return tuple(expansions)


def _refuse_expand(resource: Resource, node: ExpandNode, gate: Gate, faults: Faults) -> None:
    name = node.relation
    relation = resource.relations.get(name)
    if relation is not None and gate.is_known_relation(resource, relation):
        faults.warnings.append(f"The expand {name!r} is left out: you may not read it.")
        return
    known = tuple(gate.relation_names(resource.name))
    faults.refuse(FieldRefused(resource.name, name, known[:5]), node.place)


def _expand_one(
    draft: _Draft,
    relation: Relation,
    node: ExpandNode,
    context: PlanContext,
    viewer: Viewer,
    faults: Faults,
    hops: tuple[str, ...],
    level: int,
) -> tuple[Expansion, ...]:
    for key, value in (("filter", node.filter), ("sort", node.sort), ("limit", node.limit)):
        if value is not None:
            detail = f"{relation.name} is one object: {key!r} is for relations to many."
            faults.add("bad-operand", detail, f"{node.place}/{key}")
    inner = draft.ones.setdefault(relation.name, _Draft(relation.target))
    if node.fields is not None or not inner.fields:
        gate = gate_of(context.registry, context.rights)
        _add_fields(inner, node.fields, gate, faults, f"{node.place}/fields")
    inner_hops = (*hops, relation.name)
    return _add_expands(inner, node.children, context, viewer, faults, inner_hops, level + 1)


def _expand_many(
    relation: Relation,
    node: ExpandNode,
    context: PlanContext,
    viewer: Viewer,
    faults: Faults,
    hops: tuple[str, ...],
    level: int,
) -> Expansion:
    gate = gate_of(context.registry, context.rights)
    target = context.registry.types[relation.target]
    draft = _Draft(relation.target)
    _add_fields(draft, node.fields, gate, faults, f"{node.place}/fields")
    below = _add_expands(draft, node.children, context, viewer, faults, (), level + 1)
    condition = PlannedCondition(Const(True), ())
    if node.filter is not None:
        condition = plan_filter(node.filter, relation.target, context, pointer=f"{node.place}/filter")
    sort: Sequence[SortKey] | None = node.sort
    order = plan_order(target, sort, context, faults, f"{node.place}/sort")
    limit = DEFAULT_EXPAND_LIMIT if node.limit is None else node.limit
    if limit > target.page_max:
        faults.warnings.append(f"The limit of the expand {relation.name!r} was reduced to {target.page_max}.")
        limit = target.page_max
    shape = ReadShape(
        type=relation.target,
        viewer=viewer,
        selection=draft.freeze(context.registry.types),
        page="arm",
        condition=condition.shape,
        order=order,
        via=relation.field,
    )
    return Expansion(hops, relation.name, shape, condition.values, limit, below)


def without_rows(shape: ReadShape, page: Literal["count", "capped", "chain"]) -> ReadShape:
    """The shape that counts what a page's shape lists."""
    return replace(shape, page=page, selection=id_selection(shape.type), order=(), keyset=None, has_offset=False)
