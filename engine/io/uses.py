"""The uses of old routes: gathered in memory as they happen, counted in the database in batches, and told.

Noting a use is adding to a dict, so that no call waits for it. Every few seconds, and at a stop, what was gathered is
added to what is counted (`sql/legacy_use.py`), whichever process gathered it. Where the database is away, uses are kept
and counted later. Memory is bounded: a process tells so many callers of a day apart, all others are one, ``other``.

A batch whose commit is lost together with the connection may have been counted; it is counted again then, since a route
that seems used a little more is the better mistake. What an old route is, and what it means today, the layer says that
serves it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from engine.errors import StorageFault, Unavailable
from engine.io.storage import Database, Dialect, Transaction
from engine.observe import Notice, OldRouteUsed, observe
from engine.plugins.layers import OldUse
from engine.principal import Principal
from engine.sql.legacy_use import NO_ACCOUNT, add_uses, forget_uses, select_beginning, select_totals, select_uses

FLUSH_EVERY_S = 5.0
STOP_S = 2.0
DAY_S = 86_400
KEPT_DAYS = 400
"""So that a route which is called once a year is seen."""
BATCH = 100
MAX_CALLERS = 1_000
MAX_LISTED = 1_000
MAX_GATHERED = 50_000
MAX_ROUTE, MAX_VERSION, MAX_REPLACEMENT = 120, 10, 300
ANONYMOUS, OTHER = "anonymous", "other"

# Day, route, caller, row id of his account.
_Key = tuple[str, str, str, int]
_BEGINNING = ""


@dataclass(slots=True)
class _Count:
    """What was gathered of one route, caller and day."""

    version: str
    replacement: str
    uses: int
    first: float
    last: float


@dataclass(frozen=True, slots=True)
class UseCount:
    """The uses of a route by a caller, as counted so far."""

    route: str
    version: str
    caller: str
    uses: int
    first_used_on: datetime
    last_used_on: datetime
    replacement: str


@dataclass(frozen=True, slots=True)
class RouteTotal:
    """The uses of a route by everybody."""

    route: str
    version: str
    callers: int
    uses: int
    first_used_on: datetime
    last_used_on: datetime


class Uses:
    """Gathers and counts the uses of old routes in a process.

    Args:
        database: Where they are counted.
        now: Unix time, seconds.
        batch: How many rows are written in one transaction.
        most_callers: How many callers of a day are told apart.
    """

    def __init__(
        self,
        database: Database,
        *,
        now: Callable[[], float] = time.time,
        batch: int = BATCH,
        most_callers: int = MAX_CALLERS,
    ) -> None:
        self._database = database
        self._now = now
        self._batch = batch
        self._most_callers = most_callers
        self._gathered: dict[_Key, _Count] = {}
        self._day_number, self._day = -1.0, ""
        self._callers: set[tuple[str, int]] = set()
        self._has_begun = False
        self._forgot_on = ""
        self._counting = asyncio.Lock()
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Count every few seconds from now on, until `close`."""
        self._task = asyncio.create_task(self._run())

    def note(self, use: OldUse, caller: Principal | None) -> None:
        """Take down one use. Never waits, never raises.

        Args:
            use: What was called, and what should have been.
            caller: Who called; None where he did not get so far as to be known.
        """
        name = name_of(caller)
        account = caller.accounts[0] if caller is not None and len(caller.accounts) == 1 else None
        observe(
            OldRouteUsed(
                use.name,
                use.version,
                use.route,
                name if caller is None or caller.subject is None else caller.subject,
                None if account is None else account.public_id,
                use.call,
                use.status,
                use.request_id,
            )
        )
        self._gather(use, name, NO_ACCOUNT if account is None else account.row_id, self._now())

    async def flush(self) -> int:
        """Count what was gathered, and return how many uses that were.

        Raises:
            StorageFault, Unavailable: The database cannot be asked; what was not counted is kept.
        """
        async with self._counting:
            await self._begin()
            counted = await self._count()
            await self._forget()
            return counted

    async def list_for(self, asker: Principal, *, limit: int, offset: int = 0) -> list[UseCount]:
        """What `list_uses` tells, with the uses of this very moment.

        Raises:
            StorageFault, Unavailable: The database cannot be asked.
        """
        await self.flush()
        return await list_uses(self._database, asker, limit=limit, offset=offset)

    async def close(self) -> None:
        """Count what is left, within a bounded time; what cannot be counted is lost, and said."""
        self._stopping.set()
        with suppress(StorageFault, Unavailable, TimeoutError):
            async with asyncio.timeout(STOP_S):
                if self._task is not None:
                    await self._task
                if self._gathered:
                    await self.flush()
        lost = sum(count.uses for count in self._gathered.values())
        if lost:
            observe(Notice("uses of old routes not counted", "error", "engine.io.uses", (("number", str(lost)),)))

    # ------------------------------------------------------------ private

    async def _run(self) -> None:
        while not self._stopping.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(FLUSH_EVERY_S):
                    await self._stopping.wait()
            if not self._stopping.is_set():
                # The database says itself that it is away; the uses are kept.
                with suppress(StorageFault, Unavailable):
                    await self.flush()

    def _gather(self, use: OldUse, name: str, account: int, at: float) -> None:
        number = at // DAY_S
        if number != self._day_number:
            self._day_number, self._day = number, day_of(at)
            self._callers.clear()
        route = use.route[:MAX_ROUTE]
        found = self._gathered.get((self._day, route, name, account))
        if found is not None:
            found.uses += 1
            found.last = max(found.last, at)
            return
        who = (name, account)
        if who not in self._callers:
            if len(self._callers) < self._most_callers and len(self._gathered) < MAX_GATHERED:
                self._callers.add(who)
            else:
                name, account = OTHER, NO_ACCOUNT
        key = (self._day, route, name, account)
        found = self._gathered.get(key)
        if found is None:
            self._gathered[key] = _Count(use.version[:MAX_VERSION], use.replacement[:MAX_REPLACEMENT], 1, at, at)
        else:
            found.uses += 1
            found.last = max(found.last, at)

    async def _begin(self) -> None:
        """See to it that the day on which counting began is known."""
        if self._has_begun:
            return
        statement = select_beginning(self._database.dialect)
        rows = await self._database.fetch(statement.text, statement.arrange({}))
        if rows[0][0] is None:
            now = self._now()
            add = add_uses(self._database.dialect)
            mark = _Count("", "", 0, now, now)
            values = _values_of((day_of(now), _BEGINNING, "", NO_ACCOUNT), mark, self._database.dialect)
            await self._database.execute(add.text, add.arrange(values))
        self._has_begun = True

    async def _forget(self) -> None:
        """Forget what is too old to matter, once a day."""
        today = day_of(self._now())
        if today != self._forgot_on:
            self._forgot_on = today
            forget = forget_uses(self._database.dialect)
            kept_from = day_of(self._now() - KEPT_DAYS * DAY_S)
            await self._database.execute(forget.text, forget.arrange({"kept_from": kept_from}))

    async def _count(self) -> int:
        taken, self._gathered = self._gathered, {}
        counted = 0
        refused: StorageFault | None = None
        add = add_uses(self._database.dialect)
        try:
            # In one order in all processes, so that none waits for a row of another's that waits for one of its own.
            keys = sorted(taken)
            for start in range(0, len(keys), self._batch):
                batch = keys[start : start + self._batch]
                rows = [add.arrange(_values_of(key, taken[key], self._database.dialect)) for key in batch]

                async def work(transaction: Transaction, rows: Sequence[tuple[object, ...]] = rows) -> None:
                    for row in rows:
                        await transaction.execute(add.text, row)

                try:
                    await self._database.run(work)
                except StorageFault as fault:
                    # What is wrong with one row must not keep all others from being counted.
                    refused = fault
                else:
                    counted += sum(taken.pop(key).uses for key in batch)
        finally:
            self._keep(taken)
        if refused is not None:
            raise refused
        return counted

    def _keep(self, counts: dict[_Key, _Count]) -> None:
        """Put back what was taken and not counted, beside what was gathered since."""
        for key, count in counts.items():
            newer = self._gathered.get(key)
            if newer is None:
                self._gathered[key] = count
            else:
                newer.uses += count.uses
                newer.first = min(newer.first, count.first)
                newer.last = max(newer.last, count.last)


