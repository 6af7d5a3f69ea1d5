"""A request read off the wire: headers, query string, body. What it means is `http/dispatch.py`'s business."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from time import perf_counter

from starlette.types import Message, Receive, Scope

from engine.errors import BadRequest, ErrorItem, PayloadTooLarge, RequestTimeout, ValidationFailed
from engine.http.wire import BODY_IS_HERE
from engine.language.call import (
    NO_PREFERENCES,
    Precondition,
    Preferences,
    check_content_type,
    parse_precondition,
    parse_preferences,
)
from engine.language.json import decode_json
from engine.language.query import parse_query, read_flags, split_query, unknown_parameter
from engine.language.search import EMPTY_SEARCH, SearchBody
from engine.plugins.layers import TRANSLATION, Translation
from engine.settings import Settings


@dataclass(slots=True)
class Request:
    """One HTTP request of ours.

    Attributes:
        method: Upper case; HEAD has become GET.
        is_head: Whether it was HEAD.
        path: Percent-decoded.
        query: As it came.
        headers: By lower-case name; of a header given twice the last.
        request_id: Known by it in reply and log.
        marks: Times at which stages ended, by name, for ``Server-Timing``.
        route: The route template, for logs and metrics; never with an id in it.
        scope: The ASGI scope, as far as the wire tells more than ASGI does.
        translation: What a layer around the application says of it; None where the client sent it so himself.
    """

    method: str
    path: str
    query: bytes
    headers: Mapping[bytes, bytes]
    receive: Receive
    request_id: str
    client: str
    settings: Settings
    started: float = field(default_factory=perf_counter)
    marks: list[tuple[str, float]] = field(default_factory=list)
    route: str = "unmatched"
    account: str | None = None
    caller: str = "anonymous"
    problem: str | None = None
    translation: Translation | None = None
    is_head: bool = False
    scope: Mapping[str, object] = field(default_factory=dict)

    def mark(self, stage: str) -> None:
        """Note that a stage has ended now."""
        self.marks.append((stage, perf_counter()))

    def header(self, name: bytes) -> str | None:
        """A header's value as text, or None."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    def base_url(self) -> str:
        """Where the caller has found us, as he says himself; empty where he does not."""
        host = self.header(b"host") or ""
        return f"{self.scope.get('scheme', 'http')}://{host}" if _HOST.fullmatch(host) else ""

    def preferences(self) -> Preferences:
        """What ``Prefer`` asks for."""
        value = self.headers.get(b"prefer")
        return NO_PREFERENCES if value is None else parse_preferences(value.decode("latin-1"))

    def precondition(self, name: bytes, shown: str) -> Precondition | None:
        """``If-Match`` or ``If-None-Match``, parsed.

        Raises:
            BadRequest: It is malformed.
        """
        value = self.headers.get(name)
        return None if value is None else parse_precondition(value.decode("latin-1"), shown)

    def search_of_query(self, allowed: frozenset[str] | None = None) -> SearchBody:
        """The query string as a search.

        Args:
            allowed: The only parameters that this call takes; None for a list, which takes all and fields too.

        Raises:
            BadRequest: A parameter is unknown or given twice.
            ValidationFailed: A value is wrong.
        """
        if not self.query:
            return EMPTY_SEARCH if allowed is not None else _EMPTY_QUERY
        if allowed is not None:
            for name, _ in split_query(self.query):
                if name not in allowed:
                    raise unknown_parameter(name, sorted(allowed))
        return _parse_query(self.query)

    def flags(self, allowed: frozenset[str]) -> dict[str, str]:
        """The query string of a call that takes only some parameters, as text.

        Raises:
            BadRequest: A parameter is unknown or given twice.
        """
        return read_flags(self.query, allowed)

    async def json(self, max_bytes: int) -> object:
        """The body as strict JSON; an empty one is ``{}``.

        Raises:
            UnsupportedMediaType, PayloadTooLarge, RequestTimeout, BadJson, ValidationFailed: As their names say.
        """
        check_content_type(self.header(b"content-type"), self.header(b"content-encoding"))
        value = decode_json(await self.body(max_bytes))
        translation = self.translation
        return value if translation is None or translation.rewrite is None else translation.rewrite(value)

    async def body(self, max_bytes: int) -> bytes:
        """Read the body, refusing early what is too large.

        Raises:
            PayloadTooLarge: It is, or says it will be, longer than `max_bytes`.
            RequestTimeout: It does not arrive in time.
            BadRequest: Its announced length is no number.
        """
        declared = self.headers.get(b"content-length")
        if declared is not None:
            if not declared.isdigit():
                raise BadRequest("Content-Length is not a number.")
            if len(declared) > 15 or int(declared) > max_bytes:
                raise _too_large(max_bytes)
        limit_s = self.settings.body_timeout_s
        message = await self._receive_within(limit_s)
        chunk: bytes = message.get("body", b"")
        if not message.get("more_body", False):
            if len(chunk) > max_bytes:
                raise _too_large(max_bytes)
            return chunk
        deadline = asyncio.get_running_loop().time() + limit_s
        chunks, size = [chunk], len(chunk)
        while message.get("more_body", False):
            if size > max_bytes:
                raise _too_large(max_bytes)
            message = await self._receive_within(deadline - asyncio.get_running_loop().time())
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
        if size > max_bytes:
            raise _too_large(max_bytes)
        return b"".join(chunks)

    async def _receive_within(self, limit_s: float) -> Message:
        try:
            if BODY_IS_HERE in self.scope:
                # It does not wait, and a time-out that cannot strike costs 3 % of a small write.
                message = await self.receive()
            else:
                async with asyncio.timeout(max(limit_s, 0.001)):
                    message = await self.receive()
        except TimeoutError as error:
            detail = f"The body did not arrive within {self.settings.body_timeout_s:.0f} seconds."
            raise RequestTimeout(detail, headers=(("Connection", "close"),)) from error
        if message["type"] == "http.disconnect":
            raise ClientGone
        return message


