"""Followers of changes for tests: a websocket driven by ASGI alone, and what a client makes of the frames."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

PATIENCE_S = 20.0


class Closed(Exception):
    """The server has ended the connection."""

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(f"{code} {reason}")
        self.code = code


@dataclass
class Follower:
    """A websocket to an application in this process.

    Attributes:
        frames: All that came, in order.
        is_stuck: The network takes nothing more.
    """

    app: Any
    headers: Mapping[str, str] = field(default_factory=dict)
    query: bytes = b""
    frames: list[dict[str, Any]] = field(default_factory=list)
    raw: list[str] = field(default_factory=list)
    is_stuck: bool = False

    def __post_init__(self) -> None:
        self.inward: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.outward: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Shake hands.

        Raises:
            Closed: The server does not want to; its code is an HTTP status.
        """
        scope = {
            "type": "websocket",
            "path": "/v3/live",
            "query_string": self.query,
            "scheme": "ws",
            "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in self.headers.items()],
            "client": ("192.0.2.1", 50_000),
            "subprotocols": [],
            "extensions": {"websocket.http.response": {}},
        }
        self.inward.put_nowait({"type": "websocket.connect"})
        self.task = asyncio.create_task(self.app(scope, self.inward.get, self._take))
        message = await self._next()
        if message["type"] == "websocket.http.response.start":
            raise Closed(message["status"])
        assert message["type"] == "websocket.accept"

    async def send(self, frame: object) -> None:
        """Send a frame as JSON; a string as it is."""
        await self.inward.put(
            {"type": "websocket.receive", "text": frame if isinstance(frame, str) else json.dumps(frame)}
        )

    async def receive(self) -> dict[str, Any]:
        """The next frame.

        Raises:
            Closed: There is none any more.
        """
        message = await self._next()
        if message["type"] == "websocket.close":
            raise Closed(message["code"], message.get("reason", ""))
        self.raw.append(message["text"])
        frame: dict[str, Any] = json.loads(message["text"])
        self.frames.append(frame)
        return frame

    async def subscribe(self, obj_type: str, search: object = None, *, uid: str = "1", **more: Any) -> dict[str, Any]:
        """Subscribe; the answer, be it an error."""
        asked = {"type": "subscribe", "uid": uid, "obj_type": obj_type, "search": search or {}, **more}
        await self.send({name: value for name, value in asked.items() if value is not None})
        return await self.receive()

    async def closing(self) -> int:
        """Read to the end; its code."""
        try:
            while True:
                await self.receive()
        except Closed as closed:
            return closed.code

    async def close(self) -> None:
        """Hang up."""
        self.inward.put_nowait({"type": "websocket.disconnect", "code": 1000})
        if self.task is not None:
            await asyncio.wait_for(self.task, PATIENCE_S)

    async def _take(self, message: dict[str, Any]) -> None:
        if self.is_stuck:
            await asyncio.Event().wait()
        await self.outward.put(message)

    async def _next(self) -> dict[str, Any]:
        return await asyncio.wait_for(self.outward.get(), PATIENCE_S)


@asynccontextmanager
async def following(app: Any, headers: Mapping[str, str] | None = None, **more: Any) -> AsyncIterator[Follower]:
    """A connection to an application in this process."""
    follower = Follower(app, headers or {}, **more)
    await follower.open()
    try:
        yield follower
    finally:
        await follower.close()


def fold(known: dict[str, Any], frames: Sequence[Mapping[str, Any]]) -> bool:
    """Apply frames to what a client knows; whether he has to look again."""
    is_lost = False
    for frame in frames:
        if frame["type"] in ("enter", "update"):
            known[frame["id"]] = frame["data"]
        elif frame["type"] in ("leave", "delete"):
            known.pop(frame["id"], None)
        elif frame["type"] == "resync":
            is_lost = True
    return is_lost
