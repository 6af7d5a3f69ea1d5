"""Every call of the migration guide, in its old form and its new one: the same data, the same account rules."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest

from engine.auth.mint import mint_token
from engine.io.database import open_database
from engine.io.seed import seed
from legacy_shim.routes import ROUTES
from legacy_shim.shapes import LIST_PARAMETERS
from tests.support.migration import DEMO_IDS, PARAMETERS, Pair, pairs_of, parameter_pairs
from tests.support.pages import DOCS, Request, read_curl
from tests.support.serving import ROOT, Client, Reply, make_settings, prepare, running

NORTH_LAB = "aB7dE-2fGh4JkLmNoPqRsT"
JOURNAL = DEMO_IDS["journal"]
PAIRS = list(pairs_of((DOCS / "migration.md").read_text(encoding="utf-8")))
VARIABLES = {"API": "http://127.0.0.1:5005", "AUTH": "X-Nothing: x"}
# What two objects that were made alike do not share.
OWN = ("id", "created_on", "updated_on")


@dataclass
class Demo:
    """The demo, and who calls: a user of North Lab, one of the other account, and nobody."""

    ours: Client
    theirs: Client
    nobody: Client

    async def make_twin(self) -> str:
        """A journal of North Lab like every other one that this makes."""
        body = {"name": "A twin", "description": "as it was", "tags": ["twin"]}
        reply = await self.ours.send("POST", "/v3/crud/journal/", body)
        assert reply.status == 201, reply
        return str(reply.data["id"])

    async def make_room(self, pair: Pair, made: Reply) -> None:
        """Take away for good what a create has made: some values may be there once only."""
        shown = made.json if pair.name.startswith("v1") else made.json["data"]
        type_name = read_curl(pair.after, VARIABLES).target.split("/")[3]
        reply = await self.ours.send("DELETE", f"/v3/crud/{type_name}/{shown['id']}?hard=true")
        assert reply.status == 204, reply

    async def read(self, public_id: str) -> Reply:
        """A journal as it is."""
        return await self.ours.get(f"/v3/crud/journal/{public_id}")


@pytest.fixture
async def demo(database_url: str) -> AsyncIterator[Demo]:
    """The demo data on a database."""
    async with _demo(database_url) as made:
        yield made


def test_every_route_and_every_parameter_of_the_table_is_shown() -> None:
    assert {pair.name for pair in PAIRS} == {route.name for route in ROUTES}
    shown = {part.partition("=")[0] for _, query in PARAMETERS for part in query.split("&") if part}
    assert shown == set(LIST_PARAMETERS)


async def test_both_forms_give_the_same_data(demo: Demo) -> None:
    for pair in [*PAIRS, *parameter_pairs()]:
        before, after = _requests(pair)
        verb = pair.name.partition(":")[2]
        if verb in ("update", "delete"):
            twins = [await demo.make_twin(), await demo.make_twin()]
            old = await _send(demo.ours, _of(before, twins[0]))
            new = await _send(demo.ours, _of(after, twins[1]))
            stored = [await demo.read(twin) for twin in twins]
        else:
            twins, stored = [], []
            old = await _send(demo.ours, before)
            if verb == "create":
                await demo.make_room(pair, old)
            new = await _send(demo.ours, after)
        said = f"{pair}\n{old}\n{new}"
        assert (old.status, new.status) == (200, {"create": 201, "delete": 204}.get(verb, 200)), said
        shown = old.json if pair.name.startswith("v1") else old.json["data"]
        if verb == "delete":
            assert shown == {"deleted": True, "id_random": twins[0]}, said
            assert [one.status for one in stored] == [404, 404], said
        elif isinstance(new.data, list):
            assert new.data, f"{pair}: an example that finds nothing shows nothing"
            assert [_today(one) for one in shown] == new.data, said
        elif verb == "get":
            assert _today(shown) == new.data, said
        else:
            assert _alike(_today(shown)) == _alike(new.data), said
            assert "old client" in f"{shown.get('title')}{shown.get('name')}{shown.get('description')}", said
        if verb == "update":
            assert _alike(stored[0].data) == _alike(stored[1].data) == _alike(new.data), said
            assert stored[0].data["description"] != "as it was", said


async def test_both_forms_refuse_another_account_alike(demo: Demo) -> None:
    before_all = (await demo.read(JOURNAL)).body
    for pair in [*PAIRS, *parameter_pairs()]:
        before, after = _requests(pair)
        old, new = await _send(demo.theirs, before), await _send(demo.theirs, after)
        said = f"{pair}\n{old}\n{new}"
        if new.status >= 400:
            assert old.status == new.status, said
        else:
            assert old.status == 200, said
            shown = old.json if pair.name.startswith("v1") else old.json["data"]
            rows, same = (shown, new.data) if isinstance(new.data, list) else ([shown], [new.data])
            assert [_alike(_today(one)) for one in rows] == [_alike(one) for one in same], said
        for reply in (old, new):
            assert NORTH_LAB not in reply.body.decode(), said
            assert "Field notes" not in reply.body.decode(), said
        if "update" in pair.name or "delete" in pair.name or "get" in pair.name:
            assert new.status == 404, said
    assert (await demo.read(JOURNAL)).body == before_all


async def test_both_forms_want_credentials(demo: Demo) -> None:
    for pair in PAIRS:
        for request in _requests(pair):
            reply = await _send(demo.nobody, replace(request, headers={**request.headers, "Authorization": ""}))
            assert reply.status == 401, f"{pair}\n{reply}"


@asynccontextmanager
async def _demo(database_url: str) -> AsyncIterator[Demo]:
    settings = make_settings(database_url, ROOT / "resources.yaml")
    await prepare(settings)
    async with running(settings) as app:
        database = open_database(settings)
        await seed(database, app.engine.runtime.registry, ROOT / "resources" / "demo.yaml")
        await database.close()
        operator = Client(app.engine.application, "", _bearer(settings, is_operator=True))
        (other,) = [one["id"] for one in (await operator.get("/v3/crud/account/")).data if one["id"] != NORTH_LAB]
        callers = [
            Client(app.engine.application, name, _bearer(settings, accounts=[name], scopes=["*:*"]))
            for name in (NORTH_LAB, other)
        ]
        yield Demo(*callers, Client(app.engine.application))


def _bearer(settings: Any, **claims: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {mint_token(settings, **claims)}"}


def _requests(pair: Pair) -> tuple[Request, Request]:
    """What the two commands send; who sends it is said by the caller's own headers."""
    before, after = (read_curl(command, VARIABLES) for command in (pair.before, pair.after))
    return before, after


def _of(request: Request, public_id: str) -> Request:
    """The same about another journal."""
    assert JOURNAL in request.target
    return replace(request, target=request.target.replace(JOURNAL, public_id))


async def _send(client: Client, request: Request) -> Reply:
    return await client.send(request.method, request.target, raw=request.body, headers=request.headers)


def _today(shown: dict[str, Any]) -> dict[str, Any]:
    """An old object without its old names, each of which must repeat today's value."""
    for name, value in shown.items():
        if name.endswith("_random"):
            assert shown[name.removesuffix("_random")] == value, shown
    return {name: value for name, value in shown.items() if not name.endswith("_random")}


def _alike(data: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in data.items() if name not in OWN}
