"""Sort keys as a planned order."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

from engine.operators import may_be_unreadable
from engine.plan.fields import FieldRefused, Gate, gate_of
from engine.plan.shape import Order, Path, PlanContext
from engine.registry.resource import Resource, SortKey

_COUNT = re.compile(r"count\(([A-Za-z0-9_]+)\)\Z", re.ASCII)


class FaultSink(Protocol):
    """Takes what is wrong with a search (see `plan/selection.py`)."""

    def refuse(self, refused: FieldRefused, place: str) -> None:
        """Note a field that the gate refused."""


def plan_order(
    resource: Resource, sort: Sequence[SortKey] | None, context: PlanContext, faults: FaultSink, place: str
) -> tuple[Order, ...]:
    """Plan the order of a list.

    Args:
        resource: The rows' type.
        sort: The caller's keys; None for the type's own, of which a caller gets those that he may read.
        context: What planning needs to know.
        faults: Takes the keys that the caller may not sort by.
        place: Where the keys stand.
    """
    gate = gate_of(context.registry, context.rights)
    if sort is None:
        return default_order(gate, resource)
    order: dict[Path, Order] = {}
    for index, key in enumerate(sort):
        try:
            planned = _plan_key(gate, resource, key)
        except FieldRefused as refused:
            faults.refuse(refused, f"{place}/{index}")
        else:
            order.setdefault(planned.path, planned)
    return tuple(order.values())


def default_order(gate: Gate, resource: Resource) -> tuple[Order, ...]:
    """The type's own order, as far as the caller may read its keys; memoised in the gate."""
    known = gate.orders.get(resource.name)
    if known is None:
        keys: list[Order] = []
        for key in resource.sort:
            try:
                keys.append(_plan_key(gate, resource, key))
            except FieldRefused:
                continue  # an order must not tell what the caller may not read
        known = gate.orders[resource.name] = tuple(keys)
    return known


def _plan_key(gate: Gate, resource: Resource, key: SortKey) -> Order:
    nulls_last = key.descending if key.nulls_last is None else key.nulls_last
    counted = _COUNT.match(key.expression)
    if counted is not None:
        name = counted.group(1)
        relation = gate.relation(resource.name, name)
        if relation is None or relation.kind != "many":
            raise FieldRefused(resource.name, name)
        return Order(Path((), name, "count"), key.descending, nulls_last, nullable=False, is_count=True)
    resolved = gate.resolve(resource.name, key.expression, "sort")
    field = resolved.field
    nullable = bool(resolved.path.hops) or field.nullable or field.stores_null or may_be_unreadable(field)
    return Order(resolved.path, key.descending, nulls_last, nullable)
