"""Deletes, soft and for good, with what happens to the children; and restores, which undo exactly one soft delete.

A soft delete gives the object and its children one time of deletion. A restore brings
back the children that carry that very time, and leaves alone those that were deleted before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from engine.errors import Conflict, ForeignKeyUnknown, NotFound, StorageFault, ValueRefused
from engine.execute.faults import child_fault, in_use, lost, name_fault
from engine.execute.present import account_of, plan_present, present_version, read_row, set_row
from engine.execute.runtime import Runtime
from engine.execute.session import Outcome, Session, WriteCall, announce, read_back, run_override, run_write
from engine.execute.targets import is_visible, proven_targets, resolve_references
from engine.io.resolver import ResolvedRow
from engine.plan.nested import ChildWrite
from engine.plan.read import not_found, plan_get
from engine.plan.selection import id_selection
from engine.plan.shape import Link, PlanContext, Selection
from engine.plan.values import Draft, Reference
from engine.plan.write import (
    MAX_ATTEMPTS,
    DeleteShape,
    FamilyShape,
    StampShape,
    UpdateShape,
    before_selection,
    caller_of,
    require_version,
    require_write,
    stale,
)
from engine.registry.kinds import KINDS
from engine.registry.resource import Child, Field, Resource
from engine.render.rows import Row

MAX_WIDTH = 256
_FamilyRow = tuple[int, str, int | None]


async def delete_object(runtime: Runtime, call: WriteCall, context: PlanContext) -> Outcome:
    """Delete one object.

    Raises:
        NotFound: There is no such object for the caller.
        Forbidden: He may not delete, or not for good.
        StaleVersion, PreconditionRequired: About ``If-Match``.
        ForeignKeyInUse: A child or another object that points at it forbids it.
        Conflict: Others changed the object each time.
    """
    require_write(call.resource, "delete_hard" if call.is_hard else "delete", context)
    overrides = runtime.overrides.get(call.resource.name)
    has_hook = overrides is not None and overrides.before_delete is not None

    async def work(session: Session) -> Outcome:
        await _delete(session, call)
        return Outcome(call.public_id)

    return await run_write(
        runtime, context, work, in_transaction=bool(call.resource.children) or has_hook, is_trial=call.is_trial
    )


async def restore_object(runtime: Runtime, call: WriteCall, context: PlanContext) -> Outcome:
    """Undo the soft delete of one object, and of the children that were deleted with it.

    Raises:
        NotFound: There is no such deleted object for the caller.
        Forbidden, StaleVersion, PreconditionRequired, Duplicate, Conflict: As with other writes.
    """
    resource = call.resource
    require_write(resource, "delete", context)
    if not resource.soft_delete:
        raise not_found()
    may_read = context.rights.may(resource.name, "read")
    reply = plan_get(resource, call.public_id, call.chain, call.search, context) if may_read else None

    async def work(session: Session) -> Outcome:
        above = [parent.field for parent in resource.parents]
        selection = Selection(resource.name, ("id", *above))
        for _ in range(MAX_ATTEMPTS + 1):
            row, _prepared = await read_row(session, plan_present(call, session, selection, deleted="only"))
            matched = require_version(resource, call.if_match, await present_version(session, call, row))
            ((stamp,),) = await session.fetch(StampShape(resource.name, session.viewer), {"row_id": row[0]}) or (
                (None,),
            )
            draft, found = await _find_parents(session, resource, selection, row)
            targets, binds = proven_targets(session, resource, draft, found)
            shape = UpdateShape(resource.name, session.viewer, (), targets, state="deleted")
            sets = {resource.soft_delete or "": None}
            if stamp is not None and await set_row(session, resource, row, shape, sets, binds=binds):
                account = await account_of(session, resource, call.public_id, row[0])
                announce(session, resource, "restore", call.public_id, ResolvedRow(row[0], account))
                await _restore_below(session, resource, [row[0]], stamp, deleted_field(resource))
                shown = await read_back(session, reply) if reply is not None else None
                return Outcome(call.public_id, shown, reply.warnings if reply else ())
            await _require_parents(session, draft, found)
            if matched == "exact":
                raise stale()
        raise lost()

    return await run_write(runtime, context, work, in_transaction=True, is_trial=call.is_trial)


async def _find_parents(
    session: Session, resource: Resource, selection: Selection, row: Row
) -> tuple[Draft, dict[str, ResolvedRow]]:
    """The parents of a row, as references whose targets a statement can prove to be there.

    Raises:
        Conflict: One is not there.
    """
    stands = {
        selected.field.name: row[index]
        for index, selected in enumerate(session.runtime.layout(selection), start=2)
        if selected.field is not None and not selected.hops
    }
    draft = Draft()
    for parent in resource.parents:
        if stands.get(parent.field) is not None:
            draft.references.append(Reference("", parent.field, parent.type, str(stands[parent.field])))
    found = await resolve_references(session, draft)
    for reference in draft.references:
        if reference.field not in found:
            raise _orphaned(session, reference)
    return draft, found


async def _require_parents(session: Session, draft: Draft, found: Mapping[str, ResolvedRow]) -> None:
    """Refuse to restore below what is deleted: nobody could reach it by its path.

    Raises:
        Conflict: A parent is not there for the caller.
    """
    for reference in draft.references:
        if not await is_visible(session, reference.type, found[reference.field].row_id):
            raise _orphaned(session, reference)


def _orphaned(session: Session, reference: Reference) -> Conflict:
    title = session.runtime.registry.types[reference.type].title.lower()
    return Conflict(f"The {title} that it stands under is not there; restore that first.")


async def delete_child(session: Session, write: ChildWrite, parent_id: str) -> None:
    """Delete a child that the body of its parent's update names."""
    resource = session.runtime.registry.types[write.child.type]
    call = WriteCall(resource=resource, chain=((link_of(resource, write.child), parent_id),), public_id=write.public_id)
    try:
        await _delete(session, call)
    except NotFound as gone:
        raise ForeignKeyUnknown(errors=[child_fault(write)]) from gone


