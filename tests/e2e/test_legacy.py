"""The old API as an old client sees it: paths, parameters, shapes, names; and what is left when its folder is gone."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from engine.auth.mint import mint_token
from legacy_shim.app import LegacyLayer
from tests.support.legacy import DOORS, say_filter, with_old_names
from tests.support.populate import Store, populate
from tests.support.serving import ROOT, Client, Reply, Running, make_settings, prepare, running
from tests.support.stage import Stage

each_door = pytest.mark.parametrize("door", DOORS)
V1_DOORS = [door for door, version in DOORS.items() if version == "v1"]
V2_DOORS = [door for door, version in DOORS.items() if version == "v2"]

# A type and fields that had other names, and one without a field `enable`.
REGISTRY = """
version: 1
roles: {admin: ["*:*"]}
types:
  account: {table: account, account: self, search: [name], fields: {name: {type: string(40), required: true}}}
  folder:
    table: folder
    account: own
    search: [title, rank, enable, owner_id]
    fields:
      title: {type: string(40), required: true}
      rank: {type: integer}
      note: {type: json}
      pin: {type: string(40), hidden: true}
      code: {type: string(40), secret: true}
      enable: {type: boolean, default: true}
      owner_id: {ref: account}
    legacy: {name: binder, fields: {caption: title, holder_id: owner_id, pincode: pin, secret_code: code, rank: title}}
  sheet:
    table: sheet
    account: inherited
    parent: {type: folder, segment: sheet}
    search: [text]
    fields: {text: {type: string(40), required: true}}
  health: {table: health, account: own, search: [name], fields: {name: {type: string(40), required: true}}}