async def list_uses(database: Database, asker: Principal, *, limit: int, offset: int = 0) -> list[UseCount]:
    """The counted uses that somebody may know of, the latest first.

    An operator who has picked no account knows of all. Everybody else knows of those by callers of his accounts, and
    of his own where he has none or several. A call belongs to the account that its caller had picked.

    Raises:
        StorageFault, Unavailable: The database cannot be asked.
    """
    sees_all = asker.sees_all_accounts
    statement = select_uses(database.dialect, accounts=None if sees_all else len(asker.accounts))
    values: dict[str, object] = {"most": limit, "skipped": offset, "me": name_of(asker)}
    values |= {f"account_{index}": account.row_id for index, account in enumerate(asker.accounts)}
    rows = await database.fetch(statement.text, statement.arrange(values))
    return [
        UseCount(route, version, shown_name(caller), int(uses), _read_moment(first), _read_moment(last), replacement)
        for route, version, caller, uses, first, last, replacement in rows
    ]


async def list_totals(database: Database) -> tuple[str | None, list[RouteTotal]]:
    """The day (``YYYY-MM-DD``) on which counting began, None where it never did; and the uses of each route.

    Raises:
        StorageFault, Unavailable: The database cannot be asked.
    """
    statement = select_beginning(database.dialect)
    began = (await database.fetch(statement.text, statement.arrange({})))[0][0]
    statement = select_totals(database.dialect)
    rows = await database.fetch(statement.text, statement.arrange({}))
    totals = [
        RouteTotal(route, version, int(callers), int(uses), _read_moment(first), _read_moment(last))
        for route, version, callers, uses, first, last in rows
    ]
    return (None if began is None else str(began)), totals


