"""How often a password may be tried: counted for whom and from where.

Guessing shall be slow, and nobody be locked out by it. An attempt is counted before the password is looked at, and a
right one is taken off again. From an address that may be anybody's it counts three times: for that name at that
address, for the address (`NAMES_OF_AN_ADDRESS` times as many, whatever the names), and for the name
(`ADDRESSES_OF_A_NAME` times as many, whatever the addresses). So

- one address guesses as slowly at one name as at a name that does not exist, and shuts out itself alone;
- many addresses together guess at one name no faster than the third count allows. That count does not ask somebody at
  an address from which he has signed in before;
- who shows a refresh token of his, though it has ended, is known by it: he is counted by that token alone, so nobody
  else's attempts reach him, not even from behind the same address.

The address is the connection's (see `AETHER_TRUSTED_PROXIES`); no header of a caller's changes it. Counts are of whole
minutes, kept in this process and, where there is Redis, by all processes together; with Redis away each counts for
itself.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from math import ceil

from engine.auth.limits import MINUTE_S
from engine.errors import RateLimited
from engine.io.cache import PREFIX, Cache, LocalCache

NAMES_OF_AN_ADDRESS = 10
ADDRESSES_OF_A_NAME = 10


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt that was let in: the counts that it is in."""

    counts: tuple[str, ...]


class Attempts:
    """Counts attempts to sign in.

    Args:
        per_minute: Wrong ones of a name at an address in a minute.
        shared: Where processes count together; None = each for itself.
        now: Unix time, seconds.
    """

    def __init__(self, per_minute: int, *, shared: Cache | None = None, now: Callable[[], float] = time.time) -> None:
        self._per_minute = per_minute
        self._local = LocalCache()
        self._shared = shared
        self._now = now

    async def enter(self, name: str, network: str, *, is_known_here: Callable[[], Awaitable[bool]]) -> Attempt:
        """Count an attempt of somebody who may be anybody.

        Args:
            name: What was typed; it need not be anybody's.
            network: Where it comes from, see `limits.network_of`.
            is_known_here: Whether somebody of that name has signed in from there; asked only where it matters.

        Raises:
            RateLimited: There were too many; it says when to come back, and nothing about the name.
        """
        minute = int(self._now() // MINUTE_S)
        at_address = self._key("pair", f"{name.lower()}\n{network}", minute)
        address = self._key("network", network, minute)
        everywhere = self._key("name", name.lower(), minute)
        if await self._count(at_address) > self._per_minute:
            raise self._refuse()
        if await self._count(address) > self._per_minute * NAMES_OF_AN_ADDRESS:
            raise self._refuse()
        is_many = await self._count(everywhere) > self._per_minute * ADDRESSES_OF_A_NAME
        if is_many and not await is_known_here():
            raise self._refuse()
        return Attempt((at_address, address, everywhere))

    async def enter_known(self, device: str) -> Attempt:
        """Count an attempt of somebody who has shown a refresh token of his.

        Args:
            device: The sign-in that the token is of.

        Raises:
            RateLimited: There were too many with it.
        """
        key = self._key("device", device, int(self._now() // MINUTE_S))
        if await self._count(key) > self._per_minute:
            raise self._refuse()
        return Attempt((key,))

    async def forgive(self, attempt: Attempt) -> None:
        """Take an attempt off again: the password was right."""
        for key in attempt.counts:
            await self._count(key, -1)

    # ------------------------------------------------------------ private

    async def _count(self, key: str, amount: int = 1) -> int:
        """Add to a count; the greater of what this process and all together know."""
        here = await self._local.add(key, amount, ttl_s=2 * MINUTE_S) or 0
        if self._shared is None:
            return here
        return max(here, await self._shared.add(key, amount, ttl_s=2 * MINUTE_S) or 0)

    def _key(self, kind: str, what: str, minute: int) -> str:
        """Names and addresses stand in Redis as digests only."""
        digest = hashlib.sha256(what.encode("utf-8", "backslashreplace")).hexdigest()
        return f"{PREFIX}:attempt:{kind}:{digest}:{minute}"

    def _refuse(self) -> RateLimited:
        wait_s = max(1, ceil(MINUTE_S - self._now() % MINUTE_S))
        return RateLimited(
            f"Too many attempts to sign in. Try again in {wait_s} s.", headers=(("Retry-After", str(wait_s)),)
        )
