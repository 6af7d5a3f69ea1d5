"""Laws that every type of the shipped registry keeps, tried on the running application and both databases."""

from __future__ import annotations

import copy
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.support.populate import Json, Store, is_beyond_schemas, populate, unexplained
from tests.support.schemas import values_of
from tests.support.stage import Stage

SHORT = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
WHOLE = 1000

_STORES: dict[int, Store] = {}


@pytest.fixture
def store(shipped_stage: Stage) -> Store:
    """An account with some objects of every type, and another that has as many."""
    if id(shipped_stage) not in _STORES:
        populate(shipped_stage.new_account("other"), count=3)
        _STORES[id(shipped_stage)] = populate(shipped_stage.new_account("one"))
    return _STORES[id(shipped_stage)]


@SHORT
@given(data=st.data())
def test_what_a_filter_finds_and_what_its_negation_finds_are_all(store: Store, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(store.documents)), "type")
    condition = data.draw(_filters(store, name), "filter")
    found = [store.caller.search(name, _counted(one)) for one in (condition, {"not": condition}, {})]
    if is_beyond_schemas(found[0].json if found[0].status == 422 else {}):
        return
    if found[1].status == 422 and found[0].status == 200:
        # One level deeper than the limit.
        assert found[1].code == "query-too-complex", str(found[1])
        return
    assert {reply.status for reply in found} == {200}, f"{found[0]}\n{condition}"
    yes, no, everything = (reply.json["meta"]["total"] for reply in found)
    assert yes + no == everything, condition
    ids = [{one["id"] for one in reply.data} for reply in found]
    assert ids[0] | ids[1] == ids[2], condition
    assert not ids[0] & ids[1], condition


@SHORT
@given(data=st.data())
def test_a_leaf_made_of_an_objects_own_value_finds_it(store: Store, data: st.DataObject) -> None:
    """Every filterable field of every type: equality and its relatives find what is there and nothing that differs."""
    name = data.draw(st.sampled_from(sorted(store.documents)), "type")
    rows = store.caller.search(name, {"limit": WHOLE, "fields": ["*", *_heavy(store, name)]}).data
    assume(rows)
    row = data.draw(st.sampled_from(rows), "row")
    fields = store.documents[name]["fields"]
    possible = [key for key, one in fields.items() if one.get("filterable") and key in row and one["type"] != "json"]
    key = data.draw(st.sampled_from(possible), "field")
    value, allowed = row[key], fields[key]["filterable"]
    for operator, operand, holds in _leaves_of(value, allowed):
        reply = store.caller.search(name, {"filter": {key: {operator: operand}}, "limit": WHOLE, "fields": ["id", key]})
        assert reply.status == 200, f"{reply}\n{key} {operator} {operand!r}"
        there = row["id"] in {one["id"] for one in reply.data}
        assert there is holds, f"{key} {operator} {operand!r} on {value!r}"
        if operator == "eq":
            assert {repr(one[key]) for one in reply.data} == {repr(value)}, f"{key} = {value!r}: {reply}"


@SHORT
@given(data=st.data())
def test_pages_by_cursor_and_by_offset_are_the_whole_list(store: Store, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(store.documents)), "type")
    keys = data.draw(_sort_keys(store, name), "sort")
    size = data.draw(st.integers(1, 5), "size")
    body: Json = {"fields": ["id"], **({"sort": keys} if keys else {})}
    reply = store.caller.search(name, {**body, "limit": WHOLE})
    assert reply.status == 200, str(reply)
    whole = [one["id"] for one in reply.data]
    assert len(whole) == len(set(whole))
    by_cursor: list[str] = []
    cursor: Json = {}
    for _ in range(len(whole) + 1):
        reply = store.caller.search(name, {**body, "limit": size, **cursor})
        assert reply.status == 200, str(reply)
        by_cursor += [one["id"] for one in reply.data]
        if reply.json["meta"]["next_cursor"] is None:
            break
        cursor = {"cursor": reply.json["meta"]["next_cursor"]}
    by_offset: list[str] = []
    for offset in range(0, len(whole) + 1, size):
        by_offset += [one["id"] for one in store.caller.search(name, {**body, "limit": size, "offset": offset}).data]
    assert by_cursor == whole, keys
    assert by_offset == whole, keys


