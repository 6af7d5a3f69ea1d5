"""Creates: one statement where nothing else must be looked at, a transaction where children, hooks or row rules are.

The insert itself proves, where a row can be hidden, that the parent and the relations'
targets are there for the caller; the reply is made of what the insert gives back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.errors import StorageFault, ValidationFailed
from engine.execute.faults import lost, name_fault, unknown_target
from engine.execute.read import Found, require_chain
from engine.execute.runtime import Runtime
from engine.execute.session import (
    Outcome,
    Session,
    WriteCall,
    announce,
    plan_id,
    read_back,
    run_override,
    run_write,
)
from engine.execute.targets import hash_passwords, is_visible, proven_targets, refuse_strangers, resolve_references
from engine.io.resolver import ResolvedRow
from engine.language.ids import new_public_id
from engine.plan.nested import ChildWrite, read_children, writable_segments
from engine.plan.read import chain_values, not_found, plan_get
from engine.plan.shape import PlanContext, ReadPlan
from engine.plan.values import Draft, Frame, draft_create, require_object
from engine.plan.write import InsertShape, caller_of, own_account, public_account, require_write
from engine.registry.kinds import KINDS
from engine.registry.resource import Resource

FIRST_VERSION = 1


@dataclass(slots=True)
class Sprout:
    """An object that is about to be created, with its children.

    Attributes:
        public_id: Drawn already.
        frame: Its type and caller.
        parent: The parent's field with the public id that the path gives (None: the same write creates the parent);
            None where the body names it, or none.
        found: Targets of its relations, by field.
        account: Row id of its account.
        given: Keys of its body.
    """

    resource: Resource
    public_id: str
    frame: Frame
    draft: Draft
    children: list[Sprout]
    parent: tuple[str, str | None] | None
    found: dict[str, ResolvedRow] = field(default_factory=dict)
    account: int | None = None
    given: frozenset[str] = frozenset()


async def create_object(runtime: Runtime, call: WriteCall, context: PlanContext) -> Outcome:
    """Create one object, and the children in its body.

    Raises:
        NotFound: A parent of the path is not there for the caller, or the type.
        Forbidden: He may not create, or his row rule does not cover the object.
        ValidationFailed: With every fault of the body at once.
        Duplicate: A value that must be unique is taken.
    """
    resource = call.resource
    require_write(resource, "create", context)
    reply = _plan_reply(call, context)
    bound = None
    if call.chain:
        chain_values(call.chain)
        link, parent_id = call.chain[0]
        bound = (link.field, parent_id)
        if len(call.chain) > 1:
            await require_chain(runtime, call.chain, context)
    account = own_account(resource, context)
    overrides = runtime.overrides.get(resource.name)
    must_check = context.rights.rule(resource.name) is not None
    has_children = (
        bool(resource.children)
        and isinstance(call.body, dict)
        and any(child.segment in call.body for child in resource.children)
    )
    has_hook = overrides is not None and overrides.before_create is not None

    async def work(session: Session) -> Outcome:
        sprout = _plan_sprout(session, resource, call.body, bound, account, "")
        store_further(session, resource, sprout.draft, call.further)
        await _resolve(session, sprout, account)
        faults = _faults_of(sprout)
        if faults:
            raise ValidationFailed(errors=faults)
        row, values = await _insert(session, sprout, reply)
        for child in sprout.children:
            await _insert_below(session, child, row)
        found: Found | None = None
        if must_check or (reply is not None and values is None):
            plan = plan_id(resource, "", context) if reply is None else reply
            found = await read_back(session, _for_id(plan, sprout.public_id))
        elif reply is not None and values is not None:
            prepared = session.runtime.prepare(reply.shape, context.rights)
            version = FIRST_VERSION if resource.version else None
            found = Found(prepared.writer.write(values), version, row.row_id, values)
        return Outcome(sprout.public_id, found if reply is not None else None, reply.warnings if reply else ())

    return await run_write(
        runtime, context, work, in_transaction=has_children or has_hook or must_check, is_trial=call.is_trial
    )


async def create_child(session: Session, write: ChildWrite, parent_id: str, parent: ResolvedRow) -> None:
    """Create a child that the body of its parent's update asks for."""
    resource = session.runtime.registry.types[write.child.type]
    bound = (write.child.field, None)
    sprout = _plan_sprout(session, resource, write.body, bound, parent.account_row_id, write.pointer)
    sprout.draft.values[write.child.field] = parent_id
    await _resolve(session, sprout, parent.account_row_id)
    faults = _faults_of(sprout)
    if faults:
        raise ValidationFailed(errors=faults)
    await _insert_below(session, sprout, parent)