def link_of(resource: Resource, child: Child) -> Link:
    """The step of a path from a child to its parent."""
    parent = next(parent for parent in resource.parents if parent.field == child.field)
    return Link(parent.type, parent.field)


async def find_family(
    session: Session, resource: Resource, field: str, parents: Sequence[int], *, only: Any = "all", at: object = None
) -> list[_FamilyRow]:
    """The rows that point at some others: row id, public id, account."""
    found: list[_FamilyRow] = []
    for chunk in _chunks(parents):
        shape = FamilyShape(resource.name, session.viewer, field, len(chunk), "find", only)
        for row_id, public_id, account in await session.fetch(shape, {**_parent_binds(chunk), "at": at}):
            found.append((row_id, public_id, row_id if resource.account.kind == "self" else account))
    return found


# ---------------------------------------------------------------- one object


async def _delete(session: Session, call: WriteCall) -> None:
    resource = call.resource
    is_soft = resource.soft_delete is not None and not call.is_hard
    overrides = session.overrides(resource)
    whole = overrides.before_delete is not None or overrides.after_commit is not None
    selection = before_selection(resource, id_selection(resource.name), frozenset(), whole=whole)
    for _ in range(MAX_ATTEMPTS + 1):
        row, _prepared = await read_row(
            session, plan_present(call, session, selection, deleted="include" if call.is_hard else "exclude")
        )
        matched = require_version(resource, call.if_match, await present_version(session, call, row))
        account = await account_of(session, resource, call.public_id, row[0])
        caller = caller_of(session.context, account)
        before = restore_values(session, selection, row) if whole else None
        await run_override(overrides.before_delete, before, caller)
        own = ResolvedRow(row[0], account)
        if await (_stamp_row(session, resource, row) if is_soft else _remove_row(session, resource, row)):
            announce(session, resource, "delete", call.public_id, own, caller=caller, before=before)
            return
        if matched == "exact":
            raise stale()
    raise lost()


async def _stamp_row(session: Session, resource: Resource, row: Row) -> bool:
    shape = UpdateShape(resource.name, session.viewer, ())
    if not await set_row(session, resource, row, shape, {resource.soft_delete or "": _stamp_of(session, resource)}):
        return False
    await _stamp_below(session, resource, [row[0]])
    return True


async def _remove_row(session: Session, resource: Resource, row: Row) -> bool:
    version = row[1]
    if resource.children and resource.version:
        # Take the row before its children go, so that nothing has to be undone when somebody else was faster.
        if not await set_row(session, resource, row, UpdateShape(resource.name, session.viewer, (), state=None), {}):
            return False
        version += 1
    await _remove_below(session, resource, [row[0]])
    try:
        values = {"row_id": row[0], "version": version}
        return await session.execute(DeleteShape(resource.name, session.viewer), values) > 0
    except StorageFault as fault:
        raise name_fault(fault, resource, ()) from fault


def restore_values(session: Session, selection: Selection, row: Row) -> dict[str, object]:
    """A row as overrides see it: canonical values by wire name."""
    values: dict[str, object] = {}
    for index, selected in enumerate(session.runtime.layout(selection), start=2):
        known = selected.field
        if known is not None and not selected.hops:
            value = row[index]
            restore = KINDS[known.kind].restore[session.dialect]
            values[known.name] = None if value is None else restore(value, known)
    return values


