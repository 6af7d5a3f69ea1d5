"""Mail: written as rows, sent after the commit by whichever process is first, tried again, and never someone else's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from engine.execute.acting import Acting
from engine.execute.workers import SYSTEM
from engine.language.ids import new_public_id
from engine.plan.rights import rights_of
from tests.support.post import Office, Post, open_office, post_office
from tests.support.serving import free_port

DONE = ("sent", "failed")


@pytest.fixture
def post() -> Post:
    """A mail server's memory."""
    return Post()


@pytest.fixture
async def office(database_url: str, post: Post) -> AsyncIterator[Office]:
    """An application with a mail server."""
    async with post_office(post) as port, open_office(database_url, port=port) as made:
        yield made


def is_done(mail: dict[str, Any]) -> bool:
    """Whether nothing more happens to it."""
    return mail["status"] in DONE


def is_waiting(mail: dict[str, Any]) -> bool:
    """Whether an attempt has failed and there will be another."""
    return mail["status"] == "queued" and mail["attempts"] > 0


async def test_a_mail_is_accepted_as_a_row_and_sent_after_it_is_committed(office: Office, post: Post) -> None:
    template = await office.template(body_html="<p>Dear <b>{{ name }}</b>: {code}</p>")
    params = {"name": "Zoë <Łuk>", "code": 7}
    reply = await office.send(to=["ada@example.org", "Bob@Example.org", "ADA@example.org"], params=params)
    assert reply.status == 202, str(reply)
    assert reply.json["meta"] == {}
    assert reply.data["email_template_id"] == template
    assert reply.data["to"] == ["ada@example.org", "Bob@example.org"]
    mail = await office.wait_until(reply.data["id"], is_done)
    assert (mail["status"], mail["attempts"], mail["last_error"], mail["next_attempt_on"]) == ("sent", 1, None, None)
    assert mail["sent_on"] >= mail["created_on"]
    (message,), (envelope,) = post.mails, post.envelopes
    assert (envelope.mail_from, envelope.rcpt_tos) == ("aether@example.org", mail["to"])
    assert (message["Subject"], message["From"]) == ("Hello Zoë <Łuk>", "aether@example.org")
    assert message["Message-ID"] == f"<{mail['id']}@example.org>"
    text, markup = (message.get_body((kind,)).get_content() for kind in ("plain", "html"))
    assert text.replace("\r\n", "\n") == "Dear Zoë <Łuk>,\n\nyour code is 7.\n"
    assert markup.strip() == "<p>Dear <b>Zoë &lt;Łuk&gt;</b>: 7</p>"


async def test_what_the_server_cannot_take_now_is_tried_again_as_the_same_mail(office: Office, post: Post) -> None:
    await office.template()
    post.data_reply = "451 4.3.0 Try\tagain later"
    mail_id = await office.sent()
    mail = await office.wait_until(mail_id, is_waiting)
    assert (mail["attempts"], mail["sent_on"]) == (1, None)
    assert mail["last_error"].startswith("451 4.3.0 Try again later")
    assert mail["next_attempt_on"] > mail["updated_on"]
    post.data_reply = "250 OK"
    await office.come_due(mail_id)
    mail = await office.wait_until(mail_id, is_done)
    assert (mail["status"], mail["attempts"], mail["last_error"], post.seen) == ("sent", 2, None, 2)
    assert [one["Message-ID"] for one in post.mails] == [f"<{mail_id}@example.org>"]


async def test_what_the_server_refuses_for_good_has_failed(office: Office, post: Post) -> None:
    await office.template()
    post.data_reply = "554 5.7.1 Not wanted"
    mail = await office.wait_until(await office.sent(), is_done)
    assert (mail["status"], mail["attempts"], mail["next_attempt_on"]) == ("failed", 1, None)
    assert mail["last_error"].startswith("554")
    post.data_reply = "250 OK"
    post.refusals = {"ada@example.org": "550 5.1.1 Nobody"}
    mail = await office.wait_until(await office.sent(), is_done)
    assert (mail["status"], mail["last_error"]) == ("failed", "ada@example.org: 550 5.1.1 Nobody")
    assert post.envelopes == []


async def test_one_refused_recipient_of_several_is_said_and_the_others_get_it_once(office: Office, post: Post) -> None:
    await office.template()
    post.refusals = {"no@example.org": "550 5.1.1 Nobody"}
    mail = await office.wait_until(await office.sent(to=["yes@example.org", "no@example.org"]), is_done)
    assert (mail["status"], mail["last_error"]) == ("sent", "1 of 2 recipients were refused: no@example.org")
    assert [one.rcpt_tos for one in post.envelopes] == [["yes@example.org"]]


