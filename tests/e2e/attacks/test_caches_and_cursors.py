"""Attacks on what is remembered between requests: caches, ETags, cursors."""

from __future__ import annotations

import base64
import json
import secrets
from typing import Any

from tests.support.attack import World, alike, unknown_id
from tests.support.serving import Client, Reply

PRIVATE = ("private", "no-store")


def is_private(reply: Reply) -> bool:
    """Whether no shared cache may keep a reply."""
    return any(word in (reply.header("cache-control") or "") for word in PRIVATE)


async def test_one_address_answers_each_account_its_own(world: World, caller: Client) -> None:
    for path in ("/v3/crud/journal/", "/v3/crud/journal/?sort=name&limit=1", "/v3/crud/", "/v3/crud/journal/options",
                 "/v3/crud/journal/schema?mode=create&inline=person_id", "/v3/crud/account/",
                 "/v3/crud/journal/?count=exact",
                 "/v3/crud/journal_entry/?expand=person,journal&fields=*", "/v3/crud/user/?q=name"):  # fmt: skip
        for method in ("GET", "HEAD"):
            ours = await caller.send(method, path)
            theirs = await world.other.send(method, path)
            again = await caller.send(method, path)
            assert ours.status == theirs.status == again.status == 200, ours
            # Cursors are sealed anew each time.
            assert method == "HEAD" or (ours.json.get("data") == again.json.get("data")), ours
            assert is_private(ours), ours
            assert {"authorization", "x-api-key", "x-account-id"} <= {
                word.strip().lower() for word in (ours.header("vary") or "").split(",")
            }, ours
            if method == "GET" and "crud/?" not in path and path != "/v3/crud/":
                assert ours.body != theirs.body, path
            assert method == "GET" or not ours.body


async def test_an_etag_of_ours_is_no_answer_to_another_account(world: World, caller: Client) -> None:
    journal, foreign = world.first("journal"), world.first("journal", "b")
    path = f"/v3/crud/journal/{journal}"
    mine = await caller.get(path)
    etag = mine.header("etag") or ""
    must = await caller.get(path, headers={"If-None-Match": etag})
    assert must.status == 304
    assert not must.body
    theirs = (await world.other.get(f"/v3/crud/journal/{foreign}")).header("etag") or ""
    for tag in (etag, theirs, "*", f"W/{etag}", f'"x", {etag}', '"1-00000000"'):
        for method in ("GET", "HEAD"):
            got = await world.other.send(method, path, headers={"If-None-Match": tag})
            expected = await world.other.send(
                method, f"/v3/crud/journal/{unknown_id()}", headers={"If-None-Match": tag}
            )
            assert got.status == 404, got
            assert alike(got) == alike(expected)
            reply = await caller.send(method, f"/v3/crud/journal/{foreign}", headers={"If-None-Match": tag})
            assert reply.status == 404, reply
        reply = await caller.send("PATCH", f"/v3/crud/journal/{foreign}", {"name": "x"}, headers={"If-Match": tag})
        assert reply.status in (404, 412), reply
    stale = await caller.send("PATCH", path, {"name": "x"}, headers={"If-Match": '"999-00000000"'})
    assert stale.status == 412, stale
    world.may_show_insides = True  # The schema scope shows the table.
    for document in ("/v3/crud/schema", "/v3/crud/journal/schema", "/openapi.json"):
        tag = (await world.callers["admin"].get(document)).header("etag") or '""'
        reply = await world.callers["viewer"].get(document, headers={"If-None-Match": tag})
        assert reply.status == 200, reply


async def test_refusals_are_kept_by_no_cache(world: World, caller: Client) -> None:
    journal = world.first("journal")
    for client, method, path, body in (
        (caller, "GET", f"/v3/crud/journal/{unknown_id()}", None), (world.nobody, "GET", "/v3/crud/journal/", None),
        (caller, "POST", "/v3/crud/journal/search", {"x": 1}), (caller, "BREW", "/v3/crud/journal/", None),
        (caller, "GET", "/v3/crud/journal/?x=1", None), (world.nobody, "GET", "/openapi.json", None),
        (caller, "PATCH", f"/v3/crud/journal/{journal}", {"id": 1}), (caller, "GET", "/v3/nowhere", None),
        (caller, "GET", "/v3/meta/registry", None), (caller, "GET", f"/v3/action/journal/{journal}/summary", None),
        (world.callers["admin"], "GET", f"/v3/action/journal/{journal}/summary", None),
        (world.callers["admin"], "GET", "/v3/crud/schema", None), (caller, "PUT", f"/v3/crud/journal/{journal}",
        {"name": 1}),
    ):  # fmt: skip
        reply = await client.send(method, path, body)
        assert is_private(reply), reply
        assert reply.status >= 200
        if reply.status in (204, 304):
            assert not reply.body