"""


@pytest.fixture
async def old(database_url: str, tmp_path: Path) -> AsyncIterator[Client]:
    """An administrator of an account, on the registry above."""
    registry = tmp_path / "resources.yaml"
    registry.write_text(REGISTRY, encoding="utf-8")
    made = make_settings(database_url, registry)
    await prepare(made)
    async with running(made) as app:
        yield await _admin(app)


async def _admin(app: Running) -> Client:
    operator = mint_token(app.settings, is_operator=True)
    client = Client(app.engine.application, headers={"Authorization": f"Bearer {operator}"})
    account = (await client.send("POST", "/v3/crud/account/", {"name": "one"})).data["id"]
    token = mint_token(app.settings, accounts=[account], roles=["admin"])
    return Client(app.engine.application, headers={"Authorization": f"Bearer {token}"})


def _root(door: str) -> str:
    return door.rstrip("/")


@pytest.mark.parametrize("door", V1_DOORS)
async def test_v1_answers_the_bare_object_or_list(old: Client, door: str) -> None:
    made = await old.send("POST", f"{_root(door)}/folder", {"title": "a"})
    assert (made.status, made.header("location")) == (200, None), made
    public_id = made.json["id"]
    assert made.json["id_random"] == public_id
    assert made.json["account_id_random"] == made.json["account_id"]
    path = f"{_root(door)}/folder/{public_id}"
    got = await old.get(path)
    assert (got.status, got.json) == (200, made.json)
    assert (await old.get(f"{_root(door)}/folder/list")).json == [made.json]
    for method, rank in (("PUT", 1), ("PATCH", 2)):
        changed = await old.send(method, path, {"rank": rank})
        assert (changed.status, changed.json["rank"], changed.json["title"]) == (200, rank, "a")
    head = await old.send("HEAD", path)
    got = await old.get(path)
    assert (head.status, head.body, head.header("content-length")) == (200, b"", str(len(got.body)))
    gone = await old.send("DELETE", path)
    assert (gone.status, gone.json) == (200, {"deleted": True, "id_random": public_id})
    missing = await old.get(path)
    assert (missing.status, list(missing.json)) == (404, ["detail"])


@pytest.mark.parametrize("door", V2_DOORS)
async def test_v2_answers_an_envelope_with_the_status_inside(old: Client, door: str) -> None:
    made = await old.send("POST", f"{_root(door)}/folder", {"title": "a"})
    assert made.status == 200, made
    assert made.json["meta"] == {"status_code": 201, "status_name": "Created", "success": True, "count": 1}
    public_id = made.data["id_random"]
    path = f"{_root(door)}/folder/{public_id}"
    got = await old.get(path)
    assert got.json == {
        "data": made.data,
        "meta": {"status_code": 200, "status_name": "OK", "success": True, "count": 1},
    }
    listed = await old.get(f"{_root(door)}/folder/list")
    found = await old.send("POST", f"{_root(door)}/folder/search", {"and": [_leaf("id_random", "eq", public_id)]})
    nothing = await old.send("POST", f"{_root(door)}/folder/search", {"and": [_leaf("title", "eq", "b")]})
    assert listed.json == found.json == {"data": [got.data], "meta": got.json["meta"]}
    assert (nothing.data, nothing.json["meta"]["count"]) == ([], 0)
    assert (await old.send("PUT", path, {"rank": 3})).data["title"] == "a"
    gone = await old.send("DELETE", path)
    assert (gone.status, gone.data) == (200, {"deleted": True, "id_random": public_id})
    missing = await old.get(path)
    assert (missing.status, missing.data, missing.json["meta"]["success"]) == (404, None, False)
    assert (missing.json["meta"]["status_code"], missing.json["meta"]["status_name"]) == (404, "Not Found")


@each_door
async def test_old_names_of_types_and_fields_are_taken_and_shown(old: Client, door: str) -> None:
    root = f"{_root(door)}/binder"
    account = (await old.get("/v3/crud/account/")).data[0]["id"]
    made = _object(await old.send("POST", root, {"caption": "x", "holder_id_random": account, "rank": 5}), door)
    # `rank` is a field today, so the old name of another one it is no longer.
    assert (made["title"], made["caption"], made["rank"]) == ("x", "x", 5)
    assert made["owner_id"] == made["owner_id_random"] == made["holder_id"] == made["holder_id_random"] == account
    assert not {"pin", "pincode", "code", "secret_code"} & set(made)
    listed = await old.get(
        f"{root}/list?caption=x&holder_id_random={account}&order_by=caption&fields=id_random,caption"
    )
    assert _object(listed, door) == [
        {"id": made["id"], "id_random": made["id"], "title": "x", "caption": "x"},
    ], listed
    changed = await old.send("PUT", f"{root}/{made['id']}", {**made, "caption": "y", "title": "y", "secret_code": "s"})
    assert _object(changed, door)["title"] == "y", changed
    both = await old.send("PATCH", f"{root}/{made['id']}", {"caption": "y", "title": "z"})
    assert both.status == 422, both
    hidden = await old.send("PATCH", f"{root}/{made['id']}", {"pincode": "1"})
    assert (hidden.status, b"'pin'" in hidden.body) == (422, False), hidden
    await old.send("POST", f"{_root(door)}/sheet", {"folder_id_random": made["id"], "text": "in it"})
    inside = _object(await old.get(f"{root}/{made['id']}?expand=sheet,owner"), door)
    assert inside["sheet"]["data"][0]["folder_id_random"] == made["id"]
    assert inside["owner"]["id_random"] == account
    below = await old.get(f"{_root(door)}/sheet/list?for_obj_type=binder&for_obj_id={made['id']}")
    assert [one["text"] for one in _object(below, door)] == ["in it"]


@each_door
async def test_lists_take_the_old_parameters(old: Client, door: str) -> None:
    for title, enable in (("b", True), ("a", True), ("c", False)):
        await old.send("POST", "/v3/crud/folder/", {"title": title, "enable": enable})
    root = f"{_root(door)}/folder"

    async def titles(query: str) -> list[str]:
        asked = [await old.get(f"{root}/list?{query}")]
        if DOORS[door] == "v2":
            asked.append(await old.send("POST", f"{root}/search?{query}", {}))
        found = [[one["title"] for one in _object(reply, door)] for reply in asked]
        assert all(one == found[0] for one in found), query
        return found[0]

    assert await titles("order_by=title") == ["a", "b"]
    assert (
        await titles("order_by=title&desc=1") == await titles("order_by=title&desc=true&enabled=enabled") == ["b", "a"]
    )
    assert await titles("order_by=title&desc=0&enabled=all") == ["a", "b", "c"]
    assert await titles("enabled=disabled") == ["c"]
    assert await titles("order_by=title&enabled=all&limit=1&offset=1") == ["b"]
    assert await titles("desc=1") == await titles("")
    account = (await old.get("/v3/crud/account/")).data[0]["id"]
    assert len(await titles(f"x_account_id={account}&for_obj_type=account&for_obj_id={account}")) == 2
    # What has no `enable` has nothing that is disabled.
    await old.send("POST", "/v3/crud/health/", {"name": "x"})
    assert len(_object(await old.get("/api/health/list?enabled=disabled"), "/api")) == 1
    # Whoever filters by the field himself is not filtered once more.
    assert [one["title"] for one in _object(await old.get(f"{root}/list?enable=false"), door)] == ["c"]
    if DOORS[door] == "v2":
        reply = await old.send("POST", f"{root}/search", {"and": [_leaf("enable", "eq", False)]})
        assert [one["title"] for one in reply.data] == ["c"]


@pytest.mark.parametrize("door", V2_DOORS)
async def test_and_beside_or_of_an_old_search_means_both(old: Client, door: str) -> None:
    for title, rank in (("a", 1), ("b", 2), ("c", 3), ("ab", 1)):
        await old.send("POST", "/v3/crud/folder/", {"title": title, "rank": rank})

    async def titles(body: Any) -> list[str]:
        reply = await old.send("POST", f"{_root(door)}/folder/search?order_by=title", body)
        assert reply.status == 200, reply
        return [one["title"] for one in reply.data]

    starts, one, three = _leaf("title", "startsWith", "a"), _leaf("rank", "_eq", 1), _leaf("rank", "$gte", 3)
    assert await titles({"and": [starts, one]}) == ["a", "ab"]
    assert await titles({"or": [three, one]}) == ["a", "ab", "c"]
    assert await titles({"and": [starts], "or": [three, one]}) == ["a", "ab"]
    assert await titles({"and": [_leaf("title", "nin", ["a"]), _leaf("title", "ncontains", "c")], "or": []}) == [
        "ab",
        "b",
    ]
    assert await titles({"and": [], "or": None}) == await titles({}) == ["a", "ab", "b", "c"]


@each_door
async def test_refusals_keep_the_old_shape_and_their_headers(old: Client, door: str) -> None:
    root = f"{_root(door)}/folder"
    for method, target, body, status, header in (
        ("POST", root, {"title": 5, "nope": 1}, 422, None),
        ("POST", root, {}, 422, None),
        ("GET", f"{root}/list?nope=1", None, 400, None),
        ("GET", root, None, 405, "allow"),
        ("BREW", f"{root}/x", None, 405, "allow"),
        ("PUT", f"{root}/AAAAAAAAAAAAAAAAAAAAAA", {"rank": 1}, 404, None),
    ):
        reply = await old.send(method, target, body)
        assert reply.status == status, reply
        assert _refusal(reply, door), reply
        assert header is None or reply.header(header), reply
        assert reply.header("x-request-id"), reply
    nobody = replace(old, headers={})
    reply = await nobody.get(f"{root}/list")
    assert (reply.status, reply.header("www-authenticate")) == (401, "Bearer")
    assert _refusal(reply, door)
    made = _object(await old.send("POST", root, {"title": "a"}), door)
    got = await old.get(f"{root}/{made['id']}")
    tag = got.header("etag") or ""
    assert (await old.get(f"{root}/{made['id']}", headers={"If-None-Match": tag})).status == 304
    assert (await old.send("PUT", f"{root}/{made['id']}", {"rank": 1}, headers={"If-Match": tag})).status == 200
    stale = await old.send("PUT", f"{root}/{made['id']}", {"rank": 2}, headers={"If-Match": tag})
    assert (stale.status, bool(_refusal(stale, door))) == (412, True)
    override = {"X-HTTP-Method-Override": "DELETE"}
    assert (await old.get(f"{root}/{made['id']}", headers=override)).status == 200
    options = await old.send("OPTIONS", f"{root}/{made['id']}")
    assert (options.status, options.header("allow")) == (204, "DELETE, GET, HEAD, OPTIONS, PATCH, PUT")
    assert (await old.send("OPTIONS", root)).header("allow") == "OPTIONS, POST"


async def test_numbers_of_any_size_in_json_come_back_as_they_are(old: Client) -> None:
    body = {"title": "big", "note": {"n": 10**30, "m": -(2**63) - 1, "deep": [{"id_random": 1, "account_id": "x"}]}}
    for door in DOORS:
        made = _object(await old.send("POST", f"{_root(door)}/folder", body), door)
        got = _object(await old.get(f"{_root(door)}/folder/{made['id']}"), door)
        listed = _object(await old.get(f"{_root(door)}/folder/list?id={made['id']}"), door)
        assert made["note"] == got["note"] == listed[0]["note"] == body["note"]


async def test_no_path_of_today_is_shadowed(old: Client) -> None:
    """A type that is called like one of our paths is served by V1 below /api alone."""
    assert (await old.get("/health/live")).status == 200
    for path in (
        "/health/list",
        "/v3/list",
        "/docs/list",
        "/metrics/list",
        "/openapi.json/list",
        "/nothing",
        "/nothing/x",
    ):
        reply = await old.get(path)
        assert (reply.status, reply.header("content-type")) == (404, "application/problem+json"), reply
        assert reply.header("deprecation") is None, reply
    assert (await old.send("POST", "/api/health", {"name": "x"})).status == 200
    assert (await old.get("/crud/health/list")).status == 200
    for path in ("/docs", "/openapi.json", "/v3/crud/"):
        reply = await old.get(path)
        assert (reply.status, reply.header("deprecation")) == (200, None), reply


async def test_slashes_and_escapes_in_paths(old: Client) -> None:
    made = (await old.send("POST", "/folder/", {"title": "a"})).json
    for path, status in (
        (f"/folder/{made['id']}/", 200), (f"/api/folder/{made['id']}", 200), (f"/%66older/{made['id']}", 200),
        (f"//folder/{made['id']}", 404), (f"/folder//{made['id']}", 404), (f"/Folder/{made['id']}", 404),
        (f"/folder/{made['id']}//", 404), (f"/folder/{made['id']}/x", 404), ("/folder/schema", 404), ("/api/", 404),
        ("/crud", 404), ("/v2/crud/", 404), ("/v2/folder/list", 404), ("/folder/list/", 200), ("/folder/search", 404),
    ):  # fmt: skip
        assert (await old.get(path)).status == status, path


async def test_another_registry_brings_other_words(database_url: str, tmp_path: Path) -> None:
    """The words are those of the registry that is served at the moment, as after a reload."""
    registry = tmp_path / "resources.yaml"
    registry.write_text(REGISTRY, encoding="utf-8")
    made = make_settings(database_url, registry)
    await prepare(made)
    async with running(made) as app:
        client = await _admin(app)
        layer = app.engine.application
        assert isinstance(layer, LegacyLayer)
        assert (await client.get("/binder/list")).status == 200
        present = app.engine.runtime.registry
        types = {name: replace(one, legacy=type(one.legacy)(name="wallet")) if name == "folder" else one
                 for name, one in present.types.items()}  # fmt: skip
        app.engine.runtime.registry = replace(present, types=types)
        assert [(await client.get(f"/{word}/list")).status for word in ("binder", "wallet", "folder")] == [
            404,
            200,
            200,
        ]


# ---------------------------------------------------------------- laws over every type


SHORT = settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
_STORES: dict[int, Store] = {}


@pytest.fixture
def store(shipped_stage: Stage) -> Store:
    """An account with some objects of every type of the shipped registry."""
    if id(shipped_stage) not in _STORES:
        populate(shipped_stage.new_account("other"), count=2)
        _STORES[id(shipped_stage)] = populate(shipped_stage.new_account("one"), count=3)
    return _STORES[id(shipped_stage)]


@SHORT
@given(data=st.data())
def test_an_old_object_says_what_the_new_one_says_and_is_taken_back(store: Store, data: st.DataObject) -> None:
    """New → old → new: each object of each type by each door, and written back as an old client would."""
    name = data.draw(st.sampled_from(sorted(store.documents)), "type")
    door = data.draw(st.sampled_from(list(DOORS)), "door")
    registry = store.caller.stage.app.engine.runtime.registry
    rows = store.caller.search(name, {"limit": 100}).data
    assume(rows)
    row = data.draw(st.sampled_from(rows), "row")
    path = f"{_root(door)}/{name}/{row['id']}"
    new, reply = store.caller.get(f"/v3/crud/{name}/{row['id']}"), store.caller.get(path)
    shown = _object(reply, door)
    assert shown == with_old_names(registry, name, new.data)
    assert {key: value for key, value in shown.items() if not key.endswith("_random")} == new.data
    back = store.caller.send("PUT", path, shown, headers={"If-Match": "*"})
    assert back.status == 200, back
    after = store.caller.get(f"/v3/crud/{name}/{row['id']}").data
    times = {"updated_on": ""}
    assert {**after, **times} == {**new.data, **times}


@SHORT
@given(data=st.data())
def test_an_old_search_finds_what_the_new_one_finds(store: Store, data: st.DataObject) -> None:
    """New → old → new of a search: its own values of an object, by every operator of its fields that takes one."""
    name = data.draw(st.sampled_from(sorted(store.documents)), "type")
    door = data.draw(st.sampled_from(V2_DOORS), "door")
    rows = store.caller.search(name, {"limit": 100}).data
    assume(rows)
    fields = store.documents[name]["fields"]
    leaves = data.draw(st.lists(_leaves(fields, rows), min_size=1, max_size=4), "leaves")
    cut = data.draw(st.integers(0, len(leaves)), "cut")
    condition = {"and": leaves[:cut]} if cut else {}
    condition |= {"or": leaves[cut:]} if leaves[cut:] else {}
    said = say_filter(condition)
    assert said is not None
    asked = f"{_root(door)}/{name}/search?enabled=all&limit=1000"
    old, new = store.caller.send("POST", asked, said), store.caller.search(name, {"filter": condition, "limit": 1000})
    assert old.status == new.status, f"{old}\n{new}\n{condition}"
    if new.status == 200:
        assert [one["id"] for one in old.data] == [one["id"] for one in new.data], condition


@st.composite
def _leaves(draw: st.DrawFn, fields: dict[str, Any], rows: list[dict[str, Any]]) -> dict[str, Any]:
    names = [key for key, one in fields.items() if one.get("filterable") and key in rows[0]]
    name = draw(st.sampled_from(sorted(names)))
    value = draw(st.sampled_from([row[name] for row in rows]))
    operator = draw(st.sampled_from(fields[name]["filterable"]))
    operands = {"in": [value], "nin": [value], "null": True, "empty": True, "between": [value, value]}
    return {name: {operator: operands.get(operator, value)}}


# ---------------------------------------------------------------- without it


WITHOUT = """
import json, sys
copy, root = sys.argv[1:3]
sys.path[:] = [copy, *(one for one in sys.path if one != root)]
sys.meta_path[:] = [one for one in sys.meta_path if "editable" not in repr(one).lower()]
import asyncio
from tests.support.serving import Client, make_settings, prepare, running
import engine
from pathlib import Path
assert engine.__file__.startswith(copy), engine.__file__
from engine.auth.mint import mint_token

