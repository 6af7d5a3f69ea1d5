"""API keys over HTTP: made within their maker's rights, shown once, listed and revoked by their account alone."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.auth.mint import mint_token
from engine.language.ids import new_public_id
from tests.support.attack import alike
from tests.support.people import Town, settled
from tests.support.serving import Client, Reply

KEYS = "/v3/action/auth/api_key"
RULED = """\
version: 1
roles:
  clerk: ["note:read", "note:write", "memo:*", "action:api_key"]
  lead: ["note:*", "memo:*", "action:*"]
types:
  account: {table: account, account: self, fields: {name: {type: string(100), required: true}}}
  note:
    table: note
    account: own
    rows: {clerk: {status: open}}
    search: [status]
    fields: {status: {type: string(20)}}
  memo: {table: memo, account: own, fields: {text: {type: string(20)}}}
"""


@pytest.fixture
async def town(database_url: str) -> AsyncIterator[Town]:
    """The shipped registry."""
    async with settled(database_url) as made:
        yield made


async def make(client: Client, *scopes: str, **more: Any) -> Reply:
    """Try to make a key."""
    return await client.send("POST", KEYS, {"name": "robot", "scopes": list(scopes), **more})


async def listed(client: Client) -> list[dict[str, Any]]:
    """A caller's keys."""
    reply = await client.get(KEYS)
    assert reply.status == 200, reply
    return list(reply.data)


async def test_a_key_is_shown_once_opens_what_it_says_and_is_refused_when_it_is_revoked(town: Town) -> None:
    admin = town.minted()
    made = await make(admin, "journal:read")
    assert (made.status, made.header("cache-control")) == (201, "no-store")
    assert made.data["key"].startswith(f"{made.data['id']}.")
    assert made.data["account_id"] == town.accounts["a"]
    robot = town.client({"X-API-Key": made.data["key"]})
    assert (await robot.get("/v3/crud/journal/")).status == 200
    assert (await robot.send("POST", "/v3/crud/journal/", {"name": "x"})).status == 403
    assert (await robot.get("/v3/crud/user/")).status == 404
    assert (await robot.get(KEYS)).status == 403
    (told,) = await listed(admin)
    assert {name: value for name, value in made.data.items() if name != "key"} == {**told, "last_used_on": None}
    assert made.data["key"].partition(".")[2] not in json.dumps(told)
    gone = await admin.send("DELETE", f"{KEYS}/{made.data['id']}")
    assert (gone.status, gone.body) == (204, b"")
    assert (await robot.get("/v3/crud/journal/")).status == 401
    (told,) = await listed(admin)
    assert told["revoked_on"] is not None


async def test_a_key_ends_when_it_was_said_to(town: Town) -> None:
    admin = town.minted()
    ends = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    made = await make(admin, "journal:read", expires_on=ends)
    assert made.data["expires_on"].endswith("Z")
    robot = town.client({"X-API-Key": made.data["key"]})
    assert (await robot.get("/v3/crud/journal/")).status == 200
    await town.execute("UPDATE aether_api_key SET expires_on = ?", "2026-01-01 00:00:00.000000")
    assert (await robot.get("/v3/crud/journal/")).status == 401
    for text, code in (
        ("2020-01-01T00:00:00Z", "out-of-range"),
        ("tomorrow", "type-mismatch"),
        ("2030-01-01T00:00:00", "type-mismatch"),
    ):
        refused = await make(admin, "journal:read", expires_on=text)
        assert refused.status == 422, text
        assert [(one["pointer"], one["code"]) for one in refused.json["errors"]] == [("/expires_on", code)]


async def test_keys_of_another_account_are_like_keys_that_do_not_exist(town: Town) -> None:
    ours, theirs = town.minted("a"), town.minted("b")
    made = await make(theirs, "journal:read")
    foreign = await ours.send("DELETE", f"{KEYS}/{made.data['id']}")
    unknown = await ours.send("DELETE", f"{KEYS}/{new_public_id()}")
    assert foreign.status == 404
    assert alike(foreign) == alike(unknown)
    for text in ("x", "1", "%27", made.data["key"]):
        assert (await ours.send("DELETE", f"{KEYS}/{text}")).status == 404
    assert await listed(ours) == []
    assert (await town.client({"X-API-Key": made.data["key"]}).get("/v3/crud/journal/")).status == 200


async def test_a_key_is_for_the_one_account_that_its_maker_has_or_picks(town: Town) -> None:
    both = list(town.accounts.values())
    token = mint_token(town.app.settings, accounts=both, roles=["admin"])
    of_both = town.client({"Authorization": f"Bearer {token}"})
    refused = await make(of_both, "journal:read")
    assert (refused.status, refused.json["errors"][0]["header"]) == (422, "X-Account-Id")
    for letter, public_id in town.accounts.items():
        made = await make(of_both.with_headers(X_Account_Id=public_id), "journal:read")
        assert made.data["account_id"] == public_id
        assert [one["id"] for one in await listed(town.minted(letter))] == [made.data["id"]]
    assert {one["account_id"] for one in await listed(of_both)} == set(both)
    assert (await make(town.operator(), "journal:read")).status == 422
    assert (await make(town.operator("a"), "journal:read")).data["account_id"] == town.accounts["a"]
    assert len(await listed(town.operator())) == 3
    token = mint_token(town.app.settings, scopes=["action:api_key", "journal:read"])
    nowhere = town.client({"Authorization": f"Bearer {token}"})
    assert [(await make(nowhere, "journal:read")).status, (await nowhere.get(KEYS)).status] == [403, 403]


