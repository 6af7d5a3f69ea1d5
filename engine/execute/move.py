"""Moves: an object gets another parent of the same type. An update in all but what it changes."""

from __future__ import annotations

from engine.errors import ValidationFailed
from engine.execute.delete import find_family
from engine.execute.faults import lost, parent_fault
from engine.execute.present import account_of, plan_present, present_version, read_held_row, read_row, set_row
from engine.execute.runtime import Runtime
from engine.execute.session import Outcome, Session, WriteCall, announce, read_back, run_write
from engine.execute.targets import proven_targets, refuse_strangers, resolve_references
from engine.execute.update import explain_missing
from engine.io.resolver import ResolvedRow
from engine.plan.read import plan_get
from engine.plan.shape import PlanContext, Selection
from engine.plan.values import Draft, Reference
from engine.plan.write import MAX_ATTEMPTS, UpdateShape, read_move, require_version, require_write
from engine.registry.resource import Resource


async def move_object(runtime: Runtime, call: WriteCall, context: PlanContext) -> Outcome:
    """Give one object another parent of the same type.

    Raises:
        NotFound, Forbidden, StaleVersion, PreconditionRequired, Duplicate, Conflict: As with an update.
        ValidationFailed: The new parent is none, or not of the same account, or stands below the object.
    """
    resource = call.resource
    require_write(resource, "update", context)
    parent, parent_id = read_move(resource, call.body)
    reply = (
        plan_get(resource, call.public_id, (), call.search, context)
        if context.rights.may(resource.name, "read")
        else None
    )
    known = resource.fields[parent.field]

    async def work(session: Session) -> Outcome:
        for attempt in range(MAX_ATTEMPTS + 1):
            plan = plan_present(call, session, Selection(resource.name, ("id", known.name)))
            row, _prepared = await (read_held_row(session, resource, plan) if attempt else read_row(session, plan))
            is_exact = require_version(resource, call.if_match, await present_version(session, call, row)) == "exact"
            # What a delete has detached from its only sort of parent may get another.
            if row[-1] is None and len(resource.parents) > 1:
                detail = f"A {resource.title.lower()} moves between parents of one type only."
                raise ValidationFailed(errors=[parent_fault("parent-mismatch", detail, "/parent/type")])
            reference = Reference("/parent/id", parent.field, parent.type, parent_id)
            own = await account_of(session, resource, call.public_id, row[0])
            draft = Draft(values={parent.field: parent_id}, references=[reference])
            found = await resolve_references(session, draft, checks=True)
            refuse_strangers(draft, found, own)
            draft.finish()
            await _refuse_circle(session, resource, parent.type, parent.field, found[parent.field].row_id, row[0])
            columns: dict[str, object] = {known.column or "": found[parent.field].row_id}
            targets, binds = proven_targets(session, resource, draft, found)
            shape = UpdateShape(resource.name, session.viewer, (), targets)
            if await set_row(session, resource, row, shape, columns, binds=binds, references=(reference,)):
                moved = ResolvedRow(row[0], own)
                announce(session, resource, "move", call.public_id, moved, fields=frozenset((parent.field,)))
                found_object = await read_back(session, reply) if reply is not None else None
                return Outcome(call.public_id, found_object, reply.warnings if reply else ())
            if is_exact:
                await explain_missing(session, draft, found)
        raise lost()

    return await run_write(runtime, context, work, in_transaction=True, is_trial=call.is_trial)


async def _refuse_circle(
    session: Session, resource: Resource, parent_type: str, field: str, parent_row: int, row_id: int
) -> None:
    """An object of a type that nests in itself cannot stand below itself."""
    if parent_type != resource.name:
        return
    below = [row_id]
    fault = parent_fault("parent-mismatch", "An object cannot stand below itself.", "/parent/id")
    seen: set[int] = set()
    while below:
        if parent_row in below:
            raise ValidationFailed(errors=[fault])
        seen.update(below)
        below = [one[0] for one in await find_family(session, resource, field, below) if one[0] not in seen]
