"""The end of the old API as its callers see it: headers on every reply, counts by account, routes that are gone."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import time
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from engine import Host
from engine.auth.keys import create_key
from engine.auth.mint import mint_token
from engine.io.uses import list_uses
from engine.language.ids import new_public_id
from engine.principal import Principal
from legacy_shim.app import LegacyLayer
from legacy_shim.deprecation import Deprecation
from tests.support.contract import CONTRACT
from tests.support.databases import opened, sql_for
from tests.support.serving import Client, Reply, Running, make_settings, prepare, running, serving

EVERYTHING = ["*:*", "action:*", "meta:*"]
OPERATOR = Principal("user", "operator", is_operator=True)
STOP_S = 15
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
DOORS = ("/", "/api/", "/crud/", "/v2/crud/")


@dataclass
class House:
    """An application with two accounts, each with a journal.

    Attributes:
        accounts, journals: Public ids by account (``a``, ``b``).
    """

    app: Running
    accounts: dict[str, str] = field(default_factory=dict)
    journals: dict[str, str] = field(default_factory=dict)

    def caller(self, *accounts: str, scopes: list[str] | None = None, user: str = "", **claims: Any) -> Client:
        """A user of some accounts."""
        given = {"accounts": [self.accounts[one] for one in accounts], "scopes": scopes or EVERYTHING, **claims}
        token = mint_token(self.app.settings, user=user or new_public_id(), **given)
        return Client(self.app.engine.application, user, {"Authorization": f"Bearer {token}"})

    @property
    def operator(self) -> Client:
        """Sees every account."""
        return self.caller(accounts=[], is_operator=True, scopes=EVERYTHING)

    @property
    def nobody(self) -> Client:
        """Without credentials."""
        return Client(self.app.engine.application)

    def set_clock(self, now: Callable[[], datetime]) -> None:
        """Put the old API around the application anew, with a clock of the test's; callers made later go by it."""
        layer: Any = self.app.engine.application
        registry = self.app.engine.runtime.registry
        host = Host(lambda: registry, self.app.settings, self.app.engine.uses.note)
        self.app.engine.application = LegacyLayer(layer.inside, host, Deprecation(host, now=now))


async def counted(client: Client, target: str = "/v3/meta/deprecations") -> dict[tuple[str, str], int]:
    """What is told of uses: number by route and caller."""
    reply = await client.get(target)
    assert reply.status == 200, reply
    return {(one["route"], one["caller"]): one["count"] for one in reply.data}


@asynccontextmanager
async def house(url: str, registry: Path = CONTRACT, **settings: object) -> AsyncIterator[House]:
    """Run it."""
    made = make_settings(url, registry, **settings)
    await prepare(made)
    async with running(made) as app:
        built = House(app)
        for letter in ("a", "b"):
            reply = await built.operator.send("POST", "/v3/crud/account/", {"name": letter})
            built.accounts[letter] = reply.data["id"]
            reply = await built.caller(letter).send("POST", "/v3/crud/journal/", {"title": f"of {letter}"})
            built.journals[letter] = reply.data["id"]
        yield built


def check_headers(reply: Reply, successor: str) -> None:
    """A reply says since when its route is deprecated, when it ends, and what to call; each once."""
    names = [name for name, _ in reply.headers]
    assert [names.count(name) for name in ("deprecation", "sunset", "link")] == [1, 1, 1], reply.headers
    since = re.fullmatch(r"@(\d+)", reply.header("deprecation") or "")
    assert since is not None
    assert int(since[1]) <= time.time()
    assert parsedate_to_datetime(reply.header("sunset") or "") == datetime(2027, 6, 30, tzinfo=UTC)
    assert reply.header("link") == f'<{successor}>; rel="successor-version"', reply


# ---------------------------------------------------------------- headers


