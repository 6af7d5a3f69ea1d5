"""The doors to what is live: the websocket's handshake, and the request for server-sent events.

What is behind them is `live.py`'s and `live_events.py`'s business. A browser is let in only from a page of an origin
that may call, or of this very server: a websocket is not held back by the rules that hold for other requests.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from time import perf_counter, time
from typing import Protocol

from starlette.types import ASGIApp, Receive, Scope, Send

from engine.auth.limits import RateLimiter
from engine.auth.tokens import refuse
from engine.errors import BadRequest, Forbidden, Problem
from engine.execute.runtime import Runtime
from engine.http.call import Request
from engine.http.dispatch import method_not_allowed
from engine.http.live import PATH, Socket
from engine.http.live_connections import Connections
from engine.http.live_events import HEADERS, PATHS, ROUTE, EventStream
from engine.http.live_wire import SOCKET_PATHS
from engine.http.reply import Reply
from engine.language.query import split_query
from engine.observe import RequestServed, observe
from engine.plan.read import not_found
from engine.plan.rights import Rights, rights_of
from engine.principal import ANONYMOUS, Principal
from engine.registry.resource import Registry
from engine.render.problem import PROBLEM_TYPE, render_problem

_METHODS = {"GET": None}
_SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")


class Direct(Protocol):
    """See `app.Direct`."""

    async def answer(self, request: Request, principal: Principal, runtime: Runtime) -> ASGIApp | Reply | None:
        """The reply to a request; None where it is none of them."""


class LiveDoor:
    """Lets clients in.

    Args:
        connections: Where they go.
        registry: The running registry.
        limiter: Requests per caller.
        origins: From which a browser may come.
        inner: Answers what is not live.
    """

    def __init__(
        self,
        connections: Connections,
        registry: Callable[[], Registry],
        limiter: RateLimiter | None,
        origins: tuple[str, ...],
        inner: Direct,
    ) -> None:
        self._connections = connections
        self._registry = registry
        self._limiter = limiter
        self._origins = frozenset(origins)
        self._inner = inner

    async def answer(self, request: Request, principal: Principal, runtime: Runtime) -> ASGIApp | Reply | None:
        """Answer a request for events, or let another answer.

        Raises:
            Problem: A refusal.
        """
        if request.path not in PATHS:
            return await self._inner.answer(request, principal, runtime)
        request.route = ROUTE
        if principal is ANONYMOUS and not rights_of(runtime.registry, principal).visible_types():
            raise refuse()
        if request.method == "OPTIONS":
            return Reply(204, headers=((b"allow", b"GET, HEAD, OPTIONS"),), content_type=None)
        if request.method != "GET":
            raise method_not_allowed(request.method, _METHODS)
        if principal is ANONYMOUS and not _asks_for_public(request, rights_of(runtime.registry, principal)):
            raise refuse()
        stream = EventStream(self._connections, request, principal)
        try:
            await stream.begin()
        except Problem as problem:
            if principal is ANONYMOUS and problem.status in (403, 404):
                raise refuse() from problem
            raise
        if request.scope["method"] == "HEAD":
            self._connections.dismiss(stream)
            return Reply(200, headers=HEADERS, content_type=None)
        return stream.serve

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a websocket."""
        began = perf_counter()
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        given = headers.get(b"x-request-id", "")
        request_id = given if _SANE_ID.match(given) else secrets.token_urlsafe(8)
        await receive()
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await _refuse(scope, send, refusal, request_id)
            _note(began, refusal, request_id, None, refusal.status)
            return
        await send({"type": "websocket.accept", "headers": [(b"x-request-id", request_id.encode("ascii"))]})
        socket = Socket(self._connections, self._registry(), self._limiter, request_id, receive, send)
        refused = await socket.serve(scope)
        _note(began, refused, request_id, socket.principal, 101 if refused is None else refused.status)

    def _refusal(self, scope: Scope, headers: dict[bytes, str]) -> Problem | None:
        if scope["path"].encode() not in SOCKET_PATHS:
            return not_found()
        origin = headers.get(b"origin")
        if origin is None or origin in self._origins:
            return None
        _, _, host = origin.partition("://")
        if host and host == headers.get(b"host"):
            return None
        return Forbidden("Pages of this origin may not connect.")


def _asks_for_public(request: Request, rights: Rights) -> bool:
    """Whether nobody may ask this: who is not known hears of nothing else, not even what is wrong with his words."""
    try:
        named = [value for name, value in split_query(request.query) if name == "obj_type"]
    except BadRequest:
        return False
    return bool(named) and all(rights.sees(name) for name in named)


async def _refuse(scope: Scope, send: Send, problem: Problem, request_id: str) -> None:
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 1008})
        return
    body = render_problem(problem, instance=scope["path"], request_id=request_id)
    headers = [
        (b"content-type", PROBLEM_TYPE),
        (b"cache-control", b"no-store"),
        (b"x-request-id", request_id.encode("ascii")),
    ]
    await send({"type": "websocket.http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})


def _note(began: float, problem: Problem | None, request_id: str, principal: Principal | None, status: int) -> None:
    """One line for a connection, at its end."""
    account = principal.accounts[0].public_id if principal is not None and len(principal.accounts) == 1 else None
    observe(
        RequestServed(
            time(),
            "GET",
            PATH,
            status,
            perf_counter() - began,
            request_id,
            account,
            principal.kind if principal is not None else "anonymous",
            problem.code if problem is not None else None,
        )
    )
