"""What a search turned into, for ``"explain": true``: its canonical filter and its statements.

SQL is shown with placeholders, never with values.
"""

from __future__ import annotations

import re
from typing import Any

from engine.execute.expand import join_arms
from engine.execute.runtime import Runtime, with_rules
from engine.language.search import SearchBody
from engine.plan.canonical import canonical_filter
from engine.plan.conditions import filters_of_terms
from engine.plan.selection import without_rows
from engine.plan.shape import Expansion, PlanContext, ReadPlan

EXPLAIN_SCOPE = "meta:explain"
_MARIADB_KEY = 5
_SQLITE_DETAIL = 3
_SQLITE_INDEX = re.compile(r"USING (?:COVERING )?INDEX (\S+)")


async def explain_page(runtime: Runtime, plan: ReadPlan, search: SearchBody, context: PlanContext) -> dict[str, Any]:
    """Explain a planned list.

    Args:
        runtime: The running engine.
        plan: The plan.
        search: What it was made of.
        context: The caller; with the scope `EXPLAIN_SCOPE` he sees statements and indexes.

    Returns:
        ``filter``, ``statements`` (how many run when every expand finds rows), perhaps ``sql`` and ``indexes``.
    """
    shapes = [plan.shape]
    if plan.count != "none":
        shapes.append(without_rows(plan.shape, "count" if plan.count == "exact" else "capped"))
    texts = [runtime.prepare(shape, context.rights).statement.text for shape in shapes]
    texts.extend(_expand_texts(runtime, plan.expansions, context))
    filters = [search.filter] if search.filter else []
    filters.extend(filters_of_terms(search.terms, plan.shape.type, context))
    explained: dict[str, Any] = {
        "filter": canonical_filter({"and": filters}, plan.shape.type, context) if filters else {},
        "statements": len(texts),
    }
    if context.rights.has_scope(EXPLAIN_SCOPE):
        explained["sql"] = [" ".join(text.split()) for text in texts]
        explained["indexes"] = await _indexes(runtime, plan, context)
    return explained


def _expand_texts(runtime: Runtime, expansions: tuple[Expansion, ...], context: PlanContext) -> list[str]:
    texts: list[str] = []
    for expansion in expansions:
        text = runtime.prepare(expansion.shape, context.rights).statement.text
        texts.append(join_arms(text, 1, runtime.dialect))
        texts.extend(_expand_texts(runtime, expansion.expansions, context))
    return texts


async def _indexes(runtime: Runtime, plan: ReadPlan, context: PlanContext) -> list[str]:
    """The indexes that the page's statement uses, each once, as the database names them."""
    prepared = runtime.prepare(plan.shape, context.rights)
    values = with_rules(runtime, prepared, plan.values, context)
    binds = prepared.statement.arrange(values)
    if runtime.dialect == "mariadb":
        rows = await runtime.database.fetch(f"EXPLAIN {prepared.statement.text}", binds)
        names = [row[_MARIADB_KEY] for row in rows]
    else:
        rows = await runtime.database.fetch(f"EXPLAIN QUERY PLAN {prepared.statement.text}", binds)
        names = [found.group(1) for row in rows if (found := _SQLITE_INDEX.search(row[_SQLITE_DETAIL]))]
    return list(dict.fromkeys(str(name) for name in names if name))
