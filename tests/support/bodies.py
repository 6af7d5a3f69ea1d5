"""Request bodies that fit a type, whichever it is, and the relation fields that attacks put foreign ids into."""

from __future__ import annotations

import secrets
from typing import Any

from engine.registry.resource import Field, Resource
from tests.support.attack import World

_VALUES: dict[str, Any] = {
    "integer": 1, "bigint": 1, "decimal": "1.50", "float": 1.5, "boolean": True, "date": "2026-03-01",
    "time": "10:00:00", "datetime": "2026-03-01T10:00:00Z", "json": {}, "binary": "YWJj",
}  # fmt: skip


def create_body(world: World, type_name: str, whose: str = "a", *, with_parent: bool = True) -> dict[str, Any]:
    """A body that a create takes: its required fields, with relations to seeded rows of the same account."""
    resource = world.registry.types[type_name]
    body: dict[str, Any] = {
        one.name: field_value(world, resource, one, whose)
        for one in resource.fields.values()
        if one.required and one.role in ("plain", "relation")
    }
    if with_parent and resource.parents:
        parent = resource.parents[0]
        body[parent.field] = world.first(parent.type, whose)
    return body


def field_value(world: World, resource: Resource, one: Field, whose: str = "a") -> Any:
    """A fresh value that a field takes."""
    if one.kind == "relation":
        target = world.rows[target_of(resource, one)]
        return (target.get(whose) or target["s"])[0]
    if one.kind == "enum":
        return one.enum[0].value
    if one.kind == "json" and one.examples:
        return one.examples[0]
    if one.kind in _VALUES:
        return [] if one.items else _VALUES[one.kind]
    word = f"fresh{secrets.token_hex(6)}"
    return {"email": f"{word}@example.org", "uri": f"https://example.org/{word}", "uuid": str(_uuid())}.get(
        one.kind, word[: one.size or 40]
    )


def change_body(world: World, type_name: str) -> dict[str, Any]:
    """A body that an update takes: one plain field."""
    resource = world.registry.types[type_name]
    one = next(
        one
        for one in resource.fields.values()
        if one.is_updateable and one.role == "plain" and not one.secret and one.write is None and not one.unique
    )
    return {one.name: field_value(world, resource, one)}


def target_of(resource: Resource, one: Field) -> str:
    """The type that a relation field points at."""
    if one.relation in resource.relations:
        return resource.relations[one.relation or ""].target
    return next(parent.type for parent in resource.parents if parent.field == one.name)


def relation_fields(world: World, type_name: str, *roles: str) -> list[tuple[Field, str]]:
    """Relation fields of a type that point at types with accounts, each with its target's name."""
    resource = world.registry.types[type_name]
    found = [(one, target_of(resource, one)) for one in resource.fields.values() if one.role in roles]
    return [(one, target) for one, target in found if "b" in world.rows[target]]


def _uuid() -> str:
    digits = secrets.token_hex(16)
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:]}"
