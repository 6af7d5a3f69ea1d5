"""The wire: uvicorn's HTTP/1.1 protocol, with a bound on what comes before a request, and refusals in our shape.

The parser's refusals are problems like all others. A request's head has a largest size and a longest time to arrive,
since until it is complete no application sees it and nobody else would end it; so has the silence of a client who
takes nothing of his reply, since the application waits for him. Bodies are bounded where they are read
(`http/call.py`); a body that is there already is told to them, and a reply that is known whole is written at once: each
saves what would cost several per cent of a request.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import struct
from collections.abc import Iterable
from typing import Any

import uvicorn
from starlette.types import Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from engine.errors import BadRequest, Problem, RequestTimeout
from engine.http.live_wire import ON_STOP, SOCKET_PATHS, LiveWire
from engine.observe import Notice, observe
from engine.render.problem import PROBLEM_TYPE, render_problem

MAX_HEAD_BYTES = 64 * 1024
HEAD_TIMEOUT_S = 20.0
TAKING_TIMEOUT_S = 20.0
BODY_IS_HERE = "aether.body_is_here"
"""Key of a request's scope: the whole body has arrived, so reading it does not wait."""
MAX_JOINED_BYTES = 16 * 1024
_ACKNOWLEDGED = struct.Struct("=120xQ")
"""``tcpi_bytes_acked`` in Linux's ``struct tcp_info``: how much of what was sent the other side has."""


class WireConfig(uvicorn.Config):
    """uvicorn's configuration, with our protocol.

    Args:
        app: The application's factory, as uvicorn imports it.
        head_timeout_s: How long the head of a request may take.
        taking_timeout_s: How long a client may take nothing of a reply that is waiting for him.
        more: As uvicorn takes it.
    """

    def __init__(
        self,
        app: str,
        *,
        head_timeout_s: float = HEAD_TIMEOUT_S,
        taking_timeout_s: float = TAKING_TIMEOUT_S,
        **more: Any,
    ) -> None:
        super().__init__(app, http=Wire, ws=LiveWire, ws_per_message_deflate=False, **more)
        self.head_timeout_s = head_timeout_s
        self.taking_timeout_s = taking_timeout_s


