"""Attacks on rights that differ within one account: what one caller may is never remembered for another."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from tests.support.attack import World, alike
from tests.support.serving import Client

ALLOWED_TO_ADMINS: list[tuple[str, dict[str, Any]]] = [
    ("person", {"filter": {"wage": {"gt": "0.00"}}}), ("person", {"filter": {"remark": {"contains": "a"}}}),
    ("person", {"sort": ["-wage"]}), ("person", {"fields": ["wage"]}), ("person", {"filter": {"chief.wage": "1.50"}}),
    ("person", {"filter": {"vaults": {"any": {}}}}), ("person", {"expand": {"vaults": {"filter": {"name": "x"}}}}),
    ("journal", {"filter": {"person.remark": "x"}}), ("journal", {"fields": ["person.wage"]}),
    ("person", {"expand": {"staff": {"fields": ["wage"], "sort": ["remark"]}}}), ("vault", {}),
    ("person", {"filter": {"name": {"eq": {"field": "remark"}}}}),
]  # fmt: skip


async def test_what_an_administrator_asked_first_is_not_open_to_others(world: World) -> None:
    admin, user = world.callers["admin"], world.user
    for type_name, body in ALLOWED_TO_ADMINS:
        statuses = []
        for caller in (user, admin, user, admin, user):
            reply = await caller.search(type_name, body)
            statuses.append(reply.status)
            if caller is user and reply.status == 200:
                assert "vaults" in str(body.get("expand")), reply
                assert "vaults" not in json.dumps(reply.data), reply
        assert statuses[1] == statuses[3] == 200, (body, statuses)
        assert statuses[0] == statuses[2] == statuses[4], (body, statuses)
        assert statuses[0] in (404, 422) or "expand" in body


REFUSED: list[dict[str, Any]] = [
    {"filter": {"nope": 1}}, {"filter": {"twin.twin.twin.twin.twin.name": "x"}}, {"filter": {"twin.nope": 1}},
    {"filter": {"twins": {"any": {"twins": {"any": {"twins": {"any": {"twin.twin.name": "x"}}}}}}}},
    {"filter": {"not": {"twin.twin.twin.twin.twin": {"null": True}}}}, {"filter": {"year(name)": 1}},
    {"filter": {"twin.twin.twin.twin.twin.twins": {"none": {}}}}, {"filter": {"name": {"nope": 1}}},
    {"filter": {"name": {"eq": {"field": "twin.twin.twin.twin.twin.name"}}}},
    {"filter": {"name": {"eq": {"field": "nope"}}}},
    {"filter": {"lower(twin.twin.twin.twin.twin.name)": "x"}}, {"sort": ["twin.twin.twin.twin.twin.name"]},
    {"sort": ["nope"]},
    {"fields": ["twin.twin.twin.twin.twin.name"]}, {"expand": ["twin.twin.twin.twin.twin"]}, {"expand": ["nope"]},
    {"filter": {"twins": {"count": {"gte": 0, "where": {"twin.twin.twin.twin.name": "x"}}}}}, {"filter": {"name": 5}},
    {"filter": {"priority": "5"}}, {"filter": {"visibility": "nope"}}, {"filter": {"id": 5}},
    {"filter": {"name": {}, "x": {}}},
    {"filter": {"twin": 5}}, {"filter": {"twins": 5}}, {"filter": {"and": 5}}, {"filter": {"extra": {"json": 5}}},
    {"expand": {"twins": {"filter": {"twin.twin.twin.twin.twin.name": "x"}}}}, {"filter": {"passcode": "x"}},
    {"expand": {"twins": {"sort": ["twin.twin.twin.twin.twin.name"]}}}, {"filter": {"passcode": {"null": True}}},
    {"filter": {"blob": "YWJj"}}, {"sort": ["blob"]}, {"sort": ["body"]}, {"sort": ["extra"]},
    {"filter": {"word_count": 1}},
]  # fmt: skip


async def test_a_refusal_is_a_refusal_however_often_it_is_asked(world: World, caller: Client) -> None:
    """What is remembered of a search must not turn its second run into one without a condition."""
    for body in REFUSED:
        replies = [alike(await caller.search("journal_entry", body)) for _ in range(3)]
        assert replies[0][0] == 422, (body, replies[0])
        assert replies[0] == replies[1] == replies[2], body
        if "filter" in body:
            text = quote(json.dumps(body["filter"]), safe="")
            replies = [alike(await caller.get(f"/v3/crud/journal_entry/?filter={text}")) for _ in range(3)]
            assert replies[0][0] == 422, (body, replies[0])
            assert replies[0] == replies[1] == replies[2], body
    for query in ("twin.twin.twin.twin.twin.name=x", "twin.twin.twin.twin.twin.name.eq=x", "nope=1",
            "priority=x", "passcode=x",
                  "twin.twin.twin.twin.twin=x", "name.nope=x", "id=5", "twins=1", "and=1", "blob=x",
                  "word_count=1"):  # fmt: skip
        replies = [alike(await caller.get(f"/v3/crud/journal_entry/?{query}")) for _ in range(3)]
        assert replies[0][0] in (400, 422), (query, replies[0])
        assert replies[0] == replies[1] == replies[2], query


async def test_every_condition_narrows(world: World, caller: Client) -> None:
    """A condition beside another one never finds more than the other one alone, and what it names is never left out."""
    first = world.first("journal_entry")
    for condition in (
        {"id": first}, {"name": {"eq": "nothing has this name"}}, {"twins": {"any": {"name": "nothing has this name"}}},
        {"twin.twin.twin.name": "nothing has this name"}, {"journal": {"person": {"code": "nothing has this code"}}},
        {"extra": {"json": {"a.b.c": "nothing"}}}, {"entry_date": "1900-01-01"}, {"year(moment)": 1900},
    ):  # fmt: skip
        for form in (condition, {"and": [condition]}, {"not": {"not": condition}}, {"or": [condition]}):
            for _ in range(2):
                reply = await caller.search("journal_entry", {"filter": form, "count": "exact", "limit": 0})
                assert reply.json["meta"]["total"] == (1 if "id" in condition else 0), (form, str(reply))


async def test_labels_and_choices_tell_nothing_that_the_caller_may_not_read(world: World) -> None:
    for name in ("user", "key", "viewer", "clerk"):
        caller = world.callers[name]
        for path in ("/v3/crud/person/options", f"/v3/crud/person/options?ids={world.first('person')}",
                     "/v3/crud/journal/schema?mode=create&inline=person_id",
                     "/v3/crud/person/options?q=for-admins"):  # fmt: skip
            reply = await caller.get(path)
            assert reply.status in (200, 403, 422), reply
            assert b"for-admins-only" not in reply.body, reply
    admin = await world.callers["admin"].get("/v3/crud/person/options")
    assert b"for-admins-only" in admin.body
    entries = await world.fetch("SELECT id_random FROM tblsecret_journal_entry WHERE visibility = 'private'")
    choices = await world.callers["clerk"].get("/v3/crud/journal_entry/schema?mode=update&inline=twin_id")
    assert choices.status == 200, choices
    for (private,) in entries:
        assert private.encode() not in choices.body, choices


async def test_no_way_leads_through_a_type_that_the_caller_may_not_read(world: World) -> None:
    """The clerk may not read accounts."""
    clerk = world.callers["clerk"]
    for type_name, body in (
        ("journal", {"filter": {"account.name": {"starts_with": "a"}}}), ("journal", {"fields": ["account.name"]}),
        ("journal", {"sort": ["account.name"]}), ("journal_entry", {"filter": {"journal.account.name": "x"}}),
        ("journal", {"filter": {"account": {"name": "x"}}}), ("journal",
        {"expand": {"attachment": {"filter": {"name": "x"}}}}),
        ("journal", {"filter": {"attachment": {"any": {"name": "x"}}}}), ("journal", {"sort": ["-count(attachment)"]}),
        ("person", {"filter": {"journals": {"any": {"account.name": "x"}}}}),
    ):  # fmt: skip
        reply = await clerk.search(type_name, body)
        assert reply.status == 422 or (reply.status == 200 and "expand" in body), (body, str(reply))
        assert b"alpha account" not in reply.body, reply
    for path in (
        f"/v3/crud/journal/{world.first('journal')}?expand=account",
        "/v3/crud/journal/?expand=account,attachment",
    ):
        reply = await clerk.get(path)
        assert reply.status in (200, 422), reply
        assert b"alpha account" not in reply.body, reply
        assert b"alpha attachment" not in reply.body, reply
    for path in ("/v3/crud/account/", "/v3/crud/attachment/", f"/v3/crud/journal/{world.first('journal')}/attachment/"):
        assert (await clerk.get(path)).status == 404


async def test_deleted_rows_are_for_those_who_may_delete(world: World) -> None:
    for name in ("viewer",):
        for body in ({"deleted": "include"}, {"deleted": "only"}):
            reply = await world.callers[name].search("journal", body)
            assert reply.status == 403, reply
            reply = await world.callers[name].get(f"/v3/crud/journal/?deleted={body['deleted']}")
            assert reply.status == 403, reply
            reply = await world.callers[name].get(
                f"/v3/crud/journal/{world.first('journal')}?deleted={body['deleted']}"
            )
            assert reply.status == 403, reply
    gone = (await world.user.send("POST", "/v3/crud/journal/", {"name": "gone", "entry": [{"name": "gone too"}]})).data[
        "id"
    ]
    entry = (await world.user.get(f"/v3/crud/journal/{gone}/entry/")).data[0]["id"]
    assert (await world.user.send("DELETE", f"/v3/crud/journal/{gone}")).status == 204
    for name in ("user", "key", "admin"):
        caller = world.callers[name]
        for path in (
            f"journal/{gone}",
            f"journal/{gone}/entry/",
            f"journal/{gone}/entry/{entry}",
            f"journal_entry/{entry}",
        ):
            assert (await caller.get(f"/v3/crud/{path}")).status == 404, path
        for field, target in (("journal_id", gone), ("twin_id", entry)):
            body = {"name": "fresh", "journal_id": world.first("journal"), field: target}
            reply = await caller.send("POST", "/v3/crud/journal_entry/", body)
            assert reply.status == 422, reply
        reply = await caller.send("POST", f"/v3/crud/journal/{gone}/entry/", {"name": "fresh"})
        assert reply.status == 404, reply
        found = await caller.search("journal", {"filter": {"entry": {"any": {"id": entry}}}})
        assert found.data == [], found
    hard = await world.user.send("DELETE", f"/v3/crud/journal/{gone}?hard=true")
    assert hard.status in (403, 404), hard


async def test_a_trial_leaves_nothing_behind(world: World, caller: Client) -> None:
    before = (
        await world.totals(),
        {name: await world.row(name, world.first(name)) for name in ("journal", "journal_entry")},
    )
    journal, entry = world.first("journal"), world.first("journal_entry")
    for method, path, body in (
        ("POST", "/v3/crud/journal/", {"name": "x", "entry": [{"name": "y"}]}),
        ("PATCH", f"/v3/crud/journal/{journal}", {"name": "x", "entry": {"create": [{"name": "y"}],
        "delete": [entry]}}),
        ("PUT", f"/v3/crud/journal/{journal}", {"name": "x"}), ("DELETE", f"/v3/crud/journal/{journal}", None),
        ("POST", f"/v3/crud/journal_entry/{entry}/move",
         {"parent": {"type": "journal", "id": world.rows["journal"]["a"][1]}}),
        ("DELETE", f"/v3/crud/journal_entry/{entry}", None),
    ):  # fmt: skip
        reply = await caller.send(method, f"{path}?validate_only=true", body)
        assert reply.status in (200, 204, 422), reply
        assert reply.header("location") is None
    after = (
        await world.totals(),
        {name: await world.row(name, world.first(name)) for name in ("journal", "journal_entry")},
    )
    assert after == before
