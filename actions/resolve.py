"""What ids are: their types, and the files that they lead to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from engine import Caller, Resource, Response, action, envelope, file_hops, file_type, is_public_id

MAX_IDS = 100


class Ids(BaseModel):
    """What is asked."""

    model_config = ConfigDict(extra="forbid", strict=True)

    ids: list[str] = Field(max_length=MAX_IDS, description="Public ids, of any types.")


@action("POST", "resolve", name="resolve", title="Find out what ids are", scope="default")
async def resolve(asked: Ids, caller: Caller) -> Response:
    """For each id its type and, where it leads to a file, that file's type and id.

    What the caller may not see is left out. The order is that of the ids; an id that is given twice comes once.
    """
    caller.request.flags(frozenset())
    wanted = dict.fromkeys(one for one in asked.ids if is_public_id(one))
    found: dict[str, dict[str, Any]] = {}
    for resource in caller.runtime.registry.types.values():
        left = [one for one in wanted if one not in found]
        if not left:
            break
        if caller.may_read(resource.name):
            found.update(await _find(caller, resource, left))
    return envelope([found[one] for one in wanted if one in found])


async def _find(caller: Caller, resource: Resource, ids: Sequence[str]) -> Mapping[str, dict[str, Any]]:
    """Those of some ids that are this type's, in one statement for as many as a page holds."""
    registry = caller.runtime.registry
    hops = file_hops(registry, resource) or ()
    leads = bool(hops) and caller.may_read(file_type(registry, resource, hops).name)
    fields = ["id", ".".join((*hops, "id"))] if leads else ["id"]
    found: dict[str, dict[str, Any]] = {}
    for part in _parts(ids, min(resource.page_max, MAX_IDS)):
        body = {"filter": {"id": {"in": part}}, "fields": fields, "sort": [], "limit": len(part)}
        for row in (await caller.search(resource.name, body)).data:
            target: Any = row
            for hop in hops if leads else ():
                target = (target or {}).get(hop)
            told = {"type": file_type(registry, resource, hops).name, "id": target["id"]} if leads and target else None
            found[row["id"]] = {"id": row["id"], "type": resource.name, "target": told}
    return found


def _parts(ids: Sequence[str], size: int) -> Iterable[list[str]]:
    for start in range(0, len(ids), size):
        yield list(ids[start : start + size])
