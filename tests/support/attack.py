"""The set-up of attacks: two accounts with greppable rows, their callers, and what must hold after every request.

Every text of account B holds `CANARY_B`, every hidden or secret value `CANARY_HIDDEN`, and every row id is above
`FIRST_ROW_ID`, so that a leak of any of them can be searched for in bodies, headers, cursors and log lines.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from engine.auth.keys import create_key
from engine.auth.mint import mint_token
from engine.io.database import Database
from engine.language.ids import new_public_id
from engine.registry.kinds import KINDS
from engine.registry.resource import Field, Registry, Resource
from tests.support.databases import sql_for
from tests.support.serving import Client, Reply, Running, make_settings, prepare, running

FIRST_ROW_ID = 7_000_000_001
CANARY_B = "CANARYB"
CANARY_HIDDEN = "CANARYH"
NEEDLE = "needle-of-the-hidden"  # stands in hidden values only
RESTRICTED = "for-admins-only"  # stands in fields that only a role may read
UNREADABLE = "vault"  # the plain user has no right on this type
ROWS = {"a": 3, "b": 2}

_ROW_ID = re.compile(r"\b7\d{9}\b")
# `tblsecret_` and `colsecret_` begin the names of tables and hidden columns in the registry of attacks.
_INSIDES = re.compile(
    r"Traceback|sqlalchemy|asyncmy|sqlite3|SELECT |INSERT INTO|UPDATE `|tblsecret_|colsecret_|aether_api_key"
    r"|site-packages|/engine/|\.py\b|/tmp/",
    re.IGNORECASE,
)
_NOT_A_DENIAL = 400


@dataclass
class World:
    """A running application with the two accounts.

    Attributes:
        parents: The parent (type and public id) of each seeded row that has one.
        rows: Public ids by type and account letter (``a``, ``b``; of shared types ``s``).
        row_ids: Row ids by public id.
        user, admin, key: Callers of account A. `plain_scopes` are those of the user.
        other: The plain user of account B; `other_key` its API key; `operator` sees all; `nobody` has no credentials.
        secrets: What may stand in no log line.
    """

    running: Running
    registry: Registry
    name: str
    database: Database
    rows: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    row_ids: dict[str, int] = field(default_factory=dict)
    accounts: dict[str, str] = field(default_factory=dict)
    parents: dict[str, tuple[str, str]] = field(default_factory=dict)
    callers: dict[str, Client] = field(default_factory=dict)
    secrets: list[str] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)
    checksum: str = ""
    may_show_insides: bool = False

    @property
    def dialect(self) -> str:
        """``sqlite`` or ``mariadb``."""
        return self.database.dialect

    @property
    def user(self) -> Client:
        """The plain user of A."""
        return self.callers["user"]

    @property
    def operator(self) -> Client:
        """Sees everything."""
        return self.callers["operator"]

    @property
    def other(self) -> Client:
        """The plain user of B."""
        return self.callers["other"]

    @property
    def nobody(self) -> Client:
        """Without credentials."""
        return self.callers["nobody"]

    def bound_types(self) -> list[str]:
        """Types whose rows belong to accounts."""
        return [name for name, one in self.registry.types.items() if one.account.kind in ("own", "inherited")]

    def types_for(self, caller: Client) -> list[str]:
        """Types with accounts that a caller may see."""
        return [name for name in self.bound_types() if not (name == UNREADABLE and caller.name == "user")]

    def first(self, type_name: str, whose: str = "a") -> str:
        """The first seeded row of an account."""
        return self.rows[type_name][whose][0]

    def chain(self, type_name: str, public_id: str) -> list[tuple[str, str]]:
        """The seeded parents of a seeded row: pairs of type and public id, from the top down to the row itself."""
        above = self.parents.get(public_id)
        return [*(self.chain(*above) if above else ()), (type_name, public_id)]

    def nested_path(self, steps: Sequence[tuple[str, str]]) -> str:
        """The path of a chain, its last row included."""
        path = f"/v3/crud/{steps[0][0]}/{steps[0][1]}"
        for (above, _), (type_name, public_id) in pairwise(steps):
            segment = next(one.segment for one in self.registry.types[type_name].parents if one.type == above)
            path += f"/{segment}/{public_id}"
        return path

    async def fetch(self, sql: str, *binds: object) -> list[tuple[Any, ...]]:
        """Rows by SQL, past the application; ``?`` are placeholders."""
        return list(await self.database.fetch(sql_for(self.database, sql), binds))

    async def execute(self, sql: str, *binds: object) -> int:
        """A change by SQL, past the application."""
        return await self.database.execute(sql_for(self.database, sql), binds)

    async def count(self, type_name: str, whose: str = "a", *, column: str | None = None, value: object = None) -> int:
        """How many rows of a type an account has, by SQL."""
        resource = self.registry.types[type_name]
        owner = resource.key if resource.account.kind == "self" else resource.account.column
        sql = f"SELECT COUNT(*) FROM {self.quote(resource.table)} WHERE {owner} = ?"
        binds: list[object] = [self.row_ids[self.accounts[whose]]]
        if resource.soft_delete:
            sql += f" AND {resource.soft_delete} IS NULL"
        if column is not None:
            sql += f" AND {column} = ?"
            binds.append(value)
        return int((await self.fetch(sql, *binds))[0][0])

    async def row(self, type_name: str, public_id: str) -> dict[str, Any]:
        """A row as it is stored."""
        resource = self.registry.types[type_name]
        columns = [column.name for column in self.running.engine.runtime.tables[type_name].columns]
        listed = ", ".join(map(self.quote, columns))
        sql = f"SELECT {listed} FROM {self.quote(resource.table)} WHERE {resource.public_id} = ?"
        rows = await self.fetch(sql, public_id)
        return dict(zip(columns, rows[0], strict=True)) if rows else {}

    async def totals(self) -> dict[str, int]:
        """How many rows each type has."""
        return {
            name: int((await self.fetch(f"SELECT COUNT(*) FROM {self.quote(one.table)}"))[0][0])
            for name, one in self.registry.types.items()
        }

    def quote(self, name: str) -> str:
        """An identifier in SQL."""
        return f"`{name}`" if self.dialect == "mariadb" else f'"{name}"'

    async def checksum_of_b(self) -> str:
        """A digest of everything that belongs to B, and of everything shared."""
        digest = hashlib.sha256()
        owner = self.row_ids[self.accounts["b"]]
        for name, resource in self.registry.types.items():
            column = resource.key if resource.account.kind == "self" else resource.account.column
            where, binds = ("", ()) if column is None else (f" WHERE {column} = ?", (owner,))
            rows = await self.fetch(
                f"SELECT * FROM {self.quote(resource.table)}{where} ORDER BY {resource.key}", *binds
            )
            digest.update(f"{name}{rows!r}".encode())
        return digest.hexdigest()

    # ------------------------------------------------------------ invariants

    async def begin(self) -> None:
        """Forget what was before."""
        self.replies.clear()
        self.may_show_insides = False
        self.running.read_log()
        self.checksum = await self.checksum_of_b()

    async def check(self) -> None:
        """Check the invariants over everything since `begin`."""
        broken = [fault for reply in self.replies for fault in check_reply(self, reply)]
        broken += check_log(self, self.running.read_log())
        if await self.checksum_of_b() != self.checksum:
            broken.append("I5: rows of the other account have changed")
        assert not broken, "\n".join(broken[:20])


def check_reply(world: World, reply: Reply) -> list[str]:
    """What a reply breaks of I1, I2, I3. Replies to B and to the operator may hold what is B's."""
    broken = []
    shown = reply.body.decode("utf-8", "replace")
    heads = "\n".join(f"{name}: {value}" for name, value in reply.headers)
    # The path and the id that the caller himself sent may come back.
    text = f"{shown.replace(json.dumps(unquote(reply.target)).strip(chr(34)), '')}\n{heads}\n{_decoded_cursors(shown)}"
    if CANARY_B in text and reply.viewer not in ("other", "operator"):
        broken.append(f"I1: a value of the other account in {reply}")
    if RESTRICTED in shown and reply.viewer not in ("admin", "other", "operator"):
        broken.append(f"I1: a value of another role in {reply}")
    if CANARY_HIDDEN in text:
        broken.append(f"I1: a hidden value in {reply}")
    if _ROW_ID.search(text):
        broken.append(f"I2: a row id in {reply}")
    if reply.status >= 500 and not (reply.status == 503 and reply.header("retry-after")):
        broken.append(f"I3: a fault in {reply}")
    if not world.may_show_insides and (found := _INSIDES.search(text)):
        broken.append(f"I3: {found[0]!r} in {reply}")
    if reply.status >= _NOT_A_DENIAL:
        broken += _check_problem(reply)
    return broken


