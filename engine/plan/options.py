"""What a picker shows of a type: which fields its labels are made of, and how."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from engine.language.search import SearchBody
from engine.plan.fields import gate_of
from engine.plan.shape import PlanContext
from engine.registry.resource import Resource, SortKey

DEFAULT_LIMIT = 20
MAX_OPTIONS = 200
_PLACE = re.compile(r"\{([A-Za-z0-9_.]+)\}")


def plan_options(
    resource: Resource,
    search: SearchBody,
    ids: list[str] | None,
    context: PlanContext,
    *,
    where: Mapping[str, Any] | None = None,
    limit: int = DEFAULT_LIMIT,
) -> tuple[SearchBody, str]:
    """Make a search of a picker's request.

    Args:
        resource: The type that is picked from.
        search: Its `q` and `limit` count.
        ids: The objects whose labels are wanted, or None for all.
        context: What planning needs to know.
        where: What narrows the choice (`where` of the field that is picked for).
        limit: Most objects, where the search does not say.

    Returns:
        The search, and the template for `label_of`.
    """
    gate = gate_of(context.registry, context.rights)
    readable = set(gate.usable(resource.name, "read"))
    template = resource.display.title
    names = [name for name in _PLACE.findall(template) if name in readable]
    sortable = [name for name in names if name in gate.usable(resource.name, "sort")]
    wanted = limit if search.limit is None else search.limit
    planned = replace(
        search,
        fields=tuple(names),
        sort=tuple(SortKey(name) for name in sortable) or None,
        limit=len(ids) if ids is not None and search.limit is None else wanted,
        filter=dict(where) if ids is None and where else {"id": list(ids)} if ids is not None else None,
    )
    return planned, template


def label_of(template: str, row: dict[str, Any]) -> str:
    """Fill a display template from an object; what the caller may not read, and NULL, is left out."""
    parts = [str(part) if not is_field else _shown(row.get(part)) for is_field, part in _split_template(template)]
    label = " ".join("".join(parts).split())
    return label or str(row["id"])


@lru_cache(maxsize=2_048)
def _split_template(template: str) -> tuple[tuple[bool, str], ...]:
    parts = _PLACE.split(template)
    return tuple((index % 2 == 1, part) for index, part in enumerate(parts) if part)


def _shown(value: object) -> str:
    return "" if value is None else str(value)
