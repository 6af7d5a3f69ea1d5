"""Attacks over the live doors: following what is another's, what is hidden, and what was taken away meanwhile."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest

from engine.auth.keys import create_key, revoke_key
from engine.auth.mint import mint_token
from engine.http.live_connections import CHECK_EVERY_S
from tests.support.attack import CANARY_B, World, unknown_id
from tests.support.live import Closed, Follower, following
from tests.support.serving import Reply

OF_B = 10
ATTACKERS = ["user", "admin", "key"]
REVOKED_WITHIN_S = 5.0


def note(world: World, follower: Follower, viewer: str) -> None:
    """Have everything that a follower was told checked as replies are."""
    for raw in follower.raw:
        if json.loads(raw)["type"] != "error":
            world.replies.append(Reply("WS", "/v3/live", 200, (), raw.encode(), viewer))


async def settle(world: World) -> None:
    """Until everything that was written has been told: by a write of A's that somebody follows."""
    async with following(world.running.engine.application, world.callers["admin"].headers) as last:
        await last.subscribe("person", {"fields": ["id"]})
        reply = await world.callers["admin"].send("POST", "/v3/crud/person/", {"name": "the last"})
        assert reply.status == 201, str(reply)
        while (await last.receive()).get("id") != reply.data["id"]:
            pass


async def write_as_b(world: World) -> None:
    """B creates, changes, moves and deletes journals and entries."""
    other = world.other
    for number in range(OF_B):
        made = await other.send("POST", "/v3/crud/journal/", {"name": f"{CANARY_B} {number}"})
        assert made.status == 201, str(made)
        at = f"/v3/crud/journal/{made.data['id']}"
        entry = await other.send("POST", f"{at}/entry/", {"name": f"{CANARY_B} entry", "visibility": "public"})
        assert entry.status == 201, str(entry)
        await other.send("PATCH", f"/v3/crud/journal_entry/{entry.data['id']}", {"body": CANARY_B})
        moved = {"parent": {"type": "journal", "id": world.first("journal", "b")}}
        await other.send("POST", f"/v3/crud/journal_entry/{entry.data['id']}/move", moved)
        await other.send("DELETE", at)
    for journal in (await other.get("/v3/crud/journal/")).data:
        if journal["id"] not in world.rows["journal"]["b"]:
            await other.send("DELETE", f"/v3/crud/journal/{journal['id']}")
    world.checksum = await world.checksum_of_b()


@pytest.mark.parametrize("name", ATTACKERS)
async def test_nothing_of_another_account_is_ever_told(world: World, name: str) -> None:
    """O12."""
    caller = world.callers[name]
    b_journal, b_entry = world.first("journal", "b"), world.first("journal_entry", "b")
    searches: list[dict[str, Any]] = [
        {"obj_type": "journal"},
        {"obj_type": "journal", "search": {"filter": {"account_id": world.accounts["b"]}}},
        {"obj_type": "journal", "search": {"filter": {"not": {"account_id": world.accounts["a"]}}}},
        {"obj_type": "journal", "search": {"filter": {"id": b_journal}}},
        {"obj_type": "journal_entry", "search": {"filter": {"journal_id": b_journal}}},
        {"obj_type": "journal_entry", "search": {"filter": {"or": [{"id": b_entry}, {"name": {"contains": "C"}}]}}},
        {"obj_type": "journal_entry", "search": {"expand": ["journal"]}},
    ]
    async with following(world.running.engine.application, caller.headers) as follower:
        for number, asked in enumerate(searches):
            first = await follower.subscribe(uid=f"s{number}", **asked)
            assert first["type"] == "subscribed", first
        refused = await follower.subscribe("journal_entry", uid="p", parent={"type": "journal", "id": b_journal})
        unknown = await follower.subscribe("journal_entry", uid="q", parent={"type": "journal", "id": unknown_id()})
        for one in (refused, unknown):
            one["problem"].pop("request_id")
            one.pop("uid")
        assert refused == unknown
        assert refused["problem"]["status"] == 404
        await write_as_b(world)
        await settle(world)
        await follower.send({"type": "ping"})
        while (await follower.receive())["type"] != "pong":
            pass
        told = [frame for frame in follower.frames if frame["type"] in ("enter", "update", "leave", "delete", "resync")]
        assert told == []
        note(world, follower, name)


async def test_nobody_is_told_nothing(world: World) -> None:
    """O12: without credentials, with broken ones, and with good ones where they do not belong."""
    app = world.running.engine.application
    token = world.callers["user"].headers["Authorization"].removeprefix("Bearer ")
    subscribe = {"type": "subscribe", "uid": "1", "obj_type": "journal"}
    for headers, query in (
        ({}, b""), ({}, f"token={token}".encode()), ({}, f"access_token={token}".encode()),
        ({"Authorization": f"Bearer {token}x"}, b""), ({"Authorization": f"Basic {token}"}, b""),
        ({"X-API-Key": "a.b"}, b""), ({"X-Account-Id": world.accounts["a"]}, b""),
        ({"Authorization": f"Bearer {token}", "X-Account-Id": world.accounts["b"]}, b""),
    ):  # fmt: skip
        async with following(app, headers, query=query) as follower:
            await follower.send(subscribe)
            assert await follower.closing() in (4401, 4403)
            assert [frame["type"] for frame in follower.frames if frame["type"] != "error"] == []
    for bad in ({"type": "auth", "token": f"{token}x"}, {"type": "auth"}, {"type": "auth", "token": 1}, subscribe):
        async with following(app) as follower:
            await follower.send(bad)
            assert await follower.closing() == 4401


