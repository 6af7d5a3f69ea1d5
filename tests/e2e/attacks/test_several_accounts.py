"""Attacks by callers of several accounts, of none, and at the same time: what is told apart must stay apart."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from anyio.lowlevel import checkpoint

from engine.auth.mint import mint_token
from tests.support.attack import World, alike
from tests.support.bodies import create_body, relation_fields
from tests.support.serving import Client

PUBLIC_ENTRIES = (
    "SELECT COUNT(*) FROM tblsecret_journal_entry WHERE journal_id = ? AND visibility = 'public' AND deleted_on IS NULL"
)


@pytest.fixture
def both(world: World) -> Client:
    """Somebody who belongs to A and to B; his replies are taken as B's."""
    token = mint_token(
        world.running.settings, accounts=[world.accounts["a"], world.accounts["b"]], scopes=["*:read", "*:write"]
    )
    headers = {"Authorization": f"Bearer {token}"}
    return Client(world.running.engine.application, "other", headers, world.replies.append)


async def test_who_has_two_accounts_ties_no_row_of_one_to_the_other(world: World, both: Client) -> None:
    before = await world.totals()
    for caller in (
        both.with_headers(X_Account_Id=world.accounts["a"]),
        both,
        world.operator.with_headers(X_Account_Id=world.accounts["a"]),
        world.operator,
    ):
        for name in world.bound_types():
            own, row = world.first(name), await world.row(name, world.first(name))
            for one, target in relation_fields(world, name, "parent", "relation"):
                foreign = world.first(target, "b")
                change = {one.name: foreign}
                headers = {"If-Match": "*"}
                reply = await caller.send("PATCH", f"/v3/crud/{name}/{own}", change, headers=headers)
                assert reply.status == 422, (caller.name, str(reply))
                if one.role == "relation" and world.registry.types[name].parents:
                    reply = await caller.send("POST", f"/v3/crud/{name}/", {**create_body(world, name), **change})
                    assert reply.status == 422, (caller.name, str(reply))
                if one.role == "parent":
                    parent = {"parent": {"type": target, "id": foreign}}
                    reply = await caller.send("POST", f"/v3/crud/{name}/{own}/move", parent, headers=headers)
                    assert reply.status == 422, (caller.name, str(reply))
            assert await world.row(name, own) == row
    assert await world.totals() == before


async def test_the_account_header_narrows_to_one(world: World, both: Client) -> None:
    for whose, other in (("a", "b"), ("b", "a")):
        caller = both.with_headers(X_Account_Id=world.accounts[whose])
        for name in world.bound_types():
            listed = await caller.search(name, {"limit": 100, "fields": ["id"], "count": "exact"})
            assert {row["id"] for row in listed.data}.isdisjoint(world.rows[name][other]), name
            assert listed.json["meta"]["total"] == await world.count(name, whose)
            reply = await caller.get(f"/v3/crud/{name}/{world.first(name, other)}")
            assert reply.status == 404, reply
    every = await both.search("journal", {"count": "exact", "limit": 0})
    assert every.json["meta"]["total"] == await world.count("journal", "a") + await world.count("journal", "b")


async def test_a_create_without_an_account_is_refused_where_there_are_several(world: World, both: Client) -> None:
    before = await world.totals()
    for caller in (both, world.operator):
        reply = await caller.send("POST", "/v3/crud/journal/", {"name": "fresh"})
        assert reply.status == 422, reply
        assert reply.json["errors"][0]["header"] == "X-Account-Id", reply
    mixed = both.with_headers(X_Account_Id=world.accounts["b"])
    reply = await mixed.send("POST", f"/v3/crud/journal/{world.first('journal')}/entry/", {"name": "fresh"})
    assert reply.status == 404, reply
    reply = await mixed.send("POST", "/v3/crud/journal_entry/", create_body(world, "journal_entry"))
    assert reply.status == 422, reply
    assert await world.totals() == before


async def test_who_has_no_account_has_nothing_that_belongs_to_one(world: World) -> None:
    token = mint_token(world.running.settings, scopes=["*:*"])
    nobody = Client(
        world.running.engine.application, "homeless", {"Authorization": f"Bearer {token}"}, world.replies.append
    )
    # What is public he may read as everybody may.
    for name in [one for one in world.bound_types() if world.registry.types[one].public is None]:
        for method, path, body in (
            ("GET", f"/v3/crud/{name}/", None), ("POST", f"/v3/crud/{name}/search", {"count": "exact"}),
            ("GET", f"/v3/crud/{name}/{world.first(name)}", None), ("POST", f"/v3/crud/{name}/",
            create_body(world, name)),
            ("GET", f"/v3/crud/{name}/options", None), ("DELETE", f"/v3/crud/{name}/{world.first(name)}", None),
        ):  # fmt: skip
            reply = await nobody.send(method, path, body)
            assert reply.status == 403, reply
    shared = await nobody.get("/v3/crud/country/")
    assert shared.status == 200, shared


