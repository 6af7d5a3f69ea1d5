"""Attacks between processes: what one of them remembers of an id must not be used where another has changed the row."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.support import services
from tests.support.attack import World, unknown_id
from tests.support.serving import Client, make_settings, running


@pytest.fixture(params=["process", pytest.param("redis", marks=pytest.mark.redis)])
async def nodes(request: pytest.FixtureRequest, world: World) -> AsyncIterator[list[World]]:
    """The same callers on two more processes' worth of application, with ids remembered in each or in Redis too."""
    more: dict[str, Any] = {}
    if request.param == "redis":
        request.getfixturevalue("redis_url")
        more["redis_url"] = services.REDIS_URL
    settings = make_settings(
        world.running.settings.database_url, world.running.settings.registry, token_cache_s=0.0, **more
    )
    async with AsyncExitStack() as stack:
        made = []
        for _ in range(2):
            app = await stack.enter_async_context(running(settings))
            callers = {
                name: Client(app.engine.application, name, caller.headers, world.replies.append)
                for name, caller in world.callers.items()
            }
            made.append(World(app, world.registry, world.name, app.engine.database, callers=callers))
        yield made


async def make(client: Client, type_name: str, body: dict[str, Any]) -> str:
    """A new row."""
    reply = await client.send("POST", f"/v3/crud/{type_name}/", body)
    assert reply.status == 201, reply
    return str(reply.data["id"])


async def test_an_id_that_its_owner_used_is_open_to_nobody_else(world: World, nodes: list[World]) -> None:
    one = nodes[0]
    foreign, journal = world.first("person", "b"), world.first("journal", "b")
    for tail in ("", f"?name={unknown_id()}"):
        assert (await one.other.get(f"/v3/crud/person/{foreign}{tail}")).status in (200, 400)
    for body in ({"name": "x", "person_id": foreign}, {"name": "x", "person_id": foreign, "entry": [{"name": "y"}]}):
        must = await one.other.send("POST", "/v3/crud/journal/?validate_only=true", body)
        assert must.status == 200, must
        for node in nodes:
            for name in ("user", "admin", "key"):
                reply = await node.callers[name].send("POST", "/v3/crud/journal/", body)
                assert reply.status == 422, reply
    must = await one.other.send("POST", f"/v3/crud/journal/{journal}/entry/?validate_only=true", {"name": "x"})
    assert must.status == 200, must
    for node in nodes:
        reply = await node.user.send("POST", f"/v3/crud/journal/{journal}/entry/", {"name": "x"})
        assert reply.status == 404, reply
        reply = await node.user.send("POST", "/v3/crud/journal_entry/", {"name": "x", "journal_id": journal})
        assert reply.status == 422, reply


@pytest.mark.parametrize("tail", ["", "?hard=true"])
async def test_a_row_that_is_gone_is_gone_for_every_node(world: World, nodes: list[World], tail: str) -> None:
    one, two = nodes
    person = await make(one.user, "person", {"name": "fresh"})
    journal = await make(one.user, "journal", {"name": "fresh", "person_id": person})
    entry = await make(one.user, "journal_entry", {"name": "fresh", "journal_id": journal})
    for node in nodes:
        for path, new in (
            ("journal/", {"name": "x", "person_id": person}), ("journal_entry/", {"name": "x", "journal_id": journal}),
            (f"journal/{journal}/entry/", {"name": "x", "twin_id": entry}),
            (f"journal_entry/{entry}/line/", {"name": "x"}),
        ):  # fmt: skip
            warm = await node.user.send("POST", f"/v3/crud/{path}?validate_only=true", new)
            assert warm.status == 200, warm
    cleared = await one.callers["admin"].send("PATCH", f"/v3/crud/journal/{journal}", {"person_id": None})
    assert cleared.status == 200, cleared
    for path in (f"person/{person}", f"journal/{journal}"):
        gone = await one.callers["admin"].send("DELETE", f"/v3/crud/{path}{tail}")
        assert gone.status == 204, gone
    before = await world.totals()
    own = world.first("journal")
    calls: list[tuple[str, str, Any, int]] = [
        ("POST", "journal/", {"name": "x", "person_id": person}, 422),
        ("PATCH", f"journal/{own}", {"person_id": person}, 422),
        ("POST", "journal_entry/", {"name": "x", "journal_id": journal}, 422),
        ("POST", "journal_entry/", {"name": "x", "journal_id": own, "twin_id": entry}, 422),
        ("POST", f"journal/{journal}/entry/", {"name": "x"}, 404),
        ("POST", f"journal_entry/{entry}/line/", {"name": "x"}, 404),
        ("POST", f"journal/{journal}/entry/{entry}/line/", {"name": "x"}, 404),
        ("POST", f"journal_entry/{world.first('journal_entry')}/move",
         {"parent": {"type": "journal", "id": journal}}, 422),
        ("PATCH", f"journal/{journal}", {"name": "x"}, 404),
        ("PATCH", f"journal_entry/{entry}", {"name": "x"}, 404),
        ("GET", f"journal/{journal}", None, 404), ("GET", f"journal/{journal}/entry/", None, 404),
        ("DELETE", f"journal_entry/{entry}", None, 404),
    ]  # fmt: skip
    for node in (two, one):
        for method, path, body, status in calls:
            for ending in ("?validate_only=true", "") if method in ("POST", "PATCH") else ("",):
                reply = await node.user.send(method, f"/v3/crud/{path}{ending}", body)
                assert reply.status == status, reply
    assert await world.totals() == before


async def test_a_key_that_was_revoked_and_a_user_who_was_disabled_are_refused_by_every_node(
    world: World, nodes: list[World]
) -> None:
    user = world.rows["user"]["a"][0]
    for node in nodes:
        assert (await node.user.get("/v3/crud/journal/")).status == 200
        assert (await node.callers["key"].get("/v3/crud/journal/")).status == 200
    prefix = world.callers["key"].headers["X-API-Key"].partition(".")[0]
    await world.execute("UPDATE tblsecret_user SET enable = 0 WHERE id_random = ?", user)
    await world.execute(
        "UPDATE aether_api_key SET revoked_on = ? WHERE public_id = ?", "2026-01-01 00:00:00.000000", prefix
    )
    try:
        for node in nodes:
            assert (await node.user.get("/v3/crud/journal/")).status == 401
            assert (await node.callers["key"].get("/v3/crud/journal/")).status == 401
    finally:
        await world.execute("UPDATE tblsecret_user SET enable = 1 WHERE id_random = ?", user)
        await world.execute("UPDATE aether_api_key SET revoked_on = NULL WHERE public_id = ?", prefix)
