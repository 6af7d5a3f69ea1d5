"""The ASGI application: generated endpoints by dispatch, all others by FastAPI, one shape of error for both.

Nothing here knows what an endpoint does. A request to a generated endpoint never
touches FastAPI: its routing costs grow with the number of routes.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter, time
from typing import Protocol

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engine.auth.gate import Authenticator
from engine.auth.limits import RateLimiter, caller_of
from engine.auth.tokens import refuse
from engine.errors import (
    ErrorItem,
    Internal,
    Problem,
    StatementTimedOut,
    Unavailable,
    ValidationFailed,
    ValueRefused,
)
from engine.execute.runtime import Runtime
from engine.http.call import ClientGone, Request, make_request, split_path
from engine.http.cors import Cors
from engine.http.dispatch import (
    NO_TARGET,
    PREFIX,
    Asked,
    Endpoint,
    Endpoints,
    Router,
    Target,
    allowed_methods,
    method_not_allowed,
)
from engine.http.reply import Reply, send_reply
from engine.http.sendfile import CHANNEL
from engine.observe import RequestFailed, RequestServed, observe
from engine.plan.read import not_found
from engine.plan.rights import Rights, rights_of
from engine.principal import ANONYMOUS, Principal
from engine.render.problem import PROBLEM_TYPE, render_problem
from engine.settings import Settings

_OPEN = ("/health/", "/docs")
_SANE_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}\Z")


@dataclass(slots=True)
class Serving:
    """What the application serves at the moment; replaced whole by a reload."""

    runtime: Runtime
    router: Router
    root: Endpoints
    root_words: Mapping[str, Endpoints]


class Direct(Protocol):
    """Calls that are answered before FastAPI is asked."""

    async def answer(self, request: Request, principal: Principal, runtime: Runtime) -> ASGIApp | Reply | None:
        """The reply to a request; None where it is none of them.

        Raises:
            Problem: A refusal.
        """


class Application:
    """The outer ASGI application.

    Args:
        serving: What it serves.
        authenticator: Credentials to principals.
        limiter: Requests per caller; None = no limit.
        cors: Which origins browsers may call from.
        fallback: Everything that is not a generated endpoint: actions, documents, health.
        settings: Limits of bodies.
        direct: Actions that are called without FastAPI; None = no such.
        live: Serves websockets; None = there are none.
    """

    def __init__(
        self,
        serving: Serving,
        authenticator: Authenticator,
        limiter: RateLimiter | None,
        cors: Cors,
        fallback: ASGIApp,
        settings: Settings,
        direct: Direct | None = None,
        live: ASGIApp | None = None,
    ) -> None:
        self.settings = settings
        self.direct = direct
        self.live = live or fallback
        self.serving = serving
        self.authenticator = authenticator
        self.limiter = limiter
        self.cors = cors
        self.fallback = fallback

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection event: a request, or the server's start and stop."""
        if scope["type"] != "http":
            await (self.live if scope["type"] == "websocket" else self.fallback)(scope, receive, send)
            return
        given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
        request_id = given if _SANE_ID.match(given) else secrets.token_urlsafe(8).encode("ascii")
        request = make_request(scope, receive, request_id.decode("ascii"), self.settings)
        common: list[tuple[bytes, bytes]] = [(b"x-request-id", request_id)]
        if b"origin" in request.headers:
            common.extend(self.cors.headers(request))
        path = request.path
        if path.startswith(PREFIX) and path[len(PREFIX) : len(PREFIX) + 1] in ("", "/"):
            reply = await self._reply(request, common)
            if reply is None:
                return
            if len(request.marks) > 1:
                common.append((b"server-timing", _server_timing(request)))
            translation = request.translation
            if translation is not None and translation.reshape is not None:
                reply = Reply(*translation.reshape(reply))
            await send_reply(reply, send, common, is_head=scope["method"] == "HEAD")
            status = reply.status
        else:
            status = await self._fall_back(scope, receive, send, request, common)
        observe(
            RequestServed(
                time(),
                scope["method"],
                request.route,
                status,
                perf_counter() - request.started,
                request.request_id,
                request.account,
                request.caller,
                request.problem,
            )
        )

    async def _reply(self, request: Request, common: list[tuple[bytes, bytes]]) -> Reply | None:
        """Answer a generated endpoint; None where the client is gone."""
        try:
            if request.method == "OPTIONS" and self.cors.is_preflight(request):
                return self.cors.preflight(request)
            return await self._dispatch(request, common)
        except Problem as problem:
            return problem_reply(problem, request)
        except ClientGone:
            return None
        except Exception as error:
            return failure_reply(error, request)

    async def _authenticate(self, request: Request, common: list[tuple[bytes, bytes]]) -> Principal:
        """Find out who asks, and take one request from his allowance."""
        headers = request.headers
        authorization, api_key = headers.get(b"authorization"), headers.get(b"x-api-key")
        account = headers.get(b"x-account-id")
        if authorization is None and api_key is None:
            if account is not None:
                # Who is nobody has no account to pick; to ignore it would answer another question than was asked.
                raise refuse()
            principal = ANONYMOUS
        else:
            principal = self.authenticator.cached(authorization, api_key, account) or (
                await self.authenticator.authenticate(authorization, api_key, account, address=request.client)
            )
            request.caller = principal.kind
            if len(principal.accounts) == 1:
                request.account = principal.accounts[0].public_id
        if self.limiter is not None:
            left = self.limiter.spend(caller_of(principal, request.client))
            common += ((b"ratelimit-policy", self.limiter.policy), (b"ratelimit", left))
        if request.translation is not None:
            request.translation.principal = principal
            request.translation.request_id = request.request_id
        request.mark("auth")
        return principal

    async def _dispatch(self, request: Request, common: list[tuple[bytes, bytes]]) -> Reply:
        serving = self.serving
        principal = await self._authenticate(request, common)
        rights = rights_of(serving.runtime.registry, principal)
        parts = split_path(request.path, PREFIX + "/")
        if parts is not None and (not parts or (len(parts) == 1 and parts[0] in serving.root_words)):
            return await self._dispatch_root(request, parts, principal, rights)
        is_anonymous = principal is ANONYMOUS
        target = self._find_public(request, rights) if is_anonymous else serving.router.find(request.path)
        if not rights.sees(target.resource.name):
            raise not_found()
        request.route = target.route
        if request.translation is not None:
            request.translation.is_seen = True
            if request.translation.refusal is not None:
                raise request.translation.refusal
        if request.method == "OPTIONS":
            return Reply(204, headers=((b"allow", serving.router.allow(target).encode()),), content_type=None)
        endpoint = serving.router.endpoint(target, request.method)
        return await endpoint(Asked(request, target, principal, rights, serving.runtime))

    def _find_public(self, request: Request, rights: Rights) -> Target:
        """Without credentials every path is the same 401 but those that a public type opens."""
        try:
            target = self.serving.router.find(request.path)
        except Problem as problem:
            raise refuse() from problem
        if not rights.sees(target.resource.name) or request.method not in ("GET", "POST", "OPTIONS"):
            raise refuse()
        if request.method == "POST" and target.word != "search":
            raise refuse()
        return target

    async def _dispatch_root(
        self, request: Request, parts: Sequence[str], principal: Principal, rights: Rights
    ) -> Reply:
        if principal is ANONYMOUS and not rights.visible_types():
            raise refuse()
        endpoints = self.serving.root_words[parts[0]] if parts else self.serving.root
        request.route = f"{PREFIX}/{parts[0] if parts else ''}"
        if request.method == "OPTIONS":
            return Reply(204, headers=((b"allow", allowed_methods(endpoints).encode()),), content_type=None)
        endpoint: Endpoint | None = endpoints.get(request.method)
        if endpoint is None:
            raise method_not_allowed(request.method, endpoints)
        return await endpoint(Asked(request, NO_TARGET, principal, rights, self.serving.runtime))

    async def _fall_back(
        self, scope: Scope, receive: Receive, send: Send, request: Request, common: list[tuple[bytes, bytes]]
    ) -> int:
        """Let FastAPI answer, with our headers on its reply."""
        if request.method == "OPTIONS" and self.cors.is_preflight(request):
            reply = self.cors.preflight(request)
            await send_reply(reply, send, common, is_head=False)
            return reply.status
        status = 500
        is_head = scope["method"] == "HEAD"
        # HEAD follows GET: the routes know GET alone.
        ours = {CHANNEL: send, "aether.request": request, "aether.principal": ANONYMOUS}
        scope = {**scope, "method": request.method, **ours}
        if request.path.startswith("/v3/"):
            # Both slash forms are served, without a redirect.
            scope["path"] = request.path.removesuffix("/")

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *common]
            elif is_head:
                message["body"] = b""
            await send(message)

        try:
            if not request.path.startswith(_OPEN):
                scope["aether.principal"] = await self._authenticate(request, common)
        except Problem as problem:
            reply = problem_reply(problem, request)
            await send_reply(reply, send, common, is_head=is_head)
            return reply.status
        try:
            answer = await self._call_direct(request, scope["aether.principal"])
            if isinstance(answer, Reply):
                await send_reply(answer, send, common, is_head=is_head)
                return answer.status
            await (answer or self.fallback)(scope, receive, send_with_headers)
        except ClientGone:
            return 499
        except Exception:
            # FastAPI has answered and reported it already, and raises it once more for the server's log.
            if status != 500:
                raise
        return status

    async def _call_direct(self, request: Request, principal: Principal) -> ASGIApp | Reply | None:
        """Answer an action that needs no FastAPI; None where it has to look."""
        if self.direct is None:
            return None
        try:
            return await self.direct.answer(request, principal, self.serving.runtime)
        except Problem as problem:
            return problem_reply(problem, request)
        except ClientGone:
            raise
        except Exception as error:
            return failure_reply(error, request)


