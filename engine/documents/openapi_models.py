"""The models of each type in OpenAPI: what is read, sent, paged and searched, as a caller may.

Their filters are `openapi_filters.py`'s, the operations that use them
`openapi_paths.py`'s.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from engine.documents.fields import is_demanded, known_fields
from engine.documents.forms import create_schema, read_schema, update_schema
from engine.documents.links import model_name
from engine.documents.openapi_filters import FilterModels, query_terms
from engine.documents.openapi_links import created_links, page_links
from engine.documents.openapi_shared import ID_VALUE, Json, json_content, model, reply
from engine.documents.schema import inlineable
from engine.language.query import LIST_PARAMETERS
from engine.language.search import COUNT_MODES, DELETED_MODES, MAX_Q
from engine.plan.fields import Gate
from engine.plan.nested import MAX_CHILDREN
from engine.plan.rights import Rights
from engine.registry.resource import Field, Relation, Resource

MAX_NAMES = 1_000


class TypeModels:
    """Makes the models, request bodies, replies and parameters of types.

    Args:
        gate: What the caller may use.
        components: The document's components; they grow.
        defaults: By type, the fields whose default an override makes.
    """

    def __init__(self, gate: Gate, components: Json, defaults: Mapping[str, Collection[str]]) -> None:
        self._gate = gate
        self._defaults = defaults
        self._components = components
        self._schemas: Json = components["schemas"]
        self._filters = FilterModels(gate, self._schemas)

    @property
    def _rights(self) -> Rights:
        return self._gate.rights

    def add(self, resource: Resource) -> None:
        """Add everything that the operations of a type refer to."""
        name = self.name_of(resource)
        rights = self._rights
        known = known_fields(resource, rights)
        self._schemas[name] = self._read_model(resource, known)
        self._add_inline(resource, name)
        self._schemas[f"{name}Object"] = _enveloped(resource.title, model(name), model("ObjectMeta"))
        self._add_object_replies(resource, name)
        if rights.may(resource.name, "read"):
            self._add_searching(resource, name)
        if rights.may(resource.name, "create"):
            self._schemas[f"{name}Create"] = self._create_model(resource, known)
            self._add_body(f"{name}Create")
            if resource.parents:
                own = [field for field in known if field.role != "parent"]
                self._schemas[f"{name}Nested"] = self._create_model(resource, own)
                self._add_body(f"{name}Nested")
        if rights.may(resource.name, "update"):
            changed = [field for field in known if field.name in rights.updateable(resource.name)]
            changes = self._child_changes(resource)
            update = _without_formats(update_schema(resource, changed))
            self._schemas[f"{name}Update"] = {**update, "properties": {**update["properties"], **changes}}
            self._schemas[f"{name}Replace"] = _replace_model(update, changed, changes, self._made(resource))
            self._add_body(f"{name}Update")
            self._add_body(f"{name}Replace")
            if resource.parents:
                self._schemas[f"{name}Move"] = _move_model(
                    [one.type for one in resource.parents if rights.sees(one.type)]
                )
                self._add_body(f"{name}Move")
        if resource.parents:
            self._schemas[f"{name}Changes"] = self._changes_model(resource, name)

    def name_of(self, resource: Resource) -> str:
        """The name of a type's model."""
        return model_name(self._gate.registry, resource.name)

    # ------------------------------------------------------------ objects

    def _read_model(self, resource: Resource, known: Iterable[Field]) -> Json:
        """What is answered: any selection of the fields, with relations where they are expanded."""
        readable = self._rights.readable(resource.name)
        schema = read_schema(resource, [field for field in known if field.name in readable])
        schema["required"] = ["id"]
        properties: Json = schema["properties"]
        properties.setdefault("id", {"type": "string", "title": "ID", "readOnly": True})
        for relation in self._relations(resource):
            target = model(model_name(self._gate.registry, relation.target))
            if relation.kind == "one":
                properties.setdefault(relation.name, {"anyOf": [target, {"type": "null"}], "readOnly": True})
            else:
                page = model(f"{model_name(self._gate.registry, relation.target)}Page")
                properties.setdefault(relation.name, {**page, "readOnly": True})
        if resource.description:
            schema["description"] = resource.description
        return schema

    def _create_model(self, resource: Resource, known: Iterable[Field]) -> Json:
        """What a create takes; children may come along under their segment."""
        createable = self._rights.createable(resource.name)
        fields = [field for field in known if field.name in createable]
        schema = _without_formats(create_schema(resource, fields, self._made(resource)))
        for child in resource.children:
            if self._rights.may(child.type, "create") and child.segment not in schema["properties"]:
                created = model(f"{model_name(self._gate.registry, child.type)}Nested")
                schema["properties"][child.segment] = {
                    "type": "array",
                    "title": self._gate.registry.types[child.type].plural,
                    "items": created,
                    "maxItems": MAX_CHILDREN,
                    "writeOnly": True,
                }
        return schema

    def _child_changes(self, resource: Resource) -> Json:
        """The keys under which an update takes what is to be done with children."""
        verbs = ("create", "update", "delete")
        return {
            child.segment: {**model(f"{model_name(self._gate.registry, child.type)}Changes"), "writeOnly": True}
            for child in resource.children
            if child.segment not in resource.fields and any(self._rights.may(child.type, verb) for verb in verbs)  # type: ignore[arg-type]
        }

    def _changes_model(self, resource: Resource, name: str) -> Json:
        """Several writes of children inside an update of their parent."""
        properties: Json = {}
        if self._rights.may(resource.name, "create"):
            properties["create"] = {
                "type": "array",
                "items": model(f"{name}{'Nested' if resource.parents else 'Create'}"),
                "maxItems": MAX_CHILDREN,
            }
        if self._rights.may(resource.name, "update"):
            update: Json = dict(self._schemas[f"{name}Update"])
            update["properties"] = {"id": ID_VALUE, **update["properties"]}
            update["required"] = ["id"]
            update["minProperties"] = 2
            properties["update"] = {"type": "array", "items": update, "maxItems": MAX_CHILDREN}
        if self._rights.may(resource.name, "delete"):
            properties["delete"] = {"type": "array", "items": ID_VALUE, "maxItems": MAX_CHILDREN}
        return {
            "title": f"Changes of {resource.plural.lower()}",
            "type": "object",
            "additionalProperties": False,
            "properties": properties,
        }

    def _made(self, resource: Resource) -> Collection[str]:
        return self._defaults.get(resource.name, ())

    def _relations(self, resource: Resource) -> list[Relation]:
        """The relations that the caller may expand."""
        found = [resource.relations[name] for name in self._gate.relation_names(resource.name)]
        return [relation for relation in found if self._rights.may(relation.target, "read")]

    def _add_object_replies(self, resource: Resource, name: str) -> None:
        replies: Json = self._components["responses"]
        one = model(f"{name}Object")
        replies[f"{name}Object"] = reply("The object.", one, ["ETag"])
        replies[f"{name}Written"] = reply("The object as it is now.", one, ["WrittenETag", "PreferenceApplied"])
        # Who may not read what he made is answered its id, and that has no version.
        etag = "ETag" if self._rights.may(resource.name, "read") else "WrittenETag"
        created = reply("The new object.", None, [etag, "Location", "PreferenceApplied"])
        created["content"] = json_content(one)
        created["links"] = created_links(resource, self._rights)
        replies[f"{name}Created"] = created

    def _add_body(self, name: str) -> None:
        self._components["requestBodies"][name] = {
            # An empty body is an empty object, which is enough where nothing is demanded.
            "required": bool(self._schemas[name].get("required") or self._schemas[name].get("minProperties")),
            "content": json_content(model(name)),
        }

    def _add_inline(self, resource: Resource, name: str) -> None:
        """The parameter that names the relation ids which a form schema may show as choices."""
        names = inlineable(self._gate.registry, resource, self._rights)
        if names:
            self._components["parameters"][f"{name}Inline"] = {
                "name": "inline",
                "in": "query",
                "description": "Relation ids to show as titled choices, with commas between; needs `mode`.",
                "schema": {"type": "string", "pattern": _list_pattern(_any(names))},
            }

    # ------------------------------------------------------------ searching

    def _add_searching(self, resource: Resource, name: str) -> None:
        self._filters.type_filter(resource)
        page = {"type": "array", "items": model(name)}
        self._schemas[f"{name}Page"] = _enveloped(resource.plural, page, model("PageMeta"))
        answered = reply("A page.", model(f"{name}Page"))
        links = page_links(resource, self._rights)
        self._components["responses"][f"{name}Page"] = {**answered, "links": links} if links else answered
        self._schemas[f"{name}Expand"] = self._expand_model(resource)
        self._schemas[f"{name}Search"] = self._search_model(resource, name)
        self._components["requestBodies"][f"{name}Search"] = {
            "required": False,
            "content": {
                "application/json": {
                    "schema": model(f"{name}Search"),
                    "examples": {"page": {"value": {"filter": {}, "limit": 20, "count": "exact"}}},
                }
            },
        }
        self._add_query(resource, name)

    def _search_model(self, resource: Resource, name: str) -> Json:
        keys: Json = {
            "filter": model(f"{name}Filter"),
            "q": {"type": "string", "maxLength": MAX_Q},
            "fields": _many(self._field_name(resource)),
            "expand": model(f"{name}Expand"),
            "sort": _many(self._sort_key(resource)),
            "limit": {"type": "integer", "minimum": 0},
            "offset": {"type": "integer", "minimum": 0, "maximum": self._gate.registry.limits.offset},
            "cursor": {"type": "string"},
            "count": {"type": "string", "enum": list(COUNT_MODES)},
            "deleted": {"type": "string", "enum": list(self._deleted_modes(resource))},
            "timezone": model("Timezone"),
            "explain": {"type": "boolean"},
        }
        return {
            "title": f"Search of {resource.plural.lower()}",
            "type": "object",
            "additionalProperties": False,
            "properties": {key: _or_null(schema) for key, schema in keys.items()},
            "not": {
                "required": ["offset", "cursor"],
                "properties": {"offset": {"type": "integer"}, "cursor": {"type": "string"}},
            },
        }

    def _deleted_modes(self, resource: Resource) -> tuple[str, ...]:
        return DELETED_MODES if self._rights.may(resource.name, "delete") else DELETED_MODES[:1]

    def _expand_model(self, resource: Resource) -> Json:
        relations = self._relations(resource)
        if not relations:
            return {"title": "No relation can be expanded", "type": "array", "maxItems": 0}
        registry = self._gate.registry
        properties: Json = {}
        for relation in relations:
            target = registry.types[relation.target]
            inner: Json = {"fields": _many(self._field_name(target)), "expand": model(f"{self.name_of(target)}Expand")}
            if relation.kind == "many":
                inner["filter"] = model(f"{self.name_of(target)}Filter")
                inner["sort"] = _many(self._sort_key(target))
                inner["limit"] = {"type": "integer", "minimum": 0}
            inner = {key: _or_null(schema) for key, schema in inner.items()}
            one: Json = {"type": "object", "additionalProperties": False, "properties": inner}
            properties[relation.name] = _or_null(one)
        names = {"type": "array", "items": {"type": "string", "pattern": f"^({_any(r.name for r in relations)})$"}}
        return {
            "title": f"Relations of {resource.plural.lower()}",
            "anyOf": [names, {"type": "object", "additionalProperties": False, "properties": properties}],
        }

    def _field_name(self, resource: Resource) -> Json:
        return {"type": "string", "pattern": f"^{self._field_pattern(resource)}$"}

    def _field_pattern(self, resource: Resource) -> str:
        return rf"(\*|-?({_any(self._gate.usable(resource.name, 'read'))}))"

    def _sort_key(self, resource: Resource) -> Json:
        return {"type": "string", "pattern": f"^{self._sort_pattern(resource)}$"}

    def _sort_pattern(self, resource: Resource) -> str:
        names = self._gate.usable(resource.name, "sort") or ["id_is_not_sortable"]
        return f"-?({_any(names)})(:nulls_(first|last))?"

    def _add_query(self, resource: Resource, name: str) -> None:
        """The parameters of a list that are the type's own, and the list of all of them."""
        filterable = [resource.fields[one] for one in self._gate.usable(resource.name, "filter")]
        terms = query_terms(resource, filterable, self._filters, LIST_PARAMETERS)
        self._schemas[f"{name}Terms"] = terms
        parameters: Json = self._components["parameters"]
        parameters[f"{name}Terms"] = {
            "name": "where",
            "in": "query",
            "style": "form",
            "explode": True,
            "description": "Each property is a parameter of its own: `field=value` or `field.operator=value`.",
            "schema": model(f"{name}Terms"),
        }
        parameters[f"{name}Filter"] = {
            "name": "filter",
            "in": "query",
            "description": "A filter as JSON.",
            "content": json_content(model(f"{name}Filter")),
        }
        relations = [relation.name for relation in self._relations(resource)]
        lists = [
            ("Fields", self._field_pattern(resource), "Fields to answer, with commas between; `-name` leaves one out."),
            ("Sort", self._sort_pattern(resource), "Sort keys, with commas between; `-` before one reverses it."),
        ]
        if relations:
            lists.append(("Expand", f"({_any(relations)})", "Relations to answer along, with commas between."))
        for suffix, pattern, said in lists:
            parameters[f"{name}{suffix}"] = {
                "name": suffix.lower(),
                "in": "query",
                "description": said,
                "schema": {"type": "string", "pattern": _list_pattern(pattern)},
            }


