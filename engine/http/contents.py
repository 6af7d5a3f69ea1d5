"""Contents as a whole, for actions that work on them: a file's bytes taken in, bytes that were made answered.

What a client uploads or downloads is streamed; see `multipart.py` and `downloads.py`.
"""

from __future__ import annotations

from starlette.responses import Response

from engine.errors import PayloadTooLarge
from engine.execute.files import HeldFile
from engine.http.dependencies import CallerContext
from engine.http.fallback import as_response
from engine.http.reply import PRIVATE_HEADERS, Reply
from engine.language.files import content_disposition, is_passive
from engine.plan.read import not_found

# Nothing runs in it and nothing is fetched by it; what it holds itself may be shown.
_HARMLESS = b"default-src 'none'; style-src 'unsafe-inline'; font-src data:; img-src data:; sandbox"


async def read_file(caller: CallerContext, file: HeldFile, *, most_bytes: int) -> bytes:
    """All bytes of a file that the caller may have.

    Args:
        caller: Who asks.
        file: What `find_file` or `find_digest` gave him.
        most_bytes: How many it may be.

    Raises:
        PayloadTooLarge: There are more; none was read.
        NotFound: The bytes are not in the store.
        Unavailable: The store is away.
    """
    if file.size_bytes > most_bytes:
        raise PayloadTooLarge(f"The file has {file.size_bytes} bytes; {most_bytes} are possible here.")
    blob = await caller.runtime.blobs.open(file.digest)
    if blob is None:
        raise not_found()
    async with blob:
        return b"".join([chunk async for chunk in blob.read(0, min(blob.size_bytes, most_bytes))])


def made_file(body: bytes, media_type: str, file_name: str) -> Response:
    """Answer bytes that were made for the caller as a file, under headers with which nothing in it can run.

    Args:
        body: All of it.
        media_type: PDF and what `is_passive` knows are shown, anything else is saved.
        file_name: What it is saved as.
    """
    is_inline = is_passive(media_type) or media_type == "application/pdf"
    headers = (
        *PRIVATE_HEADERS,
        (b"x-content-type-options", b"nosniff"),
        (b"content-security-policy", _HARMLESS),
        (b"content-disposition", content_disposition(file_name, is_inline=is_inline).encode("ascii")),
    )
    return as_response(Reply(200, body, headers, media_type.encode("ascii")))
