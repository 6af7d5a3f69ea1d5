"""The row of a file whose bytes are in the store, made or found again: an account has one row for the same bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from engine.errors import Conflict, Duplicate, ErrorItem, ValidationFailed
from engine.execute.create import create_object
from engine.execute.delete import restore_object
from engine.execute.runtime import Runtime, with_rules
from engine.execute.session import WriteCall
from engine.execute.update import update_object
from engine.plan.files import plan_digest
from engine.plan.rights import full_rights
from engine.plan.shape import Deleted, PlanContext
from engine.plan.values import Frame, draft_create
from engine.plan.write import caller_of
from engine.plugins.overrides import no_overrides
from engine.registry.resource import FileRule, Resource


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a file's bytes, and what the client says of them."""

    digest: str
    size_bytes: int
    content_type: str
    file_name: str


@dataclass(frozen=True, slots=True)
class KeptRow:
    """The row.

    Attributes:
        public_id: Its id.
        is_known: Whether the account had these bytes already.
    """

    public_id: str
    is_known: bool


class RowRaced(Conflict):
    """Another call of the account made the row of the same bytes in the meantime; trying again finds it."""


async def keep_row(
    runtime: Runtime, context: PlanContext, resource: Resource, facts: Facts, body: Mapping[str, object]
) -> KeptRow:
    """Make the row of a file, or find the one that the account has for the same bytes.

    A row that was deleted comes back, under its new name: its digest stays taken in the account. Another account's
    row is never looked at.

    Args:
        runtime: Inside a transaction.
        context: Caller, belonging to one account, and time.
        resource: A type that is a file.
        facts: The bytes.
        body: Further fields of a new row, as a create takes them; a row that is there already stays as it is.

    Raises:
        RowRaced: See there.
        ValidationFailed, Forbidden, NotFound, Conflict: As a create would be refused.
    """
    rule = resource.file
    assert rule is not None
    # All of the account counts, whatever rules narrow the caller: the database would refuse a second row.
    whole = replace(context, rights=full_rights(context.registry))
    states: tuple[Deleted, ...] = ("exclude", "only") if resource.soft_delete else ("exclude",)
    for deleted in states:
        public_id = await _find_row(runtime, whole, resource, rule, facts.digest, deleted)
        if public_id is not None:
            if deleted == "only":
                await _bring_back(runtime, whole, resource, rule, public_id, facts)
            return KeptRow(public_id, True)
    call = WriteCall(
        resource=resource,
        body={**body, rule.name: facts.file_name},
        further={rule.digest: facts.digest, rule.size: facts.size_bytes, rule.type: facts.content_type},
    )
    try:
        return KeptRow((await create_object(runtime, call, context)).public_id, False)
    except Duplicate as taken:
        raise RowRaced("The same file is being uploaded by others at this moment. Try again.") from taken


def check_body(
    runtime: Runtime, context: PlanContext, resource: Resource, body: Mapping[str, object], *, is_whole: bool
) -> None:
    """Look at the body of a create before there is everything that it needs.

    Args:
        runtime: The running engine.
        context: Caller and time.
        resource: What will be created.
        body: As much of it as is known.
        is_whole: Whether nothing will be added, so that what is missing is a fault.

    Raises:
        ValidationFailed: With every fault; what only the database knows is not looked at.
    """
    overrides = runtime.overrides.get(resource.name) or no_overrides(resource.name)
    accounts = context.principal.accounts
    account = accounts[0].row_id if len(accounts) == 1 else None
    frame = Frame(resource, context, overrides, caller_of(context, account), frozenset(), "")
    draft = draft_create(frame, dict(body), None)
    faults: list[ErrorItem] = [item for item in draft.faults if is_whole or item.code != "required"]
    if faults:
        raise ValidationFailed(errors=faults)


async def _find_row(
    runtime: Runtime, context: PlanContext, resource: Resource, rule: FileRule, digest: str, deleted: Deleted
) -> str | None:
    plan = plan_digest(resource, rule, digest, context)
    prepared = runtime.prepare(replace(plan.shape, deleted=deleted), context.rights)
    values = with_rules(runtime, prepared, plan.values, context)
    rows = await runtime.database.fetch(prepared.statement.text, prepared.statement.arrange(values), point=True)
    return str(prepared.writer.write(rows[0])["id"]) if rows else None


async def _bring_back(
    runtime: Runtime, context: PlanContext, resource: Resource, rule: FileRule, public_id: str, facts: Facts
) -> None:
    await restore_object(runtime, WriteCall(resource=resource, public_id=public_id), context)
    renamed = WriteCall(
        resource=resource,
        public_id=public_id,
        body={rule.name: facts.file_name},
        further={rule.type: facts.content_type},
    )
    await update_object(runtime, renamed, context)
