"""The layer around the application: an old request goes in as its V3 equivalent, the reply comes back in its old form.

It reads no data and decides about no right: the application inside does both, for the equivalent, by the same
credentials. What is no old route goes through untouched.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import orjson

from engine import TRANSLATION, Host, InnerReply, OldRoute, Registry, Translation
from legacy_shim import deprecation
from legacy_shim.replies import shape_reply
from legacy_shim.routes import Place, find_place
from legacy_shim.shapes import Deprecations, LegacyCall, OldReply
from legacy_shim.translation import translate
from legacy_shim.words import TypeWords, Words

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

NOT_FOUND = 404
MAX_INSTANCE = 300
# An old client gets the whole reply, and knows no preferences; a GET has none.
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
                exchange = _Exchange(self, scope, place, words, everything)
                await self.inside(exchange.scope(scope), receive, send)
                exchange.note()
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

    __slots__ = ("_call", "_everything", "_layer", "_path", "_place", "_status", "_translation", "_words")

    def __init__(self, layer: LegacyLayer, scope: Scope, place: Place, words: TypeWords, everything: Words) -> None:
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        self._layer, self._place, self._words, self._everything = layer, place, words, everything
        self._path = scope["path"]
        call = self._call = translate(place, method, scope["query_string"], scope["headers"], words, everything)
        refusal = call.refusal
        if refusal is None and call.is_use:
            refusal = layer.deprecations.admit(call)
        self._translation = Translation(call.rewrite, self._reshape, refusal)
        self._status = 0

    def scope(self, scope: Scope) -> Scope:
        """The request for the application inside, which answers by `_reshape`."""
        return _scope_of(self._call, scope, self._translation)

    def note(self) -> None:
        """Take the use down, once it was answered."""
        caller = self._translation.principal
        if self._call.is_use and self._status and self._translation.is_seen and caller is not None:
            self._layer.deprecations.note(self._call, caller, self._translation.request_id, self._status)

    def _reshape(self, reply: InnerReply) -> OldReply:
        """The old reply to the call."""
        call, status = self._call, reply.status
        self._status = status
        if status == NOT_FOUND and not self._translation.is_seen:
            # A type that this caller may not see is answered as a word that is no type.
            return status, _as_unknown(reply.body, self._path), reply.headers, reply.content_type
        more = self._layer.deprecations.headers(call)
        if call.v3_method == "OPTIONS" and not reply.body:
            allow = self._place.allow.encode("ascii")
            kept = tuple((name, allow if name == b"allow" else value) for name, value in reply.headers)
            return status, b"", (*kept, *more), None
        shapes = self._place.version.shapes
        status, body, headers, content_type = shape_reply(call, self._words, self._everything, shapes, reply)
        return status, body, (*headers, *more), content_type


def list_routes(registry: Registry) -> tuple[OldRoute, ...]:
    """The old routes for each type of a registry; what the engine asks to tell which of them nobody uses."""
    return deprecation.list_routes(registry)


def make_layer(inside: Application, host: Host) -> LegacyLayer:
    """Put the old API around an application; what the engine calls, having found this file by its name."""
    return LegacyLayer(inside, host, deprecation.Deprecation(host))


def _scope_of(call: LegacyCall, scope: Scope, translation: Translation) -> Scope:
    """The request as the application inside gets it."""
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    if call.v3_method != "GET":
        headers = [pair for pair in headers if pair[0] != _LEFT_OUT]
    if call.v3_headers:
        headers = [*headers, *call.v3_headers]
    return {
        **scope,
        "method": "HEAD" if scope["method"] == "HEAD" else call.v3_method,
        "path": call.v3_path,
        "raw_path": call.v3_path.encode("ascii"),
        "query_string": call.v3_query.encode("latin-1"),
        "headers": headers,
        TRANSLATION: translation,
    }


def _as_unknown(body: bytes, path: str) -> bytes:
    problem = orjson.loads(body)
    problem["instance"] = path[:MAX_INSTANCE].encode("utf-8", "replace").decode("utf-8")
    return orjson.dumps(problem)