@pytest.mark.parametrize(
    ("has", "wants", "may"),
    [
        (["journal:read"], ["journal:read"], True),
        (["journal:read"], ["journal:create"], False),
        (["journal:read"], ["*:read"], False),
        (["*:read"], ["journal:read", "*:read"], True),
        (["journal:write"], ["journal:create", "journal:update", "journal:delete", "journal:write"], True),
        (["journal:create", "journal:update", "journal:delete"], ["journal:write"], True),
        (["journal:create", "journal:update"], ["journal:write"], False),
        (["journal:read", "journal:write"], ["journal:*"], False),
        (["journal:read", "journal:write", "journal:delete_hard"], ["journal:*"], True),
        (["journal:write"], ["journal:delete_hard"], False),
        (["*:read", "*:write"], ["*:*"], False),
        (["*:*"], ["*:*", "journal:*", "user:delete_hard"], True),
        (["*:*"], ["meta:explain"], False),
        (["*:*"], ["action:*"], False),
        (["meta:*", "*:read"], ["meta:explain", "meta:*"], True),
        (["journal:read"], ["action:api_key"], True),
        (["journal:read"], ["action:journal_summary"], False),
        (["*:*"], ["spaceship:read"], False),
    ],
)
async def test_a_key_opens_no_more_than_its_maker_may_do(
    town: Town, has: list[str], wants: list[str], may: bool
) -> None:
    maker = town.minted(scopes=[*has, "action:api_key"])
    reply = await make(maker, *wants)
    assert reply.status == (201 if may else 403), reply
    if not may:
        assert reply.json["errors"][-1]["pointer"].startswith("/scopes/")
        assert await town.fetch("SELECT id FROM aether_api_key") == []


@pytest.mark.parametrize(
    "scope", ["", "journal", "journal:", ":read", "journal:reed", "*:", "JOURNAL:read", "a b:read", "x" * 199 + ":"]
)
async def test_what_is_no_scope_is_said_to_be_none(town: Town, scope: str) -> None:
    reply = await make(town.minted(), "journal:read", scope)
    assert (reply.status, reply.json["errors"][0]["pointer"]) == (422, "/scopes/1")


@pytest.mark.parametrize(
    "body",
    [
        {"name": "", "scopes": ["journal:read"]},
        {"name": "n", "scopes": []},
        {"name": "n"},
        {"name": "n", "scopes": "journal:read"},
        {"name": "n", "scopes": ["journal:read"], "roles": ["admin"]},
        {"name": "n" * 201, "scopes": ["journal:read"]},
        {"name": "n", "scopes": ["journal:read"], "account_id": "x"},
    ],
)
async def test_a_body_that_is_not_whole_or_says_more_makes_no_key(town: Town, body: dict[str, Any]) -> None:
    reply = await town.minted().send("POST", KEYS, body)
    assert reply.status == 422, reply
    assert await town.fetch("SELECT id FROM aether_api_key") == []


async def test_keys_are_for_those_alone_who_have_the_scope_for_it(town: Town) -> None:
    made = await make(town.minted(), "*:read")
    callers = [
        town.minted(scopes=["*:*", "meta:*"]),
        town.minted(roles=["editor"]),
        town.client({"X-API-Key": made.data["key"]}),
    ]
    for caller in callers:
        refused = [
            await make(caller, "journal:read"),
            await caller.get(KEYS),
            await caller.send("DELETE", f"{KEYS}/{made.data['id']}"),
        ]
        assert [one.status for one in refused] == [403, 403, 403]
    nobody = town.client()
    assert [(await make(nobody, "journal:read")).status, (await nobody.get(KEYS)).status] == [401, 401]
    assert len(await town.fetch("SELECT id FROM aether_api_key WHERE revoked_on IS NULL")) == 1


async def test_making_and_revoking_are_log_lines_that_name_key_and_maker(town: Town) -> None:
    admin = town.minted()
    made = await make(admin, "journal:read")
    await admin.send("DELETE", f"{KEYS}/{made.data['id']}")
    lines = [json.loads(line) for line in town.app.read_log()]
    events = [(one["event"], one["key"]) for one in lines if "key" in one]
    assert events == [("an API key was made", made.data["id"]), ("an API key was revoked", made.data["id"])]


async def test_what_a_row_rule_narrows_is_not_its_holders_to_give(sqlite_url: str, tmp_path: Path) -> None:
    registry = tmp_path / "resources.yaml"
    registry.write_text(RULED, encoding="utf-8")
    async with settled(sqlite_url, registry) as town:
        clerk, lead = town.minted(roles=["clerk"]), town.minted(roles=["lead"])
        both = town.minted(roles=["clerk", "lead"])
        assert (await make(clerk, "memo:*")).status == 201
        for scope in ("note:read", "note:write", "note:create"):
            assert (await make(clerk, scope)).status == 403, scope
            assert (await make(lead, scope)).status == 201, scope
            assert (await make(both, scope)).status == 201, scope
        everything = town.minted(roles=["clerk"], scopes=["*:read"])
        assert (await make(everything, "*:read")).status == 403
        assert (await make(everything, "memo:read", "account:read")).status == 201
