"""The pool of connections to MariaDB: bounded, with a bounded wait, healing by itself.

A connection whose query was cancelled is never used again, and its query is killed. One that the server closed is
seen without a round trip. One that has been silent for too long is given up when the server does not answer a new
connection either. What is sent over connections is `mariadb.py`'s business.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Coroutine
from contextlib import suppress
from typing import Literal

from engine.errors import Unavailable
from engine.io.mariadb_link import SILENCE_S, Link, LinkRefused, Target, open_link
from engine.observe import DatabaseUnreachable, PoolExhausted, observe

WATCH_S = 0.5
PROBE_S = 0.8
KILL_AFTER_S = 0.2
GRACE_S = 2.0
REPORT_EVERY_S = 1.0
CLOCK_GRAIN_S = 0.001

_Waiter = tuple[float, "asyncio.Future[Link | Literal['late'] | None]"]
"""Until when somebody waits, and what will be told to him."""


class Pool:
    """At most `size` connections to one server.

    Args:
        target: Where to connect.
        size: How many connections there may be.
        wait_s: The longest that `take` waits, the connecting included.
        recycle_s: About how old a connection may get.
    """

    def __init__(self, target: Target, *, size: int, wait_s: float, recycle_s: float) -> None:
        self._target = target
        self._size = size
        self._wait_s = wait_s
        self._recycle_s = recycle_s
        self._idle: list[Link] = []
        self._links: set[Link] = set()
        self._opening = 0
        self._waiters: deque[_Waiter] = deque()
        self._alarm: asyncio.TimerHandle | None = None
        self._seen: dict[str, bool] = {}
        self._doomed: list[int] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._watcher: asyncio.Task[None] | None = None
        self._is_closed = False
        self._reported_at = -REPORT_EVERY_S
        self._emptied = asyncio.Event()

    def take_idle(self) -> Link | None:
        """A connection that is ready at once, or None: then `take` must be awaited."""
        while self._idle:
            link = self._idle.pop()
            if link.is_alive:
                return link
            self._drop(link)
        return None

    async def take(self) -> Link:
        """A connection, waiting for one or opening one.

        Raises:
            Unavailable: None was to be had in time, or the server cannot be reached.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._wait_s
        while True:
            if self._is_closed:
                raise Unavailable("The server is stopping.")
            link = self.take_idle()
            if link is not None:
                return link
            if len(self._links) + self._opening < self._size:
                return await self._open(deadline)
            link = await self._wait(deadline)
            if link is not None and link.is_alive:
                return link
            if link is not None:
                self._drop(link)

    def give(self, link: Link) -> None:
        """Take a connection back that may be used again."""
        link.busy_since = 0.0
        link.is_used = True
        if time.monotonic() > link.expires_at or self._is_closed or not link.is_alive:
            self._forget(link)
            self._spawn(link.close())
            return
        while self._waiters:
            _, waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(link)
                return
        self._idle.append(link)

    def discard(self, link: Link, *, kill: bool = False) -> None:
        """Throw a connection away. With `kill` the server is told to end what still runs on it."""
        if kill:
            self._doomed.append(link.thread_id)
            if len(self._doomed) == 1:
                self._spawn(self._kill_doomed())
        self._drop(link)

    def report(self, reason: str) -> None:
        """Log that the server cannot be reached: at most once in a while, or a long outage would fill the disk."""
        now = time.monotonic()
        if now - self._reported_at > REPORT_EVERY_S:
            self._reported_at = now
            observe(DatabaseUnreachable(reason))

    async def close(self) -> None:
        """Wait for connections in use, for a while, then close them all."""
        self._is_closed = True
        self._emptied.clear()
        while self._waiters:
            self._wake_one()
        for link in self._idle:
            self._links.discard(link)
            self._spawn(link.close())
        self._idle.clear()
        if self._links:
            with suppress(TimeoutError):
                async with asyncio.timeout(GRACE_S):
                    await self._emptied.wait()
        for link in tuple(self._links):
            self._drop(link)
        if self._alarm is not None:
            self._alarm.cancel()
        if self._watcher is not None:
            self._watcher.cancel()
            with suppress(asyncio.CancelledError):
                await self._watcher
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=GRACE_S)

    async def _open(self, deadline: float) -> Link:
        if self._watcher is None:
            self._watcher = asyncio.create_task(self._watch())
        self._opening += 1
        try:
            async with asyncio.timeout_at(deadline):
                link = await open_link(self._target, self._seen)
        except (LinkRefused, TimeoutError) as fault:
            self.report(str(fault) or "no connection in time")
            raise Unavailable() from fault
        else:
            # Not all at the same time.
            link.expires_at = time.monotonic() + self._recycle_s * random.uniform(0.9, 1.1)
            self._links.add(link)
            return link
        finally:
            self._opening -= 1
            if len(self._links) + self._opening < self._size:
                self._wake_one()

    async def _wait(self, deadline: float) -> Link | None:
        """A connection handed over by `give`, or None when there may be room for a new one."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[Link | Literal["late"] | None] = loop.create_future()
        self._waiters.append((deadline, waiter))
        if self._alarm is None:
            # One timer for all who wait: a busy pool makes everybody wait, and a time-out of one's own is dear.
            self._alarm = loop.call_at(deadline, self._end_waits)
        try:
            link = await waiter
        except asyncio.CancelledError:
            self._return_handed(deadline, waiter)
            raise
        if link == "late":
            observe(PoolExhausted(self._size, self._wait_s))
            raise Unavailable("The database is busy. Try again shortly.")
        return link

    def _end_waits(self) -> None:
        """Tell those that have waited long enough."""
        loop = asyncio.get_running_loop()
        now = loop.time() + CLOCK_GRAIN_S
        for deadline, waiter in self._waiters:
            if deadline <= now and not waiter.done():
                waiter.set_result("late")
        self._waiters = deque(one for one in self._waiters if not one[1].done())
        first = min((deadline for deadline, _ in self._waiters), default=None)
        self._alarm = None if first is None else loop.call_at(first, self._end_waits)

    def _return_handed(self, deadline: float, waiter: asyncio.Future[Link | Literal["late"] | None]) -> None:
        """Pass on what was handed over in the very moment in which the waiting ended."""
        if waiter.done() and not waiter.cancelled():
            link = waiter.result()
            if link is None:
                self._wake_one()
            elif link != "late":
                self.give(link)
        else:
            waiter.cancel()
            with suppress(ValueError):
                self._waiters.remove((deadline, waiter))

    def _drop(self, link: Link) -> None:
        link.abort()
        self._forget(link)

    def _forget(self, link: Link) -> None:
        self._links.discard(link)
        if not self._links:
            self._emptied.set()
        self._wake_one()

    def _wake_one(self) -> None:
        while self._waiters:
            _, waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    def _spawn(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _kill_doomed(self) -> None:
        """End what runs on cancelled connections: the server does not look at a closed socket while it works."""
        await asyncio.sleep(KILL_AFTER_S)
        doomed, self._doomed = self._doomed, []
        try:
            link = await open_link(self._target, self._seen)
        except LinkRefused:
            return
        for number in doomed:
            # It has mostly ended by itself by now; then the number is unknown, and that is fine.
            with suppress(Exception):
                await link.send_text(f"KILL {number:d}")
        await link.close()

    async def _watch(self) -> None:
        """Give up on connections that are silent while the server does not answer a new one either."""
        proven_at = 0.0
        while True:
            await asyncio.sleep(WATCH_S)
            now = time.monotonic()
            silent = [link for link in self._links if link.busy_since and now - link.busy_since > SILENCE_S - WATCH_S]
            for link in silent:
                if now - link.busy_since > self._target.statement_time_s + GRACE_S:
                    _give_up(link)
            if not silent or now - proven_at < SILENCE_S:
                continue
            if await self._answers():
                proven_at = time.monotonic()
                continue
            self.report("the server does not answer")
            for link in (*silent, *self._idle):
                _give_up(link)

    async def _answers(self) -> bool:
        try:
            async with asyncio.timeout(PROBE_S):
                link = await open_link(self._target, self._seen)
        except (TimeoutError, LinkRefused):
            return False
        await link.close()
        return True


def _give_up(link: Link) -> None:
    link.is_given_up = True
    link.abort()