@SHORT
@given(data=st.data())
def test_what_the_schema_takes_is_created_and_comes_back_the_same_by_every_way(
    store: Store, data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(store.creatable()), "type")
    document = store.documents[name]
    body = store.settle(
        name, data.draw(store.bodies(name), "body"), lambda choices: data.draw(st.sampled_from(choices))
    )
    patched = data.draw(st.integers(0, 30), "patched")
    reply = store.caller.send("POST", f"/v3/crud/{name}/", body)
    if reply.status in (409, 422):
        assert unexplained(document, reply.json["errors"]) == [], f"{reply}\n{body}"
        return
    assert reply.status == 201, f"{reply}\n{body}"
    public_id = reply.data["id"]
    try:
        got = store.caller.get(f"/v3/crud/{name}/{public_id}")
        (hit,) = store.caller.search(name, {"filter": {"id": public_id}}).data
        (listed,) = store.caller.get(f"/v3/crud/{name}/?id={public_id}").data
        assert got.data == reply.data == hit == listed
        assert got.header("etag") == reply.header("etag"), f"{reply}\n{got}"
        for key, value in body.items():
            if key in reply.data and document["fields"][key]["type"] not in (
                "datetime",
                "time",
                "decimal",
                "float",
                "uuid",
            ):
                assert reply.data[key] == value, key
        _must_keep_its_tag(store, document, public_id, patched)
    finally:
        # For good: unique values of what is only softly deleted stay taken.
        store.caller.send("DELETE", f"/v3/crud/{name}/{public_id}?hard=true", headers={"If-Match": "*"})


@SHORT
@given(data=st.data())
def test_what_the_schema_refuses_is_refused(store: Store, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(store.creatable()), "type")
    schema = store.documents[name]["schemas"]["create"]
    body = store.settle(
        name, data.draw(store.bodies(name), "body"), lambda choices: data.draw(st.sampled_from(choices))
    )
    broken = data.draw(_mutations(schema, body, store.documents[name]["fields"]), "broken")
    assume(broken is not None and list(jsonschema.Draft202012Validator(schema).iter_errors(broken)))
    before = store.caller.search(name, {"count": "exact", "limit": 0}).json["meta"]["total"]
    reply = store.caller.send("POST", f"/v3/crud/{name}/", broken)
    assert reply.status == 422, f"{reply}\n{broken}"
    assert reply.json["errors"], str(reply)
    assert store.caller.search(name, {"count": "exact", "limit": 0}).json["meta"]["total"] == before


def _at_length(law: Any) -> Any:
    """The same law with many more examples; run by `scripts/check --long`."""
    return pytest.mark.long(settings(SHORT, max_examples=1_500)(given(data=st.data())(law.hypothesis.inner_test)))


test_at_length_a_filter_and_its_negation = _at_length(test_what_a_filter_finds_and_what_its_negation_finds_are_all)
test_at_length_leaves_of_own_values = _at_length(test_a_leaf_made_of_an_objects_own_value_finds_it)
test_at_length_pages = _at_length(test_pages_by_cursor_and_by_offset_are_the_whole_list)
test_at_length_what_the_schema_takes = _at_length(
    test_what_the_schema_takes_is_created_and_comes_back_the_same_by_every_way
)
test_at_length_what_the_schema_refuses = _at_length(test_what_the_schema_refuses_is_refused)


def test_who_picks_an_account_without_credentials_is_asked_for_them(store: Store) -> None:
    nobody = store.caller.stage.caller("nobody")
    assert nobody.get("/v3/crud/page/").status == 200
    for account in (store.caller.account, "x"):
        reply = nobody.send("GET", "/v3/crud/page/", headers={"X-Account-Id": account})
        assert (reply.status, reply.code) == (401, "unauthenticated")
        assert reply.header("www-authenticate")


def test_a_limit_with_a_zero_after_its_point_is_an_integer(store: Store) -> None:
    reply = store.caller.search("page", {"limit": 2.0, "offset": 1.0})
    assert (reply.status, reply.json["meta"]["limit"], reply.json["meta"]["offset"]) == (200, 2, 1)
    assert store.caller.search("page", {"limit": 2.5}).status == 422


def test_a_limit_of_any_size_is_reduced(store: Store) -> None:
    for digits in (19, 30, 5_000):
        reply = store.caller.get(f"/v3/crud/page/?limit={'9' * digits}")
        assert (reply.status, reply.json["meta"]["limit"]) == (200, WHOLE), str(reply)
    assert store.caller.get(f"/v3/crud/page/?limit={'0' * 30}2").json["meta"]["limit"] == 2
    assert store.caller.get(f"/v3/crud/page/?offset={'9' * 30}").status == 422
    assert store.caller.get(f"/v3/crud/page/?limit=-{'9' * 30}").status == 422


def test_a_whole_number_in_a_float_field_is_written_alike_by_a_create_and_a_get(store: Store) -> None:
    body = {"name": "x", "starts_on": "2026-01-01T00:00:00Z", "latitude": 3}
    made = store.caller.send("POST", "/v3/crud/event/?fields=latitude", body)
    got = store.caller.get(f"/v3/crud/event/{made.data['id']}?fields=latitude")
    assert made.body == got.body


# ---------------------------------------------------------------- parts