async def test_exactly_one_parent_is_taken(world: World, caller: Client) -> None:
    journal, entry, line = (world.first(name) for name in ("journal", "journal_entry", "entry_line"))
    before = await world.totals()
    bodies: list[tuple[str, dict[str, Any]]] = [
        ("/v3/crud/attachment/", {"name": "x"}),
        ("/v3/crud/attachment/", {"name": "x", "journal_id": journal, "journal_entry_id": entry}),
        ("/v3/crud/attachment/", {"name": "x", "journal_id": None, "journal_entry_id": None}),
        (f"/v3/crud/journal/{journal}/attachment/", {"name": "x", "journal_entry_id": entry}),
        (f"/v3/crud/journal/{journal}/attachment/", {"name": "x", "journal_id": world.rows["journal"]["a"][1]}),
        (f"/v3/crud/journal/{journal}/attachment/", {"name": "x", "journal_id": world.first("journal", "b")}),
        (f"/v3/crud/journal/{journal}/attachment/", {"name": "x", "entry_line_id": line}),
    ]
    for path, body in bodies:
        reply = await caller.send("POST", path, body)
        assert reply.status == 422, reply
    assert await world.totals() == before
    for path in (f"/v3/crud/journal/{entry}/attachment/", f"/v3/crud/entry_line/{journal}/attachment/"):
        assert (await caller.get(path)).status == 404
        assert (await caller.send("POST", path, {"name": "x"})).status == 404


async def test_calls_at_the_same_time_do_not_mix(world: World) -> None:
    """The same statement for both accounts, many at once, some of them given up: each gets his own rows."""
    body: dict[str, Any] = {
        "filter": {"name": {"contains": "journal"}},
        "expand": {"line": {}, "person": {}},
        "count": "exact",
    }
    wanted = {
        name: alike(await world.callers[name].search("journal_entry", body)) for name in ("admin", "other", "key")
    }

    async def ask(name: str) -> None:
        reply = await world.callers[name].search("journal_entry", body)
        assert _without_cursors(alike(reply)) == _without_cursors(wanted[name]), name

    tasks = [asyncio.create_task(ask(name)) for _ in range(40) for name in wanted]
    await checkpoint()
    given_up = tasks[::7]
    for task in given_up:
        task.cancel()
    for done in await asyncio.gather(*tasks, return_exceptions=True):
        assert done is None or isinstance(done, asyncio.CancelledError), done


async def test_row_rules_hold_for_what_is_counted_sorted_and_made(world: World) -> None:
    clerk = world.callers["clerk"]
    journals = (await clerk.search("journal", {"fields": ["id"], "limit": 100})).data
    for row in journals:
        if row["id"] not in world.row_ids:
            continue
        public = await world.fetch(PUBLIC_ENTRIES, world.row_ids[row["id"]])
        for condition in ({"entry": {"count": {"eq": public[0][0]}}}, {"entry": {"all": {"visibility": "public"}}},
                          {"entry": {"none": {"visibility": "private"}}}):  # fmt: skip
            found = await clerk.search("journal", {"filter": {"id": row["id"], **condition}})
            assert len(found.data) == 1, (condition, str(found))
        nested = await clerk.get(f"/v3/crud/journal/{row['id']}/entry/?count=exact")
        assert nested.json["meta"]["total"] == public[0][0]
        expanded = await clerk.get(f"/v3/crud/journal/{row['id']}?expand=entry")
        assert {one["visibility"] for one in expanded.data["entry"]["data"]} <= {"public"}
    before = await world.totals()
    journal = world.first("journal")
    for method, path, body in (
        ("POST", f"/v3/crud/journal/{journal}/entry/", {"name": "x", "visibility": "private"}),
        ("POST", f"/v3/crud/journal/{journal}/entry/", {"name": "x"}),
        ("POST", f"/v3/crud/journal/{journal}/entry/?validate_only=true", {"name": "x"}),
    ):
        reply = await clerk.send(method, path, body)
        assert reply.status == 403, reply
    assert await world.totals() == before
    sorted_ = await clerk.search("journal", {"sort": ["-count(entry)"]})
    assert sorted_.status == 200, sorted_
    options = await clerk.get("/v3/crud/journal_entry/options?limit=100")
    private = await world.fetch("SELECT id_random FROM tblsecret_journal_entry WHERE visibility = 'private'")
    assert not {row["value"] for row in options.data} & {one[0] for one in private}


def _without_cursors(reply: tuple[int, dict[str, str], Any]) -> Any:
    return reply[2]["data"], reply[2]["meta"]["total"]
