from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator, Draft202012Validator

from engine.documents.rules import SERVER_RULES
from engine.documents.schema import (
    PARTS,
    catalogue,
    document_etag,
    inline_options,
    inlineable,
    schema_mode,
    select_parts,
    type_document,
)
from engine.plan.rights import rights_of
from engine.plugins.actions import Action
from engine.registry.resource import Registry
from tests.support.registries import (
    ALL,
    example_registry,
    field,
    principal_of,
    registry_of,
    resource,
    shipped_registry,
    wide_registry,
)

EXAMPLE = Path(__file__).parents[2] / "data" / "journal_entry.type.json"
REGISTRIES = {"example": example_registry(), "wide": wide_registry(), "shipped": shipped_registry()}
EVERY_TYPE = [(which, name) for which, registry in REGISTRIES.items() for name in registry.types]

# The portable profile of the contract, section 11.
KEYWORDS = {
    "type", "title", "description", "default", "examples", "enum", "const", "oneOf", "minLength", "maxLength",
    "pattern", "format", "minimum", "maximum", "multipleOf", "items", "minItems", "maxItems", "uniqueItems", "required",
    "additionalProperties", "minProperties", "readOnly", "writeOnly", "deprecated", "properties",
}  # fmt: skip
FORMATS = {"date", "date-time", "email", "uri", "uuid"}
WIDGETS = {
    "text", "textarea", "select", "radio", "checkbox", "checkboxes", "date", "date-time", "email", "uri", "password",
    "hidden", "range", "color",
}  # fmt: skip


def document_of(registry: Registry, name: str, *scopes: str, **more: Any) -> dict[str, Any]:
    principal = principal_of(*scopes) if scopes else ALL
    made = type_document(registry, registry.types[name], rights_of(registry, principal), **more)
    copied: dict[str, Any] = json.loads(json.dumps(made))
    return copied


async def _post_entry() -> None:
    """Posts it."""


POST = Action(
    name="post",
    method="POST",
    path="journal_entry/{id}/post",
    title="Post entry",
    summary="Posts it.",
    scope="action:post",
    type="journal_entry",
    confirm="Post this entry?",
    status=200,
    handler=_post_entry,
    source="",
)


def example_pair() -> tuple[dict[str, Any], dict[str, Any]]:
    scopes = ("*:read", "journal_entry:create", "journal_entry:update", "action:post")
    ours = document_of(REGISTRIES["example"], "journal_entry", *scopes, actions=[POST])
    return json.loads(EXAMPLE.read_text()), ours


def test_the_document_has_the_parts_of_the_example_in_its_order() -> None:
    example, ours = example_pair()
    assert list(ours) == list(example)
    assert set(PARTS) == {*example, "source"}


@pytest.mark.parametrize(
    "part",
    ["kind", "name", "title", "titlePlural", "description", "icon", "locale", "id", "display", "parents", "groups",
     "children", "actions", "concurrency"],
)  # fmt: skip
def test_a_part_is_exactly_as_in_the_example(part: str) -> None:
    example, ours = example_pair()
    assert ours[part] == example[part]


def test_each_field_is_described_as_in_the_example() -> None:
    example, ours = example_pair()
    later = {"aggregate"}
    assert list(ours["fields"]) == list(example["fields"])
    for name, entry in example["fields"].items():
        assert ours["fields"][name] == {key: value for key, value in entry.items() if key not in later}, name


def test_the_rest_differs_from_the_example_only_by_what_does_not_exist_yet() -> None:
    example, ours = example_pair()
    assert ours["permissions"] == {**example["permissions"], "export": False}
    assert ours["links"] == {key: url for key, url in example["links"].items() if key != "export"}
    assert {key: ours["search"][key] for key in ("method", "url", "urlAllParents", "logic", "pagination")} == {
        key: example["search"][key] for key in ("method", "url", "urlAllParents", "logic", "pagination")
    }
    assert ours["search"]["limits"].items() >= example["search"]["limits"].items()
    assert set(ours["search"]["expandable"]) == {*example["search"]["expandable"], "account"}
    assert {**ours["list"], "filters": set(ours["list"]["filters"])} == {
        **example["list"],
        "filters": set(example["list"]["filters"]),
    }
    assert ours["ui"].keys() == example["ui"].keys()
    for name in example["ui"].keys() - {"ui:options"}:
        assert ours["ui"][name] == example["ui"][name]
    assert example["serverRules"][0] in ours["serverRules"]


@pytest.mark.parametrize("mode", ["create", "update", "read"])
def test_the_schemas_have_the_properties_and_demands_of_the_example(mode: str) -> None:
    example, ours = example_pair()
    theirs, made = example["schemas"][mode], ours["schemas"][mode]
    assert made.keys() == theirs.keys()
    assert made.get("required") == theirs.get("required")
    assert list(made["properties"]) == list(theirs["properties"])
    for name, schema in theirs["properties"].items():
        mine = made["properties"][name]
        assert mine["title"] == schema["title"]
        assert {key: mine.get(key) for key in ("format", "default", "examples", "oneOf", "enum", "readOnly")} == {
            key: schema.get(key) for key in ("format", "default", "examples", "oneOf", "enum", "readOnly")
        }, name


