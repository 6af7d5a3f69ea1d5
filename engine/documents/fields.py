"""What is possible with each field: the `fields` part of a schema document.

Which fields a caller hears of is decided here (`known_fields`); what their values
look like is `forms.py`'s business.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from engine.documents.links import CRUD
from engine.plan.fields import gate_of
from engine.plan.rights import Rights
from engine.registry.kinds import KINDS
from engine.registry.parsing import max_chars_of
from engine.registry.resource import Field, Registry, Resource

PICKER_LIMIT = 20
SERVER_DEFAULT = {"kind": "server"}
# Declared defaults that only a request gives a value; see `plan/values.py`.
MACRO_DEFAULTS = frozenset({"$now", "$today", "$current_user"})

_PLACE = re.compile(r"\{([A-Za-z0-9_]+)(?:\.[A-Za-z0-9_.]+)?\}")
_WIDGETS = {
    "string": "text",
    "text": "textarea",
    "integer": "number",
    "bigint": "number",
    "decimal": "decimal",
    "float": "number",
    "boolean": "checkbox",
    "date": "date",
    "time": "time",
    "datetime": "datetime",
    "json": "json",
    "uuid": "text",
    "email": "email",
    "uri": "uri",
    "binary": "file",
    "enum": "select",
    "id": "text",
    "relation": "relation",
}
_FACETS = {"boolean": "terms", "enum": "terms", "date": "range"}


def known_fields(resource: Resource, rights: Rights) -> list[Field]:
    """The fields of a type that exist for a caller: those that he may read or write."""
    name = resource.name
    known = rights.readable(name) | rights.createable(name) | rights.updateable(name)
    return [field for field in resource.fields.values() if field.name in known and not field.hidden]


def type_of(field: Field) -> str:
    """The field's type as `fields.*.type` says it."""
    return "id" if KINDS[field.kind].family == "id" else field.kind


def widget_of(field: Field) -> str:
    """What the field is best drawn with, in our wider vocabulary."""
    if field.widget is not None:
        return field.widget
    if field.secret:
        return "password"
    if field.kind == "json" and field.items is not None:
        return "tags"
    return _WIDGETS[field.kind]


def default_of(field: Field, made: Collection[str] = ()) -> dict[str, Any] | None:
    """What a create that leaves the field out gives it, as ``fields.*.default`` says it; None where it has no default.

    Args:
        field: The field.
        made: Names of the type's fields whose default an override makes.
    """
    if field.role in ("public_id", "created", "updated") or field.name in made:
        return SERVER_DEFAULT
    if not field.has_default:
        return None
    value = field.default
    if isinstance(value, str) and value.startswith("$"):
        if value in MACRO_DEFAULTS:
            return SERVER_DEFAULT
        value = value.removeprefix("$") if value.startswith("$$") else value
    return {"kind": "value", "value": value}


def is_demanded(field: Field, made: Collection[str] = ()) -> bool:
    """Whether a create must give the field. A parent's comes from the path as well, so no schema demands it."""
    return field.required and field.role != "parent" and default_of(field, made) is None


def field_entry(
    registry: Registry,
    resource: Resource,
    field: Field,
    rights: Rights,
    groups: Mapping[str, str],
    made: Collection[str] = (),
) -> dict[str, Any]:
    """Everything that a caller may do with one field.

    Args:
        registry: The running registry.
        resource: The field's type.
        field: One of `known_fields`.
        rights: The caller's.
        groups: Field name → name of its group.
        made: See `default_of`.
    """
    name = resource.name
    is_readable = field.name in rights.readable(name)
    is_createable = field.name in rights.createable(name)
    is_updateable = field.name in rights.updateable(name)
    is_written = is_createable or is_updateable
    entry: dict[str, Any] = {"type": type_of(field)}
    if field.role == "public_id":
        entry["primary"] = True
    entry.update(_shape(field))
    if field.unique:
        entry["unique"] = True
    entry.update(readable=is_readable, createable=is_createable, updateable=is_updateable)
    if is_written and field.role != "parent":
        entry["required"] = is_demanded(field, made)
    entry["nullable"] = field.nullable
    default = default_of(field, made)
    if default is not None:
        entry["default"] = default
    entry["filterable"] = list(field.operators) if is_readable else []
    entry["sortable"] = field.sortable and is_readable
    entry.update(_marks(field, is_readable=is_readable))
    if field.role == "parent":
        entry["parent"] = True
    elif is_written and field.name in groups:
        entry["group"] = groups[field.name]
    if is_written:
        entry["widget"] = widget_of(field)
    if field.enum:
        entry["options"] = [
            {"value": one.value, "label": one.title, **({} if one.color is None else {"color": one.color})}
            for one in field.enum
        ]
    relation = relation_block(registry, resource, field, rights)
    if relation is not None:
        entry["relation"] = relation
    return entry