async def test_head_is_get_without_the_body(world: World, caller: Client) -> None:
    for path in (f"/v3/crud/journal/{world.first('journal')}", "/v3/crud/journal/", f"/v3/crud/journal/{unknown_id()}",
                 f"/v3/crud/journal/{world.first('journal', 'b')}", "/v3/nowhere",
                 "/v3/crud/journal/?x=1"):  # fmt: skip
        get, head = await caller.send("GET", path), await caller.send("HEAD", path)
        assert not head.body
        assert (get.status, get.header("etag"), get.header("content-type"), get.header("content-length")) == (
            head.status, head.header("etag"), head.header("content-type"), head.header("content-length"),
        ), head  # fmt: skip


SORTS: list[tuple[str, Any]] = [
    ("journal_entry", {"sort": ["name"]}), ("journal_entry", {"sort": ["-entry_date"]}), ("journal_entry", {}),
    ("journal_entry", {"sort": ["person.name:nulls_last", "-amount"]}), ("journal", {"sort": ["-created_on"]}),
    ("person", {"sort": ["chief.name", "name"]}), ("journal_entry", {"sort": ["lower(name)"]}),
]  # fmt: skip


async def pages(client: Client, type_path: str, body: dict[str, Any]) -> list[str]:
    """The cursors of all pages, of one row each."""
    cursors, search = [], {**body, "limit": 1}
    while True:
        reply = await client.search(type_path, search)
        assert reply.status == 200, reply
        meta = reply.json["meta"]
        cursors += [one for one in (meta["next_cursor"], meta["prev_cursor"]) if one]
        if not meta["next_cursor"] or len(cursors) > 20:
            return cursors
        search = {**body, "limit": 1, "cursor": meta["next_cursor"]}


async def test_a_cursor_tells_nothing(world: World, caller: Client) -> None:
    """The invariants take every cursor of a reply apart; here they are compared with what they must not hold."""
    for type_path, body in SORTS:
        first, second = await pages(caller, type_path, body), await pages(caller, type_path, body)
        assert first
        numbers = [
            world.row_ids[one].to_bytes(8, order) for one in world.rows[type_path]["a"] for order in ("big", "little")
        ]
        texts = [b"alpha", b"name", b"journal", *(one.encode() for one in world.rows[type_path]["a"])]
        for cursor in {*first, *second}:
            raw = b"".join(_decode(part) for part in cursor.split("."))
            for needle in [*numbers, *texts, *(number.lstrip(b"\0")[:5] for number in numbers)]:
                assert needle not in raw, (type_path, body)


