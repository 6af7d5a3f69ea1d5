"""Files coming in: under what they belong to, on their own, and by the digest of bytes that are here already.

The actions are made for the registry: for each type that is a file (``file:``), and for each type that stands for one
(``resolves_to:`` a field that is required) under each of its parents. How bytes and rows become one is the engine's.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

from fastapi import Body, Query

from engine import (
    Caller,
    Destination,
    ErrorItem,
    Registry,
    Resource,
    Response,
    Upload,
    ValidationFailed,
    action,
    containers,
    extension_of,
    file_types,
    for_registry,
    link_file,
    property_of,
    receive_file,
)

Handler = Callable[..., Awaitable[Response]]

UPLOAD_SCOPE = "action:upload"
KEY_PARAMETER = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "With the same key a repeated upload has its effect once; the saved reply comes again for 24 hours.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}


@for_registry
def upload_actions(registry: Registry) -> Iterable[Handler]:
    """The actions of each type of files, and of each type that stands for one."""
    for file in file_types(registry):
        yield _upload_alone(file)
        ways = tuple(_ways_to(registry, file))
        for way in ways:
            for parent in way.made.parents:
                yield _upload_under(replace(way, parent=parent))
        if ways:
            yield _link(file, ways)


def _ways_to(registry: Registry, file: Resource) -> Iterable[Destination]:
    """The types that stand for a file of this type, and are nothing without it."""
    for container in containers(registry):
        field = container.fields[container.resolves_to or ""]
        target = container.relations[field.relation or ""].target
        if field.required and target == file.name:
            yield Destination(file, container, None, defaults_of)


def defaults_of(container: Resource, file_name: str) -> Mapping[str, object]:
    """What a file's name says of the object that stands for it, where that has a title and an extension."""
    title, extension = container.fields.get("title"), container.fields.get("extension")
    found: dict[str, object] = {}
    if title is not None and title.kind == "string":
        found["title"] = file_name[: title.size]
    ending = extension_of(file_name)
    if extension is not None and extension.kind == "string" and ending is not None:
        fits = extension.pattern is None or re.search(extension.pattern, ending)
        if fits and len(ending) <= (extension.size or len(ending)):
            found["extension"] = ending
    return found


def _upload_alone(file: Resource) -> Handler:
    destination = Destination(file)

    @action(
        "POST",
        file.name,
        name=f"{file.name}_upload",
        title=f"Upload {file.title.lower()}",
        scope=UPLOAD_SCOPE,
        type=file.name,
        status=201,
        needs=(f"{file.name}:create",),
        input=_input_of(destination),
        openapi=_openapi_of(destination),
        takes_key=True,
    )
    async def upload_alone(caller: Caller, upload: Upload) -> Response:
        """Store a file: a form with the part `file`, or the bytes themselves with `?file_name=`.

        An account has the same bytes once: where they are here already, that object is answered (`meta.deduplicated`).
        """
        return await receive_file(caller, upload, destination)

    return upload_alone


def _upload_under(destination: Destination) -> Handler:
    parent, container = destination.parent, destination.made
    assert parent is not None

    @action(
        "POST",
        f"{parent.type}/{{parent_id}}/{parent.segment}",
        name=f"{parent.type}_{parent.segment}_upload",
        title=f"Upload {container.title.lower()}",
        scope=UPLOAD_SCOPE,
        type=container.name,
        status=201,
        needs=(f"{container.name}:create", f"{destination.file.name}:create"),
        input=_input_of(destination),
        openapi=_openapi_of(destination),
        takes_key=True,
    )
    async def upload_under(parent_id: str, caller: Caller, upload: Upload) -> Response:
        """Store a file and the object that stands for it, both or neither.

        The body is a form with the part `file` and fields of the object beside it, or the bytes themselves with
        `?file_name=` and the fields as parameters. A declared `sha256` that the bytes have not is a 422.
        """
        return await receive_file(caller, upload, destination, parent_id)

    return upload_under