@pytest.mark.parametrize(("which", "name"), EVERY_TYPE)
def test_every_schema_keeps_to_the_portable_profile(which: str, name: str) -> None:
    schemas = document_of(REGISTRIES[which], name)["schemas"]
    for mode, schema in schemas.items():
        Draft7Validator.check_schema(schema)
        Draft202012Validator.check_schema(schema)
        assert schema["type"] == "object"
        assert ("additionalProperties" in schema) == (mode != "read")
        for inner in schema["properties"].values():
            _check_portable(inner, mode)
    assert "required" not in schemas["update"]
    assert schemas["update"]["minProperties"] == 1


def _check_portable(schema: dict[str, Any], mode: str) -> None:
    assert schema.keys() <= KEYWORDS - {"properties"}
    if isinstance(schema.get("type"), list):
        assert len(schema["type"]) == 2
        assert schema["type"][1] == "null"
    assert schema.get("format", "date") in FORMATS
    assert mode == "create" or not schema.keys() & {"default", "examples"}
    for choice in schema.get("oneOf", ()):
        assert "type" in schema
        assert choice.keys() == {"const", "title"}
    if "items" in schema:
        _check_portable(schema["items"], mode)
    # A stock tool in strict mode refuses a keyword whose type is not said.
    typed = schema.keys() - {"title", "description", "default", "examples", "readOnly", "writeOnly", "deprecated"}
    assert not typed or "type" in schema


@pytest.mark.parametrize(("which", "name"), EVERY_TYPE)
def test_hints_use_only_widgets_that_form_libraries_know(which: str, name: str) -> None:
    document = document_of(REGISTRIES[which], name)
    order = document["ui"]["ui:options"]["order"]
    assert order[-1] == "*"
    assert {*document["schemas"]["create"]["properties"]} <= {*order}
    for name, hint in document["ui"].items():
        assert hint.get("ui:widget", "text") in WIDGETS
        if name != "ui:options" and document["fields"][name]["nullable"]:
            assert hint["ui:emptyValue"] is None


@pytest.mark.parametrize(("which", "name"), EVERY_TYPE)
def test_rules_have_listed_codes_and_known_fields(which: str, name: str) -> None:
    document = document_of(REGISTRIES[which], name, validates=True)
    for rule in document["serverRules"]:
        assert rule.keys() == {"code", "detail", "fields"}
        assert rule["code"] in SERVER_RULES
        assert {*rule["fields"]} <= {*document["schemas"]["create"]["properties"]}
    codes = {rule["code"] for rule in document["serverRules"]}
    assert "validate" in codes
    assert ("parent-required" in codes) == bool(document["parents"])


def test_unique_fields_relations_and_several_parents_have_rules() -> None:
    entry = document_of(REGISTRIES["example"], "journal_entry")["serverRules"]
    by_code = {rule["code"]: rule for rule in entry}
    assert by_code["duplicate"]["fields"] == ["reference"]
    assert by_code["foreign-key"]["fields"] == ["journal_id", "person_id"]
    note = document_of(REGISTRIES["wide"], "note")["serverRules"]
    required = next(rule for rule in note if rule["code"] == "parent-required")
    assert required["fields"] == ["house_id", "room_id", "shelf_id", "slot_id"]


def test_a_default_that_only_a_request_has_is_the_servers() -> None:
    registry = registry_of(
        resource(
            "visit",
            [
                field("day", "date", has_default=True, default="$today", nullable=False),
                field("price", "string", size=9, has_default=True, default="$$5", nullable=False),
                field("guide", "string", size=9, required=True, nullable=False),
                field("remark", "string", size=9, has_default=True, default=None),
                field("place", "string", size=9, required=True),
            ],
            account="none",
        )
    )
    document = document_of(registry, "visit", defaults={"guide"})
    properties, fields = document["schemas"]["create"]["properties"], document["fields"]
    assert document["schemas"]["create"]["required"] == ["place"]
    assert [fields[name].get("default") for name in ("day", "price", "guide", "remark", "place")] == [
        {"kind": "server"},
        {"kind": "value", "value": "$5"},
        {"kind": "server"},
        {"kind": "value", "value": None},
        None,
    ]
    assert [properties[name].get("default") for name in ("day", "price", "guide", "remark")] == [None, "$5", None, None]
    assert properties["place"]["type"] == "string"
    assert fields["guide"]["required"] is False


def test_what_the_registry_says_to_form_libraries_is_passed_on() -> None:
    named = field("name", "string", size=9, ui={"ui:widget": "textarea"})
    registry = registry_of(resource("visit", [named], account="none", ui={"ui:rootFieldId": "visit"}))
    ui = document_of(registry, "visit")["ui"]
    assert ui["ui:rootFieldId"] == "visit"
    assert ui["name"]["ui:widget"] == "textarea"
    assert ui["ui:options"]["order"] == ["name", "*"]


