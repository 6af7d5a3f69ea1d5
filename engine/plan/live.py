"""Subscriptions as plans: a search without order and pages, and what other types its answer depends on.

The condition, the fields and the rights are those of a search, by the same functions; whether a row belongs to the
answer is asked of a row as it was and as it is (`sql/live.py`). A change of another type that the condition or the
row rules look at may move any number of rows in or out, so a plan says which types and fields those are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from engine.errors import ErrorItem, Problem, ValidationFailed
from engine.language.ids import is_public_id
from engine.language.live import Subscribe, below_search
from engine.plan.read import not_found, plan_list
from engine.plan.shape import (
    And,
    Condition,
    Count,
    Exists,
    Expansion,
    FieldLeaf,
    Leaf,
    Link,
    Or,
    Path,
    PlanContext,
    Present,
    ReadShape,
    Viewer,
)
from engine.plan.tenancy import guard_type
from engine.registry.resource import Registry, Resource

IGNORED = ("sort", "limit", "offset", "cursor", "explain")
NO_KEY = b"\x00" * 32
_NO_VIEWER = Viewer(1, 0)

Dependencies = Mapping[str, frozenset[str]]
"""Type → wire names of its fields that count; that a row of it comes or goes always counts."""


@dataclass(frozen=True, slots=True)
class LivePlan:
    """A subscription, ready to be matched.

    Attributes:
        shape: Of a page without order; of an ``arm`` where a parent is bound.
        values: By bind name, without the parent's row id and those of row rules.
        parent: The parent that is bound: the step to it, and its public id.
        parent_types: Types that decide whether that parent is there.
        dependencies: Other types (and the type itself, by way of its relations) that decide what belongs to the answer.
        is_fleeting: Whether the values depend on when the plan was made.
        warnings: What of the search means nothing here.
    """

    resource: Resource
    shape: ReadShape
    values: dict[str, object]
    parent: tuple[Link, str] | None
    parent_types: frozenset[str]
    expansions: tuple[Expansion, ...]
    dependencies: Dependencies
    is_fleeting: bool
    warnings: tuple[str, ...]


def plan_subscription(subscribe: Subscribe, context: PlanContext) -> LivePlan:
    """Plan a subscription.

    Raises:
        NotFound: The type does not exist for the caller, or the parent is no id.
        Forbidden: He may not read it.
        ValidationFailed: With every fault of the search.
    """
    resource = context.registry.types.get(subscribe.obj_type)
    if resource is None or not context.rights.sees(resource.name):
        raise not_found()
    parent = _bind_parent(resource, subscribe.parent)
    search = subscribe.search
    left_out = [name for name in IGNORED if getattr(search, name)]
    if search.count != "none":
        left_out.append("count")
    try:
        # Sorts are checked all the same: a search that is wrong as a search is wrong here.
        plan = plan_list(
            resource,
            (),
            replace(search, limit=None, offset=None, cursor=None, count="none"),
            context,
            cursor_key=NO_KEY,
        )
    except ValidationFailed as problem:
        raise _below(problem) from problem
    shape = replace(plan.shape, order=(), keyset=None, has_offset=False)
    if parent is not None:
        shape = replace(shape, page="arm", via=parent[0].field)
    warnings = list(plan.warnings)
    if left_out:
        warnings.append(f"A subscription has no order and no pages: {', '.join(left_out)} count for nothing here.")
    gather = _Gather(context)
    gather.guard(resource, at_root=True, proven=shape.via)
    gather.condition(resource, shape.condition, at_root=True)
    return LivePlan(
        resource,
        shape,
        plan.values,
        parent,
        _parent_types(context, parent),
        plan.expansions,
        {name: frozenset(fields) for name, fields in gather.found.items()},
        _has_macro(search.filter) or gather.is_fleeting,
        tuple(warnings),
    )


def _bind_parent(resource: Resource, named: tuple[str, str] | None) -> tuple[Link, str] | None:
    if named is None:
        return None
    name, public_id = named
    for parent in resource.parents:
        if parent.type == name:
            if not is_public_id(public_id):
                raise not_found()
            return Link(parent.type, parent.field), public_id
    choices = ", ".join(parent.type for parent in resource.parents) or "nothing"
    detail = f"{resource.plural} stand under {choices}."
    raise ValidationFailed(errors=[ErrorItem("parent-mismatch", detail, pointer="/parent/type")])


def _parent_types(context: PlanContext, parent: tuple[Link, str] | None) -> frozenset[str]:
    if parent is None:
        return frozenset()
    gather = _Gather(context)
    gather.guard(context.registry.types[parent[0].type])
    return frozenset((parent[0].type, *gather.found))


def _below(problem: ValidationFailed) -> Problem:
    problem.errors = tuple(below_search(problem.errors))
    return problem


class _Gather:
    """Collects what a condition and the guards of its types look at."""

    def __init__(self, context: PlanContext) -> None:
        self.registry: Registry = context.registry
        self.context = context
        self.found: dict[str, set[str]] = {}
        self.is_fleeting = False
        self._guarded: set[str] = set()

    def condition(self, resource: Resource, condition: Condition | None, *, at_root: bool) -> None:
        match condition:
            case And() | Or():
                for part in condition.parts:
                    self.condition(resource, part, at_root=at_root)
            case Leaf():
                self._path(resource, condition.path, at_root=at_root)
            case FieldLeaf():
                self._path(resource, condition.path, at_root=at_root)
                self._path(resource, condition.other, at_root=at_root)
            case Present():
                self._follow(resource, condition.hops, at_root=at_root)
            case Exists() | Count():
                near = self._follow(resource, condition.hops, at_root=at_root)
                relation = near.relations[condition.relation]
                target = self.registry.types[relation.target]
                self._note(target, relation.field)
                self.guard(target)
                self.condition(target, condition.condition, at_root=False)
            case _:
                pass

    def guard(self, resource: Resource, *, at_root: bool = False, proven: str | None = None) -> None:
        """What decides beside its own row whether a row is there: its row rule, and parents that can be deleted."""
        if resource.name in self._guarded:
            return
        self._guarded.add(resource.name)
        rights = self.context.rights
        viewer_rule = rights.rule(resource.name)
        self.is_fleeting = self.is_fleeting or _has_macro(viewer_rule)
        guard = guard_type(self.registry, resource, _NO_VIEWER, rights)
        self.condition(resource, guard.rule.shape, at_root=at_root)
        for name in guard.mortal_parents:
            if name == proven:
                continue
            if not at_root:
                self._note(resource, name)
            parent = next(parent for parent in resource.parents if parent.field == name)
            above = self.registry.types[parent.type]
            self._note(above)
            self.guard(above)

    def _path(self, resource: Resource, path: Path, *, at_root: bool) -> None:
        target = self._follow(resource, path.hops, at_root=at_root)
        if path.hops or not at_root:
            self._note(target, path.field)

    def _follow(self, resource: Resource, hops: tuple[str, ...], *, at_root: bool) -> Resource:
        for hop in hops:
            relation = resource.relations[hop]
            if not at_root:
                self._note(resource, relation.field)
            resource = self.registry.types[relation.target]
            self._note(resource)
            self.guard(resource)
            at_root = False
        return resource

    def _note(self, resource: Resource, field: str | None = None) -> None:
        fields = self.found.setdefault(resource.name, set())
        if field is not None:
            fields.add(field)


def _has_macro(filter_: object) -> bool:
    if isinstance(filter_, str):
        return filter_.startswith("$")
    if isinstance(filter_, Mapping):
        return any(_has_macro(part) for part in filter_.values())
    return isinstance(filter_, (list, tuple)) and any(_has_macro(part) for part in filter_)
