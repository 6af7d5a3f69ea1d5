"""What callers see while the database or Redis is away, and after: 503 in time, and recovery without a restart."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit

import anyio
import jwt
import pytest

from tests.support.proxy import Proxy, open_proxy
from tests.support.serving import ROOT, SECRET, Client, Running, make_settings, prepare, running

REGISTRY = ROOT / "resources.yaml"
MOST_WAIT_S = 3.0


def through(url: str, port: int) -> str:
    """The same server by way of a proxy."""
    parts = urlsplit(url)
    user = f"{parts.username}@" if parts.username else ""
    return urlunsplit(parts._replace(netloc=f"{user}127.0.0.1:{port}"))


def operator_of(app: Running) -> Client:
    """A platform operator who has been verified before and is therefore remembered."""
    claims = {
        "sub": "operator-public-id-001",
        "accounts": ["*"],
        "scopes": ["*:*"],
        "exp": int(time.time()) + 600,
    }
    token = jwt.encode(claims, SECRET, "HS256")
    return Client(app.engine.application, "operator", {"Authorization": f"Bearer {token}"})


@asynccontextmanager
async def behind_proxy(url: str, **settings: object) -> AsyncIterator[tuple[Running, Proxy]]:
    """The application with a proxy before its database."""
    await prepare(make_settings(url, REGISTRY))
    parts = urlsplit(url)
    proxied = open_proxy(parts.hostname or "127.0.0.1", parts.port or 3306)
    async with proxied as proxy, running(make_settings(through(url, proxy.port), REGISTRY, **settings)) as app:
        yield app, proxy


async def answers_again(client: Client, target: str) -> bool:
    """Whether a call succeeds within the time that a reconnect may take."""
    with anyio.move_on_after(10):
        while True:
            if (await client.get(target)).status == 200:
                return True
    return False


@pytest.mark.parametrize("fault", ["refused", "silent"])
async def test_a_database_that_is_away_is_a_503_in_time_and_comes_back_without_a_restart(
    mariadb_url: str, fault: str
) -> None:
    async with behind_proxy(mariadb_url) as (app, proxy):
        client = operator_of(app)
        first = await client.get("/v3/crud/account/")
        assert first.status == 200, app.read_log()[0]
        if fault == "refused":
            await proxy.refuse()
            proxy.cut()
        else:
            proxy.freeze()
        for method, target, body in (
            ("GET", "/v3/crud/account/", None),
            ("POST", "/v3/crud/account/search", {}),
            ("POST", "/v3/crud/account/", {"name": "Lost", "code": "lost"}),
        ):
            started = time.monotonic()
            reply = await client.send(method, target, body)
            assert reply.status == 503, reply
            assert reply.code == "unavailable"
            assert int(reply.header("retry-after") or 0) >= 1
            assert time.monotonic() - started < MOST_WAIT_S + 0.5
        assert (await client.get("/health/live")).status == 200
        ready = await client.get("/health/ready")
        assert ready.status == 503
        assert ready.json["checks"]["database"]["status"] == "unavailable"
        if fault == "refused":
            await proxy.listen()
        else:
            proxy.thaw()
        assert await answers_again(client, "/v3/crud/account/")
        assert (await client.get("/health/ready")).status == 200


async def test_without_redis_everything_works(mariadb_url: str, redis_url: str) -> None:
    parts = urlsplit(redis_url)
    proxied = open_proxy(parts.hostname or "127.0.0.1", parts.port or 6379)
    async with proxied as proxy:
        settings = {"redis_url": through(redis_url, proxy.port)}
        async with behind_proxy(mariadb_url, **settings) as (app, _):
            client = operator_of(app)
            await client.send("POST", "/v3/crud/account/", {"name": "Kept", "code": "kept"})
            await proxy.refuse()
            proxy.cut()
            account = (await client.get("/v3/crud/account/")).data[0]["id"]
            member = client.with_headers(X_Account_Id=account)
            person = await member.send("POST", "/v3/crud/person/", {"given_name": "Ada", "family_name": "Byron"})
            assert person.status == 201, person
            journal = await member.send("POST", "/v3/crud/journal/", {"name": "Notes", "person_id": person.data["id"]})
            assert journal.status == 201, journal
            assert (await member.get(f"/v3/crud/journal/{journal.data['id']}?expand=person")).data["person"]
            ready = await client.get("/health/ready")
            assert ready.json["checks"]["cache"]["status"] == "unavailable"
            assert ready.status == 200, "a process that serves must not be taken out of service"
            await proxy.listen()