def relation_block(registry: Registry, resource: Resource, field: Field, rights: Rights) -> dict[str, Any] | None:
    """What a relation id points at, and where a picker finds its choices; None where the caller does not see it."""
    if field.relation is None:
        return None
    relation = resource.relations[field.relation]
    target = registry.types[relation.target]
    if not rights.sees(target.name):
        return None
    is_plain = field.role == "relation"
    block: dict[str, Any] = {"type": target.name, "field": "id", "kind": "many_to_one"}
    if is_plain and gate_of(registry, rights).relation(resource.name, relation.name) is not None:
        block["expand"] = relation.name
    block["item"] = f"{CRUD}/{target.name}/{{id}}"
    if is_plain:
        block["onDelete"] = "restrict"
    if rights.may(target.name, "read"):
        label = visible_template(target.display.title, target, rights)
        block["options"] = f"{CRUD}/{target.name}/options?q={{q}}&limit={PICKER_LIMIT}"
        block["label"] = label
        block["match"] = lookup_of(target, rights)
        if field.where is not None and not _tells_hidden(field.where, target, rights):
            block["where"] = field.where
    return block


def lookup_of(resource: Resource, rights: Rights) -> list[str]:
    """The fields by which people look an object up: as declared, else those of its label."""
    readable = rights.readable(resource.name)
    names = resource.display.lookup or tuple(dict.fromkeys(_PLACE.findall(resource.display.title)))
    return [name for name in names if name in readable and name != "id"]


def visible_template(template: str, resource: Resource, rights: Rights) -> str:
    """A display template without the fields that the caller may not read."""
    readable = rights.readable(resource.name)

    def keep(match: re.Match[str]) -> str:
        name = match.group(1)
        relation = resource.relations.get(name)
        carrier = name if relation is None else relation.field
        return match.group(0) if carrier in readable else ""

    shown = " ".join(_PLACE.sub(keep, template).split())
    return shown or "{id}"


def _shape(field: Field) -> dict[str, Any]:
    """Sizes, as far as the kind has any."""
    shape: dict[str, Any] = {}
    if KINDS[field.kind].family == "text" and field.kind != "uuid":
        most = max_chars_of(field)
        if most is not None:
            shape["maxLength"] = most
    if field.kind == "decimal":
        shape.update(precision=field.precision, scale=field.scale)
    if field.kind == "json" and field.items is not None:
        shape["items"] = field.items
    if field.collation is not None:
        shape["collation"] = field.collation
    return shape


def _marks(field: Field, *, is_readable: bool) -> dict[str, Any]:
    marks: dict[str, Any] = {}
    if field.searchable and is_readable:
        marks["fulltext"] = True
    facet = _FACETS.get(field.kind)
    if facet is not None and field.operators and is_readable:
        marks["facet"] = facet
    for key, is_so in (
        ("heavy", field.heavy),
        ("computed", field.computed),
        ("secret", field.secret),
        ("createOnly", field.create_only and field.role != "parent"),
        ("deprecated", field.deprecated),
    ):
        if is_so:
            marks[key] = True
    return marks


def _tells_hidden(where: object, target: Resource, rights: Rights) -> bool:
    """Whether a filter names a field of the target that the caller may not read."""
    if isinstance(where, Mapping):
        for key, inner in where.items():
            first = str(key).split(".")[0]
            if first in target.fields and first not in rights.readable(target.name):
                return True
            if _tells_hidden(inner, target, rights):
                return True
        return False
    return isinstance(where, list | tuple) and any(_tells_hidden(one, target, rights) for one in where)
