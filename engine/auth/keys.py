"""API keys: how they are made, listed, revoked and verified.

A key is ``<prefix>.<secret>``. The prefix is its public id; of the secret only the
SHA-256 digest is stored, which is enough for 256 random bits (a password would need
argon2id). The caller sees a key once. The statements are `sql/keys.py`'s, remembering
a verified key is `auth/gate.py`'s.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import orjson

from engine.auth.mint import MintRefused
from engine.auth.moments import read_moment, store_moment
from engine.auth.people import as_text
from engine.auth.tokens import refuse
from engine.errors import StorageFault, Unavailable
from engine.io.storage import Database
from engine.language.ids import PUBLIC_ID_LENGTH, new_public_id
from engine.observe import Notice, observe
from engine.principal import Account, Principal
from engine.registry.resource import Resource
from engine.sql.keys import LISTED_COLUMNS, insert_key, select_key, select_keys, update_last_used, update_revoked

SECRET_BYTES = 32
MAX_KEY_BYTES = 200
MAX_NAME = 200
USE_RECORDED_EVERY_S = 60
MAX_REMEMBERED_USES = 10_000

_KEY = re.compile(rb"([A-Za-z0-9_-]{%d})\.([A-Za-z0-9_-]{20,128})" % PUBLIC_ID_LENGTH)
_NO_DIGEST = hashlib.sha256(b"compared with where there is no key, so that it takes as long").hexdigest()


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made; `key` is nowhere else and cannot be shown again."""

    public_id: str
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ListedKey:
    """What may be told of a key. `account_id` is the account's public id, None where it has none or it is gone."""

    public_id: str
    account_id: str | None
    name: str
    scopes: tuple[str, ...]
    roles: tuple[str, ...]
    expires_on: datetime | None
    revoked_on: datetime | None
    last_used_on: datetime | None
    created_on: datetime | None


@dataclass(frozen=True, slots=True)
class VerifiedKey:
    """A key that holds: who came with it, and until when (Unix time; None = until it is revoked)."""

    principal: Principal
    expires_at: float | None


