"""Changes: committed writes, announced to whoever subscribed in this process.

Announcing never waits and never fails the write: each subscriber has a bounded queue of its own and is called from a
task of its own. When a change is announced (after the commit) is decided by `execute/`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from engine.io.live_entries import RowChange
from engine.observe import ChangesDropped, HookFailed, observe

MAX_WAITING = 10_000
MAX_TASKS = 1_000
GRACE_S = 2.0


@dataclass(frozen=True, slots=True)
class Change:
    """One committed write.

    Attributes:
        type: The resource type.
        public_id: Of the row written.
        row_id: Never leaves the process.
        account_row_id: Whose row it is; None for types that belong to no account.
        fields: Wire names of the fields written; empty for deletes.
        at: When, UTC, aware.
    """

    type: str
    verb: Literal["create", "update", "delete", "restore", "move"]
    public_id: str
    row_id: int
    account_row_id: int | None
    fields: frozenset[str]
    at: datetime


@dataclass(slots=True, eq=False)
class Turn:
    """The place of a commit among those of the same rows, taken while it holds them.

    Attributes:
        row_ids: Of the rows.
        before: Turns that were taken before and have not ended.
        behind: Turns that wait for this one.
        words: What is to be told, once it is known: rows, and types of which others were written.
    """

    row_ids: frozenset[int]
    before: set[Turn] = field(default_factory=set)
    behind: list[Turn] = field(default_factory=list)
    words: tuple[Sequence[RowChange], Collection[str]] | None = None


Subscriber = Callable[[Change], Awaitable[None]]
RowSink = Callable[[Sequence[RowChange]], None]


class Changes:
    """The subscribers of a process.

    Attributes:
        watched: Types that somebody follows live, here or in another process; writes take images of their rows, and of
            no others.
        row_sink: Takes what was made of those rows.
        unwatched: Types that were written though nobody was known to follow them; emptied by who asks who follows.
    """

    def __init__(self) -> None:
        self.watched: frozenset[str] = frozenset()
        self.row_sink: RowSink | None = None
        self.unwatched: set[str] = set()
        self._queues: dict[str, _Queue] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._turns: dict[int, Turn] = {}

    def subscribe(self, name: str, subscriber: Subscriber) -> Callable[[], None]:
        """Have `subscriber` called with each change, one after another.

        Args:
            name: Stands in the log when the subscriber fails; one subscriber for each name.
            subscriber: What it raises is logged; the next change comes all the same.

        Returns:
            Call it to unsubscribe.
        """
        queue = self._queues[name] = _Queue(name, subscriber)

        def unsubscribe() -> None:
            if self._queues.get(name) is queue:
                del self._queues[name]
            queue.stop()

        return unsubscribe

    def announce(self, changes: Sequence[Change]) -> None:
        """Tell all subscribers, in order, of writes that are committed."""
        for queue in self._queues.values():
            queue.add(changes)
        for change in changes:
            if change.type not in self.watched:
                self.unwatched.add(change.type)

    def take_turn(self, rows: Sequence[RowChange]) -> Turn:
        """Line up before a commit, while its rows are held: who writes one of them next lines up behind it.

        The answers to two commits may come in another order than the server gave them.

        Args:
            rows: What will be told of. Row ids of several types are taken for one another, which costs nothing.
        """
        turn = Turn(frozenset(row.row_id for row in rows if not row.is_blind))
        for row_id in turn.row_ids:
            other = self._turns.get(row_id)
            if other is not None and other not in turn.before:
                turn.before.add(other)
                other.behind.append(turn)
            self._turns[row_id] = turn
        return turn

    def end_turn(self, turn: Turn, rows: Sequence[RowChange] = (), unseen: Collection[str] = ()) -> None:
        """Tell who follows of one commit, as soon as all before it have ended; of nothing where it came to nothing."""
        turn.words = rows, unseen
        passing = deque([turn] if not turn.before else ())
        while passing:
            turn = passing.popleft()
            for row_id in turn.row_ids:
                if self._turns.get(row_id) is turn:
                    del self._turns[row_id]
            for later in turn.behind:
                later.before.discard(turn)
                if not later.before and later.words is not None:
                    passing.append(later)
            try:
                self.announce_rows(*(turn.words or ((), ())))
            except Exception as fault:
                # Whatever it is, the others have their turns.
                observe(HookFailed("live", fault))

    def announce_rows(self, rows: Sequence[RowChange], unseen: Collection[str]) -> None:
        """Tell who follows of one commit.

        Args:
            rows: What it made of them.
            unseen: Types of which rows were written that nobody has looked at.
        """
        if self.row_sink is not None and (rows or unseen):
            blind = [RowChange(name, "", 0, None, is_blind=True) for name in sorted(unseen)]
            self.row_sink([*blind, *rows])

    def run_after(self, name: str, work: Coroutine[object, object, None]) -> None:
        """Run a hook in the background. What it raises is logged; beyond `MAX_TASKS` hooks it is not run."""
        if len(self._tasks) >= MAX_TASKS:
            work.close()
            observe(ChangesDropped(name, 1))
            return
        task = asyncio.create_task(_guarded(name, work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Let hooks and subscribers finish, for a while."""
        tasks = [*self._tasks, *(queue.task for queue in self._queues.values() if queue.task is not None)]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=GRACE_S)
            for task in late:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
        self._queues.clear()


class _Queue:
    """What one subscriber has yet to hear."""

    __slots__ = ("_name", "_subscriber", "_waiting", "task")

    def __init__(self, name: str, subscriber: Subscriber) -> None:
        self._name = name
        self._subscriber = subscriber
        self._waiting: deque[Change] = deque()
        self.task: asyncio.Task[None] | None = None

    def add(self, changes: Sequence[Change]) -> None:
        room = MAX_WAITING - len(self._waiting)
        self._waiting.extend(changes[:room])
        if len(changes) > room:
            observe(ChangesDropped(self._name, len(changes) - room))
        if self._waiting and (self.task is None or self.task.done()):
            self.task = asyncio.create_task(self._drain())

    def stop(self) -> None:
        self._waiting.clear()

    async def _drain(self) -> None:
        while self._waiting:
            await _guarded(self._name, self._subscriber(self._waiting.popleft()))


async def _guarded(name: str, work: Awaitable[None]) -> None:
    try:
        await work
    except Exception as fault:
        # Whatever it is, it must not reach the write, which is done.
        observe(HookFailed(name, fault))
