"""Passwords hashed and verified: argon2id in threads, of which there are few, with few waiting.

One hash takes tens of milliseconds and 64 MiB, so how many are made at once is bounded, and so is how many wait: beyond
that a call is refused at once rather than late. Whose password it is, and how often somebody may try, is known in
`auth/sign_in.py`.
"""

from __future__ import annotations

import asyncio
import secrets
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from engine.errors import Unavailable

T = TypeVar("T")
THREADS = 2
WAITING_PER_THREAD = 32
RETRY_AFTER_S = 2


class Passwords:
    """Hashes and verifies, in threads of its own.

    Args:
        threads: How many at once.
        waiting: How many may wait for a thread; None = `WAITING_PER_THREAD` for each.
        hasher: The parameters of new hashes.
    """

    def __init__(
        self, threads: int = THREADS, *, waiting: int | None = None, hasher: PasswordHasher | None = None
    ) -> None:
        self._hasher = hasher or PasswordHasher()
        self._most = threads + (WAITING_PER_THREAD * threads if waiting is None else waiting)
        self._present = 0
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="password")
        self._nobodys = _hash_of_nobody(self._hasher)

    async def hash(self, password: str) -> str:
        """The argon2id hash of a password.

        Raises:
            Unavailable: Too many wait already.
        """
        return await self._run(lambda: self._hasher.hash(password))

    async def verify(self, password: str, stored: str | None) -> bool:
        """Whether a password is the one of a stored hash.

        Without a hash, or with what is none, it takes as long as with one and is false.

        Raises:
            Unavailable: Too many wait already.
        """
        return await self._run(lambda: self._verify(password, stored))

    def is_outdated(self, stored: str) -> bool:
        """Whether a hash was made with other parameters than new ones are."""
        return self._hasher.check_needs_rehash(stored)

    def close(self) -> None:
        """End the threads; what waits is dropped."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    # ------------------------------------------------------------ private

    def _verify(self, password: str, stored: str | None) -> bool:
        try:
            return self._hasher.verify(stored or self._nobodys, password)
        except VerifyMismatchError:
            return False
        except (InvalidHashError, VerificationError):
            # The column holds what is no argon2 hash. That must not be told by the time it takes.
            return stored is not None and self._verify(password, None)

    async def _run(self, work: Callable[[], T]) -> T:
        if self._present >= self._most:
            raise Unavailable("Too many passwords are being checked at the moment.", retry_after_s=RETRY_AFTER_S)
        self._present += 1
        task = asyncio.get_running_loop().run_in_executor(self._pool, work)
        # Who hangs up leaves his thread busy all the same: the place is free when the work is done.
        task.add_done_callback(self._leave)
        return await asyncio.shield(task)

    def _leave(self, task: asyncio.Future[T]) -> None:
        self._present -= 1
        if not task.cancelled():
            task.exception()  # looked at, so that asyncio does not complain when nobody waits any more


def _hash_of_nobody(hasher: PasswordHasher) -> str:
    """What looks like a hash of these parameters and is none of any password that anybody knows."""
    salt, digest = (
        b64encode(secrets.token_bytes(size)).decode().rstrip("=") for size in (hasher.salt_len, hasher.hash_len)
    )
    costs = f"m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}"
    return f"$argon2id$v=19${costs}${salt}${digest}"