def _many(item: Json) -> Json:
    return {"type": "array", "items": item, "maxItems": MAX_NAMES}


def _or_null(schema: Json) -> Json:
    """A key of a search may be null, which is the same as leaving it out."""
    if "type" in schema and "enum" not in schema:
        return {**schema, "type": [schema["type"], "null"]}
    return {"anyOf": [*schema.get("anyOf", [schema]), {"type": "null"}]}


def _without_formats(schema: Json) -> Json:
    """Without the formats that are narrower than their fields' patterns; in forms they serve to pick a widget."""
    for inner in schema["properties"].values():
        if "pattern" in inner and inner.get("format") in ("email", "uri"):
            del inner["format"]
    return schema


def _move_model(types: list[str]) -> Json:
    """A new parent."""
    parent = {
        "type": "object",
        "required": ["type", "id"],
        "additionalProperties": False,
        "properties": {"type": {"type": "string", "enum": types}, "id": ID_VALUE},
    }
    return {
        "title": "A new parent",
        "type": "object",
        "required": ["parent"],
        "additionalProperties": False,
        "properties": {"parent": parent if types else {"type": "object", "maxProperties": 0}},
    }


def _replace_model(update: Json, fields: list[Field], changes: Json, made: Collection[str]) -> Json:
    """What a PUT takes: as an update, but all that a create demands. A secret that is left out stays as it is."""
    schema: Json = {**update, "properties": {**update["properties"], **changes}}
    del schema["minProperties"]
    required = [field.name for field in fields if is_demanded(field, made) and not field.secret]
    if required:
        schema["required"] = required
    return schema


def _enveloped(title: str, data: Json, meta: Json) -> Json:
    return {"title": title, "type": "object", "required": ["data", "meta"], "properties": {"data": data, "meta": meta}}


def _list_pattern(one: str) -> str:
    """A list with commas."""
    return f"^(({one})(,({one})){{0,20}})?$"


def _any(names: Iterable[Any]) -> str:
    return "|".join(names)
