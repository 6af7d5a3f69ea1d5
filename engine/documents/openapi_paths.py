"""The generated operations in OpenAPI: one table of verbs, unrolled over each type's flat and nested paths.

What they send and answer is made by `openapi_models.py`. The table of the endpoints
themselves is `http/routes.py`'s; a test of the running server holds the two together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from engine.documents.links import chain_url, collection_url, model_name, parent_chains
from engine.documents.openapi_shared import (
    ID_VALUE,
    OPTIONAL_SECURITY,
    TAGS,
    Json,
    model,
    parameter,
    problem_ref,
    ref,
    reply,
)
from engine.documents.schema import PARTS
from engine.plan.rights import Rights
from engine.plan.rights import Verb as Right
from engine.registry.resource import Parent, Registry, Resource

# What any call can be refused with, and what any path with an id in it.
ALWAYS = (400, 401, 403, 429, 503)
READ_BODY = (413, 415, 422)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One row: a call that every type has, or every type of some sort.

    Attributes:
        verb: Ends the operation's id.
        method: HTTP method, in lower case.
        path: Below the collection.
        right: What the caller must have.
        summary: With places for the type's titles.
        parameters: Component names; ``{}`` stands for the type's model.
        body: Name of the request body, likewise.
        replies: Status → component name of the reply, or None for one without a body.
        problems: Statuses besides `ALWAYS`.
        exists: Whether a type has the call at all.
        is_public: Whether a public type answers it to everybody.
    """

    verb: str
    method: str
    path: str = ""
    right: Right
    summary: str
    parameters: tuple[str, ...] = ()
    body: str | None = None
    replies: tuple[tuple[int, str | None], ...]
    problems: tuple[int, ...] = ()
    exists: Callable[[Resource], bool] = lambda _: True
    is_public: bool = False


_PAGING = ("Limit", "Offset", "Cursor", "Count", "Deleted", "Timezone", "Explain")
_OBJECT = ("{}Fields", "{}Expand")
_WRITE = (*_OBJECT, "ValidateOnly", "Prefer")

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        verb="list", method="get", right="read", summary="List {plural}",
        parameters=("{}Terms", "{}Filter", "Q", *_OBJECT, "{}Sort", *_PAGING),
        replies=((200, "{}Page"),), problems=(422,), is_public=True,
    ),
    Operation(
        verb="create", method="post", right="create", summary="Create one of {plural}",
        parameters=_WRITE, body="{}Create", replies=((201, "{}Created"), (200, "Trial")),
        problems=(409, *READ_BODY),
    ),
    Operation(
        verb="search", method="post", path="search", right="read", summary="Search {plural}",
        body="{}Search", replies=((200, "{}Page"),), problems=READ_BODY, is_public=True,
    ),
    Operation(
        verb="options", method="get", path="options", right="read", summary="Choices of {plural} for a picker",
        parameters=("Q", "Limit", "Ids"), replies=((200, "Options"),), problems=(422,), is_public=True,
    ),
    Operation(
        verb="schema", method="get", path="schema", right="read", summary="The schema document of {plural}",
        parameters=("Mode", "Part", "{}Inline", "IfNoneMatch"), replies=((200, "Schema"), (304, None)),
        problems=(422,), is_public=True,
    ),
    Operation(
        verb="get", method="get", path="{id}", right="read", summary="Read one of {plural}",
        parameters=(*_OBJECT, "Deleted", "IfNoneMatch"), replies=((200, "{}Object"), (304, None)),
        problems=(404, 422), is_public=True,
    ),
    Operation(
        verb="update", method="patch", path="{id}", right="update", summary="Change some fields of one of {plural}",
        parameters=(*_WRITE, "IfMatch"), body="{}Update", replies=((200, "{}Written"), (204, None)),
        problems=(404, 409, 412, *READ_BODY),
    ),
    Operation(
        verb="replace", method="put", path="{id}", right="update", summary="Replace one of {plural}",
        parameters=(*_WRITE, "IfMatch"), body="{}Replace", replies=((200, "{}Written"), (204, None)),
        problems=(404, 409, 412, *READ_BODY),
    ),
    Operation(
        verb="delete", method="delete", path="{id}", right="delete", summary="Delete one of {plural}",
        parameters=("Hard", "ValidateOnly", "IfMatch"), replies=((204, None),), problems=(404, 409, 412, 422),
    ),
    Operation(
        verb="restore", method="post", path="{id}/restore", right="delete",
        summary="Undo the deletion of one of {plural}", parameters=(*_WRITE, "IfMatch"),
        replies=((200, "{}Written"), (204, None)), problems=(404, 409, 412, *READ_BODY),
        exists=lambda resource: resource.soft_delete is not None,
    ),
    Operation(
        verb="move", method="post", path="{id}/move", right="update", summary="Give one of {plural} another parent",
        parameters=(*_WRITE, "IfMatch"), body="{}Move", replies=((200, "{}Written"), (204, None)),
        problems=(404, 409, 412, *READ_BODY),
        exists=lambda resource: bool(resource.parents),
    ),
)  # fmt: skip

_IF_MATCHED = frozenset({"update", "replace", "delete", "restore", "move"})