async def test_attempts_end(office: Office, post: Post) -> None:
    await office.template()
    post.data_reply = "451 4.3.0 Later"
    mail_id = await office.sent()
    for attempt in range(1, 8):
        mail = await office.wait_until(mail_id, lambda mail, n=attempt: is_waiting(mail) and mail["attempts"] == n)
        await office.come_due(mail_id)
    mail = await office.wait_until(mail_id, is_done)
    assert (mail["status"], mail["attempts"], post.seen) == ("failed", 8, 8)


async def test_a_server_that_is_down_is_waited_for(database_url: str, post: Post) -> None:
    port = free_port()
    async with open_office(database_url, port=port) as office:
        await office.template()
        mail_id = await office.sent()
        mail = await office.wait_until(mail_id, is_waiting)
        assert mail["last_error"] == "The mail server could not be reached, or did not go on."
        async with post_office(post, port):
            await office.come_due(mail_id)
            assert (await office.wait_until(mail_id, is_done))["status"] == "sent"
    assert len(post.envelopes) == 1


async def test_without_a_mail_server_mail_waits_and_the_reply_says_so(database_url: str, post: Post) -> None:
    async with open_office(database_url, port=None) as office:
        await office.template()
        reply = await office.send()
        assert reply.status == 202
        assert "AETHER_SMTP_URL" in reply.json["meta"]["warnings"][0]
        assert (await office.mail(reply.data["id"]))["status"] == "queued"
    async with post_office(post) as port, open_office(database_url, port=port, is_new=False) as office:
        assert (await office.wait_until(reply.data["id"], is_done))["status"] == "sent"
    assert len(post.envelopes) == 1


async def test_several_processes_send_each_mail_once(database_url: str, post: Post) -> None:
    async with open_office(database_url, port=None) as office:
        await office.template()
        ids = [await office.sent(params={"name": str(number), "code": 1}) for number in range(12)]
    async with post_office(post) as port, anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(_run_until_done, database_url, port, ids)
    assert sorted(one["Subject"] for one in post.mails) == sorted(f"Hello {number}" for number in range(12))


async def _run_until_done(url: str, port: int, ids: list[str]) -> None:
    async with open_office(url, port=port, is_new=False) as office:
        for mail_id in ids:
            with anyio.fail_after(30):
                # Another application's commits are heard of by looking.
                while (mail := await office.mail(mail_id))["status"] not in DONE:  # noqa: ASYNC110
                    await anyio.sleep(0.05)
            assert (mail["status"], mail["attempts"]) == ("sent", 1)


async def test_a_mail_whose_process_died_is_sent_by_another_when_its_time_is_over(office: Office, post: Post) -> None:
    await office.template()
    post.data_reply = "451 4.3.0 Later"
    mail_id = await office.sent()
    await office.wait_until(mail_id, is_waiting)
    post.data_reply = "250 OK"
    database = office.app.engine.database
    future = "2999-01-01 00:00:00.000000"
    await database.execute(f"UPDATE email SET status = 'sending', next_attempt_on = '{future}'", ())
    other = await office.sent(params={"name": "B", "code": 2})
    await office.wait_until(other, is_done)
    assert (await office.mail(mail_id))["status"] == "sending"
    await office.come_due(mail_id)
    assert (await office.wait_until(mail_id, is_done))["status"] == "sent"
    assert len(post.envelopes) == 2


async def test_a_transaction_that_is_undone_sends_nothing(office: Office, post: Post) -> None:
    template = await office.template()
    runtime = office.app.engine.runtime
    caller = Acting(SYSTEM, rights_of(runtime.registry, SYSTEM), runtime)
    row = await runtime.resolver.resolve("account", office.account)
    assert row is not None

    async def write(inside: Acting) -> None:
        await inside.update("email_template", template, {"subject": "Changed"})
        raise LookupError

    with pytest.raises(LookupError):
        await caller.transact(write)
    refused = await office.send(params={"name": "Ada"})
    assert refused.status == 422
    mail_id = await office.sent()
    await office.wait_until(mail_id, is_done)
    listed = await office.admin.get("/v3/crud/email/?count=exact&limit=0")
    assert listed.json["meta"]["total"] == len(post.envelopes) == 1


INJECTED = ["a@example.org\r\nBcc: evil@example.org", "a@example.org\n", "a@example.org\x00", "a\u2028@example.org"]
NO_ADDRESSES = ["", "a", "@example.org", "a@", "a b@example.org", "Ada <a@example.org>", "a@example.org,b@example.org"]
LONG = ["x" * 300 + "@example.org", "ünï@example.org", "<a@example.org>", "a@[127.0.0.1]"]


