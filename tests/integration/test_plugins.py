"""Plug-ins at work: the code of `docs/plugins.md` as it stands there, and the action that the product ships."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from engine.auth.mint import mint_token
from engine.io.database import open_database
from engine.io.seed import seed
from engine.main import prepare as prepare_engine
from tests.support.serving import ROOT, Client, make_settings, prepare, running

REGISTRY = """\
version: 1
types:
  account:
    table: account
    account: self
    display: "{name}"
    search: [name]
    fields: {name: {type: string(100), required: true}}
  venue:
    table: venue
    account: own
    display: "{name}"
    search: [name, city, capacity]
    fields:
      name: {type: string(200), required: true}
      city: {type: string(100)}
      capacity: {type: integer}
      label: {type: string(300), computed: true}
"""
DATA = """\
account:
  ours: {id: ourAccount_12345, name: Ours}
  theirs: {id: theirAccount_123, name: Theirs}
venue:
  hall: {id: ourHall_12345678, account_id: "@ours", name: Hall, city: Bern, capacity: 120}
  room: {id: ourRoom_12345678, account_id: "@ours", name: Room, capacity: 12}
  arena: {id: theirArena_12345, account_id: "@theirs", name: Arena, capacity: 9000}
"""


def blocks_of(page: str) -> list[str]:
    """The Python of a page of the documentation."""
    return re.findall(r"^```python\n(.*?)^```$", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def write_plugins(folder: Path) -> Path:
    """The registry with the documented plug-ins beside it."""
    override, action, family, worker = blocks_of("docs/plugins.md")
    for place, text in (
        ("resources.yaml", REGISTRY),
        ("data.yaml", DATA),
        ("resources/venue.py", override),
        ("actions/venue.py", action),
        ("actions/newest.py", family),
        ("actions/venue_check.py", worker),
    ):
        (folder / place).parent.mkdir(exist_ok=True)
        (folder / place).write_text(text, encoding="utf-8")
    return folder / "resources.yaml"


@asynccontextmanager
async def served(url: str, registry: Path, data: Path, **overrides: Any) -> AsyncIterator[Any]:
    """A running application with data; call what it gives with scopes to get a client."""
    settings = make_settings(url, registry, **overrides)
    await prepare(settings)
    database = open_database(settings)
    await seed(database, (await prepare_engine(settings)).registry, data)
    await database.close()
    async with running(settings) as app:

        def client(account: str, *scopes: str) -> Client:
            token = mint_token(settings, user="somebody_12345", accounts=[account], scopes=scopes)
            return Client(app.engine.application, headers={"Authorization": f"Bearer {token}"})

        yield client


@pytest.fixture
async def clients(database_url: str, tmp_path: Path) -> AsyncIterator[Any]:
    """Clients of a server with the documented plug-ins."""
    registry = write_plugins(tmp_path)
    async with served(database_url, registry, tmp_path / "data.yaml", write_body_bytes=1024) as client:
        yield client


async def test_the_documented_override_computes_defaults_and_refuses(clients: Any) -> None:
    client = clients("ourAccount_12345", "venue:read", "venue:write")
    hall = await client.get("/v3/crud/venue/ourHall_12345678")
    assert hall.data["label"] == "Hall (Bern)"
    made = await client.send("POST", "/v3/crud/venue/", {"name": "Tent"})
    assert (made.status, made.data["label"], made.data["city"]) == (201, "Tent (somewhere)", None)
    refused = await client.send("POST", "/v3/crud/venue/", {"name": "Hole", "capacity": -1})
    assert refused.status == 422
    assert refused.json["errors"][0]["pointer"] == "/capacity"
    changed = await client.send("PATCH", "/v3/crud/venue/ourRoom_12345678", {"city": "Chur"})
    assert (changed.status, changed.data["label"]) == (200, "Room (Chur)")


async def test_the_documented_worker_follows_committed_writes(clients: Any) -> None:
    client = clients("ourAccount_12345", "venue:read", "venue:write")
    kept = await client.send("POST", "/v3/crud/venue/", {"name": "Barn", "city": "Thun", "capacity": 9})
    made = await client.send("POST", "/v3/crud/venue/", {"name": "Shed", "city": "Thun", "capacity": 0})
    with anyio.fail_after(20):
        while (await client.get(f"/v3/crud/venue/{made.data['id']}")).data["city"] is not None:  # noqa: ASYNC110
            await anyio.sleep(0.02)
    assert (await client.get(f"/v3/crud/venue/{kept.data['id']}")).data["city"] == "Thun"


async def test_the_documented_actions_read_and_write_as_the_caller(clients: Any) -> None:
    client = clients("ourAccount_12345", "venue:read", "venue:update", "action:*")
    page = await client.get("/v3/action/venue/large?fields=name&sort=-name&limit=5")
    assert page.status == 200
    assert [one["name"] for one in page.data] == ["Hall"]
    assert page.json["meta"]["limit"] == 5
    booked = await client.send("POST", "/v3/action/venue/ourHall_12345678/book", {"seats": 20})
    assert (booked.status, booked.data["capacity"]) == (200, 100)
    again = await client.get("/v3/crud/venue/ourHall_12345678")
    assert again.data["capacity"] == 100


async def test_the_documented_family_has_an_action_for_each_type(clients: Any) -> None:
    client = clients("ourAccount_12345", "*:read", "venue:create")
    made = await client.send("POST", "/v3/crud/venue/", {"name": "Barn"})
    assert [one["id"] for one in (await client.get("/v3/action/venue/newest")).data] == [made.data["id"]]
    assert [one["name"] for one in (await client.get("/v3/action/account/newest")).data] == ["Ours"]
    stranger = clients("ourAccount_12345", "account:read")
    assert (await stranger.get("/v3/action/venue/newest")).status == 404


async def test_an_action_sees_no_other_account_and_no_right_that_the_caller_lacks(clients: Any) -> None:
    client = clients("ourAccount_12345", "venue:read", "venue:update", "action:*")
    foreign = await client.send("POST", "/v3/action/venue/theirArena_12345/book", {"seats": 1})
    unknown = await client.send("POST", "/v3/action/venue/noSuchArena_1234/book", {"seats": 1})
    assert (foreign.status, unknown.status) == (404, 404)
    assert {**foreign.json, "instance": "", "request_id": ""} == {**unknown.json, "instance": "", "request_id": ""}
    reader = clients("ourAccount_12345", "venue:read", "action:venue_book")
    refused = await reader.send("POST", "/v3/action/venue/ourHall_12345678/book", {"seats": 1})
    assert refused.status == 403


async def test_an_action_needs_its_scope_before_its_body_is_read(clients: Any) -> None:
    stranger = clients("ourAccount_12345", "*:*")
    body: list[bytes] = [b"{" * 1_000_000]
    assert (await stranger.send("POST", "/v3/action/venue/ourHall_12345678/book", raw=body)).status == 403
    nobody = Client(stranger.app)
    assert (await nobody.send("POST", "/v3/action/venue/ourHall_12345678/book", raw=body)).status == 401
    assert (await nobody.get("/v3/action/nothing")).status == 401


@pytest.mark.parametrize(
    ("raw", "headers", "status", "code"),
    [
        (b'{"seats": 1, "seats": 2}', {}, 400, "bad-json"),
        (b'{"seats": ', {}, 400, "bad-json"),
        (b"seats=1", {"Content-Type": "application/x-www-form-urlencoded"}, 415, "unsupported-media-type"),
        (b'{"seats": 1}', {"Content-Encoding": "gzip"}, 415, "unsupported-media-type"),
        (b'{"seats": 1' + b" " * 2_000 + b"}", {}, 413, "payload-too-large"),
        (b'{"seats": 0}', {}, 422, "type-mismatch"),
        (b"{}", {}, 422, "required"),
        (b"", {}, 422, "required"),
    ],
)
async def test_a_wrong_body_is_refused_as_everywhere(
    clients: Any, raw: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    client = clients("ourAccount_12345", "*:*", "action:*")
    sent = {"Content-Type": "application/json", **headers}
    reply = await client.send("POST", "/v3/action/venue/ourHall_12345678/book", raw=raw, headers=sent)
    assert reply.status == status
    assert reply.header("content-type") == "application/problem+json"
    codes = {reply.code, *(one["code"] for one in reply.json.get("errors", ()))}
    assert code in codes


async def test_an_action_that_keeps_no_promise_of_idempotency_refuses_it(clients: Any) -> None:
    client = clients("ourAccount_12345", "venue:read", "venue:update", "action:*")
    path = "/v3/action/venue/ourHall_12345678/book"
    refused = await client.send("POST", path, {"seats": 20}, headers={"Idempotency-Key": "once"})
    assert (refused.status, refused.json["errors"][0]["header"]) == (422, "Idempotency-Key")
    assert (await client.get("/v3/crud/venue/ourHall_12345678")).data["capacity"] == 120
    assert (await client.get("/v3/action/venue/large", headers={"Idempotency-Key": "once"})).status == 200


async def test_head_options_and_wrong_methods_are_answered_as_everywhere(clients: Any) -> None:
    client = clients("ourAccount_12345", "*:*", "action:*")
    for path in ("/v3/action/venue/large", "/v3/action/venue/large/"):
        assert (await client.get(path)).status == 200
    head = await client.send("HEAD", "/v3/action/venue/large")
    assert (head.status, head.body) == (200, b"")
    assert int(head.header("content-length") or 0) > 0
    options = await client.send("OPTIONS", "/v3/action/venue/large")
    assert (options.status, options.header("allow")) == (204, "GET, HEAD, OPTIONS")
    wrong = await client.send("PUT", "/v3/action/venue/large", {})
    assert (wrong.status, wrong.code, wrong.header("allow")) == (405, "method-not-allowed", "GET, HEAD, OPTIONS")


async def test_openapi_and_schema_documents_name_the_actions(clients: Any) -> None:
    client = clients("ourAccount_12345", "*:*", "action:venue_book")
    document = (await client.get("/openapi.json")).json
    paths = [path for path in document["paths"] if path.startswith("/v3/action/")]
    assert paths == ["/v3/action/account/newest", "/v3/action/venue/{venue_id}/book", "/v3/action/venue/newest"]
    operation = document["paths"][paths[1]]["post"]
    assert operation["operationId"] == "venue_book"
    assert operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith("/Booking")
    assert "Booking" in document["components"]["schemas"]
    schema = (await client.get("/v3/crud/venue/schema")).json
    allowed = {one["name"]: one["allowed"] for one in schema["actions"]}
    assert allowed == {"venue_book": True, "venue_large": False, "venue_newest": True}


async def test_the_shipped_summary_counts_what_the_caller_may_see(database_url: str) -> None:
    data = ROOT / "resources" / "demo.yaml"
    async with served(database_url, ROOT / "resources.yaml", data) as client:
        lab = client("aB7dE-2fGh4JkLmNoPqRsT", "*:read", "action:journal_summary")
        listed = await lab.get("/v3/crud/journal/?fields=name&expand=entry&limit=1")
        journal = listed.data[0]["id"]
        entries = await lab.get(f"/v3/crud/journal/{journal}/entry/?count=exact&limit=1000")
        reply = await lab.get(f"/v3/action/journal/{journal}/summary")
        assert reply.status == 200
        dates = sorted(one["entry_date"] for one in entries.data if one["entry_date"])
        assert reply.data == {
            "id": journal,
            "name": listed.data[0]["name"],
            "entries": entries.json["meta"]["total"],
            "public_entries": sum(one["visibility"] == "public" for one in entries.data),
            "first_entry_date": dates[0] if dates else None,
            "last_entry_date": dates[-1] if dates else None,
        }
        assert (await lab.get("/v3/action/journal/no_such_journal_1/summary")).status == 404
        unknown = await lab.get(f"/v3/action/journal/{journal}/summary?sort=name")
        assert (unknown.status, unknown.json["errors"][0]["parameter"]) == (400, "sort")
        resolver = client("aB7dE-2fGh4JkLmNoPqRsT", "*:read", "action:resolve")
        unknown = await resolver.send("POST", "/v3/action/resolve?sort=name", {"ids": [journal]})
        assert (unknown.status, unknown.json["errors"][0]["parameter"]) == (400, "sort")