class ApiKeys:
    """Verifies keys against the table.

    Args:
        database: Where the table is.
        account: The registry's account type, or None.
        now: Unix time, seconds.
    """

    __slots__ = ("_account", "_database", "_now", "_select", "_tasks", "_uses")

    def __init__(self, database: Database, account: Resource | None, *, now: Callable[[], float] = time.time) -> None:
        self._database = database
        self._account = account
        self._now = now
        self._select = select_key(account, database.dialect)
        self._uses: dict[int, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def verify(self, key: bytes) -> VerifiedKey:
        """Look a key up and compare it.

        An unknown prefix costs the same statement and the same comparison as a known one.

        Raises:
            Unauthenticated: It does not hold: unknown, wrong, expired, revoked, or its account is gone.
            Unavailable: The database cannot be asked.
        """
        match = _KEY.fullmatch(key) if len(key) <= MAX_KEY_BYTES else None
        if match is None:
            raise refuse()
        prefix = match.group(1).decode("ascii")
        digest = hash_secret(match.group(2))
        rows = await self._database.fetch(self._select.text, self._select.arrange({"prefix": prefix}), point=True)
        row = next((row for row in rows if row[1] == prefix), None)
        if not hmac.compare_digest(digest, _NO_DIGEST if row is None else str(row[2])) or row is None:
            raise refuse()
        row_id, _, _, account_id, account_public_id, scopes, roles, expires, revoked, last_used = row
        expires_on = read_moment(expires)
        now = self._now()
        if revoked is not None or (expires_on is not None and expires_on.timestamp() <= now):
            raise refuse()
        accounts: tuple[Account, ...] = ()
        if account_id is not None and self._account is not None:
            if account_public_id is None:
                raise refuse()
            accounts = (Account(account_id, as_text(account_public_id)),)
        principal = Principal(
            "key",
            subject=prefix,
            accounts=accounts,
            scopes=frozenset(_read_words(scopes)),
            roles=tuple(sorted(set(_read_words(roles)))),
        )
        self._note_use(row_id, now, read_moment(last_used))
        return VerifiedKey(principal, None if expires_on is None else expires_on.timestamp())

    async def close(self) -> None:
        """Let the uses that are being recorded reach the database."""
        if self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    # ------------------------------------------------------------ private

    def _note_use(self, row_id: int, now: float, last_used: datetime | None) -> None:
        """Record the use of a key beside the request, unless the last minute has one."""
        recorded = max(self._uses.get(row_id, 0.0), last_used.timestamp() if last_used else 0.0)
        if now - recorded < USE_RECORDED_EVERY_S:
            return
        if len(self._uses) >= MAX_REMEMBERED_USES:
            self._uses.clear()
        self._uses[row_id] = now
        task = asyncio.create_task(self._record_use(row_id, now))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _record_use(self, row_id: int, now: float) -> None:
        dialect = self._database.dialect
        statement = update_last_used(dialect)
        values = {
            "key": row_id,
            "moment": store_moment(now, dialect),
            "before": store_moment(now - USE_RECORDED_EVERY_S, dialect),
        }
        try:
            await self._database.execute(statement.text, statement.arrange(values))
        except (StorageFault, Unavailable) as fault:
            # The call itself is fine; the next minute's use is recorded again.
            observe(Notice("key use not recorded", "warning", "engine.auth", (("fault", type(fault).__name__),)))


async def create_key(
    database: Database,
    *,
    account_row_id: int | None,
    name: str,
    scopes: Sequence[str] = (),
    roles: Sequence[str] = (),
    expires_on: datetime | None = None,
    now: Callable[[], float] = time.time,
) -> NewKey:
    """Make a key and store its digest.

    Args:
        database: Where the table is.
        account_row_id: The account that the key belongs to; None = no account, so only shared types.
        name: What people call it, at most `MAX_NAME` characters.
        scopes: Scopes; whether the maker may give them is the caller's to check.
        roles: Roles of the registry.
        expires_on: When it ends, aware; None = when it is revoked.
        now: Unix time, seconds.

    Returns:
        The key, for the only time.

    Raises:
        MintRefused: It could do nothing, or has ended already.
    """
    moment = now()
    if not (scopes or roles):
        raise MintRefused("The key could do nothing: give --scopes or --role.")
    if len(name) > MAX_NAME:
        raise MintRefused(f"The name of a key has at most {MAX_NAME} characters.")
    if expires_on is not None and expires_on.timestamp() <= moment:
        raise MintRefused("The key would have expired already.")
    dialect = database.dialect
    prefix, secret = new_public_id(), secrets.token_urlsafe(SECRET_BYTES)
    values: dict[str, object] = {
        "new_public_id": prefix,
        "new_secret_hash": hash_secret(secret.encode("ascii")),
        "new_account_id": account_row_id,
        "new_name": name,
        "new_scopes": orjson.dumps(sorted(set(scopes))).decode(),
        "new_roles": orjson.dumps(sorted(set(roles))).decode(),
        "new_expires_on": None if expires_on is None else store_moment(expires_on, dialect),
        "new_created_on": store_moment(moment, dialect),
    }
    statement = insert_key(dialect)
    await database.execute(statement.text, statement.arrange(values))
    return NewKey(prefix, f"{prefix}.{secret}")


async def list_keys(
    database: Database, account: Resource | None, *, account_row_id: int | None = None
) -> list[ListedKey]:
    """List the keys of an account, or of all (None), oldest first, revoked and expired ones among them.

    Args:
        database: Where the table is.
        account: The registry's account type, or None.
        account_row_id: Whose keys; None = everybody's.
    """
    statement = select_keys(account, database.dialect, all_accounts=account_row_id is None)
    rows = await database.fetch(statement.text, statement.arrange({"account": account_row_id}))
    keys = []
    for row in rows:
        cells = dict(zip(LISTED_COLUMNS, row, strict=False))
        keys.append(
            ListedKey(
                public_id=cells["public_id"],
                account_id=None if row[-1] is None else as_text(row[-1]),
                name=cells["name"],
                scopes=_read_words(cells["scopes"]),
                roles=_read_words(cells["roles"]),
                expires_on=read_moment(cells["expires_on"]),
                revoked_on=read_moment(cells["revoked_on"]),
                last_used_on=read_moment(cells["last_used_on"]),
                created_on=read_moment(cells["created_on"]),
            )
        )
    return keys


async def revoke_key(
    database: Database, public_id: str, *, account_row_id: int | None = None, now: Callable[[], float] = time.time
) -> bool:
    """Revoke a key. Every process refuses it within 5 s.

    Args:
        database: Where the table is.
        public_id: The key's prefix.
        account_row_id: The account it must belong to; None = any (an operator's, the command line's).
        now: Unix time, seconds.

    Returns:
        Whether there was such a key, not revoked yet.
    """
    statement = update_revoked(database.dialect, any_account=account_row_id is None)
    moment = store_moment(now(), database.dialect)
    values = {"prefix": public_id, "moment": moment, "account": account_row_id}
    return await database.execute(statement.text, statement.arrange(values)) > 0


def hash_secret(secret: bytes) -> str:
    """What is stored of a secret: its SHA-256 digest, hexadecimal."""
    return hashlib.sha256(secret).hexdigest()


def _read_words(value: object) -> tuple[str, ...]:
    words = orjson.loads(value) if isinstance(value, str | bytes) else ()
    return tuple(word for word in words if isinstance(word, str)) if isinstance(words, list) else ()