async def test_every_reply_of_an_old_route_says_that_it_ends_whatever_it_is(database_url: str) -> None:
    async with house(database_url, legacy_sunset="2027-06-30") as built:
        ann, own, foreign = built.caller("a"), built.journals["a"], built.journals["b"]
        weak = built.caller("a", scopes=["country:read"])
        reader = built.caller("a", scopes=["journal:read"])
        for door in DOORS:
            item, new = f"{door}journal/{own}", f"/v3/crud/journal/{own}"
            make: list[tuple[int, str, Awaitable[Reply]]] = [
                (200, new, ann.get(item)),
                (200, new, ann.send("HEAD", item)),
                (204, new, ann.send("OPTIONS", item)),
                (200, new, ann.send("PUT", item, {"stars": 3})),
                (200, "/v3/crud/journal/", ann.get(f"{door}journal/list")),
                (401, new, built.nobody.get(item)),
                (401, new, Client(ann.app, "", {"Authorization": "Bearer x.y.z"}).get(item)),
                (403, new, reader.send("PATCH", item, {"stars": 3})),
                (404, f"/v3/crud/journal/{foreign}", ann.get(f"{door}journal/{foreign}")),
                (405, "/v3/crud/journal/", ann.send("DELETE", f"{door}journal")),
                (400, "/v3/crud/journal/", ann.send("POST", f"{door}journal", raw=b"{")),
                (413, "/v3/crud/journal/", ann.send("POST", f"{door}journal", raw=b" " * 9_000_000)),
                (
                    415,
                    "/v3/crud/journal/",
                    ann.send("POST", f"{door}journal", raw=b"x", headers={"Content-Type": "a/b"}),
                ),
                (422, "/v3/crud/journal/", ann.send("POST", f"{door}journal", {"titel": 1})),
                (400, "/v3/crud/journal/?titel=***", ann.get(f"{door}journal/list?titel=x")),
            ]
            for status, successor, asked in make:
                reply = await asked
                assert reply.status == status, reply
                check_headers(reply, successor)
            assert (await weak.get(item)).status == 404


async def test_what_is_no_old_route_says_nothing_of_an_end(database_url: str) -> None:
    async with house(database_url, legacy_sunset="2027-06-30") as built:
        ann = built.caller("a")
        for target in (
            f"/v3/crud/journal/{built.journals['a']}",
            "/health/live",
            "/nothing/list",
            "/v2/crud/nothing/list",
        ):
            reply = await ann.get(target)
            assert [reply.header(name) for name in ("deprecation", "sunset", "link")] == [None] * 3, reply
        assert await counted(ann) == {}


async def test_a_fault_of_ours_and_a_limit_have_the_headers_too(database_url: str) -> None:
    async with house(database_url, legacy_sunset="2027-06-30", rate_limit_per_minute=30) as built:
        ann = built.caller("a")
        item, new = f"/v2/crud/journal/{built.journals['a']}", f"/v3/crud/journal/{built.journals['a']}"
        async with opened(database_url) as database:
            await database.execute("ALTER TABLE journal RENAME TO journal_away")
            reply = await ann.get(item)
            await database.execute("ALTER TABLE journal_away RENAME TO journal")
        assert reply.status == 500, reply
        assert reply.json["meta"]["success"] is False
        check_headers(reply, new)
        while reply.status != 429:
            reply = await ann.get(item)
        check_headers(reply, new)


async def test_the_successor_answers_the_same(database_url: str) -> None:
    async with house(database_url) as built:
        ann = built.caller("a")
        for old in (
            f"/journal/{built.journals['a']}",
            "/api/journal/list?order_by=title&desc=1&limit=3&title.contains=o",
        ):
            reply = await ann.get(old)
            link = re.fullmatch(r'<(\S+)>; rel="successor-version"', reply.header("link") or "")
            assert link is not None
            new = (await ann.get(link[1])).data
            shown = reply.json
            rows = shown if isinstance(shown, list) else [shown]
            assert len(rows) == (len(new) if isinstance(new, list) else 1)
            for row, same in zip(rows, new if isinstance(new, list) else [new], strict=True):
                assert {name: row[name] for name in same} == same


# ---------------------------------------------------------------- lines and counts


async def test_each_use_is_a_line_with_the_id_of_its_request_and_a_count(database_url: str) -> None:
    async with house(database_url) as built:
        ann, own = built.caller("a", user="ann-public-id-1"), built.journals["a"]
        built.app.read_log()
        ids = []
        for target in (
            f"/journal/{own}",
            f"/journal/{own}",
            f"/v2/crud/journal/{built.journals['b']}",
            "/crud/journal/list?x=1",
        ):
            ids.append((await ann.get(target)).header("x-request-id"))
        lines = [json.loads(line) for line in built.app.read_log()]
        used = [line for line in lines if line["event"].startswith("!!! DEPRECATED ROUTE ACCESSED ")]
        assert [line["request_id"] for line in used] == ids
        assert [(line["route"], line["status"], line["replacement"]) for line in used] == [
            ("GET /journal/{id}", 200, f"GET /v3/crud/journal/{own}"),
            ("GET /journal/{id}", 200, f"GET /v3/crud/journal/{own}"),
            ("GET /v2/crud/journal/{id}", 404, f"GET /v3/crud/journal/{built.journals['b']}"),
            ("GET /crud/journal/list", 400, "GET /v3/crud/journal/?x=***"),
        ]
        for line in used:
            assert (line["caller"], line["account"], line["level"]) == (
                "ann-public-id-1",
                built.accounts["a"],
                "warning",
            )
            assert line["route"] in line["event"]
            assert line["caller"] in line["event"]
            assert line["replacement"] in line["event"]
        assert await counted(ann) == {
            ("GET /journal/{id}", "ann-public-id-1"): 2,
            ("GET /v2/crud/journal/{id}", "ann-public-id-1"): 1,
            ("GET /crud/journal/list", "ann-public-id-1"): 1,
        }
        metrics = built.app.sinks.metrics.render().decode()
        assert 'aether_legacy_uses_total{route="v1:get"} 2.0' in metrics


