"""What the servers are asked: one row per workload, the same bytes for all of them.

A workload makes requests out of a random source; ids are those of `data.py`. The
one thing that differs by server is the position of the deep page: it is asked
of each server in its own words beforehand.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from http.client import HTTPConnection

import jwt

from bench.data import WORDS, Size, connect, fetch, public_id
from bench.servers import JWT_SECRET, Running

DEEP_PAGE = 3_900
PAGE = 25
TOKEN_LIFE_S = 6 * 3600


@dataclass(frozen=True, slots=True)
class Ask:
    """One request, before it is bytes."""

    method: str
    path: str
    account: int
    body: object = None

    def encode(self) -> bytes:
        """The request as HTTP/1.1 bytes, keep-alive."""
        head = (
            f"{self.method} {self.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token(self.account)}\r\n"
        )
        if self.body is None:
            return f"{head}\r\n".encode()
        body = json.dumps(self.body, separators=(",", ":")).encode()
        return f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


@dataclass(frozen=True, slots=True)
class Workload:
    """A kind of request.

    Attributes:
        name: How the tables call it.
        make: Makes one request out of a random source.
        ratio_hand: What the ratio ours/hand must be at 32 connections, or None.
        ratio_floor: The same for ours/floor.
        servers: Who can be asked it.
        is_write: It changes rows; answers are compared without what the server makes itself.
    """

    name: str
    make: Callable[[random.Random, Size, Mapping[int, str]], Ask]
    ratio_hand: float | None
    ratio_floor: float
    servers: tuple[str, ...] = ("ours", "hand", "floor")
    is_write: bool = False
    most_statements: int = 1


def _get(dice: random.Random, size: Size, _: Mapping[int, str]) -> Ask:
    entry = dice.randint(1, size.total["journal_entry"])
    return Ask("GET", f"/v3/crud/journal_entry/{public_id('journal_entry', entry)}", size.account_of_entry(entry))


def _nested(limit: int) -> Callable[[random.Random, Size, Mapping[int, str]], Ask]:
    def make(dice: random.Random, size: Size, _: Mapping[int, str]) -> Ask:
        journal = dice.randint(1, size.total["journal"])
        path = f"/v3/crud/journal/{public_id('journal', journal)}/entry/?limit={limit}"
        return Ask("GET", path, size.account_of_journal(journal))

    return make


def _search(dice: random.Random, size: Size, _: Mapping[int, str]) -> Ask:
    condition = {
        "visibility": "public",
        "entry_date": {"gte": f"20{dice.randint(19, 22)}-0{dice.randint(1, 9)}-01"},
        "flagged": False,
        "or": [{"title": {"icontains": dice.choice(WORDS)}}, {"priority": {"gte": dice.randint(4, 6)}}],
    }
    body = {"filter": condition, "limit": PAGE}
    return Ask("POST", "/v3/crud/journal_entry/search", dice.randint(1, size.accounts), body)


def _create(dice: random.Random, size: Size, _: Mapping[int, str]) -> Ask:
    journal = dice.randint(1, size.total["journal"])
    account = size.account_of_journal(journal)
    person = (account - 1) * size.persons + dice.randint(1, size.persons)
    body = {
        "title": _title(dice),
        "body": f"{dice.choice(WORDS)} and {dice.choice(WORDS)}. " * 10,
        "entry_date": f"20{dice.randint(19, 24)}-0{dice.randint(1, 9)}-1{dice.randint(0, 9)}",
        "visibility": "public",
        "priority": dice.randint(0, 9),
        "tags": {"topics": [dice.choice(WORDS), dice.choice(WORDS)]},
        "amount": f"{dice.randint(0, 9999)}.{dice.randint(10, 99)}",
        "flagged": False,
        "person_id": public_id("person", person),
    }
    return Ask("POST", f"/v3/crud/journal/{public_id('journal', journal)}/entry/", account, body)


def _patch(dice: random.Random, size: Size, _: Mapping[int, str]) -> Ask:
    entry = dice.randint(1, size.total["journal_entry"])
    path = f"/v3/crud/journal_entry/{public_id('journal_entry', entry)}"
    body = {"title": _title(dice), "priority": dice.randint(0, 9)}
    return Ask("PATCH", path, size.account_of_entry(entry), body)


def _flat(dice: random.Random, _: Size, cursors: Mapping[int, str]) -> Ask:
    # The accounts that the deep page is asked for: rows of one alone are all in the processor's cache.
    return Ask("GET", f"/v3/crud/journal_entry/?limit={PAGE}", dice.choice(list(cursors)))


def _deep(dice: random.Random, _: Size, cursors: Mapping[int, str]) -> Ask:
    account = dice.choice(list(cursors))
    return Ask("GET", f"/v3/crud/journal_entry/?limit={PAGE}&cursor={cursors[account]}", account)


def _title(dice: random.Random) -> str:
    return f"{dice.choice(WORDS)} {dice.choice(WORDS)} {dice.choice(WORDS)} {dice.randint(1, 10**6)}"


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("get one", _get, 5, 0.6),
        Workload("nested page of 25", _nested(PAGE), 5, 0.75),
        Workload("search, 3 + or, page of 25", _search, 5, 0.75),
        Workload("page of 500", _nested(500), 7, 0.75),
        Workload("create", _create, 7, 0.6, is_write=True, most_statements=3),
        Workload("patch", _patch, 5, 0.75, is_write=True, most_statements=3),
        Workload("deep page by cursor", _deep, None, 0.75, servers=("ours", "floor")),
    )
}
FLAT_PAGE = Workload("first page of the flat list", _flat, None, 0.75, servers=("ours", "floor"))


@cache
def token(account: int) -> str:
    """A bearer token of a user of one account, as all servers take it."""
    claims = {
        "sub": public_id("user", account),
        "accounts": [public_id("account", account)],
        "scopes": ["*:read", "*:write"],
        "exp": int(time.time()) + TOKEN_LIFE_S,
    }
    return jwt.encode(claims, JWT_SECRET, algorithm="HS256")


def make_requests(
    workload: Workload, size: Size, *, count: int, seed: int, cursors: Mapping[int, str] | None = None
) -> list[bytes]:
    """A list of requests, the same for the same seed."""
    dice = random.Random(seed)
    return [workload.make(dice, size, cursors or {}).encode() for _ in range(count)]


def find_cursors(server: Running, size: Size, database_url: str, page: int = DEEP_PAGE) -> dict[int, str]:
    """Where a deep page of every account's flat list begins, in the words of one server."""
    offset = (page - 1) * PAGE
    if server.name == "floor":
        return asyncio.run(_find_positions(size, database_url, offset))
    cursors: dict[int, str] = {}
    for account in range(1, size.accounts + 1):
        path = f"/v3/crud/journal_entry/?limit={PAGE}&offset={offset - PAGE}"
        status, answer = ask(server.port, Ask("GET", path, account))
        if status != 200:
            raise RuntimeError(f"{server.name} answered {status} to {path}: {answer!r}")
        cursors[account] = json.loads(answer)["meta"]["next_cursor"]
    return cursors


def ask(port: int, request: Ask, **headers: str) -> tuple[int, bytes]:
    """Ask one request outside of any measurement; answer status and body."""
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    body = None if request.body is None else json.dumps(request.body)
    given = {"Authorization": f"Bearer {token(request.account)}"} if request.account else {}
    given |= {"Content-Type": "application/json"} if body else {}
    connection.request(request.method, request.path, body, given | headers)
    reply = connection.getresponse()
    answer = reply.status, reply.read()
    connection.close()
    return answer


async def _find_positions(size: Size, database_url: str, offset: int) -> dict[int, str]:
    connection = await connect(database_url)
    cursors: dict[int, str] = {}
    async with connection.cursor() as cursor:
        for account in range(1, size.accounts + 1):
            rows = await fetch(
                cursor,
                f"SELECT entry_date, id FROM journal_entry WHERE account_id = {account}"
                f" ORDER BY entry_date DESC, id DESC LIMIT 1 OFFSET {offset - 1}",
            )
            cursors[account] = f"{rows[0][0]}.{rows[0][1]}"
    await connection.ensure_closed()
    return cursors
