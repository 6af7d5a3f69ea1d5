"""Guessing passwords as an attacker meets it: slow from every address, with any header, and nobody else shut out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from urllib.parse import urlsplit

import pytest

from engine.auth.attempts import Attempts
from tests.support.attack import alike
from tests.support.people import PASSWORD, SHIPPED, Town, lighten, settled
from tests.support.proxy import open_proxy
from tests.support.serving import Reply, make_settings, running

ANN = "ann@north.example"
BEN = "ben@north.example"
MOST = 3
ATTACKER, HOME = "203.0.113.5", "198.51.100.7"


def stop_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let applications that start from now on count attempts in a minute that does not end."""
    monkeypatch.setattr("engine.main.Attempts", partial(Attempts, now=lambda: 1_800_000_000.0))


@pytest.fixture
async def town(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Town]:
    """Three wrong attempts in a minute; the minute does not end."""
    lighten(monkeypatch)
    stop_the_clock(monkeypatch)
    async with settled(database_url, sign_in_per_minute=MOST) as made:
        for email in (ANN, BEN):
            await made.make_user(email)
        yield made


async def guess(town: Town, times: int, email: str = ANN, address: str = ATTACKER) -> list[Reply]:
    """Wrong passwords."""
    return [await town.login(email, f"guess number {number}", address=address) for number in range(times)]


def statuses(replies: list[Reply]) -> list[int]:
    """How they were answered."""
    return [reply.status for reply in replies]


async def test_guesses_are_refused_beyond_the_limit_with_the_time_to_come_back(town: Town) -> None:
    replies = await guess(town, MOST + 2)
    assert statuses(replies) == [401] * MOST + [429] * 2
    assert (replies[-1].code, replies[-1].header("retry-after")) == ("rate-limited", "60")
    assert (await town.login(ANN, address=ATTACKER)).status == 429, "a right guess is told by nothing"


async def test_a_name_that_nobody_has_is_limited_in_the_same_words(town: Town) -> None:
    known, unknown = await guess(town, MOST + 1), await guess(town, MOST + 1, "nobody@north.example")
    assert [alike(one) for one in known] == [alike(one) for one in unknown]


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "198.51.100.{}"},
        {"X-Real-IP": "198.51.100.{}"},
        {"Forwarded": "for=198.51.100.{}"},
        {"True-Client-IP": "198.51.100.{}", "CF-Connecting-IP": "198.51.100.{}", "X-Client-IP": "198.51.100.{}"},
        {"X-Request-Id": "r{}", "User-Agent": "u{}", "Origin": "https://{}.example", "Host": "h{}"},
        {"X-Account-Id": ""},
    ],
    ids=lambda headers: next(iter(headers)),
)
async def test_no_header_makes_another_caller_of_an_attacker(town: Town, headers: dict[str, str]) -> None:
    replies = [
        await town.login(
            ANN, "wrong", address=ATTACKER, headers={name: value.format(n) for name, value in headers.items()}
        )
        for n in range(MOST + 2)
    ]
    assert statuses(replies) == [401] * MOST + [429] * 2


async def test_an_ipv6_network_is_one_address_and_the_case_of_a_name_no_other_name(town: Town) -> None:
    replies = [
        await town.login(ANN.upper() if n % 2 else ANN, "wrong", address=f"2001:db8:1:2::{n}") for n in range(MOST + 2)
    ]
    assert statuses(replies) == [401] * MOST + [429] * 2
    assert (await town.login(ANN, address="2001:db8:1:3::1")).status == 200


async def test_an_attacker_shuts_out_nobody_but_his_own_address(town: Town) -> None:
    await guess(town, 20 * MOST)
    assert (await town.login(ANN, address=HOME)).status == 200
    assert (await town.login(BEN, address=ATTACKER)).status == 200


async def test_a_botnet_keeps_nobody_out_at_an_address_or_device_that_is_known(town: Town) -> None:
    first = await town.login(ANN, address=HOME)
    replies = [reply for n in range(2 * 10 * MOST) for reply in await guess(town, 1, address=f"203.0.113.{n}")]
    assert statuses(replies) == [401] * 10 * MOST + [429] * 10 * MOST
    assert (await town.login(ANN, address="198.51.100.99")).status == 429
    assert (await town.login(ANN, address=HOME)).status == 200
    known = {"refresh_token": first.data["refresh_token"]}
    assert (await town.login(ANN, address="198.51.100.99", **known)).status == 200


async def test_behind_one_address_with_the_attacker_a_known_device_is_let_in_and_a_strangers_is_not(
    town: Town,
) -> None:
    ann, ben = await town.login(ANN, address=ATTACKER), await town.login(BEN, address=ATTACKER)
    await town.logout(ann.data["refresh_token"])
    await guess(town, 5 * MOST)
    for text in (ben.data["refresh_token"], "x", f"{ann.data['refresh_token'][:-50]}{'A' * 50}"):
        assert (await town.login(ANN, address=ATTACKER, refresh_token=text)).status in (401, 429)
    hers = {"refresh_token": ann.data["refresh_token"]}
    assert (await town.login(ANN, address=ATTACKER, **hers)).status == 200
    stolen = [await town.login(ANN, "wrong", address=ATTACKER, **hers) for _ in range(MOST + 1)]
    assert statuses(stolen) == [401] * MOST + [429]


async def test_whoever_signs_in_rightly_is_never_counted(town: Town) -> None:
    assert {(await town.login(ANN)).status for _ in range(4 * MOST)} == {200}
    assert statuses(await guess(town, MOST + 1, address="192.0.2.1")) == [401] * MOST + [429]


async def test_processes_count_together_by_redis_and_each_for_itself_while_it_is_away(
    sqlite_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lighten(monkeypatch)
    stop_the_clock(monkeypatch)
    parts = urlsplit(redis_url)
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(open_proxy(parts.hostname or "127.0.0.1", parts.port or 6379))
        redis = {"redis_url": f"redis://127.0.0.1:{proxy.port}{parts.path}", "sign_in_per_minute": MOST}
        one = await stack.enter_async_context(settled(sqlite_url, **redis))
        await one.make_user(ANN)
        settings = make_settings(sqlite_url, SHIPPED, token_cache_s=0, **redis)
        two = Town(await stack.enter_async_context(running(settings)), one.accounts, one.users)
        replies = [await (one, two)[n % 2].login(ANN, "wrong", address=ATTACKER) for n in range(MOST + 2)]
        assert statuses(replies) == [401] * MOST + [429] * 2
        await proxy.refuse()
        proxy.cut()
        for town in (one, two):
            assert statuses(await guess(town, MOST + 1, address=HOME)) == [401] * MOST + [429]
            assert (await town.login(ANN, PASSWORD, address="198.51.100.50")).status == 200
        # What this process has counted itself it knows without Redis.
        assert (await one.login(ANN, "wrong", address=HOME)).status == 429
