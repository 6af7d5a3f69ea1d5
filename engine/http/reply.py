"""A reply before it is sent, and how it goes out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from starlette.types import Send

from engine.http.wire import write_whole
from engine.light import light

JSON_TYPE = b"application/json"
# Replies are one caller's: no shared cache may keep them (contract, operations).
PRIVATE_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"cache-control", b"private, no-cache"),
    (b"vary", b"Authorization, X-API-Key, X-Account-Id"),
)

SECRET_HEADERS: tuple[tuple[bytes, bytes], ...] = ((b"cache-control", b"no-store"), PRIVATE_HEADERS[1])
"""Of replies with a token or a key in them: no cache at all may keep them."""

Headers = tuple[tuple[bytes, bytes], ...]


@light
@dataclass(frozen=True, slots=True)
class Reply:
    """What is answered.

    Attributes:
        status: HTTP status.
        body: All of it; empty for 204 and 304.
        headers: Without those that every reply has.
        content_type: Of the body; None = no body.
        shown: What the body encodes, where a layer may make another body of it; None where only bytes are known.
    """

    status: int
    body: bytes = b""
    headers: Headers = ()
    content_type: bytes | None = JSON_TYPE
    shown: dict[str, Any] | None = None


async def send_reply(reply: Reply, send: Send, common: list[tuple[bytes, bytes]], *, is_head: bool) -> None:
    """Send a reply with the headers that all replies share.

    Args:
        reply: What is answered.
        send: The ASGI channel.
        common: Headers of this very request: its id, timings, limits.
        is_head: Whether the body is left out, its length kept.
    """
    headers: list[Any] = [*reply.headers, *common]
    if reply.content_type is not None:
        headers.append((b"content-type", reply.content_type))
        headers.append((b"content-length", b"%d" % len(reply.body)))
    elif reply.status not in (204, 304):
        headers.append((b"content-length", b"0"))
    body = b"" if is_head else reply.body
    if write_whole(send, reply.status, headers, body):
        return
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
