"""Following changes over a websocket, in this process: what is told of which write, to whom, in which words."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import anyio
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


async def settle(ground: Ground, follower: Follower) -> list[dict[str, Any]]:
    """Everything that was told of what has been written so far."""
    async with ground.follow() as last:
        await last.subscribe("author", {"filter": {"name": "the last"}})
        await ground.make("author", name="the last")
        await last.receive()
    before = len(follower.frames)
    await follower.send({"type": "ping"})
    while (await follower.receive())["type"] != "pong":
        pass
    return follower.frames[before:-1]


def kinds(frames: list[dict[str, Any]]) -> list[str]:
    return [frame["type"] for frame in frames]


async def test_a_row_that_moves_leaves_one_parent_and_enters_the_other(ground: Ground) -> None:
    one, other = await ground.make("shelf", label="one"), await ground.make("shelf", label="other")
    book = await ground.make(f"shelf/{one}/book", title="t")
    async with ground.follow() as first, ground.follow() as second:
        await first.subscribe("book", parent={"type": "shelf", "id": one})
        await second.subscribe("book", parent={"type": "shelf", "id": other})
        await ground.send("POST", f"book/{book}/move", {"parent": {"type": "shelf", "id": other}})
        left = await first.receive()
        assert (left["type"], left["id"], "data" in left) == ("leave", book, False)
        entered = await second.receive()
        assert (entered["type"], entered["data"]["shelf_id"]) == ("enter", other)
        await ground.send("PATCH", f"book/{book}", {"title": "u"})
        assert kinds(await settle(ground, first)) == []


async def test_a_parent_that_goes_takes_its_rows_and_then_the_subscription(ground: Ground) -> None:
    shelf = await ground.make("shelf", label="s")
    book = await ground.make(f"shelf/{shelf}/book", title="t")
    async with ground.follow() as follower:
        await follower.subscribe("book", parent={"type": "shelf", "id": shelf})
        await ground.send("DELETE", f"shelf/{shelf}")
        gone, ended = await follower.receive(), await follower.receive()
        assert (gone["type"], gone["id"]) == ("delete", book)
        assert (ended["type"], ended["uid"], ended["problem"]["status"]) == ("error", "1", 404)
        await ground.send("POST", f"shelf/{shelf}/restore")
        # It has ended; its name is free again.
        again = await follower.subscribe("book", parent={"type": "shelf", "id": shelf})
        assert again["type"] == "subscribed"


async def test_what_is_not_committed_is_not_told(ground: Ground) -> None:
    await ground.make("author", name="Ann", nick="ann")
    async with ground.follow() as follower:
        await follower.subscribe("author")
        trial = await ground.client.send("POST", "/v3/crud/author/?validate_only=true", {"name": "Bea"})
        assert trial.status == 200
        refused = await ground.client.send("POST", "/v3/crud/author/", {"name": "Cee", "nick": "ann"})
        assert refused.status == 409
        wrong = await ground.client.send("POST", "/v3/crud/shelf/", {"label": "s", "book": [{"mood": "nothing"}]})
        assert wrong.status == 422
        told = await settle(ground, follower)
        assert [(frame["type"], frame["data"]["name"]) for frame in told] == [("enter", "the last")]


async def test_rows_that_one_write_makes_are_told_each_in_the_order_of_the_write(ground: Ground) -> None:
    async with ground.follow() as follower:
        await follower.subscribe("shelf", uid="s")
        await follower.subscribe("book", uid="b")
        shelf = await ground.make("shelf", label="s", book=[{"title": "1"}, {"title": "2"}])
        told = [await follower.receive() for _ in range(3)]
        assert [(frame["type"], frame["uid"]) for frame in told] == [("enter", "s"), ("enter", "b"), ("enter", "b")]
        assert [frame["data"].get("title") for frame in told[1:]] == ["1", "2"]
        body = {"label": "t", "book": {"update": [{"id": told[1]["id"], "title": "one"}], "delete": [told[2]["id"]]}}
        await ground.send("PATCH", f"shelf/{shelf}", body)
        told = [await follower.receive() for _ in range(3)]
        assert sorted((frame["type"], frame["uid"]) for frame in told) == [
            ("delete", "b"), ("update", "b"), ("update", "s"),
        ]  # fmt: skip


async def test_a_detached_child_is_told_of(ground: Ground) -> None:
    shelf = await ground.make("shelf", label="s")
    book = await ground.make(f"shelf/{shelf}/book", title="t")
    sticker = await ground.make(f"book/{book}/sticker", color="red")
    async with ground.follow() as follower:
        await follower.subscribe("sticker", {"filter": {"book_id": {"null": True}}})
        await ground.send("DELETE", f"book/{book}")
        # A parent that is deleted may take others with it that nobody names.
        assert (await follower.receive())["type"] == "resync"
        entered = await follower.receive()
        assert (entered["type"], entered["id"], entered["data"]["book_id"]) == ("enter", sticker, None)


async def test_a_change_elsewhere_that_moves_rows_says_to_look_again(ground: Ground) -> None:
    author = await ground.make("author", name="Ann", active=True)
    shelf = await ground.make("shelf", label="s")
    await ground.make(f"shelf/{shelf}/book", title="t", author_id=author)
    async with ground.follow() as follower:
        await follower.subscribe("book", {"filter": {"author.active": True}})
        await ground.send("PATCH", f"author/{author}", {"nick": "a"})
        assert kinds(await settle(ground, follower)) == ["resync"]  # a new author: "the last" of `settle`
    async with ground.follow() as follower:
        await follower.subscribe("book", {"filter": {"author.active": True}})
        await ground.send("PATCH", f"author/{author}", {"active": False})
        assert (await follower.receive())["type"] == "resync"


async def test_expands_and_computed_orders_are_those_of_a_search(ground: Ground) -> None:
    author = await ground.make("author", name="Ann")
    shelf = await ground.make("shelf", label="s", author_id=author)
    async with ground.follow() as follower:
        asked = {"fields": ["title"], "expand": ["shelf.author", "review"], "sort": ["title"], "limit": 3}
        first = await follower.subscribe("book", asked)
        assert "sort, limit" in first["warnings"][0]
        await ground.make(f"shelf/{shelf}/book", title="t", review=[{"words": "w"}])
        data = (await follower.receive())["data"]
        assert data["shelf"]["author"]["name"] == "Ann"
        assert [row["words"] for row in data["review"]["data"]] == ["w"]


async def test_values_too_large_to_be_carried_are_read_where_they_are(ground: Ground) -> None:
    shelf = await ground.make("shelf", label="s")
    large = "x" * 100_000
    async with ground.follow() as follower:
        await follower.subscribe("book", {"filter": {"mood": "loud"}, "fields": ["note"]})
        await follower.subscribe("book", {"filter": {"note": {"starts_with": "x"}}, "fields": ["id"]}, uid="2")
        book = await ground.make(f"shelf/{shelf}/book", title="t", mood="loud", note=large)
        told = {frame["uid"]: frame for frame in [await follower.receive(), await follower.receive()]}
        assert (told["1"]["type"], told["1"]["data"]["note"]) == ("enter", large)
        # Whether it was found before cannot be said.
        assert told["2"]["type"] == "resync"
        await ground.send("PATCH", f"book/{book}", {"mood": "calm"})
        left = next(frame for frame in [await follower.receive(), await follower.receive()] if frame["uid"] == "1")
        assert left["type"] == "leave"


async def test_more_connections_of_an_account_than_allowed_are_not_let_in(sqlite_url: str) -> None:
    settings = make_settings(sqlite_url, MODEL, live_sockets_per_account=2)
    await prepare(settings)
    async with running(settings) as app:
        ground = await new_ground(app)
        async with ground.follow() as one, ground.follow():
            async with ground.follow() as third:
                assert await third.closing() == 4429
            await one.close()
            async with ground.follow() as again:
                assert (await again.subscribe("author"))["type"] == "subscribed"


async def test_an_operator_follows_all_accounts_and_a_narrowed_one_his(ground: Ground) -> None:
    other = await new_ground(ground.app, "b")
    operator = mint_token(ground.app.settings, user=new_public_id(), is_operator=True)
    headers = {"Authorization": f"Bearer {operator}"}
    app = ground.app.engine.application
    async with following(app, headers) as everything, following(app, {**headers, "X-Account-Id": other.account}) as one:
        await everything.subscribe("author", {"fields": ["name", "account_id"]})
        await one.subscribe("author", {"fields": ["name"]})
        await ground.make("author", name="of a")
        await other.make("author", name="of b")
        told = [await everything.receive() for _ in range(2)]
        assert [frame["data"]["account_id"] for frame in told] == [ground.account, other.account]
        assert (await one.receive())["data"]["name"] == "of b"


async def test_newer_credentials_are_taken_from_the_same_caller_only(ground: Ground) -> None:
    user = new_public_id()
    claims = {"user": user, "accounts": [ground.account], "roles": ["admin"]}
    first, second = (mint_token(ground.app.settings, **claims, ttl_s=ttl) for ttl in (60, 120))
    async with following(ground.app.engine.application, {"Authorization": f"Bearer {first}"}) as follower:
        await follower.subscribe("author")
        await follower.send({"type": "auth", "token": second})
        await follower.send({"type": "ping"})
        assert await follower.receive() == {"type": "pong"}
        await follower.send({"type": "auth", "token": ground.token()})
        assert await follower.closing() == 4403


async def test_writes_cost_nothing_more_where_nobody_follows(ground: Ground) -> None:
    """The statements of a patch are the same in number as if there were no live changes."""
    author = await ground.make("author", name="Ann")
    database = ground.app.engine.database
    seen: list[str] = []

    def note(text: str, duration_s: float, rows: int) -> None:
        seen.append(text)

    database.on_statement = note
    await ground.send("PATCH", f"author/{author}", {"name": "Bea"})
    alone = len(seen)
    async with ground.follow() as follower:
        await follower.subscribe("author")
        seen.clear()
        await ground.send("PATCH", f"author/{author}", {"name": "Cee"})
        await follower.receive()
        assert len(seen) > alone == 2


async def test_many_writers_of_one_row_are_told_in_the_order_of_its_versions(ground: Ground) -> None:
    author = await ground.make("author", name="0")
    async with ground.follow() as follower:
        await follower.subscribe("author", {"fields": ["name", "updated_on"]})
        async with anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(ground.send, "PATCH", f"author/{author}", {"name": str(number)})
        told = [await follower.receive() for _ in range(20)]
        assert kinds(told) == ["update"] * 20
        now = (await ground.client.get(f"/v3/crud/author/{author}")).data
        assert told[-1]["data"]["name"] == now["name"]
        assert sorted(int(frame["data"]["name"]) for frame in told) == list(range(20))
