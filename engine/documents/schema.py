"""The schema documents: ``aether.type/1`` of one type, and the catalogue of all, as a caller may know them.

Its parts are made elsewhere: `fields.py` (what is possible), `forms.py` (what is valid
and pretty), `rules.py` (what only the server checks), `links.py` (where things are).
OpenAPI is `openapi.py`'s.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any

import orjson

from engine.documents.fields import field_entry, known_fields, lookup_of, visible_template
from engine.documents.forms import form_groups, form_hints, form_schemas, with_choices
from engine.documents.links import ACTIONS, child_entries, collection_url, home_url, parent_entries, type_links
from engine.documents.rules import RuleContext, server_rules
from engine.plan.fields import FieldRefused, Gate, gate_of
from engine.plan.rights import Rights
from engine.plugins.actions import Action
from engine.registry.kinds import KINDS
from engine.registry.resource import Registry, Resource

KIND = "aether.type/1"
SOURCE_SCOPE = "meta:schema"
LOGIC = ("and", "or", "not")
PAGINATION = ("offset", "cursor")
MAX_INLINE = 200

# The parts of a document that `?part=` may ask for.
PARTS = (
    "kind", "name", "title", "titlePlural", "description", "icon", "etag", "locale", "id", "display", "parents",
    "permissions", "schemas", "ui", "groups", "fields", "children", "list", "search", "actions", "concurrency",
    "links", "serverRules", "source",
)  # fmt: skip

_LISTED_FILTERS = frozenset({"enum", "boolean", "date", "relation"})


def type_document(
    registry: Registry,
    resource: Resource,
    rights: Rights,
    *,
    actions: Iterable[Action] = (),
    validates: bool = False,
    defaults: Collection[str] = (),
    drift: Sequence[str] = (),
) -> dict[str, Any]:
    """The describe document of a type.

    Args:
        registry: The running registry.
        resource: The type; one that the caller sees.
        rights: The caller's.
        actions: All actions that are served; those of the type are listed.
        validates: Whether an override of the type may refuse an object (``validate``, ``before_create``).
        defaults: Names of the fields whose default an override makes.
        drift: Differences between registry and database, for callers with the scope `SOURCE_SCOPE`.

    Returns:
        A fresh dict with every part, even where it is empty.
    """
    known = known_fields(resource, rights)
    names = frozenset(field.name for field in known)
    createable = [field for field in known if field.name in rights.createable(resource.name)]
    written = [
        field
        for field in known
        if field.name in rights.createable(resource.name) or field.name in rights.updateable(resource.name)
    ]
    groups = form_groups(resource, names)
    group_of = {name: group["name"] for group in groups for name in group["fields"]}
    gate = gate_of(registry, rights)
    document: dict[str, Any] = {
        "kind": KIND,
        "name": resource.name,
        "title": resource.title,
        "titlePlural": resource.plural,
        "description": resource.description,
        "icon": resource.icon,
        "etag": "",
        "locale": "en",
        "id": {"field": "id", "type": "string", "generated": "server", "opaque": True},
        "display": _display(resource, rights),
        "parents": parent_entries(resource, rights),
        "permissions": permissions(resource, rights),
        "schemas": form_schemas(resource, rights, defaults),
        "ui": {**form_hints(written, groups), **resource.ui},
        "groups": groups,
        "fields": {field.name: field_entry(registry, resource, field, rights, group_of, defaults) for field in known},
        "children": child_entries(registry, resource, rights),
        "list": _list(gate, resource),
        "search": _search(gate, resource),
        "actions": [_action(one, rights) for one in actions if one.type == resource.name],
        "concurrency": {"etag": True, "ifMatchRequired": resource.if_match_required},
        "links": type_links(registry, resource, rights),
        "serverRules": server_rules(RuleContext(registry, resource, rights, createable, validates)),
    }
    if rights.has_scope(SOURCE_SCOPE):
        document["source"] = _source(resource, drift)
    document["etag"] = document_etag(document)
    return document


def catalogue(registry: Registry, rights: Rights) -> list[dict[str, Any]]:
    """The types that a caller sees, for ``GET /v3/crud/`` and ``GET /v3/crud/schema``."""
    return [
        {
            "name": name,
            "title": resource.title,
            "titlePlural": resource.plural,
            "permissions": permissions(resource, rights),
            "parents": parent_entries(resource, rights),
            "links": type_links(registry, resource, rights),
        }
        for name, resource in ((name, registry.types[name]) for name in rights.visible_types())
    ]


def permissions(resource: Resource, rights: Rights) -> dict[str, bool]:
    """What a caller may do with a type. What does not exist yet is false."""
    name = resource.name
    may_read = rights.may(name, "read")
    return {
        "read": may_read,
        "search": may_read,
        "create": rights.may(name, "create"),
        "update": rights.may(name, "update"),
        "delete": rights.may(name, "delete"),
        "bulk": False,
        "export": False,
    }


def schema_mode(document: Mapping[str, Any], mode: str) -> dict[str, Any]:
    """One of a document's JSON Schemas: ``create``, ``update`` or ``read``."""
    schema: dict[str, Any] = document["schemas"][mode]
    return schema


