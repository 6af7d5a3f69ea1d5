"""A registration desk: the shipped registry with an event of one account, its badge templates, badges and files."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from engine.auth.mint import mint_token
from engine.language.ids import new_public_id
from tests.support.attack import sql_for
from tests.support.serving import ROOT, Client, Reply, Running, make_settings, prepare, running

SIZE = {"width_mm": 90, "height_mm": 55}
PLACE = {"x_mm": 5, "y_mm": 5, "width_mm": 40, "height_mm": 10}


def text_item(**more: Any) -> dict[str, Any]:
    """A field in a box."""
    return {"kind": "field", **PLACE, "field": "family_name", **more}


def layout(*items: dict[str, Any]) -> dict[str, Any]:
    """A layout of 90 × 55 mm."""
    return {"size": SIZE, "items": list(items)}


@dataclass
class Desk:
    """An event of one account, with people who draw its badges."""

    app: Running
    admin: Client
    event: str
    ids: dict[str, str] = field(default_factory=dict)

    def caller(self, *scopes: str, account: str = "") -> Client:
        """Somebody of the account with other scopes."""
        return make_client(self.app, account or self.ids["account"], scopes=list(scopes))

    async def template(self, document: object, **more: Any) -> str:
        """A template with a layout that is checked."""
        body = {"event_id": self.event, "name": "T", "layout": document, **more}
        return await made(self.admin, "event_badge_template", body)

    async def broken(self, document: object, **more: Any) -> str:
        """A template with a layout that got into the table by SQL, as text or JSON."""
        template = await self.template(layout(), **more)
        text = document if isinstance(document, str) else json.dumps(document)
        await self.execute("UPDATE event_badge_template SET layout = ? WHERE id_random = ?", text, template)
        return template

    async def badge(self, template: str | None = None, **more: Any) -> str:
        """A badge of Łucja's."""
        body = {"event_id": self.event, "given_name": "Łucja", "family_name": "Núñez", "code": new_public_id(), **more}
        if template:
            body["event_badge_template_id"] = template
        return await made(self.admin, "event_badge", body)

    async def render(self, badge: str, format: str = "", *, by: Client | None = None) -> Reply:
        """Draw it."""
        query = f"?format={format}" if format else ""
        return await (by or self.admin).get(f"/v3/action/event_badge/{badge}/render{query}")

    async def execute(self, sql: str, *binds: object) -> None:
        """Past the application."""
        database = self.app.engine.database
        assert await database.execute(sql_for(database, sql), binds) == 1

    async def fetch(self, sql: str, *binds: object) -> list[Any]:
        """Rows, past the application."""
        database = self.app.engine.database
        return list(await database.fetch(sql_for(database, sql), binds))

    async def file(self, data: bytes, *, by: Client | None = None, content_type: str = "image/png") -> str:
        """A hosted file with these bytes."""
        file = await made(by or self.admin, "hosted_file", {"file_name": "picture.png"})
        async with self.app.engine.runtime.blobs.begin() as upload:
            await upload.write(data)
            await upload.finish()
            await upload.keep()
        digest = hashlib.sha256(data).hexdigest()
        sql = "UPDATE hosted_file SET hash_sha256 = ?, size_bytes = ?, content_type = ? WHERE id_random = ?"
        await self.execute(sql, digest, len(data), content_type, file)
        return file


def make_client(app: Running, account: str, **claims: Any) -> Client:
    """Somebody of an account; without claims its administrator."""
    given = {"accounts": [account], **(claims or {"roles": ["admin"]})}
    token = mint_token(app.settings, user=new_public_id(), **given)
    return Client(app.engine.application, headers={"Authorization": f"Bearer {token}"})


async def made(by: Client, type_name: str, body: dict[str, Any]) -> str:
    """The id of a new object."""
    reply = await by.send("POST", f"/v3/crud/{type_name}/", body)
    assert reply.status == 201, str(reply)
    return str(reply.data["id"])


@asynccontextmanager
async def open_desk(url: str, blobs: Path) -> AsyncIterator[Desk]:
    """The shipped registry with an account and an event."""
    settings = make_settings(url, ROOT / "resources.yaml", storage_url=f"file:{blobs}")
    await prepare(settings)
    async with running(settings) as app:
        token = mint_token(settings, user=new_public_id(), is_operator=True)
        operator = Client(app.engine.application, headers={"Authorization": f"Bearer {token}"})
        accounts = [await made(operator, "account", {"name": name}) for name in ("Ours", "Theirs")]
        admin = make_client(app, accounts[0])
        about = {"name": "Cold <Lakes> & 'more'", "starts_on": "2026-09-10T09:00:00Z", "settings": {"a": 1}}
        event = await made(admin, "event", about)
        yield Desk(app, admin, event, {"account": accounts[0], "other": accounts[1]})


def png(width: int = 60, height: int = 30, color: str = "#cc2222") -> bytes:
    """A picture in one colour."""
    out = io.BytesIO()
    Image.new("RGB", (width, height), color).save(out, "PNG")
    return out.getvalue()
