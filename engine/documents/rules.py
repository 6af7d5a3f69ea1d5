"""Server rules: what a create may be refused for although it fulfils the schema document.

The law of the documents: whatever a POST is refused for is said by ``schemas.create`` or
listed here. So every refusal that a schema of the portable profile cannot express has
one row in `SERVER_RULES`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from engine.plan.rights import Rights
from engine.registry.kinds import KINDS
from engine.registry.parsing import MAX_JSON_DEPTH
from engine.registry.resource import Field, Registry, Resource


@dataclass(frozen=True, slots=True)
class RuleContext:
    """What decides whether a rule holds for a type and a caller.

    Attributes:
        fields: Those that the caller may create.
        validates: Whether an override checks whole objects.
    """

    registry: Registry
    resource: Resource
    rights: Rights
    fields: Sequence[Field]
    validates: bool


Find = Callable[[RuleContext], Sequence[tuple[str, Sequence[str]]]]


@dataclass(frozen=True, slots=True)
class ServerRule:
    """One row: a code, and for a type the sentences with the fields that they are about."""

    code: str
    find: Find


def server_rules(context: RuleContext) -> list[dict[str, Any]]:
    """The rules that hold for a type and a caller."""
    return [
        {"code": rule.code, "detail": detail, "fields": list(names)}
        for rule in SERVER_RULES.values()
        for detail, names in rule.find(context)
    ]


def _require_parent(context: RuleContext) -> list[tuple[str, list[str]]]:
    names = [field.name for field in context.fields if field.role == "parent"]
    if not names:
        return []
    if len(context.resource.parents) == 1:
        parent = context.resource.fields[names[0]]
        if context.resource.account.kind != "inherited" and parent.nullable:
            return []
        return [(f"{names[0]} is needed unless the path gives it.", names)]
    return [(f"One of {', '.join(names)} is needed unless the path gives it.", names)]


def _match_parent(context: RuleContext) -> list[tuple[str, list[str]]]:
    names = [field.name for field in context.fields if field.role == "parent"]
    if not names:
        return []
    if len(context.resource.parents) == 1:
        return [("In a nested path the body may name that path's parent only.", names)]
    return [("Exactly one parent is set, and in a nested path it is that path's.", names)]


def _require_account(context: RuleContext) -> list[tuple[str, list[str]]]:
    if context.resource.account.kind != "own":
        return []
    return [("A caller with several accounts names one by the header X-Account-Id.", [])]


def _require_target(context: RuleContext) -> list[tuple[str, list[str]]]:
    names = [field.name for field in context.fields if field.relation is not None]
    return [("The id must be that of an object that you may point at.", names)] if names else []


def _require_unique(context: RuleContext) -> list[tuple[str, list[str]]]:
    known = {field.name for field in context.fields}
    rules = [("Another object may not have the same value.", [f.name]) for f in context.fields if f.unique]
    for index in context.resource.unique:
        names = [name.removeprefix("-") for name in index.fields if name.removeprefix("-") in known]
        if names:
            rules.append(("Another object may not have the same values together.", names))
    return rules


def _fulfil_rows(context: RuleContext) -> list[tuple[str, list[str]]]:
    if context.rights.rule(context.resource.name) is None:
        return []
    return [("The object must be one that your role may see.", [])]


def _require_override(context: RuleContext) -> list[tuple[str, list[str]]]:
    return [("The values are checked together by a rule of this type.", [])] if context.validates else []


def _plain_text(context: RuleContext) -> list[tuple[str, list[str]]]:
    names = [field.name for field in context.fields if KINDS[field.kind].wire in ("string", "json")]
    return [("Text holds no NUL character and no half of a surrogate pair.", names)] if names else []


def _real_dates(context: RuleContext) -> list[tuple[str, list[str]]]:
    names = [field.name for field in context.fields if KINDS[field.kind].family in ("date", "datetime")]
    detail = "Dates lie between 0001-01-01 and 9999-12-31 in UTC; a leap second is none."
    return [(detail, names)] if names else []


def _bounded(context: RuleContext) -> list[tuple[str, list[str]]]:
    """Bounds of kinds whose values are strings: JSON Schema compares numbers alone."""
    rules: list[tuple[str, list[str]]] = []
    for field in context.fields:
        if KINDS[field.kind].wire != "string" or (field.min is None and field.max is None):
            continue
        low = "" if field.min is None else f" from {field.min}"
        high = "" if field.max is None else f" to {field.max}"
        rules.append((f"The value lies{low}{high}.", [field.name]))
    return rules


def _storable(context: RuleContext) -> list[tuple[str, list[str]]]:
    """The embedded database has no unsigned column of 64 bits."""
    names = [f.name for f in context.fields if f.unsigned and f.bits == 64]
    return [("The number must be one that the database can hold.", names)] if names else []


def _finite(context: RuleContext) -> list[tuple[str, list[str]]]:
    names = [field.name for field in context.fields if field.kind == "float"]
    return [("The number must fit a double.", names)] if names else []


def _shallow_json(context: RuleContext) -> list[tuple[str, list[str]]]:
    names = [field.name for field in context.fields if field.kind == "json"]
    return [(f"JSON nests at most {MAX_JSON_DEPTH} levels deep.", names)] if names else []


def _json_not_null(context: RuleContext) -> list[tuple[str, list[str]]]:
    """A JSON field takes any type, and the portable profile has no word for any but null."""
    names = [field.name for field in context.fields if field.kind == "json" and not field.nullable]
    return [("The value may not be null.", names)] if names else []


def _second_pattern(context: RuleContext) -> list[tuple[str, list[str]]]:
    """A pattern of the registry's own stands in place of its kind's; both are checked."""
    names = [f.name for f in context.fields if f.pattern is not None and f.kind in ("email", "uri")]
    return [("The value must also be of the field's kind.", names)] if names else []


def _small_body(_: RuleContext) -> list[tuple[str, list[str]]]:
    return [("The body is smaller than the server's limit and nests at most 100 levels deep.", [])]


SERVER_RULES: dict[str, ServerRule] = {
    rule.code: rule
    for rule in (
        ServerRule("parent-required", _require_parent),
        ServerRule("parent-mismatch", _match_parent),
        ServerRule("account-required", _require_account),
        ServerRule("foreign-key", _require_target),
        ServerRule("duplicate", _require_unique),
        ServerRule("forbidden", _fulfil_rows),
        ServerRule("validate", _require_override),
        ServerRule("text-characters", _plain_text),
        ServerRule("date-range", _real_dates),
        ServerRule("out-of-range", _bounded),
        ServerRule("storage-range", _storable),
        ServerRule("finite-number", _finite),
        ServerRule("json-nesting", _shallow_json),
        ServerRule("json-not-null", _json_not_null),
        ServerRule("pattern", _second_pattern),
        ServerRule("body-limit", _small_body),
    )
}
