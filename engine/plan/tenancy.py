"""What of a type a caller may see: the one place where the account condition, soft delete and row rules enter.

Every table that any statement reads or writes goes through `guard_type`; the SQL
layer turns a `Guard` into clauses and has no other way to put a table into a
statement. Which fields a caller may use is `plan/fields.py`'s business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal

from engine.errors import Forbidden
from engine.light import light
from engine.plan.conditions import plan_filter
from engine.plan.rights import Rights, full_rights
from engine.plan.shape import Const, Deleted, Dialect, PlanContext, PlannedCondition, Viewer
from engine.principal import Principal
from engine.registry.resource import Registry, Resource

ALWAYS = PlannedCondition(Const(True), ())


@dataclass(frozen=True, slots=True)
class Guard:
    """The conditions under which a row of a type is there for a caller.

    Attributes:
        account: ``none``: not account-bound (or an operator asks); ``key``: the row is the account; ``column``: compare
            the account column; ``parents``: reach the account through the parents.
        deleted: What is asked of the soft-delete column; None where the type has none.
        mortal_parents: Parent fields whose target must be alive too, since this type has no soft delete of its own.
        rule: The row rule's condition over the type.
    """

    account: Literal["none", "key", "column", "parents"]
    deleted: Deleted | None
    mortal_parents: tuple[str, ...]
    rule: PlannedCondition


def guard_type(
    registry: Registry,
    resource: Resource,
    viewer: Viewer,
    rights: Rights,
    *,
    deleted: Deleted = "exclude",
    with_rule: bool = True,
) -> Guard:
    """Say what narrows a type for a caller.

    Args:
        registry: The running registry.
        resource: The type.
        viewer: The caller as the statement sees him.
        rights: The caller's rights; their key is `viewer.rights`.
        deleted: Whether soft-deleted rows are wanted.
        with_rule: False inside a row rule's own subqueries, which see all rows of the account.

    Returns:
        The guard. Its rule's values are those of `rule_values`.
    """
    kind = resource.account.kind
    account: Literal["none", "key", "column", "parents"]
    if kind == "none" or viewer.accounts == 0 or rights.is_public_only(resource.name):
        account = "none"
    elif kind == "self":
        account = "key"
    else:
        account = "column" if resource.account.column else "parents"
    return Guard(
        account=account,
        deleted=deleted if resource.soft_delete else None,
        mortal_parents=() if resource.soft_delete else mortal_parents(registry, resource),
        rule=plan_rule(registry, resource, rights, EPOCH_CONTEXT) if with_rule else ALWAYS,
    )


def view_accounts(principal: Principal, rights: Rights) -> Viewer:
    """The caller as statements see him: how many account binds they have, and whose rules.

    Args:
        principal: The caller, narrowed by ``X-Account-Id`` where it was given.
        rights: His rights.
    """
    if principal.sees_all_accounts:
        return _viewer(0, rights.key)
    count = len(principal.accounts)
    width = 1
    while width < count:
        width *= 2
    return _viewer(width, rights.key)


@lru_cache(maxsize=2_000)
def _viewer(accounts: int, rights: int) -> Viewer:
    """The same object for the same callers: then shapes that hold it are compared at a glance."""
    return Viewer(accounts, rights)


def account_values(principal: Principal, viewer: Viewer) -> dict[str, object]:
    """The account binds of a caller, padded to the viewer's width by repeating the last.

    A caller without any account gets a row id that no account has, so that a
    statement that is run for him all the same finds nothing.
    """
    if viewer.accounts == 0:
        return {}
    if len(principal.accounts) == 1:
        return {"account0": principal.accounts[0].row_id}
    ids = [account.row_id for account in principal.accounts] or [NO_ACCOUNT]
    return {f"account{i}": ids[min(i, len(ids) - 1)] for i in range(viewer.accounts)}


def require_account(principal: Principal, resource: Resource, rights: Rights) -> None:
    """Refuse account-bound types to a caller who belongs to no account.

    Raises:
        Forbidden: The type belongs to accounts and the caller to none.
    """
    if resource.account.kind == "none" or principal.accounts or principal.is_operator:
        return
    if rights.is_public_only(resource.name):
        return
    raise Forbidden("You belong to no account, and this type's objects belong to accounts.")


def mortal_parents(registry: Registry, resource: Resource) -> tuple[str, ...]:
    """Parent fields whose target may be soft-deleted, itself or through its own parents."""
    return tuple(parent.field for parent in resource.parents if is_mortal(registry, registry.types[parent.type]))


def is_mortal(registry: Registry, resource: Resource) -> bool:
    """Whether rows of a type can vanish by soft delete, their own or a parent's."""
    return bool(resource.soft_delete) or any(
        is_mortal(registry, registry.types[parent.type]) for parent in resource.parents if parent.type != resource.name
    )


# ---------------------------------------------------------------- row rules

NO_ACCOUNT = -1
MAX_STEADY_RULES = 2_000
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


@light
@dataclass(frozen=True, slots=True)
class RuleContext:
    """What a row rule's macros may depend on."""

    principal: Principal | None
    now: datetime
    dialect: Dialect


EPOCH_CONTEXT = RuleContext(None, _EPOCH, "mariadb")


def plan_rule(registry: Registry, resource: Resource, rights: Rights, context: RuleContext) -> PlannedCondition:
    """Plan the row rule of a caller over a type; `ALWAYS` where nothing narrows him.

    The shape depends on the rights alone; only the values depend on `context`.
    """
    rule = rights.rule(resource.name)
    if rule is None:
        return ALWAYS
    key = (id(registry), rights.key, resource.name, context.dialect)
    known = _STEADY_RULES.get(key)
    if known is not None and known[0] is registry:
        return known[1]
    plan_context = PlanContext(
        registry=registry,
        rights=full_rights(registry),
        principal=context.principal or Principal("user", subject="-" * 22),
        dialect=context.dialect,
        now=context.now,
    )
    planned = plan_filter(dict(rule), resource.name, plan_context, pointer="")
    if not _has_macro(rule):
        if len(_STEADY_RULES) >= MAX_STEADY_RULES:
            _STEADY_RULES.clear()
        _STEADY_RULES[key] = (registry, planned)
    return planned


def rule_values(registry: Registry, types: tuple[str, ...], rights: Rights, context: RuleContext) -> dict[str, object]:
    """The binds of the row rules of all `types` that a statement guards, by the names `sql/relations.py` gives them."""
    values: dict[str, object] = {}
    for name in types:
        planned = plan_rule(registry, registry.types[name], rights, context)
        values.update({rule_bind(name, i): value for i, value in enumerate(planned.values)})
    return values


# Rules whose values are the same for every caller and at all times.
_STEADY_RULES: dict[tuple[int, int, str, Dialect], tuple[Registry, PlannedCondition]] = {}


def _has_macro(rule: object) -> bool:
    if isinstance(rule, str):
        return rule.startswith("$")
    if isinstance(rule, Mapping):
        return any(_has_macro(part) for part in rule.values())
    return isinstance(rule, (list, tuple)) and any(_has_macro(part) for part in rule)


def rule_bind(type_name: str, index: int) -> str:
    """The bind name of one value of a type's row rule."""
    return f"rule_{type_name}_{index}"
