"""The documents that are not of one type: OpenAPI, the docs page, a page per problem code, the registry's state."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from engine.documents.openapi import openapi_document
from engine.documents.pages import PAGE_POLICY, docs_page, prefers_html, problem_html, problem_page, static_file
from engine.errors import ErrorItem, QueryTooComplex
from engine.http.dependencies import Caller
from engine.http.describe import Document, document_reply, make_document
from engine.http.fallback import as_response, request_of
from engine.http.reply import PRIVATE_HEADERS, Reply
from engine.io.uses import MAX_LISTED, UseCount, Uses
from engine.plan.read import not_found
from engine.plan.rights import Rights, rights_of
from engine.plugins.overrides import Overrides
from engine.registry.resource import Registry
from engine.render.rows import encode_json

HTML = b"text/html; charset=utf-8"
STATIC_HEADERS = (
    (b"cache-control", b"no-cache"),
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", PAGE_POLICY.encode("ascii")),
)
MAX_DOCUMENTS = 50

Fragments = Callable[[Rights], Sequence[Mapping[str, Any]]]


def meta_router(
    registry: Callable[[], Registry],
    *,
    version: str,
    server_url: str,
    actions: Fragments,
    overrides: Mapping[str, Overrides],
    uses: Uses,
) -> APIRouter:
    """The routes of these documents.

    Args:
        registry: The running registry.
        version: Of the product.
        server_url: Where callers find the server.
        actions: OpenAPI of the actions that somebody with these rights may call.
        overrides: What makes defaults, by type.
        uses: Of old routes.
    """
    router = APIRouter()
    defaults = {name: tuple(one.defaults) for name, one in overrides.items()}

    def render(running: Registry, rights: Rights) -> Document:
        return make_document(
            openapi_document(
                running, rights, version=version, server_url=server_url, actions=actions(rights), defaults=defaults
            )
        )

    kept: OrderedDict[tuple[str, int], Document] = OrderedDict()

    @router.get("/openapi.json")
    async def read_openapi(request: HttpRequest) -> Response:
        """OpenAPI 3.1 for the caller; rendered once for all who have the same rights."""
        read = request_of(request)
        running = registry()
        rights = rights_of(running, request.scope["aether.principal"])
        key = (running.digest, rights.key)
        document = kept.get(key)
        if document is None:
            # Seconds for a thousand types: not in the event loop.
            document = kept[key] = await asyncio.to_thread(render, running, rights)
            if len(kept) > MAX_DOCUMENTS:
                kept.popitem(last=False)
        return as_response(document_reply(read, document))

    @router.get("/docs")
    @router.get("/docs/")
    async def read_docs(request: HttpRequest) -> Response:
        """The page that shows OpenAPI to people."""
        request_of(request)
        return as_response(Reply(200, docs_page().encode(), STATIC_HEADERS, HTML))

    @router.get("/docs/{name}")
    async def read_static(request: HttpRequest, name: str) -> Response:
        """What the page is made of."""
        request_of(request)
        found = static_file(name)
        if found is None:
            raise not_found()
        return as_response(Reply(200, found.body, STATIC_HEADERS, found.content_type.encode("ascii")))

    @router.get("/v3/meta/problems/{code}")
    async def read_problem(request: HttpRequest, code: str, caller: Caller) -> Response:
        """What a problem code means, and the way out."""
        caller.require_known()
        page = problem_page(code)
        if page is None:
            raise not_found()
        if prefers_html(request_of(request).header(b"accept")):
            return as_response(Reply(200, (problem_html(code) or "").encode(), STATIC_HEADERS, HTML))
        return as_response(Reply(200, encode_json(page), PRIVATE_HEADERS))

    @router.get("/v3/meta/registry")
    async def read_registry(caller: Caller) -> Response:
        """Which registry runs, and in what state."""
        caller.require_known()
        running = registry()
        body = {"data": {"digest": running.digest, "types": len(running.types), "state": "serving"}, "meta": {}}
        return as_response(Reply(200, encode_json(body), PRIVATE_HEADERS))

    @router.get("/v3/meta/deprecations")
    async def read_deprecations(request: HttpRequest, caller: Caller) -> Response:
        """Who still uses which old routes, as far as the caller may know; the latest use first."""
        caller.require_scope("meta:deprecations")
        asked = request_of(request).search_of_query(frozenset({"limit", "offset"}))
        limit = MAX_LISTED if asked.limit is None else min(asked.limit, MAX_LISTED)
        offset, most = asked.offset or 0, registry().limits.offset
        if offset > most:
            detail = f"An offset is {most} at most (limit `offset`)."
            raise QueryTooComplex(detail, errors=[ErrorItem("too-complex", detail, parameter="offset")])
        found = await uses.list_for(caller.principal, limit=limit + 1, offset=offset)
        meta = {"limit": limit, "offset": offset, "has_more": len(found) > limit}
        body = {"data": [_show_use(one) for one in found[:limit]], "meta": meta}
        return as_response(Reply(200, encode_json(body), PRIVATE_HEADERS))

    return router


def _show_use(one: UseCount) -> dict[str, Any]:
    return {
        "route": one.route,
        "version": one.version,
        "caller": one.caller,
        "count": one.uses,
        "first_used_on": _show_moment(one.first_used_on),
        "last_used_on": _show_moment(one.last_used_on),
        "replacement": one.replacement,
    }


def _show_moment(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