def check_log(world: World, lines: Iterable[str]) -> list[str]:
    """What the log breaks of I1, I2, I6: each denial is one line of JSON with the request id, and nothing leaks."""
    broken = []
    denials: dict[str, int] = {}
    for line in lines:
        if any(character < " " or character in "\x7f\u2028\u2029\u0085" for character in line):
            broken.append(f"I6: a raw control character in {line!r}")
        try:
            entry = json.loads(line)
        except ValueError:
            broken.append(f"I6: no JSON: {line!r}")
            continue
        for needle in (CANARY_B, CANARY_HIDDEN, *world.secrets):
            if needle in line:
                broken.append(f"I1: {needle[:20]!r} in the log line {line[:300]}")
        # A message of ours may quote our own statements, which hold placeholders only.
        if _ROW_ID.search(line):
            broken.append(f"I2: a row id in the log line {line[:300]}")
        if entry.get("event") == "request" and entry["status"] >= _NOT_A_DENIAL:
            denials[entry["request_id"]] = denials.get(entry["request_id"], 0) + 1
    for reply in world.replies:
        if reply.status >= _NOT_A_DENIAL and denials.get(reply.header("x-request-id") or "", 0) != 1:
            broken.append(f"I6: not exactly one log line for {reply}")
    return broken


def alike(reply: Reply) -> tuple[int, dict[str, str], Any]:
    """A reply without what may differ between two requests: request id, path, times."""
    headers = {
        name: value
        for name, value in reply.headers
        if name not in ("x-request-id", "date", "server-timing", "ratelimit", "content-length")
    }
    if not reply.body or "json" not in (reply.header("content-type") or ""):
        return reply.status, headers, reply.body
    body = json.loads(reply.body)
    if isinstance(body, dict):
        body.pop("instance", None)
        body.pop("request_id", None)
    return reply.status, headers, body


