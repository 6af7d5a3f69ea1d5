"""Rate limits: how often a caller may call, and an address fail to authenticate.

Each limit is a bucket that refills steadily, kept as one number per caller: the time
at which his bucket will be full again (GCRA). A call is answered from this process
alone; once a second what was spent here is added up with what other processes counted,
in the shared cache, for callers who have spent more than a twentieth of their allowance
since. So a caller can briefly get more than his share, by a second's worth and a
twentieth for each process; light callers cost the cache nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from math import ceil

from engine.errors import RateLimited
from engine.io.cache import PREFIX, Cache
from engine.principal import Principal
from engine.settings import Settings

MINUTE_S = 60.0
RECONCILE_EVERY_S = 1.0
ADD_UP_FRACTION = 20
MAX_CALLERS = 100_000
FAILURES_PER_MINUTE = 3_000
"""Failed authentications of one address. Generous, since a proxy may stand for many; it guards the database."""

_SLACK = 0.01
"""Of a call: sums of floats must not cost anybody one."""


class RateLimiter:
    """One limit over many callers.

    Attributes:
        policy: Value of the header ``RateLimit-Policy``.

    Args:
        per_minute: Calls in a minute, steadily.
        burst: Calls at once, when nothing was spent; 0 = as many as in a minute.
        shared: The cache in which processes add up what was spent; None = each for itself.
        now: Unix time, seconds.
    """

    __slots__ = (
        "_full_at",
        "_interval",
        "_now",
        "_seen",
        "_shared",
        "_slack",
        "_span",
        "_spent",
        "_start",
        "_step",
        "policy",
    )

    def __init__(
        self,
        per_minute: int,
        burst: int = 0,
        *,
        shared: Cache | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        quota = burst or per_minute
        self._interval = MINUTE_S / per_minute
        self._span = quota * self._interval
        self._shared = shared
        self._slack = _SLACK * self._interval
        self._now = now
        self._start = now()  # times are counted from here: small numbers add up exactly
        self._full_at: dict[str, float] = {}
        self._spent: dict[str, int] = {}  # not added up yet
        self._seen: dict[str, tuple[int, int]] = {}  # the minute and the sum of when it was added up last
        self._step = max(1, quota // ADD_UP_FRACTION)
        self.policy = b'"default";q=%d;w=%d' % (quota, max(1, round(self._span)))

    def spend(self, caller: str) -> bytes:
        """Count one call.

        Args:
            caller: See `caller_of`.

        Returns:
            Value of the header ``RateLimit``: what remains (`r`), and in how many seconds all of it is back (`t`).

        Raises:
            RateLimited: The allowance is used up; the call does not count.
        """
        now = self._now() - self._start
        full_at = self._full_at.get(caller, now)
        backlog = (full_at - now if full_at > now else 0.0) + self._interval
        left = self._span - backlog
        if left < -self._slack:
            raise self._refuse(-left, backlog - self._interval)
        self._full_at[caller] = now + backlog
        if self._shared is not None:
            self._spent[caller] = self._spent.get(caller, 0) + 1
        if len(self._full_at) > MAX_CALLERS:
            self._forget(now)
        return b'"default";r=%d;t=%d' % (left / self._interval + _SLACK, ceil(backlog - self._slack))

    def check(self, caller: str) -> None:
        """Refuse a caller who has nothing left, without counting.

        Raises:
            RateLimited: His allowance is used up.
        """
        full_at = self._full_at.get(caller)
        if full_at is None:
            return
        backlog = full_at - self._now() + self._start
        left = self._span - backlog - self._interval
        if left < -self._slack:
            raise self._refuse(-left, backlog)

    def note(self, caller: str) -> None:
        """Count something that has happened already; never refuses."""
        with suppress(RateLimited):
            self.spend(caller)

    async def reconcile(self) -> None:
        """Add up with the other processes."""
        if self._shared is None:
            return
        now = self._now() - self._start
        minute = int((now + self._start) // MINUTE_S)
        for caller, count in list(self._spent.items()):
            if self._full_at.get(caller, 0.0) <= now:
                del self._spent[caller]  # refilled meanwhile
                continue
            if count < self._step:
                continue
            total = await self._shared.add(f"{PREFIX}:rate:{caller}:{minute}", count, ttl_s=2 * MINUTE_S)
            if total is None:
                return
            self._spent[caller] -= count
            self._add_others(caller, minute, total, count, now)

    async def run(self) -> None:
        """Reconcile once a second, until cancelled."""
        while True:
            await asyncio.sleep(RECONCILE_EVERY_S)
            await self.reconcile()

    # ------------------------------------------------------------ private

    def _add_others(self, caller: str, minute: int, total: int, count: int, now: float) -> None:
        """Take from a bucket what other processes counted since this one last looked."""
        seen_minute, seen_total = self._seen.get(caller, (-1, 0))
        others = (total - count - (seen_total if seen_minute == minute else 0)) * self._interval
        if seen_minute < minute - 1:
            # Seen for the first time: what others counted this minute may be refilled by as much as has passed of it.
            others -= (now + self._start) % MINUTE_S
        self._seen[caller] = (minute, total)
        backlog = max(0.0, self._full_at.get(caller, now) - now) + max(0.0, others)
        # What others overspent in the last second bars nobody for longer than a bucket takes to fill.
        self._full_at[caller] = now + min(backlog, self._span)

    def _refuse(self, wait_s: float, backlog_s: float) -> RateLimited:
        wait = max(1, ceil(wait_s - self._slack))
        return RateLimited(
            f"Too many requests. Try again in {wait} s.",
            headers=(
                ("Retry-After", str(wait)),
                ("RateLimit-Policy", self.policy.decode()),
                ("RateLimit", f'"default";r=0;t={max(wait, ceil(backlog_s - self._slack))}'),
            ),
        )

    def _forget(self, now: float) -> None:
        """Drop callers whose bucket is full: nothing is lost. All of them only when so many are still spending."""
        self._full_at = {caller: at for caller, at in self._full_at.items() if at > now}
        if len(self._full_at) > MAX_CALLERS // 2:
            self._full_at.clear()
        self._spent = {caller: count for caller, count in self._spent.items() if caller in self._full_at}
        self._seen = {caller: seen for caller, seen in self._seen.items() if caller in self._full_at}


def make_limiter(settings: Settings, shared: Cache | None = None) -> RateLimiter | None:
    """The limit on calls that the settings describe; None where they set none (the default)."""
    if settings.rate_limit_per_minute == 0:
        return None
    return RateLimiter(settings.rate_limit_per_minute, settings.rate_limit_burst, shared=shared)


def caller_of(principal: Principal, address: str) -> str:
    """Whose allowance a call uses: the user's or the key's, and without credentials the address's."""
    if principal.subject is None:
        return network_of(address)
    return f"{principal.kind}:{principal.subject}"


@lru_cache(maxsize=4_096)
def network_of(address: str) -> str:
    """An address as limits count it: of IPv6 the first 64 bits, since the rest is the caller's to choose."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return f"address:{address[:64]}"
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is not None:
            return f"address:{parsed.ipv4_mapped}"
        return f"address:{IPv6Address(int(parsed) >> 64 << 64)}/64"
    return f"address:{parsed}"
