"""Attacks on the walls between accounts: by id, by path, by relation, by filter, by count."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import product
from typing import Any

from tests.support.attack import FIRST_ROW_ID, World, alike, insert, unknown_id
from tests.support.bodies import change_body, create_body, relation_fields
from tests.support.serving import Client, Reply

HARMLESS = "fresh"


def without(reply: Reply, *given: str) -> Any:
    """What can be compared of a reply that may quote the ids that were given."""
    status, headers, body = alike(reply)
    text = body.decode("latin-1") if isinstance(body, bytes) else json.dumps(body)
    for one in given:
        text = text.replace(one, "<id>")
    return status, headers, text


async def assert_unknown(
    caller: Client, method: str, template: str, foreign: Sequence[str], body: object = None, **more: Any
) -> None:
    """The same request with foreign ids and with unknown ones is the same 404."""
    unknown = [unknown_id() for _ in foreign]
    got = await caller.send(method, template.format(*foreign), body, **more)
    expected = await caller.send(method, template.format(*unknown), body, **more)
    assert expected.status == 404, expected
    assert without(got, *foreign) == without(expected, *unknown), got


async def test_a_row_of_another_account_is_as_unknown_as_no_row(any_world: World, any_caller: Client) -> None:
    for name in [*any_world.types_for(any_caller), "account"]:
        foreign = any_world.first(name, "b")
        for method in ("GET", "HEAD", "OPTIONS"):
            got = await any_caller.send(method, f"/v3/crud/{name}/{foreign}")
            expected = await any_caller.send(method, f"/v3/crud/{name}/{unknown_id()}")
            assert alike(got) == alike(expected)
        for tail in ("", "/", "?fields=id", "?fields=*", "?expand=account" if name != "account" else "/."):
            await assert_unknown(any_caller, "GET", f"/v3/crud/{name}/{{}}{tail}", [foreign])
        for header in ({"If-None-Match": "*"}, {"Prefer": "return=minimal"}, {"Range": "bytes=0-1"}):
            await assert_unknown(any_caller, "GET", f"/v3/crud/{name}/{{}}", [foreign], headers=header)
        must = await any_caller.get(f"/v3/crud/{name}/{any_world.first(name)}")
        assert must.status == 200, must


async def test_a_row_of_another_account_cannot_be_changed_in_any_way(any_world: World, any_caller: Client) -> None:
    for name in any_world.types_for(any_caller):
        foreign = any_world.first(name, "b")
        path = f"/v3/crud/{name}/{{}}"
        change = change_body(any_world, name)
        for headers in ({}, {"If-Match": "*"}, {"If-Match": '"1-00000000"'}, {"Prefer": "return=minimal"}):
            got = [
                await any_caller.send(method, path.format(one) + tail, body, headers=headers)
                for one in (foreign, unknown_id())
                for method, tail, body in (
                    ("PATCH", "", change),
                    ("PATCH", "", {}),
                    ("PATCH", "?validate_only=true", change),
                    ("PUT", "", create_body(any_world, name)),
                    ("DELETE", "", None),
                    ("DELETE", "?hard=true", None),
                    ("DELETE", "?validate_only=true", None),
                    ("POST", "/restore", {}),
                )
            ]
            half = len(got) // 2
            for foreign_reply, unknown_reply in zip(got[:half], got[half:], strict=True):
                assert alike(foreign_reply) == alike(unknown_reply), foreign_reply
                assert foreign_reply.status in (400, 403, 404, 412, 422, 428), foreign_reply
                assert foreign_reply.status == 404 or headers.get("If-Match") != "*" or foreign_reply.status in (
                    403, 422,
                ), foreign_reply  # fmt: skip
        for parent in any_world.registry.types[name].parents[:1]:
            body = {"parent": {"type": parent.type, "id": any_world.first(parent.type)}}
            await assert_unknown(any_caller, "POST", f"{path}/move", [foreign], body, headers={"If-Match": "*"})


async def test_a_row_of_ours_cannot_be_moved_under_a_foreign_parent(any_world: World, any_caller: Client) -> None:
    for name in any_world.types_for(any_caller):
        for parent in any_world.registry.types[name].parents:
            own = next((one for one in any_world.rows[name]["a"] if any_world.parents[one][0] == parent.type), None)
            if own is None:
                continue
            before = await any_world.row(name, own)
            replies = []
            for target in (any_world.first(parent.type, "b"), unknown_id()):
                body = {"parent": {"type": parent.type, "id": target}}
                reply = await any_caller.send("POST", f"/v3/crud/{name}/{own}/move", body, headers={"If-Match": "*"})
                assert reply.status == 422, reply
                replies.append(without(reply, target))
            assert replies[0] == replies[1]
            assert await any_world.row(name, own) == before


async def test_every_step_of_a_nested_path_is_checked(any_world: World, any_caller: Client) -> None:
    for name in any_world.types_for(any_caller):
        if not any_world.registry.types[name].parents:
            continue
        for own, foreign in zip(any_world.rows[name]["a"], any_world.rows[name]["b"], strict=False):
            ours, theirs = any_world.chain(name, own), any_world.chain(name, foreign)
            must = await any_caller.get(any_world.nested_path(ours))
            assert must.status == 200, must
            assert [step[0] for step in ours] == [step[0] for step in theirs]
            for picks in product((False, True), repeat=len(ours)):
                if not any(picks):
                    continue
                mixed = [b if pick else a for a, b, pick in zip(ours, theirs, picks, strict=True)]
                empty = [(a[0], unknown_id()) if pick else a for a, pick in zip(ours, picks, strict=True)]
                got = await any_caller.get(any_world.nested_path(mixed))
                expected = await any_caller.get(any_world.nested_path(empty))
                assert got.status == 404, got
                assert alike(got) == alike(expected), got


async def test_a_foreign_parent_in_a_path_opens_nothing_below_it(any_world: World, any_caller: Client) -> None:
    for name in any_world.types_for(any_caller):
        resource = any_world.registry.types[name]
        if not resource.parents:
            continue
        for parent in resource.parents:
            foreign = any_world.first(parent.type, "b")
            base = f"/v3/crud/{parent.type}/{{}}/{parent.segment}"
            new = create_body(any_world, name, with_parent=False)
            await assert_unknown(any_caller, "GET", f"{base}/", [foreign])
            await assert_unknown(any_caller, "GET", f"{base}?count=exact&limit=0", [foreign])
            await assert_unknown(any_caller, "POST", f"{base}/search", [foreign], {})
            await assert_unknown(any_caller, "POST", f"{base}/search", [foreign], {"count": "exact", "limit": 0})
            await assert_unknown(any_caller, "POST", f"{base}/search", [foreign], {"filter": {"or": []}})
            await assert_unknown(any_caller, "GET", f"{base}/options", [foreign])
            await assert_unknown(any_caller, "POST", f"{base}/", [foreign], new)
            await assert_unknown(any_caller, "POST", f"{base}/?validate_only=true", [foreign], new)
            for tail in ("/schema", "/schema?mode=create", "/schema?mode=create&inline=account_id"):
                got = await any_caller.get(base.format(foreign) + tail)
                expected = await any_caller.get(base.format(unknown_id()) + tail)
                assert alike(got)[0] == alike(expected)[0], got


async def test_a_row_of_ours_under_another_parent_of_ours_is_unknown(world: World, caller: Client) -> None:
    entry = world.first("journal_entry")
    other = world.rows["journal"]["a"][1]
    for method, body in (("GET", None), ("PATCH", {"name": HARMLESS}), ("DELETE", None)):
        reply = await caller.send(method, f"/v3/crud/journal/{other}/entry/{entry}", body)
        assert reply.status == 404, reply
    assert (await world.row("journal_entry", entry))["name"].startswith("alpha")


async def test_a_change_cannot_hand_a_row_over_or_tie_it_to_a_foreign_one(any_world: World, any_caller: Client) -> None:
    for name in any_world.types_for(any_caller):
        own = any_world.first(name)
        before = await any_world.row(name, own)
        foreign = [("account_id", any_world.accounts["b"]), ("id", any_world.first(name, "b"))]
        foreign += [
            (one.name, any_world.first(target, "b"))
            for one, target in relation_fields(any_world, name, "parent", "relation")
        ]
        for field, target in foreign:
            replies = []
            for given in (target, unknown_id()):
                for method in ("PATCH", "PUT"):
                    body = {**(create_body(any_world, name) if method == "PUT" else {}), field: given}
                    reply = await any_caller.send(method, f"/v3/crud/{name}/{own}", body, headers={"If-Match": "*"})
                    assert 400 <= reply.status < 500, reply
                    replies.append(without(reply, given))
            assert replies[:2] == replies[2:], field
        assert await any_world.row(name, own) == before


async def test_a_create_cannot_point_at_a_foreign_row(any_world: World, any_caller: Client) -> None:
    before = await any_world.totals()
    for name in any_world.types_for(any_caller):
        for one, target in relation_fields(any_world, name, "parent", "relation"):
            replies = []
            for given in (any_world.first(target, "b"), unknown_id()):
                body = {**create_body(any_world, name, with_parent=one.role != "parent"), one.name: given}
                for tail in ("", "?validate_only=true"):
                    reply = await any_caller.send("POST", f"/v3/crud/{name}/{tail}", body)
                    assert reply.status == 422, reply
                    assert reply.code == "foreign-key", reply
                    replies.append(without(reply, given))
            assert replies[:2] == replies[2:], one.name
    assert await any_world.totals() == before


async def test_nested_writes_cannot_reach_foreign_rows(world: World, caller: Client) -> None:
    journal, entry = world.first("journal"), world.first("journal_entry")
    before = await world.totals(), await world.row("journal", journal), await world.row("journal_entry", entry)
    foreign_entry, foreign_person, foreign_journal = (
        world.first(name, "b") for name in ("journal_entry", "person", "journal")
    )
    bodies: list[tuple[str, str, Any]] = [
        ("POST", "/v3/crud/journal/", {"name": HARMLESS, "entry": [{"name": "x", "person_id": foreign_person}]}),
        ("POST", "/v3/crud/journal/", {"name": HARMLESS, "entry": [{"name": "x", "twin_id": foreign_entry}]}),
        ("POST", "/v3/crud/journal/", {"name": HARMLESS, "entry": [{"name": "x", "journal_id": foreign_journal}]}),
        ("POST", "/v3/crud/journal/", {"name": HARMLESS, "entry": [{"id": foreign_entry, "name": "x"}]}),
        ("POST", "/v3/crud/journal/", {"name": HARMLESS, "entry": {"update": [{"id": foreign_entry, "name": "x"}]}}),
        ("PATCH", f"/v3/crud/journal/{journal}", {"entry": {"update": [{"id": foreign_entry, "name": "x"}]}}),
        ("PATCH", f"/v3/crud/journal/{journal}", {"entry": {"delete": [foreign_entry]}}),
        ("PATCH", f"/v3/crud/journal/{journal}", {"entry": {"create": [{"name": "x", "person_id": foreign_person}]}}),
        ("PATCH", f"/v3/crud/journal/{journal}",
         {"name": "changed", "entry": {"create": [{"name": "x"}], "delete": [foreign_entry]}}),
        ("PATCH", f"/v3/crud/journal/{journal}",
         {"entry": {"update": [{"id": entry, "line": {"delete": [world.first("entry_line", "b")]}}]}}),
    ]  # fmt: skip
    for method, path, body in bodies:
        reply = await caller.send(method, path, body)
        assert 400 <= reply.status < 500, reply
        text = json.dumps(body)
        replaced = {one: unknown_id() for one in (foreign_entry, foreign_person, foreign_journal)}
        for one, other in replaced.items():
            text = text.replace(one, other)
        expected = await caller.send(method, path, json.loads(text))
        assert without(reply, *replaced) == without(expected, *replaced.values()), reply
    assert (
        await world.totals(),
        await world.row("journal", journal),
        await world.row("journal_entry", entry),
    ) == before


BUILDS: list[Callable[[str, str, str], dict[str, Any]]] = [
    lambda field, one, other: {field: {"in": [other, one]}},
    lambda field, one, other: {"or": [{field: one}, {"not": {field: {"nin": [other]}}}]},
    lambda field, one, other: {field: one},
    lambda field, one, other: {field: {"ne": one}},
    lambda field, one, other: {"not": {field: {"nin": [one]}}},
]


async def test_no_filter_finds_what_is_not_ours(any_world: World, any_caller: Client) -> None:
    for name in any_world.types_for(any_caller):
        fields = [("id", name)] + [
            (one.name, target) for one, target in relation_fields(any_world, name, "parent", "relation")
        ]
        for field, target in fields:
            ours, theirs, nothing = any_world.first(target), any_world.first(target, "b"), unknown_id()
            for build in BUILDS if field == "id" else BUILDS[:2]:
                found = []
                for given in (theirs, nothing):
                    body = {"filter": build(field, given, ours), "count": "exact", "fields": ["id"], "limit": 100}
                    reply = await any_caller.search(name, body)
                    assert reply.status == 200, reply
                    found.append((reply.data, reply.json["meta"]["total"]))
                    assert {row["id"] for row in reply.data} <= set(any_world.rows[name]["a"]) | {
                        row["id"] for row in reply.data if row["id"] not in any_world.rows[name]["b"]
                    }
                assert found[0] == found[1], field


async def test_no_condition_on_a_relation_sees_a_foreign_row(world: World, caller: Client) -> None:
    total = await world.count("journal")
    nothing: list[tuple[str, Any]] = [
        ("journal", {"person.name": {"contains": "CANAR"}}),
        ("journal", {"entry": {"any": {"name": {"contains": "CANAR"}}}}),
        ("journal", {"entry": {"any": {"id": world.first("journal_entry", "b")}}}),
        ("journal", {"entry": {"any": {"twin": {"name": {"contains": "CANAR"}}}}}),
        ("journal", {"entry": {"any": {"person": {"entries": {"any": {"name": {"contains": "CANAR"}}}}}}}),
        ("journal", {"account.name": {"contains": "CANAR"}}),
        ("person", {"journals": {"any": {"name": {"contains": "CANAR"}}}}),
        ("person", {"staff": {"any": {"chief_id": world.first("person", "b")}}}),
        ("journal_entry", {"journal.person.name": {"contains": "CANAR"}}),
        ("entry_line", {"journal_entry": {"journal": {"id": world.first("journal", "b")}}}),
        ("attachment", {"country.name": {"contains": "CANAR"}}),
    ]
    for name, condition in nothing:
        reply = await caller.search(name, {"filter": condition, "count": "exact"})
        assert reply.status == 200, reply
        assert (reply.data, reply.json["meta"]["total"]) == ([], 0), reply
    everything: list[Any] = [
        {"entry": {"none": {"name": {"contains": "CANAR"}}}},
        {"entry": {"all": {"not": {"name": {"contains": "CANAR"}}}}},
        {"not": {"person.name": {"contains": "CANAR"}}},
        {"entry": {"count": {"eq": 0, "where": {"id": world.first("journal_entry", "b")}}}},
    ]
    for condition in everything:
        reply = await caller.search("journal", {"filter": condition, "count": "exact"})
        assert reply.json["meta"]["total"] == total, reply


@asynccontextmanager
async def crossed(world: World, type_name: str, field_name: str, target: str) -> AsyncIterator[str]:
    """A row of A whose relation points at a row of B, as a bug or a hand at the database would leave it."""
    resource = world.registry.types[type_name]
    public_id, origin = unknown_id(), world.first(type_name)
    row = {
        **await world.row(type_name, origin),
        resource.key: FIRST_ROW_ID + 900_000,
        resource.public_id or "": public_id,
        resource.fields[field_name].column or "": world.row_ids[world.first(target, "b")],
    }
    for index in resource.unique:
        for part in index.fields:
            one = resource.fields[part]
            if one.role == "plain" and isinstance(row[one.column or ""], str):
                row[one.column or ""] = "crossed"
    world.row_ids[public_id] = FIRST_ROW_ID + 900_000
    await insert(world, resource, row)
    try:
        yield public_id
    finally:
        await world.execute(
            f"DELETE FROM {world.quote(resource.table)} WHERE {resource.key} = ?", FIRST_ROW_ID + 900_000
        )


async def test_a_row_that_points_at_a_foreign_one_does_not_show_it(any_world: World, any_caller: Client) -> None:
    for name in any_world.types_for(any_caller):
        for one, target in relation_fields(any_world, name, "relation"):
            relation = one.relation or ""
            async with crossed(any_world, name, one.name, target) as public_id:
                got = await any_caller.get(f"/v3/crud/{name}/{public_id}?expand={relation}")
                assert got.status == 200, got
                assert got.data[one.name] is None, got
                assert got.data.get(relation) is None, got
                body: Any = {"filter": {"id": public_id}, "expand": [relation], "fields": ["*", f"{relation}.id"]}
                found = await any_caller.search(name, body)
                assert found.status == 200, found
                assert found.data[0][one.name] is None, found
                foreign = {"id": public_id, one.name: any_world.first(target, "b")}
                for condition in (
                    foreign,
                    {"id": public_id, relation: {"null": False}},
                    {"id": public_id, f"{relation}.id": {"null": False}},
                    {"id": public_id, relation: {"created_on": {"null": False}}},
                ):
                    found = await any_caller.search(name, {"filter": condition})
                    assert found.status == 200, found
                    assert found.data == [], found
                listed = await any_caller.search(name, {"sort": [f"{relation}.created_on"], "limit": 100})
                assert listed.status == 200, listed


async def test_a_row_under_a_foreign_parent_does_not_show_it(world: World, caller: Client) -> None:
    foreign = world.first("journal", "b")
    async with crossed(world, "journal_entry", "journal_id", "journal") as public_id:
        for reply in (
            await caller.get(f"/v3/crud/journal_entry/{public_id}?expand=journal"),
            await caller.search("journal_entry", {"filter": {"id": public_id}, "expand": ["journal"]}),
            await caller.search("journal_entry", {"filter": {"journal.name": {"contains": "CANAR"}}}),
            await caller.get(f"/v3/crud/journal/{foreign}/entry/{public_id}"),
            await caller.get(f"/v3/crud/journal/{foreign}/entry/"),
        ):
            assert foreign not in without(reply)[2], reply
            assert reply.status in (200, 404), reply
        theirs = await world.other.get(f"/v3/crud/journal/{foreign}/entry/")
        assert public_id.encode() not in theirs.body


async def test_foreign_rows_that_point_at_ours_are_neither_shown_nor_counted(world: World, caller: Client) -> None:
    ours = world.first("person")
    foreign = world.first("journal_entry", "b")
    column = world.registry.types["journal_entry"].fields["person_id"].column
    table = world.quote("tblsecret_journal_entry")
    before = await caller.search("person", {"filter": {"id": ours}, "expand": {"entries": {"limit": 100}}})
    counted = before.data[0]["entries"]["data"]
    old = (await world.row("journal_entry", foreign))[column or ""]
    await world.execute(f"UPDATE {table} SET {column} = ? WHERE id_random = ?", world.row_ids[ours], foreign)
    try:
        after = await caller.search("person", {"filter": {"id": ours}, "expand": {"entries": {"limit": 100}}})
        assert after.data == before.data
        one = await caller.get(f"/v3/crud/person/{ours}?expand=entries")
        assert len(one.data["entries"]["data"]) == len(counted)
        for condition in (
            {"entries": {"count": {"eq": len(counted)}}},
            {"entries": {"none": {"id": foreign}}},
            {"entries": {"all": {"name": {"starts_with": "alpha"}}}},
        ):
            found = await caller.search("person", {"filter": {"id": ours, **condition}})
            assert len(found.data) == 1, found
        sorted_ = await caller.search("person", {"sort": ["-count(entries)"]})
        assert sorted_.status == 200, sorted_
        theirs = await world.other.get(f"/v3/crud/journal_entry/{foreign}")
        assert theirs.data["person_id"] is None, theirs
    finally:
        await world.execute(f"UPDATE {table} SET {column} = ? WHERE id_random = ?", old, foreign)


ABSENT_DOORS: list[tuple[str, str, Any]] = [
    ("POST", "/v3/crud/journal/bulk", {"delete": ["{a}", "{b}"]}),
    ("POST", "/v3/crud/journal/bulk", {"update": [{"id": "{a}", "name": "x"}, {"id": "{b}", "name": "x"}]}),
    ("POST", "/v3/crud/journal/upsert", {"id": "{b}", "name": "x"}),
    ("POST", "/v3/batch/", {"operations": [{"op": "delete", "type": "journal", "id": "{b}"}]}),
    ("POST", "/v3/batch", {"operations": [{"op": "delete", "type": "journal", "id": "{b}"}]}),
    ("GET", "/v3/crud/journal/export", None),
    ("GET", "/v3/crud/journal/export/", None),
    ("GET", "/v3/crud/journal/{b}/history", None),
    ("DELETE", "/v3/crud/journal/", [{"id": "{a}"}, {"id": "{b}"}]),
    ("PATCH", "/v3/crud/journal/", [{"id": "{a}", "name": "x"}, {"id": "{b}", "name": "x"}]),
    ("PATCH", "/v3/crud/journal/?id.in={a},{b}", {"name": "x"}),
    ("DELETE", "/v3/crud/journal/{a},{b}", None),
    ("POST", "/v3/crud/journal/", [{"name": "x"}]),
]


async def test_doors_that_do_not_exist_yet_do_nothing(world: World, caller: Client) -> None:
    ids = {"{a}": world.first("journal"), "{b}": world.first("journal", "b")}
    before = await world.totals(), await world.row("journal", ids["{a}"])
    for method, path, body in ABSENT_DOORS:
        text = json.dumps(body)
        for mark, one in ids.items():
            path, text = path.replace(mark, one), text.replace(mark, one)  # noqa: PLW2901
        reply = await caller.send(method, path, None if body is None else json.loads(text))
        assert reply.status in (404, 405, 422), reply
    assert (await world.totals(), await world.row("journal", ids["{a}"])) == before


async def test_a_digest_that_another_account_has_is_as_unknown_as_none(world: World, caller: Client) -> None:
    theirs, random = "ab" * 32, "cd" * 32
    for method, headers in (("GET", {}), ("HEAD", {}), ("GET", {"Range": "bytes=0-9"})):
        replies = [
            await caller.send(method, f"/v3/action/hosted_file/sha256/{one}", headers=headers)
            for one in (theirs, random)
        ]
        assert replies[0].status == 404
        assert alike(replies[0]) == alike(replies[1])


async def test_a_search_by_digest_finds_files_of_ours_only(any_world: World, any_caller: Client) -> None:
    if "hosted_file" not in any_world.registry.types:
        return
    digest = (await any_world.row("hosted_file", any_world.first("hosted_file", "b")))["hash_sha256"]
    for operator, operand in (("eq", digest), ("in", [digest]), ("starts_with", digest[:8])):
        reply = await any_caller.search("hosted_file", {"filter": {"hash_sha256": {operator: operand}}})
        assert reply.data == [], reply


async def test_counts_are_of_ours_alone(any_world: World, any_caller: Client) -> None:
    for name in [*any_world.types_for(any_caller), "account"]:
        total = await any_world.count(name)
        for mode in ("exact", "estimated"):
            reply = await any_caller.search(name, {"count": mode, "limit": 0})
            assert reply.json["meta"]["total"] == total, reply
            reply = await any_caller.get(f"/v3/crud/{name}/?count={mode}&limit=0")
            assert reply.json["meta"]["total"] == total, reply
        for body in ({"aggregate": {"n": "count"}}, {"group_by": ["name"], "aggregate": {"n": "count"}}):
            reply = await any_caller.search(name, body)
            assert reply.status == 422, reply


async def test_another_account_is_never_picked_by_header_or_parameter(world: World, caller: Client) -> None:
    theirs = world.accounts["b"]
    replies = [await caller.get("/v3/crud/journal/", headers={"X-Account-Id": one}) for one in (theirs, unknown_id())]
    assert replies[0].status == 403
    assert alike(replies[0]) == alike(replies[1])
    for name in ("X-Account-ID", "x_account_id", "X-Forwarded-Account", "X-User-Id", "X-HTTP-Method-Override"):
        reply = await caller.get("/v3/crud/journal/", pairs=[(name, theirs)])
        assert reply.status in (200, 403), reply
    twice = await caller.get(
        "/v3/crud/journal/", pairs=[("X-Account-Id", world.accounts["a"]), ("X-Account-Id", theirs)]
    )
    assert twice.status in (200, 400, 403), twice
    for query in (f"account_id={theirs}", f"x_account_id={theirs}", f"filter=%7B%22account_id%22:%22{theirs}%22%7D"):
        reply = await caller.get(f"/v3/crud/journal/?{query}")
        assert reply.status in (200, 400, 422), reply
        assert reply.status != 200 or reply.data == [], reply


async def test_values_of_another_account_are_not_taken(world: World, caller: Client) -> None:
    """A unique value is unique for each account: a refusal would tell that somebody else has it."""
    own = world.rows["person"]["a"][2]
    before = await world.row("person", own)
    await world.execute(
        "UPDATE tblsecret_person SET code = ? WHERE id_random = ?", "code-of-theirs", world.first("person", "b")
    )
    world.checksum = await world.checksum_of_b()
    reply = await caller.send("PATCH", f"/v3/crud/person/{own}", {"code": "code-of-theirs"})
    assert reply.status == 200, reply
    await world.execute("UPDATE tblsecret_person SET code = ? WHERE id_random = ?", before["code"], own)


async def test_options_and_choices_offer_rows_of_ours_alone(any_world: World, any_caller: Client) -> None:
    for name in any_world.types_for(any_caller):
        foreign = any_world.first(name, "b")
        for query in ("", "?q=CANAR", f"?ids={foreign}", f"?ids={foreign},{any_world.first(name)}"):
            reply = await any_caller.get(f"/v3/crud/{name}/options{query}")
            assert reply.status == 200, reply
            assert foreign.encode() not in reply.body, reply
        for one, _ in relation_fields(any_world, name, "relation", "parent"):
            for inline in (one.name, "*"):
                reply = await any_caller.get(f"/v3/crud/{name}/schema?mode=create&inline={inline}")
                assert reply.status in (200, 422), reply


async def test_explain_tells_nothing_of_others(world: World, caller: Client) -> None:
    world.may_show_insides = caller.name == "admin"
    body = {"filter": {"journal_id": world.first("journal", "b")}, "explain": True, "count": "exact"}
    reply = await caller.search("journal_entry", body)
    assert reply.status == 200, reply
    assert ("sql" in reply.json["meta"]["explain"]) == (caller.name == "admin"), reply
    assert reply.data == []


async def test_deleted_rows_of_others_stay_theirs(world: World, caller: Client) -> None:
    foreign = world.first("journal", "b")
    await world.execute(
        "UPDATE tblsecret_journal SET deleted_on = ? WHERE id_random = ?", "2026-01-01 00:00:00.000000", foreign
    )
    try:
        world.checksum = await world.checksum_of_b()
        for deleted in ("include", "only"):
            reply = await caller.search("journal", {"deleted": deleted, "limit": 100})
            assert reply.status == 200, reply
            assert foreign.encode() not in reply.body
            one = await caller.get(f"/v3/crud/journal/{foreign}?deleted={deleted}")
            assert one.status in (404, 422), one
        await assert_unknown(caller, "POST", "/v3/crud/journal/{}/restore", [foreign], {})
    finally:
        await world.execute("UPDATE tblsecret_journal SET deleted_on = NULL WHERE id_random = ?", foreign)
        world.checksum = await world.checksum_of_b()


async def test_an_action_reads_as_its_caller(world: World, caller: Client) -> None:
    path = "/v3/action/journal/{}/summary"
    if caller.name == "admin":
        await assert_unknown(caller, "GET", path, [world.first("journal", "b")])
        return
    replies = [await caller.get(path.format(one)) for one in (world.first("journal"), world.first("journal", "b"))]
    assert {reply.status for reply in replies} == {403}
    assert alike(replies[0]) == alike(replies[1])


async def test_row_rules_hold_at_every_door(world: World) -> None:
    """A role that sees public entries only: private ones are unknown to it, and it cannot make or hide one."""
    clerk = world.callers["clerk"]
    entries = world.rows["journal_entry"]["a"]
    private = [one for one in entries if (await world.row("journal_entry", one))["visibility"] == "private"]
    public = next(one for one in entries if one not in private)
    assert private
    for one in private:
        for method, tail, body in (
            ("GET", "", None), ("PATCH", "", {"body": "x"}), ("DELETE", "", None), ("POST", "/restore", {}),
        ):  # fmt: skip
            await assert_unknown(clerk, method, f"/v3/crud/journal_entry/{{}}{tail}", [one], body)
        await assert_unknown(
            clerk, "GET", f"{world.nested_path(world.chain('journal_entry', one)[:1])}/entry/{{}}", [one]
        )
        for condition in ({"id": one}, {"visibility": "private"}, {"twins": {"any": {"id": one}}}):
            reply = await clerk.search("journal_entry", {"filter": condition, "count": "exact"})
            assert (reply.data, reply.json["meta"]["total"]) == ([], 0), reply
        # The id of a row of the own account that a rule hides is kept; nothing else of it is.
        reply = await clerk.search("journal_entry", {"filter": {"twin_id": one}, "expand": ["twin"], "fields": ["*"]})
        assert all(row["twin"] is None for row in reply.data), reply
        above = await clerk.get(f"/v3/crud/journal/{world.parents[one][1]}?expand=entry")
        assert one.encode() not in above.body, above
    counted = await clerk.search("journal_entry", {"count": "exact", "limit": 0})
    assert counted.json["meta"]["total"] == await world.count("journal_entry", column="visibility", value="public")
    hidden = await clerk.send("PATCH", f"/v3/crud/journal_entry/{public}", {"visibility": "private"})
    assert hidden.status == 403, hidden
    made = await clerk.send(
        "POST", "/v3/crud/journal_entry/",
        {"name": HARMLESS, "visibility": "private", "journal_id": world.first("journal")},
    )  # fmt: skip
    assert made.status == 403, made
