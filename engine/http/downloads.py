"""Bytes going out: conditions, ranges, and headers under which a browser runs nothing of what somebody uploaded.

Which file it is and whether the caller may have it is settled before. Several ranges at once are answered with the
whole, which RFC 9110 (14.2) leaves to the server: nobody needs them, and they are how servers are kept busy.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from engine.errors import RangeNotSatisfiable, StaleVersion
from engine.execute.files import HeldFile
from engine.http.call import Request
from engine.http.fallback import as_response
from engine.http.reply import Headers, Reply
from engine.http.sendfile import CHANNEL, send_file
from engine.io.blobs import BlobStore, OpenBlob
from engine.language.files import (
    UNKNOWN_TYPE,
    ByteRange,
    Unsatisfiable,
    content_disposition,
    is_passive,
    parse_range,
)
from engine.light import light
from engine.observe import Notice, observe
from engine.plan.read import not_found

IMMUTABLE = b"private, max-age=31536000, immutable"
"""Of a URL that names the bytes themselves."""
REVALIDATE = b"private, no-cache"
"""Of a URL that names an object: it may be renamed, replaced or taken away."""

SMALL_BYTES = 64 * 1024
"""What is read as a whole and written at once."""

_VARY = (b"vary", b"Authorization, X-API-Key, X-Account-Id")
_SAFE: Headers = (
    (b"accept-ranges", b"bytes"),
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; sandbox"),
    (b"cross-origin-resource-policy", b"same-site"),
    (b"referrer-policy", b"no-referrer"),
)


@light
@dataclass(frozen=True, slots=True)
class Offer:
    """A file that the caller may have, and how long he may keep what he gets.

    Attributes:
        cache: Value of ``Cache-Control``.
    """

    file: HeldFile
    cache: bytes


async def answer_file(request: Request, blobs: BlobStore, offer: Offer) -> Response:
    """Answer a GET or HEAD of a file.

    Raises:
        StaleVersion: ``If-Match`` names other bytes.
        RangeNotSatisfiable: The range begins behind the end.
        NotFound: The bytes are not in the store.
        Unavailable: The store is away.
    """
    file = offer.file
    etag = f'"{file.digest}"'.encode("ascii")
    kept: Headers = ((b"etag", etag), (b"cache-control", offer.cache), _VARY)
    wanted = request.precondition(b"if-match", "If-Match")
    if wanted is not None and not wanted.matches_strongly(file.digest):
        raise StaleVersion("The file is another one than If-Match names.")
    known = request.precondition(b"if-none-match", "If-None-Match")
    if known is not None and known.matches_weakly(file.digest):
        return as_response(Reply(304, b"", kept, None))
    part = None if request.is_head else _wanted_part(request, file, etag)
    is_inline = is_passive(file.content_type)
    described: Headers = (
        *kept,
        *_SAFE,
        (b"content-disposition", content_disposition(file.file_name, is_inline=is_inline).encode("ascii")),
    )
    content_type = (file.content_type or UNKNOWN_TYPE).encode("latin-1", "replace")
    if request.is_head:
        return _HeadResponse(200, (*described, *_about(content_type, file.size_bytes)))
    blob = await _open(blobs, file)
    if part is not None:
        described = (*described, (b"content-range", b"bytes %d-%d/%d" % (part.start, part.end - 1, file.size_bytes)))
    status = 200 if part is None else 206
    part = part or ByteRange(0, file.size_bytes)
    if part.end - part.start <= SMALL_BYTES:
        async with blob:
            body = b"".join([chunk async for chunk in blob.read(part.start, part.end)])
        return as_response(Reply(status, body, described, content_type))
    return BlobResponse(status, (*described, *_about(content_type, part.end - part.start)), blob, part)


class _HeadResponse(Response):
    """Headers alone, the length among them of what is not sent."""

    def __init__(self, status: int, headers: Sequence[tuple[bytes, bytes]]) -> None:
        super().__init__(None, status)
        self.raw_headers = list(headers)


class BlobResponse(_HeadResponse):
    """Bytes of a blob, past this process where that can be, else a chunk at a time.

    Args:
        status: HTTP status.
        headers: All of them.
        blob: Open; closed when it was sent, or could not be.
        part: Which bytes of it.
    """

    def __init__(self, status: int, headers: Sequence[tuple[bytes, bytes]], blob: OpenBlob, part: ByteRange) -> None:
        super().__init__(status, headers)
        self._blob = blob
        self._part = part

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it; the client may go at any time."""
        async with self._blob as blob:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            # A server drops what is sent to nobody without a word.
            watch = asyncio.create_task(_wait_until_gone(receive))
            try:
                if await send_file(scope.get(CHANNEL), blob, self._part.start, self._part.end, watch):
                    await send({"type": "http.response.body", "body": b"", "more_body": False})
                    return
                left = self._part.end - self._part.start
                async for chunk in blob.read(self._part.start, self._part.end):
                    left -= len(chunk)
                    await send({"type": "http.response.body", "body": chunk, "more_body": left > 0})
                    if watch.done():
                        return
            finally:
                watch.cancel()
                with suppress(asyncio.CancelledError):
                    await watch


async def _open(blobs: BlobStore, file: HeldFile) -> OpenBlob:
    blob = await blobs.open(file.digest)
    if blob is not None and blob.size_bytes == file.size_bytes:
        return blob
    if blob is not None:
        async with blob:
            pass
    observe(Notice("A file's bytes are not in the store.", level="error", logger="engine.http.downloads"))
    raise not_found()


def _about(content_type: bytes, size_bytes: int) -> Headers:
    return (b"content-type", content_type), (b"content-length", b"%d" % size_bytes)


async def _wait_until_gone(receive: Receive) -> None:
    """Wait for the end of the connection; it returns for nothing else."""
    has_ended = False
    while (message := await receive())["type"] != "http.disconnect":
        if has_ended:
            # This channel says again and again that the request has ended, and will say nothing else.
            await asyncio.Event().wait()
        has_ended = not message.get("more_body", False)


def _wanted_part(request: Request, file: HeldFile, etag: bytes) -> ByteRange | None:
    header = request.header(b"range")
    if header is None:
        return None
    condition = request.headers.get(b"if-range")
    if condition is not None and condition.strip() != etag:
        return None
    try:
        return parse_range(header, file.size_bytes)
    except Unsatisfiable:
        detail = f"The file has {file.size_bytes} bytes."
        raise RangeNotSatisfiable(detail, headers=(("Content-Range", f"bytes */{file.size_bytes}"),)) from None
