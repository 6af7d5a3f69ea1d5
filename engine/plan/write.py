"""Writes as plans: who may write what, to which account, against which version, and what the statements look like.

What a body sets is `plan/values.py`'s business. Shapes of writes name columns of the
registry and nothing that a caller sent; `sql/write.py` makes statements of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from engine.errors import ErrorItem, Forbidden, PreconditionRequired, StaleVersion, ValidationFailed
from engine.language.call import Precondition
from engine.light import light
from engine.plan.read import not_found
from engine.plan.rights import Verb
from engine.plan.shape import Const, PlanContext, Selection, Viewer
from engine.plan.tenancy import guard_type, require_account
from engine.plugins.overrides import Caller
from engine.registry.resource import Parent, Resource

MAX_ATTEMPTS = 5
ACCOUNT_HEADER = "X-Account-Id"


@light
@dataclass(frozen=True, slots=True)
class InsertShape:
    """Picks an insert.

    Attributes:
        sets: Columns that are given, in order; their values are ``s0`` ….
        targets: Types of relation targets (and parents) that the statement itself must prove to be there for the
            caller; their row ids are ``target0`` ….
        returning: Columns that are read back, after the key.
    """

    type: str
    viewer: Viewer
    sets: tuple[str, ...]
    targets: tuple[str, ...] = ()
    returning: tuple[str, ...] = ()


@light
@dataclass(frozen=True, slots=True)
class UpdateShape:
    """Picks an update of one row, by its row id in ``row_id``.

    Attributes:
        sets: As with inserts.
        compares: Columns that must still be what they were, ``w0`` …, where the type has no version.
        state: Whether the row must be alive or deleted; None = either.
    """

    type: str
    viewer: Viewer
    sets: tuple[str, ...]
    targets: tuple[str, ...] = ()
    compares: tuple[str, ...] = ()
    state: Literal["alive", "deleted"] | None = "alive"


@light
@dataclass(frozen=True, slots=True)
class DeleteShape:
    """Picks a delete of one row for good, by ``row_id`` and, where there is one, ``version``."""

    type: str
    viewer: Viewer


@light
@dataclass(frozen=True, slots=True)
class FamilyShape:
    """Picks a statement over all rows that point at some others.

    Attributes:
        field: The field that points at them; their row ids are ``parent0`` ….
        width: How many ids there are (padded).
        action: ``find`` reads row id, public id and account; ``stamp`` soft-deletes, ``unstamp`` undoes exactly the
            deletion at ``at``, ``detach`` sets the field to NULL, ``delete`` removes for good.
        only: For ``find``: which of them.
    """

    type: str
    viewer: Viewer
    field: str
    width: int
    action: Literal["find", "stamp", "unstamp", "detach", "delete"]
    only: Literal["alive", "all", "at"] = "all"


@light
@dataclass(frozen=True, slots=True)
class StampShape:
    """Picks the read of one row's time of deletion, by ``row_id``."""

    type: str
    viewer: Viewer


@light
@dataclass(frozen=True, slots=True)
class HoldShape:
    """Picks the statement that keeps others from writing one row, by ``row_id``, until the transaction ends."""

    type: str
    viewer: Viewer


@light
@dataclass(frozen=True, slots=True)
class ImageShape:
    """Picks the statement that reads rows whole, by ``row0`` …, for who follows changes.

    Attributes:
        width: How many ids there are (padded).
        holds: Whether others are kept from writing them until the transaction ends.
    """

    type: str
    viewer: Viewer
    width: int
    holds: bool


WriteShape = InsertShape | UpdateShape | DeleteShape | FamilyShape | StampShape | HoldShape | ImageShape


def require_write(resource: Resource, verb: Verb, context: PlanContext) -> None:
    """Refuse a write that the caller's scopes do not open.

    Raises:
        NotFound: He does not even see the type.
        Forbidden: He sees it, or belongs to no account.
    """
    if not context.rights.may(resource.name, verb):
        if context.rights.sees(resource.name):
            raise Forbidden(f"You may not {verb.replace('_', ' ')} {resource.plural.lower()}.")
        raise not_found()
    require_account(context.principal, resource, context.rights)


def own_account(resource: Resource, context: PlanContext) -> int | None:
    """The account that a new row of an ``own`` type goes to; None for types that belong to none.

    Raises:
        Forbidden: The caller belongs to no account.
        ValidationFailed: He belongs to several and has picked none, or is an operator who has picked none.
    """
    if resource.account.kind != "own":
        return None
    accounts = context.principal.accounts
    if len(accounts) == 1:
        return accounts[0].row_id
    if not accounts and not context.principal.is_operator:
        raise Forbidden("You belong to no account, and this type's objects belong to accounts.")
    detail = f"Say with {ACCOUNT_HEADER} which account the object belongs to."
    raise ValidationFailed(errors=[ErrorItem("required", detail, header=ACCOUNT_HEADER)])


