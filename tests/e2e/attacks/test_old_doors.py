"""Attacks at the doors of the old API: those on V3 once more in old words, and those that every old route must hold.

What cannot be said in old words goes to V3 as it is; see `support/legacy.py`.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import secrets
from collections.abc import Awaitable, Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest

from legacy_shim.routes import ROUTES, VERSIONS
from legacy_shim.shapes import LegacyRoute
from tests.e2e.attacks import test_accounts, test_hidden_fields, test_values
from tests.e2e.attacks.test_limits import CPU_S, NUMBERS, _Counted, cheapest, nest
from tests.e2e.attacks.test_values import look_alikes
from tests.support.attack import CANARY_B, World, alike, unknown_id
from tests.support.bodies import change_body, create_body
from tests.support.legacy import DOORS, OldClient, detail_of
from tests.support.serving import Client, Reply

Attack = Callable[[World, Client], Awaitable[None]]

# Who attacks at which door; the doors of a version differ in their first words alone.
ATTACKERS = {"/": "user", "/api": "admin", "/crud": "key", "/v2/crud": "user"}


def _attacks() -> Iterator[Any]:
    """Every attack that takes one world and one caller, at one old door in turn; at the other one in the long run."""
    doors = (("/", "user"), ("/v2/crud", "key"))
    number = 0
    for module in (test_accounts, test_hidden_fields, test_values):
        for name, function in inspect.getmembers(module, inspect.iscoroutinefunction):
            if name.startswith("test_") and tuple(inspect.signature(function).parameters) in (
                ("world", "caller"),
                ("any_world", "any_caller"),
            ):
                for turn, (door, who) in enumerate(doors):
                    marks = () if turn == number % 2 else (pytest.mark.long,)
                    yield pytest.param(function, door, who, id=f"{name.removeprefix('test_')} at {door}", marks=marks)
                number += 1


@pytest.mark.parametrize(("attack", "door", "who"), list(_attacks()))
async def test_an_attack_on_v3_fails_at_an_old_door_too(world: World, attack: Attack, door: str, who: str) -> None:
    await attack(world, through(world, who, door))


# ---------------------------------------------------------------- by the table


EACH_ROUTE = [
    pytest.param(route, prefix or "/", id=f"{route.name} at {prefix or '/'}")
    for version in VERSIONS
    for prefix in version.prefixes
    for route in version.routes
]
each_route = pytest.mark.parametrize(("route", "door"), EACH_ROUTE)
# What an attack sends by each verb: its method, the path below the type, the body.
SENT: dict[str, tuple[tuple[str, ...], str, Any]] = {
    "get": (("GET", "HEAD"), "/{id}", None),
    "list": (("GET", "HEAD"), "/list", None),
    "search": (("POST",), "/search", {"and": []}),
    "create": (("POST",), "", {}),
    "update": (("PUT", "PATCH"), "/{id}", {}),
    "delete": (("DELETE",), "/{id}", None),
}


def test_every_route_of_the_table_is_attacked() -> None:
    assert {route.verb for route in ROUTES} == set(SENT)
    for route in ROUTES:
        methods, path, _ = SENT[route.verb]
        assert (set(methods) - {"HEAD"}, f"/{{type}}{path}") == (set(route.methods), route.pattern)
    assert {prefix or "/" for version in VERSIONS for prefix in version.prefixes} == set(DOORS)
    assert {case.values[0].name for case in EACH_ROUTE} == {route.name for route in ROUTES}  # type: ignore[attr-defined]


@each_route
async def test_a_foreign_id_is_as_unknown_as_none(world: World, route: LegacyRoute, door: str) -> None:
    """O01, O02: no old route reads or changes what another account owns, and each says so in the words for nothing."""
    caller = world.callers[ATTACKERS[door]]
    if "{id}" not in route.pattern:
        return
    for name in world.types_for(caller):
        foreign, unknown = world.first(name, "b"), unknown_id()
        for method in SENT[route.verb][0]:
            for body in (change_body(world, name), {}, None):
                for headers in ({"If-Match": "*"}, {}, {"If-None-Match": "*"}, {"Range": "bytes=0-1"}):
                    got, expected = [
                        await caller.send(method, f"{door.rstrip('/')}/{name}/{one}", body, headers=headers)
                        for one in (foreign, unknown)
                    ]
                    assert without(got, foreign) == without(expected, unknown), got
                    assert expected.status in (404, 422, 428), expected
                    assert expected.status == 404 or route.verb != "get", expected


@each_route
async def test_no_old_list_or_search_finds_what_is_not_ours(world: World, route: LegacyRoute, door: str) -> None:
    """O06, O10: by filter, parent, account or nothing at all; as many rows as an unknown id gives."""
    caller = world.callers[ATTACKERS[door]]
    if route.verb not in ("list", "search"):
        return
    for name in world.types_for(caller):
        own = (await caller.get(f"/v3/crud/{name}/?limit=100")).data
        everything = await ask(caller, route, door, name, "limit=100", {})
        assert [one["id"] for one in rows_of(everything, door)] == [one["id"] for one in own], everything
        assert not {one["id"] for one in own} & set(world.rows[name]["b"])
        assert CANARY_B.encode() not in everything.body
        foreign, unknown = world.first(name, "b"), unknown_id()
        for query, leaves in (
            ("id={id}", [{"field": "id", "op": "eq", "value": "{id}"}]),
            ("id_random.in={id},{own}", [{"field": "id_random", "op": "in", "value": ["{id}", "{own}"]}]),
            ("account_id_random={account}", [{"field": "account_id_random", "op": "eq", "value": "{account}"}]),
            ("for_obj_type=account&for_obj_id={account}", []),
            ("x_account_id={account}", []),
        ):
            replies = []
            for target, account in ((foreign, world.accounts["b"]), (unknown, unknown_id())):
                put = {"{id}": target, "{own}": world.first(name), "{account}": account}
                text, body = query, json.dumps({"and": leaves})
                for mark, value in put.items():
                    text, body = text.replace(mark, value), body.replace(mark, value)
                asked = "limit=100" if route.verb == "search" and leaves else f"{text}&limit=100"
                reply = await ask(caller, route, door, name, asked, json.loads(body))
                assert reply.status in (200, 403, 422), reply
                replies.append(without(reply, *put.values()))
            assert replies[0] == replies[1], query
        for parent in world.registry.types[name].parents:
            replies = []
            for target in (world.first(parent.type, "b"), unknown):
                query = f"for_obj_type={parent.type}&for_obj_id={target}"
                reply = await ask(caller, route, door, name, query, {})
                assert reply.status == 404, reply
                replies.append(without(reply, target))
            assert replies[0] == replies[1]


@each_route
async def test_nothing_is_made_under_or_tied_to_what_is_not_ours(world: World, route: LegacyRoute, door: str) -> None:
    """O04, O05, O21: by new names and old ones."""
    caller = world.callers[ATTACKERS[door]]
    if route.verb not in ("create", "update"):
        return
    before = await world.totals()
    for name in world.types_for(caller):
        resource = world.registry.types[name]
        relations = [one for one in resource.fields.values() if one.kind == "relation" and one.role != "account"]
        for field in [one.name for one in relations] + ["account_id", "id", "is_admin", "password_hash", "created_on"]:
            for spelling in (field, f"{field}_random"):
                replies = []
                for target in (_foreign_of(world, name, field), unknown_id()):
                    base = create_body(world, name) if route.verb == "create" else {}
                    base.pop(field, None)
                    path = f"{door.rstrip('/')}/{name}" + (f"/{world.first(name)}" if route.verb == "update" else "")
                    body = {**base, spelling: target}
                    reply = await caller.send(SENT[route.verb][0][0], path, body, headers={"If-Match": "*"})
                    assert 400 <= reply.status < 500, reply
                    replies.append(without(reply, target))
                assert replies[0] == replies[1], spelling
    assert await world.totals() == before


def _foreign_of(world: World, name: str, field: str) -> str:
    resource = world.registry.types[name]
    one = resource.fields.get(field)
    if field == "account_id" or one is None or one.kind != "relation":
        return world.accounts["b"]
    target = next(
        (each.target for each in resource.relations.values() if each.field == field and each.kind == "one"), ""
    )
    target = target or next((parent.type for parent in resource.parents if parent.field == field), "account")
    return world.first(target, "b") if "b" in world.rows[target] else unknown_id()


@each_route
async def test_no_other_spelling_of_an_id_is_that_id(world: World, route: LegacyRoute, door: str) -> None:
    """O49, and words that mean something in V3 below a type."""
    caller = world.callers[ATTACKERS[door]]
    root = door.rstrip("/")
    public_id = world.first("journal")
    words = [
        "schema",
        "options",
        "search",
        "bulk",
        "export",
        "..",
        ".",
        "~",
        "schema%3Fmode=create",
        f"{public_id}%2Fentry",
    ]
    for spelling in [*(quote(one, safe="%" if one.endswith("%00") else "") for one in look_alikes(public_id)), *words]:
        if "{id}" in route.pattern:
            for method in SENT[route.verb][0]:
                got = await caller.send(method, f"{root}/journal/{spelling}", {"name": "taken"})
                if f"/{{type}}/{spelling}" in {one.pattern for one in ROUTES if one.version == route.version}:
                    continue  # another route's place
                expected = await caller.send(method, f"{root}/journal/{unknown_id()}", {"name": "taken"})
                assert got.status == 404, got
                if "%2F" not in spelling:
                    assert unlinked(got) == unlinked(expected), got
        elif route.verb in ("list", "search"):
            query = f"for_obj_type=journal&for_obj_id={spelling}"
            reply = await ask(caller, route, door, "journal_entry", query, {})
            assert reply.status == 404, (spelling, str(reply))
    assert (await world.row("journal", public_id))["name"].startswith("alpha")


@each_route
async def test_without_credentials_an_old_route_is_closed(world: World, route: LegacyRoute, door: str) -> None:
    """O13, O20: but for what a public type opens, which is as open as in V3."""
    nobody = world.nobody
    for name in world.registry.types:
        for tail in ("", f"access_token={secrets.token_hex(8)}", "x_account_id=" + world.accounts["a"]):
            reply = await ask(nobody, route, door, name, tail, {}, public_id=unknown_id())
            is_public = world.registry.types[name].public is not None and route.verb in ("get", "list", "search")
            if is_public and not tail.startswith("x_account"):
                assert reply.status in (200, 400, 404), reply
            else:
                assert reply.status == 401, reply
                assert reply.header("www-authenticate"), reply
                assert detail_of(reply, route.version), reply


@each_route
async def test_a_type_without_rights_is_as_unknown_as_no_type(world: World, route: LegacyRoute, door: str) -> None:
    """O30: a word that is no type and a type that this caller may not see are one 404."""
    vault = world.rows["vault"]["a"][0]
    for query in ("", "limit=1", "x_account_id=" + world.accounts["a"]):
        got = await ask(world.user, route, door, "vault", query, {"name": "x"}, public_id=vault)
        expected = await ask(world.user, route, door, "nowhere", query, {"name": "x"}, public_id=vault)
        assert got.status == 404, got
        assert alike(got) == alike(expected), got
        assert got.header("content-type") == "application/problem+json", got


@each_route
async def test_a_body_is_bounded_and_strict_at_an_old_route(world: World, route: LegacyRoute, door: str) -> None:
    """O31, O36, O37, O39, O50, O51: read once, by the engine, with its limits."""
    caller = world.callers[ATTACKERS[door]]
    if route.verb not in ("search", "create", "update"):
        return
    method = SENT[route.verb][0][0]
    path = f"{door.rstrip('/')}/journal" + SENT[route.verb][1].replace("{id}", world.first("journal"))
    for raw in (b"[" * 10_000 + b"]" * 10_000, b'{"and":' * 10_000, b'{"and":[{"field":"name","op":"eq","value":' +
                b"[" * 150 + b"]" * 150 + b"}]}", b'{"name":"x","name":"y"}', b'{"and":[],"and":[]}', b"{'a': 1}",
                b'{"and":[{"field":"name","field":"body","op":"eq","value":1}]}', b"nul", b'{"name":NaN}',
                b'{"name":"\\ud800"}', b'{"name":"a\\u0000b"}', b"[]", b"1", b'"x"', b'{"name":1e400}'):  # fmt: skip
        reply, spent = await cheapest(caller, method, path, raw)
        assert reply.status in (400, 422), (raw[:40], str(reply))
        assert spent <= CPU_S, raw[:40]
    cap = 256 * 1024 if route.verb == "search" else 8 * 1024 * 1024
    piece = b" " * 65_536
    for client, status in ((caller, 413), (world.nobody, 401)):
        body = _Counted(piece, 3_200)
        reply = await client.send(method, path, raw=body, headers={"Content-Type": "application/json"})
        assert reply.status == status, reply
        assert body.taken <= (cap // len(piece) + 2 if client is caller else 0), body.taken
    reply = await caller.send(
        method, path, raw=b"x", headers={"Content-Type": "application/json", "Content-Encoding": "gzip"}
    )
    assert reply.status == 415, reply
    for media in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        reply = await caller.send(method, path, raw=b"a=b", headers={"Content-Type": media})
        assert reply.status == 415, reply


async def test_an_old_search_is_as_bounded_as_a_new_one(world: World, caller: Client) -> None:
    """O31, O32, O35: leaves, values and words of the old form."""
    leaf = {"field": "name", "op": "eq", "value": "x"}
    for body in (
        {"and": [leaf] * 5_000}, {"or": [leaf] * 201}, {"and": [leaf] * 100, "or": [leaf] * 101},
        {"and": [{"field": "name", "op": "in", "value": ["v"] * 1_001}]},
        {"and": [{"field": ".".join(["twin"] * 20) + ".name", "op": "eq", "value": "x"}]},
        {"and": [{"field": "twins", "op": "any", "value": nest(45, {"name": "x"})}]},
    ):  # fmt: skip
        raw = json.dumps(body).encode()
        reply, spent = await cheapest(caller, "POST", "/v2/crud/journal_entry/search", raw)
        assert reply.status == 422, reply
        assert spent <= 2 * CPU_S, (raw[:60], spent)
    for body in (
        {"and": [{"field": "name", "op": op, "value": "(a+)+$"}]}
        for op in (
            "regex",
            "iregex",
            "rlike",
            "sql",
            "",
            "and",
            "or",
            "not",
            "_and",
            "$not",
            "__or",
            "eq ",
            "password_hash",
        )
    ):
        reply = await caller.send("POST", "/crud/journal_entry/search", body)
        assert reply.status == 422, reply
    for field in (
        "password_hash", "passcode", "person.password_hash", "and", "or", "not", "_or", "$not", "any", "", " ",
        "password_hash_random", "id_random_random", "a(" * 30_000, "lower(password_hash)", "x." * 30_000,
    ):  # fmt: skip
        reply = await caller.send("POST", "/crud/journal_entry/search", {"or": [{**leaf, "field": field}]})
        assert reply.status == 422, reply
    for leaves in (
        leaf, "x", 5, [5], ["x"], [None], [{}], [{"field": "name"}], [{**leaf, "more": 1}], [[leaf]],
        [{**leaf, "field": 5}], [{**leaf, "op": None}], [{**leaf, "op": {}}], [{"and": [leaf]}],
    ):  # fmt: skip
        for key in ("and", "or"):
            reply = await caller.send("POST", "/v2/crud/journal_entry/search", {key: leaves})
            assert reply.status == 422, reply
    for body in ({"filter": {}}, {"limit": 1}, {"and": [], "q": "x"}, {"not": [leaf]}):
        reply = await caller.send("POST", "/v2/crud/journal_entry/search", body)
        assert reply.status == 422, reply
        assert "takes and, or" in reply.json["meta"]["detail"]


@each_route
async def test_what_is_too_much_or_odd_in_old_parameters_is_refused_or_stated(
    world: World, route: LegacyRoute, door: str
) -> None:
    """O33: sizes, orders, parents and switches."""
    caller = world.callers[ATTACKERS[door]]
    if route.verb not in ("list", "search"):
        return
    for name in ("limit", "offset"):
        for value in NUMBERS:
            reply = await ask(caller, route, door, "journal", f"{name}={quote(str(value), safe='')}", {})
            is_plain = str(value).isascii() and str(value).isdigit()
            assert reply.status in ((200, 422) if is_plain else (400, 422)), (value, str(reply))
            if name == "limit" and reply.status == 200 and int(str(value)) > 1_000:
                assert "reduced" in (reply.header("warning") or ""), reply
    for query in (
        "desc=maybe&order_by=name", "enabled=perhaps", "for_obj_type=journal", "for_obj_id=x", "order_by=password_hash",
        "order_by=;DROP", "order_by=name,,", "desc=1&order_by=-name", "for_obj_type=country&for_obj_id=" + unknown_id(),
        "for_obj_type=password_hash&for_obj_id=x", "for_obj_type=%00&for_obj_id=%00", "nowhere=1", "limit=1&limit=2",
        "order_by=name&order_by=name", "x_account_id=a&x_account_id=b", "limit=%ff", "%ff=1", "order_by=%ff",
        "limit=%00",
        "&".join(f"a{n}=1" for n in range(2_000)), "order_by=" + "a." * 20_000, "order_by=" + "f(" * 20_000,
    ):  # fmt: skip
        type_name = "user" if query.startswith("enabled") else "journal"
        reply = await ask(caller, route, door, type_name, query, {})
        assert reply.status in (400, 422), (query[:80], str(reply))
        assert len(reply.body) < 200_000
    long = await ask(caller, route, door, "journal", "order_by=" + "name," * 5_000 + "name", {})
    assert long.status in (200, 400, 422), long
    for text in ("x" * 60_000, "\xff", "%0d%0aX-Evil:1", unknown_id()):
        reply = await ask(caller, route, door, "journal", f"x_account_id={quote(text, safe='%')}", {})
        assert reply.status in (400, 403), reply
        assert reply.header("x-evil") is None


# ---------------------------------------------------------------- parts


def through(world: World, who: str, door: str) -> OldClient:
    """A caller who comes by an old door."""
    base = world.callers[who]
    return OldClient(base.app, base.name, base.headers, base.listener, registry=world.registry, door=door)


async def ask(
    caller: Client, route: LegacyRoute, door: str, type_name: str, query: str, body: Any, *, public_id: str = ""
) -> Reply:
    """A call of a route, however it is made."""
    methods, path, _ = SENT[route.verb]
    target = f"{door.rstrip('/')}/{type_name}{path.replace('{id}', public_id)}" + (f"?{query}" if query else "")
    return await caller.send(methods[0], target, body if methods[0] not in ("GET", "DELETE") else None)


def without(reply: Reply, *given: str) -> Any:
    """What can be compared of a reply that quotes the ids that were given, in its ``Link`` at least."""
    text = json.dumps(alike(reply), default=lambda body: body.decode("latin-1"))
    for one in given:
        text = text.replace(one, "<id>")
    return text


def unlinked(reply: Reply) -> Any:
    """What can be compared of a reply whatever was asked for."""
    status, headers, body = alike(reply)
    headers.pop("link", None)
    return status, headers, body


def rows_of(reply: Reply, door: str) -> Any:
    """The objects of a list, whichever form it has."""
    assert reply.status == 200, reply
    return reply.json if DOORS[door] == "v1" else reply.data


async def test_a_digest_of_another_account_is_as_unknown_as_none(any_world: World, any_caller: Client) -> None:
    """O09: there was no old download by digest; where a digest can be named, it finds files of ours alone."""
    if any_world.name != "shipped":
        return
    (row,) = await any_world.fetch(
        "SELECT hash_sha256 FROM hosted_file WHERE id_random = ?", any_world.first("hosted_file", "b")
    )
    own = await any_world.fetch(
        "SELECT hash_sha256 FROM hosted_file WHERE id_random = ?", any_world.first("hosted_file")
    )
    for word in ("hosted_file", "file"):
        for door in DOORS:
            root = f"{door.rstrip('/')}/{word}"
            replies = []
            for digest in (row[0], hashlib.sha256(secrets.token_bytes(8)).hexdigest()):
                leaf = {"field": "hash_sha256", "op": "eq", "value": digest}
                sent = [("GET", f"{root}/{digest}", None), ("HEAD", f"{root}/{digest}", None)]
                sent += [("GET", f"{root}/list?hash_sha256={digest}", None)]
                sent += [("POST", f"{root}/search", {"and": [leaf]})] if DOORS[door] == "v2" else []
                replies.append([without(await any_caller.send(*one), digest) for one in sent])
            assert replies[0] == replies[1]
            assert [json.loads(one)[0] for one in replies[0]][:3] == [404, 404, 200]
            must = await any_caller.get(f"{root}/list?hash_sha256={own[0][0]}")
            assert len(rows_of(must, door)) == 1
