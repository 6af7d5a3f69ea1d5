"""Changes of one row that are published in another order than they were committed still end as they did."""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import Any

import pytest

from engine.auth.mint import mint_token
from engine.execute.live import Hub
from engine.execute.subscriptions import Told
from engine.io.changes import Changes
from engine.io.live_entries import RowChange
from engine.io.streams import LocalStream
from engine.language.ids import new_public_id
from engine.language.live import Subscribe
from engine.language.search import parse_search
from engine.principal import Account, Principal
from tests.support.live import fold, following
from tests.support.serving import ROOT, Client, make_settings, prepare, running

MODEL = ROOT / "tests" / "data" / "model" / "resources.yaml"


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
async def test_whatever_the_order_the_end_is_right(sqlite_url: str, order: tuple[int, ...]) -> None:
    settings = make_settings(sqlite_url, MODEL)
    await prepare(settings)
    async with running(settings) as app:
        runtime = app.engine.runtime
        operator = mint_token(settings, user=new_public_id(), is_operator=True)
        client = Client(app.engine.application, "operator", {"Authorization": f"Bearer {operator}"})
        account = (await client.send("POST", "/v3/crud/account/", {"name": "a"})).data["id"]
        owner = client.with_headers(X_Account_Id=account)
        written: list[RowChange] = []
        taken = runtime.changes.row_sink
        async with following(app.engine.application, owner.headers) as follower:
            # Somebody follows, so that images are taken; they are told here in another order.
            await follower.subscribe("author")
            runtime.changes.row_sink = written.extend
            author = (await owner.send("POST", "/v3/crud/author/", {"name": "n", "active": False})).data["id"]
            for active in (True, False, True):
                await owner.send("PATCH", f"/v3/crud/author/{author}", {"active": active})
            runtime.changes.row_sink = taken
        first, *changes = written
        stream = LocalStream(Changes(), "d")
        hub = Hub(runtime, stream, key=b"k" * 32)
        hub.start()
        told: list[dict[str, Any]] = []
        has_come = asyncio.Event()

        def deliver(one: Told) -> None:
            told.append(json.loads(one.frame))
            has_come.set()

        account_row = first.account_row_id
        assert account_row is not None
        principal = Principal("user", "u" * 22, (Account(account_row, account),), scopes=frozenset({"*:read"}))
        search = parse_search({"filter": {"active": True}, "fields": ["active"]})
        await hub.follow(Subscribe("1", "author", None, search), principal, deliver, lambda problem: None)
        await hub.follow(Subscribe("2", "author"), principal, deliver, lambda problem: None)
        for index in order:
            stream.publish([changes[index]])
        async with asyncio.timeout(10):
            while sum(frame["uid"] == "2" and frame["type"] != "subscribed" for frame in told) < len(changes):
                has_come.clear()
                await has_come.wait()
        known: dict[str, Any] = {}
        fold(known, [frame for frame in told if frame["uid"] == "1"])
        assert known == {author: {"id": author, "active": True}}
        await hub.close()