# ---------------------------------------------------------------- planning


def _plan_reply(call: WriteCall, context: PlanContext) -> ReadPlan | None:
    """How the object will be answered; None for a caller who may create but not read."""
    if not context.rights.may(call.resource.name, "read"):
        return None
    return plan_get(call.resource, _ANY_ID, (), call.search, context)


def _for_id(plan: ReadPlan, public_id: str) -> ReadPlan:
    return ReadPlan(plan.shape, {**plan.values, "id": public_id}, expansions=plan.expansions, warnings=plan.warnings)


def _plan_sprout(
    session: Session,
    resource: Resource,
    body: object,
    bound: tuple[str, str | None] | None,
    account: int | None,
    pointer: str,
) -> Sprout:
    context = session.context
    segments = writable_segments(resource, "create", context)
    overrides = session.overrides(resource)
    frame = Frame(resource, context, overrides, caller_of(context, account), segments, pointer)
    draft = draft_create(frame, body, bound)
    public_id = new_public_id()
    children: list[Sprout] = []
    for write in read_children(resource, require_object(body, pointer), segments, "create", context, draft, pointer):
        child = session.runtime.registry.types[write.child.type]
        children.append(_plan_sprout(session, child, write.body, (write.child.field, None), account, write.pointer))
        children[-1].draft.values[write.child.field] = public_id
    if not draft.faults and overrides.validate is not None:
        try:
            overrides.validate(dict(draft.values), None)
        except ValidationFailed as refused:
            draft.adopt(refused, pointer)
    given = frozenset(require_object(body, pointer))
    return Sprout(resource, public_id, frame, draft, children, bound, given=given)


async def _resolve(session: Session, sprout: Sprout, account: int | None) -> None:
    """Find the targets of an object's relations and of its children's, and the account that all of them are of."""
    resource = sprout.resource

    sprout.account = account
    sprout.found = await resolve_references(session, sprout.draft)
    if resource.account.kind == "inherited":
        parents = [sprout.found[one.field] for one in resource.parents if one.field in sprout.found]
        if parents:
            sprout.account = parents[0].account_row_id
    refuse_strangers(sprout.draft, sprout.found, sprout.account)
    for child in sprout.children:
        await _resolve(session, child, sprout.account)


def _faults_of(sprout: Sprout) -> list[Any]:
    faults = list(sprout.draft.faults)
    for child in sprout.children:
        faults.extend(_faults_of(child))
    return faults


# ---------------------------------------------------------------- inserting


async def _insert_below(session: Session, sprout: Sprout, parent: ResolvedRow) -> None:
    row, _ = await _insert(session, sprout, None, parent=parent)
    for child in sprout.children:
        await _insert_below(session, child, row)


