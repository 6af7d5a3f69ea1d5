"""Badges drawn from their templates, as SVG, PDF or PNG."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import Query

import engine
from engine import (
    Caller,
    CallerContext,
    ErrorItem,
    Item,
    Layout,
    NotFound,
    PayloadTooLarge,
    Response,
    ValidationFailed,
    action,
    find_file,
    in_thread,
    is_public_id,
    made_file,
    read_file,
    read_layout,
)

BADGE, TEMPLATE = "event_badge", "event_badge_template"
MEDIA_TYPES = {"svg": "image/svg+xml", "pdf": "application/pdf", "png": "image/png"}
MAX_PICTURE_BYTES = 8 * 1024 * 1024
MAX_PICTURES_BYTES = 24 * 1024 * 1024

_BINARY = {"schema": {"type": "string", "format": "binary"}}
OPENAPI: dict[str, Any] = {
    "responses": {"200": {"description": "The badge.", "content": dict.fromkeys(MEDIA_TYPES.values(), _BINARY)}}
}


@action(
    "GET",
    f"{BADGE}/{{event_badge_id}}/render",
    name="event_badge_render",
    title="Draw a badge",
    scope="default",
    type=BADGE,
    needs=(f"{BADGE}:read", f"{TEMPLATE}:read"),
    openapi=OPENAPI,
)
async def draw_badge(
    event_badge_id: str,
    caller: Caller,
    format: Annotated[Literal["svg", "pdf", "png"], Query(description="What is drawn.")] = "svg",
) -> Response:
    """A badge as its template says; a badge without one takes its event's default template.

    Everything on it is read as the caller. A template that is wrong is a 422 that names the place in its `layout`.
    """
    caller.request.flags(frozenset({"format"}))
    badge = await caller.get(BADGE, event_badge_id, fields=[f"{TEMPLATE}_id", "event_id"])
    template = await _template_of(caller, badge)
    layout = _layout_of(template)
    try:
        contents = await _contents_of(caller, event_badge_id, layout)
        pictures = await _pictures_of(caller, layout, contents)
        # The façade looks `draw` up, and loads what draws, in the thread.
        body = await in_thread(lambda: engine.draw(layout, contents, pictures, format=format))
    except ValidationFailed as undrawable:
        raise _refusal(template, undrawable) from None
    return made_file(body, MEDIA_TYPES[format], f"badge-{event_badge_id}.{format}")


async def _template_of(caller: CallerContext, badge: Mapping[str, Any]) -> dict[str, Any]:
    """The badge's own template, else the newest default one of its event that is not switched off."""
    template_id = badge[f"{TEMPLATE}_id"]
    if template_id is not None:
        try:
            return await caller.get(TEMPLATE, template_id, fields=["layout"])
        except NotFound:
            detail = "The badge's template is not there for you: give the badge another one."
            raise ValidationFailed(detail) from None
    search = {
        "filter": {"event_id": badge["event_id"], "is_default": True},
        "fields": ["layout", "enable"],
        "sort": ["-updated_on"],
        "limit": 20,
    }
    for found in (await caller.search(TEMPLATE, search)).data:
        if found["enable"] is not False:
            return found
    detail = "The badge has no template, and its event has no default one: set one of the two."
    raise ValidationFailed(detail)


def _layout_of(template: Mapping[str, Any]) -> Layout:
    try:
        return read_layout(template["layout"], pointer="/layout")
    except ValidationFailed as refused:
        raise _refusal(template, refused) from None


async def _contents_of(caller: CallerContext, badge_id: str, layout: Layout) -> dict[str, str]:
    """What stands in each field that the layout names.

    Raises:
        ValidationFailed: The caller may not read a field, or there is none, which are alike; or it cannot be written.
    """
    paths = list(dict.fromkeys(item.field for item in layout.items if item.field is not None))
    if not paths:
        return {}
    try:
        badge = await caller.get(BADGE, badge_id, fields=paths)
    except ValidationFailed as refused:
        faults = []
        for error in refused.errors:
            number = (error.pointer or "").removeprefix("/fields/")
            if not number.isdigit():
                raise
            path = paths[int(number)]
            detail = f"A badge has no field {path!r}."
            faults += [ErrorItem("unknown-field", detail, pointer=item.source) for item in _naming(layout, path)]
        raise ValidationFailed(errors=faults) from None
    contents: dict[str, str] = {}
    faults = []
    for path in paths:
        try:
            contents[path] = _written(_value_at(badge, path))
        except ValueError:
            detail = f"The field {path!r} cannot be written on a badge."
            faults += [ErrorItem("type-mismatch", detail, pointer=item.source) for item in _naming(layout, path)]
    if faults:
        raise ValidationFailed(errors=faults)
    return contents


def _naming(layout: Layout, path: str) -> list[Item]:
    return [item for item in layout.items if item.field == path]


def _value_at(badge: Mapping[str, Any], path: str) -> object:
    found: Any = badge
    for name in path.split("."):
        found = found.get(name) if found is not None else None
    return found


def _written(value: object) -> str:
    """A value as it stands on paper: as on the wire, and nothing for null.

    Raises:
        ValueError: It is a document.
    """
    if value is None:
        return ""
    if isinstance(value, (dict, list)):
        raise ValueError
    return value if isinstance(value, str) else json.dumps(value)


async def _pictures_of(caller: CallerContext, layout: Layout, contents: Mapping[str, str]) -> dict[str, bytes]:
    """The bytes of each picture, by its item's pointer; each file is read once.

    Raises:
        ValidationFailed: An id leads to no file for the caller, or the files are too large.
    """
    items = [item for item in layout.items if item.kind == "image"]
    wanted = {item.pointer: contents[item.field] if item.field is not None else item.value or "" for item in items}
    read: dict[str, bytes] = {}
    faults: list[ErrorItem] = []
    for item in items:
        public_id = wanted[item.pointer]
        if not public_id or public_id in read:
            continue
        room = min(MAX_PICTURE_BYTES, MAX_PICTURES_BYTES - sum(map(len, read.values())))
        try:
            if not is_public_id(public_id):
                raise NotFound("")
            read[public_id] = await read_file(caller, await find_file(caller, public_id), most_bytes=room)
        except NotFound:
            detail = "There is no such file, or none that you may see."
            faults.append(ErrorItem("foreign-key", detail, pointer=item.source))
        except PayloadTooLarge:
            detail = (
                f"The pictures are too large: {MAX_PICTURE_BYTES >> 20} MiB each and {MAX_PICTURES_BYTES >> 20} MiB"
            )
            faults.append(ErrorItem("too-long", f"{detail} together are possible.", pointer=item.source))
    if faults:
        raise ValidationFailed(errors=faults)
    return {pointer: read[public_id] for pointer, public_id in wanted.items() if public_id}


def _refusal(template: Mapping[str, Any], refused: ValidationFailed) -> ValidationFailed:
    """The same refusal, which says whose layout it is about."""
    count = len(refused.errors)
    reason = refused.detail if count < 2 else f"{count} problems in its layout."
    detail = f"The badge template {template['id']} cannot be drawn: {reason}"
    return ValidationFailed(detail, errors=refused.errors)
