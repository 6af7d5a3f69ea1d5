"""The OpenAPI 3.1 document, put together from the registry as a caller may know it.

Nothing is asked of the web framework: models, operations, parameters and replies come
from the same registry that serves them. Actions are written by hand, so their part is
handed in. Rendering to bytes and keeping them is the caller's business.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from copy import deepcopy
from types import MappingProxyType
from typing import Any

from engine.documents.links import ACTIONS, CRUD, DEPRECATIONS, OPENAPI, PROBLEMS, REGISTRY
from engine.documents.openapi_models import TypeModels
from engine.documents.openapi_paths import path_components, type_paths
from engine.documents.openapi_shared import (
    OPTIONAL_SECURITY,
    SECURITY,
    Json,
    model,
    problem_ref,
    reply,
    shared_components,
)
from engine.errors import CODES
from engine.plan.fields import gate_of
from engine.plan.rights import Rights
from engine.registry.resource import Registry

VERSION = "3.1.0"
TITLE = "Aether API"
ABOUT = (
    "Every call answers `{data, meta}` or an `application/problem+json`. Ids are opaque strings. "
    "What a type takes is in its schema document; this document says the same for code generators."
)
DOCUMENTS_TAG = "documents"
OPERATIONS_TAG = "operations"
ACTIONS_TAG = "actions"

_ACTION_PROBLEMS = (400, 401, 403, 404, 409, 413, 415, 422, 429, 503)
_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
# FastAPI's own models of a refusal; ours stand in their place.
_FOREIGN_MODELS = frozenset({"HTTPValidationError", "ValidationError"})


def openapi_document(
    registry: Registry,
    rights: Rights,
    *,
    version: str = "0",
    server_url: str = "/",
    actions: Iterable[Mapping[str, Any]] = (),
    defaults: Mapping[str, Collection[str]] = MappingProxyType({}),
) -> dict[str, Any]:
    """The document for a caller.

    Args:
        registry: The running registry.
        rights: The caller's; types and operations beyond them are absent.
        version: Of the server.
        server_url: Where the server is, as its clients see it.
        actions: OpenAPI fragments with ``paths`` and perhaps ``components`` for hand-written actions,
            already narrowed to what the caller may call.
        defaults: By type, the fields whose default an override makes; a create need not give them.

    Returns:
        A fresh dict.
    """
    components = shared_components()
    components["requestBodies"] = {}
    for section, made in path_components().items():
        components[section].update(made)
    document: Json = {
        "openapi": VERSION,
        "info": {"title": TITLE, "version": version, "description": ABOUT},
        "servers": [{"url": server_url}],
        "security": SECURITY,
        "tags": [],
        "paths": {},
        "components": components,
    }
    models = TypeModels(gate_of(registry, rights), components, defaults)
    paths: Json = document["paths"]
    components["schemas"].update(_catalogue_models())
    paths.update(_catalogue_paths(is_open=any(one.public is not None for one in registry.types.values())))
    for name in rights.visible_types():
        resource = registry.types[name]
        tag = {"name": name}
        if resource.description:
            tag["description"] = resource.description
        document["tags"].append(tag)
        models.add(resource)
        paths.update(type_paths(registry, resource, rights, components["parameters"]))
    for fragment in actions:
        _merge(document, fragment)
    paths.update(_own_paths())
    _part_ids(paths)
    document["tags"].extend({"name": one} for one in (ACTIONS_TAG, DOCUMENTS_TAG, OPERATIONS_TAG))
    return document


def _part_ids(paths: Json) -> None:
    """Number operations whose types' names happen to spell the same id; those that came first keep it."""
    seen: set[str] = set()
    for item in paths.values():
        for method in _METHODS:
            if method in item:
                wanted = found = item[method]["operationId"]
                number = 2
                while found in seen:
                    found, number = f"{wanted}_{number}", number + 1
                seen.add(found)
                item[method]["operationId"] = found


# ---------------------------------------------------------------- what is not of one type


def _catalogue_models() -> Json:
    text = {"type": "string"}
    links = {"type": "object", "additionalProperties": text}
    return {
        "TypeEntry": {
            "title": "A type",
            "type": "object",
            "required": ["name", "title", "titlePlural", "permissions", "parents", "links"],
            "properties": {
                "name": text,
                "title": text,
                "titlePlural": text,
                "permissions": {"type": "object", "additionalProperties": {"type": "boolean"}},
                "parents": {"type": "array", "items": {"type": "object"}},
                "links": links,
            },
        },
        "Catalogue": {
            "title": "Types",
            "type": "object",
            "required": ["data", "meta"],
            "properties": {"data": {"type": "array", "items": model("TypeEntry")}, "meta": {"type": "object"}},
        },
    }


def _catalogue_paths(*, is_open: bool) -> Json:
    types = {
        "type": "object",
        "required": ["types"],
        "properties": {"types": {"type": "array", "items": model("TypeEntry")}},
    }
    paths: Json = {}
    for path, name, schema, said in (
        (f"{CRUD}/", "type_list", model("Catalogue"), "The types that you see, and what you may do with each."),
        (f"{CRUD}/schema", "type_schemas", types, "The same, for clients that read schema documents."),
    ):
        responses = {"200": reply(said, schema)}
        responses.update({str(status): problem_ref(status) for status in (400, 401, 403, 429, 503)})
        operation: Json = {"operationId": name, "summary": said, "tags": [DOCUMENTS_TAG], "responses": responses}
        if is_open:
            operation["security"] = OPTIONAL_SECURITY
        paths[path] = {"parameters": [{"$ref": "#/components/parameters/AccountId"}], "get": operation}
    return paths