@pytest.mark.parametrize("address", [*INJECTED, *NO_ADDRESSES, *LONG])
async def test_what_is_no_address_is_refused_at_its_place(office: Office, post: Post, address: str) -> None:
    await office.template()
    reply = await office.send(to=["good@example.org", address])
    assert reply.status == 422, str(reply)
    assert [one["pointer"] for one in reply.json["errors"]] == ["/to/1"]
    assert (await office.admin.get("/v3/crud/email/")).data == []


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({"params": {}}, {"/params/code", "/params/name"}),
        ({"params": {"name": "A", "code": 1, "nmae": "x", "a/b": 1}}, {"/params/nmae", "/params/a~1b"}),
        ({"params": {"name": ["A"], "code": None}}, {"/params/name", "/params/code"}),
        ({"params": {"name": "A\r\nBcc: evil@example.org", "code": 1}}, {"/params/name"}),
        ({"params": {"name": "x" * 600, "code": 1}}, {"/params"}),
        ({"params": {"name": "x" * 10_001, "code": 1}}, {"/params/name"}),
        ({"params": {"name": "A"}, "to": ["a"]}, {"/params/code", "/to/0"}),
        ({"to": []}, {"/to"}),
        ({"to": [f"a{number}@example.org" for number in range(51)]}, {"/to"}),
        ({"to": "a@example.org"}, {"/to"}),
        ({"template": "unknown"}, {"/template"}),
        ({"template": 7}, {"/template"}),
        ({"cc": ["a@example.org"]}, {"/cc"}),
    ],
)
async def test_what_is_wrong_with_a_call_is_said_at_once(office: Office, body: Any, pointers: set[str]) -> None:
    await office.template()
    reply = await office.send(**body)
    assert reply.status == 422, str(reply)
    assert {one["pointer"] for one in reply.json["errors"]} == pointers
    assert (await office.admin.get("/v3/crud/email/")).data == []


async def test_line_breaks_in_a_body_stay_in_the_body(office: Office, post: Post) -> None:
    await office.template(subject="Hello", body_text="{text}")
    text = "one\r\n.\r\nQUIT\r\nSubject: other\n\n..two"
    await office.wait_until(await office.sent(params={"text": text}), is_done)
    (message,) = post.mails
    assert message["Subject"] == "Hello"
    assert message.get_content().replace("\r\n", "\n").rstrip("\n") == text.replace("\r\n", "\n")


async def test_a_template_of_another_account_is_as_unknown_as_one_that_is_not_there(office: Office) -> None:
    theirs = await office.template(office.client(office.other), name="theirs")
    refused = [await office.send(template=name) for name in ("theirs", theirs, new_public_id())]
    shown = [{**one.json, "instance": "", "request_id": ""} for one in refused]
    assert [one.status for one in refused] == [422] * 3
    assert shown[0] == shown[1] == shown[2]
    off = await office.template(name="off", enable=False)
    assert "switched off" in (await office.send(template=off)).json["detail"]


async def test_a_mail_belongs_to_the_account_that_sent_it(office: Office) -> None:
    await office.template()
    mail_id = await office.sent()
    other = office.client(office.other)
    assert (await other.get(f"/v3/crud/email/{mail_id}")).status == 404
    assert (await other.get("/v3/crud/email/")).data == []
    both = office.client(accounts=[office.account, office.other], roles=["admin"])
    unsure = await office.send(by=both)
    assert (unsure.status, unsure.json["errors"][0]["header"]) == (422, "X-Account-Id")
    sure = await office.send(by=both.with_headers(X_Account_Id=office.account))
    assert sure.status == 202


async def test_only_the_action_says_what_is_sent_to_whom(office: Office, post: Post) -> None:
    template = await office.template()
    empty = await office.admin.send("POST", "/v3/crud/email/", {"email_template_id": template, "note": "?"})
    assert (empty.status, empty.data["status"], empty.data["to"]) == (201, None, None)
    for field in ("to", "subject", "body_text", "status", "attempts", "sent_on"):
        assert (await office.admin.send("POST", "/v3/crud/email/", {field: "x"})).status == 422
    mail_id = await office.sent()
    await office.wait_until(mail_id, is_done)
    for field, value in (("status", "queued"), ("to", ["evil@example.org"]), ("email_template_id", None)):
        changed = await office.admin.send("PATCH", f"/v3/crud/email/{mail_id}", {field: value})
        assert changed.status == 422, str(changed)
    assert (await office.admin.send("PATCH", f"/v3/crud/email/{mail_id}", {"note": "seen"})).status == 200
    assert len(post.envelopes) == 1
    assert (await office.mail(empty.data["id"]))["status"] is None
    assert (await office.send(by=office.client(scopes=["*:*"]))).status == 403
    reader = office.client(scopes=["*:read", "action:email_send"])
    assert (await office.send(by=reader)).status == 403


async def test_a_mail_that_is_deleted_before_it_is_sent_is_not_sent(database_url: str, post: Post) -> None:
    async with open_office(database_url, port=None) as office:
        await office.template()
        mail_id, kept = await office.sent(), await office.sent(params={"name": "Kept", "code": 1})
        assert (await office.admin.send("DELETE", f"/v3/crud/email/{mail_id}")).status == 204
    async with post_office(post) as port, open_office(database_url, port=port, is_new=False) as office:
        await office.wait_until(kept, is_done)
    assert [one["Subject"] for one in post.mails] == ["Hello Kept"]
