"""Running read plans: one object, a page, and the to-many relations read along.

What is read was decided by `plan/`; how it is answered over HTTP is decided by
`http/`. Several statements of one call are not one snapshot.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from typing import Any

from engine.errors import StatementTimedOut
from engine.execute.expand import attach_expansions
from engine.execute.runtime import Prepared, Runtime, with_rules
from engine.language.cursor import Direction, Position, encode_cursor
from engine.light import light
from engine.plan.read import Chain, chain_values, not_found
from engine.plan.selection import id_selection, without_rows
from engine.plan.shape import Const, PlanContext, ReadPlan, ReadShape
from engine.plan.tenancy import account_values, view_accounts
from engine.render.rows import JsonObject, Row
from engine.sql.read import COUNT_CAP

ESTIMATE_LIMIT_S = 0.1
_EXPLAIN_ROWS = 8


@light
@dataclass(frozen=True, slots=True)
class Found:
    """One object that was read.

    Attributes:
        data: As it is answered.
        version: The row's version, or None where the type keeps none.
        row_id: Never leaves the process.
        row: The row itself, in the order of `sql/read.py`.
    """

    data: JsonObject
    version: int | None
    row_id: int
    row: Row


@light
@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list."""

    data: list[JsonObject]
    meta: dict[str, Any]


async def read_one(runtime: Runtime, plan: ReadPlan, context: PlanContext) -> Found:
    """Run the plan of one object.

    Raises:
        NotFound: There is no such object for this caller.
    """
    prepared = runtime.prepare(plan.shape, context.rights)
    values = with_rules(runtime, prepared, plan.values, context)
    rows = await runtime.database.fetch(prepared.statement.text, prepared.statement.arrange(values), point=True)
    if not rows:
        raise not_found()
    row = rows[0]
    data = prepared.writer.write(row)
    if plan.expansions:
        await attach_expansions(runtime, context, prepared.writer, [row], [data], plan.expansions)
    return Found(data, row[1], row[0], row)


async def read_page(runtime: Runtime, plan: ReadPlan, context: PlanContext) -> Page:
    """Run the plan of a list.

    Raises:
        NotFound: A parent of the path is not there for this caller.
    """
    shape = plan.shape
    prepared = runtime.prepare(shape, context.rights)
    values = with_rules(runtime, prepared, plan.values, context)
    rows = await runtime.database.fetch(prepared.statement.text, prepared.statement.arrange(values))
    if not rows and shape.chain:
        await _require_chain(runtime, shape, values, context)
    has_extra = len(rows) > plan.limit
    if has_extra:
        rows = rows[: plan.limit]
    is_backward = shape.keyset is not None and shape.keyset.backward
    if is_backward:
        rows = rows[::-1]
    write = prepared.writer.write
    data = [write(row) for row in rows]
    if plan.expansions and data:
        await attach_expansions(runtime, context, prepared.writer, rows, data, plan.expansions)
    meta: dict[str, Any] = {
        "limit": plan.limit,
        "offset": plan.offset,
        "has_more": has_extra or (is_backward and bool(rows)),
        "next_cursor": None,
        "prev_cursor": None,
    }
    if plan.with_cursor and rows:
        _add_cursors(runtime, plan, prepared, rows, meta, has_extra=has_extra)
    if plan.count != "none":
        meta["total"], meta["total_mode"] = await _count(runtime, plan, context)
    if plan.warnings:
        meta["warnings"] = list(plan.warnings)
    return Page(data, meta)


async def require_chain(runtime: Runtime, chain: Chain, context: PlanContext) -> None:
    """See that the parents of a nested path are there for the caller.

    Raises:
        NotFound: One is not.
    """
    if not chain:
        return
    viewer = view_accounts(context.principal, context.rights)
    links = tuple(link for link, _ in chain)
    shape = ReadShape(links[0].type, viewer, id_selection(links[0].type), "chain", chain=links)
    values = {**account_values(context.principal, viewer), **chain_values(chain)}
    await _require_chain(runtime, shape, values, context)


# ---------------------------------------------------------------- private


async def _require_chain(
    runtime: Runtime, shape: ReadShape, values: Mapping[str, object], context: PlanContext
) -> None:
    """Tell an empty list from a parent that is not there: only a page without rows pays for it."""
    shape = replace(without_rows(shape, "chain"), condition=Const(True), deleted="exclude")
    prepared = runtime.prepare(shape, context.rights)
    values = with_rules(runtime, prepared, values, context)
    if not await runtime.database.fetch(prepared.statement.text, prepared.statement.arrange(values), point=True):
        raise not_found()


def _add_cursors(
    runtime: Runtime, plan: ReadPlan, prepared: Prepared, rows: Sequence[Row], meta: dict[str, Any], *, has_extra: bool
) -> None:
    keyset = plan.shape.keyset
    is_backward = keyset is not None and keyset.backward
    first_key = prepared.writer.width
    has_before = has_extra if is_backward else keyset is not None or bool(plan.offset)

    def cursor(row: Row, direction: Direction) -> str | None:
        keys = tuple(_sort_value(value) for value in row[first_key:])
        position = Position(keys, row[0], direction)
        return encode_cursor(position, key=runtime.cursor_key, binding=plan.binding)

    if meta["has_more"]:
        meta["next_cursor"] = cursor(rows[-1], "next")
    if has_before:
        meta["prev_cursor"] = cursor(rows[0], "prev")


def _sort_value(value: Any) -> Any:
    """A sort key's value as a cursor holds it; dates and times as the text that both databases compare them with."""
    if isinstance(value, datetime):
        return value.isoformat(" ")
    if isinstance(value, (date, time)):
        return value.isoformat()
    return value


async def _count(runtime: Runtime, plan: ReadPlan, context: PlanContext) -> tuple[int, str]:
    if plan.count == "exact" or runtime.dialect == "sqlite":
        prepared = runtime.prepare(without_rows(plan.shape, "count"), context.rights)
        values = with_rules(runtime, prepared, plan.values, context)
        rows = await runtime.database.fetch(prepared.statement.text, prepared.statement.arrange(values))
        return rows[0][0], "exact"
    return await _estimate(runtime, plan, context)


async def _estimate(runtime: Runtime, plan: ReadPlan, context: PlanContext) -> tuple[int, str]:
    """Count to the cap within a time limit, and beyond it ask the optimiser."""
    prepared = runtime.prepare(without_rows(plan.shape, "capped"), context.rights)
    values = with_rules(runtime, prepared, plan.values, context)
    binds = prepared.statement.arrange(values)
    limited = f"SET STATEMENT max_statement_time={ESTIMATE_LIMIT_S} FOR {prepared.statement.text}"
    try:
        rows = await runtime.database.fetch(limited, binds)
    except StatementTimedOut:
        rows = [(COUNT_CAP + 1,)]
    if rows[0][0] <= COUNT_CAP:
        return rows[0][0], "exact"
    counted = runtime.prepare(without_rows(plan.shape, "count"), context.rights)
    explained = await runtime.database.fetch(f"EXPLAIN {counted.statement.text}", counted.statement.arrange(values))
    guess = max((int(row[_EXPLAIN_ROWS] or 0) for row in explained), default=0)
    return max(COUNT_CAP + 1, guess), "estimated"