_WHAT_TO_MAKE = "What to make, where several types can stand for a file."


def _link(file: Resource, ways: Sequence[Destination]) -> Handler:
    by_name = {way.made.name: way for way in ways}

    def say_types(schema: dict[str, Any]) -> None:
        schema.pop("anyOf")
        schema.update(type="string", enum=list(by_name))

    @action(
        "POST",
        f"{file.name}/sha256/{{digest}}/link",
        name=f"{file.name}_link",
        title=f"Use bytes of {file.title.lower()} again",
        scope=UPLOAD_SCOPE,
        type=ways[0].made.name,
        status=201,
        needs=(f"{file.name}:read",),
        input=_link_input(ways),
        openapi={"requestBody": {"required": True, "content": {"application/json": {"schema": _link_input(ways)}}}},
    )
    async def link(
        digest: str,
        caller: Caller,
        body: Annotated[dict[str, Any], Body()],
        # Not in the annotation, where nobody would find a name of this function.
        type: str | None = Query(None, description=_WHAT_TO_MAKE, json_schema_extra=say_types),
    ) -> Response:
        """Make an object that stands for bytes which the account has already, without sending them.

        Takes the object's fields, its parent's id among them. Bytes that only others have are a 404, as unknown ones.
        """
        caller.request.flags(frozenset({"type"}))
        chosen = [by_name[type]] if type in by_name else list(ways) if not type else []
        if len(chosen) != 1:
            detail = f"Say with `type` what to make of the bytes: {', '.join(by_name)}."
            raise ValidationFailed(errors=[ErrorItem("not-in-enum", detail, parameter="type")])
        return await link_file(caller, digest, chosen[0], body)

    return link


# ---------------------------------------------------------------- what documents say


def _words_of(destination: Destination, *, with_parents: bool) -> dict[str, Any]:
    """The fields that may be given, as JSON Schema; those that only some callers may know are not told here."""
    resource = destination.made
    rule = destination.file.file
    settled = {resource.resolves_to, *((rule.digest, rule.size, rule.type, rule.name) if rule else ())}
    parents = {parent.field for parent in resource.parents}
    return {
        field.name: property_of(field, "create")
        for field in resource.fields.values()
        if field.is_createable
        and not (field.hidden or field.read or field.write or field.computed)
        and field.name not in settled
        and (with_parents or field.name not in parents)
    }


def _input_of(destination: Destination) -> dict[str, Any]:
    words = _words_of(destination, with_parents=False)
    return {
        "type": "object",
        "title": "Upload",
        "description": "A multipart/form-data form; the part `file` holds the bytes.",
        "properties": {
            "file": {"type": "string", "title": "File"},
            "sha256": {"type": "string", "title": "SHA-256", "pattern": "^[0-9A-Fa-f]{64}$"},
            "file_name": {"type": "string", "title": "File name"},
            **words,
        },
        "required": ["file"],
        "additionalProperties": False,
    }


def _link_input(ways: Sequence[Destination]) -> dict[str, Any]:
    words: dict[str, Any] = {}
    for way in ways:
        words.update(_words_of(way, with_parents=True))
    return {"type": "object", "title": "Link", "properties": words, "additionalProperties": False}


def _openapi_of(destination: Destination) -> dict[str, Any]:
    words = _words_of(destination, with_parents=False)
    form = _input_of(destination)
    parts = {**form["properties"], "file": {"type": "string", "format": "binary"}}
    queried = [{"name": name, "in": "query", "schema": schema} for name, schema in words.items()]
    return {
        "parameters": [
            KEY_PARAMETER,
            {
                "name": "file_name",
                "in": "query",
                "description": "What the file is called; needed with a raw body.",
                "schema": {"type": "string"},
            },
            {"name": "sha256", "in": "query", "schema": form["properties"]["sha256"]},
            *queried,
        ],
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {"schema": {**form, "properties": parts}},
                "*/*": {"schema": {"type": "string", "format": "binary"}},
            },
        },
    }