async def _insert(
    session: Session,
    sprout: Sprout,
    reply: ReadPlan | None,
    *,
    parent: ResolvedRow | None = None,
) -> tuple[ResolvedRow, tuple[Any, ...] | None]:
    """Insert one row.

    Returns:
        The row, and its values in the order of the reply's selection; None where they must be read.
    """
    resource, draft, found = sprout.resource, sprout.draft, sprout.found
    caller = caller_of(session.context, sprout.account)
    further = await run_override(sprout.frame.overrides.before_create, dict(draft.values), caller)
    store_further(session, resource, draft, further)
    await hash_passwords(session, draft)
    if parent is not None and sprout.parent is not None:
        found = {**found, sprout.parent[0]: parent}
    columns = _columns_of(session, sprout, found)
    targets, binds = proven_targets(session, resource, draft, found)
    names, returning = _returning(session, reply)
    shape = InsertShape(resource.name, session.viewer, tuple(columns), targets, returning)
    binds.update({f"s{i}": value for i, value in enumerate(columns.values())})
    try:
        rows = await session.fetch(shape, binds)
    except StorageFault as fault:
        raise name_fault(fault, resource, draft.references, sprout.frame.pointer, sprout.given) from fault
    if not rows:
        raise await _missing_target(session, draft, found)
    row = ResolvedRow(rows[0][0], rows[0][0] if resource.account.kind == "self" else sprout.account)
    after = dict(draft.values)
    fields = frozenset(name for name in after if not resource.fields[name].secret)
    announce(session, resource, "create", sprout.public_id, row, fields=fields, caller=caller, after=after)
    return row, _reply_row(session, sprout, reply, row, dict(zip(names, rows[0][1:], strict=True)))


def store_further(session: Session, resource: Resource, draft: Draft, further: object) -> None:
    """Store what a hook returned: canonical values by wire name, of any stored field that is no relation."""
    if not isinstance(further, Mapping):
        return
    for name, value in further.items():
        known = resource.fields[name]
        if known.column is None or known.kind in ("id", "relation"):
            raise TypeError(f"a hook of {resource.name} cannot set {name}")
        draft.values[name] = value
        draft.stored[name] = None if value is None else KINDS[known.kind].bind[session.dialect](value, known)


def _columns_of(session: Session, sprout: Sprout, found: Mapping[str, ResolvedRow]) -> dict[str, object]:
    """Column → value, in the registry's order, so that bodies of the same fields share a statement."""
    resource, draft = sprout.resource, sprout.draft
    columns: dict[str, object] = {}
    if resource.public_id:
        columns[resource.public_id] = sprout.public_id
    if resource.account.column:
        columns[resource.account.column] = sprout.account
    for name, known in resource.fields.items():
        if name in draft.values and known.column is not None:
            if known.kind == "relation":
                columns[known.column] = found[name].row_id if name in found else None
            else:
                columns[known.column] = draft.stored[name]
    for column, name in ((resource.created, "created_on"), (resource.updated, "updated_on")):
        if column:
            columns[column] = session.moment(resource.fields[name])
    if resource.version:
        columns[resource.version] = FIRST_VERSION
    return columns


def _returning(session: Session, reply: ReadPlan | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The fields of the reply that the row itself holds, and their columns."""
    if reply is None:
        return (), ()
    pairs: dict[str, str] = {}
    for selected in session.runtime.layout(reply.shape.selection):
        known = selected.field
        if known is not None and not selected.hops and known.kind not in ("id", "relation") and known.column:
            pairs[known.name] = known.column
    return tuple(pairs), tuple(pairs.values())


def _reply_row(
    session: Session, sprout: Sprout, reply: ReadPlan | None, row: ResolvedRow, returned: Mapping[str, object]
) -> tuple[Any, ...] | None:
    if reply is None or reply.expansions or reply.shape.selection.ones:
        return None
    values: list[Any] = [row.row_id, FIRST_VERSION if sprout.resource.version else None]
    for selected in session.runtime.layout(reply.shape.selection):
        known = selected.field
        if known is None:
            return None
        if known.role == "public_id":
            values.append(sprout.public_id)
        elif known.role == "account":
            account_id = public_account(session.context, row.account_row_id)
            if account_id is None:
                return None
            values.append(account_id)
        elif known.kind == "relation":
            values.append(sprout.draft.values.get(known.name))
        else:
            values.append(returned[known.name])
    return tuple(values)


async def _missing_target(session: Session, draft: Draft, found: Mapping[str, ResolvedRow]) -> Exception:
    """Which target the insert did not find: only a create that failed pays for this."""
    items = []
    for reference in draft.references:
        if not await is_visible(session, reference.type, found[reference.field].row_id):
            if reference.pointer is None:
                return not_found()
            items.append(unknown_target(reference))
    return ValidationFailed(errors=items) if items else lost()


_ANY_ID = "-" * 22
