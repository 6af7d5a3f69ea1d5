"""Plans that find a file: by its own id, by the id of a container that resolves to it, by its digest.

Which types are files and which lead to one is the registry's to say (`file`, `resolves_to`). A file is found as
everything is: in the caller's accounts, under his rights and row rules.
"""

from __future__ import annotations

from functools import lru_cache

from engine.plan.fields import gate_of
from engine.plan.shape import Leaf, Path, PlanContext, ReadPlan, ReadShape, Selection
from engine.plan.tenancy import account_values, view_accounts
from engine.registry.resource import FileRule, Registry, Resource

MAX_HOPS = 8


def file_hops(registry: Registry, resource: Resource) -> tuple[str, ...] | None:
    """The to-one relations that lead from a type to its file: none from a file; None where nothing does."""
    hops: list[str] = []
    while resource.file is None:
        if resource.resolves_to is None or len(hops) == MAX_HOPS:
            return None
        relation = resource.fields[resource.resolves_to].relation
        if relation is None:
            return None
        hops.append(relation)
        resource = registry.types[resource.relations[relation].target]
    return tuple(hops)


def file_type(registry: Registry, resource: Resource, hops: tuple[str, ...]) -> Resource:
    """The type at the end of these relations."""
    for hop in hops:
        resource = registry.types[resource.relations[hop].target]
    return resource


def file_types(registry: Registry) -> tuple[Resource, ...]:
    """The types whose objects are files, in the registry's order."""
    return tuple(resource for resource in registry.types.values() if resource.file is not None)


def containers(registry: Registry) -> tuple[Resource, ...]:
    """The types that resolve to a file, in the registry's order."""
    return tuple(one for one in registry.types.values() if one.file is None and file_hops(registry, one) is not None)


def is_open(resource: Resource, hops: tuple[str, ...], context: PlanContext) -> bool:
    """Whether the caller may read a type, everything between it and its file, and the fields that say what it is."""
    rights, registry = context.rights, context.registry
    for hop in hops:
        relation = resource.relations[hop]
        if relation.field not in rights.readable(resource.name):
            return False
        resource = registry.types[relation.target]
    rule = resource.file
    return rule is not None and {rule.digest, rule.size, rule.type, rule.name} <= rights.readable(resource.name)


def plan_file(resource: Resource, hops: tuple[str, ...], public_id: str, context: PlanContext) -> ReadPlan:
    """Plan the read of what an object resolves to; `public_id` is well formed."""
    viewer = view_accounts(context.principal, context.rights)
    shape = ReadShape(resource.name, viewer, _selection(context.registry, resource, hops), "one")
    values = account_values(context.principal, viewer)
    values["id"] = public_id
    return ReadPlan(shape, values)


def plan_digest(resource: Resource, rule: FileRule, digest: str, context: PlanContext) -> ReadPlan:
    """Plan the search for a file by its digest."""
    viewer = view_accounts(context.principal, context.rights)
    shapes = gate_of(context.registry, context.rights).digests
    shape = shapes.get((resource.name, viewer.accounts))
    if shape is None:
        selection = _selection(context.registry, resource, ())
        condition = Leaf(Path((), rule.digest), "eq", 1)
        shape = ReadShape(resource.name, viewer, selection, "page", condition=condition)
        shapes[resource.name, viewer.accounts] = shape
    values = account_values(context.principal, viewer)
    values.update({"v0": digest, "limit": 1, "offset": 0, "reach": 1})
    return ReadPlan(shape, values)


@lru_cache(maxsize=256)
def _chosen(fields: tuple[str, ...], names: tuple[str, ...], hops: tuple[str, ...]) -> Selection:
    selection = Selection(names[-1], fields)
    for name, hop in zip(reversed(names[:-1]), reversed(hops), strict=True):
        selection = Selection(name, ("id",), ((hop, selection),))
    return selection


def _selection(registry: Registry, resource: Resource, hops: tuple[str, ...]) -> Selection:
    names = [resource.name]
    for hop in hops:
        resource = registry.types[resource.relations[hop].target]
        names.append(resource.name)
    rule = resource.file
    assert rule is not None
    return _chosen(("id", rule.digest, rule.size, rule.type, rule.name), tuple(names), hops)
