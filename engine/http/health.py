"""Operations: whether the process lives, whether it can work, and its metrics."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from ipaddress import ip_address
from time import perf_counter

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from engine.auth.tokens import refuse
from engine.errors import Forbidden, Problem
from engine.http.call import Request
from engine.http.fallback import as_response, request_of
from engine.http.reply import Reply
from engine.plan.rights import rights_of
from engine.principal import ANONYMOUS
from engine.registry.resource import Registry
from engine.render.rows import encode_json

Check = Callable[[], Awaitable[None]]
# Without these requests are served all the same, only slower: a process must not be taken out for them.
OPTIONAL = frozenset({"cache"})
NO_STORE = ((b"cache-control", b"no-store"),)

_FORWARDED = frozenset({b"x-forwarded-for", b"forwarded", b"x-real-ip"})


def health_router(
    checks: Mapping[str, Check], metrics: Callable[[], bytes], registry: Callable[[], Registry]
) -> APIRouter:
    """The routes of operations.

    Args:
        checks: What requests need; a check raises where it fails. Readiness does not depend on those in `OPTIONAL`.
        metrics: The metrics as Prometheus text.
        registry: The running registry, for the caller's scopes.
    """
    router = APIRouter()

    @router.get("/health/live")
    async def read_liveness(request: HttpRequest) -> Response:
        """Needs nothing but the process."""
        request_of(request)
        return as_response(Reply(200, encode_json({"status": "ok"}), NO_STORE))

    @router.get("/health/ready")
    async def read_readiness(request: HttpRequest) -> Response:
        """Checks what requests need, each with its latency."""
        request_of(request)
        results: dict[str, object] = {}
        is_ready = True
        for name, check in checks.items():
            started = perf_counter()
            try:
                await check()
                status = "ok"
            except (Problem, OSError):
                status = "unavailable"
                is_ready = is_ready and name in OPTIONAL
            results[name] = {"status": status, "latency_ms": round((perf_counter() - started) * 1000, 2)}
        body = {"status": "ok" if is_ready else "unavailable", "checks": results}
        headers = NO_STORE if is_ready else (*NO_STORE, (b"retry-after", b"2"))
        return as_response(Reply(200 if is_ready else 503, encode_json(body), headers))

    @router.get("/metrics")
    async def read_metrics(request: HttpRequest) -> Response:
        """Prometheus text, for callers on this machine and for the scope ``meta:metrics``."""
        read = request_of(request)
        principal = request.scope["aether.principal"]
        if not rights_of(registry(), principal).has_scope("meta:metrics") and not _is_here(read):
            if principal is ANONYMOUS:
                raise refuse()
            raise Forbidden("Metrics need the scope meta:metrics.")
        return as_response(Reply(200, metrics(), NO_STORE, CONTENT_TYPE_LATEST.encode("ascii")))

    return router


def _is_here(request: Request) -> bool:
    """Whether a request comes from this machine; one that was forwarded does not, though its proxy may be here."""
    if not _FORWARDED.isdisjoint(request.headers):
        return False
    try:
        return ip_address(request.client).is_loopback
    except ValueError:
        return False