def _own_paths() -> Json:
    """Documents and operations: the calls that need no credentials, or none of a person."""
    health = {
        "type": "object",
        "required": ["status"],
        "properties": {"status": {"type": "string", "enum": ["ok", "unavailable"]}, "checks": {"type": "object"}},
    }
    page = {"content": {"text/html": {"schema": {"type": "string"}}}}
    row = {"type": "object", "required": ["data"], "properties": {"data": {"type": "object"}}}
    problem_page = reply("What the code means, and the way out.", row)
    problem_page["content"].update(page["content"])
    code = {
        "name": "code",
        "in": "path",
        "required": True,
        "description": "A problem's code.",
        "schema": {"type": "string", "enum": list(CODES)},
    }
    openapi = {"200": reply("It.", {"type": "object"}, ["ETag"]), "304": reply("You have it.", None, ["ETag"])}
    away = {**reply("Not ready.", health), "description": "Something that requests need does not answer."}
    metrics = {**reply("Prometheus text."), "content": {"text/plain": {"schema": {"type": "string"}}}}
    return {
        f"{PROBLEMS}/{{code}}": {
            "get": _known("problem_page", "What a problem's code means", {"200": problem_page}, (404,)),
            "parameters": [code],
        },
        REGISTRY: {"get": _known("registry", "Which registry runs", {"200": reply("Its digest and state.", row)})},
        DEPRECATIONS: {
            "get": _known(
                "deprecations", "Who still uses old routes; needs the scope meta:deprecations", _uses(), (422,)
            ),
            "parameters": [{"$ref": f"#/components/parameters/{name}"} for name in ("AccountId", "Limit", "Offset")],
        },
        OPENAPI: {"get": _open("openapi", "This document", DOCUMENTS_TAG, openapi)},
        "/docs": {"get": _open("docs", "This document, to read", DOCUMENTS_TAG, {"200": {**reply("A page."), **page}})},
        "/health/live": {
            "get": _open("health_live", "The process lives", OPERATIONS_TAG, {"200": reply("It does.", health)})
        },
        "/health/ready": {
            "get": _open(
                "health_ready", "Requests can be served", OPERATIONS_TAG, {"200": reply("Ready.", health), "503": away}
            )
        },
        "/metrics": {
            "get": _open(
                "metrics",
                "Metrics; for this machine and the scope meta:metrics",
                OPERATIONS_TAG,
                {"200": metrics},
                (403,),
            )
        },
    }


def _uses() -> Json:
    """The reply that tells of the uses of old routes."""
    text = {"type": "string"}
    moment = {"type": "string", "format": "date-time"}
    use = {
        "route": {**text, "examples": ["GET /v2/crud/page/{id}"]},
        "version": {**text, "examples": ["v2"]},
        "caller": {**text, "description": "Public id of a user or key, `anonymous`, or `other` for many."},
        "count": {"type": "integer", "minimum": 1},
        "first_used_on": moment,
        "last_used_on": moment,
        "replacement": {**text, "examples": ["GET /v3/crud/page/{id}"]},
    }
    row = {"type": "object", "required": list(use), "properties": use}
    page = {"data": {"type": "array", "items": row}, "meta": {"type": "object"}}
    return {"200": reply("The latest use first.", {"type": "object", "required": list(page), "properties": page})}


def _known(name: str, summary: str, replies: Json, problems: tuple[int, ...] = ()) -> Json:
    """A call for every known caller, whatever his rights."""
    operation = _open(name, summary, DOCUMENTS_TAG, replies, problems)
    del operation["security"]
    return operation


def _open(name: str, summary: str, tag: str, replies: Json, problems: tuple[int, ...] = ()) -> Json:
    """A call that works without credentials; wrong ones are refused all the same."""
    responses = {**replies}
    for status in (400, 401, 403, 429, *problems):
        responses.setdefault(str(status), problem_ref(status))
    return {
        "operationId": name,
        "summary": summary,
        "tags": [tag],
        "responses": dict(sorted(responses.items())),
        "security": OPTIONAL_SECURITY,
    }


# ---------------------------------------------------------------- actions


def _merge(document: Json, fragment: Mapping[str, Any]) -> None:
    """Take a fragment in: its operations get our problems and credentials, its models keep their names."""
    schemas: Json = document["components"]["schemas"]
    for section, content in fragment.get("components", {}).items():
        known: Json = document["components"].setdefault(section, {})
        known.update(
            {name: made for name, made in content.items() if name not in known and name not in _FOREIGN_MODELS}
        )
    for path, item in fragment.get("paths", {}).items():
        url = path if path.startswith("/") else f"{ACTIONS}/{path}"
        merged: Json = document["paths"].setdefault(url, {})
        for key, content in item.items():
            merged[key] = _with_problems(content) if key in _METHODS else content
    for name in _FOREIGN_MODELS:
        schemas.pop(name, None)


def _with_problems(operation: Mapping[str, Any]) -> Json:
    made: Json = deepcopy(dict(operation))
    successes = {status: said for status, said in made.get("responses", {}).items() if str(status)[:1] in "23"}
    declared = {int(status) for status in made.get("responses", {}) if str(status)[:1] == "4"}
    problems = {str(status): problem_ref(status) for status in (*_ACTION_PROBLEMS, *sorted(declared))}
    made["responses"] = {**successes, **problems}
    made["tags"] = [ACTIONS_TAG]
    made.setdefault("security", SECURITY)
    return made
