"""Updates: read the object, compare the version, change it in one compare-and-set; again where others were faster.

A patch of plain fields is two statements; the reply is the row that was read with the
changes put in. What the columns of a found table make of a value is only known by
reading it back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import time
from decimal import Decimal
from typing import Any, NoReturn

from engine.errors import ErrorItem, ForeignKeyUnknown, NotFound, Problem, ValidationFailed
from engine.execute.create import create_child, store_further
from engine.execute.delete import delete_child, link_of, restore_values
from engine.execute.faults import child_fault, lost, unknown_target
from engine.execute.present import account_of, plan_present, present_version, read_held_row, read_row, set_row
from engine.execute.read import Found
from engine.execute.runtime import Prepared, Runtime
from engine.execute.session import (
    Outcome,
    Session,
    WriteCall,
    announce,
    read_back,
    run_override,
    run_write,
)
from engine.execute.targets import hash_passwords, is_visible, proven_targets, refuse_strangers, resolve_references
from engine.io.resolver import ResolvedRow
from engine.language.ids import is_public_id
from engine.plan.nested import ChildWrite, read_children, writable_segments
from engine.plan.read import plan_get
from engine.plan.selection import id_selection
from engine.plan.shape import PlanContext, ReadPlan, Selection
from engine.plan.values import Draft, Frame, draft_replace, draft_update, require_object
from engine.plan.write import (
    MAX_ATTEMPTS,
    UpdateShape,
    before_selection,
    caller_of,
    require_version,
    require_write,
    stale,
)
from engine.registry.resource import Resource
from engine.render.rows import Row

Drafter = Callable[[Frame, object, Mapping[str, object]], Draft]


async def update_object(runtime: Runtime, call: WriteCall, context: PlanContext, *, replaces: bool = False) -> Outcome:
    """Change one object; with `replaces`, what the body leaves out takes its default.

    Raises:
        NotFound: There is no such object for the caller.
        Forbidden: He may not update, or his row rule would not cover the result.
        ValidationFailed: With every fault of the body at once.
        StaleVersion, PreconditionRequired: About ``If-Match``.
        Duplicate: A value that must be unique is taken.
        Conflict: Others changed the object each time.
    """
    resource = call.resource
    require_write(resource, "update", context)
    body = require_object(call.body, "")
    reply = plan_get(resource, call.public_id, call.chain, call.search, context) if _may_read(call, context) else None
    segments = writable_segments(resource, "update", context)
    has_children = not segments.isdisjoint(body)
    has_rule = context.rights.rule(resource.name) is not None
    overrides = runtime.overrides.get(resource.name)
    has_hook = overrides is not None and overrides.before_update is not None
    drafter: Drafter = draft_replace if replaces else draft_update
    if call.further and not call.body:
        # Code that changes only what is its own to change has nothing to say as a caller.
        drafter = _draft_nothing

    async def work(session: Session) -> Outcome | None:
        change = _Change(session, call, reply, drafter, segments)
        return await change.attempt(is_again=False, must_check=has_rule)

    async def work_again(session: Session) -> Outcome:
        for _ in range(MAX_ATTEMPTS):
            change = _Change(session, call, reply, drafter, segments)
            outcome = await change.attempt(is_again=True, must_check=has_rule)
            if outcome is not None:
                return outcome
        raise lost()

    outcome = await run_write(
        runtime, context, work, in_transaction=has_children or has_hook or has_rule, is_trial=call.is_trial
    )
    if outcome is None:
        # Somebody else was faster. The second time the row is held while it is looked at.
        outcome = await run_write(runtime, context, work_again, in_transaction=True, is_trial=call.is_trial)
    return outcome


async def update_child(session: Session, write: ChildWrite, parent_id: str) -> None:
    """Change a child that the body of its parent's update names."""
    resource = session.runtime.registry.types[write.child.type]
    link = link_of(resource, write.child)
    call = WriteCall(resource=resource, chain=((link, parent_id),), public_id=write.public_id, body=write.body)
    segments = writable_segments(resource, "update", session.context)
    has_rule = session.context.rights.rule(resource.name) is not None
    try:
        for attempt in range(MAX_ATTEMPTS + 1):
            change = _Change(session, call, None, draft_update, segments, write.pointer)
            if await change.attempt(is_again=attempt > 0, must_check=has_rule) is not None:
                return
    except NotFound as gone:
        raise ForeignKeyUnknown(errors=[child_fault(write)]) from gone
    raise lost()


