"""The least that Python can do for the same answers.

Raw ASGI, a small pool of asyncmy connections, constant SQL with the joins that
public ids of relations take, tuples into orjson, tokens verified once and then
remembered. No validation to speak of: it is a yardstick, not a service.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import asyncmy
import jwt
import orjson
import uvicorn
from asyncmy.constants import FIELD_TYPE
from asyncmy.converters import conversions

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

JWT_SECRET = os.environ["AETHER_JWT_SECRET"]
POOL_SIZE = 8
OPTIONS = orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z
JSON_TYPE = (b"content-type", b"application/json")

_SELECT = """SELECT e.id, e.row_version, e.id_random, a.id_random, j.id_random, e.title, e.entry_date, e.visibility,
 e.priority, e.tags, e.amount, e.flagged, p.id_random, e.created_on, e.updated_on
 FROM journal_entry e
 LEFT JOIN account a ON a.id = e.account_id
 LEFT JOIN journal j ON j.id = e.journal_id AND j.account_id = %s
 LEFT JOIN person p ON p.id = e.person_id AND p.account_id = %s"""
_ORDER = " ORDER BY e.entry_date DESC, e.id DESC LIMIT %s"

GET = _SELECT + " WHERE e.id_random = %s AND e.account_id = %s"
LIST = _SELECT + " WHERE j.id_random = %s AND e.account_id = %s" + _ORDER
FLAT = _SELECT + " WHERE e.account_id = %s" + _ORDER
AFTER = _SELECT + " WHERE e.account_id = %s AND e.entry_date <= %s AND (e.entry_date < %s OR e.id < %s)" + _ORDER
SEARCH = (
    _SELECT
    + """ WHERE e.account_id = %s AND e.visibility = %s AND e.entry_date >= %s AND e.flagged = %s
 AND (LOWER(e.title) LIKE %s OR e.priority >= %s)"""
    + _ORDER
)
INSERT = """INSERT INTO journal_entry (id_random, account_id, journal_id, title, body, entry_date, visibility, priority,
 tags, amount, flagged, person_id, row_version, created_on, updated_on)
 SELECT %s, j.account_id, j.id, %s, %s, %s, %s, %s, %s, %s, %s,
 (SELECT id FROM person WHERE id_random = %s AND account_id = %s), 1, UTC_TIMESTAMP(6), UTC_TIMESTAMP(6)
 FROM journal j WHERE j.id_random = %s AND j.account_id = %s
 RETURNING amount, created_on"""
UPDATE = """UPDATE journal_entry SET title = %s, priority = %s, updated_on = %s, row_version = row_version + 1
 WHERE id = %s AND row_version = %s"""

pool: asyncmy.Pool
account_of_token: dict[bytes, tuple[int, str]] = {}


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one request."""
    if scope["type"] == "lifespan":
        await live(receive, send)
        return
    account = await account_of(scope["headers"])
    if account is None:
        await answer(send, 401, b"{}")
        return
    parts = scope["path"].split("/")
    method = scope["method"]
    match (method, parts[3], *parts[4:]):
        case ("GET", "journal_entry", ""):
            await get_flat_page(scope, send, account)
        case ("GET", "journal_entry", entry_id):
            await get_entry(send, account, entry_id)
        case ("GET", "journal", journal_id, "entry", ""):
            await get_nested_page(scope, send, account, journal_id)
        case ("POST", "journal_entry", "search"):
            await search(send, account, orjson.loads(await read_body(receive)))
        case ("POST", "journal", journal_id, "entry", ""):
            await create(send, account, journal_id, orjson.loads(await read_body(receive)))
        case ("PATCH", "journal_entry", entry_id):
            await patch(scope, send, account, entry_id, orjson.loads(await read_body(receive)))
        case _:
            await answer(send, 404, b"{}")


async def get_entry(send: Send, account: tuple[int, str], entry_id: str) -> None:
    """One entry."""
    rows = await fetch(GET, (account[0], account[0], entry_id, account[0]))
    if not rows:
        await answer(send, 404, b"{}")
        return
    await answer(send, 200, orjson.dumps({"data": render(rows[0]), "meta": {}}, option=OPTIONS), etag_of(rows[0][1]))


