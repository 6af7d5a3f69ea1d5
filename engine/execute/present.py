"""The row that a write is about, as it is at present: read under everything that narrows the caller, compared, set."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from engine.errors import StorageFault
from engine.execute.faults import name_fault
from engine.execute.runtime import Prepared, Runtime, with_rules
from engine.execute.session import Session, WriteCall, run_write
from engine.language.ids import is_public_id
from engine.language.search import EMPTY_SEARCH
from engine.plan.read import chain_values, not_found, plan_get
from engine.plan.selection import id_selection
from engine.plan.shape import Deleted, PlanContext, ReadPlan, ReadShape, Selection
from engine.plan.tenancy import account_values
from engine.plan.values import Reference
from engine.plan.write import HoldShape, UpdateShape
from engine.registry.resource import Resource
from engine.render.headers import etag_version, object_etag
from engine.render.rows import Row, encode_json


def plan_present(call: WriteCall, session: Session, selection: Selection, *, deleted: Deleted = "exclude") -> ReadPlan:
    """Plan the read of the row that a call is about.

    Raises:
        NotFound: Something in the path is no id.
    """
    if not is_public_id(call.public_id):
        raise not_found()
    shape = ReadShape(
        call.resource.name,
        session.viewer,
        selection,
        "one",
        chain=tuple(link for link, _ in call.chain),
        deleted=deleted if call.resource.soft_delete else "exclude",
    )
    values = account_values(session.context.principal, session.viewer)
    values["id"] = call.public_id
    values.update(chain_values(call.chain))
    return ReadPlan(shape, values)


async def read_row(session: Session, plan: ReadPlan) -> tuple[Row, Prepared]:
    """Read the row to be written.

    Raises:
        NotFound: It is not there for the caller.
    """
    prepared = session.runtime.prepare(plan.shape, session.context.rights)
    values = with_rules(session.runtime, prepared, plan.values, session.context)
    rows = await session.runner.fetch(prepared.statement.text, prepared.statement.arrange(values), point=True)
    if not rows:
        raise not_found()
    return rows[0], prepared


async def read_held_row(session: Session, resource: Resource, plan: ReadPlan) -> tuple[Row, Prepared]:
    """Read the row to be written, and keep others from writing it until the transaction ends.

    For who was too slow once: with many writers of one row, chance alone would let some lose every time.

    Raises:
        NotFound: It is not there for the caller.
    """
    row, _prepared = await read_row(session, plan)
    await session.fetch(HoldShape(resource.name, session.viewer), {"row_id": row[0]})
    return await read_row(session, plan)


async def hold_object(runtime: Runtime, call: WriteCall, context: PlanContext) -> None:
    """Keep others from writing an object until the transaction that `runtime` stands for ends.

    Raises:
        NotFound: It is not there for the caller.
    """

    async def work(session: Session) -> None:
        await read_held_row(session, call.resource, plan_present(call, session, id_selection(call.resource.name)))

    await run_write(runtime, context, work, in_transaction=True)


async def present_version(session: Session, call: WriteCall, row: Row) -> str:
    """The version as the object's ETag says it; without a version column the hash of what a plain GET answers."""
    if call.resource.version:
        return str(row[1])
    if call.if_match is None or call.if_match.is_any:
        return ""
    plan = plan_get(call.resource, call.public_id, call.chain, EMPTY_SEARCH, session.context)
    if call.resource.soft_delete:
        plan = replace(plan, shape=replace(plan.shape, deleted="include"))
    found = await session.read(plan)
    return etag_version(object_etag(None, encode_json({"data": found.data, "meta": {}})))


async def set_row(
    session: Session,
    resource: Resource,
    row: Row,
    shape: UpdateShape,
    sets: Mapping[str, object],
    *,
    binds: Mapping[str, object] | None = None,
    olds: Mapping[str, object] | None = None,
    references: Sequence[Reference] = (),
    pointer: str = "",
    given: Collection[str] = (),
) -> bool:
    """The compare-and-set of one row; False where it is no longer what it was.

    Args:
        session: The write.
        resource: The row's type.
        row: As it was read.
        shape: Its `sets` and `compares` are filled in here.
        sets: Column → driver value; the time of the update is added.
        binds: Row ids of the targets that the statement proves.
        olds: Column → driver value that must still be there.
        references: The body's, to name those that a foreign key refuses.
        pointer: Where the body stands.
        given: The body's keys, to tell where a value is taken.
    """
    sets = dict(sets)
    if resource.updated:
        sets[resource.updated] = session.moment(resource.fields["updated_on"])
    olds = olds or {}
    shape = UpdateShape(shape.type, shape.viewer, tuple(sets), shape.targets, tuple(olds), shape.state)
    values: dict[str, object] = {"row_id": row[0], "version": row[1]}
    if binds:
        values.update(binds)
    for index, value in enumerate(sets.values()):
        values[f"s{index}"] = value
    for index, value in enumerate(olds.values()):
        values[f"w{index}"] = value
    try:
        return await session.execute(shape, values) > 0
    except StorageFault as fault:
        raise name_fault(fault, resource, references, pointer, given) from fault


async def account_of(session: Session, resource: Resource, public_id: str, row_id: int) -> int | None:
    """The account of a row that was read; nobody has to be asked where the caller belongs to one only."""
    if resource.account.kind == "none":
        return None
    if resource.account.kind == "self":
        return row_id
    accounts = session.context.principal.accounts
    if len(accounts) == 1 and not session.context.rights.is_public_only(resource.name):
        return accounts[0].row_id
    row = await session.resolve(resource.name, public_id)
    return row.account_row_id if row is not None else None
