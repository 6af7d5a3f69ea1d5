"""To-many relations read along: one statement for all rows of a level, never one for each row.

A level's statement is a UNION ALL of one LIMITed SELECT for each parent row
(measured: a hundred times faster than a window function over them). The number
of arms is padded to few sizes, so that few texts exist; a pad's parent is NULL
and finds nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from engine.execute.runtime import Runtime, with_rules
from engine.plan.shape import Dialect, Expansion, PlanContext
from engine.plan.tenancy import account_values
from engine.render.rows import JsonObject, Row, Writer

ARM_SIZES = (1, 4, 16, 64, 256)
MAX_ARMS = ARM_SIZES[-1]


async def attach_expansions(
    runtime: Runtime,
    context: PlanContext,
    writer: Writer,
    rows: Sequence[Row],
    objects: Sequence[JsonObject],
    expansions: Sequence[Expansion],
) -> None:
    """Read the to-many relations of some rows and put them into the rows' objects.

    Args:
        runtime: The running engine.
        context: The caller and the time.
        writer: Of the rows; it knows where their row ids are.
        rows: As read.
        objects: As written from `rows`, in the same order; changed in place.
        expansions: What to read, each with the level below.
    """
    for expansion in expansions:
        index = writer.row_ids[expansion.hops]
        holders: dict[int, list[JsonObject]] = {}
        for row, top in zip(rows, objects, strict=True):
            holder = _holder(top, expansion.hops)
            if holder is not None:
                holders.setdefault(row[index], []).append(holder)
        await _attach(runtime, context, holders, expansion)


async def _attach(
    runtime: Runtime, context: PlanContext, holders: Mapping[int, list[JsonObject]], expansion: Expansion
) -> None:
    prepared = runtime.prepare(expansion.shape, context.rights)
    writer = prepared.writer
    values = dict(with_rules(runtime, prepared, account_values(context.principal, expansion.shape.viewer), context))
    values.update({f"v{i}": value for i, value in enumerate(expansion.values)})
    values["limit"] = expansion.limit + 1
    found: dict[int, list[Row]] = {parent: [] for parent in holders}
    parents = list(holders)
    for start in range(0, len(parents), MAX_ARMS):
        some = parents[start : start + MAX_ARMS]
        size = next(size for size in ARM_SIZES if size >= len(some))
        binds: list[object] = []
        for parent in (*some, *([None] * (size - len(some)))):
            values["parent"] = parent
            binds.extend(prepared.statement.arrange(values))
        text = join_arms(prepared.statement.text, size, runtime.dialect)
        for row in await runtime.database.fetch(text, binds):
            found[row[writer.width]].append(row)
    kept_rows: list[Row] = []
    kept_objects: list[JsonObject] = []
    for parent, rows in found.items():
        kept = rows[: expansion.limit]
        objects = [writer.write(row) for row in kept]
        kept_rows.extend(kept)
        kept_objects.extend(objects)
        meta = {"limit": expansion.limit, "has_more": len(rows) > expansion.limit}
        for holder in holders[parent]:
            holder[expansion.relation] = {"data": objects, "meta": meta}
    if expansion.expansions and kept_rows:
        await attach_expansions(runtime, context, writer, kept_rows, kept_objects, expansion.expansions)


@lru_cache(maxsize=500)
def join_arms(text: str, size: int, dialect: Dialect) -> str:
    """The text of a level's statement: `size` times the arm. SQLite takes a LIMIT in an arm only inside a subquery."""
    arm = f"({text})" if dialect == "mariadb" else f"SELECT * FROM ({text})"
    return " UNION ALL ".join([arm] * size)


def _holder(top: JsonObject, hops: Iterable[str]) -> JsonObject | None:
    holder: JsonObject | None = top
    for hop in hops:
        holder = holder[hop] if holder is not None else None
    return holder
