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

from engine.errors import NotFound, RangeNotSatisfiable, StaleVersion
from engine.execute.files import HeldFile
from engine.http.call import Request
from engine.http.reply import Headers
from engine.io.blobs import BlobStore, OpenBlob
from engine.language.files import (
    UNKNOWN_TYPE,
    ByteRange,
    Unsatisfiable,
    content_disposition,
    is_passive,
    parse_range,
)
from engine.observe import Notice, observe

IMMUTABLE = b"private, max-age=31536000, immutable"
"""Of a URL that names the bytes themselves."""
REVALIDATE = b"private, no-cache"
"""Of a URL that names an object: it may be renamed, replaced or taken away."""

NO_BYTES = ByteRange(0, 0)
_VARY = (b"vary", b"Authorization, X-API-Key, X-Account-Id")
_SAFE: Headers = (
    (b"accept-ranges", b"bytes"),
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; sandbox"),
    (b"cross-origin-resource-policy", b"same-site"),
    (b"referrer-policy", b"no-referrer"),
)


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
        return BlobResponse(304, kept, None)
    part = None if request.is_head else _wanted_part(request, file, etag)
    is_inline = is_passive(file.content_type)
    described: Headers = (
        *kept,
        *_SAFE,
        (b"content-type", (file.content_type or UNKNOWN_TYPE).encode("latin-1", "replace")),
        (b"content-disposition", content_disposition(file.file_name, is_inline=is_inline).encode("ascii")),
    )
    if request.is_head:
        return BlobResponse(200, (*described, (b"content-length", b"%d" % file.size_bytes)), None)
    blob = await blobs.open(file.digest)
    if blob is None or blob.size_bytes != file.size_bytes:
        if blob is not None:
            await blob.__aexit__(None, None, None)
        observe(Notice("A file's bytes are not in the store.", logger="engine.http.downloads", level="error"))
        raise NotFound("There is nothing here, or nothing that you may see.")
    if part is None:
        length = b"%d" % file.size_bytes
        return BlobResponse(200, (*described, (b"content-length", length)), blob, ByteRange(0, file.size_bytes))
    span = b"bytes %d-%d/%d" % (part.start, part.end - 1, file.size_bytes)
    length = b"%d" % (part.end - part.start)
    return BlobResponse(206, (*described, (b"content-range", span), (b"content-length", length)), blob, part)


class BlobResponse(Response):
    """Headers, and perhaps bytes of a blob.

    Args:
        status: HTTP status.
        headers: All of them.
        blob: Open; closed when it was sent, or could not be. None = no body.
        part: Which bytes of it.
    """

    def __init__(
        self,
        status: int,
        headers: Sequence[tuple[bytes, bytes]],
        blob: OpenBlob | None,
        part: ByteRange = NO_BYTES,
    ) -> None:
        self.status_code = status
        self.raw_headers = list(headers)
        self.background = None
        self.body = b""
        self._blob = blob
        self._part = part

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it; the client may go at any time."""
        if self._blob is None:
            await self._send_head(send)
            await send({"type": "http.response.body", "body": b""})
            return
        async with self._blob as blob:
            await self._send_head(send)
            chunks = blob.read(self._part.start, self._part.end)
            left = self._part.end - self._part.start
            watch: asyncio.Task[None] | None = None
            try:
                async for chunk in chunks:
                    left -= len(chunk)
                    await send({"type": "http.response.body", "body": chunk, "more_body": left > 0})
                    if left and watch is None:
                        # A server drops what is sent to nobody without a word.
                        watch = asyncio.create_task(_wait_until_gone(receive))
                    if watch is not None and watch.done():
                        return
                if self._part.end == self._part.start:
                    await send({"type": "http.response.body", "body": b""})
            finally:
                if watch is not None:
                    watch.cancel()
                    with suppress(asyncio.CancelledError):
                        await watch

    async def _send_head(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})


async def _wait_until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


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
