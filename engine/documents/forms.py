"""What is valid and what is pretty: the JSON Schemas and the form hints of a schema document.

The schemas keep to the portable profile that stock form libraries take: flat objects,
no references, unions with ``null`` alone. What a value of a kind looks like stands in
`registry/kinds.py`; what only the server can check in `rules.py`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any

from engine.documents.fields import default_of, is_demanded, known_fields, widget_of
from engine.plan.rights import Rights
from engine.registry.fragments import Mode
from engine.registry.kinds import KINDS
from engine.registry.resource import Field, Resource

TEXTAREA_ROWS = 6

# Our widgets that a form library of the rjsf family knows by the same or another name.
_UI_WIDGETS = {
    "textarea": "textarea",
    "select": "select",
    "radio": "radio",
    "checkbox": "checkbox",
    "checkboxes": "checkboxes",
    "date": None,
    "datetime": None,
    "email": None,
    "uri": None,
    "password": "password",
    "hidden": "hidden",
    "range": "range",
    "color": "color",
}

# A reader can rely on the form of what we render ourselves. Other text is as it was stored, perhaps before a rule was.
_WRITTEN_BY_US = {
    "date": ("format",),
    "datetime": ("format",),
    "decimal": ("pattern",),
    "id": ("pattern",),
    "relation": ("pattern",),
}


def form_schemas(resource: Resource, rights: Rights, made: Collection[str] = ()) -> dict[str, dict[str, Any]]:
    """The schemas of a create, of an update and of what is read, for a caller."""
    known = known_fields(resource, rights)
    name = resource.name
    createable = [field for field in known if field.name in rights.createable(name)]
    updateable = [field for field in known if field.name in rights.updateable(name)]
    return {
        "create": _drawable(create_schema(resource, createable, made), createable),
        "update": _drawable(update_schema(resource, updateable), updateable),
        "read": read_schema(resource, [field for field in known if field.name in rights.readable(name)]),
    }


def _drawable(schema: dict[str, Any], fields: Sequence[Field]) -> dict[str, Any]:
    """A form's schema in which every property has a type: without one no form library draws the field.

    The server takes any JSON in a field that says no more than `json`; a form makes objects of it, or lists where
    its default is one.
    """
    for field in fields:
        if field.kind == "json" and field.items is None:
            kind = "array" if isinstance(field.default, list) else "object"
            schema["properties"][field.name]["type"] = [kind, "null"] if field.nullable else kind
    return schema


def create_schema(resource: Resource, fields: Sequence[Field], made: Collection[str] = ()) -> dict[str, Any]:
    """The schema of a create: nothing but these fields, those required that have no default.

    Args:
        resource: The type.
        fields: Those that the caller may give.
        made: See `fields.default_of`.
    """
    schema: dict[str, Any] = {"title": resource.title, "type": "object", "additionalProperties": False}
    required = [field.name for field in fields if is_demanded(field, made)]
    if required:
        schema["required"] = required
    if not fields:
        schema["minProperties"] = 1
    schema["properties"] = {field.name: property_of(field, "create", made) for field in fields}
    return schema


def update_schema(resource: Resource, fields: Sequence[Field]) -> dict[str, Any]:
    """The schema of an update: any of these fields, one at least."""
    return {
        "title": resource.title,
        "type": "object",
        "additionalProperties": False,
        "minProperties": 1,
        "properties": {field.name: property_of(field, "update") for field in fields},
    }


def read_schema(resource: Resource, fields: Sequence[Field]) -> dict[str, Any]:
    """The schema of what is read where no field list says otherwise."""
    return {
        "title": resource.title,
        "type": "object",
        "required": [field.name for field in fields if not field.heavy],
        "properties": {field.name: property_of(field, "read") for field in fields},
    }


def property_of(field: Field, mode: Mode, made: Collection[str] = ()) -> dict[str, Any]:
    """The schema of one field: its kind's, with what people read about it."""
    if mode != "read" and field.required and field.nullable:
        # A field that is demanded takes no null, whatever its column does.
        field = replace(field, nullable=False)
    fragment = KINDS[field.kind].schema(field, mode)
    default = default_of(field, made)
    if default is None or default.get("value") is None:
        fragment.pop("default", None)
    elif "default" in fragment:
        fragment["default"] = default["value"]
    schema: dict[str, Any] = {}
    if "type" in fragment:
        schema["type"] = fragment.pop("type")
    schema["title"] = field.title or field.name
    if mode != "read":
        help_text = field.help or _own_help(field)
        if help_text:
            schema["description"] = help_text
    elif "oneOf" in fragment:
        schema["enum"] = [choice["const"] for choice in _choices_of(fragment.pop("oneOf"))]
    if mode == "read" and field.kind in _WRITTEN_BY_US:
        sent = KINDS[field.kind].schema(field, "create")
        fragment.update({key: sent[key] for key in _WRITTEN_BY_US[field.kind]})
    schema.update(fragment)
    if mode == "create" and field.examples:
        schema["examples"] = list(field.examples)
    if mode == "read" and not (field.is_createable and field.is_updateable):
        schema["readOnly"] = True
    if mode != "read" and field.secret:
        schema["writeOnly"] = True
    if field.deprecated:
        schema["deprecated"] = True
    return schema