async def get_nested_page(scope: Scope, send: Send, account: tuple[int, str], journal_id: str) -> None:
    """A page of a journal's entries; a journal without any looks like one that is not there."""
    query = dict(parse_qsl(scope["query_string"].decode()))
    limit = int(query.get("limit", 50))
    rows = await fetch(LIST, (account[0], account[0], journal_id, account[0], limit + 1))
    if not rows:
        await answer(send, 404, b"{}")
        return
    await answer_page(send, limit, rows)


async def get_flat_page(scope: Scope, send: Send, account: tuple[int, str]) -> None:
    """A page of the account's entries, from the start or after a position."""
    query = dict(parse_qsl(scope["query_string"].decode()))
    limit = int(query.get("limit", 50))
    if "cursor" in query:
        day, row_id = query["cursor"].split(".")
        rows = await fetch(AFTER, (account[0], account[0], account[0], day, day, int(row_id), limit + 1))
    else:
        rows = await fetch(FLAT, (account[0], account[0], account[0], limit + 1))
    await answer_page(send, limit, rows)


async def search(send: Send, account: tuple[int, str], body: dict[str, Any]) -> None:
    """The one search that is asked."""
    wanted, limit = body["filter"], body["limit"]
    first, second = wanted["or"]
    pattern = f"%{first['title']['icontains'].lower()}%"
    binds = (account[0], account[0], account[0], wanted["visibility"], wanted["entry_date"]["gte"], wanted["flagged"])
    await answer_page(send, limit, await fetch(SEARCH, (*binds, pattern, second["priority"]["gte"], limit + 1)))


async def create(send: Send, account: tuple[int, str], journal_id: str, body: dict[str, Any]) -> None:
    """A new entry; account, journal and person are found by the statement itself."""
    entry_id = secrets.token_urlsafe(16)
    tags = body.get("tags")
    day = body.get("entry_date")
    if day is not None:
        date.fromisoformat(day)
    values = (
        body["title"],
        body.get("body"),
        day,
        body.get("visibility", "private"),
        body.get("priority", 0),
        None if tags is None else orjson.dumps(tags).decode(),
        body.get("amount"),
        body.get("flagged", False),
    )
    person_id = body.get("person_id")
    rows = await fetch(INSERT, (entry_id, *values, person_id, account[0], journal_id, account[0]))
    if not rows:
        await answer(send, 404, b"{}")
        return
    amount, created_on = rows[0]
    data = {
        "id": entry_id,
        "account_id": account[1],
        "journal_id": journal_id,
        "title": values[0],
        "entry_date": day,
        "visibility": values[3],
        "priority": values[4],
        "tags": tags,
        "amount": amount,
        "flagged": values[7],
        "person_id": person_id,
        "created_on": created_on,
        "updated_on": created_on,
    }
    location = (b"location", f"/v3/crud/journal_entry/{entry_id}".encode())
    await answer(send, 201, orjson.dumps({"data": data, "meta": {}}, option=OPTIONS), etag_of(1), location)


async def patch(scope: Scope, send: Send, account: tuple[int, str], entry_id: str, body: dict[str, Any]) -> None:
    """A change of title and priority, compared by version."""
    rows = await fetch(GET, (account[0], account[0], entry_id, account[0]))
    if not rows:
        await answer(send, 404, b"{}")
        return
    row = list(rows[0])
    for name, value in scope["headers"]:
        if name == b"if-match" and value != etag_of(row[1])[1]:
            await answer(send, 412, b"{}")
            return
    row[5], row[8] = body.get("title", row[5]), body.get("priority", row[8])
    row[14] = datetime.now(UTC).replace(tzinfo=None)
    async with pool.acquire() as connection, connection.cursor() as cursor:
        if not await cursor.execute(UPDATE, (row[5], row[8], row[14], row[0], row[1])):
            await answer(send, 409, b"{}")
            return
    row[1] += 1
    await answer(send, 200, orjson.dumps({"data": render(row), "meta": {}}, option=OPTIONS), etag_of(row[1]))


