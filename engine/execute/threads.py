"""Work that computes rather than waits, out of the event loop: one thread for all of it.

One, since what draws holds the interpreter anyway and PDFium bears no second thread; and a queue of limited length,
so that a flood of such work is refused while everything else is answered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from engine.errors import Unavailable

T = TypeVar("T")
MAX_WAITING = 32

_THREAD = ThreadPoolExecutor(max_workers=1, thread_name_prefix="compute")
_waiting = 0


async def in_thread(work: Callable[[], T]) -> T:
    """Run a plain function that computes for long; it must be safe to run beside the event loop.

    Raises:
        Unavailable: More than `MAX_WAITING` wait already.
    """
    global _waiting  # noqa: PLW0603 (one process, one queue)
    if _waiting >= MAX_WAITING:
        raise Unavailable("The server has much to draw at the moment. Try again shortly.")
    _waiting += 1
    try:
        return await asyncio.get_running_loop().run_in_executor(_THREAD, work)
    finally:
        _waiting -= 1