def select_parts(document: Mapping[str, Any], parts: Sequence[str]) -> dict[str, Any]:
    """The parts asked for, in the document's order; one that the caller does not have is left out."""
    return {part: document[part] for part in document if part in parts}


def inlineable(registry: Registry, resource: Resource, rights: Rights) -> tuple[str, ...]:
    """Names of the relation ids that ``inline=`` may name: writable ones whose targets the caller may read."""
    names = rights.createable(resource.name) | rights.updateable(resource.name)
    gate = gate_of(registry, rights)
    found: list[str] = []
    for field in resource.fields.values():
        if field.relation is None or field.name not in names:
            continue
        relation = resource.relations[field.relation]
        if gate.is_known_relation(resource, relation) and rights.may(relation.target, "read"):
            found.append(field.name)
    return tuple(found)


def inline_options(schema: Mapping[str, Any], choices: Mapping[str, Sequence[tuple[str, str]]]) -> dict[str, Any]:
    """A form schema with relation ids as titled choices.

    Args:
        schema: ``schemas.create`` or ``schemas.update`` of a document; it is not changed.
        choices: Field name → public id and label of each object, `MAX_INLINE` at most.
    """
    made = dict(schema)
    for name, pairs in choices.items():
        if name in made["properties"]:
            made = with_choices(made, name, pairs[:MAX_INLINE])
    return made


def document_etag(document: Mapping[str, Any]) -> str:
    """The weak ETag that a document carries inside: a hash of all the rest."""
    rest = {key: value for key, value in document.items() if key != "etag"}
    digest = blake2b(orjson.dumps(rest, default=str), digest_size=6).hexdigest()
    return f'W/"{digest}"'


# ---------------------------------------------------------------- parts


def _display(resource: Resource, rights: Rights) -> dict[str, Any]:
    subtitle = resource.display.subtitle
    return {
        "title": visible_template(resource.display.title, resource, rights),
        "subtitle": None if subtitle is None else visible_template(subtitle, resource, rights),
        "lookup": lookup_of(resource, rights),
    }


def _list(gate: Gate, resource: Resource) -> dict[str, Any]:
    readable = gate.usable(resource.name, "read")
    filterable = set(gate.usable(resource.name, "filter"))
    shown = resource.list_fields or tuple(lookup_of(resource, gate.rights))
    columns = [name for name in shown if name in readable]
    return {
        "columns": columns or readable[:1],
        "sort": _sort(gate, resource),
        "filters": [name for name in columns if name in filterable and resource.fields[name].kind in _LISTED_FILTERS],
        "pageSize": resource.page_limit,
        "maxPageSize": resource.page_max,
    }


def _sort(gate: Gate, resource: Resource) -> list[str]:
    """The default order, as far as the caller may read its keys."""
    keys: list[str] = []
    for key in resource.sort:
        if not key.expression.startswith("count("):
            try:
                gate.resolve(resource.name, key.expression, "sort")
            except FieldRefused:
                continue
        nulls = "" if key.nulls_last is None else ":nulls_last" if key.nulls_last else ":nulls_first"
        keys.append(f"{'-' if key.descending else ''}{key.expression}{nulls}")
    return keys


def _search(gate: Gate, resource: Resource) -> dict[str, Any]:
    limits = gate.registry.limits
    return {
        "method": "POST",
        "url": f"{home_url(resource, gate.rights)}search",
        "urlAllParents": f"{collection_url(resource.name)}search",
        "logic": list(LOGIC),
        "pagination": list(PAGINATION),
        "limits": {
            "depth": limits.depth,
            "leaves": limits.leaves,
            "in": limits.in_values,
            "limit": resource.page_max,
            "hops": limits.hops,
            "expand": limits.expand_levels,
            "offset": limits.offset,
            "bodyBytes": limits.body_bytes,
        },
        "expandable": [
            name for name in gate.relation_names(resource.name) if gate.rights.may(_target(resource, name), "read")
        ],
    }


def _target(resource: Resource, relation: str) -> str:
    return resource.relations[relation].target


def _action(action: Action, rights: Rights) -> dict[str, Any]:
    return {
        "name": action.name,
        "title": action.title,
        "method": action.method,
        "url": f"{ACTIONS}/{action.path}",
        "allowed": action.is_allowed(rights.has_scope),
        "confirm": action.confirm,
        "input": action.input,
    }


def _source(resource: Resource, drift: Sequence[str]) -> dict[str, Any]:
    """Table and columns, for those who look after the server."""
    return {
        "table": resource.table,
        "key": resource.key,
        "publicId": resource.public_id,
        "version": resource.version,
        "isReflected": resource.is_reflected,
        "isView": resource.is_view,
        "columns": {
            field.name: {
                "column": field.column,
                "kind": field.kind,
                "wire": KINDS[field.kind].wire,
                "size": field.size,
                "precision": field.precision,
                "scale": field.scale,
                "bits": field.bits,
                "unsigned": field.unsigned,
                "nullable": field.nullable,
                "storedAs": field.stored_as,
                "charset": field.charset,
                "collation": field.collation,
            }
            for field in resource.fields.values()
            if not field.hidden
        },
        "drift": list(drift),
    }
