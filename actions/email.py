"""Mail from templates: written as rows in the caller's transaction, sent by a worker after the commit.

A mail is a row of `email` for as long as it is kept: queued, sending, sent or failed. Who may read the row sees what
became of it. A mail is sent at least once: whoever gets it twice sees the same `Message-ID`.
"""

from __future__ import annotations

import asyncio
import html
import re
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Annotated, Any
from urllib.parse import unquote, urlsplit

import aiosmtplib
from email_validator import EmailNotValidError, validate_email
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from engine import (
    Acting,
    Caller,
    CallerContext,
    ErrorItem,
    Response,
    ValidationFailed,
    WorkerHost,
    action,
    envelope,
    is_public_id,
    worker,
)

MAIL, TEMPLATE = "email", "email_template"
MAX_RECIPIENTS = 50
MAX_PARAMS = 100
MAX_VALUE = 10_000
MAX_SUBJECT = 500
MAX_ERROR = 300

# How long a mail waits after each attempt that failed, in seconds; after as many attempts as there are waits, and one
# more, it has failed for good.
WAITS_S = (10, 30, 120, 600, 1_800, 7_200, 21_600)
CONNECT_TIMEOUT_S = 20.0
SEND_TIMEOUT_S = 120.0
# A mail that is being sent is left to its process for so long; longer than any attempt takes.
LEASE_S = 600
BATCH = 20

PLACEHOLDER = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*\}\}|\{([A-Za-z_][A-Za-z0-9_]*)\}")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


# What documents say of an address; the faults of one are told by `_read_recipients` in words of their own.
_ADDRESS = {"type": "string", "format": "email", "minLength": 3, "maxLength": 254}


class Sending(BaseModel):
    """What is sent to whom."""

    model_config = ConfigDict(extra="forbid")

    template: str = Field(min_length=1, max_length=120, description="Name or id of a mail template.")
    to: list[Annotated[str, WithJsonSchema(_ADDRESS)]] = Field(
        min_length=1, max_length=MAX_RECIPIENTS, description="Addresses, without names."
    )
    params: dict[str, Any] = Field(
        default_factory=dict, max_length=MAX_PARAMS, description="Texts and numbers for the template's {names}."
    )


@action(
    "POST",
    "email/send",
    name="email_send",
    title="Send a mail",
    scope="default",
    type=MAIL,
    status=202,
    needs=(f"{TEMPLATE}:read", f"{MAIL}:create"),
)
async def send_email(sending: Sending, caller: Caller) -> Response:
    """A mail of a template, to all of these recipients together. It is sent soon; the row says when it was.

    All that is wrong with the recipients and the values is a 422 with each place.
    """
    template = await _find_template(caller, sending.template)
    faults: list[ErrorItem] = []
    recipients = _read_recipients(sending.to, faults)
    filled = _fill(template, sending.params, faults)
    if faults:
        raise ValidationFailed(errors=faults)
    further = {
        **filled,
        "to": recipients,
        "status": "queued",
        "attempts": 0,
        "next_attempt_on": datetime.now(UTC).replace(tzinfo=None),
    }
    mail = await caller.create(MAIL, {f"{TEMPLATE}_id": template["id"]}, further=further)
    meta = {}
    if _server_of(caller.request.settings) is None:
        meta["warnings"] = ["No mail server is configured (AETHER_SMTP_URL, AETHER_MAIL_FROM): the mail waits for one."]
    return envelope(mail, meta, status=202)


# ---------------------------------------------------------------- what a caller sent


async def _find_template(caller: CallerContext, given: str) -> dict[str, Any]:
    """The template of this name or id, with its texts.

    Raises:
        ValidationFailed: There is none for the caller, or several, or it is switched off.
    """
    named: dict[str, Any] = {"name": given}
    condition = {"or": [named, {"id": given}]} if is_public_id(given) else named
    fields = ["subject", "body_text", "body_html", "enable"]
    found = (await caller.search(TEMPLATE, {"filter": condition, "fields": fields, "limit": 2})).data
    fault = None
    if not found:
        fault = "There is no mail template of this name or id, or none that you may see."
    elif len(found) > 1:
        fault = "Several mail templates are called so: pick an account by X-Account-Id, or say the template's id."
    elif found[0]["enable"] is False:
        fault = "The mail template is switched off."
    if fault is not None:
        raise ValidationFailed(errors=[ErrorItem("foreign-key", fault, pointer="/template")])
    template: dict[str, Any] = found[0]
    return template