def is_old(reply: Reply) -> bool:
    """Whether a reply came through a door of the old API; a word there that is no type is a problem as everywhere."""
    return not reply.target.startswith(("/v3", "/docs", "/health", "/metrics", "/openapi.json"))


def unknown_id() -> str:
    """A well-formed id of nothing."""
    return new_public_id()


# ---------------------------------------------------------------- the making of a world


@asynccontextmanager
async def make_world(url: str, registry_file: Path, name: str) -> AsyncIterator[World]:
    """Prepare and seed a database, and run the application on it."""
    settings = make_settings(url, registry_file, log_levels=(("engine.sql", "debug"),), body_timeout_s=1.0)
    await prepare(settings)
    async with running(settings) as app:
        runtime = app.engine.runtime
        world = World(app, runtime.registry, name, runtime.database)
        await _seed(world)
        await _make_callers(world)
        yield world


async def _make_callers(world: World) -> None:
    settings = world.running.settings
    plain = [f"{name}:{verb}" for name in world.registry.types if name != UNREADABLE for verb in ("read", "write")]
    first_user = {whose: world.first("user", whose) for whose in "ab"} if "user" in world.registry.types else {}
    tokens = {
        "user": mint_token(settings, user=first_user.get("a"), accounts=[world.accounts["a"]], scopes=plain),
        "admin": mint_token(settings, user=world.rows["user"]["a"][1], accounts=[world.accounts["a"]], roles=["admin"]),
        "other": mint_token(settings, user=first_user.get("b"), accounts=[world.accounts["b"]], roles=["admin"]),
        "operator": mint_token(settings, is_operator=True),
        "clerk": mint_token(settings, accounts=[world.accounts["a"]], roles=["clerk"]),
        "viewer": mint_token(settings, accounts=[world.accounts["a"]], roles=["viewer"]),
    }
    world.secrets += list(tokens.values())
    for name, token in tokens.items():
        world.callers[name] = _caller(world, name, {"Authorization": f"Bearer {token}"})
    for name, whose in (("key", "a"), ("other_key", "b")):
        made = await create_key(
            world.database, account_row_id=world.row_ids[world.accounts[whose]], name=name, scopes=["*:read", "*:write"]
        )
        world.secrets.append(made.key.partition(".")[2])
        world.callers[name] = _caller(world, name, {"X-API-Key": made.key})
    await world.execute(f"UPDATE aether_api_key SET id = id + {FIRST_ROW_ID - 1}")
    world.callers["nobody"] = _caller(world, "nobody", {})


