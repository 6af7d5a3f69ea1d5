"""What is taken back is refused by every server process in time: with Redis, without, and when it goes away."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import pytest

from engine.auth.mint import mint_token
from tests.support.people import PASSWORD, SHIPPED
from tests.support.proxy import Proxy, open_proxy
from tests.support.serving import make_settings, prepare, serving

WITHIN_S = 5.0
POLL_S = 0.05
NAMES = ("disabled", "deleted", "gone", "left", "renewed", "stays")

Headers = dict[str, str]
Ask = Callable[..., Awaitable[tuple[int, Any]]]


def _send(method: str, url: str, body: object, headers: Headers) -> tuple[int, Any]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json", **headers}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:
            text = reply.read()
            return reply.status, json.loads(text) if reply.headers.get_content_type() == "application/json" else None
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, None


def asker(base: str, headers: Headers | None = None) -> Ask:
    """Sends requests to one server process."""

    async def ask(method: str, path: str, body: object = None, **more: str) -> tuple[int, Any]:
        return await asyncio.to_thread(_send, method, f"{base}{path}", body, {**(headers or {}), **more})

    return ask


async def refused_after(base: str, credential: Headers) -> float:
    """The time at which a server process no longer knows a credential; none is an error of the caller's time limit."""
    while True:
        status, _ = await asker(base, credential)("GET", "/v3/crud/user/")
        if status == 401:
            return time.monotonic()
        assert status == 200
        # Nothing but asking again tells when it is refused; the pause keeps it from spinning.
        await anyio.sleep(POLL_S)


@pytest.mark.parametrize("redis", ["none", "there", "stopped"])
async def test_what_is_taken_back_is_refused_by_every_process_in_time(
    database_url: str, redis: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    settings = make_settings(database_url, SHIPPED)
    await prepare(settings)
    async with AsyncExitStack() as stack:
        proxy: Proxy | None = None
        environment: dict[str, str] = {}
        if redis != "none":
            parts = urlsplit(str(request.getfixturevalue("redis_url")))
            proxy = await stack.enter_async_context(open_proxy(parts.hostname or "127.0.0.1", parts.port or 6379))
            environment["AETHER_REDIS_URL"] = f"redis://127.0.0.1:{proxy.port}{parts.path}"
        bases = []
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            node = serving(settings, tmp_path / name, environment=environment)
            server = await asyncio.to_thread(node.__enter__)
            stack.push_async_callback(asyncio.to_thread, node.__exit__, None, None, None)
            bases.append(server.base)
        operator = asker(bases[0], {"Authorization": f"Bearer {mint_token(settings, is_operator=True)}"})
        _, made = await operator("POST", "/v3/crud/account/", {"name": "North"})
        account = {"X-Account-Id": made["data"]["id"]}
        users, signed_in, credentials = {}, {}, {}
        for name in NAMES:
            email = f"{name}@north.example"
            body = {"name": name, "email": email, "password": PASSWORD}
            _, made = await operator("POST", "/v3/crud/user/", body, **account)
            users[name] = made["data"]["id"]
            _, made = await asker(bases[0])("POST", "/v3/action/auth/login", {"email": email, "password": PASSWORD})
            signed_in[name] = made["data"]
            credentials[name] = {"Authorization": f"Bearer {made['data']['access_token']}"}
        _, made = await operator("POST", "/v3/action/auth/api_key", {"name": "k", "scopes": ["user:read"]}, **account)
        credentials["key"], key = {"X-API-Key": made["data"]["key"]}, made["data"]["id"]
        for base in bases:
            for name, credential in credentials.items():
                assert (await asker(base, credential)("GET", "/v3/crud/user/"))[0] == 200, name
        if proxy is not None and redis == "stopped":
            await proxy.refuse()
            proxy.cut()
        taken: dict[str, float] = {}
        for name, method, path, body in (
            ("disabled", "PATCH", f"/v3/crud/user/{users['disabled']}", {"enable": False}),
            ("deleted", "DELETE", f"/v3/crud/user/{users['deleted']}", None),
            ("gone", "DELETE", f"/v3/crud/user/{users['gone']}?hard=true", None),
            ("left", "POST", "/v3/action/auth/logout", {"refresh_token": signed_in["left"]["refresh_token"]}),
            ("renewed", "PATCH", f"/v3/crud/user/{users['renewed']}", {"password": "another password"}),
            ("key", "DELETE", f"/v3/action/auth/api_key/{key}", None),
        ):
            status, _ = await operator(method, path, body)
            assert status in (200, 204), (name, status)
            taken[name] = time.monotonic()
        with anyio.fail_after(2 * WITHIN_S):
            places = [(name, base) for name in taken for base in bases]
            refused = await asyncio.gather(*(refused_after(base, credentials[name]) for name, base in places))
        late = {place: at - taken[place[0]] for place, at in zip(places, refused, strict=True)}
        assert {place: s for place, s in late.items() if s > WITHIN_S} == {}
        for base in bases:
            assert (await asker(base, credentials["stays"])("GET", "/v3/crud/user/"))[0] == 200
            for name in ("disabled", "deleted", "gone", "left", "renewed"):
                token = {"refresh_token": signed_in[name]["refresh_token"]}
                assert (await asker(base)("POST", "/v3/action/auth/refresh", token))[0] == 401, name


async def test_a_header_of_a_caller_on_this_machine_is_not_his_address(sqlite_url: str, tmp_path: Path) -> None:
    settings = make_settings(sqlite_url, SHIPPED)
    await prepare(settings)
    with serving(settings, tmp_path, environment={"AETHER_SIGN_IN_PER_MINUTE": "2"}) as server:
        ask = asker(server.base)
        body = {"email": "nobody@north.example", "password": "wrong"}
        statuses = []
        for number in range(8):
            headers = {"X-Forwarded-For": f"198.51.100.{number}", "X-Forwarded-Proto": "https"}
            statuses.append((await ask("POST", "/v3/action/auth/login", body, **headers))[0])
        # A minute that ends meanwhile allows two more.
        assert statuses.count(401) <= 4
        assert set(statuses) == {401, 429}
        assert (await ask("GET", "/metrics"))[0] == 200
        assert (await ask("GET", "/metrics", **{"X-Forwarded-For": "198.51.100.1"}))[0] == 401


async def test_a_proxy_that_is_named_says_whose_address_it_is(sqlite_url: str, tmp_path: Path) -> None:
    settings = make_settings(sqlite_url, SHIPPED)
    await prepare(settings)
    named = {"AETHER_SIGN_IN_PER_MINUTE": "1", "AETHER_TRUSTED_PROXIES": "127.0.0.0/8"}
    with serving(settings, tmp_path, environment=named) as server:
        ask = asker(server.base)
        for number in range(5):
            body = {"email": "nobody@north.example", "password": "wrong"}
            status, _ = await ask("POST", "/v3/action/auth/login", body, **{"X-Forwarded-For": f"198.51.100.{number}"})
            assert status == 401
