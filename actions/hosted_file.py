"""Files going out: by id, by digest, by a signed URL.

Each action is made for every type that the registry calls a file (``file:``); the id of a container of whatever type
stands for the file that it resolves to (``resolves_to``).

Who may read a file's row may read its bytes: a download needs the type's read scope and none of its own. Whether a file
is there for the caller is settled by the plans that find it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Annotated, Any

from fastapi import Query

from engine import (
    Caller,
    Registry,
    Resource,
    Response,
    action,
    envelope,
    file_types,
    find_digest,
    find_file,
    for_registry,
    open_signed,
    send_file,
    sign_url,
)

PREFIX = "/v3/action"
MAX_TTL_S = 86_400

Handler = Callable[..., Awaitable[Response]]

_BINARY = {"schema": {"type": "string", "format": "binary"}}
_HEADERS = {
    "ETag": {"description": "The digest of the bytes, in quotes.", "schema": {"type": "string"}},
    "Accept-Ranges": {"schema": {"type": "string", "const": "bytes"}},
    "Content-Disposition": {"schema": {"type": "string"}},
}
DOWNLOAD: dict[str, Any] = {
    "parameters": [
        {
            "name": "Range",
            "in": "header",
            "description": "One range of bytes; of several, or one that cannot be read, the whole is answered.",
            "schema": {"type": "string", "examples": ["bytes=0-1023", "bytes=-500"]},
        },
        {"name": "If-Range", "in": "header", "schema": {"type": "string"}},
        {"name": "If-None-Match", "in": "header", "schema": {"type": "string"}},
    ],
    "responses": {
        "200": {"description": "The bytes.", "headers": _HEADERS, "content": {"*/*": _BINARY}},
        "206": {
            "description": "The range that was asked for.",
            "headers": {**_HEADERS, "Content-Range": {"schema": {"type": "string"}}},
            "content": {"*/*": _BINARY},
        },
        "304": {"description": "The caller has these bytes already.", "headers": {"ETag": _HEADERS["ETag"]}},
        "416": {
            "description": "The range begins behind the last byte.",
            "headers": {"Content-Range": {"schema": {"type": "string", "examples": ["bytes */2048"]}}},
        },
    },
}


@for_registry
def download_actions(registry: Registry) -> Iterable[Handler]:
    """The actions of each type of files."""
    for resource in file_types(registry):
        yield from _actions_of(resource)


def _actions_of(resource: Resource) -> Iterable[Handler]:
    name, title = resource.name, resource.title.lower()

    @action(
        "GET",
        f"{name}/{{file_id}}/download",
        name=f"{name}_download",
        title=f"Download {title}",
        scope=None,
        type=name,
        needs=(f"{name}:read",),
        openapi=DOWNLOAD,
    )
    async def download(file_id: str, caller: Caller) -> Response:
        """The bytes of a file, or of the file that an object of another type resolves to.

        The reply may be kept, but must be asked for again each time: the object may be renamed or taken away.
        """
        caller.require(name, "read")
        caller.request.flags(frozenset())
        return await send_file(caller, await find_file(caller, file_id))

    yield download

    @action(
        "GET",
        f"{name}/sha256/{{digest}}",
        name=f"{name}_by_digest",
        title=f"Download {title} by digest",
        scope=None,
        type=name,
        needs=(f"{name}:read",),
        openapi=DOWNLOAD,
    )
    async def download_digest(digest: str, caller: Caller) -> Response:
        """The bytes that have this SHA-256 (64 lower-case hex digits), where an account of the caller has them.

        They never change, so the reply may be kept for good. Bytes that only others have are a 404, as unknown ones.
        """
        caller.require(name, "read")
        caller.request.flags(frozenset())
        return await send_file(caller, await find_digest(caller, digest), is_immutable=True)

    yield download_digest

    def signed_path(file_id: str) -> str:
        return f"{PREFIX}/{name}/{file_id}/signed"

    @action(
        "GET",
        f"{name}/{{file_id}}/signed_url",
        name=f"{name}_signed_url",
        title=f"Sign a URL of {title}",
        scope="action:signed_url",
        type=name,
        needs=(f"{name}:read",),
    )
    async def make_signed_url(
        file_id: str,
        caller: Caller,
        ttl: Annotated[int | None, Query(ge=1, le=MAX_TTL_S, description="How long it holds, in seconds.")] = None,
    ) -> Response:
        """A URL by which whoever has it may GET the bytes for a while, without credentials.

        It ends earlier when the object is deleted, or gets other bytes.
        """
        caller.request.flags(frozenset({"ttl"}))
        longest_s = caller.request.settings.signed_url_s
        made = await sign_url(caller, signed_path(file_id), file_id, ttl_s=longest_s if ttl is None else ttl)
        return envelope({"url": made.url, "expires_on": made.expires_on})

    yield make_signed_url

    @action(
        "GET",
        f"{name}/{{file_id}}/signed",
        name=f"{name}_signed",
        title=f"Download {title} by a signed URL",
        scope=None,
        type=name,
        openapi=DOWNLOAD,
    )
    async def download_signed(
        file_id: str, caller: Caller, account: str = "", digest: str = "", expires: str = "", signature: str = ""
    ) -> Response:
        """The bytes of a file by a URL that somebody has signed for a while; it needs no credentials.

        A URL that was altered and one whose time has come are the same 403.
        """
        said = {"account": account, "digest": digest, "expires": expires, "signature": signature}
        caller.request.flags(frozenset(said))
        return await send_file(caller, await open_signed(caller, signed_path(file_id), file_id, said))

    yield download_signed