async def test_what_is_told_has_the_shape_that_is_promised(database_url: str) -> None:
    async with house(database_url) as built:
        ann = built.caller("a", user="ann-public-id-1")
        before = datetime.now(UTC)
        await ann.send("POST", "/v2/crud/journal/search", {"and": []})
        reply = await ann.get("/v3/meta/deprecations")
        (row,) = reply.data
        assert list(row) == ["route", "version", "caller", "count", "first_used_on", "last_used_on", "replacement"]
        assert (row["route"], row["replacement"]) == ("POST /v2/crud/journal/search", "POST /v3/crud/journal/search")
        assert (row["version"], row["caller"], row["count"]) == ("v2", "ann-public-id-1", 1)
        assert row["first_used_on"].endswith("Z")
        assert before <= datetime.fromisoformat(row["first_used_on"]) <= datetime.now(UTC)
        assert "no-cache" in (reply.header("cache-control") or "")
        document = (await ann.get("/openapi.json")).json
        described = document["paths"]["/v3/meta/deprecations"]["get"]["responses"]["200"]
        jsonschema.validate(reply.json, described["content"]["application/json"]["schema"])


async def test_nobody_is_told_of_the_callers_of_another_account(database_url: str) -> None:
    async with house(database_url) as built:
        ann, bob = built.caller("a", user="ann-public-id-1"), built.caller("b", user="bob-public-id-1")
        both = built.caller("a", "b", user="both-public-id-1")
        async with opened(database_url) as database:
            (row,) = await database.fetch(
                sql_for(database, "SELECT id FROM account WHERE id_random = ?"), (built.accounts["b"],)
            )
            key = await create_key(database, account_row_id=row[0], name="k", scopes=["*:read"])
        machine = Client(ann.app, "key", {"X-API-Key": key.key})
        for caller, letter in ((ann, "a"), (bob, "b"), (machine, "b"), (both, "a")):
            assert (await caller.get(f"/journal/{built.journals[letter]}")).status == 200
        await both.with_headers(X_Account_Id=built.accounts["b"]).get("/journal/list")
        get, lists = "GET /journal/{id}", "GET /journal/list"
        mine = {(get, "ann-public-id-1"): 1}
        theirs = {(get, "bob-public-id-1"): 1, (get, key.public_id): 1, (lists, "both-public-id-1"): 1}
        assert await counted(ann) == mine
        assert await counted(bob) == theirs
        assert await counted(both) == {**mine, **theirs, (get, "both-public-id-1"): 1}
        assert await counted(both.with_headers(X_Account_Id=built.accounts["a"])) == {
            **mine,
            (get, "both-public-id-1"): 1,
        }
        assert await counted(built.operator) == {**mine, **theirs, (get, "both-public-id-1"): 1}
        assert await counted(built.operator.with_headers(X_Account_Id=built.accounts["a"])) == mine


async def test_it_needs_the_scope(database_url: str) -> None:
    async with house(database_url) as built:
        reply = await built.nobody.get("/v3/meta/deprecations")
        assert reply.status == 401, reply
        for scopes in (["*:*"], ["*:*", "meta:schema"]):
            reply = await built.caller("a", scopes=scopes).get("/v3/meta/deprecations")
            assert (reply.status, reply.code) == (403, "forbidden"), reply
        assert (await built.caller("a", scopes=["meta:deprecations"]).get("/v3/meta/deprecations")).status == 200
        for target, status in (
            ("?limit=-1", 422),
            ("?limit=x", 422),
            ("?limt=1", 400),
            ("?limit=0", 200),
            ("?offset=100000", 200),
            ("?offset=100001", 422),
            (f"?offset={10**30}", 422),
            (f"?limit={10**30}", 200),
            ("?cursor=x", 400),
        ):
            assert (await built.caller("a").get(f"/v3/meta/deprecations{target}")).status == status


async def test_nobody_counts_as_a_caller_who_is_not_known_or_does_not_see_the_type(database_url: str) -> None:
    async with house(database_url) as built:
        await built.nobody.get("/journal/list")
        await built.caller("a", scopes=["country:read"]).get("/journal/list")
        assert await counted(built.operator) == {}
        # What is open to everybody is used by nobody in particular.
        assert (await built.nobody.get("/country/list")).status == 200
        assert await counted(built.operator) == {("GET /country/list", "anonymous"): 1}


