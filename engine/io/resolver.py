"""Public id → row id: from this process, then the shared cache, then the database.

Losing either cache is slower, never wrong: what is remembered is only where a row was, and the statement that uses it
proves that it still is, and whose. The SQL of the look-up is made by `sql/`; who calls `forget` is `execute/`.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from engine.io.cache import PREFIX, Cache
from engine.io.storage import Database, Rows

TTL_S = 3600.0
FRESH_S = 60.0


class Reader(Protocol):
    """What a look-up runs in: the database or a transaction."""

    async def fetch(self, sql: str, binds: Sequence[object] = (), *, point: bool = False) -> Rows:
        """Run a statement and return its rows."""


LookupSql = Callable[[str], tuple[str, int]]
"""Type name → SQL that gives (row id, account row id or NULL, stored public id), and how often it binds the id."""


class ResolvedRow(NamedTuple):
    """Where a public id leads."""

    row_id: int
    account_row_id: int | None


class Resolver:
    """Resolves public ids.

    Args:
        database: Where the rows are.
        cache: What workers share; pass a `RedisCache` only, since the process remembers by itself. None = no cache.
        lookup_sql: Makes the statement for a type.
        digest: The registry's digest; keys of another registry are not ours.
        size: How many ids the process remembers.
    """

    def __init__(
        self, database: Database, cache: Cache | None, lookup_sql: LookupSql, *, digest: str, size: int
    ) -> None:
        self._database = database
        self._cache = cache
        self._lookup_sql = lookup_sql
        self._digest = digest
        self._size = size
        self._known: OrderedDict[tuple[str, str], tuple[float, ResolvedRow]] = OrderedDict()
        self._forgotten = 0

    async def resolve(
        self, type_name: str, public_id: str, *, fresh_s: float = FRESH_S, through: Reader | None = None
    ) -> ResolvedRow | None:
        """Where a public id leads, or None.

        Args:
            type_name: A type of the registry.
            public_id: A checked public id.
            fresh_s: How old the answer may be, seconds. Below `FRESH_S` the shared cache is not asked: accounts use
                this, so that a deleted one is not seen for longer than a token is remembered.
            through: The transaction that the caller is in. It has a connection already; waiting for a second one while
                holding the first is how a pool locks up.
        """
        key = (type_name, public_id)
        found = self._known.get(key)
        now = time.monotonic()
        if found is not None and now - found[0] <= fresh_s:
            self._known.move_to_end(key)
            return found[1]
        forgotten = self._forgotten
        shared = self._cache if fresh_s >= FRESH_S else None
        if shared is not None:
            row = _decode(await shared.get(self._key(key)))
            if row is not None:
                self._keep(key, row, forgotten)
                return row
        row = await self._look_up(type_name, public_id, through or self._database)
        if row is None:
            self._known.pop(key, None)
            return None
        self._keep(key, row, forgotten)
        # Not when something was forgotten meanwhile: it may have been this very id.
        if shared is not None and forgotten == self._forgotten:
            await shared.put(self._key(key), _encode(row), ttl_s=TTL_S)
        return row

    def remember(self, type_name: str, public_id: str, row: ResolvedRow) -> None:
        """Note a row that was just created, after its commit."""
        self._keep((type_name, public_id), row, self._forgotten)

    async def forget(self, type_name: str, public_id: str) -> None:
        """Forget a row that was deleted or moved, after the commit."""
        key = (type_name, public_id)
        self._forgotten += 1
        self._known.pop(key, None)
        if self._cache is not None:
            await self._cache.delete(self._key(key))

    async def _look_up(self, type_name: str, public_id: str, reader: Reader) -> ResolvedRow | None:
        sql, times = self._lookup_sql(type_name)
        for row_id, account_row_id, stored in await reader.fetch(sql, (public_id,) * times, point=True):
            # A collation may have called another spelling equal.
            if (stored.decode() if isinstance(stored, bytes) else stored) == public_id:
                return ResolvedRow(row_id, account_row_id)
        return None

    def _keep(self, key: tuple[str, str], row: ResolvedRow, forgotten: int) -> None:
        if self._size == 0 or forgotten != self._forgotten:
            return
        self._known[key] = (time.monotonic(), row)
        self._known.move_to_end(key)
        if len(self._known) > self._size:
            self._known.popitem(last=False)

    def _key(self, key: tuple[str, str]) -> str:
        return f"{PREFIX}:{self._digest}:id:{key[0]}:{key[1]}"


def _encode(row: ResolvedRow) -> bytes:
    return f"{row.row_id},{'' if row.account_row_id is None else row.account_row_id}".encode()


def _decode(value: bytes | None) -> ResolvedRow | None:
    if value is None:
        return None
    row_id, _, account = value.partition(b",")
    try:
        return ResolvedRow(int(row_id), int(account) if account else None)
    except ValueError:
        # Somebody else's value under our key is as good as none.
        return None
