"""Actions that do several things at once: one transaction, one announcement, and values that only code may set."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from engine.auth.mint import mint_token
from engine.io.changes import Change
from engine.io.database import open_database
from engine.io.seed import seed
from engine.main import prepare as prepare_engine
from tests.support.serving import Client, make_settings, prepare, running

REGISTRY = """\
version: 1
types:
  account:
    table: account
    account: self
    display: "{name}"
    search: [name]
    fields: {name: {type: string(100), required: true}}
  purse:
    table: purse
    account: own
    display: "{name}"
    search: [name]
    fields:
      name: {type: string(100), required: true, unique: true}
      coins: {type: integer, min: 0, default: 0}
      stamp: {type: string(20), readonly: true}
"""
DATA = """\
account:
  ours: {id: ourAccount_12345, name: Ours}
purse:
  left: {id: leftPurse_123456, account_id: "@ours", name: left, coins: 10}
  right: {id: rightPurse_12345, account_id: "@ours", name: right}
"""
ACTION = '''\
"""Coins from one purse to another."""

from typing import Any

from engine import Caller, Conflict, Response, action, envelope


@action("POST", "purse/pay", name="purse_pay", title="Pay", scope="default")
async def pay(body: dict[str, Any], caller: Caller) -> Response:
    """Move coins, and write it down under a new name."""

    async def work(inside: Caller) -> Any:
        source = await inside.get("purse", body["from"], hold=True)
        target = await inside.get("purse", body["to"], hold=True)
        await inside.update("purse", target["id"], {"coins": target["coins"] + body["coins"]})
        note = await inside.create("purse", {"name": body["note"]}, further={"stamp": "stamped"})
        seen = await inside.search("purse", {"count": "exact"})
        try:
            await inside.update("purse", source["id"], {"coins": source["coins"] - body["coins"]})
        except Exception:
            if not body.get("forgive"):
                raise
        return {"note": note, "purses": seen.meta["total"]}

    return envelope(await caller.transact(work))
'''


@pytest.fixture
async def stage(database_url: str, tmp_path: Path) -> AsyncIterator[tuple[Client, asyncio.Queue[Change]]]:
    """A client of a server with the action, and every change that is announced."""
    (tmp_path / "actions").mkdir()
    (tmp_path / "actions" / "purse.py").write_text(ACTION, encoding="utf-8")
    (tmp_path / "data.yaml").write_text(DATA, encoding="utf-8")
    registry = tmp_path / "resources.yaml"
    registry.write_text(REGISTRY, encoding="utf-8")
    settings = make_settings(database_url, registry)
    await prepare(settings)
    database = open_database(settings)
    await seed(database, (await prepare_engine(settings)).registry, tmp_path / "data.yaml")
    await database.close()
    announced: asyncio.Queue[Change] = asyncio.Queue()

    async with running(settings) as app:
        app.engine.changes.subscribe("test", announced.put)
        token = mint_token(
            settings,
            user="somebody_12345",
            accounts=["ourAccount_12345"],
            scopes=["purse:read", "purse:write", "action:*"],
        )
        yield Client(app.engine.application, headers={"Authorization": f"Bearer {token}"}), announced


async def purses(client: Client) -> dict[str, int]:
    """Coins by name."""
    return {one["name"]: one["coins"] for one in (await client.get("/v3/crud/purse/")).data}


def payment(coins: int, note: str, **more: Any) -> dict[str, Any]:
    """The body of a payment."""
    return {"from": "leftPurse_123456", "to": "rightPurse_12345", "coins": coins, "note": note, **more}


async def test_the_writes_of_a_transaction_see_one_another_and_are_announced_together(stage: Any) -> None:
    client, announced = stage
    reply = await client.send("POST", "/v3/action/purse/pay", payment(4, "first"))
    assert reply.status == 200
    assert (reply.data["purses"], reply.data["note"]["stamp"]) == (3, "stamped")
    assert await purses(client) == {"left": 6, "right": 4, "first": 0}
    heard = [await asyncio.wait_for(announced.get(), 10) for _ in range(3)]
    assert [change.verb for change in heard] == ["update", "create", "update"]


async def test_a_refused_write_undoes_those_before_it_and_announces_nothing(stage: Any) -> None:
    client, announced = stage
    reply = await client.send("POST", "/v3/action/purse/pay", payment(11, "too much"))
    assert reply.status == 422
    assert reply.json["errors"][0]["pointer"] == "/coins"
    assert await purses(client) == {"left": 10, "right": 0}
    await client.send("POST", "/v3/crud/purse/", {"name": "last"})
    assert (await asyncio.wait_for(announced.get(), 10)).verb == "create", "nothing was announced before it"
    assert announced.empty()


async def test_a_refusal_that_the_action_swallows_undoes_them_all_the_same(stage: Any) -> None:
    client, announced = stage
    reply = await client.send("POST", "/v3/action/purse/pay", payment(11, "too much", forgive=True))
    assert reply.status == 422
    assert await purses(client) == {"left": 10, "right": 0}
    await client.send("POST", "/v3/crud/purse/", {"name": "last"})
    assert (await asyncio.wait_for(announced.get(), 10)).verb == "create", "nothing was announced before it"
    assert announced.empty()


async def test_payments_at_once_lose_no_coin(stage: Any) -> None:
    client, _ = stage
    replies = await asyncio.gather(
        *(client.send("POST", "/v3/action/purse/pay", payment(2, f"note {number}")) for number in range(8))
    )
    assert sorted(reply.status for reply in replies) == [200] * 5 + [422] * 3
    left = await purses(client)
    assert (left["left"], left["right"]) == (0, 10)


async def test_what_only_code_may_set_is_refused_from_outside(stage: Any) -> None:
    client, _ = stage
    reply = await client.send("POST", "/v3/crud/purse/", {"name": "mine", "stamp": "forged"})
    assert (reply.status, reply.json["errors"][0]["code"]) == (422, "read-only")