def _must_keep_its_tag(store: Store, document: Json, public_id: str, patched: int) -> None:
    """The ETag changes with every write and with nothing else."""
    path = f"/v3/crud/{document['name']}/{public_id}"
    first = store.caller.get(path)
    assert store.caller.get(path).header("etag") == first.header("etag")
    refused = store.caller.send("PATCH", path, {"no_such_field": 1}, headers={"If-Match": "*"})
    assert refused.status == 422
    assert store.caller.get(path).header("etag") == first.header("etag")
    ids_only = store.caller.get(f"{path}?fields=id")
    assert ids_only.header("etag") != first.header("etag")
    assert _version(ids_only.header("etag")) == _version(first.header("etag"))
    update = document["schemas"]["update"]["properties"]
    plain = sorted(key for key in update if key in first.data and "relation" not in document["fields"][key])
    if not plain:
        return
    key = plain[patched % len(plain)]
    reply = store.caller.send("PATCH", path, {key: first.data[key]}, headers={"If-Match": first.header("etag") or ""})
    # A required JSON field and the like may hold what an override refuses to take again; nothing else may.
    assert reply.status == 200, f"{reply}\n{key}: {first.data[key]!r}"
    assert _version(reply.header("etag")) != _version(first.header("etag"))
    assert store.caller.get(path).header("etag") == reply.header("etag")
    stale = store.caller.send("PATCH", path, {key: first.data[key]}, headers={"If-Match": first.header("etag") or ""})
    assert (stale.status, stale.code) == (412, "stale-version")


def _version(etag: str | None) -> str:
    return (etag or "").strip('"').partition("-")[0]


def _counted(condition: Json) -> Json:
    return {"filter": condition, "count": "exact", "limit": WHOLE, "fields": ["id"]}


_MODELS: dict[int, Json] = {}


def _filters(store: Store, name: str) -> st.SearchStrategy[Json]:
    """Any filter that OpenAPI says the type takes."""
    if id(store) not in _MODELS:
        _MODELS[id(store)] = store.caller.get("/openapi.json").json["components"]
    components = _MODELS[id(store)]
    model = "".join(part.capitalize() for part in name.split("_"))
    return values_of(components["schemas"][f"{model}Filter"], components)


def _heavy(store: Store, name: str) -> list[str]:
    return [key for key, one in store.documents[name]["fields"].items() if one.get("heavy")]


def _leaves_of(value: Any, allowed: list[str]) -> list[tuple[str, Any, bool]]:
    if value is None:
        leaves: list[tuple[str, Any, bool]] = [("null", True, True), ("null", False, False), ("empty", True, True)]
    else:
        text = value if isinstance(value, str) else None
        plain = None if text is None or text.startswith("$") else text
        operand = f"$${text[1:]}" if text is not None and plain is None else value
        leaves = [("eq", operand, True), ("ne", operand, False), ("in", [operand], True), ("nin", [operand], False)]
        leaves += [
            ("null", True, False),
            ("lte", operand, True),
            ("gt", operand, False),
            ("between", [operand] * 2, True),
        ]
        if text is not None:
            leaves += [("ieq", operand, True), ("contains", operand, True), ("icontains", operand, True)]
            leaves += [("starts_with", operand, True), ("ends_with", operand, True), ("iends_with", operand, True)]
    return [leaf for leaf in leaves if leaf[0] in allowed]


@st.composite
def _sort_keys(draw: st.DrawFn, store: Store, name: str) -> list[str]:
    fields = store.documents[name]["fields"]
    names = [key for key, one in fields.items() if one.get("sortable")]
    for one in fields.values():
        relation = one.get("relation", {})
        if relation.get("expand") and relation["type"] in store.documents:
            target = store.documents[relation["type"]]["fields"]
            names += [f"{relation['expand']}.{key}" for key, inner in target.items() if inner.get("sortable")]
    chosen = draw(st.lists(st.sampled_from(names), max_size=3, unique=True)) if names else []
    marks = [
        (draw(st.sampled_from(["", "-"])), draw(st.sampled_from(["", ":nulls_first", ":nulls_last"]))) for _ in chosen
    ]
    return [f"{sign}{key}{nulls}" for key, (sign, nulls) in zip(chosen, marks, strict=True)]


@st.composite
def _mutations(draw: st.DrawFn, schema: Json, body: Json, fields: Json) -> Json | None:
    """A body with one thing wrong.

    A free JSON field takes any JSON; forms are told that it is an object, since they draw nothing else.
    """
    broken = copy.deepcopy(body)
    kind = draw(st.sampled_from(["missing", "unknown", "type", "null", "long", "other"]))
    free = {key for key, one in fields.items() if one["type"] == "json" and "items" not in one}
    name = draw(st.sampled_from(sorted(set(schema["properties"]) - free)))
    if kind == "missing":
        required = schema.get("required", [])
        if not required:
            return None
        broken.pop(draw(st.sampled_from(required)), None)
    elif kind == "unknown":
        broken[draw(st.sampled_from(["id", "nothing", name.upper(), f"{name} ", "account_id"]))] = "x"
    elif kind == "null":
        broken[name] = None
    elif kind == "long":
        broken[name] = "x" * 70_000
    else:
        broken[name] = draw(st.sampled_from([1, 1.5, True, "\u2028", "", [], {}, [1], {"a": 1}, -(10**12)]))
    return broken
