from __future__ import annotations

import json
import time
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from engine.documents.links import model_name
from engine.documents.openapi import openapi_document
from engine.documents.openapi_shared import ITEM_CODES, STATUS_CODES
from engine.documents.schema import type_document
from engine.errors import CODES
from engine.plan.rights import rights_of
from engine.principal import ANONYMOUS, Principal
from engine.registry.resource import Registry
from tests.support.registries import (
    ALL,
    example_registry,
    field,
    many_types,
    principal_of,
    registry_of,
    resource,
    shipped_registry,
    wide_registry,
)

EXAMPLE, WIDE, SHIPPED = example_registry(), wide_registry(), shipped_registry()
METHODS = ("get", "post", "put", "patch", "delete")
CALLERS = {
    "operator": ALL,
    "reader": principal_of("*:read"),
    "writer": principal_of("journal_entry:create", "note:create"),
    "nobody": ANONYMOUS,
}


def openapi_of(registry: Registry, principal: Principal = ALL, **more: Any) -> dict[str, Any]:
    made = openapi_document(registry, rights_of(registry, principal), **more)
    copied: dict[str, Any] = json.loads(json.dumps(made))
    return copied


def operations_of(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found = [item[method] for item in document["paths"].values() for method in METHODS if method in item]
    by_id = {one["operationId"]: one for one in found}
    assert len(by_id) == len(found), "an operation id stands twice"
    return by_id


def refs_of(node: Any) -> set[str]:
    if isinstance(node, dict):
        own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
        return own.union(*(refs_of(inner) for inner in node.values()))
    return set().union(*(refs_of(inner) for inner in node)) if isinstance(node, list) else set()


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("registry", [EXAMPLE, WIDE, SHIPPED], ids=["example", "wide", "shipped"])
def test_the_document_is_valid_for_every_caller(registry: Registry, caller: str) -> None:
    document = openapi_of(registry, CALLERS[caller])
    assert [str(error) for error in OpenAPIV31SpecValidator(document).iter_errors()] == []
    for reference in refs_of(document):
        at: Any = document
        for key in reference.removeprefix("#/").split("/"):
            assert key in at, reference
            at = at[key]


@pytest.mark.parametrize("registry", [EXAMPLE, WIDE, many_types(60)], ids=["example", "wide", "many"])
def test_operation_ids_are_unique_and_links_lead_to_them(registry: Registry) -> None:
    for rights in (ALL, *CALLERS.values()):
        document = openapi_of(registry, rights)
        operations = operations_of(document)
        for reply in document["components"]["responses"].values():
            for link in reply.get("links", {}).values():
                assert link["operationId"] in operations


def test_what_was_answered_leads_on_by_its_id() -> None:
    document = openapi_of(EXAMPLE)
    replies = document["components"]["responses"]
    for name, place in (("JournalCreated", "$response.body#/data/id"), ("JournalPage", "$response.body#/data/0/id")):
        links = replies[name]["links"]
        assert {"get", "update", "replace", "delete"} <= links.keys()
        assert all(links[verb]["parameters"]["id"] == place for verb in ("get", "update", "replace", "delete"))
    assert replies["JournalCreated"]["links"]["create_entry"]["parameters"] == {"journal_id": "$response.body#/data/id"}
    reading = openapi_of(EXAMPLE, CALLERS["reader"])["components"]["responses"]
    assert reading["JournalPage"]["links"].keys() == {"get"}


@pytest.mark.parametrize("registry", [EXAMPLE, WIDE, SHIPPED], ids=["example", "wide", "shipped"])
def test_the_operators_of_a_field_are_those_of_its_schema_document(registry: Registry) -> None:
    document = openapi_of(registry)
    schemas = document["components"]["schemas"]
    rights = rights_of(registry, ALL)
    for name, one in registry.types.items():
        fields = type_document(registry, one, rights)["fields"]
        filters = schemas[f"{model_name(registry, name)}Filter"]["properties"]
        for field_name, entry in fields.items():
            if not entry["filterable"]:
                assert field_name not in filters
                continue
            forms = schemas[filters[field_name]["$ref"].rpartition("/")[2]]["anyOf"]
            named = [form["$ref"].rpartition("/")[2] for form in forms if "$ref" in form]
            asked = next(schemas[one] for one in named if "Operators" in one)
            assert [word for word in asked["properties"] if word not in ("and", "or", "not")] == entry["filterable"]


def test_a_search_of_the_contract_is_a_search_of_the_model_and_a_wrong_one_is_not() -> None:
    document = openapi_of(EXAMPLE)
    schema = {"$ref": "#/components/schemas/JournalSearch", "components": document["components"]}
    validator = Draft202012Validator(schema)
    good: dict[str, Any] = {
        "filter": {
            "or": [{"name": {"icontains": "field notes"}}, {"account": {"name": "x"}}, {"year(created_on)": 2026}],
            "entry": {
                "count": {"gte": 3, "where": {"status": "posted", "entry_date": {"gte": "$year_start"}}},
                "none": {"pinned": True},
            },
            "not": {"name": None},
        },
        "fields": ["id", "name"],
        "expand": {"entry": {"fields": ["id", "title"], "sort": ["-entry_date"], "limit": 3}},
        "sort": ["-updated_on:nulls_last", "name"],
        "limit": 2,
        "count": "estimated",
    }
    assert [error.message for error in validator.iter_errors(good)] == []
    for wrong in (
        {"filter": {"titel": 1}},
        {"filter": {"description": {"contains": "x"}}},
        {"filter": {"entry": {"any": {"title": {"lt": "a"}}}}},
        {"filter": {"entry": {"any": {"amount": 5}}}},
        {"filter": {"created_on": "yesterday"}},
        {"sort": ["description"]},
        {"count": "all"},
        {"offset": 1, "cursor": "c"},
        {"unknown": 1},
    ):
        assert not validator.is_valid(wrong), wrong


def test_only_what_the_caller_may_do_is_there() -> None:
    reader = openapi_of(EXAMPLE, principal_of("*:read"))
    assert "journal_entry_list" in operations_of(reader)
    assert not any(
        verb in one
        for one in operations_of(reader)
        for verb in ("_create", "_update", "_replace", "_delete", "_restore", "_move")
    )
    assert "JournalEntryCreate" not in reader["components"]["schemas"]
    entry_only = json.dumps(openapi_of(EXAMPLE, principal_of("journal_entry:read")))
    assert "/journal/" not in entry_only
    assert "Person" not in entry_only
    for hidden in ("internal_note", "deleted_on"):
        assert hidden not in json.dumps(openapi_of(EXAMPLE))


def test_nobody_sees_public_types_and_they_say_that_no_credentials_are_needed() -> None:
    document = openapi_of(WIDE, ANONYMOUS)
    assert [tag["name"] for tag in document["tags"]][:1] == ["word"]
    assert {} in operations_of(document)["word_list"]["security"]
    assert {} in operations_of(openapi_of(WIDE))["word_search"]["security"]
    assert "security" not in operations_of(openapi_of(WIDE))["word_create"]


def test_every_nested_way_has_its_operations() -> None:
    document = openapi_of(WIDE)
    paths = document["paths"]
    deep = "/v3/crud/house/{house_id}/room/{room_id}/shelf/{shelf_id}/slot/{slot_id}/note/{id}"
    assert paths[deep]["patch"]["operationId"] == "note_update_in_slot_of_shelf_of_room_of_house"
    assert "404" in paths[deep.removesuffix("{id}")]["get"]["responses"]
    notes = [path for path in paths if path.endswith("/note/")]
    assert len(notes) == 1 + 1 + 2 + 3 + 4
    for path, item in paths.items():
        named = (
            {
                one["name"]
                for one in (
                    document["components"]["parameters"].get(r.get("$ref", "").rpartition("/")[2], r)
                    for r in item["parameters"]
                )
                if one.get("in") == "path"
            }
            if "parameters" in item
            else set()
        )
        assert named == {part.split("}")[0] for part in path.split("{")[1:]}, path


def test_refusals_are_documented_where_they_occur() -> None:
    operations = operations_of(openapi_of(WIDE))
    assert {"400", "401", "403", "404", "409", "412", "413", "415", "422", "428", "429", "503"} <= {
        *operations["note_update"]["responses"]
    }
    assert "428" not in operations["room_update"]["responses"]
    assert "409" not in operations["room_list"]["responses"]
    assert all("500" not in one["responses"] for one in operations.values())
    required = [one for one in operations["note_delete"]["parameters"] if one.get("name") == "If-Match"]
    assert required[0]["required"] is True
    assert "restore" in json.dumps(operations["house_restore"])
    assert "room_restore" not in operations
    assert "house_move" not in operations


def test_problem_examples_are_problems() -> None:
    document = openapi_of(EXAMPLE)
    schema = {"$ref": "#/components/schemas/Problem", "components": document["components"]}
    validator = Draft202012Validator(schema)
    for status, codes in STATUS_CODES.items():
        examples = document["components"]["responses"][f"Problem{status}"]["content"]["application/problem+json"][
            "examples"
        ]
        assert [*examples] == [*codes]
        for code, example in examples.items():
            validator.validate(example["value"])
            assert example["value"]["code"] == code
            assert all(one["code"] in ITEM_CODES for one in example["value"].get("errors", ()))
    documented = {code for codes in STATUS_CODES.values() for code in codes}
    undocumented = {"method-not-allowed", "internal"}
    assert documented | undocumented == {*CODES}


def test_models_of_awkwardly_named_types_do_not_take_one_anothers_names() -> None:
    def plain(name: str) -> Any:
        return resource(name, [field("name", "string", size=20)], account="none")

    names = [
        "note",
        "note_create",
        "note_page",
        "problem",
        "text",
        "date",
        "a_1",
        "a1",
        "page_meta",
        "type",
        "type_list",
    ]
    registry = registry_of(*(plain(name) for name in names))
    document = openapi_of(registry)
    assert [str(error) for error in OpenAPIV31SpecValidator(document).iter_errors()] == []
    assert len({model_name(registry, name) for name in names}) == len(names)
    for name in names:
        model = document["components"]["schemas"][model_name(registry, name)]
        assert model["properties"]["name"]["title"] == "Name"
    assert "request_id" in document["components"]["schemas"]["Problem"]["properties"]


def test_actions_are_taken_in_with_our_problems_and_credentials() -> None:
    fragment = {
        "paths": {
            "journal/{id}/close": {
                "post": {
                    "operationId": "close",
                    "summary": "Close it",
                    "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}],
                    "responses": {
                        "200": {"description": "Closed."},
                        "422": {
                            "description": "x",
                            "content": {
                                "application/json": {"schema": {"$ref": "#/components/schemas/HTTPValidationError"}}
                            },
                        },
                    },
                }
            }
        },
        "components": {"schemas": {"HTTPValidationError": {}, "ValidationError": {}, "Closing": {"type": "object"}}},
    }
    document = openapi_of(EXAMPLE, actions=[fragment])
    operation = document["paths"]["/v3/action/journal/{id}/close"]["post"]
    assert operation["responses"]["422"] == {"$ref": "#/components/responses/Problem422"}
    assert operation["tags"] == ["actions"]
    assert "Closing" in document["components"]["schemas"]
    assert "HTTPValidationError" not in document["components"]["schemas"]
    assert [str(error) for error in OpenAPIV31SpecValidator(document).iter_errors()] == []


def test_a_hundred_types_take_less_than_a_second() -> None:
    registry = many_types(100)
    rights = rights_of(registry, ALL)
    started = time.process_time()
    openapi_document(registry, rights)
    assert time.process_time() - started < 1.0


def test_a_thousand_types_that_point_at_one_another_do_not_nest_the_interpreter() -> None:
    registry = many_types(1_000)
    document = openapi_document(registry, rights_of(registry, ALL))
    assert len(document["components"]["schemas"]) < 20 * 1_000