def _caller(world: World, name: str, headers: dict[str, str]) -> Client:
    return Client(world.running.engine.application, name, headers, world.replies.append)


async def _seed(world: World) -> None:
    """Some rows of every type for both accounts; row ids run through all types together."""
    next_id = FIRST_ROW_ID
    for whose in "ab":
        world.accounts[whose] = new_public_id()
    for resource in _in_order(world.registry):
        owners = "s" if resource.account.kind == "none" else "ab"
        world.rows[resource.name] = {whose: [] for whose in owners}
        for number in range(1 if resource.account.kind == "self" else max(ROWS.values())):
            for whose in owners:
                if number >= ROWS.get(whose, 2):
                    continue
                public_id = world.accounts[whose] if resource.account.kind == "self" else new_public_id()
                world.rows[resource.name][whose].append(public_id)
                world.row_ids[public_id] = next_id
                columns = _columns(world, resource, public_id, whose, number)
                await insert(world, resource, columns)
                next_id += 1


async def insert(world: World, resource: Resource, columns: Mapping[str, object]) -> None:
    """A row by SQL."""
    names = ", ".join(map(world.quote, columns))
    marks = ", ".join("?" * len(columns))
    await world.execute(f"INSERT INTO {world.quote(resource.table)} ({names}) VALUES ({marks})", *columns.values())


def _in_order(registry: Registry) -> list[Resource]:
    """Types after those that their rows point at."""
    done: dict[str, Resource] = {}
    waiting = list(registry.types.values())
    while waiting:
        for resource in waiting:
            needed = {one.target for one in resource.relations.values() if one.kind == "one"} - {resource.name}
            if needed <= set(done) or (resource.account.kind == "self"):
                done[resource.name] = resource
                waiting.remove(resource)
                break
        else:
            raise RuntimeError("types point at each other in a circle")
    return list(done.values())


def _columns(world: World, resource: Resource, public_id: str, whose: str, number: int) -> dict[str, object]:
    moment = datetime(2026, 1, 2, 3, 4 + number, 5, tzinfo=UTC).replace(tzinfo=None)
    stamp: object = moment if world.dialect == "mariadb" else moment.isoformat(" ", "microseconds")
    columns: dict[str, object] = {resource.key: world.row_ids[public_id], resource.public_id or "": public_id}
    if resource.account.column:
        columns[resource.account.column] = world.row_ids[world.accounts[whose]]
    for column in (resource.created, resource.updated):
        if column:
            columns[column] = stamp
    if resource.version:
        columns[resource.version] = 1
    parents = resource.parents
    if parents:
        parent = parents[number % len(parents)]
        above = world.rows[parent.type][whose]
        chosen = above[number % len(above)]
        columns[resource.fields[parent.field].column or ""] = world.row_ids[chosen]
        world.parents[public_id] = (parent.type, chosen)
    for one in resource.fields.values():
        if one.column is None or one.column in columns or one.role not in ("plain", "relation"):
            continue
        if one.kind == "relation":
            target = world.rows[resource.relations[one.relation or ""].target]
            ids = target.get(whose) or target.get("s") or []
            # The row itself stands in its own list already.
            ids = [other for other in ids if other != public_id]
            if ids:
                columns[one.column] = world.row_ids[ids[number % len(ids)]]
        else:
            columns[one.column] = _stored(world, resource, one, whose, number)
    return columns


