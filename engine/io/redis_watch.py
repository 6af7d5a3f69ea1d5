"""Who watches what, between processes: writers put in only what somebody watches, and a subscription waits for them.

Each process asks Redis twice a second which types are watched, and says which of them it knows of. A subscription
begins when every process that is alive has said so. In Redis: ``…:types`` until when a type is watched, ``…:since``
since when, ``…:nodes`` what each process knows and how many entries it has put into the stream.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from engine.io.changes import Changes
from engine.io.streams import LINGER_S, Watched

BEAT_S = 0.5
ALIVE_S = 3.0
"""A process that has not been heard of for so long is none."""
RENEW_S = 5.0

# Renew what is watched; what was not watched until now is so from now on.
_WATCH = """
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
for i = 2, #ARGV do
  local known = redis.call('ZSCORE', KEYS[1], ARGV[i])
  if not known or tonumber(known) < now then redis.call('HSET', KEYS[2], ARGV[i], now) end
  redis.call('ZADD', KEYS[1], now + ARGV[1], ARGV[i])
end
return now
"""


@dataclass(frozen=True, slots=True)
class Heard:
    """What one asking has brought.

    Attributes:
        sent: By process, how many entries it says it has put in.
        was_silent: This process was not heard of for so long that nobody waited for it.
    """

    sent: Mapping[str, int]
    was_silent: bool


class RedisWatch:
    """This process's part in it.

    Args:
        client: Its connections end by themselves what takes too long.
        name: Of the deployment's keys.
        node: This process.
        changes: Told what to take images of.
        sent: How many entries this process has put in.
    """

    def __init__(self, client: Any, *, name: str, node: str, changes: Changes, sent: Callable[[], int]) -> None:
        self._client = client
        self._types, self._since, self._nodes = f"{name}:types", f"{name}:since", f"{name}:nodes"
        self._node = node
        self._changes = changes
        self._sent = sent
        self._watched = Watched()
        self._known_until: dict[str, float] = {}
        self._renewed_at = 0.0
        # Nobody has waited for this process yet.
        self._heard_at = -ALIVE_S

    @property
    def followed(self) -> frozenset[str]:
        """Types that somebody follows here."""
        return self._watched.followed

    def add(self, types: Collection[str]) -> None:
        """Count a follower."""
        self._watched.add(types)
        self.settle()

    def drop(self, types: Collection[str]) -> None:
        """Count one less."""
        self._watched.drop(types)

    def settle(self) -> None:
        """Tell this process's writers what to look at."""
        now = time.monotonic()
        self._known_until = {name: until for name, until in self._known_until.items() if until > now}
        self._changes.watched = self._watched.present() | frozenset(self._known_until)

    async def ask(self) -> Heard:
        """Ask what is watched, and say what is known here."""
        async with self._client.pipeline(transaction=False) as pipe:
            pipe.time()
            pipe.zrange(self._types, 0, -1, withscores=True)
            pipe.hgetall(self._nodes)
            (seconds, micros), types, nodes = await pipe.execute()
        now_ms = seconds * 1000 + micros // 1000
        here = time.monotonic()
        for name, until in types:
            # What was read once holds, whatever becomes of Redis.
            left_s = (until - now_ms) / 1000
            if left_s > 0:
                text = name.decode()
                self._known_until[text] = max(self._known_until.get(text, 0.0), here + left_s)
        self.settle()
        if here - self._renewed_at > RENEW_S or not self._watched.followed <= {name.decode() for name, _ in types}:
            await self.renew()
        told = orjson.dumps([now_ms, self._sent(), sorted(self._changes.watched)])
        await self._client.hset(self._nodes, self._node, told)
        sent: dict[str, int] = {}
        for name, value in nodes.items():
            at_ms, number, _ = orjson.loads(value)
            if now_ms - at_ms > 1000 * LINGER_S:
                await self._client.hdel(self._nodes, name)
            sent[name.decode()] = number
        was_silent = here - self._heard_at > ALIVE_S - 2 * BEAT_S
        self._heard_at = here
        return Heard(sent, was_silent)

    async def renew(self) -> None:
        """Say once more what is followed here."""
        followed = sorted(self._watched.followed)
        if followed:
            arguments = [str(int(LINGER_S * 1000)), *followed]
            await self._client.eval(_WATCH, 2, self._types, self._since, *arguments)
        self._renewed_at = time.monotonic()

    async def wait_for_others(self, types: frozenset[str]) -> None:
        """Until each process that is alive knows that these types are watched."""
        while True:
            async with self._client.pipeline(transaction=False) as pipe:
                pipe.time()
                pipe.hgetall(self._nodes)
                (seconds, micros), nodes = await pipe.execute()
            now_ms = seconds * 1000 + micros // 1000
            told = [orjson.loads(value) for name, value in nodes.items() if name.decode() != self._node]
            if all(types <= set(known) for at_ms, _, known in told if now_ms - at_ms < 1000 * ALIVE_S):
                return
            await asyncio.sleep(BEAT_S / 5)

    async def began_before(self, types: Collection[str], at_ms: int) -> bool:
        """Whether all of some types have been watched without a break since a time of Redis."""
        since = await self._client.hmget(self._since, sorted(types))
        return all(at is not None and int(at) <= at_ms for at in since)

    async def leave(self) -> None:
        """Be no process any more."""
        await self._client.hdel(self._nodes, self._node)
