"""Where things are: the URLs and URL templates (RFC 6570) that the documents give.

Only types that the caller sees are ever named. How a path is taken apart again is
`http/dispatch.py`'s business.
"""

from __future__ import annotations

from engine.plan.rights import Rights
from engine.registry.resource import Parent, Registry, Resource

CRUD = "/v3/crud"
ACTIONS = "/v3/action"
PROBLEMS = "/v3/meta/problems"
REGISTRY = "/v3/meta/registry"
DEPRECATIONS = "/v3/meta/deprecations"
OPENAPI = "/openapi.json"

Entry = dict[str, object]


def collection_url(type_name: str) -> str:
    """The flat collection of a type."""
    return f"{CRUD}/{type_name}/"


def schema_url(type_name: str) -> str:
    """The schema document of a type."""
    return f"{CRUD}/{type_name}/schema"


def nested_url(parent: Parent) -> str:
    """The collection of a type under one of its parents."""
    return f"{CRUD}/{parent.type}/{{{parent.field}}}/{parent.segment}/"


def home_url(resource: Resource, rights: Rights) -> str:
    """Where a caller finds the rows of a type: under its parent where it has one, else flat.

    With several parents no single path is right; `parents` names each.
    """
    if len(resource.parents) == 1 and rights.sees(resource.parents[0].type):
        return nested_url(resource.parents[0])
    return collection_url(resource.name)


def type_links(registry: Registry, resource: Resource, rights: Rights) -> dict[str, str]:
    """Links of a type. What the caller may not do, and what does not exist yet, has none."""
    home = home_url(resource, rights)
    name = resource.name
    links = {"self": schema_url(name)}
    if rights.may(name, "read"):
        links["collection"] = home
    links["item"] = f"{home}{{id}}"
    if rights.may(name, "create"):
        links["create"] = home
    if rights.may(name, "read"):
        links["search"] = f"{home}search"
    links["openapi"] = f"{OPENAPI}#/components/schemas/{model_name(registry, name)}"
    links["types"] = f"{CRUD}/schema"
    return links


def parent_entries(resource: Resource, rights: Rights) -> list[Entry]:
    """The parents of a type that the caller sees."""
    return [
        {
            "type": parent.type,
            "field": parent.field,
            "segment": parent.segment,
            "onParentDelete": parent.on_delete,
            "schema": schema_url(parent.type),
            "item": f"{CRUD}/{parent.type}/{{{parent.field}}}",
        }
        for parent in resource.parents
        if rights.sees(parent.type)
    ]


def child_entries(registry: Registry, resource: Resource, rights: Rights) -> list[Entry]:
    """The types nested under a type that the caller sees."""
    return [
        {
            "type": child.type,
            "field": child.field,
            "segment": child.segment,
            "title": registry.types[child.type].title,
            "titlePlural": registry.types[child.type].plural,
            "onParentDelete": child.on_delete,
            "schema": schema_url(child.type),
            "collection": f"{CRUD}/{resource.name}/{{id}}/{child.segment}/",
        }
        for child in resource.children
        if rights.sees(child.type)
    ]


# Endings of a type's model names in OpenAPI; see `openapi_models.py`.
MODEL_ENDINGS = frozenset(
    (
        "create", "nested", "update", "replace", "changes", "move", "page", "search", "filter", "terms", "object",
        "relation", "expand",
    )
)  # fmt: skip
# What models that belong to no type are called, or begin with.
SHARED_MODELS = frozenset(
    (
        "problem", "fault", "page_meta", "object_meta", "option_page", "trial", "null_condition",
        "json_condition",
        "json_length", "catalogue", "type_entry", "timezone",
        "health", "text", "uuid", "number", "boolean", "date", "date_time",
        "datetime", "time", "json", "id", "binary", "integer8", "integer16", "integer24", "integer32", "integer64",
    )
)  # fmt: skip


def model_name(registry: Registry, type_name: str) -> str:
    """The name of a type's model: ``JournalEntry``. One that could be read as another's gets a line at its end."""
    parts = type_name.split("_")
    name = "".join(f"_{part}" if part[:1].isdigit() else part[:1].upper() + part[1:] for part in parts)
    stem, _, ending = type_name.rpartition("_")
    is_taken = type_name in SHARED_MODELS or (ending in MODEL_ENDINGS and stem in registry.types)
    return f"{name}_" if is_taken else name


def parent_chains(
    registry: Registry, resource: Resource, rights: Rights, below: frozenset[str] = frozenset()
) -> list[tuple[Parent, ...]]:
    """Every nested way to a type, outermost parent first, over types that the caller sees.

    Args:
        registry: The running registry.
        resource: The type.
        rights: The caller's.
        below: Types that the way has crossed already; a type that is its own parent nests once.
    """
    crossed = below | {resource.name}
    chains: list[tuple[Parent, ...]] = []
    for parent in resource.parents:
        if rights.sees(parent.type) and parent.type not in crossed:
            above = parent_chains(registry, registry.types[parent.type], rights, crossed)
            chains.extend([(parent,), *((*chain, parent) for chain in above)])
    return chains


def chain_url(chain: tuple[Parent, ...]) -> str:
    """The collection at the end of a nested way."""
    url = f"{CRUD}/{chain[0].type}"
    for parent in chain:
        url += f"/{{{parent.field}}}/{parent.segment}"
    return f"{url}/"