async def main():
    settings = make_settings(f"sqlite:///{copy}/x.sqlite3", Path(copy) / "resources.yaml")
    await prepare(settings)
    async with running(settings) as app:
        token = mint_token(settings, is_operator=True)
        client = Client(app.engine.application, headers={"Authorization": f"Bearer {token}"})
        shown = {path: (await client.get(path)).status for path in sys.argv[3:]}
        print(json.dumps(shown))

asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("removed", "left"), [("legacy_shim", ()), ("legacy_shim/v1.py", "v2"), ("legacy_shim/v2.py", "v1")]
)
def test_deleting_a_version_or_the_folder_removes_it_and_nothing_else(tmp_path: Path, removed: str, left: str) -> None:
    for name in ("engine", "actions", "resources", "legacy_shim", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "data", "e2e"))
    shutil.copy(ROOT / "resources.yaml", tmp_path)
    gone = tmp_path / removed
    shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    old = {door: f"{_root(door)}/account/list" for door in DOORS}
    new = ["/v3/crud/account/", "/health/live", "/openapi.json", "/v3/crud/schema"]
    command = [sys.executable, "-c", WITHOUT, str(tmp_path), str(ROOT), *old.values(), *new]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout.splitlines()[-1])
    assert {path: shown[path] for path in new} == dict.fromkeys(new, 200)
    assert {door: shown[path] for door, path in old.items()} == {
        door: 200 if version == left else 404 for door, version in DOORS.items()
    }


# ---------------------------------------------------------------- parts


def _leaf(field: str, op: str, value: Any) -> dict[str, Any]:
    return {"field": field, "op": op, "value": value}


def _object(reply: Reply, door: str) -> Any:
    assert reply.status == 200, reply
    return reply.json if DOORS[door] == "v1" else reply.data


def _refusal(reply: Reply, door: str) -> str:
    """The text of a refusal in the old form."""
    assert reply.header("content-type") == "application/json", reply
    if DOORS[door] == "v1":
        assert list(reply.json) == ["detail"]
        return str(reply.json["detail"])
    meta = reply.json["meta"]
    assert (reply.data, meta["success"], meta["status_code"]) == (None, False, reply.status)
    return str(meta["detail"])
