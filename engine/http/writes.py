"""The generated endpoints that write: create, update, replace, delete, restore, move."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from engine.execute import create, delete, move, update
from engine.execute.runtime import Runtime
from engine.execute.session import Outcome, WriteCall
from engine.http.call import refuse_promises
from engine.http.dispatch import Asked
from engine.http.reads import object_reply, plan_context
from engine.http.reply import PRIVATE_HEADERS, Reply
from engine.language.query import read_boolean
from engine.language.search import EMPTY_SEARCH
from engine.plan.read import not_found
from engine.plan.shape import PlanContext
from engine.render.headers import object_etag
from engine.render.rows import encode_json

WRITE_PARAMETERS = frozenset({"fields", "expand", "validate_only"})
DELETE_PARAMETERS = frozenset({"hard", "validate_only"})

Write = Callable[[Runtime, WriteCall, PlanContext], Awaitable[Outcome]]


async def create_object(asked: Asked) -> Reply:
    """``POST /v3/crud/{type}/``: 201 with the new object and where it is."""
    call, context = await _read_call(asked)
    outcome = await create.create_object(asked.runtime, call, context)
    asked.request.mark("sql")
    if call.is_trial:
        return _object(asked, outcome, call, status=200)
    location = f"/v3/crud/{call.resource.name}/{outcome.public_id}".encode("ascii")
    return _object(asked, outcome, call, status=201, headers=((b"location", location),))


async def update_object(asked: Asked) -> Reply:
    """``PATCH /v3/crud/{type}/{id}``: merges."""
    return await _change(asked, update.update_object)


async def replace_object(asked: Asked) -> Reply:
    """``PUT /v3/crud/{type}/{id}``: replaces, and never creates."""

    async def replace(runtime: Runtime, call: WriteCall, context: PlanContext) -> Outcome:
        return await update.update_object(runtime, call, context, replaces=True)

    return await _change(asked, replace)


async def move_object(asked: Asked) -> Reply:
    """``POST /v3/crud/{type}/{id}/move``: another parent."""
    return await _change(asked, move.move_object)


async def restore_object(asked: Asked) -> Reply:
    """``POST /v3/crud/{type}/{id}/restore``: undoes a soft delete."""
    return await _change(asked, delete.restore_object)


async def delete_object(asked: Asked) -> Reply:
    """``DELETE /v3/crud/{type}/{id}``: 204."""
    request = asked.request
    refuse_promises(request.headers)
    flags = request.flags(DELETE_PARAMETERS)
    call = WriteCall(
        resource=asked.target.resource,
        chain=asked.target.chain,
        public_id=_public_id(asked),
        if_match=request.precondition(b"if-match", "If-Match"),
        is_trial=read_boolean("validate_only", flags["validate_only"]) if "validate_only" in flags else False,
        is_hard=read_boolean("hard", flags["hard"]) if "hard" in flags else False,
    )
    await delete.delete_object(asked.runtime, call, plan_context(asked))
    request.mark("sql")
    return Reply(204, headers=PRIVATE_HEADERS, content_type=None)


async def _change(asked: Asked, write: Write) -> Reply:
    call, context = await _read_call(asked)
    outcome = await write(asked.runtime, call, context)
    asked.request.mark("sql")
    return _object(asked, outcome, call, status=200)


async def _read_call(asked: Asked) -> tuple[WriteCall, PlanContext]:
    request, target = asked.request, asked.target
    refuse_promises(request.headers)
    search, is_trial = EMPTY_SEARCH, False
    if request.query:
        flags = request.flags(WRITE_PARAMETERS)
        is_trial = read_boolean("validate_only", flags["validate_only"]) if "validate_only" in flags else False
        search = request.search_of_query(WRITE_PARAMETERS)
    call = WriteCall(
        resource=target.resource,
        chain=target.chain,
        public_id="" if target.public_id is None else target.public_id,
        body=await request.json(request.settings.write_body_bytes),
        search=search,
        if_match=request.precondition(b"if-match", "If-Match"),
        is_trial=is_trial,
    )
    request.mark("plan")
    return call, plan_context(asked)


def _object(
    asked: Asked,
    outcome: Outcome,
    call: WriteCall,
    *,
    status: int,
    headers: tuple[tuple[bytes, bytes], ...] = (),
) -> Reply:
    """A write's reply: the object, or what ``Prefer: return=minimal`` wants of it."""
    preferences = asked.request.preferences()
    if preferences.applied is not None:
        headers = (*headers, (b"preference-applied", preferences.applied.encode("ascii")))
    meta: dict[str, object] = {"validate_only": True} if call.is_trial else {}
    found = outcome.found
    is_minimal = preferences.is_minimal and not call.is_trial
    if found is None and is_minimal:
        return Reply(201 if status == 201 else 204, headers=(*PRIVATE_HEADERS, *headers), content_type=None)
    if found is None:
        # The caller may write but not read: he learns the id of what he made, and nothing else.
        data = {} if call.is_trial else {"id": outcome.public_id}
        return Reply(status, encode_json({"data": data, "meta": meta}), (*PRIVATE_HEADERS, *headers))
    if call.is_trial and not call.public_id:
        found.data.pop("id", None)
    if is_minimal:
        etag = object_etag(found.version, encode_json({"data": found.data, "meta": meta}))
        minimal = (*PRIVATE_HEADERS, (b"etag", etag.encode("ascii")), *headers)
        return Reply(201 if status == 201 else 204, b"", minimal, content_type=None)
    return object_reply(asked, found, status=status, warnings=outcome.warnings, headers=headers, meta=meta)


def _public_id(asked: Asked) -> str:
    if asked.target.public_id is None:
        raise not_found()
    return asked.target.public_id
