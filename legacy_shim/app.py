"""The layer around the application: an old request goes in as its V3 equivalent, the reply comes back in its old form.

It reads no data and decides about no right: the application inside does both, for the equivalent, by the same
credentials. What is no old route goes through untouched.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import unquote

import orjson

from engine import TRANSLATION, Host, OldRoute, Registry, Translation
from legacy_shim import deprecation
from legacy_shim.replies import shape_reply
from legacy_shim.routes import Place, find_place
from legacy_shim.shapes import Deprecations, Headers, LegacyCall, OldReply
from legacy_shim.translation import translate
from legacy_shim.words import TypeWords, Words

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

NOT_FOUND = 404
MAX_INSTANCE = 300
# An old client gets the whole reply, and knows no preferences.
_LEFT_OUT = b"prefer"


class LegacyLayer:
    """An ASGI application that also speaks V1 and V2.

    Args:
        inside: The application that it stands around.
        host: What it may know of the engine.
        deprecations: What happens around each call of an old route.
    """

    def __init__(self, inside: Application, host: Host, deprecations: Deprecations) -> None:
        self.inside = inside
        self.deprecations = deprecations
        self._registry = host.registry
        self._words = Words(host.registry())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection event."""
        place = find_place(scope["path"]) if scope["type"] == "http" else None
        if place is not None:
            everything = self._current_words()
            words = everything.find(place.word)
            if words is not None:
                await _Exchange(self, scope, send, place, words, everything).run(receive)
                return
        await self.inside(scope, receive, send)

    def _current_words(self) -> Words:
        """The words of the registry that is served now: a reload brings another one."""
        registry = self._registry()
        if self._words.registry is not registry:
            self._words = Words(registry)
        return self._words


class _Exchange:
    """One old request and its reply."""

    __slots__ = (
        "_call",
        "_everything",
        "_is_use",
        "_layer",
        "_place",
        "_scope",
        "_send",
        "_start",
        "_translation",
        "_words",
    )

    def __init__(
        self, layer: LegacyLayer, scope: Scope, send: Send, place: Place, words: TypeWords, everything: Words
    ) -> None:
        # The length of a HEAD's reply is that of the old form, so the whole reply is needed.
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        self._layer, self._scope, self._send = layer, scope, send
        self._place, self._words, self._everything = place, words, everything
        self._call = translate(place, method, scope["query_string"], scope["headers"], words, everything)
        self._is_use = method in place.routes
        self._translation = Translation(self._call.rewrite, self._call.refusal)
        self._start: Message = {}

    async def run(self, receive: Receive) -> None:
        """Ask the application inside, and answer as it does."""
        translation = self._translation
        if self._is_use and translation.refusal is None:
            translation.refusal = self._layer.deprecations.admit(self._call)
        await self._layer.inside(_scope_of(self._call, self._scope, translation), receive, self._take)
        if self._is_use and self._start and translation.is_seen and translation.principal is not None:
            headers = self._start["headers"]
            request_id = next((value for name, value in headers if name == b"x-request-id"), b"").decode("latin-1")
            self._layer.deprecations.note(self._call, translation.principal, request_id, self._start["status"])

    async def _take(self, message: Message) -> None:
        """Take a part of the reply; the application inside sends a start and one body."""
        if message["type"] == "http.response.start":
            self._start = message
            return
        old = self._old_reply(self._start["status"], tuple(self._start["headers"]), message.get("body", b""))
        await self._send({"type": "http.response.start", "status": old.status, "headers": list(old.headers)})
        body = b"" if self._scope["method"] == "HEAD" else old.body
        await self._send({"type": "http.response.body", "body": body})

    def _old_reply(self, status: int, headers: Headers, body: bytes) -> OldReply:
        call = self._call
        if status == NOT_FOUND and not self._translation.is_seen:
            # A type that this caller may not see is answered as a word that is no type.
            return _as_unknown(headers, body, self._scope["path"])
        more = self._layer.deprecations.headers(call)
        if call.v3_method == "OPTIONS" and not body:
            allow = self._place.allow.encode("ascii")
            return OldReply(status, (*((n, allow if n == b"allow" else v) for n, v in headers), *more), b"")
        old = shape_reply(call, self._words, self._everything, self._place.version.shapes, status, headers, body)
        return OldReply(old.status, (*old.headers, *more), old.body)


def list_routes(registry: Registry) -> tuple[OldRoute, ...]:
    """The old routes for each type of a registry; what the engine asks to tell which of them nobody uses."""
    return deprecation.list_routes(registry)


def make_layer(inside: Application, host: Host) -> LegacyLayer:
    """Put the old API around an application; what the engine calls, having found this file by its name."""
    return LegacyLayer(inside, host, deprecation.Deprecation(host))


def _scope_of(call: LegacyCall, scope: Scope, translation: Translation) -> Scope:
    """The request as the application inside gets it."""
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    if call.v3_headers or any(name == _LEFT_OUT for name, _ in headers):
        headers = [pair for pair in headers if pair[0] != _LEFT_OUT]
        headers += call.v3_headers
    return {
        **scope,
        "method": call.v3_method,
        "path": unquote(call.v3_path),
        "raw_path": call.v3_path.encode("ascii"),
        "query_string": call.v3_query.encode("latin-1"),
        "headers": headers,
        TRANSLATION: translation,
    }


def _as_unknown(headers: Headers, body: bytes, path: str) -> OldReply:
    problem = orjson.loads(body)
    problem["instance"] = path[:MAX_INSTANCE].encode("utf-8", "replace").decode("utf-8")
    made = orjson.dumps(problem)
    kept = tuple(pair for pair in headers if pair[0] != b"content-length")
    return OldReply(NOT_FOUND, (*kept, (b"content-length", b"%d" % len(made))), made)
