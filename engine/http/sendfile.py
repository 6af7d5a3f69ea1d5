"""A part of a file, from the system's memory to a socket, past this process: no copies, and none kept for slow clients.

uvloop has no ``sendfile``, so the system's own is called, on a second descriptor of the connection's socket: its first
one belongs to uvloop. Where that cannot be done (TLS, another server, another system) the caller sends the bytes
himself.
"""

from __future__ import annotations

import asyncio
import errno
import os
import sys
from asyncio import Future

from starlette.types import Send
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from engine.http.wire import Wire
from engine.io.blobs import OpenBlob
from engine.observe import Notice, observe

CHANNEL = "aether.channel"
"""Key of a request's scope: the server's own ``send``, without what the application has put around it."""

PIECE_BYTES = 1024 * 1024
"""After so many bytes others have their turn."""
HEAD_WAIT_S, MOST_HEAD_WAIT_S = 0.005, 0.1
_GONE = {errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN, errno.EBADF, errno.ETIMEDOUT, errno.EHOSTUNREACH}
_NOT_SO = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EOVERFLOW}


async def send_file(channel: Send | None, blob: OpenBlob, start: int, end: int, gone: Future[None]) -> bool:
    """Send a part of a file as the whole body of a reply whose head was sent; the last, empty message is left to do.

    Args:
        channel: The server's own ``send``.
        blob: Open until this ends.
        start: The first byte.
        end: The one behind the last; the head's ``content-length`` is ``end - start``.
        gone: Is done when the client is gone.

    Returns:
        Whether it was done, or the connection was given up; else nothing was sent.

    Raises:
        Unavailable: The bytes cannot be read; some of them may have been sent.
    """
    cycle = getattr(channel, "__self__", None)
    if sys.platform != "linux" or type(cycle) is not RequestResponseCycle or blob.fileno is None:
        return False
    transport = cycle.transport
    wire, peer = transport.get_protocol(), transport.get_extra_info("socket")
    if not isinstance(wire, Wire) or peer is None or transport.get_extra_info("sslcontext") is not None:
        return False
    if cycle.disconnected or cycle.expected_content_length != end - start:
        return False
    if await _wait_for_head(wire, gone):
        own = os.dup(peer.fileno())
        try:
            if not await _send_pieces(own, wire, blob, start, end, gone):
                return False
        finally:
            os.close(own)
    cycle.expected_content_length = 0
    if transport.is_closing():
        # What is still said goes to nobody.
        cycle.disconnected = True
    return True


async def _wait_for_head(wire: Wire, gone: Future[None]) -> bool:
    """Wait until what was written before is on its way; False where the client is gone, or takes nothing of it."""
    loop = asyncio.get_running_loop()
    pause_s = HEAD_WAIT_S
    before, until = wire.taken(), loop.time() + wire.taking_timeout_s
    while wire.transport.get_write_buffer_size() and not _is_over(wire, gone):
        await asyncio.wait((gone,), timeout=pause_s)
        pause_s = min(2 * pause_s, MOST_HEAD_WAIT_S)
        if loop.time() > until:
            if wire.taken() == before:
                wire.cut_off()
                return False
            before, until = wire.taken(), loop.time() + wire.taking_timeout_s
    return not _is_over(wire, gone)


async def _send_pieces(own: int, wire: Wire, blob: OpenBlob, start: int, end: int, gone: Future[None]) -> bool:
    """Send; False where the system does not send this file so, and nothing was sent."""
    file = blob.fileno
    assert file is not None
    first = start
    while start < end and not _is_over(wire, gone):
        piece_end = min(start + PIECE_BYTES, end)
        await blob.prepare(start, piece_end)
        while start < piece_end:
            try:
                sent = os.sendfile(own, file, start, piece_end - start)
            except BlockingIOError:
                if not await _wait_for_room(own, wire, gone):
                    return True
                continue
            except OSError as fault:
                if fault.errno in _NOT_SO and start == first:
                    return False
                sent = 0
                if fault.errno in _GONE:
                    wire.transport.abort()
                    return True
            if not sent:
                # An end that comes too early is all that can tell the client.
                observe(Notice("A file cannot be read to its end.", "error", "engine.http.sendfile"))
                wire.transport.abort()
                return True
            start += sent
        await asyncio.sleep(0)
    return True


def _is_over(wire: Wire, gone: Future[None]) -> bool:
    return gone.done() or wire.transport.is_closing()


async def _wait_for_room(own: int, wire: Wire, gone: Future[None]) -> bool:
    """Wait until the client has taken something; False where he is gone, or has taken nothing for too long."""
    loop = asyncio.get_running_loop()
    room: Future[None] = loop.create_future()
    loop.add_writer(own, _tell, room)
    try:
        while True:
            before = wire.taken()
            done, _ = await asyncio.wait(
                (room, gone), timeout=wire.taking_timeout_s, return_when=asyncio.FIRST_COMPLETED
            )
            if done:
                return not _is_over(wire, gone)
            if wire.taken() == before:
                wire.cut_off()
                return False
    finally:
        loop.remove_writer(own)
        room.cancel()


def _tell(room: Future[None]) -> None:
    if not room.done():
        room.set_result(None)
