"""Downloads: by id, by what leads to a file, by digest, by a signed URL; conditions and ranges; what ids are."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from engine.language.ids import new_public_id
from tests.support.attack import alike
from tests.support.files import Shelf, caller_of, digest_of, shelf_on
from tests.support.serving import Client

CONTENT = bytes(range(256)) * 8
LARGE = CONTENT * 100
ETAG = f'"{digest_of(CONTENT)}"'


@pytest.fixture
async def shelf(database_url: str, tmp_path: Path) -> AsyncIterator[Shelf]:
    """Two accounts with an event each."""
    async with shelf_on(database_url, tmp_path) as made:
        yield made


async def upload(shelf: Shelf, content: bytes = CONTENT, name: str = "a.bin", kind: str = "application/x-ours") -> Any:
    """A file of ours; the event file as it was answered."""
    reply = await shelf.ours.upload(content, name, kind)
    assert reply.status == 201, str(reply)
    return reply.data


def by_digest(content: bytes = CONTENT) -> str:
    """The path of a download by digest."""
    return f"/v3/action/hosted_file/sha256/{digest_of(content)}"


def by_id(public_id: str) -> str:
    """The path of a download by id."""
    return f"/v3/action/hosted_file/{public_id}/download"


async def test_a_file_comes_by_its_id_by_what_leads_to_it_and_by_its_digest(shelf: Shelf) -> None:
    made = await upload(shelf)
    body = {"given_name": "A", "family_name": "B", "hosted_file_id": made["hosted_file_id"]}
    badge = await shelf.ours.admin.send("POST", f"/v3/crud/event/{shelf.ours.event}/badge/", body)
    paths = [by_id(one) for one in (made["id"], made["hosted_file_id"], badge.data["id"])]
    for path in (*paths, by_digest(), f"{by_digest()}/"):
        reply = await shelf.ours.admin.get(path)
        assert (reply.status, reply.body) == (200, CONTENT), str(reply)
        assert (reply.header("etag"), reply.header("content-length")) == (ETAG, str(len(CONTENT)))
        assert reply.header("content-type") == "application/x-ours"
        assert reply.header("content-disposition") == 'attachment; filename="a.bin"'
        assert reply.header("x-content-type-options") == "nosniff"
        assert "sandbox" in (reply.header("content-security-policy") or "")
        assert reply.header("vary") == "Authorization, X-API-Key, X-Account-Id"


async def test_bytes_may_be_kept_for_good_and_objects_are_asked_for_again(shelf: Shelf) -> None:
    made = await upload(shelf)
    assert (await shelf.ours.admin.get(by_digest())).header("cache-control") == "private, max-age=31536000, immutable"
    assert (await shelf.ours.admin.get(by_id(made["id"]))).header("cache-control") == "private, no-cache"


@pytest.mark.parametrize("content", [CONTENT, LARGE, b""], ids=["small", "large", "empty"])
async def test_head_answers_as_get_without_the_bytes(shelf: Shelf, content: bytes) -> None:
    await upload(shelf, content)
    got = await shelf.ours.admin.get(by_digest(content))
    head = await shelf.ours.admin.send("HEAD", by_digest(content), headers={"Range": "bytes=0-0"})
    assert (got.status, got.body, head.status, head.body) == (200, content, 200, b"")
    left_out = ("x-request-id", "server-timing")
    assert {one for one in head.headers if one[0] not in left_out} == {
        one for one in got.headers if one[0] not in left_out
    }


@pytest.mark.parametrize("content", [CONTENT, LARGE], ids=["small", "large"])
@pytest.mark.parametrize(
    ("wanted", "start", "end"),
    [("0-0", 0, 1), ("10-19", 10, 20), ("2000-", 2000, None), ("-48", -48, None), ("0-999999999999", 0, None)],
)
async def test_a_range_is_answered_alone(
    shelf: Shelf, content: bytes, wanted: str, start: int, end: int | None
) -> None:
    await upload(shelf, content)
    reply = await shelf.ours.admin.get(by_digest(content), headers={"Range": f"bytes={wanted}"})
    part = content[start:end]
    first = start % len(content)
    assert (reply.status, reply.body) == (206, part)
    assert reply.header("content-range") == f"bytes {first}-{first + len(part) - 1}/{len(content)}"
    assert reply.header("content-length") == str(len(part))
    assert reply.header("etag") == f'"{digest_of(content)}"'


@pytest.mark.parametrize("wanted", ["bytes=2048-", "bytes=-0", "bytes=99999999999999999999-"])
async def test_a_range_behind_the_end_is_a_problem_with_the_length(shelf: Shelf, wanted: str) -> None:
    await upload(shelf)
    reply = await shelf.ours.admin.get(by_digest(), headers={"Range": wanted})
    assert (reply.status, reply.header("content-range")) == (416, "bytes */2048")
    assert reply.header("content-type") == "application/problem+json"
    assert reply.header("cache-control") == "no-store"


@pytest.mark.parametrize(
    "headers",
    [
        {"Range": "bytes=0-1,3-4"},
        {"Range": "bytes=" + ",".join(["0-5"] * 10_000)},
        {"Range": "bytes=9-1"},
        {"Range": "pages=1-2"},
        {"Range": "bytes=0-1", "If-Range": '"another"'},
        {"Range": "bytes=0-1", "If-Range": f"W/{ETAG}"},
        {"Range": "bytes=0-1", "If-Range": "Wed, 21 Oct 2015 07:28:00 GMT"},
    ],
)
async def test_the_whole_is_answered_where_no_single_range_is_meant(shelf: Shelf, headers: dict[str, str]) -> None:
    await upload(shelf)
    reply = await shelf.ours.admin.get(by_digest(), headers=headers)
    assert (reply.status, reply.body) == (200, CONTENT)


async def test_a_range_of_the_bytes_that_are_meant_is_answered(shelf: Shelf) -> None:
    await upload(shelf)
    reply = await shelf.ours.admin.get(by_digest(), headers={"Range": "bytes=0-1", "If-Range": ETAG})
    assert reply.status == 206


@pytest.mark.parametrize("tag", [ETAG, f"W/{ETAG}", "*", f'"x", {ETAG}'])
async def test_who_has_the_bytes_gets_none(shelf: Shelf, tag: str) -> None:
    made = await upload(shelf)
    for path in (by_digest(), by_id(made["id"])):
        for more in ({}, {"Range": "bytes=0-1"}):
            reply = await shelf.ours.admin.get(path, headers={"If-None-Match": tag, **more})
            assert (reply.status, reply.body, reply.header("etag")) == (304, b"", ETAG)
            assert reply.header("cache-control") == (await shelf.ours.admin.get(path)).header("cache-control")


async def test_conditions_that_do_not_hold_or_cannot_be_read(shelf: Shelf) -> None:
    await upload(shelf)
    get = shelf.ours.admin.get
    assert (await get(by_digest(), headers={"If-None-Match": '"x"'})).status == 200
    assert (await get(by_digest(), headers={"If-None-Match": "x"})).status == 400
    assert (await get(by_digest(), headers={"If-Match": ETAG})).status == 200
    assert (await get(by_digest(), headers={"If-Match": '"x"'})).status == 412
    assert (await get(f"{by_digest()}?x=1")).status == 400


async def test_what_is_not_there_for_the_caller_is_the_same_404(shelf: Shelf) -> None:
    theirs = (await shelf.theirs.upload(b"theirs")).data
    await upload(shelf)
    pairs = [
        (by_digest(b"theirs"), by_digest(b"nobody's")),
        (by_id(theirs["id"]), by_id(new_public_id())),
        (by_id(theirs["hosted_file_id"]), by_id("7000000001")),
        (by_digest().upper().replace("/V3/ACTION/HOSTED_FILE/SHA256/", "/v3/action/hosted_file/sha256/"), by_id("x")),
        (by_id(shelf.ours.event), by_id(shelf.theirs.event)),
    ]
    for method, headers in (
        ("GET", {}),
        ("HEAD", {}),
        ("GET", {"Range": "bytes=0-9"}),
        ("GET", {"If-None-Match": "*"}),
    ):
        for pair in pairs:
            replies = [await shelf.ours.admin.send(method, path, headers=headers) for path in pair]
            assert [reply.status for reply in replies] == [404, 404], str(replies[0])
            assert alike(replies[0]) == alike(replies[1])


async def test_a_download_needs_the_right_to_read_the_row_and_no_other(shelf: Shelf) -> None:
    made = await upload(shelf)
    for scopes, by_container, by_own in (
        (("hosted_file:read",), 404, 200),
        (("hosted_file:read", "event_file:read"), 200, 200),
        (("hosted_file:create", "event_file:read"), 403, 403),
        (("event_file:read",), 404, 404),
        (("journal:read", "action:*"), 404, 404),
    ):
        caller = shelf.ours.caller(*scopes)
        assert (await caller.get(by_id(made["id"]))).status == by_container, scopes
        for path in (by_id(made["hosted_file_id"]), by_digest()):
            assert (await caller.get(path)).status == by_own, scopes
    for path in (by_id(made["id"]), by_digest(), by_id(new_public_id())):
        assert (await shelf.nobody.get(path)).status == 401


async def test_a_deleted_file_and_one_without_bytes_are_not_there(shelf: Shelf) -> None:
    made = await upload(shelf)
    admin = shelf.ours.admin
    assert (await admin.send("DELETE", f"/v3/crud/hosted_file/{made['hosted_file_id']}")).status == 204
    for path in (by_id(made["id"]), by_id(made["hosted_file_id"]), by_digest()):
        assert (await admin.get(path)).status == 404
    bare = (await admin.send("POST", "/v3/crud/hosted_file/", {"file_name": "no bytes"})).data["id"]
    assert (await admin.get(by_id(bare))).status == 404


async def test_a_row_whose_bytes_are_lost_is_a_404_that_the_log_tells_of(shelf: Shelf) -> None:
    await upload(shelf)
    next(shelf.blobs.rglob(digest_of(CONTENT))).unlink()
    assert (await shelf.ours.admin.get(by_digest())).status == 404
    assert "bytes are not in the store" in "\n".join(shelf.app.read_log())


def open_files() -> list[str]:
    """Where the open files of this process are; those of other tests that run in it among them."""
    found = []
    for one in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            found.append(str(one.readlink()))
    return found


async def test_a_client_that_goes_leaves_nothing_open(shelf: Shelf) -> None:
    huge = LARGE * 20
    await upload(shelf, huge)
    sent: list[int] = []

    async def receive() -> dict[str, object]:
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(len(message.get("body", b"")))

    scope = {
        "type": "http",
        "method": "GET",
        "path": by_digest(huge),
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode()) for name, value in shelf.ours.admin.headers.items()],
        "client": ("192.0.2.1", 1),
    }
    await shelf.app.engine.application(scope, receive, send)  # type: ignore[arg-type]
    assert sum(sent) < len(huge)
    deadline = time.monotonic() + 10
    while [path for path in open_files() if digest_of(huge) in path]:
        # A read that runs in a thread ends before its file is closed.
        assert time.monotonic() < deadline, "the file stays open"
        await asyncio.sleep(0.01)


# ---------------------------------------------------------------- signed URLs


async def sign(shelf: Shelf, public_id: str, query: str = "", by: Client | None = None) -> str:
    """A signed URL, as path and query."""
    reply = await (by or shelf.ours.admin).get(f"/v3/action/hosted_file/{public_id}/signed_url{query}")
    assert reply.status == 200, str(reply)
    url: str = reply.data["url"]
    return url


async def test_a_signed_url_needs_no_credentials_and_does_what_a_download_does(shelf: Shelf) -> None:
    made = await upload(shelf)
    for public_id in (made["id"], made["hosted_file_id"]):
        url = await sign(shelf, public_id)
        reply = await shelf.nobody.get(url)
        assert (reply.status, reply.body, reply.header("etag")) == (200, CONTENT, ETAG)
        assert (await shelf.nobody.send("HEAD", url)).status == 200
        assert (await shelf.nobody.get(url, headers={"Range": "bytes=1-2"})).body == CONTENT[1:3]
        assert (await shelf.theirs.admin.get(url)).status == 200
        assert (await shelf.nobody.send("POST", url)).status == 401


async def test_a_signed_url_says_where_and_until_when(shelf: Shelf) -> None:
    made = await upload(shelf)
    target = f"/v3/action/hosted_file/{made['id']}/signed_url"
    reply = await shelf.ours.admin.get(f"{target}?ttl=60", headers={"Host": "files.example.org:8443"})
    parts = urlsplit(reply.data["url"])
    assert (parts.scheme, parts.netloc) == ("http", "files.example.org:8443")
    assert set(reply.data) == {"url", "expires_on"}
    assert 0 < int(parse_qs(parts.query)["expires"][0]) - time.time() <= 60
    for wrong in ("0", "-1", "86401", "x", "1.5", "9" * 400):
        assert (await shelf.ours.admin.get(f"{target}?ttl={wrong}")).status == 422
    hostile = await shelf.ours.admin.get(target, headers={"Host": "evil/@x"})
    assert hostile.data["url"].startswith("/v3/")


async def test_an_altered_url_and_one_whose_time_has_come_are_the_same_403(shelf: Shelf) -> None:
    made, other = await upload(shelf), await upload(shelf, b"other")
    url = await sign(shelf, made["id"])
    said = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    refused = await shelf.nobody.get(f"/v3/action/hosted_file/{made['id']}/signed")
    altered = [
        url.replace(made["id"], other["id"]),
        url.replace(said["account"], shelf.theirs.account),
        url.replace(said["digest"], digest_of(b"other")),
        url.replace(said["expires"], str(int(said["expires"]) + 1)),
        url.replace(said["expires"], "1"),
        url.replace(said["expires"], "9" * 500),
        url.replace(said["signature"], said["signature"][::-1]),
        url.replace(said["signature"], said["signature"] + "A"),
        url.replace(said["signature"], "ä"),
        url.replace(said["signature"], ""),
    ]
    for one in altered:
        reply = await shelf.nobody.get(one)
        assert alike(reply) == alike(refused), str(reply)
    assert refused.status == 403
    assert (await shelf.nobody.get(f"{url}&x=1")).status == 400


async def test_a_signed_url_ends_with_what_it_is_for(shelf: Shelf) -> None:
    made = await upload(shelf)
    url = await sign(shelf, made["id"])
    await shelf.ours.admin.send("DELETE", f"/v3/crud/event_file/{made['id']}")
    assert (await shelf.nobody.get(url)).status == 404
    again = await upload(shelf)
    url = await sign(shelf, again["id"])
    other = await shelf.ours.upload(b"other", to="/v3/action/hosted_file")
    await shelf.ours.admin.send("PATCH", f"/v3/crud/event_file/{again['id']}", {"hosted_file_id": other.data["id"]})
    assert (await shelf.nobody.get(url)).status == 404


async def test_a_url_is_signed_for_what_the_caller_may_see(shelf: Shelf) -> None:
    theirs = (await shelf.theirs.upload(CONTENT)).data
    made = await upload(shelf)
    for caller, public_id, status in (
        (shelf.ours.admin, theirs["id"], 404),
        (shelf.ours.caller("*:read"), made["id"], 403),
        (shelf.ours.caller("event_file:read", "action:signed_url"), made["id"], 404),
        (shelf.nobody, made["id"], 401),
    ):
        reply = await caller.get(f"/v3/action/hosted_file/{public_id}/signed_url")
        assert reply.status == status, str(reply)
    operator = caller_of(shelf.app, is_operator=True, scopes=["*:*", "action:*"])
    assert (await shelf.nobody.get(await sign(shelf, theirs["id"], by=operator))).body == CONTENT


async def test_a_signature_stands_in_no_log(shelf: Shelf) -> None:
    made = await upload(shelf)
    url = await sign(shelf, made["id"])
    signature = parse_qs(urlsplit(url).query)["signature"][0]
    for one in (url, url.replace("expires=", "expires=1"), f"{url}&x=1"):
        await shelf.nobody.get(one)
    text = "\n".join(shelf.app.read_log())
    assert signature not in text
    assert "/v3/action/hosted_file/{file_id}/signed" in text


# ---------------------------------------------------------------- what ids are


async def test_ids_are_resolved_to_types_and_files_in_their_order(shelf: Shelf) -> None:
    made = await upload(shelf)
    theirs = (await shelf.theirs.upload(b"theirs")).data
    file = {"type": "hosted_file", "id": made["hosted_file_id"]}
    asked = [
        made["id"], new_public_id(), shelf.ours.event, "no id", theirs["id"], made["hosted_file_id"], made["id"],
        shelf.ours.account, theirs["hosted_file_id"], shelf.theirs.account,
    ]  # fmt: skip
    reply = await shelf.ours.admin.send("POST", "/v3/action/resolve", {"ids": asked})
    assert reply.data == [
        {"id": made["id"], "type": "event_file", "target": file},
        {"id": shelf.ours.event, "type": "event", "target": None},
        {"id": made["hosted_file_id"], "type": "hosted_file", "target": None},
        {"id": shelf.ours.account, "type": "account", "target": None},
    ]


async def test_a_target_that_the_caller_may_not_see_is_none(shelf: Shelf) -> None:
    made = await upload(shelf)
    caller = shelf.ours.caller("event_file:read", "action:resolve")
    ids = {"ids": [made["id"], made["hosted_file_id"], shelf.ours.event]}
    nothing = [{"id": made["id"], "type": "event_file", "target": None}]
    assert (await caller.send("POST", "/v3/action/resolve", ids)).data == nothing
    await shelf.ours.admin.send("DELETE", f"/v3/crud/hosted_file/{made['hosted_file_id']}")
    assert (await shelf.ours.admin.send("POST", "/v3/action/resolve", ids)).data[0] == nothing[0]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"ids": ["x" * 22] * 101}, 422),
        ({"ids": [7000000001]}, 422),
        ({"ids": "x"}, 422),
        ({}, 422),
        ({"ids": [], "more": 1}, 422),
        ({"ids": []}, 200),
    ],
)
async def test_what_is_resolved_is_a_list_of_texts(shelf: Shelf, body: object, status: int) -> None:
    assert (await shelf.ours.admin.send("POST", "/v3/action/resolve", body)).status == status
    assert (await shelf.nobody.send("POST", "/v3/action/resolve", body)).status == 401


# ---------------------------------------------------------------- documents


async def test_documents_show_the_actions_to_those_who_may_call_them(shelf: Shelf) -> None:
    schema = (await shelf.ours.admin.get("/v3/crud/event_file/schema")).json["actions"]
    uploads = {one["name"]: one for one in schema}
    event = uploads["event_file_upload"]
    assert (event["method"], event["url"]) == ("POST", "/v3/action/event/{parent_id}/file")
    assert event["allowed"] is True
    assert {"file", "sha256", "title", "position"} <= set(event["input"]["properties"])
    assert not {"hosted_file_id", "event_id", "id"} & set(event["input"]["properties"])
    reader = shelf.ours.caller("*:read")
    seen = {one["name"]: one["allowed"] for one in (await reader.get("/v3/crud/event_file/schema")).json["actions"]}
    assert not any(seen.values())
    files = {one["name"]: one["allowed"] for one in (await reader.get("/v3/crud/hosted_file/schema")).json["actions"]}
    assert files["hosted_file_download"]
    assert not files["hosted_file_upload"]
    for caller, is_shown in ((shelf.ours.admin, True), (reader, False)):
        paths = (await caller.get("/openapi.json")).json["paths"]
        assert ("/v3/action/event/{parent_id}/file" in paths) is is_shown
        assert "/v3/action/hosted_file/sha256/{digest}" in paths
    post = (await shelf.ours.admin.get("/openapi.json")).json["paths"]["/v3/action/event/{parent_id}/file"]["post"]
    assert set(post["requestBody"]["content"]) == {"multipart/form-data", "*/*"}
    assert "Idempotency-Key" in {one["name"] for one in post["parameters"]}