def name_of(caller: Principal | None) -> str:
    """A caller as he is counted; ``u:`` and ``k:`` keep a user who is called ``other`` apart from all others."""
    if caller is None or caller.subject is None:
        return ANONYMOUS
    return f"{caller.kind[0]}:{caller.subject}"


def shown_name(name: str) -> str:
    """A counted caller as he is told: the public id of a user or key, ``anonymous`` or ``other``."""
    return name[2:] if name[1:2] == ":" else name


def day_of(at: float) -> str:
    """The day of a Unix time, in UTC."""
    return datetime.fromtimestamp(at, UTC).date().isoformat()


def _values_of(key: _Key, count: _Count, dialect: Dialect) -> dict[str, object]:
    day, route, caller, account = key
    return {
        "new_day": day,
        "new_route": route,
        "new_caller": caller,
        "new_account_id": account,
        "new_version": count.version,
        "new_uses": count.uses,
        "new_first_used_on": _store_moment(count.first, dialect),
        "new_last_used_on": _store_moment(count.last, dialect),
        "new_replacement": count.replacement,
    }


def _store_moment(at: float, dialect: Dialect) -> object:
    moment = datetime.fromtimestamp(at, UTC).replace(tzinfo=None)
    return moment if dialect == "mariadb" else moment.isoformat(" ", "microseconds")


def _read_moment(value: object) -> datetime:
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    if not isinstance(moment, datetime):
        raise TypeError(f"{type(value).__name__} is no moment")
    return moment.replace(tzinfo=UTC)