async def answer_page(send: Send, limit: int, rows: Sequence[Sequence[Any]]) -> None:
    """Answer a page of rows, of which one more than asked was fetched."""
    more = len(rows) > limit
    last = rows[limit - 1] if more else None
    meta = {"limit": limit, "offset": 0, "has_more": more, "next_cursor": last and f"{last[6]}.{last[0]}"}
    data = [render(row) for row in rows[:limit]]
    await answer(send, 200, orjson.dumps({"data": data, "meta": meta}, option=OPTIONS))


def render(row: Sequence[Any]) -> dict[str, Any]:
    """A row as it goes over the wire."""
    (
        _,
        _,
        public_id,
        account,
        journal,
        title,
        day,
        visibility,
        priority,
        tags,
        amount,
        flagged,
        person,
        made,
        changed,
    ) = row
    return {
        "id": public_id,
        "account_id": account,
        "journal_id": journal,
        "title": title,
        "entry_date": day,
        "visibility": visibility,
        "priority": priority,
        "tags": None if tags is None else orjson.Fragment(tags),
        "amount": amount,
        "flagged": flagged == 1,
        "person_id": person,
        "created_on": made,
        "updated_on": changed,
    }


async def account_of(headers: Sequence[tuple[bytes, bytes]]) -> tuple[int, str] | None:
    """The account of a token; verified once, then remembered."""
    for name, value in headers:
        if name == b"authorization":
            known = account_of_token.get(value)
            if known is None:
                claims = jwt.decode(value[7:], JWT_SECRET, algorithms=["HS256"])
                public_id = claims["accounts"][0]
                rows = await fetch("SELECT id FROM account WHERE id_random = %s", (public_id,))
                known = account_of_token[value] = (rows[0][0], public_id)
            return known
    return None


async def fetch(sql: str, binds: Sequence[object]) -> Sequence[Sequence[Any]]:
    """Run a statement on a connection of the pool."""
    async with pool.acquire() as connection, connection.cursor() as cursor:
        await cursor.execute(sql, binds)
        rows: Sequence[Sequence[Any]] = await cursor.fetchall()
        return rows


async def answer(send: Send, status: int, body: bytes, *headers: tuple[bytes, bytes]) -> None:
    """Send a whole reply."""
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [JSON_TYPE, length, *headers]})
    await send({"type": "http.response.body", "body": body})


async def read_body(receive: Receive) -> bytes:
    """Read a whole body."""
    message = await receive()
    body: bytes = message["body"]
    while message.get("more_body"):
        message = await receive()
        body += message["body"]
    return body


def etag_of(version: int) -> tuple[bytes, bytes]:
    """The entity tag of a version, as a header."""
    return b"etag", f'"{version}"'.encode()


async def live(receive: Receive, send: Send) -> None:
    """Open the pool at the start, close it at the end."""
    global pool  # noqa: PLW0603 - one pool per process is the point
    await receive()
    pool = await open_pool()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    pool.close()
    await pool.wait_closed()
    await send({"type": "lifespan.shutdown.complete"})


async def open_pool() -> asyncmy.Pool:
    """A pool whose decimals stay the text that the server wrote."""
    url = urlsplit(os.environ["AETHER_DATABASE_URL"])
    texts = {FIELD_TYPE.DECIMAL: str, FIELD_TYPE.NEWDECIMAL: str}
    return await asyncio.wait_for(
        asyncmy.create_pool(
            minsize=POOL_SIZE,
            maxsize=POOL_SIZE,
            host=url.hostname,
            port=url.port or 3306,
            user=url.username,
            password=url.password or "",
            db=url.path.lstrip("/"),
            charset="utf8mb4",
            autocommit=True,
            conv={**conversions, **texts},
        ),
        timeout=5,
    )


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ["AETHER_PORT"]), access_log=False, log_level="warning")