def sees_account(context: PlanContext, account_row_id: int | None) -> bool:
    """Whether rows of an account are there for the caller; None is no account."""
    if account_row_id is None or context.principal.sees_all_accounts:
        return True
    return any(account.row_id == account_row_id for account in context.principal.accounts)


def public_account(context: PlanContext, account_row_id: int | None) -> str | None:
    """The public id of one of the caller's accounts; None where he does not carry it."""
    for account in context.principal.accounts:
        if account.row_id == account_row_id:
            return account.public_id
    return None


def must_prove(target: Resource, viewer: Viewer, context: PlanContext, *, is_keyed: bool = True) -> bool:
    """Whether a statement itself must prove that a target is there for the caller.

    A row never changes its account, so where it was found and whose it is stays true while it exists, and that it
    exists is what the foreign key proves. Only what can hide a row otherwise (a deletion, a row rule, an account that
    is reached through parents, a table that came without foreign keys) has to be looked at again.
    """
    guard = guard_type(context.registry, target, viewer, context.rights)
    return bool(
        not is_keyed
        or guard.deleted is not None
        or guard.mortal_parents
        or guard.account == "parents"
        or guard.rule.shape != Const(True)
    )


def require_version(resource: Resource, if_match: Precondition | None, present: str) -> Literal["none", "any", "exact"]:
    """Compare ``If-Match`` with the present version.

    Args:
        resource: The type; it may demand the header.
        if_match: The header, or None.
        present: The version as it stands in an ETag.

    Returns:
        ``exact`` where a lost compare must not be tried again.

    Raises:
        PreconditionRequired: The type demands it and it is not there.
        StaleVersion: No tag of it has the present version. A weak tag never matches.
    """
    if if_match is None:
        if resource.if_match_required:
            raise PreconditionRequired(
                f"{resource.plural} are changed only against a known version: send the object's ETag as If-Match."
            )
        return "none"
    if if_match.is_any:
        return "any"
    if any(not tag.is_weak and tag.tag.partition("-")[0] == present for tag in if_match.tags):
        return "exact"
    raise stale()


def stale() -> StaleVersion:
    """The 412 of a version that is no longer the present one."""
    return StaleVersion("The object has changed since you read it.")


def caller_of(context: PlanContext, account_row_id: int | None) -> Caller:
    """The caller as overrides see him."""
    principal = context.principal
    return Caller(
        principal.kind,
        principal.subject,
        public_account(context, account_row_id),
        context.rights.roles,
        principal.is_operator,
    )


def before_selection(resource: Resource, reply: Selection, named: frozenset[str], *, whole: bool) -> Selection:
    """What an update reads of its row first: what it answers, what its body names, and all of it for overrides.

    Args:
        resource: The type.
        reply: What is answered; its to-one relations are read afterwards, if there are any.
        named: Fields of the body that are stored or computed.
        whole: Whether the overrides look at the object.
    """
    if not (named or whole or reply.ones or reply.many):
        return reply
    fields = dict.fromkeys(reply.fields)
    fields.update(dict.fromkeys(sorted(named)))
    if whole:
        ids = (one.name for one in resource.fields.values() if one.kind == "relation" and one.column and not one.hidden)
        fields.update(dict.fromkeys(ids))
    is_computed = any(resource.fields[name].computed for name in fields)
    return Selection(resource.name, tuple(fields), with_source=whole or is_computed)


def read_move(resource: Resource, body: object) -> tuple[Parent, str]:
    """The new parent that the body of a move names: ``{"parent": {"type", "id"}}``.

    Raises:
        ValidationFailed: It names none that the type can have.
    """
    if not isinstance(body, dict) or set(body) != {"parent"} or not isinstance(body["parent"], dict):
        raise _move_fault("type-mismatch", 'The body must be {"parent": {"type": …, "id": …}}.', "")
    named = body["parent"]
    if set(named) != {"type", "id"}:
        raise _move_fault("required", "A parent is named by its type and its id.", "/parent")
    for parent in resource.parents:
        if parent.type == named["type"]:
            if not isinstance(named["id"], str):
                raise _move_fault("type-mismatch", "An id is a string.", "/parent/id")
            return parent, named["id"]
    choices = ", ".join(parent.type for parent in resource.parents) or "nothing"
    raise _move_fault("parent-mismatch", f"{resource.plural} stand under {choices}.", "/parent/type")


def _move_fault(code: str, detail: str, pointer: str) -> ValidationFailed:
    return ValidationFailed(errors=[ErrorItem(code, detail, pointer=pointer)])
