"""OpenAPI says the truth: what its models take, the planner takes; what a create's model takes, a create takes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.documents.links import model_name
from engine.documents.openapi import openapi_document
from engine.documents.schema import type_document
from engine.errors import ErrorItem, ValidationFailed
from engine.language.query import parse_query
from engine.language.search import parse_search
from engine.plan.conditions import plan_filter, plan_query_terms
from engine.plan.read import plan_list
from engine.plan.rights import rights_of
from engine.plan.shape import Dialect, PlanContext
from engine.plan.values import Frame, draft_create
from engine.plugins.overrides import Caller, Overrides
from engine.registry.resource import Registry
from tests.support.registries import ALL, example_registry, shipped_registry, wide_registry
from tests.support.schemas import values_of

REGISTRIES = {"example": example_registry(), "wide": wide_registry(), "shipped": shipped_registry()}
COMPONENTS = {
    which: openapi_document(registry, rights_of(registry, ALL))["components"] for which, registry in REGISTRIES.items()
}
EVERY_TYPE = [(which, name) for which, registry in REGISTRIES.items() for name in registry.types]
# What no schema says: an order of bounds, a limit over the whole search, the calendar's end, a stranger's path.
BEYOND_SCHEMAS = (
    "lower bound first",
    "lower one first",
    "is not a path",
    "before year 1",
    "date",
    "collation",
    "words",
)


def context_of(registry: Registry, dialect: Dialect) -> PlanContext:
    now = datetime(2026, 2, 11, 14, 3, tzinfo=UTC)
    return PlanContext(registry=registry, rights=rights_of(registry, ALL), principal=ALL, dialect=dialect, now=now)


def unexpected(act: Callable[[], object]) -> list[ErrorItem]:
    """What an act is refused for, but for what no schema could have said."""
    try:
        act()
    except ValidationFailed as refused:
        return [
            item
            for item in refused.errors
            if item.code != "too-complex" and not any(words in item.detail for words in BEYOND_SCHEMAS)
        ]
    return []


def model_of(which: str, name: str, ending: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{model_name(REGISTRIES[which], name)}{ending}"}


@pytest.mark.parametrize("dialect", ["sqlite", "mariadb"])
@given(st.data())
def test_a_filter_of_the_model_is_planned(dialect: Dialect, data: st.DataObject) -> None:
    which, name = data.draw(st.sampled_from(EVERY_TYPE))
    raw = data.draw(values_of(model_of(which, name, "Filter"), COMPONENTS[which]))
    assert unexpected(lambda: plan_filter(raw, name, context_of(REGISTRIES[which], dialect))) == []


@given(st.data())
def test_a_search_of_the_model_is_planned(data: st.DataObject) -> None:
    which, name = data.draw(st.sampled_from(EVERY_TYPE))
    model = COMPONENTS[which]["schemas"][f"{model_name(REGISTRIES[which], name)}Search"]
    apart = {key: value for key, value in model["properties"].items() if key != "cursor"}
    raw = data.draw(values_of({**model, "properties": apart}, COMPONENTS[which]))
    context = context_of(REGISTRIES[which], "sqlite")
    resource = context.registry.types[name]
    assert unexpected(lambda: plan_list(resource, (), parse_search(raw), context, cursor_key=b"k" * 32)) == []


@given(st.data())
def test_a_field_parameter_of_the_model_is_planned(data: st.DataObject) -> None:
    which, name = data.draw(st.sampled_from(EVERY_TYPE))
    terms = data.draw(values_of(model_of(which, name, "Terms"), COMPONENTS[which]))
    words = {True: "true", False: "false"}
    pairs = [(key, words[value] if isinstance(value, bool) else str(value)) for key, value in terms.items()]
    query = "&".join(f"{_quote(key)}={_quote(value)}" for key, value in pairs)
    context = context_of(REGISTRIES[which], "sqlite")
    assert unexpected(lambda: plan_query_terms(parse_query(query).terms, name, context)) == []


@pytest.mark.parametrize("dialect", ["sqlite", "mariadb"])
@given(st.data())
def test_an_object_that_a_schema_document_takes_for_create_is_drafted(dialect: Dialect, data: st.DataObject) -> None:
    which, name = data.draw(st.sampled_from(EVERY_TYPE))
    registry = REGISTRIES[which]
    context = context_of(registry, dialect)
    resource = registry.types[name]
    document = type_document(registry, resource, context.rights)
    if not document["permissions"]["create"]:
        return
    body = data.draw(values_of(document["schemas"]["create"], COMPONENTS[which]))
    frame = Frame(resource, context, Overrides(type=name), Caller("user", "u" * 22, None))
    draft = draft_create(frame, body, None)
    codes = {rule["code"] for rule in document["serverRules"]}
    for fault in draft.faults:
        is_parents = fault.code in ("required", "parent-mismatch") and {"parent-required", "parent-mismatch"} <= codes
        is_ruled = any((fault.pointer or "").lstrip("/") in rule["fields"] for rule in document["serverRules"])
        assert is_parents or (is_ruled and fault.code in ("out-of-range", "type-mismatch", "required")), fault


def _quote(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode("utf-8"))
