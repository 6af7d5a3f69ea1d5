"""Attacks on fields that a caller may not see, and on fields that he may not write."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.operators import OPERATORS
from tests.support.attack import CANARY_HIDDEN, NEEDLE, World, alike
from tests.support.bodies import create_body
from tests.support.serving import Client, Reply

# A name that no type has, as far from the others as the hidden ones are.
NOTHING = "password_hasx"
HIDDEN = {"password_hash": "person", "passcode": "person"}


def hidden_of(caller: Client) -> dict[str, str]:
    """Fields that a caller must not know, each with a type that has it."""
    return HIDDEN if caller.name == "admin" else {**HIDDEN, "wage": "person", "remark": "person"}


def anonymised(reply: Reply, *names: str) -> Any:
    """A reply without the names that were asked for."""
    status, headers, body = alike(reply)
    for error in body.get("errors", ()) if isinstance(body, dict) else ():
        # What resembles a name differs from name to name; none of them may be hidden.
        assert (
            not {*HIDDEN, "wage", "remark", "vaults"} & set(error.pop("suggestions", ())) or reply.viewer == "admin"
        ), reply
    text = json.dumps(body)
    for name in sorted(names, key=len, reverse=True):
        text = text.replace(json.dumps(name)[1:-1], "<field>")
    return status, headers, json.loads(text)


async def assert_unknown_field(caller: Client, name: str, build: Any, type_name: str = "person") -> None:
    """A search with a hidden field is the same refusal as one with a field that does not exist."""
    got = await caller.search(type_name, build(name))
    expected = await caller.search(type_name, build(NOTHING))
    assert expected.status == 422, expected
    assert anonymised(got, name) == anonymised(expected, NOTHING), got


def operands() -> list[tuple[str, Any, Any]]:
    """Each operator with an operand that holds for some hidden value and one that does not."""
    shapes = {
        "value": ("CANAR", "zzz"), "list": (["CANAR", NEEDLE], ["zzz"]), "pair": (["A", "z"], ["y", "z"]),
        "flag": (True, False), "text": ("CANAR", "zzz"), "words": (NEEDLE, "zzz"), "json": ({"a": {"eq": 1}}, {}),
    }  # fmt: skip
    return [(name, *shapes[one.operand]) for name, one in OPERATORS.items()]


async def test_no_operator_answers_about_a_hidden_field(world: World, caller: Client) -> None:
    for name in hidden_of(caller):
        for operator, true, false in operands():
            replies = []
            for operand in (true, false):
                for condition in ({name: {operator: operand}}, {"not": {name: {operator: operand}}}):
                    reply = await caller.search("person", {"filter": condition, "count": "exact"})
                    assert reply.status == 422, reply
                    replies.append(anonymised(reply, name))
            assert replies[0] == replies[2]
            await assert_unknown_field(caller, name, lambda field, o=operator, v=true: {"filter": {field: {o: v}}})
        for short in ("x", ["x"], None, {}, True, 1, {"field": "name"}):
            await assert_unknown_field(caller, name, lambda field, v=short: {"filter": {field: v}})
        await assert_unknown_field(caller, name, lambda field: {"filter": {"name": {"eq": {"field": field}}}})
        await assert_unknown_field(caller, name, lambda field: {"filter": {f"length({field})": {"gt": 1}}})
        await assert_unknown_field(caller, name, lambda field: {"filter": {f"lower({field})": "x"}})
        for query in ("{}=x", "{}.starts_with=CANAR", "{}.null=true", "sort={}", "sort=-{}", "fields={}", "expand={}"):
            got = await caller.get("/v3/crud/person/?" + query.format(name))
            expected = await caller.get("/v3/crud/person/?" + query.format(NOTHING))
            assert expected.status in (400, 422)
            assert anonymised(got, name) == anonymised(expected, NOTHING), got


async def test_nothing_is_sorted_by_a_hidden_field(world: World, caller: Client) -> None:
    for name in hidden_of(caller):
        for key in ("{}", "-{}", "{}:nulls_last", "lower({})", "chief.{}", "-chief.{}", "length({})", "count({})"):
            await assert_unknown_field(caller, name, lambda field, k=key: {"sort": [k.format(field)]})
        await assert_unknown_field(caller, name, lambda field: {"sort": ["name", field], "limit": 1})
    page = await caller.search("person", {"sort": ["name"], "limit": 1})
    cursor = page.json["meta"]["next_cursor"]
    await assert_unknown_field(caller, "password_hash", lambda field: {"sort": [field], "cursor": cursor})


SPELLINGS = [
    "person.password_hash", "t1.password_hash", "tblsecret_person.password_hash", "password_hash.x", "PASSWORD_HASH",
    "Password_Hash", "password_hash ", " password_hash", "password_hash\t", "`password_hash`", '"password_hash"',
    "[password_hash]", "password_hash--", "password_hash/**/", "password_hash;", "(password_hash)", "colsecret_hash",
    "tblsecret_person.colsecret_hash", "`colsecret_hash`", "COLSECRET_HASH", "passwordHash", "password-hash",
    "password_hash[0]", "password_hash.0", "chief.colsecret_hash", "id_random", "account_id.id", "row_version",
    "rowid", "_rowid_", "oid", "_password_hash", "$password_hash", "password\u200b_hash",
    "ｐassword_hash", "password_hash\u0301", "pas\u017fword_hash", "name AS x", "name,password_hash", "*",
    "password_hash) OR (1=1", "1", "", "null", "name)--", "%", "__class__", "__dict__", "constructor",
]  # fmt: skip


async def test_no_spelling_reaches_a_hidden_field(world: World, caller: Client) -> None:
    world.may_show_insides = True  # The attacker sends their names himself, and is quoted.
    for spelling in SPELLINGS:
        for body in (
            {"filter": {spelling: {"starts_with": "CANAR"}}},
            {"sort": [spelling]},
            {"fields": [spelling]} if spelling != "*" else {"fields": ["password_hash", "*"]},
            {"expand": [spelling]},
            {"expand": {"chief": {"fields": [spelling]}}} if spelling != "*" else {"expand": {"*": {}}},
            {"fields": {"x": spelling}},
            {"filter": {"name": {"eq": {"field": spelling}}}},
        ):
            reply = await caller.search("person", body)
            assert reply.status == 422, (body, str(reply))
    for query in ("password_hash%00=x", "fields=password_hash%00", "sort=password_hash%00", "fields=%2A%2A"):
        reply = await caller.get(f"/v3/crud/person/?{query}")
        assert reply.status in (400, 422), reply


async def test_no_relation_leads_to_a_hidden_field(world: World, caller: Client) -> None:
    cases: list[tuple[str, Any]] = [
        ("journal", lambda field: {"filter": {f"person.{field}": {"starts_with": "CANAR"}}}),
        ("journal", lambda field: {"filter": {"person": {field: {"starts_with": "CANAR"}}}}),
        ("journal", lambda field: {"filter": {"entry": {"any": {"person": {field: {"starts_with": "C"}}}}}}),
        ("person", lambda field: {"filter": {"staff": {"any": {field: {"starts_with": "CANAR"}}}}}),
        ("person", lambda field: {"filter": {"staff": {"none": {field: "x"}}}}),
        ("person", lambda field: {"filter": {"staff": {"all": {field: "x"}}}}),
        ("person", lambda field: {"filter": {"staff": {"count": {"gte": 1, "where": {field: {"null": False}}}}}}),
        ("person", lambda field: {"expand": {"staff": {"filter": {field: {"starts_with": "C"}}}}}),
        ("person", lambda field: {"expand": {"staff": {"fields": [field]}}}),
        ("person", lambda field: {"expand": {"staff": {"sort": [field]}}}),
        ("person", lambda field: {"expand": {"chief": {"fields": ["id", field]}}}),
        ("person", lambda field: {"fields": [f"chief.{field}"]}),
        ("person", lambda field: {"fields": [f"chief.chief.{field}"]}),
        ("person", lambda field: {"sort": [f"chief.chief.{field}"]}),
        ("person", lambda field: {"filter": {"chief.name": {"eq": {"field": field}}}}),
        ("person", lambda field: {"filter": {"name": {"eq": {"field": f"chief.{field}"}}}}),
        ("person", lambda field: {"filter": {"journals": {"any": {f"person.{field}": "x"}}}}),
    ]  # fmt: skip
    for name in hidden_of(caller):
        for type_name, build in cases:
            await assert_unknown_field(caller, name, build, type_name)


async def test_hidden_fields_are_in_no_reply(any_world: World, any_caller: Client) -> None:
    for name in any_world.types_for(any_caller):
        resource = any_world.registry.types[name]
        hidden = [one.name for one in resource.fields.values() if one.hidden or one.secret]
        own = any_world.first(name)
        expands = ",".join(list(resource.relations)[:4])
        for reply in (
            await any_caller.get(f"/v3/crud/{name}/{own}"),
            await any_caller.get(f"/v3/crud/{name}/{own}?fields=*&expand={expands}"),
            await any_caller.search(name, {"fields": ["*"], "expand": list(resource.relations)[:4]}),
            await any_caller.search(name, {"fields": ["-id"]}),
            await any_caller.get(f"/v3/crud/{name}/options"),
        ):
            assert reply.status in (200, 422), reply
            for one in hidden:
                assert f'"{one}"'.encode() not in reply.body, reply
        for one in hidden:
            for path in (f"/v3/crud/{name}/{own}?fields={one}", f"/v3/crud/{name}/?fields=-{one}"):
                assert (await any_caller.get(path)).status == 422


async def test_a_write_never_answers_a_hidden_field(world: World, caller: Client) -> None:
    given = f"{CANARY_HIDDEN[:5]}-and-more"
    body = {"name": "fresh", "passcode": f"{given}-1"}
    for tail in ("", "?validate_only=true", "?fields=*", "?fields=name&expand=staff"):
        reply = await caller.send("POST", f"/v3/crud/person/{tail}", body)
        assert reply.status in (200, 201), reply
        assert given.encode() not in reply.body
    for tail in ("?fields=passcode", "?fields=password_hash", "?expand=passcode"):
        assert (await caller.send("POST", f"/v3/crud/person/{tail}", body)).status == 422
    for wrong in ({**body, "passcode": given * 100}, {**body, "passcode": 7}, {**body, "passcode": [given]}):
        reply = await caller.send("POST", "/v3/crud/person/", wrong)
        assert reply.status == 422, reply
        assert given.encode() not in reply.body, reply
    present = await world.row("person", world.first("person"))
    for guess in (present["colsecret_pass"], "a wrong guess"):
        reply = await caller.send(
            "PATCH", f"/v3/crud/person/{world.first('person')}?validate_only=true", {"password_hash": guess}
        )
        assert reply.status == 422, reply
        assert reply.code == "unknown-field", reply


async def test_groups_and_aggregates_of_hidden_fields_do_not_exist(world: World, caller: Client) -> None:
    for name in hidden_of(caller):
        for build in (
            lambda field: {"group_by": [field]},
            lambda field: {"aggregate": {"x": {"min": field}}},
            lambda field: {"aggregate": {"x": {"count_distinct": field}}},
            lambda field: {"group_by": ["name"], "aggregate": {"n": "count"}, "having": {field: "x"}},
        ):
            await assert_unknown_field(caller, name, build)


async def test_the_free_text_search_does_not_look_into_hidden_fields(any_world: World, any_caller: Client) -> None:
    for name in any_world.types_for(any_caller):
        for words in (
            NEEDLE,
            "CANAR",
            f'"{NEEDLE}"',
            "colsecret",
            *([] if any_caller.name == "admin" else ["for-adm"]),
        ):
            found = [
                (reply.data, reply.json["meta"]["total"])
                for reply in [
                    await any_caller.search(name, {"q": one, "count": "exact"}) for one in (words, "qqqzzzqqq")
                ]
            ]
            assert found[0] == found[1], name
            reply = await any_caller.get(f"/v3/crud/{name}/options?q={words}")
            assert reply.data == [], reply


DOCUMENTS = (
    "/v3/crud/", "/v3/crud/schema", "/openapi.json", "/v3/crud/{t}/schema", "/v3/crud/{t}/schema?mode=create",
    "/v3/crud/{t}/schema?mode=update", "/v3/crud/{t}/schema?mode=read", "/v3/crud/{t}/schema?part=fields,links",
    "/v3/crud/{t}/schema?part=source",
)  # fmt: skip


async def test_documents_name_nothing_that_a_caller_may_not_know(world: World) -> None:
    for name in ("user", "key", "admin", "clerk", "viewer", "nobody"):
        caller = world.callers[name]
        for document in DOCUMENTS:
            for type_name in ("person", "journal") if "{t}" in document else ("",):
                reply = await caller.get(document.replace("{t}", type_name))
                assert reply.status in ((200, 401, 422) if "source" in document or name == "nobody" else (200,)), reply
                # What the schema scope shows besides is the table itself, to whoever looks after it.
                world.may_show_insides = world.may_show_insides or name == "admin"
                shown = json.dumps(alike(reply)[2])
                if name == "admin" and reply.status == 200 and "source" in reply.json:
                    shown = json.dumps({key: value for key, value in reply.json.items() if key != "source"})
                assert "password_hash" not in shown, (name, document)
                assert "colsecret" not in shown, (name, document)
                if name in ("user", "clerk", "nobody"):
                    assert "vault" not in shown.lower(), (name, document)
                if name in ("user", "key", "viewer"):
                    assert "wage" not in shown, (name, document)
                    assert "remark" not in shown, (name, document)
                if name == "nobody":
                    assert "journal" not in shown, document


async def test_a_type_without_rights_is_as_unknown_as_none(world: World) -> None:
    user, vault = world.user, world.first("vault")
    for method, tail, body in (
        ("GET", "/", None), ("POST", "/", {"name": "x"}), ("POST", "/search", {}), ("GET", "/schema", None),
        ("GET", "/options", None), ("GET", f"/{vault}", None), ("PATCH", f"/{vault}", {"name": "x"}),
        ("DELETE", f"/{vault}", None), ("OPTIONS", "/", None), ("HEAD", f"/{vault}", None), ("PROPFIND", "/", None),
        ("GET", "/schema?mode=create", None), ("POST", f"/{vault}/restore", {}), ("GET", "/?nonsense=1", None),
        ("POST", "/search", {"nonsense": 1}),
    ):  # fmt: skip
        got = await user.send(method, f"/v3/crud/vault{tail}", body)
        expected = await user.send(method, f"/v3/crud/vaulx{tail}", body)
        assert expected.status == 404, expected
        assert alike(got) == alike(expected), got
    builds: list[Any] = [
        lambda name: {"filter": {name: {"any": {}}}}, lambda name: {"filter": {name: {"count": {"gte": 0}}}},
        lambda name: {"sort": [f"-count({name})"]}, lambda name: {"filter": {name: {"none": {"name": "x"}}}},
    ]  # fmt: skip
    for build in builds:
        got, expected = await user.search("person", build("vaults")), await user.search("person", build("vaulxs"))
        assert got.status in (200, 422), got
        if got.status == 200:
            assert "vaults" not in json.dumps(got.data), got
        assert anonymised(got, "vaults") == anonymised(expected, "vaulxs"), got
    # An expand that the caller may not read is left out with a warning: nothing of the type is told but its name.
    for expand in (["vaults"], {"vaults": {"limit": 1}}):
        left_out = await user.search("person", {"expand": expand})
        assert left_out.status == 200, left_out
        assert "vaults" not in json.dumps(left_out.data), left_out
        assert "vaults" in left_out.json["meta"]["warnings"][0]


READ_ONLY = [
    "id", "id_random", "account_id", "created_on", "updated_on", "updated_by", "is_admin", "password_hash",
    "hash_sha256", "storage_path", "row_version", "deleted_on", "colsecret_hash", "word_count", "__proto__",
]  # fmt: skip


def spellings(name: str) -> list[str]:
    """A name as people and frameworks write it."""
    words = name.split("_")
    camel = words[0] + "".join(word.title() for word in words[1:])
    return list(
        dict.fromkeys([name, camel, camel[:1].upper() + camel[1:], name.upper(), name.replace("_", "-"), f" {name}"])
    )


@pytest.mark.parametrize("type_name", ["journal", "user", "journal_entry"])
async def test_what_is_ours_to_write_is_not_taken_from_a_body(world: World, caller: Client, type_name: str) -> None:
    world.may_show_insides = True  # The attacker sends a column's name himself, and is quoted.
    own = world.first(type_name)
    before, totals = await world.row(type_name, own), await world.totals()
    present = (await caller.get(f"/v3/crud/{type_name}/{own}?fields=*")).data
    values: list[Any] = ["x", world.accounts["b"], 7, True, None, "", [], {}, "2020-01-01T00:00:00Z"]
    for name in (spelling for one in READ_ONLY for spelling in spellings(one)):
        for value in values if name in READ_ONLY else values[:1]:
            reply = await caller.send("PATCH", f"/v3/crud/{type_name}/{own}", {name: value})
            is_no_change = name in present and (value, type(value)) == (present[name], type(present[name]))
            assert reply.status == (200 if is_no_change else 422), (name, value, str(reply))
        body = {**create_body(world, type_name), name: "x"}
        reply = await caller.send("POST", f"/v3/crud/{type_name}/", body)
        assert reply.status == 422, (name, str(reply))
        reply = await caller.send("PUT", f"/v3/crud/{type_name}/{own}", body)
        assert reply.status == 422, (name, str(reply))
    after = await world.row(type_name, own)
    assert {key: value for key, value in after.items() if key not in ("row_version", "updated_on")} == {
        key: value for key, value in before.items() if key not in ("row_version", "updated_on")
    }
    assert await world.totals() == totals


async def test_a_field_that_needs_a_role_is_not_written_without_it(world: World) -> None:
    own = world.first("person")
    before = await world.row("person", own)
    for name in ("user", "key"):
        caller = world.callers[name]
        for value in ("9.00", None):
            got = await caller.send("PATCH", f"/v3/crud/person/{own}", {"wage": value})
            expected = await caller.send("PATCH", f"/v3/crud/person/{own}", {"waqe": value})
            assert anonymised(got, "wage") == anonymised(expected, "waqe"), got
    after = await world.row("person", own)
    assert after["wage"] == before["wage"]