def with_choices(schema: dict[str, Any], name: str, choices: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """A form schema with one relation id as titled choices.

    Args:
        schema: ``schemas.create`` or ``schemas.update``.
        name: A property of it.
        choices: Public id and label of each object. With none the property stays as it is, since
            a list of no choices is no JSON Schema.
    """
    if not choices:
        return schema
    found = dict(schema["properties"][name])
    found.pop("pattern", None)
    one_of: list[dict[str, Any]] = [{"const": value, "title": label} for value, label in choices]
    if "null" in found.get("type", ()):
        one_of.append({"const": None, "title": "None"})
    return {**schema, "properties": {**schema["properties"], name: {**found, "oneOf": one_of}}}


# ---------------------------------------------------------------- form hints


def form_hints(fields: Iterable[Field], groups: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The ``ui`` part: an order, and a hint for each field that a form library would not draw right by itself."""
    drawn = {field.name: field for field in fields}
    grouped = [name for group in groups for name in group["fields"] if name in drawn]
    order = list(dict.fromkeys([*grouped, *drawn]))
    hints: dict[str, Any] = {"ui:options": {"order": [*order, "*"]}}
    focused = next((name for name in order if widget_of(drawn[name]) == "text"), None)
    for name in order:
        hint = {**_hint(drawn[name], is_focused=name == focused), **(drawn[name].ui or {})}
        if hint:
            hints[name] = hint
    return hints


def _hint(field: Field, *, is_focused: bool) -> dict[str, Any]:
    widget = widget_of(field)
    hint: dict[str, Any] = {}
    text: dict[str, Any] = {}
    options: dict[str, Any] = {}
    if field.placeholder is not None:
        hint["ui:placeholder"] = text["placeholder"] = field.placeholder
    if is_focused:
        hint["ui:autofocus"] = text["autofocus"] = True
    if widget == "decimal":
        text["inputmode"] = "decimal"
    own = _UI_WIDGETS.get(widget)
    if own is not None:
        hint["ui:widget"] = own
    if widget == "textarea":
        options["rows"] = TEXTAREA_ROWS
        hint["ui:components"] = {"textWidget": "textareaWidget"}
    if field.nullable:
        hint["ui:emptyValue"] = None
    if text:
        options["text"] = text
    if options:
        hint["ui:options"] = options
    return hint


def form_groups(resource: Resource, names: frozenset[str]) -> list[dict[str, Any]]:
    """The groups of a form, with the fields that the caller knows; empty ones are left out."""
    groups: list[dict[str, Any]] = []
    for group in resource.groups:
        fields = [name for name in group.fields if name in names]
        if fields:
            shown: dict[str, Any] = {"name": group.name, "title": group.title, "fields": fields}
            if group.collapsed:
                shown["collapsed"] = True
            groups.append(shown)
    return groups


def _own_help(field: Field) -> str | None:
    if field.kind != "decimal":
        return None
    return f"Decimal with up to {field.scale or 0} places, sent as a string."


def _choices_of(one_of: object) -> list[dict[str, Any]]:
    return list(one_of) if isinstance(one_of, list) else []
