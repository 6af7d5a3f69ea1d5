"""Idempotency keys: a call that is repeated with its key has its effect once, and is answered as the first time.

A call claims its key before its body is read, for a short while that it prolongs as long as it runs: of a process
that dies nothing remains but a claim that ends by itself. The saved reply is written in the very transaction of the
effect, so that there is never one without the other. A call that is refused gives its key back: it has done nothing.

Keys are one caller's own; a key says nothing to another one. The table is `sql/idempotency.py`'s.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Protocol

import orjson

from engine.auth.moments import store_moment
from engine.errors import ErrorItem, IdempotencyConflict, UniqueViolated, ValidationFailed
from engine.io.storage import Binds, Database, Dialect, Rows
from engine.principal import Principal
from engine.sql import idempotency
from engine.sql.statement import Statement

MAX_KEY = 255
LEASE_S = 60.0
RENEWED_EVERY_S = 15.0
KEPT_S = 24 * 3_600.0
SWEPT_EVERY = 64
HEADER = "Idempotency-Key"


@dataclass(frozen=True, slots=True)
class Saved:
    """What a call was answered.

    Attributes:
        headers: Those that belong to the reply alone, such as ``Location``.
        body: Its bytes as text.
    """

    status: int
    headers: Mapping[str, str]
    body: str


class Runner(Protocol):
    """Where statements run: the database, or a transaction in it."""

    async def fetch(self, sql: str, binds: Binds = (), *, point: bool = False) -> Rows:
        """Run a statement and return its rows."""

    async def execute(self, sql: str, binds: Binds = ()) -> int:
        """Run a statement and return how many rows it matched."""


class Claim:
    """One call's hold on its key.

    Args:
        database: Where the table is.
        who: Hash of the caller.
        key: Hash of the key.
    """

    def __init__(self, database: Database, who: str, key: str) -> None:
        self._database = database
        self._names: dict[str, object] = {"who": who, "key": key}
        self._renewed = datetime.now(UTC)
        self._saved: tuple[str, Saved] | None = None

    async def take(self) -> None:
        """Claim the key, or find what was answered before.

        Raises:
            IdempotencyConflict: A call with this key is running.
        """
        await _sweep(self._database)
        now = datetime.now(UTC)
        claim, expires = self._store(now), self._store(now + timedelta(seconds=LEASE_S))
        self._names["claim"] = claim
        values = {"who": "caller", "key": "key_hash"}
        new = {f"new_{column}": self._names[name] for name, column in values.items()}
        try:
            await self._run(idempotency.insert_claim, {**new, "new_created_on": claim, "new_expires_on": expires})
        except UniqueViolated:
            if not await self._run(idempotency.update_claim, {"moment": claim, "expires": expires}):
                await self._look()
        self._renewed = now

    async def prolong(self) -> None:
        """Say that the call is still running; it costs a statement every quarter of a minute."""
        now = datetime.now(UTC)
        if self._saved is None and now - self._renewed >= timedelta(seconds=RENEWED_EVERY_S):
            self._renewed = now
            await self._run(idempotency.update_lease, {"expires": self._store(now + timedelta(seconds=LEASE_S))})

    def answer_before(self, request_hash: str) -> Saved | None:
        """The saved reply, where this call has been answered before.

        Raises:
            ValidationFailed: The key came with another call.
        """
        if self._saved is None:
            return None
        known, saved = self._saved
        if known != request_hash:
            detail = "This Idempotency-Key came with another request before; a key belongs to one request."
            raise ValidationFailed(
                errors=[ErrorItem("bad-operand", detail, header=HEADER)], code="idempotency-conflict"
            )
        return saved

    async def save(self, runner: Runner, request_hash: str, saved: Saved) -> None:
        """Keep the reply, in the transaction of the effect.

        Raises:
            IdempotencyConflict: The claim has ended meanwhile, and another call has the key: nothing may be done.
        """
        answer = orjson.dumps({"headers": dict(saved.headers), "body": saved.body}).decode()
        expires = self._store(datetime.now(UTC) + timedelta(seconds=KEPT_S))
        values = {"hash": request_hash, "code": saved.status, "answer": answer, "expires": expires}
        statement = idempotency.update_done(self._dialect)
        if not await runner.execute(statement.text, statement.arrange({**self._names, **values})):
            raise _running()

    async def release(self) -> None:
        """Give the key back: the call was refused."""
        if self._saved is None:
            await self._run(idempotency.delete_claim, {})

    # ------------------------------------------------------------ private

    @property
    def _dialect(self) -> Dialect:
        return self._database.dialect

    async def _look(self) -> None:
        """Read what another call with this key has left."""
        statement = idempotency.select_key(self._dialect)
        rows = await self._database.fetch(statement.text, statement.arrange(self._names), point=True)
        if not rows or rows[0][1] is None:
            raise _running()
        request_hash, status, answer, _expires = rows[0]
        told = orjson.loads(answer)
        self._saved = request_hash, Saved(status, told["headers"], told["body"])

    async def _run(self, make: _Maker, values: Mapping[str, object]) -> int:
        statement = make(self._dialect)
        return await self._database.execute(statement.text, statement.arrange({**self._names, **values}))

    def _store(self, moment: datetime) -> object:
        return store_moment(moment, self._dialect)


class _Maker(Protocol):
    def __call__(self, dialect: Dialect, /) -> Statement: ...


def read_key(header: str | None) -> str | None:
    """The value of ``Idempotency-Key``; None where it is not there.

    Raises:
        ValidationFailed: It is empty or too long.
    """
    if header is None:
        return None
    key = header.strip()
    if not 0 < len(key) <= MAX_KEY:
        detail = f"{HEADER} has 1 to {MAX_KEY} characters."
        raise ValidationFailed(errors=[ErrorItem("too-long" if key else "too-short", detail, header=HEADER)])
    return key


def claim_for(database: Database, principal: Principal, key: str) -> Claim:
    """A claim on a key of a caller; not taken yet. Who has no name shares keys with all like him."""
    accounts = ",".join(sorted(account.public_id for account in principal.accounts))
    who = "\n".join((principal.kind, principal.subject or f"of {accounts}"))
    return Claim(database, _digest(who), _digest(key))


def hash_request(*parts: str) -> str:
    """A hash of what makes two calls the same: method, path, parameters, account, the digest of the body …"""
    return _digest(orjson.dumps(parts).decode())


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _running() -> IdempotencyConflict:
    return IdempotencyConflict("A request with this Idempotency-Key is still running.", headers=(("Retry-After", "1"),))


_CLAIMS = count()


async def _sweep(database: Database) -> None:
    """Forget expired keys, once in a while."""
    if next(_CLAIMS) % SWEPT_EVERY == 0:
        statement = idempotency.delete_expired(database.dialect)
        moment = store_moment(datetime.now(UTC), database.dialect)
        await database.execute(statement.text, statement.arrange({"moment": moment}))
