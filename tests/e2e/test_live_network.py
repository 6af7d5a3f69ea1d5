"""Following changes over the network: real clients, two server processes, a Redis that is killed in the middle."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from engine.auth.mint import mint_token
from engine.language.ids import new_public_id
from engine.settings import Settings
from tests.support.live import fold
from tests.support.redis_server import RedisServer, redis_server
from tests.support.serving import ROOT, ServerProcess, make_settings, prepare, serving

MODEL = ROOT / "tests" / "data" / "model" / "resources.yaml"
PATIENCE_S = 20.0


@dataclass
class Site:
    """Server processes on one database, and an account."""

    settings: Settings
    servers: list[ServerProcess]
    headers: dict[str, str]
    account: str

    async def send(self, method: str, path: str, body: object = None, *, server: int = 0) -> Any:
        async with httpx.AsyncClient(base_url=self.servers[server].base, headers=self.headers, timeout=30) as client:
            reply = await client.request(method, f"/v3/crud/{path}", json=body)
            assert reply.status_code < 300, reply.text
            return reply.json()["data"] if reply.content else None

    @asynccontextmanager
    async def socket(self, server: int = 0, **more: Any) -> AsyncIterator[ClientConnection]:
        url = self.servers[server].base.replace("http", "ws") + "/v3/live"
        async with connect(url, additional_headers=more.pop("headers", self.headers), **more) as socket:
            yield socket


async def read(socket: ClientConnection) -> dict[str, Any]:
    return dict(json.loads(await asyncio.wait_for(socket.recv(), PATIENCE_S)))


async def subscribe(socket: ClientConnection, obj_type: str, **more: Any) -> dict[str, Any]:
    await socket.send(json.dumps({"type": "subscribe", "uid": "1", "obj_type": obj_type, **more}))
    return await read(socket)


async def open_site(settings: Settings, servers: list[ServerProcess]) -> Site:
    operator = mint_token(settings, user=new_public_id(), is_operator=True)
    async with httpx.AsyncClient(base_url=servers[0].base, timeout=30) as client:
        reply = await client.post(
            "/v3/crud/account/", json={"name": "a"}, headers={"Authorization": f"Bearer {operator}"}
        )
    account = reply.json()["data"]["id"]
    token = mint_token(settings, user=new_public_id(), accounts=[account], roles=["admin"])
    return Site(settings, servers, {"Authorization": f"Bearer {token}"}, account)


@pytest.fixture
async def alone(sqlite_url: str, tmp_path: Path) -> AsyncIterator[Site]:
    """One process without Redis."""
    settings = make_settings(sqlite_url, MODEL)
    await prepare(settings)
    with serving(
        settings, tmp_path, environment={"AETHER_LIVE_IDLE_S": "4", "AETHER_LIVE_FRAME_BYTES": "2048"}
    ) as server:
        yield await open_site(settings, [server])


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as server:
        yield server


@pytest.fixture
async def two(database_url: str, tmp_path: Path, own_redis: RedisServer) -> AsyncIterator[Site]:
    """Two processes and a Redis between them."""
    settings = make_settings(database_url, MODEL)
    await prepare(settings)
    more = {"AETHER_REDIS_URL": own_redis.url}
    with serving(settings, tmp_path, environment=more) as one, serving(settings, tmp_path, environment=more) as other:
        yield await open_site(settings, [one, other])


# ---------------------------------------------------------------- one process


async def test_a_first_frame_says_who_one_is_where_headers_cannot(alone: Site) -> None:
    token = alone.headers["Authorization"].removeprefix("Bearer ")
    async with alone.socket(headers={}) as socket:
        await socket.send(json.dumps({"type": "auth", "token": token}))
        assert (await subscribe(socket, "author"))["type"] == "subscribed"
        made = await alone.send("POST", "author/", {"name": "Ann"})
        entered = await read(socket)
        assert (entered["type"], entered["id"], entered["data"]["name"]) == ("enter", made["id"], "Ann")


async def test_who_says_nothing_is_hung_up_on_after_five_seconds(alone: Site) -> None:
    async with alone.socket(headers={}) as socket:
        with pytest.raises(ConnectionClosed) as closed:
            await read(socket)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4401


async def test_a_frame_that_is_too_large_ends_the_connection(alone: Site) -> None:
    async with alone.socket() as socket:
        await socket.send(json.dumps({"type": "subscribe", "uid": "1", "obj_type": "author" + "x" * 3000}))
        with pytest.raises(ConnectionClosed) as closed:
            await read(socket)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4413


async def test_silence_ends_the_connection_and_pongs_are_no_silence(alone: Site) -> None:
    async with alone.socket() as talking:
        reader, writer = await asyncio.open_connection("127.0.0.1", alone.servers[0].port)
        key = alone.headers["Authorization"]
        writer.write(
            f"GET /v3/live HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nAuthorization: {key}\r\n\r\n"
            .encode()
        )  # fmt: skip
        head = await reader.readuntil(b"\r\n\r\n")
        assert b" 101 " in head
        ping = await asyncio.wait_for(reader.readexactly(2 + 4), PATIENCE_S)
        assert ping[0] == 0x89
        closing = await asyncio.wait_for(reader.readexactly(4), PATIENCE_S)
        assert (closing[0], int.from_bytes(closing[2:4])) == (0x88, 4408)
        writer.close()
        # The other has answered all the while.
        await talking.send('{"type": "ping"}')
        assert (await read(talking)) == {"type": "pong"}


async def test_pages_of_other_origins_are_not_let_in(alone: Site) -> None:
    for origin in ("https://evil.test", "null", "https://127.0.0.1.evil.test"):
        with pytest.raises(InvalidStatus) as refused:
            async with alone.socket(origin=origin):
                pass
        assert refused.value.response.status_code == 403
    async with alone.socket(origin=alone.servers[0].base) as socket:
        assert (await subscribe(socket, "author"))["type"] == "subscribed"


async def test_an_upgrade_elsewhere_is_a_plain_request(alone: Site) -> None:
    url = alone.servers[0].base.replace("http", "ws") + "/v3/crud/author/"
    with pytest.raises(InvalidStatus) as refused:
        async with connect(url, additional_headers=alone.headers):
            pass
    assert refused.value.response.status_code == 200


async def test_events_tell_the_same_as_a_websocket(alone: Site) -> None:
    async with events(alone, {"obj_type": "author", "search": json.dumps({"fields": ["name"]})}) as (reply, lines):
        assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert reply.headers["x-accel-buffering"] == "no"
        assert "no-store" in reply.headers["cache-control"]
        first = await event(lines)
        assert first["event"] == "subscribed"
        made = await alone.send("POST", "author/", {"name": "Ann"})
        entered = await event(lines)
        data = json.loads(entered["data"])
        assert entered["event"] == data["type"] == "enter"
        assert entered["id"] == data["token"]
        assert data["data"] == {"id": made["id"], "name": "Ann"}
    changed = await alone.send("PATCH", f"author/{made['id']}", {"name": "Bea"})
    assert changed["name"] == "Bea"
    again = {**alone.headers, "Last-Event-ID": entered["id"]}
    async with events(alone, {"obj_type": "author"}, headers=again) as (_, lines):
        assert (await event(lines))["event"] == "subscribed"
        missed = await event(lines)
        assert missed["event"] == "update"
        assert json.loads(missed["data"])["data"]["name"] == "Bea"


async def test_events_are_refused_as_requests_are(alone: Site) -> None:
    async with httpx.AsyncClient(base_url=alone.servers[0].base, timeout=30) as client:
        path = "/v3/live/events"
        token = alone.headers["Authorization"].removeprefix("Bearer ")
        assert (await client.get(path, params={"obj_type": "author"})).status_code == 401
        assert (await client.get(path, params={"obj_type": "author", "token": token})).status_code == 401
        known = {"headers": alone.headers}
        assert (await client.get(path, params={"obj_type": "nothing"}, **known)).status_code == 404
        assert (await client.get(path, params={"obj_type": "author", "x": "1"}, **known)).status_code == 400
        bad = await client.get(path, params={"obj_type": "author", "search": "{"}, **known)
        assert (bad.status_code, bad.json()["errors"][0]["parameter"]) == (400, "search")
        wrong = await client.get(path, params={"obj_type": "author", "search": '{"filter": {"no": 1}}'}, **known)
        assert (wrong.status_code, wrong.json()["errors"][0]["parameter"]) == (422, "search")
        posted = await client.post(path, **known)
        assert (posted.status_code, posted.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
        head = await client.head(path, params={"obj_type": "author"}, **known)
        assert (head.status_code, head.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")


async def test_a_server_that_stops_says_so_and_stops_in_time(sqlite_url: str, tmp_path: Path) -> None:
    settings = make_settings(sqlite_url, MODEL)
    await prepare(settings)
    with serving(settings, tmp_path) as server:
        site = await open_site(settings, [server])
        async with site.socket() as socket, events(site, {"obj_type": "author"}) as (_, lines):
            await subscribe(socket, "author")
            await event(lines)
            server.process.terminate()
            with pytest.raises(ConnectionClosed) as closed:
                await read(socket)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code in (1001, 1012)
            last = await event(lines)
            assert (last["event"], json.loads(last["data"])["code"]) == ("close", 1001)
        await asyncio.to_thread(server.process.wait, 8)


# ---------------------------------------------------------------- two processes


async def test_what_one_process_writes_is_told_by_the_other(two: Site) -> None:
    async with two.socket(1) as socket:
        first = await subscribe(socket, "author", search={"fields": ["name"]})
        assert first["type"] == "subscribed"
        made = [await two.send("POST", "author/", {"name": f"n{number}"}, server=number % 2) for number in range(10)]
        told = [await read(socket) for _ in range(10)]
        assert [frame["type"] for frame in told] == ["enter"] * 10
        assert [frame["id"] for frame in told] == [one["id"] for one in made]
        assert len({frame["token"] for frame in told}) == 10
    await two.send("PATCH", f"author/{made[0]['id']}", {"name": "later"}, server=0)
    # The token is good at the other process as well, and on the other kind of connection.
    again = {**two.headers, "Last-Event-ID": told[7]["token"]}
    async with events(two, {"obj_type": "author"}, headers=again, server=0) as (_, lines):
        assert (await event(lines))["event"] == "subscribed"
        missed = [await event(lines) for _ in range(3)]
        assert [one["event"] for one in missed] == ["enter", "enter", "update"]
        assert json.loads(missed[-1]["data"])["data"]["name"] == "later"


async def test_a_token_that_is_none_says_that_one_has_to_look_again(two: Site) -> None:
    async with two.socket(0) as socket:
        first = await subscribe(socket, "author")
        altered = first["token"][:-2] + ("AA" if not first["token"].endswith("AA") else "BB")
        for number, token in enumerate((altered, "l1.x", "", "nonsense")):
            await socket.send(
                json.dumps({"type": "subscribe", "uid": f"u{number}", "obj_type": "author", "since": token})
            )
            assert (await read(socket))["type"] == "subscribed"
            assert (await read(socket))["type"] == "resync"


async def test_with_redis_killed_in_the_middle_nothing_is_missed_in_silence(two: Site, own_redis: RedisServer) -> None:
    """Two writers, two followers: what each makes of his frames is what is there, looking again when told to."""
    known: list[dict[str, Any]] = [{}, {}]
    counts: list[dict[str, int]] = [{}, {}]

    async def follow(number: int, is_over: asyncio.Event) -> None:
        async with two.socket(number) as socket:
            await subscribe(socket, "author", search={"fields": ["name"]})
            ready[number].set()
            while True:
                frame = await read(socket)
                if frame["type"] == "resync":
                    found = await two.send("POST", "author/search", {"fields": ["name"], "limit": 1000}, server=number)
                    known[number] = {row["id"]: row for row in found}
                else:
                    fold(known[number], [frame])
                counts[number][frame["type"]] = counts[number].get(frame["type"], 0) + 1
                begun[number].set()
                if is_over.is_set() and frame.get("data", {}).get("name") == "the last":
                    lasts[number].set()

    async def write(server: int) -> None:
        for number in range(40):
            made = await two.send("POST", "author/", {"name": f"w{server}-{number}"}, server=server)
            await two.send("PATCH", f"author/{made['id']}", {"name": f"x{server}-{number}"}, server=server)
            if number % 3 == 0:
                await two.send("DELETE", f"author/{made['id']}", server=server)

    ready = [asyncio.Event(), asyncio.Event()]
    begun = [asyncio.Event(), asyncio.Event()]
    lasts = [asyncio.Event(), asyncio.Event()]
    is_over = asyncio.Event()
    followers = [asyncio.create_task(follow(number, is_over)) for number in (0, 1)]
    async with asyncio.timeout(90):
        for one in ready:
            await one.wait()
        writers = [asyncio.create_task(write(server)) for server in (0, 1)]
        for one in begun:
            await one.wait()
        await asyncio.to_thread(own_redis.stop)
        await asyncio.gather(*writers)
        await asyncio.to_thread(own_redis.start)
        is_over.set()
        # Until both have heard of it: while Redis is coming back, only one of them may.
        while not all(one.is_set() for one in lasts):
            await two.send("POST", "author/", {"name": "the last"}, server=0)
            await asyncio.sleep(0.2)
        for follower in followers:
            follower.cancel()
        assert [type(one) for one in await asyncio.gather(*followers, return_exceptions=True)] == [
            asyncio.CancelledError,
            asyncio.CancelledError,
        ]
    found = await two.send("POST", "author/search", {"fields": ["name"], "limit": 1000})
    now = {row["id"]: row["name"] for row in found if row["name"] != "the last"}
    for number in (0, 1):
        seen = {public_id: row["name"] for public_id, row in known[number].items() if row["name"] != "the last"}
        assert seen == now
        assert counts[number].get("resync", 0) >= 1


# ---------------------------------------------------------------- a reader of events


@asynccontextmanager
async def events(
    site: Site, params: dict[str, str], *, headers: dict[str, str] | None = None, server: int = 0
) -> AsyncIterator[tuple[httpx.Response, AsyncIterator[str]]]:
    async with (
        httpx.AsyncClient(base_url=site.servers[server].base, timeout=httpx.Timeout(30)) as client,
        client.stream("GET", "/v3/live/events", params=params, headers=headers or site.headers) as reply,
    ):
        assert reply.status_code == 200, await reply.aread()
        yield reply, reply.aiter_lines()


async def event(lines: AsyncIterator[str]) -> dict[str, str]:
    """The next event, as a browser reads it; comments mean nothing."""
    read_: dict[str, str] = {}
    async with asyncio.timeout(PATIENCE_S):
        async for line in lines:
            if not line and read_:
                return read_
            name, colon, value = line.partition(":")
            if name and colon:
                read_[name] = value.removeprefix(" ")
    raise EOFError