# ---------------------------------------------------------------- children


async def _stamp_below(session: Session, resource: Resource, row_ids: Sequence[int]) -> None:
    for child in resource.children:
        below = session.runtime.registry.types[child.type]
        if child.on_delete == "detach":
            await _over_family(session, below, child, row_ids, "detach")
            continue
        if child.on_delete == "cascade" and not (below.soft_delete or below.children):
            continue
        rows = await find_family(session, below, child.field, row_ids, only="alive")
        if rows and child.on_delete == "restrict":
            raise in_use()
        if not rows:
            continue
        if below.soft_delete:
            await _over_family(session, below, child, row_ids, "stamp", only="alive")
            _announce_all(session, below, "delete", rows)
        await _stamp_below(session, below, [row[0] for row in rows])


async def _restore_below(
    session: Session, resource: Resource, row_ids: Sequence[int], stamp: object, kept: Field | None
) -> None:
    """Restore the children that carry the stamp of a field of the restored object."""
    for child in resource.children:
        below = session.runtime.registry.types[child.type]
        if child.on_delete != "cascade" or not (below.soft_delete or below.children):
            continue
        at = _as_in(session, stamp, kept, deleted_field(below))
        rows = await find_family(session, below, child.field, row_ids, only="at" if below.soft_delete else "all", at=at)
        if not rows:
            continue
        if below.soft_delete:
            await _over_family(session, below, child, row_ids, "unstamp", only="at", at=at)
            _announce_all(session, below, "restore", rows)
        await _restore_below(session, below, [row[0] for row in rows], stamp, kept)


async def _remove_below(session: Session, resource: Resource, row_ids: Sequence[int]) -> None:
    for child in resource.children:
        below = session.runtime.registry.types[child.type]
        if child.on_delete == "detach":
            await _over_family(session, below, child, row_ids, "detach")
            continue
        rows = await find_family(session, below, child.field, row_ids)
        if not rows:
            continue
        if child.on_delete == "restrict":
            raise in_use()
        await _remove_below(session, below, [row[0] for row in rows])
        await _over_family(session, below, child, row_ids, "delete")
        _announce_all(session, below, "delete", rows)


async def _over_family(
    session: Session,
    resource: Resource,
    child: Child,
    parents: Sequence[int],
    action: Any,
    *,
    only: Any = "all",
    at: object = None,
) -> None:
    now, stamp = session.moment(resource.fields.get("updated_on")), _stamp_of(session, resource)
    for chunk in _chunks(parents):
        shape = FamilyShape(resource.name, session.viewer, child.field, len(chunk), action, only)
        try:
            await session.execute(shape, {**_parent_binds(chunk), "now": now, "stamp": stamp, "at": at})
        except ValueRefused as fault:
            # The column takes no NULL: nothing can be detached from its last parent.
            raise in_use() from fault
        except StorageFault as fault:
            raise name_fault(fault, resource, ()) from fault


def deleted_field(resource: Resource) -> Field | None:
    """The field with the time of deletion."""
    return next((known for known in resource.fields.values() if known.role == "deleted"), None)


def _stamp_of(session: Session, resource: Resource) -> object:
    return session.moment(deleted_field(resource))


def _as_in(session: Session, stamp: object, kept: Field | None, wanted: Field | None) -> object:
    """A stored time of deletion as another type's column has it: one of them may keep a zone's clocks."""
    if kept is None or wanted is None or kept.zone == wanted.zone:
        return stamp
    kind = KINDS["datetime"]
    instant = kind.restore[session.dialect](stamp, kept)
    return kind.bind[session.dialect](instant, replace(wanted, stored_as="native"))


def _announce_all(session: Session, resource: Resource, verb: Any, rows: Sequence[_FamilyRow]) -> None:
    for row_id, public_id, account in rows:
        announce(session, resource, verb, public_id, ResolvedRow(row_id, account))


def _chunks(ids: Sequence[int]) -> list[list[int]]:
    """Ids in lists of few lengths, padded by repeating the last."""
    chunks: list[list[int]] = []
    for start in range(0, len(ids), MAX_WIDTH):
        chunk = list(ids[start : start + MAX_WIDTH])
        width = 1
        while width < len(chunk):
            width *= 2
        chunks.append(chunk + [chunk[-1]] * (width - len(chunk)))
    return chunks


def _parent_binds(chunk: Sequence[int]) -> dict[str, object]:
    return {f"parent{i}": row_id for i, row_id in enumerate(chunk)}
