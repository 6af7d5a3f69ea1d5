"""The wire of websockets: uvicorn's protocol, without compression, with our closing codes, and an end for silence.

A client is asked for a sign of life well before he may be called silent, and any byte of his is one. Whoever does not
read the end is not waited for.
"""

from __future__ import annotations

import logging
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode
from websockets.server import ServerProtocol

SOCKET_PATHS = (b"/v3/live", b"/v3/live/")
ON_STOP = "aether.on_stop"
"""In the state of a request whose reply would never end: what ends it when the server stops."""

IDLE, TOO_LARGE = 4408, 4413
LINGER_S = 5.0
STOP_S = 2.0


class LiveProtocol(ServerProtocol):
    """The library's, that says in our words that a frame is too large."""

    def fail(self, code: int, reason: str = "") -> None:
        """Begin to close."""
        if code == CloseCode.MESSAGE_TOO_BIG:
            code, reason = TOO_LARGE, "the frame is too large"
        super().fail(code, reason)


class LiveWire(WebSocketsSansIOProtocol):
    """One websocket's connection."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.conn = LiveProtocol(max_size=self.config.ws_max_size, logger=logging.getLogger("uvicorn.error"))
        self._heard_at = 0.0

    def data_received(self, data: bytes) -> None:
        """Whatever it is, it is a sign of life."""
        self._heard_at = self.loop.time()
        super().data_received(data)

    def keepalive_timeout(self) -> None:
        """No answer to a ping; other signs of life do as well."""
        if self._heard_at > self.ping_sent_at and not self.close_sent:
            self.pong_timer = None
            self.pending_ping_payload = None
            self.schedule_ping()
            return
        self.pong_timer = None
        if self.close_sent or self.transport.is_closing():
            return
        self.conn.fail(IDLE, "nothing was heard of you")
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.transport.close()
        self.loop.call_later(STOP_S, self.transport.abort)

    def shutdown(self) -> None:
        """The server stops."""
        super().shutdown()
        self.loop.call_later(STOP_S, self.transport.abort)

    async def run_asgi(self) -> None:
        """Run the application; what it has said last is not waited for without end."""
        await super().run_asgi()
        self.loop.call_later(LINGER_S, self.transport.abort)
