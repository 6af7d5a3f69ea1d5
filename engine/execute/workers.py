"""Workers: what plug-ins do in the background of the server, called again and again.

Who declares one, and how, is `plugins/workers.py`'s business.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from engine.execute.acting import Acting
from engine.execute.runtime import Runtime
from engine.io.changes import Change
from engine.observe import HookFailed, observe
from engine.plan.rights import rights_of
from engine.plugins.workers import Worker
from engine.principal import Principal
from engine.settings import Settings

# What runs in the background sees all accounts; what it writes says nobody's name.
SYSTEM = Principal("key", is_operator=True, scopes=frozenset({"*:*", "action:*", "meta:*"}))

GRACE_S = 3.0
CANCEL_AGAIN_S = 0.5


@dataclass(frozen=True, slots=True)
class WorkerHost(Acting):
    """What a worker is given: reads and writes over all accounts through the engine's plans, and the settings.

    Attributes:
        settings: Of this process.
    """

    settings: Settings


class Workers:
    """The workers of a process, while they run."""

    def __init__(self, workers: Sequence[Worker], runtime: Runtime, settings: Settings) -> None:
        self._host = WorkerHost(SYSTEM, rights_of(runtime.registry, SYSTEM), runtime, settings)
        self._workers = tuple(workers)
        self._wakes = {one.name: asyncio.Event() for one in workers}
        self._tasks: list[asyncio.Task[None]] = []
        self._is_closing = False

    def start(self) -> None:
        """Let them begin."""
        if self._workers:
            self._host.runtime.changes.subscribe("workers", self._hear)
        self._tasks = [asyncio.create_task(self._run(one), name=f"worker {one.name}") for one in self._workers]

    def wake(self) -> None:
        """Have all of them look at once, as after a commit."""
        for event in self._wakes.values():
            event.set()

    async def close(self) -> None:
        """Stop them: those that sleep at once, those that work when they are done, or after `GRACE_S`."""
        self._is_closing = True
        self.wake()
        waiting = set(self._tasks)
        if waiting:
            _, waiting = await asyncio.wait(waiting, timeout=GRACE_S)
        while waiting:
            for task in waiting:
                task.cancel()
            # Libraries lose a cancellation that comes at the wrong moment (`asyncio.wait_for` of Python 3.11 does).
            _, waiting = await asyncio.wait(waiting, timeout=CANCEL_AGAIN_S)

    async def _hear(self, change: Change) -> None:
        for one in self._workers:
            if one.type == change.type:
                self._wakes[one.name].set()

    async def _run(self, one: Worker) -> None:
        wake = self._wakes[one.name]
        while not self._is_closing:
            wake.clear()
            try:
                await one.work(self._host)
            except Exception as fault:
                # Whatever it is: the next time it is tried again.
                observe(HookFailed(f"worker {one.name}", fault))
            with suppress(TimeoutError):
                async with asyncio.timeout(one.every_s):
                    await wake.wait()
