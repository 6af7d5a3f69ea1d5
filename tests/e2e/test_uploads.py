"""Uploads: bytes and rows together or not at all, as forms and as raw bodies, under whatever a file belongs to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.files import FORM, SESSION, Shelf, digest_of, form_body, new_event, shelf_on
from tests.support.serving import Reply

LIMIT = 100_000
RAW = {"Content-Type": "application/pdf"}


@pytest.fixture
async def shelf(database_url: str, tmp_path: Path) -> AsyncIterator[Shelf]:
    """Two accounts with an event each; a file may have 100,000 bytes."""
    async with shelf_on(database_url, tmp_path, upload_bytes=LIMIT, body_timeout_s=0.5) as made:
        yield made


def pointers(reply: Reply) -> dict[str, str]:
    """Where a reply says that something is wrong, with the codes."""
    places = ("pointer", "parameter", "header")
    return {next(one[place] for place in places if place in one): one["code"] for one in reply.json["errors"]}


async def test_a_form_makes_the_rows_and_keeps_the_bytes(shelf: Shelf) -> None:
    reply = await shelf.ours.upload(b"hello", "Übersicht.PDF", "application/pdf", position="3", note="for all")
    assert reply.status == 201, str(reply)
    assert reply.json["meta"] == {"deduplicated": False}
    made, file = reply.data, reply.data["hosted_file"]
    assert (made["title"], made["extension"], made["position"]) == ("Übersicht.PDF", "pdf", 3)
    assert (made["event_id"], made["note"], made["hosted_file_id"]) == (shelf.ours.event, "for all", file["id"])
    assert (file["file_name"], file["content_type"], file["size_bytes"]) == ("Übersicht.PDF", "application/pdf", 5)
    assert file["hash_sha256"] == digest_of(b"hello")
    assert shelf.stored() == [digest_of(b"hello")]
    where = reply.header("location")
    assert where == f"/v3/crud/event_file/{made['id']}"
    assert (await shelf.ours.admin.get(where)).data["hosted_file_id"] == file["id"]


@pytest.mark.parametrize("is_chunked", [False, True])
async def test_a_raw_body_is_the_file(shelf: Shelf, is_chunked: bool) -> None:
    target = f"/v3/action/event/{shelf.ours.event}/file?file_name=a.pdf&title=T&position=2&sha256={digest_of(b'hello')}"
    raw: bytes | list[bytes] = [b"he", b"", b"llo"] if is_chunked else b"hello"
    reply = await shelf.ours.admin.send("POST", target, raw=raw, headers=RAW)
    assert reply.status == 201, str(reply)
    assert (reply.data["title"], reply.data["position"], reply.data["extension"]) == ("T", 2, "pdf")
    assert reply.data["hosted_file"]["content_type"] == "application/pdf"


async def test_a_file_may_come_before_its_words_and_may_be_empty(shelf: Shelf) -> None:
    body = form_body({"title": "Empty", "sha256": digest_of(b"")}, ("e.txt", b"", "text/plain"), file_first=True)
    reply = await shelf.ours.admin.send("POST", f"/v3/action/event/{shelf.ours.event}/file", raw=body, headers=FORM)
    assert reply.status == 201, str(reply)
    assert (reply.data["title"], reply.data["hosted_file"]["size_bytes"]) == ("Empty", 0)


async def test_files_belong_to_sessions_presentations_and_presenters_too(shelf: Shelf) -> None:
    admin, above = shelf.ours.admin, ("event", shelf.ours.event)
    for name, body in (
        ("session", SESSION),
        ("presentation", {"title": "P"}),
        ("presenter", {"name": "A"}),
    ):
        made = await admin.send("POST", f"/v3/crud/{above[0]}/{above[1]}/{name}/", body)
        assert made.status == 201, str(made)
        above = (f"event_{name}", made.data["id"])
        reply = await shelf.ours.upload(name.encode(), to=f"/v3/action/{above[0]}/{above[1]}/file")
        assert reply.status == 201, str(reply)
        assert reply.data[f"{above[0]}_id"] == above[1]


async def test_a_file_may_stand_alone_and_is_there_once(shelf: Shelf) -> None:
    first = await shelf.ours.upload(b"alone", "x.bin", to="/v3/action/hosted_file")
    again = await shelf.ours.upload(b"alone", "y.bin", to="/v3/action/hosted_file")
    assert (first.status, again.status) == (201, 201)
    assert first.header("location") == f"/v3/crud/hosted_file/{first.data['id']}"
    assert (first.json["meta"]["deduplicated"], again.json["meta"]["deduplicated"]) == (False, True)
    assert again.data == first.data


async def test_the_same_bytes_are_one_file_of_the_account_and_as_many_objects_as_wanted(shelf: Shelf) -> None:
    replies = [await shelf.ours.upload(b"same", f"{number}.txt") for number in range(3)]
    assert [reply.json["meta"]["deduplicated"] for reply in replies] == [False, True, True]
    assert len({reply.data["hosted_file_id"] for reply in replies}) == 1
    assert [reply.data["title"] for reply in replies] == ["0.txt", "1.txt", "2.txt"]
    assert (await shelf.count("hosted_file"), await shelf.count("event_file")) == (1, 3)
    assert shelf.stored() == [digest_of(b"same")]


async def test_what_another_account_has_shows_by_nothing(shelf: Shelf) -> None:
    theirs = await shelf.theirs.upload(b"shared secret", "a.txt")
    ours = await shelf.ours.upload(b"shared secret", "a.txt")
    fresh = await shelf.ours.upload(b"fresh", "a.txt")
    assert theirs.json["meta"] == ours.json["meta"] == fresh.json["meta"] == {"deduplicated": False}
    assert ours.status == fresh.status == 201
    assert [name for name, _ in ours.headers] == [name for name, _ in fresh.headers]
    assert ours.data["hosted_file_id"] != theirs.data["hosted_file_id"]
    assert set(ours.data) == set(fresh.data)


async def test_uploads_of_the_same_bytes_at_once_all_succeed(shelf: Shelf) -> None:
    replies = await asyncio.gather(*(shelf.ours.upload(b"at once", f"{number}.txt") for number in range(12)))
    assert {reply.status for reply in replies} == {201}
    assert sum(not reply.json["meta"]["deduplicated"] for reply in replies) == 1
    assert (await shelf.count("hosted_file"), await shelf.count("event_file")) == (1, 12)


async def test_a_deleted_file_comes_back_under_its_new_name(shelf: Shelf) -> None:
    first = await shelf.ours.upload(b"again", "old.txt", to="/v3/action/hosted_file")
    file = f"/v3/crud/hosted_file/{first.data['id']}"
    assert (await shelf.ours.admin.send("DELETE", file)).status == 204
    again = await shelf.ours.upload(b"again", "new.pdf", "application/pdf", to="/v3/action/hosted_file")
    assert (again.status, again.data["id"]) == (201, first.data["id"])
    assert (again.data["file_name"], again.data["content_type"]) == ("new.pdf", "application/pdf")
    assert (await shelf.ours.admin.get(file)).status == 200


async def test_bytes_that_are_here_are_linked_without_being_sent(shelf: Shelf) -> None:
    first = await shelf.ours.upload(b"linked", "one.txt")
    other = await new_event(shelf.ours.admin)
    target = f"/v3/action/hosted_file/sha256/{digest_of(b'linked')}/link"
    reply = await shelf.ours.admin.send("POST", target, {"event_id": other, "position": 7})
    assert reply.status == 201, str(reply)
    assert (reply.data["event_id"], reply.data["position"], reply.data["title"]) == (other, 7, "one.txt")
    assert reply.data["hosted_file"] == first.data["hosted_file"]
    assert reply.json["meta"] == {"deduplicated": True}
    assert reply.header("location") == f"/v3/crud/event_file/{reply.data['id']}"
    wrong = await shelf.ours.admin.send("POST", target, {"event_id": other, "hosted_file_id": first.data["id"]})
    assert pointers(wrong) == {"/hosted_file_id": "read-only"}
    orphan = await shelf.ours.admin.send("POST", target, {"title": "of nothing"})
    assert orphan.status == 422
    assert await shelf.count("event_file") == 2


async def test_bytes_that_only_others_have_are_not_linked(shelf: Shelf) -> None:
    await shelf.theirs.upload(b"theirs")
    replies = [
        await shelf.ours.admin.send(
            "POST", f"/v3/action/hosted_file/sha256/{digest}/link", {"event_id": shelf.ours.event}
        )
        for digest in (digest_of(b"theirs"), digest_of(b"nobody's"), "no digest")
    ]
    assert {reply.status for reply in replies} == {404}
    foreign = await shelf.theirs.admin.send(
        "POST", f"/v3/action/hosted_file/sha256/{digest_of(b'theirs')}/link", {"event_id": shelf.ours.event}
    )
    assert foreign.status in (404, 422)
    assert await shelf.count("event_file") == 1


REFUSED = [
    ({"position": "minus one"}, {"/position": "type-mismatch"}),
    ({"position": "-1", "titel": "x"}, {"/position": "out-of-range", "/titel": "unknown-field"}),
    ({"title": ""}, {"/title": "too-short"}),
    ({"hosted_file_id": "Zk3_pQ9xR1sT7uVwXyZa0b"}, {"/hosted_file_id": "read-only"}),
    ({"event_id": "Zk3_pQ9xR1sT7uVwXyZa0b"}, {"/event_id": "read-only"}),
    ({"event_session_id": "Zk3_pQ9xR1sT7uVwXyZa0b"}, {"": "parent-mismatch"}),
    ({"id": "Zk3_pQ9xR1sT7uVwXyZa0b"}, {"/id": "read-only"}),
    ({"account_id": "Zk3_pQ9xR1sT7uVwXyZa0b", "ID": "x"}, {"/account_id": "read-only", "/ID": "unknown-field"}),
    ({"sha256": "abc"}, {"/sha256": "pattern"}),
    ({"sha256": "0" * 64}, {"/sha256": "bad-operand"}),
]


@pytest.mark.parametrize(("words", "faults"), REFUSED, ids=[",".join(words) for words, _ in REFUSED])
async def test_a_wrong_word_is_named_and_nothing_is_kept(
    shelf: Shelf, words: dict[str, str], faults: dict[str, str]
) -> None:
    reply = await shelf.ours.upload(b"refused", **words)
    assert reply.status == 422, str(reply)
    assert pointers(reply) == faults
    assert (await shelf.count("event_file"), await shelf.count("hosted_file"), shelf.stored()) == (0, 0, [])


async def test_a_wrong_word_of_a_raw_body_is_named_as_a_parameter(shelf: Shelf) -> None:
    target = f"/v3/action/event/{shelf.ours.event}/file?file_name=a&position=x&tilt=2"
    reply = await shelf.ours.admin.send("POST", target, raw=b"x", headers=RAW)
    assert [one["parameter"] for one in reply.json["errors"]] == ["position", "tilt"]


async def test_a_word_before_the_file_is_refused_before_the_file_is_read(shelf: Shelf) -> None:
    head = form_body({"position": "x"}, ("a", b"", "text/plain")).rpartition(b"\r\n--")[0]
    reply = await shelf.ours.admin.send(
        "POST", f"/v3/action/event/{shelf.ours.event}/file", raw=[head, b"y" * LIMIT, b"z" * LIMIT], headers=FORM
    )
    # Had it been read, it would have been too large.
    assert reply.status == 422
    assert pointers(reply) == {"/position": "type-mismatch"}


@pytest.mark.parametrize(
    ("headers", "query", "status"),
    [
        ({"Content-Length": str(LIMIT + 1)}, "?file_name=a", 413),
        ({"Content-Length": "9" * 30}, "?file_name=a", 413),
        ({"Content-Length": "many"}, "?file_name=a", 400),
        ({**FORM, "Content-Length": str(LIMIT + 2_000_000)}, "", 413),
        ({"Content-Type": "application/x-www-form-urlencoded"}, "?file_name=a", 415),
        ({"Content-Type": "multipart/mixed; boundary=x"}, "?file_name=a", 415),
        ({"Content-Encoding": "gzip"}, "?file_name=a", 415),
        ({"Content-Type": "multipart/form-data"}, "", 400),
        ({"Content-Type": "multipart/form-data; " + "x" * 100_000 + "=1; boundary=b"}, "", 400),
        (RAW, "", 422),
        (RAW, "?file_name=a&file_name=b", 400),
        ({"Idempotency-Key": "k" * 256}, "?file_name=a", 422),
    ],
)
async def test_what_the_headers_say_is_refused_before_the_body(
    shelf: Shelf, headers: dict[str, str], query: str, status: int
) -> None:
    target = f"/v3/action/event/{shelf.ours.event}/file{query}"
    # Had it been read, it would have been too large.
    reply = await shelf.ours.admin.send("POST", target, raw=[b"x" * LIMIT] * 3, headers=headers)
    assert reply.status == status, str(reply)
    assert reply.header("content-type") == "application/problem+json"
    assert shelf.stored() == []


@pytest.mark.parametrize("is_form", [False, True])
async def test_a_file_that_is_too_large_is_refused_while_it_comes(shelf: Shelf, is_form: bool) -> None:
    content = b"x" * (LIMIT + 1)
    target = f"/v3/action/event/{shelf.ours.event}/file"
    if is_form:
        body = form_body({}, ("a", content, "text/plain"))
        pieces = [body[at : at + 10_000] for at in range(0, len(body), 10_000)]
        reply = await shelf.ours.admin.send("POST", target, raw=pieces, headers=FORM)
    else:
        pieces = [content[at : at + 10_000] for at in range(0, len(content), 10_000)]
        reply = await shelf.ours.admin.send("POST", f"{target}?file_name=a", raw=pieces, headers=RAW)
    assert (reply.status, reply.code) == (413, "payload-too-large")
    assert shelf.stored() == []
    largest = await shelf.ours.upload(b"x" * LIMIT)
    assert largest.status == 201, str(largest)


@pytest.mark.parametrize(
    ("parts", "status"),
    [
        (form_body({"title": "x"}, None), 422),
        (form_body({}, ("a", b"1", "text/plain"))[:-10], 400),
        (form_body({"title": "x"}, None).replace(b'name="title"', b'name="file"'), 422),
        (form_body({}, ("a", b"1", "text/plain")).replace(b'name="file"', b'name="other"'), 422),
        (form_body({"title": "x"}, None).rpartition(b"--a-b")[0] + form_body({"title": "y"}, ("a", b"1", "a/b")), 422),
        (form_body({}, ("a", b"1", "a/b")).rpartition(b"--a-b")[0] + form_body({}, ("b", b"2", "a/b")), 422),
        (form_body({"note": "x" * 300_000}, ("a", b"1", "a/b")), 413),
        (form_body({}, None), 422),
    ],
    ids=[
        "no file",
        "cut",
        "file without a name",
        "another part",
        "twice a word",
        "two files",
        "a long word",
        "nothing",
    ],
)
async def test_a_form_that_is_not_as_it_should_be_is_refused(shelf: Shelf, parts: bytes, status: int) -> None:
    reply = await shelf.ours.admin.send("POST", f"/v3/action/event/{shelf.ours.event}/file", raw=parts, headers=FORM)
    assert reply.status == status, str(reply)
    assert (await shelf.count("event_file"), shelf.stored()) == (0, [])


async def test_words_that_are_no_text_are_refused(shelf: Shelf) -> None:
    for wrong in (b"\xff\xfe", b"a\0b"):
        body = form_body({"title": "MARK"}, ("a", b"1", "text/plain")).replace(b"MARK", wrong)
        reply = await shelf.ours.admin.send("POST", f"/v3/action/event/{shelf.ours.event}/file", raw=body, headers=FORM)
        assert (reply.status, pointers(reply)) == (422, {"/title": "type-mismatch"})


async def test_a_body_that_stops_coming_is_given_up(shelf: Shelf) -> None:
    waits = asyncio.Event()
    pieces = [b"first", b"second"]

    async def receive() -> dict[str, object]:
        if not pieces:
            await waits.wait()
        return {"type": "http.request", "body": pieces.pop(0), "more_body": True}

    sent: list[dict[str, object]] = []

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": f"/v3/action/event/{shelf.ours.event}/file",
        "query_string": b"file_name=a",
        "headers": [(name.lower().encode(), value.encode()) for name, value in shelf.ours.admin.headers.items()],
        "client": ("192.0.2.1", 1),
    }
    await shelf.app.engine.application(scope, receive, send)  # type: ignore[arg-type]
    assert sent[0]["status"] == 408
    assert shelf.stored() == []


async def test_rights_and_the_parent_come_before_the_body(shelf: Shelf) -> None:
    ours = shelf.ours
    reader = ours.caller("*:read", "action:*")
    no_action = ours.caller("*:read", "*:write")
    no_file = ours.caller("event:read", "event_file:write", "action:upload")
    for caller, event, status in (
        (reader, ours.event, 403),
        (no_action, ours.event, 403),
        (no_file, ours.event, 404),
        (shelf.nobody, ours.event, 401),
        (ours.admin, shelf.theirs.event, 404),
        (ours.admin, "Zk3_pQ9xR1sT7uVwXyZa0b", 404),
        (ours.admin, "7000000001", 404),
    ):
        for headers in (RAW, FORM):
            body = [b"x" * LIMIT] * 3
            reply = await caller.send("POST", f"/v3/action/event/{event}/file?file_name=a", raw=body, headers=headers)
            assert reply.status == status, str(reply)
    assert (await shelf.count("event_file"), shelf.stored()) == (0, [])


async def test_an_upload_needs_no_right_to_read(shelf: Shelf) -> None:
    writer = shelf.ours.caller("event_file:create", "hosted_file:create", "action:upload")
    reply = await shelf.ours.upload(b"blind", by=writer)
    assert reply.status == 201, str(reply)
    assert set(reply.data) == {"id"}
    alone = await shelf.ours.upload(b"alone", by=writer, to="/v3/action/hosted_file")
    assert set(alone.data) == {"id"}


async def test_of_several_accounts_the_parent_says_which(shelf: Shelf) -> None:
    both = shelf.ours.caller("*:*", "action:*", accounts=[shelf.ours.account, shelf.theirs.account])
    await shelf.theirs.upload(b"both", "theirs.txt")
    reply = await shelf.ours.upload(b"both", "ours.txt", by=both)
    assert (reply.status, reply.data["account_id"]) == (201, shelf.ours.account)
    assert reply.data["hosted_file"]["account_id"] == shelf.ours.account
    assert reply.json["meta"]["deduplicated"] is False
    alone = await shelf.ours.upload(b"both", by=both, to="/v3/action/hosted_file")
    assert (alone.status, alone.json["errors"][0]["header"]) == (422, "X-Account-Id")
    target = f"/v3/action/hosted_file/sha256/{digest_of(b'both')}/link"
    linked = await both.send("POST", target, {"event_id": shelf.theirs.event})
    assert (linked.status, linked.data["hosted_file"]["account_id"]) == (201, shelf.theirs.account)


# ---------------------------------------------------------------- idempotency keys

KEY = {"Idempotency-Key": "one-of-ours"}


async def test_a_repeated_upload_has_its_effect_once(shelf: Shelf) -> None:
    first = await shelf.ours.upload(b"once", headers=KEY)
    again = await shelf.ours.upload(b"once", headers=KEY)
    assert (first.status, again.status) == (201, 201)
    assert (again.body, again.header("location")) == (first.body, first.header("location"))
    assert (first.header("idempotency-replayed"), again.header("idempotency-replayed")) == (None, "true")
    assert await shelf.count("event_file") == 1


async def test_a_key_belongs_to_one_request_of_one_caller(shelf: Shelf) -> None:
    caller = shelf.ours.caller("*:*", "action:*", user="somebody_of_ours")
    await shelf.ours.upload(b"once", by=caller, headers=KEY)
    for other in (
        await shelf.ours.upload(b"other bytes", by=caller, headers=KEY),
        await shelf.ours.upload(b"once", "other name", by=caller, headers=KEY),
        await shelf.ours.upload(b"once", by=caller, headers=KEY, title="other word"),
        await shelf.ours.upload(b"once", by=caller, headers=KEY, to="/v3/action/hosted_file"),
    ):
        assert (other.status, other.code) == (422, "idempotency-conflict")
    assert await shelf.count("event_file") == 1
    colleague = await shelf.ours.upload(b"once", headers=KEY)
    stranger = await shelf.theirs.upload(b"once", headers=KEY)
    assert [one.header("idempotency-replayed") for one in (colleague, stranger)] == [None, None]
    assert await shelf.count("event_file") == 3


async def test_of_many_at_once_one_has_the_effect(shelf: Shelf) -> None:
    replies = await asyncio.gather(*(shelf.ours.upload(b"once", headers=KEY) for _ in range(20)))
    assert {reply.status for reply in replies} <= {201, 409}
    done = [reply for reply in replies if reply.status == 201]
    assert len({reply.body for reply in done}) == 1
    assert all(reply.code == "idempotency-conflict" for reply in replies if reply.status == 409)
    assert await shelf.count("event_file") == 1


async def test_a_refused_upload_gives_its_key_back(shelf: Shelf) -> None:
    assert (await shelf.ours.upload(b"once", headers=KEY, position="x")).status == 422
    assert (await shelf.ours.upload(b"once", headers=KEY)).status == 201


async def test_a_key_whose_call_died_is_free_after_its_lease(shelf: Shelf) -> None:
    await shelf.ours.upload(b"once", headers=KEY)
    database = shelf.app.engine.runtime.database
    # As a process leaves it that was killed while the body came in.
    await database.execute("UPDATE aether_idempotency SET status = NULL, reply = NULL, request_hash = NULL")
    running = await shelf.ours.upload(b"once", headers=KEY)
    assert (running.status, running.code) == (409, "idempotency-conflict")
    assert running.header("retry-after") == "1"
    assert await shelf.count("aether_idempotency") == 1
    await database.execute("UPDATE aether_idempotency SET expires_on = '2020-01-01 00:00:00.000000'")
    again = await shelf.ours.upload(b"once", headers=KEY)
    assert (again.status, again.header("idempotency-replayed")) == (201, None)
    assert await shelf.count("event_file") == 2


async def test_no_key_and_no_reply_of_a_file_stands_in_the_log(shelf: Shelf) -> None:
    await shelf.ours.upload(b"once", "secret-name.txt", headers={"Idempotency-Key": "secret-key"})
    text = "\n".join(shelf.app.read_log())
    assert "secret-" not in text
    assert any(json.loads(line).get("route") == "/v3/action/event/{parent_id}/file" for line in text.splitlines())