def test_a_hidden_field_is_nowhere_and_a_secret_is_only_written() -> None:
    assert "key_text" not in json.dumps(document_of(REGISTRIES["wide"], "house"))
    assert "internal_note" not in json.dumps(document_of(REGISTRIES["example"], "journal"))
    person = document_of(REGISTRIES["example"], "person")
    assert person["schemas"]["create"]["properties"]["passcode"]["writeOnly"] is True
    assert "passcode" not in person["schemas"]["read"]["properties"]
    assert person["fields"]["passcode"] == {
        "type": "string", "maxLength": 100, "readable": False, "createable": True, "updateable": True,
        "required": False, "nullable": True, "filterable": [], "sortable": False, "secret": True, "widget": "password",
    }  # fmt: skip
    assert person["ui"]["passcode"]["ui:widget"] == "password"


def test_a_type_that_the_caller_does_not_see_is_not_named() -> None:
    document = document_of(REGISTRIES["example"], "journal_entry", "journal_entry:read")
    text = json.dumps({key: value for key, value in document.items() if key not in ("fields", "schemas", "groups")})
    assert "/journal/" not in text
    assert '"person"' not in text
    assert document["parents"] == []
    assert document["links"]["collection"] == "/v3/crud/journal_entry/"
    assert "relation" not in document["fields"]["person_id"]
    assert document["search"]["expandable"] == []


def test_a_reader_is_told_that_he_only_reads() -> None:
    document = document_of(REGISTRIES["example"], "journal_entry", "*:read")
    assert document["permissions"]["read"] is True
    assert not any(document["permissions"][verb] for verb in ("create", "update", "delete", "bulk", "export"))
    assert "create" not in document["links"]
    assert not any(entry["createable"] or entry["updateable"] for entry in document["fields"].values())
    validator = Draft202012Validator(document["schemas"]["create"])
    assert not validator.is_valid({})
    assert not validator.is_valid({"title": "x"})


def test_a_writer_who_may_not_read_learns_what_he_may_write_alone() -> None:
    document = document_of(REGISTRIES["example"], "journal_entry", "journal_entry:create")
    assert document["schemas"]["read"]["properties"] == {}
    assert {*document["fields"]} == {*document["schemas"]["create"]["properties"]}
    assert all(entry["filterable"] == [] and not entry["sortable"] for entry in document["fields"].values())


def test_an_action_says_whether_it_is_the_callers() -> None:
    registry = REGISTRIES["example"]
    assert document_of(registry, "journal_entry", "*:read", actions=[POST])["actions"][0]["allowed"] is False
    assert document_of(registry, "journal_entry", "*:read", "action:*", actions=[POST])["actions"][0]["allowed"] is True
    assert document_of(registry, "journal", "*:read", actions=[POST])["actions"] == []


def test_the_source_is_for_those_who_look_after_the_server() -> None:
    registry = REGISTRIES["example"]
    assert "source" not in document_of(registry, "journal", "*:read")
    source = document_of(registry, "journal", "*:read", "meta:schema", drift=["A column is missing."])["source"]
    assert source["table"] == "journal"
    assert source["columns"]["id"]["column"] == "id_random"
    assert source["drift"] == ["A column is missing."]


def test_parts_are_selected_in_the_documents_order() -> None:
    document = document_of(REGISTRIES["example"], "journal")
    assert list(select_parts(document, ["links", "fields", "source"])) == ["fields", "links", "source"]
    assert schema_mode(document, "update") is document["schemas"]["update"]


def test_relations_become_titled_choices() -> None:
    registry = REGISTRIES["example"]
    rights = rights_of(registry, ALL)
    assert inlineable(registry, registry.types["journal_entry"], rights) == ("journal_id", "person_id")
    schema = document_of(registry, "journal_entry")["schemas"]["create"]
    made = inline_options(schema, {"person_id": [("p" * 22, "Ada Lovelace")], "journal_id": []})
    assert made["properties"]["person_id"] == {
        "type": "string",
        "title": "Author",
        "oneOf": [{"const": "p" * 22, "title": "Ada Lovelace"}],
    }
    assert made["properties"]["journal_id"] == schema["properties"]["journal_id"]
    assert "pattern" in schema["properties"]["person_id"]
    Draft7Validator.check_schema(made)


def test_the_etag_follows_the_content_and_the_rights() -> None:
    registry = REGISTRIES["example"]
    one, same = document_of(registry, "journal", "*:read"), document_of(registry, "journal", "*:read")
    assert one["etag"] == same["etag"] == document_etag(one)
    assert one["etag"].startswith('W/"')
    assert document_of(registry, "journal", "*:read", "journal:create")["etag"] != one["etag"]


def test_the_catalogue_lists_what_the_caller_sees() -> None:
    registry = REGISTRIES["example"]
    rights = rights_of(registry, principal_of("journal:read", "journal_entry:read"))
    entries = catalogue(registry, rights)
    assert [entry["name"] for entry in entries] == ["journal", "journal_entry"]
    assert all(entry.keys() == {"name", "title", "titlePlural", "permissions", "parents", "links"} for entry in entries)
    assert entries[1]["links"]["search"] == "/v3/crud/journal/{journal_id}/entry/search"
