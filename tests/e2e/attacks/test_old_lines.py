"""What old calls leave in the log and in headers: no credential, no line of the attacker's making, no value of others.

That every line is one object of JSON, and that no secret of the world stands in one, is checked after each test.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest

from tests.support.attack import World, check_log, check_reply, unknown_id
from tests.support.legacy import DOORS
from tests.support.serving import Client, Reply

each_door = pytest.mark.parametrize("door", DOORS)
EVIL = [
    '\n{"level":"fatal"}',
    "\r\nSet-Cookie: x=1",
    "\x1b[2J",
    "\u2028\u2029\x85\x7f",
    '">; rel="x", <https://evil.test/>; rel="successor-version"',
    "!!! DEPRECATED ROUTE ACCESSED",
    "%0d%0aX-Evil: 1",
    "\\u000a{}",
]


def credentials_of(world: World) -> list[str]:
    """Tokens and keys as their holders send them."""
    found = []
    for caller in world.callers.values():
        given = {name.lower(): value for name, value in caller.headers.items()}
        found += [given[name].removeprefix("Bearer ") for name in ("authorization", "x-api-key") if name in given]
    return found


def check_heads(reply: Reply) -> None:
    """One link of ours at most, and nothing of the attacker's beside it."""
    names = [name for name, _ in reply.headers]
    assert not {"x-evil", "set-cookie"} & set(names), reply.headers
    assert names.count("link") <= 1
    link = reply.header("link")
    if link is not None:
        assert link.startswith("</v3/crud/"), link
        assert link.endswith('>; rel="successor-version"'), link
        target = link[1 : -len('>; rel="successor-version"')]
        assert not [letter for letter in target if letter in '<>" ' or not "!" <= letter <= "~"], link


def uses_in(world: World) -> list[dict[str, Any]]:
    """The warnings of old routes; what has been said so far is checked as it would be after the test."""
    lines = world.running.read_log()
    broken = [fault for reply in world.replies for fault in check_reply(world, reply)]
    assert not [*broken, *check_log(world, lines)]
    world.replies.clear()
    return [one for one in map(json.loads, lines) if str(one["event"]).startswith("!!! DEPRECATED ROUTE ACCESSED")]


@each_door
async def test_a_line_of_an_old_call_is_one_object_whatever_it_holds(world: World, caller: Client, door: str) -> None:
    root, own = door.rstrip("/"), world.first("journal")
    for text in EVIL:
        coded = quote(text, safe="")
        for method, target, body in (
            ("GET", f"{root}/journal/{own}?{coded}={coded}", None),
            ("GET", f"{root}/journal/{coded}", None),
            ("GET", f"{root}/journal/list?name={coded}&order_by=name", None),
            ("GET", f"{root}/journal/list?name={text}", None),
            ("GET", f"{root}/journal/list?for_obj_type={coded}&for_obj_id={coded}", None),
            ("GET", f"{root}/{coded}/{coded}", None),
            ("POST", f"{root}/journal", {text: text}),
        ):
            reply = await caller.send(method, target, body, headers={"Referer": text, "X-Request-Id": text})
            assert reply.status < 500, reply
            check_heads(reply)
    used = uses_in(world)
    assert used
    for one in used:
        assert one["level"] == "warning"
        assert one["replacement"].isascii()
        assert not [letter for letter in one["replacement"] if letter < " "]
        assert one["route"].split(" ")[1].startswith(f"{root}/journal")


@each_door
async def test_a_credential_in_a_query_opens_nothing_and_is_told_to_nobody(world: World, door: str) -> None:
    root, own = door.rstrip("/"), world.first("journal")
    for credential in credentials_of(world):
        for name in ("token", "access_token", "api_key", "key", "name", "q", "filter", "x_account_id", "x-api-key"):
            for target in (f"{root}/journal/{own}?{name}={credential}", f"{root}/journal/list?{name}={credential}"):
                reply = await world.nobody.get(target)
                assert reply.status == 401, reply
                reply = await world.user.get(target)
                check_heads(reply)
                assert credential not in f"{reply.headers}", reply
    assert uses_in(world)
    told = await world.operator.get("/v3/meta/deprecations")
    assert not [one for one in credentials_of(world) if one in told.body.decode()]


@each_door
async def test_hidden_values_that_somebody_guesses_are_in_no_line(world: World, caller: Client, door: str) -> None:
    root = door.rstrip("/")
    guess = "guess-of-a-secret"
    hidden = [
        name for name, one in world.registry.types["user"].fields.items() if not one.is_readable
    ]  # hidden and secret ones
    assert hidden
    for name in hidden:
        for query in (
            f"{name}={guess}",
            f"{name}.starts_with={guess}",
            f"filter={quote(json.dumps({name: guess}))}",
            f"filter={quote(json.dumps({'person': {name: guess}}))}",
        ):
            assert (await caller.get(f"{root}/user/list?{query}")).status in (400, 422)
    used = uses_in(world)
    assert used
    assert not [one for one in used if guess in json.dumps(one)]


async def test_uses_of_the_other_account_are_told_to_nobody_of_ours(world: World, caller: Client) -> None:
    own, foreign = world.first("journal"), world.first("journal", "b")
    for client, target in (
        (world.other, f"/journal/{foreign}"),
        (world.callers["other_key"], "/journal/list?limit=0"),
        (caller, f"/journal/{own}"),
    ):
        assert (await client.get(target)).status == 200
    assert (await caller.get(f"/journal/{foreign}")).status == 404
    assert (await caller.get(f"/journal/{unknown_id()}")).status == 404
    reply = await caller.get("/v3/meta/deprecations")
    if caller.name == "admin":
        assert reply.status == 200, reply
        callers = {one["caller"] for one in reply.data}
        everybody = {one["caller"] for one in (await world.operator.get("/v3/meta/deprecations")).data}
        ours = {world.rows["user"]["a"][0], world.rows["user"]["a"][1], world.callers["key"].headers["X-API-Key"][:22]}
        assert callers <= ours
        assert {world.rows["user"]["b"][0], world.callers["other_key"].headers["X-API-Key"][:22]} <= everybody
    else:
        assert (reply.status, reply.code) == (403, "forbidden"), reply