def problem_reply(problem: Problem, request: Request) -> Reply:
    """A refusal as a reply."""
    request.problem = problem.code
    headers = tuple((name.lower().encode("ascii"), value.encode("latin-1")) for name, value in problem.headers)
    body = render_problem(problem, instance=request.path, request_id=request.request_id)
    return Reply(problem.status, body, (*headers, (b"cache-control", b"no-store")), PROBLEM_TYPE)


def failure_reply(error: Exception, request: Request) -> Reply:
    """What no stage has made a refusal of, as a reply. A fault of ours says nothing about itself; the log says all."""
    if isinstance(error, StatementTimedOut):
        return problem_reply(Unavailable("This took longer than it may. Narrow the search.", retry_after_s=5), request)
    if isinstance(error, ValueRefused):
        detail = "A value does not fit what the database stores."
        return problem_reply(ValidationFailed(errors=[ErrorItem("bad-operand", detail, pointer="")]), request)
    observe(RequestFailed(request.request_id, request.route, error))
    return problem_reply(
        Internal("Something went wrong on our side. It has been logged under the request id."), request
    )


def _server_timing(request: Request) -> bytes:
    last = request.started
    parts = []
    for stage, at in request.marks:
        parts.append(f"{stage};dur={(at - last) * 1000:.2f}")
        last = at
    return ", ".join(parts).encode("ascii")