def _read_recipients(given: list[str], faults: list[ErrorItem]) -> list[str]:
    """The addresses in one form, each once."""
    recipients: dict[str, str] = {}
    for index, one in enumerate(given):
        pointer = f"/to/{index}"
        if CONTROL.search(one):
            detail = "An address has no line breaks or control characters in it."
            faults.append(ErrorItem("pattern", detail, pointer=pointer))
            continue
        try:
            valid = validate_email(one, check_deliverability=False, globally_deliverable=False, allow_smtputf8=False)
        except EmailNotValidError as wrong:
            faults.append(ErrorItem("pattern", f"This is no address to send mail to: {wrong}", pointer=pointer))
            continue
        address = valid.ascii_email or valid.normalized
        recipients.setdefault(address.lower(), address)
    return list(recipients.values())


def _fill(template: Mapping[str, Any], params: Mapping[str, Any], faults: list[ErrorItem]) -> dict[str, str | None]:
    """Subject and bodies with the values put in; those of the HTML body are escaped."""
    texts = {name: template[name] for name in ("subject", "body_text", "body_html")}
    wanted = {name for text in texts.values() if text for name in _names_in(text)}
    values: dict[str, str] = {}
    for name in sorted(wanted - set(params)):
        detail = f"The template has a place for {name!r}; give its value."
        faults.append(ErrorItem("required", detail, pointer=f"/params/{name}"))
    for name, value in params.items():
        pointer = f"/params/{name.replace('~', '~0').replace('/', '~1')}"
        if name not in wanted:
            detail = f"The template has no place for {name[:60]!r}: it has {', '.join(sorted(wanted)) or 'none'}."
            faults.append(ErrorItem("unknown-field", detail, pointer=pointer))
        elif isinstance(value, bool) or not isinstance(value, (str, int, float)):
            faults.append(ErrorItem("type-mismatch", "A value is text or a number.", pointer=pointer))
        elif len(text := str(value)) > MAX_VALUE:
            detail = f"The value has {len(text)} characters; {MAX_VALUE} are possible."
            faults.append(ErrorItem("too-long", detail, pointer=pointer))
        elif name in _names_in(texts["subject"]) and CONTROL.search(text):
            detail = "It stands in the subject, which has no line breaks or control characters."
            faults.append(ErrorItem("pattern", detail, pointer=pointer))
        else:
            values[name] = text
    if faults:
        return {}
    subject = _put_in(texts["subject"], values)
    if len(subject) > MAX_SUBJECT or CONTROL.search(subject):
        detail = f"The subject would have {len(subject)} characters; {MAX_SUBJECT} in one line are possible."
        faults.append(ErrorItem("too-long", detail, pointer="/params"))
    markup = texts["body_html"]
    return {
        "subject": subject,
        "body_text": _put_in(texts["body_text"], values),
        "body_html": _put_in(markup, {name: html.escape(text) for name, text in values.items()}) if markup else None,
    }


def _names_in(text: str) -> set[str]:
    return {match[1] or match[2] for match in PLACEHOLDER.finditer(text)}


def _put_in(text: str, values: Mapping[str, str]) -> str:
    return PLACEHOLDER.sub(lambda match: values[match[1] or match[2]], text)


# ---------------------------------------------------------------- sending


class _Server:
    """The mail server of the settings."""

    def __init__(self, url: str, sender: str) -> None:
        parts = urlsplit(url)
        self.sender = sender
        self.host = parts.hostname or "localhost"
        self.username = unquote(parts.username) if parts.username else None
        self.password = unquote(parts.password) if parts.password else None
        self.is_tls = parts.scheme == "smtps"
        self.port = parts.port or (465 if self.is_tls else 587 if self.username else 25)

    @property
    def start_tls(self) -> bool | None:
        """Whether to encrypt; None = where the server offers it. A password goes over no open network."""
        if self.is_tls:
            return False
        is_here = self.host in ("localhost", "127.0.0.1", "::1")
        return True if self.username and not is_here else None

    async def deliver(self, message: EmailMessage, recipients: list[str]) -> str | None:
        """Hand a message over.

        Returns:
            What the server said of those recipients that it refused, where it took others; None = it took all.
        """
        async with (
            asyncio.timeout(SEND_TIMEOUT_S),
            aiosmtplib.SMTP(
                hostname=self.host,
                port=self.port,
                username=self.username,
                password=self.password,
                use_tls=self.is_tls,
                start_tls=self.start_tls,
                timeout=CONNECT_TIMEOUT_S,
            ) as smtp,
        ):
            refused, _ = await smtp.send_message(message, sender=self.sender, recipients=recipients)
        if not refused:
            return None
        return _said(f"{len(refused)} of {len(recipients)} recipients were refused: {', '.join(sorted(refused))}")


def _server_of(settings: Any) -> _Server | None:
    if settings.smtp_url is None or settings.mail_from is None:
        return None
    return _Server(settings.smtp_url, settings.mail_from)


