"""A shelf of files: the shipped registry with two accounts, each with an event, and what uploads and downloads need."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.auth.mint import mint_token
from engine.language.ids import new_public_id
from tests.support.databases import sql_for
from tests.support.serving import ROOT, Client, Reply, Running, make_settings, prepare, running

BOUNDARY = "a-boundary-of-tests"
FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
File = tuple[str, bytes, str]
SESSION = {"name": "S", "starts_on": "2026-01-01T09:00:00Z", "ends_on": "2026-01-01T10:00:00Z"}


def form_body(words: Mapping[str, str], file: File | None, *, file_first: bool = False) -> bytes:
    """A form with words and a file."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n'.encode()
        for name, text in words.items()
    ]
    if file is not None:
        name, content, content_type = file
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
        part = f"{head}Content-Type: {content_type}\r\n\r\n".encode() + content + b"\r\n"
        parts.insert(0, part) if file_first else parts.append(part)
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def digest_of(content: bytes) -> str:
    """SHA-256 as the product writes it."""
    return hashlib.sha256(content).hexdigest()


@dataclass
class Side:
    """One account: its administrator, its event, and a client for each set of scopes."""

    app: Running
    account: str
    event: str
    admin: Client

    def caller(self, *scopes: str, **claims: Any) -> Client:
        """Somebody of the account."""
        return caller_of(self.app, scopes=list(scopes), **{"accounts": [self.account], **claims})

    async def upload(
        self,
        content: bytes,
        name: str = "a.txt",
        content_type: str = "text/plain",
        *,
        by: Client | None = None,
        to: str = "",
        headers: Mapping[str, str] | None = None,
        **words: str,
    ) -> Reply:
        """Upload as a form, to the event unless told otherwise."""
        body = form_body(words, (name, content, content_type))
        path = to or f"/v3/action/event/{self.event}/file"
        return await (by or self.admin).send("POST", path, raw=body, headers={**FORM, **(headers or {})})


@dataclass
class Shelf:
    """Both accounts."""

    app: Running
    ours: Side
    theirs: Side
    nobody: Client
    blobs: Path

    async def fetch(self, sql: str, *binds: object) -> list[tuple[Any, ...]]:
        """Rows by SQL, past the application."""
        database = self.app.engine.runtime.database
        return list(await database.fetch(sql_for(database, sql), binds))

    async def count(self, table: str) -> int:
        """How many rows a table has."""
        return int((await self.fetch(f"SELECT COUNT(*) FROM {table}"))[0][0])

    def stored(self) -> list[str]:
        """Names of the files in the store, those of uploads under way among them."""
        found = (path for path in self.blobs.rglob("*") if path.is_file() and path.name != "lock")
        return sorted(path.name for path in found)


def caller_of(app: Running, **claims: Any) -> Client:
    """Somebody with a token."""
    token = mint_token(app.settings, user=claims.pop("user", None) or new_public_id(), **claims)
    return Client(app.engine.application, headers={"Authorization": f"Bearer {token}"})


@asynccontextmanager
async def shelf_on(url: str, directory: Path, **overrides: Any) -> AsyncIterator[Shelf]:
    """The application on an empty database and an empty store."""
    blobs = directory / "blobs"
    settings = make_settings(url, ROOT / "resources.yaml", storage_url=f"file:{blobs}", **overrides)
    await prepare(settings)
    async with running(settings) as app:
        operator = Client(
            app.engine.application, headers={"Authorization": f"Bearer {mint_token(settings, is_operator=True)}"}
        )
        sides = [await _side(app, operator, name) for name in ("Ours", "Theirs")]
        yield Shelf(app, sides[0], sides[1], Client(app.engine.application), blobs)


async def _side(app: Running, operator: Client, name: str) -> Side:
    account = (await operator.send("POST", "/v3/crud/account/", {"name": name})).data["id"]
    admin = caller_of(app, accounts=[account], roles=["admin"])
    return Side(app, account, await new_event(admin), admin)


async def new_event(caller: Client) -> str:
    """An event."""
    body = {"name": "E", "starts_on": "2026-01-01T00:00:00Z", "ends_on": "2026-01-02T00:00:00Z"}
    reply = await caller.send("POST", "/v3/crud/event/", body)
    assert reply.status == 201, str(reply)
    made: str = reply.data["id"]
    return made