def _stored(world: World, resource: Resource, one: Field, whose: str, number: int) -> object:
    """A value as the driver takes it: unlike those of other rows, and telling whose it is where it can."""
    tag = {"a": "alpha", "b": CANARY_B, "s": "shared"}[whose]
    text = f"{tag} {resource.name} {one.name} {number}"
    if one.read and ":" not in one.read:  # a role, which the plain callers have not
        text = f"{RESTRICTED} {whose} {number}"
    if one.hidden or one.secret:
        text = f"{CANARY_HIDDEN} {NEEDLE} {whose} {number}"
    values: dict[str, object] = {
        "string": text,
        "text": text,
        "email": f"{tag}{number}@example.org",
        "uri": f"https://example.org/{tag}/{number}",
        "uuid": f"0190{'abs'.index(whose):04x}-0000-7000-8000-{number:012x}",
        "integer": number + int(one.min if isinstance(one.min, int) else 1),
        "bigint": number + 1,
        "decimal": f"{number + 1}.50",
        "float": number + 0.5,
        "boolean": whose == "a" or one.name == "enable",
        "date": date(2026, 2, 1 + number).isoformat(),
        "time": f"0{number}:00:00",
        "datetime": f"2026-02-0{1 + number}T00:00:00Z",
        "json": {"tag": tag, "list": [number]},
        "binary": base64.b64encode(tag.encode()).decode(),
        "enum": one.enum[number % len(one.enum) if whose == "a" else 0].value if one.enum else None,
    }
    value = values[one.kind]
    if one.pattern and isinstance(value, str) and not re.search(one.pattern, value):
        value = (tag.lower() if whose == "b" else tag) + str(number)
        value = hashlib.sha256(value.encode()).hexdigest() if not re.search(one.pattern, value) else value
    if isinstance(value, str) and one.size:
        value = value[: one.size]
    kind = KINDS[one.kind]
    bare: Any = kind.bind[world.running.engine.runtime.dialect]
    if one.items == "string":
        value = [tag]
    return bare(kind.parse(value, one), one)


# ---------------------------------------------------------------- parts of the checks


def _check_problem(reply: Reply) -> list[str]:
    if reply.method == "HEAD" or not reply.body:
        return [] if reply.method == "HEAD" else [f"no body in {reply}"]
    if is_old(reply) and reply.header("content-type") == "application/json":
        shown = json.loads(reply.body)
        is_whole = list(shown) == ["detail"] or (list(shown) == ["data", "meta"] and shown["meta"]["success"] is False)
        return [] if is_whole else [f"neither form of an old refusal in {reply}"]
    if reply.header("content-type") != "application/problem+json":
        return [f"no problem+json in {reply}"]
    wanted = {"type", "title", "status", "code", "detail", "instance", "request_id"}
    missing = wanted - set(json.loads(reply.body))
    return [f"{sorted(missing)} missing in {reply}"] if missing else []


def _decoded_cursors(text: str) -> str:
    """What a caller sees who takes the cursors apart."""
    shown = []
    for token in re.findall(r'"(?:next|prev)_cursor":"([^"]+)"', text):
        for part in token.split("."):
            try:
                raw = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
            except (binascii.Error, ValueError):
                continue
            shown.append(raw.decode("latin-1"))
            shown += [str(int.from_bytes(raw[at : at + 8], order)) for at in range(len(raw) - 7) for order in _ORDERS]
    return " ".join(shown)


_ORDERS: tuple[Any, ...] = ("big", "little")


__all__ = ["World", "alike", "insert", "make_world", "unknown_id"]
