"""The generated endpoints that read: get, list, search, options."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from engine.errors import ErrorItem, ValidationFailed
from engine.execute.explain import explain_page
from engine.execute.read import Found, read_one, read_page
from engine.http.dispatch import Asked
from engine.http.reply import PRIVATE_HEADERS, Reply
from engine.language.ids import is_public_id
from engine.language.search import SearchBody, parse_search
from engine.plan.options import label_of, plan_options
from engine.plan.read import plan_get, plan_list
from engine.plan.shape import PlanContext
from engine.render.headers import object_etag
from engine.render.rows import encode_json

GET_PARAMETERS = frozenset({"fields", "expand", "deleted"})
OPTIONS_PARAMETERS = frozenset({"q", "limit", "ids"})


def plan_context(asked: Asked, timezone: str | None = None) -> PlanContext:
    """What planning needs to know about a request."""
    runtime = asked.runtime
    return PlanContext(
        registry=runtime.registry,
        rights=asked.rights,
        principal=asked.principal,
        dialect=runtime.dialect,
        now=datetime.now(UTC),
        timezone=timezone or "UTC",
    )


async def get_object(asked: Asked) -> Reply:
    """``GET /v3/crud/{type}/{id}``: one object with its ETag, or 304."""
    search = asked.request.search_of_query(GET_PARAMETERS)
    context = plan_context(asked)
    target = asked.target
    plan = plan_get(target.resource, target.public_id or "", target.chain, search, context)
    asked.request.mark("plan")
    found = await read_one(asked.runtime, plan, context)
    asked.request.mark("sql")
    return object_reply(asked, found, warnings=plan.warnings)


async def list_objects(asked: Asked) -> Reply:
    """``GET /v3/crud/{type}/``: a page, by the short form of a search."""
    return await _reply_page(asked, asked.request.search_of_query())


async def search_objects(asked: Asked) -> Reply:
    """``POST /v3/crud/{type}/search``: a page, by a search body."""
    asked.request.flags(frozenset())
    raw = await asked.request.json(asked.runtime.registry.limits.body_bytes)
    return await _reply_page(asked, parse_search(raw))


async def list_options(asked: Asked) -> Reply:
    """``GET /v3/crud/{type}/options``: values with labels, for pickers."""
    search = asked.request.search_of_query(OPTIONS_PARAMETERS)
    context = plan_context(asked)
    ids = _option_ids(search)
    planned, template = plan_options(asked.target.resource, replace(search, terms=()), ids, context)
    plan = plan_list(asked.target.resource, asked.target.chain, planned, context, cursor_key=asked.runtime.cursor_key)
    asked.request.mark("plan")
    page = await read_page(asked.runtime, plan, context)
    asked.request.mark("sql")
    data = [{"value": row["id"], "label": label_of(template, row)} for row in page.data]
    meta = {key: page.meta[key] for key in ("limit", "has_more", "warnings") if key in page.meta}
    body = encode_json({"data": data, "meta": meta})
    asked.request.mark("render")
    return Reply(200, body, PRIVATE_HEADERS)


def object_reply(
    asked: Asked,
    found: Found,
    *,
    status: int = 200,
    warnings: tuple[str, ...] = (),
    headers: tuple[tuple[bytes, bytes], ...] = (),
    meta: dict[str, Any] | None = None,
) -> Reply:
    """One object as a reply, with its ETag; 304 where the reader has it already."""
    said: dict[str, Any] = {} if meta is None else meta
    if warnings:
        said["warnings"] = list(warnings)
    shown = {"data": found.data, "meta": said}
    body = encode_json(shown)
    etag = object_etag(found.version, body)
    asked.request.mark("render")
    all_headers = (*PRIVATE_HEADERS, (b"etag", etag.encode("ascii")), *headers)
    if asked.request.method == "GET" and b"if-none-match" in asked.request.headers:
        wanted = asked.request.precondition(b"if-none-match", "If-None-Match")
        if wanted is not None and wanted.matches_weakly(etag.strip('"')):
            return Reply(304, b"", all_headers, content_type=None)
    return Reply(status, body, all_headers, shown=shown)


async def _reply_page(asked: Asked, search: SearchBody) -> Reply:
    context = plan_context(asked, search.timezone)
    target = asked.target
    plan = plan_list(target.resource, target.chain, search, context, cursor_key=asked.runtime.cursor_key)
    asked.request.mark("plan")
    page = await read_page(asked.runtime, plan, context)
    asked.request.mark("sql")
    if search.explain:
        page.meta["explain"] = await explain_page(asked.runtime, plan, search, context)
    shown = {"data": page.data, "meta": page.meta}
    body = encode_json(shown)
    asked.request.mark("render")
    return Reply(200, body, PRIVATE_HEADERS, shown=shown)


def _option_ids(search: SearchBody) -> list[str] | None:
    for term in search.terms:
        if term.parameter == "ids":
            ids = [part for part in term.text.split(",") if part]
            wrong = next((one for one in ids if not is_public_id(one)), None)
            if wrong is not None:
                detail = f"{wrong[:80]!r} is not an id."
                raise ValidationFailed(errors=[ErrorItem("type-mismatch", detail, parameter="ids")])
            return ids
    return None