# ---------------------------------------------------------------- switched off


@pytest.fixture
def closing(tmp_path: Path) -> Path:
    """The contract's registry with old routes switched off: V1 for all, a list of V2 for one type, V2 for a minute."""
    text = CONTRACT.read_text(encoding="utf-8")
    text = text.replace("version: 1\n", 'version: 1\nlegacy: {off: [v1], brownout: ["v2:*:55"]}\n', 1)
    text = text.replace("    table: country\n", '    table: country\n    legacy: {off: ["v2:list"]}\n', 1)
    path = tmp_path / "resources.yaml"
    path.write_text(text, encoding="utf-8")
    return path


async def test_a_route_that_is_off_is_gone_and_says_what_to_call(database_url: str, closing: Path) -> None:
    async with house(database_url, closing, legacy_sunset="2027-06-30") as built:
        built.set_clock(lambda: NOON)
        ann, own = built.caller("a", user="ann-public-id-1"), built.journals["a"]
        new = f"/v3/crud/journal/{own}"
        for method, target, successor in (
            ("GET", f"/journal/{own}", new),
            ("GET", f"/api/journal/{own}", new),
            ("PUT", f"/journal/{own}", new),
            ("DELETE", f"/api/journal/{own}", new),
            ("GET", "/v2/crud/country/list?limit=2", "/v3/crud/country/?limit=2"),
        ):
            reply = await ann.send(method, target, {"stars": 9} if method == "PUT" else None)
            assert reply.status == 410, reply
            check_headers(reply, successor)
            told = reply.json["meta"]["detail"] if target.startswith("/v2") else reply.json["detail"]
            assert successor in told
        assert (await ann.get(new)).data["stars"] is None
        assert (await ann.get(f"/v2/crud/journal/{own}")).status == 200
        # They are uses all the same: whoever still calls is to be found.
        assert (await counted(ann))["GET /journal/{id}", "ann-public-id-1"] == 1


async def test_what_is_off_tells_strangers_no_more_than_what_is_on(database_url: str, closing: Path) -> None:
    async with house(database_url, closing) as built:
        own = built.journals["a"]
        assert (await built.nobody.get(f"/journal/{own}")).status == 401
        blind = built.caller("a", scopes=["country:read"])
        seen = [await blind.get(target) for target in (f"/journal/{own}", f"/nothing/{own}")]
        assert [one.status for one in seen] == [404, 404]
        shown = [{**one.json, "instance": "", "request_id": ""} for one in seen]
        assert shown[0] == shown[1]


async def test_a_brownout_comes_and_goes_with_its_minute(database_url: str, closing: Path) -> None:
    async with house(database_url, closing) as built:
        clock = [NOON]
        built.set_clock(lambda: clock[0])
        ann = built.caller("a")
        statuses = {}
        for minute in (54, 55, 56, 115, 116):
            clock[0] = NOON + timedelta(minutes=minute, seconds=30)
            statuses[minute] = (await ann.get(f"/crud/journal/{built.journals['a']}")).status
        assert statuses == {54: 200, 55: 410, 56: 200, 115: 410, 116: 200}


# ---------------------------------------------------------------- stops and several processes


async def test_a_stop_counts_what_was_not_counted_yet(database_url: str) -> None:
    async with house(database_url) as built:
        for _ in range(7):
            await built.caller("a").get("/journal/list")
    async with opened(database_url) as database:
        assert sum(one.uses for one in await list_uses(database, OPERATOR, limit=100)) == 7


def test_two_processes_of_a_server_count_every_call_until_they_stop(database_url: str, tmp_path: Path) -> None:
    settings = make_settings(database_url, CONTRACT)
    asyncio.run(prepare(settings))
    token = mint_token(settings, user="operator-id-1", is_operator=True)
    with serving(settings, tmp_path, "--workers", "2") as server:
        for number in range(60):
            target = f"{server.base}{('/journal/list', '/v2/crud/person/list')[number % 2]}"
            request = urllib.request.Request(target, headers={"Authorization": f"Bearer {token}"})
            with urllib.request.urlopen(request, timeout=5) as reply:
                assert reply.headers["Deprecation"].startswith("@")
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(STOP_S) == 0

    async def find() -> dict[tuple[str, str], int]:
        async with opened(database_url) as database:
            return {(one.route, one.caller): one.uses for one in await list_uses(database, OPERATOR, limit=100)}

    assert asyncio.run(find()) == {
        ("GET /journal/list", "operator-id-1"): 30,
        ("GET /v2/crud/person/list", "operator-id-1"): 30,
    }
    lines = [json.loads(line) for line in server.log_lines()]
    assert sum(line["event"].startswith("!!! DEPRECATED ROUTE ACCESSED ") for line in lines) == 60
