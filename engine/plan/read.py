"""Reads as plans: a call that is known to be well formed becomes a shape and its values, or is refused.

What of a row is answered is `plan/selection.py`'s business, what of a type is there
for the caller `plan/tenancy.py`'s. Nothing here waits and nothing here knows SQL.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal

from engine.errors import Forbidden, NotFound, QueryTooComplex, ValidationFailed
from engine.language.cursor import Position, bind_search, decode_cursor
from engine.language.ids import is_public_id
from engine.language.search import SearchBody
from engine.plan.conditions import plan_filter, plan_query_terms, plan_text_query
from engine.plan.order import plan_order
from engine.plan.selection import Faults, plan_selection
from engine.plan.shape import (
    And,
    Condition,
    Const,
    Deleted,
    Expansion,
    Keyset,
    Link,
    Order,
    PlanContext,
    PlannedCondition,
    ReadPlan,
    ReadShape,
)
from engine.plan.tenancy import account_values, require_account, view_accounts
from engine.registry.resource import Registry, Resource

Chain = Sequence[tuple[Link, str]]


def plan_get(resource: Resource, public_id: str, chain: Chain, search: SearchBody, context: PlanContext) -> ReadPlan:
    """Plan the read of one object.

    Args:
        resource: Its type.
        public_id: As the path gave it; what is no public id is no object.
        chain: The parents of the path with their public ids, nearest first.
        search: Only its `fields`, `expand` and `deleted` count.
        context: What planning needs to know.

    Raises:
        NotFound: The caller cannot see the type, or something in the path is no id.
        ValidationFailed: Fields or expands are wrong.
    """
    require_read(resource, context)
    if not is_public_id(public_id):
        raise not_found()
    deleted = _plan_deleted(resource, search.deleted, context)
    viewer = view_accounts(context.principal, context.rights)
    faults = Faults(search.is_query)
    selection, expansions = plan_selection(resource.name, search.fields, search.expand, context, viewer, faults)
    _raise_faults(faults, [])
    shape = ReadShape(
        type=resource.name,
        viewer=viewer,
        selection=selection,
        page="one",
        chain=tuple(link for link, _ in chain),
        deleted=deleted,
    )
    values = account_values(context.principal, viewer)
    values["id"] = public_id
    values.update(chain_values(chain))
    return ReadPlan(shape, values, expansions=expansions, warnings=tuple(faults.warnings))


def plan_list(
    resource: Resource, chain: Chain, search: SearchBody, context: PlanContext, *, cursor_key: bytes
) -> ReadPlan:
    """Plan a list or a search.

    Args:
        resource: The rows' type.
        chain: The parents of the path with their public ids, nearest first.
        search: What is asked for.
        context: What planning needs to know.
        cursor_key: The key that cursors are sealed with.

    Raises:
        NotFound: The caller cannot see the type, or something in the path is no id.
        Forbidden: Deleted rows are asked for by somebody who may not delete.
        ValidationFailed: With every fault of the search at once.
        CursorMismatch: The cursor is not of this search.
    """
    require_read(resource, context)
    faults = Faults(search.is_query)
    viewer = view_accounts(context.principal, context.rights)
    problems: list[ValidationFailed] = []
    condition = _plan_condition(resource, search, context, problems)
    expansions: tuple[Expansion, ...] = ()
    selection = None
    try:
        selection, expansions = plan_selection(resource.name, search.fields, search.expand, context, viewer, faults)
    except ValidationFailed as problem:
        problems.append(problem)
    order = plan_order(resource, search.sort, context, faults, "/sort")
    limit = _plan_limit(resource, search, faults)
    offset = _plan_offset(search, context, faults)
    _raise_faults(faults, problems)
    assert selection is not None
    shape = ReadShape(
        type=resource.name,
        viewer=viewer,
        selection=selection,
        page="page",
        condition=condition.shape,
        chain=tuple(link for link, _ in chain),
        order=order,
        has_offset=bool(offset),
        deleted=_plan_deleted(resource, search.deleted, context),
    )
    values = account_values(context.principal, viewer)
    values.update(chain_values(chain))
    values.update({f"v{i}": value for i, value in enumerate(condition.values)})
    values["limit"] = limit + 1
    values["offset"] = offset
    values["reach"] = limit + 1 + offset
    can_continue = not any(key.is_count for key in order)
    binding = _bind(resource, chain, search, order, context) if can_continue else b""
    if search.cursor is not None:
        shape = _continue(shape, search, values, binding, cursor_key, context)
    return ReadPlan(
        shape,
        values,
        limit=limit,
        offset=None if search.cursor is not None else offset,
        binding=binding,
        count=search.count,
        expansions=expansions,
        warnings=tuple(faults.warnings),
        with_cursor=can_continue,
    )


def chain_values(chain: Chain) -> dict[str, object]:
    """The binds of a nested path's public ids.

    Raises:
        NotFound: One of them cannot be a public id.
    """
    values: dict[str, object] = {}
    for index, (_, public_id) in enumerate(chain):
        if not is_public_id(public_id):
            raise not_found()
        values[f"chain{index}"] = public_id
    return values


def require_read(resource: Resource, context: PlanContext) -> None:
    """Refuse a type that the caller may not read, as one that does not exist.

    Raises:
        NotFound: He may not see it.
        Forbidden: It belongs to accounts and he to none.
    """
    if not context.rights.may(resource.name, "read"):
        if context.rights.sees(resource.name):
            raise Forbidden(f"You may not read {resource.plural.lower()}.")
        raise not_found()
    require_account(context.principal, resource, context.rights)


def not_found() -> NotFound:
    """The one 404: no such thing, another account's, another parent's."""
    return NotFound("There is nothing here, or nothing that you may see.")


# ---------------------------------------------------------------- parts of a search


def _plan_condition(
    resource: Resource, search: SearchBody, context: PlanContext, problems: list[ValidationFailed]
) -> PlannedCondition:
    name, parameter = resource.name, "filter" if search.is_query else None
    steps: tuple[tuple[object, Callable[[], PlannedCondition]], ...] = (
        (search.filter, lambda: plan_filter(search.filter, name, context, pointer="/filter", parameter=parameter)),
        (search.terms, lambda: plan_query_terms(search.terms, name, context)),
        (search.q, lambda: plan_text_query(search.q or "", name, context, parameter="q" if search.is_query else None)),
    )
    planned: list[PlannedCondition] = []
    for given, plan in steps:
        if given:
            try:
                planned.append(plan())
            except ValidationFailed as problem:
                problems.append(problem)
    if not planned:
        return _EVERYTHING
    if len(planned) == 1:
        return planned[0]
    parts: tuple[Condition, ...] = tuple(part.shape for part in planned)
    return PlannedCondition(And(parts), tuple(value for part in planned for value in part.values))


_EVERYTHING = PlannedCondition(Const(True), ())


def _plan_deleted(resource: Resource, deleted: Deleted, context: PlanContext) -> Deleted:
    if deleted == "exclude":
        return deleted
    if not context.rights.may(resource.name, "delete"):
        raise Forbidden("Only callers who may delete see what was deleted.")
    return deleted


def _plan_limit(resource: Resource, search: SearchBody, faults: Faults) -> int:
    if search.limit is None:
        return resource.page_limit
    if search.limit > resource.page_max:
        faults.warnings.append(f"The limit was reduced to {resource.page_max}, the most that a page can hold.")
        return resource.page_max
    return search.limit


def _plan_offset(search: SearchBody, context: PlanContext, faults: Faults) -> int:
    offset = search.offset or 0
    most = context.registry.limits.offset
    if offset > most:
        detail = f"An offset is {most} at most (limit `offset`); a cursor (`meta.next_cursor`) goes further and faster."
        faults.add("too-complex", detail, "/offset")
    return offset


def _raise_faults(faults: Faults, problems: list[ValidationFailed]) -> None:
    items = [item for problem in problems for item in problem.errors] + faults.items
    if not items:
        return
    if all(item.code == "too-complex" for item in items):
        raise QueryTooComplex(errors=items)
    raise ValidationFailed(errors=items)


# ---------------------------------------------------------------- cursors


def _bind(
    resource: Resource, chain: Chain, search: SearchBody, order: tuple[Order, ...], context: PlanContext
) -> bytes:
    """What a cursor belongs to. The filter counts as it was written, since ``$now`` moves between two pages."""
    accounts = tuple(account.public_id for account in context.principal.accounts)
    return bind_search(
        resource.name,
        tuple(public_id for _, public_id in chain),
        accounts,
        context.principal.is_operator,
        search.filter,
        search.terms,
        search.q,
        order,
        search.deleted,
        context.timezone,
    )


def _continue(
    shape: ReadShape,
    search: SearchBody,
    values: dict[str, object],
    binding: bytes,
    cursor_key: bytes,
    context: PlanContext,
) -> ReadShape:
    if not binding:
        detail = "A list sorted by a count has no cursor; page it with `offset`."
        where = Faults(search.is_query)
        where.add("bad-operand", detail, "/cursor")
        raise ValidationFailed(errors=where.items)
    position = decode_cursor(search.cursor or "", key=cursor_key, binding=binding)
    values.update(position_values(shape, position, context.registry))
    nulls = tuple(value is None for value in position.values)
    return replace(shape, keyset=Keyset(position.direction == "prev", nulls), has_offset=False)


def position_values(shape: ReadShape, position: Position, registry: Registry) -> dict[str, object]:
    """The binds of a cursor's position: ``k0`` … and the row id as the last of them."""
    values: dict[str, object] = {}
    for index, (key, value) in enumerate(zip(shape.order, position.values, strict=True)):
        is_decimal = _kind_of(shape.type, key, registry) == "decimal" and isinstance(value, str)
        values[f"k{index}"] = Decimal(str(value)) if is_decimal else value
    values[f"k{len(shape.order)}"] = position.row_id
    return values


def _kind_of(type_name: str, key: Order, registry: Registry) -> str:
    resource = registry.types[type_name]
    for hop in key.path.hops:
        resource = registry.types[resource.relations[hop].target]
    return resource.fields[key.path.field].kind