def path_components() -> Json:
    """Components that the operations of all types share."""
    schema_reply = reply("The document, or the part of it that was asked for.", None, ["ETag"])
    anything = {"schema": {"type": "object"}}
    schema_reply["content"] = {"application/json": anything, "application/schema+json": anything}
    part = f"({'|'.join(PARTS)})"
    return {
        "responses": {
            "Options": reply("Choices.", model("OptionPage")),
            "Schema": schema_reply,
            "Trial": reply("The object as it would be.", model("Trial"), ["PreferenceApplied"]),
        },
        "parameters": {
            "Mode": {
                "name": "mode",
                "in": "query",
                "description": "One of the document's JSON Schemas alone.",
                "schema": {"type": "string", "enum": ["create", "update", "read"]},
            },
            "Part": {
                "name": "part",
                "in": "query",
                "description": "These parts alone, with commas between.",
                "schema": {"type": "string", "pattern": f"^({part}(,{part}){{0,30}})?$"},
            },
        },
    }


def type_paths(registry: Registry, resource: Resource, rights: Rights, parameters: Json) -> Json:
    """All paths of a type: the flat ones, then one set for each nested way to it.

    Args:
        registry: The running registry.
        resource: The type.
        rights: The caller's; operations that he may not use are left out.
        parameters: The document's parameters; those of parents' ids are added.
    """
    paths = _unroll(registry, resource, rights, collection_url(resource.name), (), parameters)
    for chain in parent_chains(registry, resource, rights):
        paths.update(_unroll(registry, resource, rights, chain_url(chain), chain, parameters))
    return paths


def operation_id(type_name: str, verb: str, chain: Sequence[Parent] = ()) -> str:
    """``<type>_list``; in a nested path ``<type>_list_in_<parent>_of_<its parent>``."""
    base = f"{type_name}_{verb}"
    return base if not chain else f"{base}_in_{'_of_'.join(step.type for step in reversed(chain))}"


def _unroll(
    registry: Registry, resource: Resource, rights: Rights, url: str, chain: tuple[Parent, ...], parameters: Json
) -> Json:
    for step in chain:
        parameters.setdefault(
            f"In_{step.field}",
            {"name": step.field, "in": "path", "required": True, "description": "Parent's id.", "schema": ID_VALUE},
        )
    above = [parameter(f"In_{step.field}") for step in chain]
    paths: Json = {}
    for row in OPERATIONS:
        if not rights.may(resource.name, row.right) or not row.exists(resource):
            continue
        item = paths.setdefault(url + row.path, {"parameters": _path_parameters(above, row)})
        item[row.method] = _operation(registry, resource, rights, row, chain, parameters)
    return paths


def _path_parameters(above: list[Json], row: Operation) -> list[Json]:
    own = [parameter("Id")] if row.path.startswith("{id}") else []
    return [*above, *own, parameter("AccountId")]


def _operation(
    registry: Registry,
    resource: Resource,
    rights: Rights,
    row: Operation,
    chain: tuple[Parent, ...],
    parameters: Json,
) -> Json:
    name = model_name(registry, resource.name)
    plural = resource.plural.lower()
    made: Json = {
        "operationId": operation_id(resource.name, row.verb, chain),
        "summary": row.summary.format(plural=plural)
        + (f" of a {registry.types[chain[-1].type].title.lower()}" if chain else ""),
        "tags": [resource.name],
    }
    used = [one.replace("{}", name) for one in row.parameters]
    found = [_parameter(resource, rights, row, one) for one in used if _is_offered(resource, rights, one, parameters)]
    if found:
        made["parameters"] = found
    if row.body is not None:
        # In a nested path the parent comes from the path.
        body = "{}Nested" if chain and row.verb == "create" else row.body
        made["requestBody"] = ref("requestBodies", body.replace("{}", name))
    responses: Json = {}
    for status, component in row.replies:
        responses[str(status)] = (
            _EMPTY[status] if component is None else ref("responses", component.replace("{}", name))
        )
    statuses = {*ALWAYS, *row.problems, *([404] if chain else [])}
    if row.verb in _IF_MATCHED and resource.if_match_required:
        statuses.add(428)
    responses.update({str(status): problem_ref(status) for status in sorted(statuses)})
    made["responses"] = responses
    if row.is_public and resource.public is not None:
        made["security"] = OPTIONAL_SECURITY
    return made


def _is_offered(resource: Resource, rights: Rights, name: str, parameters: Json) -> bool:
    """Whether a parameter makes sense for this type and caller."""
    if name == "Deleted":
        return resource.soft_delete is not None and rights.may(resource.name, "delete")
    if name == "Hard":
        return resource.soft_delete is not None and rights.may(resource.name, "delete_hard")
    # A type's own parameters are there where the caller can use them.
    return name in parameters


def _parameter(resource: Resource, rights: Rights, row: Operation, name: str) -> Json:
    if name == "IfMatch" and resource.if_match_required and row.verb in _IF_MATCHED:
        return {
            "name": "If-Match",
            "in": "header",
            "required": True,
            "description": "The ETag of the version that you change.",
            "schema": TAGS,
        }
    return parameter(name)


_EMPTY: dict[int, dict[str, Any]] = {
    204: reply("Done; there is nothing to answer."),
    304: reply("You have this version.", None, ["ETag"]),
}
