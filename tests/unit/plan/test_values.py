"""Bodies of writes: what they set, and each fault at its place. The database's part is tested in integration."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ValidationFailed
from engine.language.call import parse_precondition
from engine.plan.rights import rights_of
from engine.plan.shape import PlanContext
from engine.plan.values import Draft, Frame, draft_create, draft_replace, draft_update
from engine.plan.write import read_move, require_version
from engine.plugins.overrides import Caller, Overrides, collect_overrides, no_overrides
from engine.registry.resource import Resource
from tests.support.registries import example_registry, principal_of, wide_registry

REGISTRY = example_registry()
WIDE = wide_registry()
ENTRY = REGISTRY.types["journal_entry"]
JOURNAL_ID = "j" * 22
NOW = datetime(2026, 2, 11, 14, 3, tzinfo=UTC)
GOOD = {"title": "Day 9", "entry_date": "2026-02-11", "person_id": "p" * 22, "amount": "1.5"}


def frame(resource: Resource, *scopes: str, overrides: Overrides | None = None, pointer: str = "") -> Frame:
    registry = REGISTRY if resource.name in REGISTRY.types and REGISTRY.types[resource.name] is resource else WIDE
    principal = principal_of(*(scopes or ("*:*",)))
    context = PlanContext(
        registry=registry,
        rights=rights_of(registry, principal),
        principal=principal,
        dialect="mariadb",
        now=NOW,
    )
    caller = Caller("user", "u" * 22, "a" * 22)
    return Frame(resource, context, overrides or no_overrides(resource.name), caller, pointer=pointer)


def faults(draft: Draft) -> list[tuple[str, str | None]]:
    return sorted((fault.code, fault.pointer) for fault in draft.faults)


def create(body: object, bound: tuple[str, str | None] | None = ("journal_id", JOURNAL_ID), **more: Any) -> Draft:
    return draft_create(frame(ENTRY, **more), body, bound)


def test_a_create_takes_what_it_is_given_and_defaults_for_the_rest() -> None:
    draft = create(GOOD)
    assert not draft.faults
    assert str(draft.values["amount"]) == "1.50"
    assert draft.values.items() >= {"status": "draft", "tags": [], "pinned": False}.items()
    assert draft.stored["tags"] == "[]"
    assert draft.stored["pinned"] == 0
    assert "body" not in draft.values
    assert [(one.field, one.type, one.public_id, one.pointer) for one in draft.references] == [
        ("person_id", "person", "p" * 22, "/person_id"),
        ("journal_id", "journal", JOURNAL_ID, None),
    ]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, [("required", f"/{name}") for name in ("amount", "entry_date", "person_id", "title")]),
        ({**GOOD, "titel": 1}, [("unknown-field", "/titel")]),
        ({**GOOD, "Title": 1, "TITLE": 1, "entryDate": "x"}, [
            ("unknown-field", "/TITLE"), ("unknown-field", "/Title"), ("unknown-field", "/entryDate")]),
        ({**GOOD, "a/b~c": 1}, [("unknown-field", "/a~1b~0c")]),
        ({**GOOD, "id": "x" * 22}, [("read-only", "/id")]),
        ({**GOOD, "account_id": "a" * 22}, [("read-only", "/account_id")]),
        ({**GOOD, "updated_on": "2026-02-11T00:00:00Z"}, [("read-only", "/updated_on")]),
        ({**GOOD, "row_version": 1}, [("unknown-field", "/row_version")]),
        ({**GOOD, "title": None}, [("required", "/title")]),
        ({**GOOD, "title": ""}, [("too-short", "/title")]),
        ({**GOOD, "status": None, "pinned": "yes"}, [("required", "/status"), ("type-mismatch", "/pinned")]),
        ({**GOOD, "amount": 1.5, "entry_date": "2026-02-30"}, [
            ("type-mismatch", "/amount"), ("type-mismatch", "/entry_date")]),
        ({**GOOD, "person_id": 7000000001}, [("type-mismatch", "/person_id")]),
        ({**GOOD, "journal_id": "k" * 22}, [("parent-mismatch", "/journal_id")]),
        ({**GOOD, "journal_id": JOURNAL_ID}, []),
    ],
)  # fmt: skip
def test_every_fault_of_a_create_is_at_its_place(body: object, expected: list[tuple[str, str]]) -> None:
    assert faults(create(body)) == expected


def test_a_child_needs_its_parent_from_the_path_or_the_body() -> None:
    assert faults(create(GOOD, bound=None)) == [("required", "/journal_id")]
    assert faults(create({**GOOD, "journal_id": JOURNAL_ID}, bound=None)) == []
    assert faults(create({**GOOD, "journal_id": None}, bound=None)) == [("required", "/journal_id")]


@pytest.mark.parametrize(
    ("body", "bound", "expected"),
    [
        ({"body": "x"}, None, [("parent-mismatch", "")]),
        ({"body": "x", "house_id": "h" * 22, "room_id": "r" * 22}, None, [("parent-mismatch", "")]),
        ({"body": "x", "house_id": "h" * 22, "room_id": None}, None, []),
        ({"body": "x", "room_id": "r" * 22}, ("house_id", "h" * 22), [("parent-mismatch", "/room_id")]),
        ({"body": "x"}, ("house_id", "h" * 22), []),
        ({"body": "x", "house_id": 5}, None, [("type-mismatch", "/house_id")]),
    ],
)
def test_of_several_parents_exactly_one_is_named(
    body: object, bound: tuple[str, str | None] | None, expected: list[tuple[str, str]]
) -> None:
    assert faults(draft_create(frame(WIDE.types["note"]), body, bound)) == expected


def test_suggestions_name_only_what_the_caller_may_know() -> None:
    house = WIDE.types["house"]
    draft = draft_update(frame(house), {"key_tex": "x", "colur": "red"}, {})
    hidden, misspelt = (fault.suggestions for fault in draft.faults)
    assert "key_text" not in hidden
    assert misspelt == ("colour",)


def test_hidden_secret_computed_and_create_only_fields_in_an_update() -> None:
    house = WIDE.types["house"]
    before = {"area": "1.000", "code": "ABC"}
    body = {"key_text": "x", "pin": "1234", "area": "1.000", "code": "ABC"}
    draft = draft_update(frame(house), body, before)
    assert faults(draft) == [("unknown-field", "/key_text")]
    assert draft.values == {"pin": "1234"}
    draft = draft_update(frame(house), {"area": "2.000", "code": "ABD"}, before)
    assert faults(draft) == [("read-only", "/area"), ("read-only", "/code")]


def test_a_stated_value_must_be_of_the_same_type_too() -> None:
    word = WIDE.types["house"]
    created = NOW.replace(tzinfo=None)
    before: dict[str, object] = {"id": "h" * 22, "created_on": created}
    for stated in ({"id": "h" * 22}, {"created_on": "2026-02-11T15:03:00+01:00"}):
        assert faults(draft_update(frame(word), stated, before)) == []
    for stated in ({"id": None}, {"id": 0}, {"id": {}}, {"created_on": ""}, {"created_on": False}):
        assert [code for code, _ in faults(draft_update(frame(word), stated, before))] == ["read-only"]


def test_an_update_of_nothing_is_refused() -> None:
    assert faults(draft_update(frame(ENTRY), {}, {})) == [("required", "")]


def test_a_replacement_resets_what_it_leaves_out() -> None:
    draft = draft_replace(frame(ENTRY), GOOD, {})
    assert not draft.faults
    assert draft.values.items() >= {"status": "draft", "body": None, "reference": None, "pinned": False}.items()
    assert "journal_id" not in draft.values
    draft = draft_replace(frame(WIDE.types["house"]), {}, {})
    assert ("required", "/b_string") in faults(draft)
    assert {"pin", "key_text", "code"}.isdisjoint(draft.values)
    assert not any(pointer in ("/pin", "/key_text", "/code") for _, pointer in faults(draft))


@pytest.mark.parametrize("body", [[], "x", 5, None, True])
def test_a_body_that_is_no_object_is_refused(body: object) -> None:
    with pytest.raises(ValidationFailed) as refused:
        create(body)
    assert refused.value.errors[0].code == "type-mismatch"


def test_a_field_that_another_scope_writes_is_read_only_without_it() -> None:
    fields = {**ENTRY.fields, "pinned": replace(ENTRY.fields["pinned"], write="journal_entry:pin")}
    registry = replace(REGISTRY, types={**REGISTRY.types, "journal_entry": replace(ENTRY, fields=fields)})
    principal = principal_of("*:read", "*:write")
    context = PlanContext(
        registry=registry, rights=rights_of(registry, principal), principal=principal, dialect="sqlite", now=NOW
    )
    at = Frame(registry.types["journal_entry"], context, no_overrides("x"), Caller("user", None, None))
    draft = draft_create(at, {**GOOD, "pinned": True}, ("journal_id", JOURNAL_ID))
    assert faults(draft) == [("read-only", "/pinned")]


def test_an_override_gives_a_default_that_is_checked_like_any_value() -> None:
    overrides = Overrides(type="journal_entry", defaults={"reference": lambda caller, values: values["title"] * 20})
    assert faults(create(GOOD, overrides=overrides)) == [("too-long", "/reference")]
    overrides = Overrides(type="journal_entry", defaults={"reference": lambda caller, values: caller.account_id})
    assert create(GOOD, overrides=overrides).values["reference"] == "a" * 22


def test_pointers_begin_where_the_body_stands() -> None:
    assert faults(create({**GOOD, "title": 5}, pointer="/entry/0")) == [("type-mismatch", "/entry/0/title")]


@given(
    body=st.dictionaries(
        st.sampled_from(sorted(ENTRY.fields)) | st.text(max_size=5),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.lists(st.integers()),
    )
)
def test_whatever_a_body_holds_its_faults_are_at_its_keys(body: dict[str, Any]) -> None:
    keys = {"/" + key.replace("~", "~0").replace("/", "~1") for key in [*body, *ENTRY.fields]}
    for draft in (create(body), draft_update(frame(ENTRY), body, {}), draft_replace(frame(ENTRY), body, {})):
        for fault in draft.faults:
            assert fault.pointer == "" or fault.pointer in keys
        assert set(draft.values) <= set(ENTRY.fields)
        assert {"id", "account_id", "created_on", "updated_on"}.isdisjoint(draft.values)


# ---------------------------------------------------------------- versions, moves, override files


@pytest.mark.parametrize(
    ("header", "outcome"),
    [
        (None, "none"),
        ("*", "any"),
        ('"3-aa"', "exact"),
        ('"1-x", "3-y"', "exact"),
        ('W/"3-aa"', None),
        ('"33-aa"', None),
    ],
)
def test_if_match_compares_the_version_alone(header: str | None, outcome: str | None) -> None:
    if_match = None if header is None else parse_precondition(header)
    if outcome is None:
        with pytest.raises(Exception, match="changed since"):
            require_version(ENTRY, if_match, "3")
    else:
        assert require_version(ENTRY, if_match, "3") == outcome


@pytest.mark.parametrize(
    "body",
    [
        {}, [], {"parent": "x"}, {"parent": {"type": "journal"}}, {"parent": {"type": "person", "id": "x" * 22}},
        {"parent": {"type": "journal", "id": 5}}, {"parent": {"type": "journal", "id": "x" * 22}, "more": 1},
        {"parent": {"type": None, "id": None}},
    ],
)  # fmt: skip
def test_a_move_names_a_parent_that_the_type_can_have(body: object) -> None:
    with pytest.raises(ValidationFailed):
        read_move(ENTRY, body)
    assert read_move(ENTRY, {"parent": {"type": "journal", "id": JOURNAL_ID}})[1] == JOURNAL_ID


def test_functions_of_an_override_file_that_match_nothing_are_told() -> None:
    source = (
        "def area(row): return row.level\n"
        "def default_level(caller, values): return 1\n"
        "def default_lvl(caller, values): return 1\n"
        "def validate(values): pass\n"
        "def after_commit(change): pass\n"
        "def before_crate(values, caller): pass\n"
        "def _own(): pass\n"
    )
    module: Any = SimpleNamespace(__name__="house")
    namespace = {"__name__": "house"}
    exec(compile(source, "house.py", "exec"), namespace)
    module.__dict__.update(namespace)
    found = collect_overrides(module, WIDE.types["house"])
    assert set(found.computed) == {"area"}
    assert set(found.defaults) == {"level"}
    assert found.after_commit is not None
    assert [misfit.source for misfit in found.misfits] == ["house.py:3", "house.py:4", "house.py:6"]


def test_a_computed_field_without_a_function_is_told() -> None:
    module: Any = SimpleNamespace(__name__="house", __file__="house.py")
    (misfit,) = collect_overrides(module, WIDE.types["house"]).misfits
    assert "area" in misfit.detail
