"""Live connections: who is connected, how many of an account, and whether he still may.

Every credential that is behind an open connection is looked at again twice a second in what the authenticator
remembers, and verified anew where it remembers nothing; so a revoked key, a disabled user or an expired token ends its
connections within five seconds. Frames are `live.py`'s and `live_events.py`'s business.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Protocol

from engine.auth.gate import Authenticator, Presented
from engine.auth.limits import caller_of
from engine.errors import BadRequest, Forbidden, NotFound, Problem, RateLimited, Unauthenticated, Unavailable
from engine.execute.live import Hub
from engine.execute.subscriptions import Subscription
from engine.observe import HookFailed, observe
from engine.principal import ANONYMOUS, Principal
from engine.settings import Settings

UNKNOWN, NO_RIGHT, IDLE, TOO_LARGE, TOO_MANY = 4401, 4403, 4408, 4413, 4429
GOING_AWAY, FAULTY, TRY_LATER = 1001, 1011, 1013

CHECK_EVERY_S = 0.5
MAX_UNCHECKED_S = 10.0
AT_ONCE = 64
"""How many are verified together: those are looked up together, too."""

NOTHING: Presented = (None, None, None)


class Connection(Protocol):
    """One live connection.

    Attributes:
        principal: Who is behind it.
        presented: The credentials that he gave.
        address: His network address.
        subscriptions: What he follows, by his names for it.
    """

    principal: Principal
    presented: Presented
    address: str
    subscriptions: dict[str, Subscription]

    def hang_up(self, code: int, reason: str) -> None:
        """End it, soon."""


class Connections:
    """All live connections of a process.

    Args:
        hub: Where they follow.
        authenticator: Says who is behind them.
        settings: Limits.
    """

    def __init__(self, hub: Hub, authenticator: Authenticator, settings: Settings) -> None:
        self.hub = hub
        self.settings = settings
        self._authenticator = authenticator
        self._open: dict[Presented, dict[Connection, None]] = {}
        self._counts: dict[str, int] = {}
        self._unchecked: dict[Presented, float] = {}
        self._settled: dict[Presented, Principal] = {}
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return sum(map(len, self._open.values()))

    def start(self) -> None:
        """Begin to look after them."""
        self.hub.start()
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """End all of them."""
        for connection in self._all():
            connection.hang_up(GOING_AWAY, "the server stops")
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        await self.hub.close()

    async def authenticate(self, presented: Presented, address: str) -> Principal:
        """Who gave these credentials.

        Raises:
            Problem: As `Authenticator.authenticate`.
        """
        return await self._authenticator.authenticate(*presented, address=address)

    def admit(self, connection: Connection) -> None:
        """Count a connection and look after it.

        Raises:
            RateLimited: An account of his has too many.
        """
        owners = _owners(connection)
        most = self.settings.live_sockets_per_account
        if any(self._counts.get(owner, 0) >= most for owner in owners):
            raise RateLimited(f"Too many live connections: {most} at once.", headers=(("Retry-After", "5"),))
        for owner in owners:
            self._counts[owner] = self._counts.get(owner, 0) + 1
        self._open.setdefault(connection.presented, {})[connection] = None

    def dismiss(self, connection: Connection) -> None:
        """End its subscriptions and forget it. May be called for one that was never admitted."""
        for subscription in connection.subscriptions.values():
            self.hub.unfollow(subscription)
        connection.subscriptions.clear()
        sharing = self._open.get(connection.presented, {})
        if connection not in sharing:
            return
        del sharing[connection]
        if not sharing:
            del self._open[connection.presented]
            self._unchecked.pop(connection.presented, None)
            self._settled.pop(connection.presented, None)
        for owner in _owners(connection):
            self._counts[owner] -= 1
            if not self._counts[owner]:
                del self._counts[owner]

    def replace_credentials(self, connection: Connection, presented: Presented) -> None:
        """The same caller has brought newer credentials."""
        sharing = self._open[connection.presented]
        del sharing[connection]
        if not sharing:
            del self._open[connection.presented]
            self._settled.pop(connection.presented, None)
        connection.presented = presented
        self._open.setdefault(presented, {})[connection] = None

    # ------------------------------------------------------------ private

    def _all(self) -> list[Connection]:
        return [connection for sharing in self._open.values() for connection in sharing]

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(CHECK_EVERY_S)
            try:
                await self._check_all()
            except Exception as fault:
                observe(HookFailed("live rights", fault))

    async def _check_all(self) -> None:
        missing: list[Presented] = []
        for presented in tuple(self._open):
            known = self._authenticator.cached(*presented)
            if known is None:
                missing.append(presented)
            elif known is not self._settled.get(presented):
                # What was remembered the last time is what was checked the last time.
                await self._settle(presented, known)
        for start in range(0, len(missing), AT_ONCE):
            some = missing[start : start + AT_ONCE]
            found = await self._authenticator.renew(some)
            slow: list[Coroutine[object, object, None]] = []
            for presented, who in zip(some, found, strict=True):
                if self._has_fleeting(presented):
                    slow.append(self._settle(presented, who))
                else:
                    await self._settle(presented, who)
            await asyncio.gather(*slow)

    def _has_fleeting(self, presented: Presented) -> bool:
        """Whether something is followed that depends on the time, so that it must be planned anew."""
        return any(
            subscription.question.plan.is_fleeting
            for connection in self._open.get(presented, ())
            for subscription in connection.subscriptions.values()
        )

    async def _settle(self, presented: Presented, found: Principal | Exception) -> None:
        """Go by what was found out about a credential; what goes wrong with one is no other one's trouble."""
        sharing = tuple(self._open.get(presented, ()))
        try:
            if isinstance(found, Principal):
                self._unchecked.pop(presented, None)
                await self._check(presented, found, sharing)
            elif isinstance(found, Problem) and not isinstance(found, Unavailable):
                self._hang_up(sharing, *reason_of(found))
            else:
                if not isinstance(found, Problem):
                    observe(HookFailed("live rights", found))
                # Who cannot be asked about is not unknown, for a while; nothing can be told meanwhile, either.
                since = self._unchecked.setdefault(presented, time.monotonic())
                if time.monotonic() - since > MAX_UNCHECKED_S:
                    self._hang_up(sharing, TRY_LATER, "your rights cannot be checked")
        except Exception as fault:
            observe(HookFailed("live rights", fault))

    async def _check(self, presented: Presented, principal: Principal, sharing: Sequence[Connection]) -> None:
        self._settled[presented] = principal
        for connection in sharing:
            if principal != connection.principal:
                connection.hang_up(NO_RIGHT, "your rights have changed")
                continue
            for subscription in tuple(connection.subscriptions.values()):
                try:
                    await self.hub.refresh(subscription, principal)
                except Problem as problem:
                    connection.hang_up(*reason_of(problem))

    @staticmethod
    def _hang_up(connections: Sequence[Connection], code: int, reason: str) -> None:
        for connection in connections:
            connection.hang_up(code, reason)


def reason_of(problem: Problem) -> tuple[int, str]:
    """A refusal of somebody as the code and the words that a connection ends with."""
    match problem:
        case Unauthenticated() | BadRequest():
            return UNKNOWN, "you are not known, or not any more"
        case Forbidden() | NotFound():
            return NO_RIGHT, "you have no right"
        case RateLimited():
            return TOO_MANY, "too many"
        case Unavailable():
            return TRY_LATER, "try again later"
    return FAULTY, "something went wrong on our side"


def _owners(connection: Connection) -> list[str]:
    """Whose allowance a connection uses: each of his accounts', else his own."""
    principal = connection.principal
    if principal is ANONYMOUS or not principal.accounts:
        return [caller_of(principal, connection.address)]
    return [account.public_id for account in principal.accounts]