_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}(?::\d{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](?::\d{1,5})?")


class ClientGone(Exception):
    """The client closed the connection before its request was complete; nobody is there to be answered."""


_EMPTY_QUERY = parse_query("")


@lru_cache(maxsize=2_048)
def _parse_query(query: bytes) -> SearchBody:
    return parse_query(query)


def make_request(scope: Scope, receive: Receive, request_id: str, settings: Settings) -> Request:
    """Take an ASGI scope apart."""
    method: str = scope["method"]
    client = scope.get("client")
    return Request(
        method="GET" if method == "HEAD" else method,
        path=scope["path"],
        query=scope["query_string"],
        headers=dict(scope["headers"]),
        receive=receive,
        request_id=request_id,
        client=client[0] if client else "",
        settings=settings,
        is_head=method == "HEAD",
        translation=scope.get(TRANSLATION),
        scope=scope,
    )


def refuse_promises(headers: Mapping[bytes, bytes]) -> None:
    """Refuse a header that promises what this version does not do, rather than ignore the promise.

    Raises:
        ValidationFailed: ``Idempotency-Key`` is there.
    """
    if b"idempotency-key" in headers:
        detail = "Idempotency-Key is not supported by this call; leave it out."
        raise ValidationFailed(errors=[ErrorItem("bad-operand", detail, header="Idempotency-Key")])


def split_path(path: str, prefix: str) -> Sequence[str] | None:
    """The segments behind a prefix, with or without one slash at the end; None where a segment is empty."""
    rest = path[len(prefix) :]
    if rest.endswith("/"):
        rest = rest[:-1]
    if not rest:
        return ()
    parts = rest.split("/")
    return None if "" in parts else parts


def _too_large(max_bytes: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"The body is larger than {max_bytes} bytes.", headers=(("Connection", "close"),))