class Wire(HttpToolsProtocol):
    """One connection."""

    _head_timeout_s = HEAD_TIMEOUT_S
    taking_timeout_s = TAKING_TIMEOUT_S
    _head_bytes = 0
    _is_in_head = False
    _watch: asyncio.TimerHandle | None = None
    _taking: asyncio.TimerHandle | None = None
    _resumed = 0
    _answering: RequestResponseCycle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._head_timeout_s = getattr(self.config, "head_timeout_s", HEAD_TIMEOUT_S)
        self.taking_timeout_s = getattr(self.config, "taking_timeout_s", TAKING_TIMEOUT_S)
        self._watch = self.loop.call_later(self._head_timeout_s, self._give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._unwatch()
        if self._taking is not None:
            self._taking.cancel()
            self._taking = None
        answering = self._answering
        if answering is not None and not answering.response_complete:
            # uvicorn tells the last request alone, which may wait behind the one that is being answered.
            answering.disconnected = True
            answering.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feed the parser; what has not become a request yet is counted and timed."""
        super().data_received(data)
        if self._is_in_head and not self.transport.is_closing():
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse(BadRequest(f"The request's line and headers are larger than {MAX_HEAD_BYTES} bytes."))
            elif self._watch is None:
                self._watch = self.loop.call_later(self._head_timeout_s, self._give_up)
        elif self._watch is None and self._is_free():
            self._expect_rest()

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        super().on_message_begin()
        self._is_in_head = True
        self._head_bytes = 0

    def on_headers_complete(self) -> None:
        """The application takes over."""
        self._is_in_head = False
        self._unwatch()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The last byte of a request."""
        self.scope[BODY_IS_HERE] = True  # type: ignore[literal-required]
        self._unwatch()
        super().on_message_complete()

    def pause_writing(self) -> None:
        """There is more for the client than he takes at the moment: he may take his time, not all of it."""
        super().pause_writing()
        self._expect_taking()

    def resume_writing(self) -> None:
        """He has taken most of it."""
        super().resume_writing()
        self._resumed += 1

    def on_response_complete(self) -> None:
        """A reply was written; what is left of its request comes soon; before the connection closes, it is taken."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._expect_taking()
        elif self._watch is None and self._is_free() and BODY_IS_HERE not in self.scope:
            self._expect_rest()

    def timeout_keep_alive_handler(self) -> None:
        """No further request came."""
        super().timeout_keep_alive_handler()
        self._expect_taking()

    def shutdown(self) -> None:
        """The server stops: a reply that would never end is told so."""
        state = {} if self._is_free() else self.scope.get("state", {})
        if ON_STOP in state:
            state[ON_STOP]()
        super().shutdown()

    def send_400_response(self, msg: str) -> None:
        """What uvicorn's parser refuses."""
        self._refuse(BadRequest("This is no HTTP request that can be understood."))

    def taken(self) -> tuple[int, int]:
        """What changes when the client takes something of a reply.

        Buffers of the system lie between him and ours, so that ours may rest while he takes.
        """
        peer = self.transport.get_extra_info("socket")
        try:
            told = peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _ACKNOWLEDGED.size)
            return self._resumed, _ACKNOWLEDGED.unpack(told)[0]
        except (AttributeError, OSError, ValueError, struct.error):
            # Another system, no TCP, or closed: what is left is all that can be seen.
            return self._resumed, self.transport.get_write_buffer_size()

    def cut_off(self) -> None:
        """End the connection of a client who takes nothing."""
        observe(Notice("A client took nothing of his reply and was cut off.", "info", "engine.http.wire"))
        self.transport.abort()

    # ------------------------------------------------------------ private

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """The application answers this request from now on; others wait behind it."""
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def _should_upgrade(self) -> bool:
        """Only where there is a websocket; elsewhere such a request is like any other."""
        return super()._should_upgrade() and self.url.partition(b"?")[0] in SOCKET_PATHS

    def _unwatch(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    def _give_up(self) -> None:
        self._watch = None
        if not self._is_free():
            # The request before it is still being answered: it comes first.
            self._watch = self.loop.call_later(self._head_timeout_s, self._give_up)
        elif self._is_in_head:
            self._refuse(RequestTimeout(f"The request did not arrive within {self._head_timeout_s:.0f} seconds."))
        elif not self.transport.is_closing():
            self.transport.close()
            self._expect_taking()

    def _expect_rest(self) -> None:
        """See that a connection ends whose last reply is written: what comes after it has stopped uvicorn's timer."""
        if self.transport.is_closing() or self.transport.get_protocol() is not self:
            return
        if BODY_IS_HERE not in self.scope:
            # It is read and dropped for a while, so that the connection can be used again.
            self._watch = self.loop.call_later(self._head_timeout_s, self._give_up)
        elif self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _expect_taking(self) -> None:
        """Look after a while whether the client has taken anything of what waits for him."""
        if self._taking is None and self.transport.get_write_buffer_size():
            self._taking = self.loop.call_later(self.taking_timeout_s, self._end_silence, self.taken())

    def _end_silence(self, taken_before: tuple[int, int]) -> None:
        self._taking = None
        # What is left of a connection that became a websocket is `live_wire.py`'s.
        if self.transport.get_protocol() is not self:
            return
        # A full buffer that empties a byte at a time is slow and is waited for.
        if self.transport.get_write_buffer_size() and self.taken() == taken_before:
            self.cut_off()
        else:
            self._expect_taking()

    def _is_free(self) -> bool:
        """Whether no request is being answered."""
        return bool(getattr(self.cycle, "response_complete", True))

    def _refuse(self, problem: Problem) -> None:
        """Answer and hang up; where that would be taken for another request's reply, only the latter."""
        self._unwatch()
        if self.transport.is_closing():
            return
        # A fault in a body is its own request's, as long as the application has said nothing.
        if self._is_free() or not (self.pipeline or self._is_in_head or self.cycle.response_started):
            request_id = secrets.token_urlsafe(8)
            body = render_problem(problem, instance="/", request_id=request_id)
            headers = [
                *self.server_state.default_headers,
                (b"content-type", PROBLEM_TYPE),
                (b"content-length", b"%d" % len(body)),
                (b"cache-control", b"no-store"),
                (b"x-request-id", request_id.encode("ascii")),
                (b"connection", b"close"),
            ]
            lines = [STATUS_LINE[problem.status], *(b"%s: %s\r\n" % pair for pair in headers), b"\r\n", body]
            self.transport.write(b"".join(lines))
        self.transport.close()
        self._expect_taking()


def write_whole(send: Send, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> bool:
    """Write a reply whose head and body are known, at once.

    It writes the very bytes that two ASGI messages would, for a third of their cost, where nothing is special: the
    channel is uvicorn's own, the connection stays open and takes bytes.

    Args:
        send: The ASGI channel.
        status: HTTP status.
        headers: All of them, lower-case, ``content-length`` among them unless the status has no body.
        body: What is written behind them; empty for HEAD.

    Returns:
        Whether it was written; else the two messages are to be sent.
    """
    cycle = getattr(send, "__self__", None)
    if type(cycle) is not RequestResponseCycle:
        return False
    if cycle.response_started or cycle.disconnected or not cycle.keep_alive or cycle.flow.write_paused:
        return False
    parts = [STATUS_LINE[status]]
    for pair in (cycle.default_headers, headers):
        for name, value in pair:
            if b"\n" in value or b"\r" in value or name == b"connection":
                return False
            parts += (name, b": ", value, b"\r\n")
    parts.append(b"\r\n")
    cycle.response_started = cycle.response_complete = True
    cycle.waiting_for_100_continue = False
    if len(body) <= MAX_JOINED_BYTES:
        parts.append(body)
        cycle.transport.write(b"".join(parts))
    else:
        cycle.transport.write(b"".join(parts))
        cycle.transport.write(body)
    cycle.message_event.set()
    cycle.on_response()
    return True
