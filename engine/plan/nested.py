"""Children inside the body of a write: which keys may hold them, and what is to be done with each.

On a create the child's segment holds a list of bodies; on an update an object with
``create``, ``update`` and ``delete``. What one body of a child sets is `plan/values.py`'s business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from engine.language.json import escape_pointer
from engine.plan.rights import Verb
from engine.plan.shape import PlanContext
from engine.plan.values import Draft
from engine.registry.resource import Child, Resource

MAX_CHILDREN = 500
_VERBS: tuple[Literal["create", "update", "delete"], ...] = ("create", "update", "delete")


@dataclass(frozen=True, slots=True)
class ChildWrite:
    """One write of a child.

    Attributes:
        public_id: Of the child; empty for a create.
        body: Of a create or an update, without the id.
        pointer: Where it stands in the request's body.
    """

    child: Child
    verb: Literal["create", "update", "delete"]
    public_id: str
    body: Any
    pointer: str


def writable_segments(resource: Resource, verb: Literal["create", "update"], context: PlanContext) -> frozenset[str]:
    """Keys of children that a caller's body may have; a field of that name wins."""
    wanted: tuple[Verb, ...] = ("create",) if verb == "create" else _VERBS
    return frozenset(
        child.segment
        for child in resource.children
        if child.segment not in resource.fields and any(context.rights.may(child.type, one) for one in wanted)
    )


def read_children(
    resource: Resource,
    body: Mapping[str, Any],
    segments: frozenset[str],
    verb: Literal["create", "update"],
    context: PlanContext,
    draft: Draft,
    pointer: str,
) -> list[ChildWrite]:
    """List the writes of children that a body asks for; what is wrong becomes a fault of the draft."""
    writes: list[ChildWrite] = []
    for child in resource.children:
        if child.segment not in segments or child.segment not in body:
            continue
        place = f"{pointer}/{escape_pointer(child.segment)}"
        value = body[child.segment]
        if verb == "create":
            writes.extend(_read_list(child, "create", value, place, draft))
        elif isinstance(value, dict):
            writes.extend(_read_verbs(child, value, place, context, draft))
        else:
            draft.refuse("type-mismatch", f"{child.segment} takes an object with create, update and delete.", place)
    if len(writes) > MAX_CHILDREN:
        draft.refuse("too-long", f"One write takes at most {MAX_CHILDREN} children.", pointer)
        return []
    return writes


def _read_verbs(
    child: Child, value: Mapping[str, Any], place: str, context: PlanContext, draft: Draft
) -> list[ChildWrite]:
    writes: list[ChildWrite] = []
    for key, inner in value.items():
        verb = next((one for one in _VERBS if one == key and context.rights.may(child.type, one)), None)
        if verb is None:
            draft.refuse(
                "unknown-field", f"{child.segment} takes {', '.join(_VERBS)}.", f"{place}/{escape_pointer(key)}", _VERBS
            )
        else:
            writes.extend(_read_list(child, verb, inner, f"{place}/{verb}", draft))
    return writes


def _read_list(
    child: Child, verb: Literal["create", "update", "delete"], value: object, place: str, draft: Draft
) -> list[ChildWrite]:
    if not isinstance(value, list):
        draft.refuse("type-mismatch", f"{child.segment} takes a list here.", place)
        return []
    writes: list[ChildWrite] = []
    for index, one in enumerate(value):
        at = f"{place}/{index}"
        if verb == "delete":
            if isinstance(one, str):
                writes.append(ChildWrite(child, verb, one, None, at))
            else:
                draft.refuse("type-mismatch", "An id is a string.", at)
        elif not isinstance(one, dict):
            draft.refuse("type-mismatch", "A child is a JSON object.", at)
        elif verb == "create":
            writes.append(ChildWrite(child, verb, "", one, at))
        elif isinstance(one.get("id"), str):
            body = {key: inner for key, inner in one.items() if key != "id"}
            writes.append(ChildWrite(child, verb, one["id"], body, at))
        else:
            draft.refuse("required", "The id of the child is required.", f"{at}/id")
    return writes
