"""The stream of changes between processes: a Redis stream.

A write never waits for Redis: entries go out from a queue, in order. While Redis is away, this process's followers are
served from that queue directly, and everybody's are told to look again when it is back: what others wrote meanwhile may
be lost. So they are when an entry's number shows that one is missing. What is put in at all is `redis_watch.py`'s
business; the entries, sealed, are under ``…:entries``.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from engine.io.cache import PREFIX
from engine.io.changes import Changes
from engine.io.live_entries import Entry, RowChange, open_entry, seal_entry
from engine.io.redis_watch import ALIVE_S, BEAT_S, RedisWatch
from engine.io.streams import MAX_KEPT, MAX_REPLAY, Arrival, LocalStream, Stream, split_rows
from engine.observe import CacheUnreachable, observe
from engine.settings import Settings

COMMAND_TIMEOUT_S = 1.0
BLOCK_MS = 1_000
READ_TIMEOUT_S = 3.0
PAUSE_S = 0.25
MAX_CANCELS = 5
MAX_KEPT_BYTES, MIN_KEPT, USUAL_OVER = 64 * 1024 * 1024, 100, 100
LAG_S = 3.0
MAX_WAITING = 10_000
BATCH = 100
MAX_INBOX = 1_000

_FAULTS = (RedisError, OSError, TimeoutError)


@dataclass(slots=True)
class _Node:
    """What is known of a process.

    Attributes:
        floor: Number of its last entry when it was first heard of.
        read: Number of its last entry that came; None = none yet.
        behind_since: Since when it says that it has put in more than has come.
    """

    floor: int
    read: int | None = None
    behind_since: float | None = None

    @property
    def last(self) -> int:
        """What the next number follows."""
        return self.floor if self.read is None else max(self.floor, self.read)


class RedisStream:
    """A stream in Redis.

    Args:
        url: ``redis://…``.
        name: Of the deployment's keys.
        key: Seals entries.
        changes: Of the process; told what to take images of.
        digest: The registry's.
    """

    def __init__(self, url: str, *, name: str, key: bytes, changes: Changes, digest: str) -> None:
        self._entries = f"{name}:entries"
        self._key = key
        self._changes = changes
        self._digest = digest
        self._client = _connect(url, COMMAND_TIMEOUT_S)
        self._reader = _connect(url, READ_TIMEOUT_S)
        self._node = secrets.token_urlsafe(9)
        self._watch = RedisWatch(self._client, name=name, node=self._node, changes=changes, sent=lambda: self._sent)
        self._number = 0
        self._sent = 0
        self._waiting: deque[Entry] = deque()
        self._has_waiting = asyncio.Event()
        self._is_sent = asyncio.Event()
        self._is_sent.set()
        self._told_here: set[int] = set()
        self._inbox: deque[Arrival] = deque()
        self._has_arrived = asyncio.Event()
        self._has_room = asyncio.Event()
        self._place = ""
        self._has_marked = False
        self._is_away = False
        self._is_closed = False
        self._usual_bytes = 1_000.0
        self._confirmed: set[str] = set()
        self._others: dict[str, _Node] = {}
        self._reading: asyncio.Task[None] | None = None
        self._is_reading = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def place(self) -> str:
        """Of what was given last."""
        return self._place

    def start(self) -> None:
        """Begin to ask what is watched, and to put in what is written."""
        self._changes.row_sink = self.publish
        self._tasks = [asyncio.create_task(self._beat()), asyncio.create_task(self._send())]

    async def close(self) -> None:
        """Put in what waits, for a moment, and end."""
        self._changes.row_sink = None
        with suppress(TimeoutError):
            async with asyncio.timeout(COMMAND_TIMEOUT_S):
                await self._is_sent.wait()
        self._is_closed = True
        for task in (*self._tasks, *([self._reading] if self._reading else [])):
            # The client may swallow a cancellation while it connects.
            for _ in range(MAX_CANCELS):
                task.cancel()
                done, _late = await asyncio.wait([task], timeout=PAUSE_S)
                if done:
                    break
        with suppress(*_FAULTS):
            await self._watch.leave()
        await self._client.aclose()
        await self._reader.aclose()

    def publish(self, rows: Sequence[RowChange]) -> None:
        """Put one commit into the queue. Beyond its bound everything in it is lost, and that is said instead."""
        for part in split_rows(rows):
            self._number += 1
            self._waiting.append(Entry(self._node, self._number, self._digest, part))
        if len(self._waiting) > MAX_WAITING:
            self._waiting.clear()
            self._report_loss()
        self._is_sent.clear()
        self._has_waiting.set()

    async def take(self) -> Arrival:
        """The next arrival."""
        while not self._inbox:
            self._has_arrived.clear()
            await self._has_arrived.wait()
        arrival = self._inbox.popleft()
        self._has_room.set()
        self._place = arrival.place or self._place
        return arrival

    async def watch(self, types: Collection[str]) -> None:
        """Have every process put the changes of some types in; where Redis is away, this one."""
        self._watch.add(types)
        if self._confirmed.issuperset(types):
            return
        try:
            async with asyncio.timeout(ALIVE_S + COMMAND_TIMEOUT_S):
                # Before the first place there is: what is watched since then can be gone on with from there.
                try:
                    await self._watch.renew()
                finally:
                    if self._reading is None:
                        self._reading = asyncio.create_task(self._read())
                await self._is_reading.wait()
                await self._watch.wait_for_others(frozenset(types))
                self._confirmed.update(types)
        except _FAULTS:
            # They will be told to look again when it is back.
            self._lose("watch")

    def unwatch(self, types: Collection[str]) -> None:
        """End what `watch` began."""
        self._watch.drop(types)
        self._confirmed &= self._watch.followed

    async def replay(self, since: str, upto: str, types: Collection[str]) -> list[Arrival] | None:
        """What came from one place to another."""
        milliseconds, _ = _order(since)
        if not milliseconds or _order(since) > _order(upto):
            return None
        try:
            async with asyncio.timeout(COMMAND_TIMEOUT_S):
                if not await self._watch.began_before(types, milliseconds):
                    return None
                found = await self._client.xrange(self._entries, since, upto, MAX_REPLAY + 1)
        except _FAULTS:
            return None
        # Where the first is gone, nobody can say what went with it.
        if not found or found[0][0].decode() != since or len(found) > MAX_REPLAY:
            return None
        return [Arrival(place.decode(), self._open(fields)) for place, fields in found]

    # ------------------------------------------------------------ who watches what

    async def _beat(self) -> None:
        while not self._is_closed:
            try:
                async with asyncio.timeout(COMMAND_TIMEOUT_S):
                    heard = await self._watch.ask()
                self._is_away = False
                written, self._changes.unwatched = self._changes.unwatched, set()
                if heard.was_silent:
                    # Whoever began to watch meanwhile did not wait for this process: he looks again at what it wrote.
                    self._changes.announce_rows((), written & self._changes.watched)
                self._compare(heard.sent)
            except _FAULTS:
                self._lose("beat")
            self._watch.settle()
            await asyncio.sleep(BEAT_S)

    def _compare(self, sent: Mapping[str, int]) -> None:
        """Look whether others have put in more than has arrived."""
        here = time.monotonic()
        for name, number in sent.items():
            node = self._others.setdefault(name, _Node(number))
            if number <= node.last:
                node.behind_since = None
            elif node.behind_since is None:
                node.behind_since = here
            elif here - node.behind_since > LAG_S and not self._inbox and self._reading is not None:
                node.floor, node.behind_since = number, None
                self._arrive(Arrival(self._place, None))

    # ------------------------------------------------------------ putting in

    async def _send(self) -> None:
        while not self._is_closed:
            while not self._waiting:
                self._is_sent.set()
                self._has_waiting.clear()
                await self._has_waiting.wait()
            batch = [self._waiting[index] for index in range(min(BATCH, len(self._waiting)))]
            try:
                async with asyncio.timeout(COMMAND_TIMEOUT_S), self._client.pipeline(transaction=False) as pipe:
                    for entry in batch:
                        sealed = seal_entry(entry, key=self._key)
                        pipe.xadd(self._entries, {b"e": sealed}, maxlen=self._room_for(len(sealed)), approximate=True)
                    await pipe.execute()
            except _FAULTS:
                self._lose("send")
                self._tell_here()
                await asyncio.sleep(PAUSE_S)
                continue
            for entry in batch:
                # A queue that was given up meanwhile begins with another entry.
                if self._waiting and self._waiting[0] is entry:
                    self._waiting.popleft()
            self._sent = batch[-1].number

    def _room_for(self, size: int) -> int:
        """How many entries of late's sizes Redis is to keep."""
        self._usual_bytes += (size - self._usual_bytes) / USUAL_OVER
        return max(MIN_KEPT, min(MAX_KEPT, int(MAX_KEPT_BYTES / self._usual_bytes)))

    def _tell_here(self) -> None:
        """Serve this process's followers while nobody else can be."""
        if self._reading is None:
            return
        for entry in self._waiting:
            if entry.number not in self._told_here:
                self._told_here.add(entry.number)
                self._arrive(Arrival("", entry))

    def _report_loss(self) -> None:
        self._number += 1
        self._waiting.append(Entry(self._node, self._number, self._digest, ()))
        self._told_here.clear()
        self._has_waiting.set()
        self._arrive(Arrival("", None))

    # ------------------------------------------------------------ taking out

    async def _read(self) -> None:
        """Take entries out, from now on; after each loss of Redis anew, from then on."""
        last: bytes | None = None
        while not self._is_closed:
            try:
                if last is None:
                    last = await self._mark()
                    self._is_reading.set()
                found = await self._reader.xread({self._entries: last}, count=BATCH, block=BLOCK_MS)
            except _FAULTS:
                self._lose("read")
                last = None
                await asyncio.sleep(PAUSE_S)
                continue
            for _, entries in found or ():
                for place, fields in entries:
                    last = place
                    await self._accept(place.decode(), self._open(fields))

    async def _mark(self) -> bytes:
        """Put in an entry without rows, so that there is a place to begin at; whoever followed must look again."""
        entry = seal_entry(Entry("", 0, self._digest, ()), key=self._key)
        place: bytes = await self._reader.xadd(self._entries, {b"e": entry}, maxlen=MAX_KEPT, approximate=True)
        if not self._has_marked:
            self._has_marked, self._place = True, place.decode()
        else:
            self._others.clear()
            self._arrive(Arrival(place.decode(), None))
        return place

    async def _accept(self, place: str, entry: Entry | None) -> None:
        while len(self._inbox) >= MAX_INBOX:
            self._has_room.clear()
            await self._has_room.wait()
        if entry is not None and not entry.node:
            return
        if entry is not None:
            node = self._others.setdefault(entry.node, _Node(entry.number))
            if node.read is not None and entry.number <= node.read:
                # Put in twice, since its first sending was not confirmed.
                return
            if entry.number > node.last + 1:
                self._arrive(Arrival(place, None))
            node.read = entry.number
            if entry.node == self._node and entry.number in self._told_here:
                self._told_here.discard(entry.number)
                return
        self._arrive(Arrival(place, entry))

    def _arrive(self, arrival: Arrival) -> None:
        self._inbox.append(arrival)
        self._has_arrived.set()

    def _open(self, fields: dict[bytes, bytes]) -> Entry | None:
        """What is not ours to read is as good as lost."""
        entry = open_entry(fields.get(b"e", b""), key=self._key)
        is_readable = entry is not None and entry.digest == self._digest
        return entry if is_readable else None

    # ------------------------------------------------------------ coming and going

    def _lose(self, operation: str) -> None:
        if not self._is_away:
            self._is_away = True
            observe(CacheUnreachable(f"live {operation}", "unreachable"))


def open_stream(settings: Settings, *, key: bytes, changes: Changes, digest: str) -> Stream:
    """The stream that the settings describe: between processes where they name a Redis, else of this one.

    Args:
        settings: Where Redis and the database are.
        key: Seals what is put in; deployments that have another do not see it.
        changes: Of the process.
        digest: The registry's.
    """
    if settings.redis_url is None:
        return LocalStream(changes, digest)
    whose = hashlib.blake2b(key + urlsplit(settings.database_url).path.encode(), digest_size=8).hexdigest()
    return RedisStream(settings.redis_url, name=f"{PREFIX}:live:{whose}", key=key, changes=changes, digest=digest)


def _connect(url: str, timeout_s: float) -> Any:
    return redis.asyncio.Redis.from_url(
        url,
        protocol=2,
        socket_timeout=timeout_s,
        socket_connect_timeout=COMMAND_TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
    )


def _order(place: str) -> tuple[int, int]:
    milliseconds, _, count = place.partition("-")
    is_place = place.isascii() and milliseconds.isdigit() and count.isdigit()
    return (int(milliseconds), int(count)) if is_place else (0, 0)
