"""The ASGI callable that uvicorn runs: it starts the engine with the server and stops it with it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from starlette.types import ASGIApp, Receive, Scope, Send

from engine.observe import Notice, observe


class Startable(Protocol):
    """What is started and stopped."""

    @property
    def application(self) -> ASGIApp:
        """Serves requests."""

    async def close(self) -> None:
        """Stop."""


class Server:
    """An application that does not exist before the server's start.

    Args:
        start: Makes it.
        start_log, stop_log: Around everything else.
    """

    def __init__(
        self, start: Callable[[], Awaitable[Startable]], start_log: Callable[[], None], stop_log: Callable[[], None]
    ) -> None:
        self._start = start
        self._start_log = start_log
        self._stop_log = stop_log
        self._engine: Startable | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection event: a request, or the server's start and stop."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif self._engine is not None:
            await self._engine.application(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        self._start_log()
        try:
            self._engine = await self._start()
        except Exception as error:
            observe(Notice("The server cannot start.", "critical", details=(("reason", str(error)),)))
            self._stop_log()
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        observe(Notice("The server is up."))
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._engine.close()
        observe(Notice("The server has stopped."))
        self._stop_log()
        await send({"type": "lifespan.shutdown.complete"})
