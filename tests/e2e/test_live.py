"""Following changes over a websocket, in this process: what is told of which write, to whom, in which words."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from engine.auth.mint import mint_token
from engine.language.ids import new_public_id
from tests.support.live import Closed, Follower, following
from tests.support.serving import ROOT, Client, Running, make_settings, prepare, running

MODEL = ROOT / "tests" / "data" / "model" / "resources.yaml"


@dataclass
class Ground:
    """An application with an account."""

    app: Running
    client: Client
    account: str

    async def make(self, path: str, **values: object) -> str:
        reply = await self.client.send("POST", f"/v3/crud/{path}/", values)
        assert reply.status == 201, str(reply)
        return str(reply.data["id"])

    async def send(self, method: str, path: str, body: object = None) -> Any:
        reply = await self.client.send(method, f"/v3/crud/{path}", body)
        assert reply.status < 300, str(reply)
        return reply

    def token(self, **claims: Any) -> str:
        given = {"accounts": [self.account], "roles": ["admin"], **claims}
        return mint_token(self.app.settings, user=new_public_id(), **given)

    def follow(self, **claims: Any) -> Any:
        return following(self.app.engine.application, {"Authorization": f"Bearer {self.token(**claims)}"})


async def new_ground(app: Running, name: str = "a") -> Ground:
    operator = mint_token(app.settings, user=new_public_id(), is_operator=True)
    client = Client(app.engine.application, "operator", {"Authorization": f"Bearer {operator}"})
    reply = await client.send("POST", "/v3/crud/account/", {"name": name})
    ground = Ground(app, client, reply.data["id"])
    ground.client = Client(app.engine.application, name, {"Authorization": f"Bearer {ground.token()}"})
    return ground


@pytest.fixture
async def ground(database_url: str) -> AsyncIterator[Ground]:
    settings = make_settings(database_url, MODEL)
    await prepare(settings)
    async with running(settings) as app:
        yield await new_ground(app)


async def test_each_write_is_told_as_what_it_does_to_the_answer(ground: Ground) -> None:
    shelf = await ground.make("shelf", label="s")
    async with ground.follow() as follower:
        first = await follower.subscribe("book", {"filter": {"mood": "loud"}, "fields": ["title", "mood"]})
        assert first["type"] == "subscribed"
        assert first["uid"] == "1"
        book = await ground.make(f"shelf/{shelf}/book", title="t", mood="calm")
        await ground.send("PATCH", f"book/{book}", {"mood": "loud"})
        entered = await follower.receive()
        assert {key: entered[key] for key in entered if key != "token"} == {
            "type": "enter", "uid": "1", "id": book, "data": {"id": book, "title": "t", "mood": "loud"},
        }  # fmt: skip
        await ground.send("PATCH", f"book/{book}", {"title": "u"})
        updated = await follower.receive()
        assert (updated["type"], updated["data"]["title"]) == ("update", "u")
        await ground.send("PATCH", f"book/{book}", {"mood": "odd"})
        left = await follower.receive()
        assert {key: left[key] for key in left if key != "token"} == {"type": "leave", "uid": "1", "id": book}
        await ground.send("PATCH", f"book/{book}", {"mood": "loud"})
        assert (await follower.receive())["type"] == "enter"
        await ground.send("DELETE", f"book/{book}")
        gone = await follower.receive()
        assert {key: gone[key] for key in gone if key != "token"} == {"type": "delete", "uid": "1", "id": book}
        await ground.send("POST", f"book/{book}/restore")
        assert (await follower.receive())["type"] == "enter"


async def test_who_is_not_known_is_hung_up_on(ground: Ground) -> None:
    async with following(ground.app.engine.application, {"Authorization": "Bearer nonsense"}) as follower:
        with pytest.raises(Closed) as closed:
            await follower.receive()
        assert closed.value.code == 4401


__all__ = ["Follower"]