@worker("email", type=MAIL, every_s=5.0)
async def send_waiting(host: WorkerHost) -> None:
    """Send the mail that is due, the longest waiting first; without a mail server it waits."""
    server = _server_of(host.settings)
    while server is not None:
        due = {
            "filter": {"status": ["queued", "sending"], "next_attempt_on": {"lte": datetime.now(UTC).isoformat()}},
            "fields": ["id"],
            "sort": ["next_attempt_on"],
            "limit": BATCH,
        }
        found = (await host.search(MAIL, due)).data
        for one in found:
            mail = await _claim(host, one["id"])
            if mail is not None:
                await _attempt(host, server, mail)
        if len(found) < BATCH:
            return


async def _claim(host: Acting, mail_id: str) -> dict[str, Any] | None:
    """Take a mail for this process, before all others; None where another was faster, or it is gone."""

    async def claim(inside: Acting) -> dict[str, Any] | None:
        now = datetime.now(UTC)
        found = await inside.search(MAIL, {"filter": {"id": mail_id}, "fields": ["id"], "limit": 1})
        if not found.data:
            return None
        fields = ["to", "subject", "body_text", "body_html", "status", "attempts", "next_attempt_on", "created_on"]
        mail = await inside.get(MAIL, mail_id, fields=fields, hold=True)
        due = mail["next_attempt_on"]
        if mail["status"] not in ("queued", "sending") or due is None or datetime.fromisoformat(due) > now:
            return None
        if mail["attempts"] > len(WAITS_S):
            # Each attempt ended with the process, or so it seems.
            over = {"status": "failed", "next_attempt_on": None, "last_error": "The server stopped at each attempt."}
            await inside.update(MAIL, mail_id, {}, fields=["id"], further=over)
            return None
        taken = {
            "status": "sending",
            "attempts": mail["attempts"] + 1,
            "next_attempt_on": (now + timedelta(seconds=LEASE_S)).replace(tzinfo=None),
        }
        await inside.update(MAIL, mail_id, {}, fields=["id"], further=taken)
        return {**mail, "attempts": taken["attempts"]}

    return await host.transact(claim)


async def _attempt(host: Acting, server: _Server, mail: Mapping[str, Any]) -> None:
    """Send a mail that was taken, and write down what became of it."""
    recipients: list[str] = mail["to"]
    is_final, fault = False, None
    try:
        fault = await server.deliver(_write(mail, server.sender), recipients)
        now = datetime.now(UTC).replace(tzinfo=None)
        outcome: dict[str, object] = {"status": "sent", "sent_on": now, "next_attempt_on": None, "last_error": fault}
    except aiosmtplib.SMTPRecipientsRefused as refused:
        is_final = all(one.code >= 500 for one in refused.recipients)
        fault = "; ".join(f"{one.recipient}: {one.code} {one.message}" for one in refused.recipients)
    except (aiosmtplib.SMTPSenderRefused, aiosmtplib.SMTPDataError) as refused:
        is_final = refused.code >= 500
        fault = f"{refused.code} {refused.message}"
    except aiosmtplib.SMTPAuthenticationError:
        fault = "The mail server does not take our credentials."
    except ssl.SSLError:
        fault = "The mail server cannot be spoken to securely."
    except (aiosmtplib.SMTPException, TimeoutError, OSError):
        fault = "The mail server could not be reached, or did not go on."
    except ValueError:
        is_final, fault = True, "The mail cannot be written: a header of it is not valid."
    else:
        await host.update(MAIL, mail["id"], {}, fields=["id"], further=outcome)
        return
    attempts = mail["attempts"]
    if is_final or attempts > len(WAITS_S):
        outcome = {"status": "failed", "next_attempt_on": None}
    else:
        later = datetime.now(UTC) + timedelta(seconds=WAITS_S[attempts - 1])
        outcome = {"status": "queued", "next_attempt_on": later.replace(tzinfo=None)}
    await host.update(MAIL, mail["id"], {}, fields=["id"], further={**outcome, "last_error": _said(fault)})


def _write(mail: Mapping[str, Any], sender: str) -> EmailMessage:
    """The message of a row; the same one at each attempt.

    Raises:
        ValueError: A header would have a line break in it.
    """
    message = EmailMessage(policy=SMTP)
    message["From"] = sender
    message["To"] = ", ".join(mail["to"])
    message["Subject"] = mail["subject"]
    message["Date"] = format_datetime(datetime.fromisoformat(mail["created_on"]))
    message["Message-ID"] = f"<{mail['id']}@{sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(mail["body_text"] or "")
    if mail["body_html"]:
        message.add_alternative(mail["body_html"], subtype="html")
    return message


def _said(text: str) -> str:
    """What a server said, as it may stand in a row: one line, not too long."""
    line = CONTROL.sub(" ", text)
    return line if len(line) <= MAX_ERROR else line[: MAX_ERROR - 1] + "…"