@pytest.mark.parametrize("name", ["user", "admin", "key"])
async def test_what_is_hidden_is_neither_told_nor_asked_for(world: World, name: str) -> None:
    caller = world.callers[name]
    async with following(world.running.engine.application, caller.headers) as follower:
        for number, search in enumerate(
            (
                {"filter": {"password_hash": "x"}}, {"filter": {"not": {"password_hash": {"null": True}}}},
                {"filter": {"passcode": {"starts_with": "C"}}}, {"fields": ["name", "password_hash"]},
                {"filter": {"person.password_hash": "x"}}, {"fields": ["person.passcode"]},
                {"filter": {"entry": {"any": {"password_hash": "x"}}}}, {"sort": ["password_hash"]},
            )
        ):  # fmt: skip
            hidden = await follower.subscribe("journal", search, uid=f"h{number}")
            text = json.dumps(search).replace("password_hash", "no_such_name_").replace("passcode", "no_such_")
            unknown = await follower.subscribe("journal", json.loads(text), uid=f"u{number}")
            assert hidden["problem"]["errors"][0]["code"] == unknown["problem"]["errors"][0]["code"] == "unknown-field"
            assert hidden["problem"]["status"] == unknown["problem"]["status"] == 422
        assert (await follower.subscribe("journal", {"fields": ["*"]}, uid="all"))["type"] == "subscribed"
        at = f"/v3/crud/journal/{world.first('journal')}"
        reply = await world.callers["admin"].send("PATCH", at, {"name": "alpha told", "passcode": "CANARYH new"})
        assert reply.status == 200, str(reply)
        told = await follower.receive()
        assert told["type"] == "update"
        assert not {"password_hash", "passcode", "storage_path"} & set(told["data"])
        note(world, follower, name)


async def test_a_type_that_one_may_not_see_is_one_that_is_not_there(world: World) -> None:
    async with following(world.running.engine.application, world.callers["user"].headers) as follower:
        unseen = await follower.subscribe("vault", uid="a")
        unknown = await follower.subscribe("no_such_type", uid="a")
        for one in (unseen, unknown):
            one["problem"].pop("request_id")
        assert unseen == unknown


async def test_a_row_that_leaves_a_row_rule_is_left_and_not_shown(world: World) -> None:
    clerk, admin = world.callers["clerk"], world.callers["admin"]
    entry = (
        await admin.send(
            "POST", f"/v3/crud/journal/{world.first('journal')}/entry/", {"name": "ruled", "visibility": "private"}
        )
    ).data["id"]
    at = f"/v3/crud/journal_entry/{entry}"
    async with following(world.running.engine.application, clerk.headers) as follower:
        await follower.subscribe("journal_entry", {"fields": ["name", "visibility"]})
        # Private all the while: as if it were not there.
        await admin.send("PATCH", at, {"name": "never told"})
        await admin.send("PATCH", at, {"visibility": "public", "name": "open"})
        assert (await follower.receive())["type"] == "enter"
        await admin.send("PATCH", at, {"visibility": "private", "name": "secret now"})
        left = await follower.receive()
        assert (left["type"], left["id"], "data" in left) == ("leave", entry, False)
        await admin.send("DELETE", at)
        await settle(world)
        await follower.send({"type": "ping"})
        assert (await follower.receive())["type"] == "pong"
        assert not [raw for raw in follower.raw if "never told" in raw or "secret now" in raw]
        note(world, follower, "clerk")


async def closed_within(follower: Follower, since: float) -> int:
    code = await asyncio.wait_for(follower.closing(), REVOKED_WITHIN_S + CHECK_EVERY_S)
    assert time.monotonic() - since < REVOKED_WITHIN_S
    return code


async def test_a_revoked_key_and_a_disabled_user_are_hung_up_on_within_five_seconds(world: World) -> None:
    """O18."""
    app = world.running.engine.application
    made = await create_key(
        world.database, account_row_id=world.row_ids[world.accounts["a"]], name="short", scopes=["*:read"]
    )
    world.secrets.append(made.key.partition(".")[2])
    person = world.rows["user"]["a"][2]
    token = mint_token(
        world.running.settings, user=person, accounts=[world.accounts["a"]], scopes=["journal:read"], ttl_s=600
    )
    world.secrets.append(token)
    async with (
        following(app, {"X-API-Key": made.key}) as key,
        following(app, {"Authorization": f"Bearer {token}"}) as user,
    ):
        for follower in (key, user):
            assert (await follower.subscribe("journal"))["type"] == "subscribed"
        since = time.monotonic()
        assert await revoke_key(world.database, made.key.partition(".")[0])
        table, column = world.quote("tblsecret_user"), "id_random"
        await world.execute(f"UPDATE {table} SET enable = 0 WHERE {column} = ?", person)
        try:
            codes = await asyncio.gather(closed_within(key, since), closed_within(user, since))
        finally:
            await world.execute(f"UPDATE {table} SET enable = 1 WHERE {column} = ?", person)
        assert codes == [4401, 4401]


