"""Whether a changed row belonged to a subscription's answer, and whether it belongs to it now.

Both are asked of the row's images by one statement, for all subscriptions that ask the same at once. So what is told
is what this very change did, whatever has been written since; only what the condition looks at beyond the row is taken
as it is now.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from engine.errors import ErrorItem, ValidationFailed
from engine.execute.expand import attach_expansions
from engine.execute.runtime import Runtime
from engine.io.live_entries import Image, RowChange
from engine.plan.live import LivePlan
from engine.plan.selection import id_selection
from engine.plan.shape import PlanContext, ReadShape
from engine.plan.tenancy import RuleContext, rule_values
from engine.registry.resource import Registry, Resource
from engine.render.rows import Row, encode_json
from engine.sql.live import ImageQuery, build_image_query, image_columns

MAX_QUERIES = 2_000

Queries = dict[tuple[ReadShape, int], ImageQuery]


@dataclass(frozen=True, slots=True)
class Match:
    """What a change means to an answer.

    Attributes:
        was_in: Whether the row belonged to it.
        data: The row as the subscription shows it, as JSON; None where it does not belong to it (any more).
    """

    was_in: bool
    data: bytes | None


@dataclass(slots=True, eq=False)
class Question:
    """What subscriptions ask that ask the same.

    Attributes:
        context: Of one of them; what the statement depends on is the same for all.
        parent_row: Row id of the bound parent.
        accounts: Row ids of the accounts whose rows can belong to the answer; None = of all.
    """

    plan: LivePlan
    context: PlanContext
    parent_row: int | None
    accounts: frozenset[int] | None
    queries: Queries
    key: Hashable = field(default=None)

    def concerns(self, change: RowChange) -> bool:
        """Whether a change can be of a row of the caller's accounts: most are not, and cost nothing more."""
        return self.accounts is None or change.account_row_id is None or change.account_row_id in self.accounts


def ask_question(
    runtime: Runtime, queries: Queries, plan: LivePlan, context: PlanContext, parent_row: int | None
) -> Question:
    """Make the question of a plan.

    Args:
        runtime: The running engine.
        queries: Keeps compiled statements.
        plan: What is followed.
        context: Of who follows.
        parent_row: Row id of the bound parent.

    Raises:
        ValidationFailed: It looks at something that nobody carries.
        QueryTooComplex: The search joins too many tables.
    """
    principal = context.principal
    is_bound = not (principal.sees_all_accounts or context.rights.is_public_only(plan.resource.name))
    is_bound = is_bound and plan.resource.account.kind != "none"
    accounts = frozenset(account.row_id for account in principal.accounts) if is_bound else None
    question = Question(plan, context, parent_row, accounts, queries)
    try:
        query = _query(runtime, question, plan.shape, 2)
    except LookupError as missing:
        detail = "This search looks at a field that cannot be followed."
        raise ValidationFailed(errors=[ErrorItem("bad-operand", detail, pointer="/search/filter")]) from missing
    values = tuple(sorted((name, repr(value)) for name, value in plan.values.items()))
    # Row rules may name the caller himself.
    is_personal = bool(query.statement.guarded or plan.expansions)
    who = (principal.subject, principal.accounts) if is_personal else None
    question.key = (plan.shape, values, parent_row, plan.expansions, who)
    return question


async def match_change(runtime: Runtime, question: Question, change: RowChange) -> Match | None:
    """Ask a question of a change.

    Returns:
        What the change means; None where that cannot be said, since a value that counts was too large to be carried.
    """
    plan = question.plan
    rows = await _ask(runtime, question, plan.shape, change)
    if rows is not None:
        was_in, row = 0 in rows, rows.get(1)
        return Match(was_in, None if row is None else await _show(runtime, question, row))
    # Something that is shown was too large; what decides may not have been.
    bare = replace(plan.shape, selection=id_selection(plan.resource.name))
    rows = await _ask(runtime, question, bare, change)
    if rows is None:
        return None
    if 1 not in rows:
        return Match(0 in rows, None)
    row = await _read_now(runtime, question, change.row_id)
    # Where it has been changed once more and belongs to it no longer, the next change tells.
    return Match(False, None) if row is None else Match(0 in rows, row)


def matters(registry: Registry, resource: Resource, fields: frozenset[str], change: RowChange) -> bool:
    """Whether a change of another row can move rows in or out: it came or went, or a field that counts changed."""
    before, after = change.before, change.after
    if before is None or after is None:
        return True
    columns = {resource.fields[name].column for name in fields} | {resource.soft_delete}
    return any(
        before.values[index] != after.values[index] or index in before.omitted or index in after.omitted
        for index, column in enumerate(image_columns(registry, resource.table))
        if column.name in columns
    )


# ---------------------------------------------------------------- private


def _query(runtime: Runtime, question: Question, shape: ReadShape, images: int) -> ImageQuery:
    found = question.queries.get((shape, images))
    if found is None:
        if len(question.queries) >= MAX_QUERIES:
            question.queries.clear()
        setting = runtime.setting(shape, question.context.rights)
        found = question.queries[shape, images] = build_image_query(shape, setting, images=images)
    return found


async def _ask(runtime: Runtime, question: Question, shape: ReadShape, change: RowChange) -> dict[int, Row] | None:
    """The images that belong to the answer, by number, each as a read would give it; None where a value is missing."""
    images = [(number, image) for number, image in enumerate((change.before, change.after)) if image is not None]
    query = _query(runtime, question, shape, len(images))
    if any(not image.omitted.isdisjoint(query.columns) for _, image in images):
        return None
    values: dict[str, object] = {**question.plan.values, "parent": question.parent_row, "which": images[0][0]}
    for place, (_, image) in enumerate(images):
        values.update(_image_binds(place, image, query.columns))
    values.update(_rule_values(runtime, question, query))
    statement = query.statement
    rows = await runtime.database.fetch(statement.text, statement.arrange(values), point=True)
    return {row[0]: row[1:] for row in rows}


def _image_binds(place: int, image: Image, columns: tuple[int, ...]) -> dict[str, object]:
    return {f"b{place}_{index}": image.values[index] for index in columns}


def _rule_values(runtime: Runtime, question: Question, query: ImageQuery) -> Mapping[str, object]:
    guarded = query.statement.guarded
    if not guarded:
        return {}
    context = RuleContext(question.context.principal, datetime.now(UTC), question.context.dialect)
    return rule_values(runtime.registry, guarded, question.context.rights, context)


async def _show(runtime: Runtime, question: Question, row: Row) -> bytes:
    plan, context = question.plan, replace(question.context, now=datetime.now(UTC))
    prepared = runtime.prepare(_by_key(plan.shape), context.rights)
    data = prepared.writer.write(row)
    if plan.expansions:
        await attach_expansions(runtime, context, prepared.writer, [row], [data], plan.expansions)
    return encode_json(data)


async def _read_now(runtime: Runtime, question: Question, row_id: int) -> bytes | None:
    """The row as it is at this moment, if the caller may see it."""
    prepared = runtime.prepare(_by_key(question.plan.shape), question.context.rights)
    values: dict[str, object] = {**question.plan.values, "row_id": row_id}
    guarded = prepared.statement.guarded
    if guarded:
        rules = RuleContext(question.context.principal, datetime.now(UTC), question.context.dialect)
        values.update(rule_values(runtime.registry, guarded, question.context.rights, rules))
    rows = await runtime.database.fetch(prepared.statement.text, prepared.statement.arrange(values), point=True)
    return await _show(runtime, question, rows[0]) if rows else None


def _by_key(shape: ReadShape) -> ReadShape:
    return replace(shape, page="key", via=None)
