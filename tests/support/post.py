"""A mail server on loopback (aiosmtpd), and an application that sends through it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

import anyio
from aiosmtpd.smtp import SMTP, Envelope, Session

from engine.auth.mint import mint_token
from engine.io.changes import Change
from engine.language.ids import new_public_id
from tests.support.serving import ROOT, Client, Running, make_settings, prepare, running

WAIT_S = 20
OK = "250 OK"


@dataclass
class Post:
    """What the mail server got, and what it says.

    Attributes:
        envelopes: Of the mails that it took, in order.
        data_reply: What it says to a mail.
        refusals: What it says to recipients, by address.
    """

    envelopes: list[Envelope] = field(default_factory=list)
    data_reply: str = OK
    refusals: dict[str, str] = field(default_factory=dict)
    seen: int = 0

    @property
    def mails(self) -> list[EmailMessage]:
        """The mails that it took."""
        return [message_from_bytes(bytes(one.content or b""), policy=default) for one in self.envelopes]  # type: ignore[arg-type, misc]

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """One recipient."""
        if address in self.refusals:
            self.seen += 1
            return self.refusals[address]
        envelope.rcpt_tos.append(address)
        return OK

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """One mail."""
        self.seen += 1
        if self.data_reply == OK:
            self.envelopes.append(envelope)
        return self.data_reply


@asynccontextmanager
async def post_office(post: Post, port: int = 0) -> AsyncIterator[int]:
    """Listen on a port; 0 = a free one. Gives the port."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(post, hostname="post.example.org", enable_SMTPUTF8=False), "127.0.0.1", port
    )
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


@dataclass
class Office:
    """An application with mail templates of one account."""

    app: Running
    admin: Client
    operator: Client
    account: str
    other: str
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def client(self, account: str = "", **claims: Any) -> Client:
        """Somebody of an account."""
        given = {"accounts": [account or self.account], **(claims or {"roles": ["admin"]})}
        token = mint_token(self.app.settings, user=new_public_id(), **given)
        return Client(self.app.engine.application, headers={"Authorization": f"Bearer {token}"})

    async def template(self, by: Client | None = None, **more: Any) -> str:
        """The id of a new template."""
        body = {
            "name": "welcome",
            "subject": "Hello {name}",
            "body_text": "Dear {name},\n\nyour code is {code}.\n",
            **more,
        }
        reply = await (by or self.admin).send("POST", "/v3/crud/email_template/", body)
        assert reply.status == 201, str(reply)
        return str(reply.data["id"])

    async def send(self, *, by: Client | None = None, **more: Any) -> Any:
        """Ask for a mail."""
        body = {"template": "welcome", "to": ["ada@example.org"], "params": {"name": "Ada", "code": 7}, **more}
        return await (by or self.admin).send("POST", "/v3/action/email/send", body)

    async def sent(self, **more: Any) -> str:
        """The id of a mail that was accepted."""
        reply = await self.send(**more)
        assert reply.status == 202, str(reply)
        return str(reply.data["id"])

    async def mail(self, mail_id: str) -> dict[str, Any]:
        """A row of the outbox."""
        reply = await self.admin.get(f"/v3/crud/email/{mail_id}")
        assert reply.status == 200, str(reply)
        data: dict[str, Any] = reply.data
        return data

    async def wait_until(self, mail_id: str, is_so: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The row, as soon as it is as wanted."""
        with anyio.fail_after(WAIT_S):
            while True:
                self._changed.clear()
                mail = await self.mail(mail_id)
                if is_so(mail):
                    return mail
                await self._changed.wait()

    async def come_due(self, mail_id: str) -> None:
        """Let a mail's next attempt be now."""
        database = self.app.engine.database
        mark = "%s" if database.dialect == "mariadb" else "?"
        past = "2020-01-01 00:00:00.000000"
        sql = f"UPDATE email SET next_attempt_on = '{past}' WHERE id_random = {mark}"
        assert await database.execute(sql, (mail_id,)) == 1
        self.app.engine.workers.wake()

    async def hear(self, change: Change) -> None:
        """Something was written."""
        self._changed.set()


@asynccontextmanager
async def open_office(url: str, *, port: int | None, is_new: bool = True) -> AsyncIterator[Office]:
    """The shipped registry; mail goes to a port on loopback, or waits."""
    more = {} if port is None else {"smtp_url": f"smtp://127.0.0.1:{port}", "mail_from": "aether@example.org"}
    settings = make_settings(url, ROOT / "resources.yaml", **more)
    if is_new:
        await prepare(settings)
    async with running(settings) as app:
        token = mint_token(settings, user=new_public_id(), is_operator=True)
        operator = Client(app.engine.application, headers={"Authorization": f"Bearer {token}"})
        names = ("Ours", "Theirs")
        if is_new:
            made = [await operator.send("POST", "/v3/crud/account/", {"name": name}) for name in names]
            ids = [str(one.data["id"]) for one in made]
        else:
            listed = {one["name"]: one["id"] for one in (await operator.get("/v3/crud/account/")).data}
            ids = [listed[name] for name in names]
        office = Office(app, operator, operator, *ids)
        office.admin = office.client()
        app.engine.changes.subscribe("office", office.hear)
        yield office