async def test_a_token_that_runs_out_ends_its_connection(world: World) -> None:
    token = mint_token(
        world.running.settings, user=world.first("user"), accounts=[world.accounts["a"]], scopes=["*:read"], ttl_s=2
    )
    world.secrets.append(token)
    async with following(world.running.engine.application, {"Authorization": f"Bearer {token}"}) as follower:
        assert (await follower.subscribe("journal"))["type"] == "subscribed"
        assert await closed_within(follower, time.monotonic() + 2) == 4401


async def test_frames_that_are_none_are_refused_in_words(world: World) -> None:
    async with following(world.running.engine.application, world.callers["user"].headers) as follower:
        for bad in (
            "", "{", "[]", "1", "null", '"x"', "{}", '{"type": 1}', '{"type": "subscribe"}', '{"type": "drop"}',
            '{"type": "subscribe", "uid": 1, "obj_type": "journal"}', '{"type": "subscribe", "uid": "1", "uid": "2"}',
            '{"type": "subscribe", "uid": "1", "obj_type": ["journal"]}', "[" * 20_000,
            '{"type": "subscribe", "uid": "1", "obj_type": "journal", "search": {"limit": -1}}',
            '{"type": "subscribe", "uid": "1", "obj_type": "journal", "search": [], "more": 1}',
            '{"type": "subscribe", "uid": "1", "obj_type": "journal", "parent": "x"}',
            '{"type": "subscribe", "uid": "1", "obj_type": "journal", "parent": {"type": "account", "id": "x"}}',
            '{"type": "subscribe", "uid": "1", "obj_type": "journal", "since": 5}',
            '{"type": "subscribe", "uid": "%s", "obj_type": "journal"}' % ("u" * 65), "\ud800", "NaN",
            '{"type": "unsubscribe"}', '{"type": "auth", "token": ""}',
        ):  # fmt: skip
            await follower.send(bad)
            answer = await follower.receive()
            assert answer["type"] == "error", bad
            assert 400 <= answer["problem"]["status"] < 500, answer
        await follower.send({"type": "ping"})
        assert (await follower.receive())["type"] == "pong"


async def test_more_subscriptions_than_allowed_end_the_connection(world: World) -> None:
    most = world.running.settings.live_subscriptions
    async with following(world.running.engine.application, world.callers["user"].headers) as follower:
        for number in range(most):
            assert (await follower.subscribe("journal", uid=f"n{number}"))["type"] == "subscribed"
        assert (await follower.subscribe("journal", uid="n0"))["problem"]["status"] == 409
        refused = await follower.subscribe("journal", uid="more")
        assert (refused["type"], refused["problem"]["status"]) == ("error", 429)
        with pytest.raises(Closed) as closed:
            await follower.receive()
        assert closed.value.code == 4429


async def test_who_does_not_read_is_hung_up_on(world: World) -> None:
    """What waits for him is bounded."""
    follower = Follower(world.running.engine.application, world.callers["admin"].headers)
    await follower.open()
    assert (await follower.subscribe("journal", {"fields": ["name", "body"]}))["type"] == "subscribed"
    follower.is_stuck = True
    open_before = len(world.running.engine.live)
    at = f"/v3/crud/journal/{world.first('journal')}"
    before = (await world.callers["admin"].get(at)).data["body"]
    admin = world.callers["admin"]
    try:
        for number in range(30):
            await admin.send("PATCH", at, {"body": f"{number}" + "x" * 100_000})
            if follower.task is not None and follower.task.done():
                break
        assert follower.task is not None
        await asyncio.wait_for(follower.task, 20)
        assert len(world.running.engine.live) == open_before - 1
    finally:
        await admin.send("PATCH", at, {"body": before})


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ("", 401),
        ("obj_type=journal", 401),
        ("obj_type=journal&access_token=x", 401),
        ("obj_type=journal&search={", 401),
        ("obj_type=nothing", 401),
        ("obj_type=bulletin&obj_type=journal", 401),
        ("access_token=x", 401),
        ("obj_type=bulletin&access_token=x", 400),
        ("obj_type=country&search={", 400),
    ],
)
async def test_who_is_not_known_hears_of_events_of_public_types_alone(world: World, asked: str, status: int) -> None:
    reply = await world.nobody.get(f"/v3/live/events?{asked}")
    assert reply.status == status, str(reply)
