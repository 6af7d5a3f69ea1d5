"""Links of replies in OpenAPI: which calls a client can make with the id that it was just given.

Generated clients and stateful testing follow them. What is answered is made by `openapi_models.py`.
"""

from __future__ import annotations

from collections.abc import Iterator

from engine.documents.openapi_shared import Json
from engine.plan.rights import Rights
from engine.plan.rights import Verb as Right
from engine.registry.resource import Resource

CREATED, FIRST = "$response.body#/data/id", "$response.body#/data/0/id"
_ETAG = "$response.header.ETag"
_GUARDED = frozenset({"update", "replace", "delete", "move"})


def created_links(resource: Resource, rights: Rights) -> Json:
    """What can be done with what was just created."""
    made = dict(_object_links(resource, rights, CREATED))
    if resource.soft_delete is not None and rights.may(resource.name, "delete"):
        made["restore"] = _link(f"{resource.name}_restore", {"id": CREATED})
    if resource.if_match_required:
        for verb in _GUARDED & made.keys():
            made[verb]["parameters"]["header.If-Match"] = _ETAG
    for child in resource.children:
        # The new object as the parent of calls one level down.
        for verb, right in _BELOW:
            if rights.may(child.type, right):
                name = f"{child.type}_{verb}_in_{resource.name}"
                made[f"{verb}_{child.segment}"] = _link(name, {child.field: CREATED})
    return made


def page_links(resource: Resource, rights: Rights) -> Json:
    """What can be done with the first object of a page; of an empty one there is no id."""
    return dict(_object_links(resource, rights, FIRST))


_BELOW: tuple[tuple[str, Right], ...] = (("list", "read"), ("create", "create"))


def _object_links(resource: Resource, rights: Rights, place: str) -> Iterator[tuple[str, Json]]:
    possible: list[tuple[str, Right]] = [
        ("get", "read"), ("update", "update"), ("replace", "update"), ("delete", "delete"),
    ]  # fmt: skip
    if resource.parents:
        possible.append(("move", "update"))
    for verb, right in possible:
        if rights.may(resource.name, right):
            yield verb, _link(f"{resource.name}_{verb}", {"id": place})


def _link(operation: str, parameters: dict[str, str]) -> Json:
    return {"operationId": operation, "parameters": parameters}