async def test_an_altered_cursor_is_refused(world: World, caller: Client) -> None:
    body: dict[str, Any] = {"sort": ["name"], "limit": 1}
    cursor = (await pages(caller, "journal_entry", body))[0]
    bad = [
        cursor[:index] + ("A" if cursor[index] != "A" else "B") + cursor[index + 1 :]
        for index in range(0, len(cursor), 3)
    ]
    raw = bytearray(_decode(cursor.rpartition(".")[2]))
    head = cursor.rpartition(".")[0]
    for bit in range(0, len(raw) * 8, 37):
        flipped = bytearray(raw)
        flipped[bit // 8] ^= 1 << bit % 8
        bad.append(f"{head}.{base64.urlsafe_b64encode(flipped).rstrip(b'=').decode()}")
    bad += [
        cursor[:-1], f"{cursor}A", cursor * 2, cursor.swapcase(), f" {cursor}", f"{cursor} ", f"{cursor}=",
        f"{cursor}\n", "c1.",
        "c1", "c2" + cursor[2:], ".", "", "null", "0", "x" * 100_000, "c1." + "A" * 100_000,
        "c1." + secrets.token_urlsafe(60),
        base64.urlsafe_b64encode(json.dumps({"id": 1}).encode()).decode(), cursor.replace("c1", "c0"), "é", "\x00",
        "c1." + base64.urlsafe_b64encode(bytes(64)).decode().rstrip("="),
    ]  # fmt: skip
    for one in bad:
        reply = await caller.search("journal_entry", {**body, "cursor": one})
        if "\0" in one:
            assert reply.status == 422, reply
            continue
        assert reply.status == 400, (one[:100], str(reply))
        assert reply.code == "cursor-mismatch", reply
        assert one == "" or one not in json.dumps(alike(reply)[2])[:5_000] or len(one) < 5
    for odd in (7, True, [cursor], {"c": cursor}, 1.5):
        assert (await caller.search("journal_entry", {**body, "cursor": odd})).status in (400, 422)
    large = await caller.search("journal_entry", {**body, "cursor": "A" * 1_000_000})
    assert large.status in (400, 413), large
    must = await caller.search("journal_entry", {**body, "cursor": cursor})
    assert must.status == 200, must


async def test_a_cursor_continues_its_own_search_alone(world: World, caller: Client) -> None:
    body: dict[str, Any] = {"sort": ["name"], "limit": 1}
    cursor = (await pages(caller, "journal_entry", body))[0]
    parent, other = world.rows["journal"]["a"][:2]
    theirs = (await pages(world.other, "journal_entry", body))[0]
    nested = (await pages(caller, f"journal/{parent}/entry", {"sort": ["name"]}) or [cursor])[0]
    searches: list[tuple[str, dict[str, Any]]] = [
        ("journal_entry", {**body, "sort": ["-name"], "cursor": cursor}), ("journal_entry", {"limit": 1,
        "cursor": cursor}),
        ("journal_entry", {**body, "sort": ["name", "amount"], "cursor": cursor}), ("journal", {**body,
        "cursor": cursor}),
        ("journal_entry", {**body, "filter": {"name": {"ne": "x"}}, "cursor": cursor}), ("person", {**body,
        "cursor": cursor}),
        ("journal_entry", {**body, "q": "alpha", "cursor": cursor}), ("journal_entry", {**body, "cursor": theirs}),
        ("entry_line", {**body, "cursor": cursor}), (f"journal/{parent}/entry", {**body, "cursor": cursor}),
        (f"journal/{other}/entry", {**body, "cursor": nested}), ("journal_entry", {**body,
        "sort": ["person.name"], "cursor": cursor}),
        ("journal_entry", {**body, "sort": ["name:nulls_last"], "cursor": cursor}),
    ]  # fmt: skip
    for type_path, search in searches:
        reply = await caller.search(type_path, search)
        assert reply.status == 400 or "nulls_last" in str(search.get("sort")), reply
        assert reply.status != 400 or reply.code == "cursor-mismatch", reply
    for name in ("other", "other_key", "operator"):
        reply = await world.callers[name].search("journal_entry", {**body, "cursor": cursor})
        assert reply.status == 400, reply
    query = await caller.get(f"/v3/crud/journal_entry/?sort=-name&limit=1&cursor={cursor}")
    assert query.status == 400, query
    for change in ({"limit": 2}, {"fields": ["id"]}, {"count": "exact"}, {"expand": ["person"]}):
        assert (await caller.search("journal_entry", {**body, **change, "cursor": cursor})).status == 200


async def test_a_cursor_grants_nothing(world: World) -> None:
    """Whoever lost a right has no use of a cursor from before."""
    body: dict[str, Any] = {"sort": ["name"], "limit": 1}
    cursor = (await pages(world.callers["admin"], "journal_entry", body))[0]
    for name in ("clerk", "viewer", "user"):
        reply = await world.callers[name].search("journal_entry", {**body, "cursor": cursor})
        assert reply.status in (200, 400), reply
        if reply.status == 200 and name == "clerk":
            assert all(row["visibility"] == "public" for row in reply.data), reply
    assert (await world.nobody.search("journal_entry", {**body, "cursor": cursor})).status == 401


def _decode(part: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except ValueError:
        return b""