async def explain_missing(session: Session, draft: Draft, found: Mapping[str, ResolvedRow]) -> NoReturn:
    """A write against a known version found nothing: another version, or a target that is gone?

    Raises:
        ForeignKeyUnknown, StaleVersion: As it is.
    """
    for reference in draft.references:
        if not await is_visible(session, reference.type, found[reference.field].row_id):
            raise ForeignKeyUnknown(errors=[unknown_target(reference)])
    raise stale()


def _draft_nothing(frame: Frame, body: object, before: Mapping[str, object]) -> Draft:
    return Draft()


class _Change:
    """One attempt at an update."""

    def __init__(
        self,
        session: Session,
        call: WriteCall,
        reply: ReadPlan | None,
        drafter: Drafter,
        segments: frozenset[str],
        pointer: str = "",
    ) -> None:
        self.session = session
        self.call = call
        self.resource = call.resource
        self.reply = reply
        self.drafter = drafter
        self.segments = segments
        self.pointer = pointer
        self.body = require_object(call.body, pointer)
        self.overrides = session.overrides(call.resource)

    async def attempt(self, *, is_again: bool, must_check: bool) -> Outcome | None:
        """Do it; None where somebody else was faster and it may be tried again."""
        session, resource, call = self.session, self.resource, self.call
        selection = self._selection()
        plan = self.reply
        if plan is None or plan.shape.selection is not selection:
            plan = plan_present(call, session, selection)
        row, prepared = await (read_held_row(session, resource, plan) if is_again else read_row(session, plan))
        matched = require_version(resource, call.if_match, await present_version(session, call, row))
        before = self._before(selection, row, prepared)
        account = await account_of(session, resource, call.public_id, row[0])
        caller = caller_of(session.context, account)
        frame = Frame(resource, session.context, self.overrides, caller, self.segments, self.pointer)
        draft = self.drafter(frame, self.body, before)
        children = read_children(resource, self.body, self.segments, "update", session.context, draft, self.pointer)
        after = {**before, **draft.values}
        if not draft.faults and self.overrides.validate is not None:
            try:
                self.overrides.validate(after, before)
            except ValidationFailed as refused:
                draft.adopt(refused, self.pointer)
        store_further(session, resource, draft, call.further)
        found = await resolve_references(session, draft, checks=is_again)
        refuse_strangers(draft, found, account)
        own = ResolvedRow(row[0], account)
        if draft.faults:
            await self._write_children(children, own, draft.faults)
            draft.finish()
        further = await run_override(self.overrides.before_update, dict(draft.values), before, caller)
        store_further(session, resource, draft, further)
        await hash_passwords(self.session, draft)
        columns = self._columns(draft, found)
        # The version counts writes of an object's children through it too: who has read it must see them before he
        # writes over them.
        has_written = bool(columns) or bool(children and (resource.version or resource.updated))
        if has_written:
            targets, binds = proven_targets(session, resource, draft, found)
            olds = _old_values(resource, selection, session, row, columns)
            shape = UpdateShape(resource.name, session.viewer, (), targets)
            if not await set_row(
                session, resource, row, shape, columns,
                binds=binds, olds=olds, references=draft.references, pointer=self.pointer, given=self.body.keys(),
            ):  # fmt: skip
                if matched == "exact":
                    await explain_missing(self.session, draft, found)
                return None
        if has_written:
            announce(
                session, resource, "update", call.public_id, own,
                fields=frozenset(draft.values), caller=caller,
                before=before, after={**before, **draft.values},
            )  # fmt: skip
        await self._write_children(children, own, draft.faults)
        draft.finish()
        return await self._outcome(selection, prepared, row, draft, must_check=must_check, has_written=has_written)

    # ------------------------------------------------------------ private

    def _selection(self) -> Selection:
        reply = self.reply.shape.selection if self.reply is not None else id_selection(self.resource.name)
        readable = self.session.context.rights.readable(self.resource.name)
        named = frozenset(
            name
            for name in self.body
            if name in readable and (name not in reply.fields) and not self.resource.fields[name].secret
        )
        whole = self.overrides.needs_before
        if not self.resource.version:
            named |= self._stored_names() | frozenset(self.call.further)
        return before_selection(self.resource, reply, named, whole=whole)

    def _stored_names(self) -> frozenset[str]:
        """Without a version, the columns that change are compared with what they were."""
        updateable = self.session.context.rights.updateable(self.resource.name)
        fields = self.resource.fields
        return frozenset(name for name in self.body if name in updateable and not fields[name].secret)

    def _before(self, selection: Selection, row: Row, prepared: Prepared) -> dict[str, object]:
        """The object as it is: all of it for overrides, else what the body states without being able to change it."""
        updateable = self.session.context.rights.updateable(self.resource.name)
        whole = self.overrides.needs_before
        wanted = frozenset(self.body) - updateable
        if not whole and not wanted:
            return {}
        before = restore_values(self.session, selection, row)
        if not whole:
            before = {name: value for name, value in before.items() if name in wanted}
        computed = [name for name in wanted if name in selection.fields and self.resource.fields[name].computed]
        if computed:
            shown = prepared.writer.write(row)
            before.update({name: shown[name] for name in computed})
        return before

    def _columns(self, draft: Draft, found: Mapping[str, ResolvedRow]) -> dict[str, object]:
        columns: dict[str, object] = {}
        for name, known in self.resource.fields.items():
            if name in draft.values and known.column is not None:
                if known.kind == "relation":
                    columns[known.column] = found[name].row_id if name in found else None
                else:
                    columns[known.column] = draft.stored[name]
        return columns

    async def _write_children(self, children: Sequence[ChildWrite], own: ResolvedRow, faults: list[ErrorItem]) -> None:
        """Write the children; behind a fault only to find all others, since the transaction takes everything back."""
        for child in children:
            try:
                await self._write_child(child, own)
            except ValidationFailed as refused:
                faults.extend(refused.errors)
            except Problem:
                if not faults:
                    raise

    async def _write_child(self, write: ChildWrite, own: ResolvedRow) -> None:
        if write.verb == "create":
            await create_child(self.session, write, self.call.public_id, own)
        elif not is_public_id(write.public_id):
            raise ForeignKeyUnknown(errors=[child_fault(write)])
        elif write.verb == "update":
            await update_child(self.session, write, self.call.public_id)
        else:
            await delete_child(self.session, write, self.call.public_id)

    async def _outcome(
        self, selection: Selection, prepared: Prepared, row: Row, draft: Draft, *, must_check: bool, has_written: bool
    ) -> Outcome:
        reply = self.reply
        if must_check:
            await read_back(self.session, plan_present(self.call, self.session, id_selection(self.resource.name)))
        if reply is None:
            return Outcome(self.call.public_id)
        shape = reply.shape
        must_read = reply.expansions or shape.selection.ones or (not self.resource.echoes and has_written)
        if must_read:
            return Outcome(self.call.public_id, await read_back(self.session, reply), reply.warnings)
        changed = self._changed_row(selection, row, draft) if has_written else tuple(row)
        shown = prepared.writer.write(changed)
        if selection.fields != shape.selection.fields:
            shown = {name: shown[name] for name in shape.selection.fields}
        return Outcome(self.call.public_id, Found(shown, changed[1], changed[0], changed), reply.warnings)

    def _changed_row(self, selection: Selection, row: Row, draft: Draft) -> tuple[Any, ...]:
        """The row as a read would give it now."""
        changed = list(row)
        if self.resource.version:
            changed[1] = row[1] + 1
        for index, selected in enumerate(self.session.runtime.layout(selection), start=2):
            known = selected.field
            if known is None or selected.hops:
                continue
            if known.role == "updated":
                changed[index] = self.session.moment(known)
            elif known.name in draft.values:
                changed[index] = (
                    draft.values[known.name] if known.kind == "relation" else _as_read(draft.stored[known.name])
                )
        return tuple(changed)


# ---------------------------------------------------------------- statements


def _old_values(
    resource: Resource, selection: Selection, session: Session, row: Row, columns: Mapping[str, object]
) -> dict[str, object]:
    """Column → present value, where the type has no version to compare."""
    if resource.version:
        return {}
    olds: dict[str, object] = {}
    for index, selected in enumerate(session.runtime.layout(selection), start=2):
        known = selected.field
        if (
            known is not None
            and not selected.hops
            and known.kind not in ("relation", "float")
            and known.column in columns
            # A zero date was read as none, which it does not compare with.
            and not (known.stored_as == "zero" and row[index] is None)
        ):
            olds[known.column or ""] = row[index]
    return olds


def _as_read(value: object) -> object:
    """A bound value as the driver would give it back."""
    if isinstance(value, Decimal):
        return format(value, "f")
    return value.isoformat() if isinstance(value, time) else value


def _may_read(call: WriteCall, context: PlanContext) -> bool:
    return context.rights.may(call.resource.name, "read")
