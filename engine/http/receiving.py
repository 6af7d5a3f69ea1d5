"""An upload from its first byte to its reply: bytes, rows and saved reply, all of them or none.

In this order: rights and parent, what the headers say, the words before the file, the bytes (hashed as they come), the
words behind them; then the bytes are kept, and one transaction writes the rows. So a row never lacks its bytes, and
bytes without a row are what `aether gc` takes away. Nothing is answered before the commit.

Whether anybody else has the same bytes shows by nothing: they are received, hashed and kept like all others.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from starlette.background import BackgroundTask
from starlette.responses import Response

from engine.errors import ErrorItem, ValidationFailed
from engine.execute.keep import Facts, RowRaced, check_body, keep_row
from engine.execute.read import require_chain
from engine.faultpoints import fault_point
from engine.http.dependencies import CallerContext
from engine.http.fallback import as_response
from engine.http.files import find_digest
from engine.http.once import Claim, Saved, claim_for, hash_request, read_key
from engine.http.reply import PRIVATE_HEADERS, Reply
from engine.http.uploads import DIGEST, FileBody
from engine.language.ids import is_public_id, new_public_id
from engine.plan.read import chain_values, not_found
from engine.plan.shape import Link
from engine.plan.write import own_account
from engine.registry.kinds import KindError, from_text
from engine.registry.resource import Parent, Resource
from engine.render.rows import encode_json

RACES = 5

Defaults = Callable[[Resource, str], Mapping[str, object]]


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a file goes.

    Attributes:
        file: The type of its row.
        container: The type of the object that is made for it, which resolves to the file; None = the file alone.
        parent: Under what the container stands.
        defaults: From the container's type and the file's name to fields that the words leave out.
    """

    file: Resource
    container: Resource | None = None
    parent: Parent | None = None
    defaults: Defaults = lambda resource, file_name: {}

    @property
    def made(self) -> Resource:
        """The type of the object that is answered."""
        return self.container or self.file


async def receive_file(
    caller: CallerContext, body: FileBody, destination: Destination, parent_id: str = ""
) -> Response:
    """Take an upload.

    Args:
        caller: Who sends it.
        body: What he sends; not read yet.
        destination: Where it goes.
        parent_id: Public id of the container's parent.

    Returns:
        201 with the object that was made, or what was answered to the same request before.

    Raises:
        NotFound, Forbidden, ValidationFailed, Conflict, PayloadTooLarge, UnsupportedMediaType, BadRequest: As they say.
    """
    caller = await settle_caller(caller, destination, parent_id)
    key = read_key(caller.request.header(b"idempotency-key"))
    claim = None if key is None else claim_for(caller.runtime.database, caller.principal, key)
    async with _claimed(claim):
        await body.begin(lambda words: _check(caller, destination, body, parent_id, words, is_whole=False))
        async with caller.runtime.blobs.begin() as upload:
            async for chunk in body.chunks():
                await upload.write(chunk)
                if claim is not None:
                    await claim.prolong()
            staged = await upload.finish()
            if body.digest not in (None, staged.digest):
                detail = f"The bytes that came have the SHA-256 {staged.digest}, not the declared one."
                raise body.refuse("bad-operand", detail, DIGEST)
            fields = _check(caller, destination, body, parent_id, body.words, is_whole=True)
            facts = Facts(staged.digest, staged.size_bytes, body.content_type, body.file_name)
            request_hash = _hash(caller, facts, body.words)
            saved = None if claim is None else claim.answer_before(request_hash)
            if saved is not None:
                return _replay(saved)
            await upload.keep()
            fault_point("bytes-stored")
            return await write_rows(caller, destination, facts, fields, claim=claim, request_hash=request_hash)


async def link_file(
    caller: CallerContext, digest: str, destination: Destination, body: Mapping[str, object]
) -> Response:
    """Make a container for bytes that the caller's account has already.

    Args:
        caller: Who asks.
        digest: Of the bytes.
        destination: Its parent is read from `body`, not from here.
        body: The container's fields, its parent's id among them.

    Returns:
        As `receive_file` answers.

    Raises:
        NotFound: No account of his has these bytes, as far as he can tell.
        ValidationFailed, Forbidden, Conflict: As a create would be refused.
    """
    container = destination.made
    caller.require(container.name, "create")
    file = await find_digest(caller, digest)
    field = container.resolves_to or ""
    if field in body:
        raise ValidationFailed(
            errors=[ErrorItem("read-only", f"{field} follows from the digest.", pointer=f"/{field}")]
        )
    parents = [one for one in container.parents if isinstance(body.get(one.field), str)]
    if len(parents) == 1:
        # The same bytes may be there in several accounts of the caller: what counts is the parent's.
        caller = await narrow_caller(caller, parents[0].type, str(body[parents[0].field]))
        file = await find_digest(caller, digest)
    given = {**destination.defaults(container, file.file_name), **body}
    if not await caller.runtime.blobs.refresh(file.digest):
        raise not_found()
    fault_point("bytes-stored")

    async def write(inner: CallerContext) -> dict[str, Any]:
        data = await _answer(inner, destination, file.public_id, given)
        fault_point("row-inserted")
        return data

    data = await caller.transact(write)
    fault_point("committed")
    location = (b"location", f"/v3/crud/{container.name}/{data['id']}".encode("ascii"))
    answered = encode_json({"data": data, "meta": {"deduplicated": True}})
    return as_response(Reply(201, answered, (*PRIVATE_HEADERS, location)))


async def narrow_caller(caller: CallerContext, type_name: str, public_id: str) -> CallerContext:
    """The caller with the account alone that an object belongs to; as he is where it is not one of his."""
    if not is_public_id(public_id):
        return caller
    row = await caller.runtime.resolver.resolve(type_name, public_id)
    mine = [one for one in caller.principal.accounts if row is not None and one.row_id == row.account_row_id]
    return replace(caller, principal=replace(caller.principal, accounts=(mine[0],))) if mine else caller


async def settle_caller(caller: CallerContext, destination: Destination, parent_id: str) -> CallerContext:
    """See that a caller may do it, and where: before a byte of the body is read.

    Returns:
        The caller, narrowed to the account that the file will belong to.

    Raises:
        NotFound: The parent is not there for him, or a type.
        Forbidden: He may not create.
        ValidationFailed: He belongs to several accounts and has picked none, and no parent says which.
    """
    for resource in (destination.made, destination.file):
        caller.require(resource.name, "create")
    parent = destination.parent
    if parent is not None:
        chain = ((Link(parent.type, parent.field), parent_id),)
        chain_values(chain)
        await require_chain(caller.runtime, chain, caller.plan_context())
        caller = await narrow_caller(caller, parent.type, parent_id)
    own_account(destination.file, caller.plan_context())
    return caller


async def write_rows(
    caller: CallerContext,
    destination: Destination,
    facts: Facts,
    fields: Mapping[str, object],
    *,
    claim: Claim | None = None,
    request_hash: str = "",
) -> Response:
    """Write the rows of a file whose bytes are kept, and answer.

    Args:
        caller: As `settle_caller` gave him.
        destination: Where it goes.
        facts: The bytes.
        fields: Of the container, or else of the file.
        claim: The call's hold on its idempotency key.
        request_hash: What the saved reply will be compared by.
    """

    async def write(inner: CallerContext) -> Saved:
        row = await keep_row(
            inner.runtime, inner.plan_context(), destination.file, facts, {} if destination.container else fields
        )
        data = await _answer(inner, destination, row.public_id, fields)
        answered = encode_json({"data": data, "meta": {"deduplicated": row.is_known}})
        saved = Saved(201, {"location": f"/v3/crud/{destination.made.name}/{data['id']}"}, answered.decode("utf-8"))
        if claim is not None:
            await claim.save(inner.runtime.database, request_hash, saved)
        fault_point("row-inserted")
        return saved

    for attempt in range(RACES):
        try:
            saved = await caller.transact(write)
            break
        except RowRaced:
            if attempt == RACES - 1:
                raise
    fault_point("committed")
    response = _respond(saved)
    response.background = BackgroundTask(_answered)
    return response


# ---------------------------------------------------------------- private


async def _answer(
    caller: CallerContext, destination: Destination, file_id: str, fields: Mapping[str, object]
) -> dict[str, Any]:
    """What is answered: the container with its file, made now, or the file."""
    container = destination.container
    if container is None:
        may_read = caller.rights.may(destination.file.name, "read")
        return await caller.get(destination.file.name, file_id) if may_read else {"id": file_id}
    field = container.resolves_to or ""
    relation = container.fields[field].relation
    return await caller.create(container.name, {**fields, field: file_id}, expand=[relation])


def _check(
    caller: CallerContext,
    destination: Destination,
    body: FileBody,
    parent_id: str,
    words: Mapping[str, str],
    *,
    is_whole: bool,
) -> dict[str, object]:
    """The fields that the words mean.

    Raises:
        ValidationFailed: With every fault at its place.
    """
    resource = destination.made
    fields, faults = _read_words(resource, words, destination)
    if body.file_name:
        given = {**destination.defaults(resource, body.file_name), **fields}
    else:
        given = dict(fields)
    own = dict(given)
    if destination.container is not None and destination.parent is not None:
        given[destination.parent.field] = own[destination.parent.field] = parent_id
    if destination.container is not None:
        given[destination.container.resolves_to or ""] = _ANY_ID
    elif destination.file.file is not None:
        given[destination.file.file.name] = body.file_name or "?"
    try:
        check_body(caller.runtime, caller.plan_context(), resource, given, is_whole=is_whole)
    except ValidationFailed as refused:
        faults.extend(item for item in refused.errors if item.pointer not in {fault.pointer for fault in faults})
    if faults:
        raise ValidationFailed(errors=[body.place(item) for item in faults])
    return own


def _read_words(
    resource: Resource, words: Mapping[str, str], destination: Destination
) -> tuple[dict[str, object], list[ErrorItem]]:
    """Words as the JSON values that they stand for; what is no field is left for the check of the body to refuse."""
    fields: dict[str, object] = {}
    faults: list[ErrorItem] = []
    rule = destination.file.file
    settled = (
        {resource.resolves_to} if destination.container else {rule.digest, rule.size, rule.type} if rule else set()
    )
    if destination.parent is not None:
        settled.add(destination.parent.field)
    for name, text in words.items():
        known = resource.fields.get(name)
        if name in settled:
            faults.append(ErrorItem("read-only", f"{name} follows from the upload.", pointer=f"/{name}"))
        elif known is None:
            fields[name] = text
        elif text or known.kind in ("string", "text"):
            try:
                fields[name] = from_text(text, known)
            except KindError as wrong:
                faults.append(ErrorItem(wrong.code, wrong.detail, pointer=f"/{name}"))
    return fields, faults


def _hash(caller: CallerContext, facts: Facts, words: Mapping[str, str]) -> str:
    request = caller.request
    accounts = [account.public_id for account in caller.principal.accounts]
    said = [f"{name}={text}" for name, text in sorted(words.items())]
    return hash_request(request.path, *accounts, facts.digest, facts.file_name, facts.content_type, *said)


def _replay(saved: Saved) -> Response:
    return _respond(saved, (b"idempotency-replayed", b"true"))


def _respond(saved: Saved, *more: tuple[bytes, bytes]) -> Response:
    headers = tuple((name.encode("ascii"), value.encode("ascii")) for name, value in saved.headers.items())
    return as_response(Reply(saved.status, saved.body.encode("utf-8"), (*PRIVATE_HEADERS, *headers, *more)))


@asynccontextmanager
async def _claimed(claim: Claim | None) -> AsyncIterator[None]:
    """Hold an idempotency key; it is given back unless all goes well."""
    if claim is None:
        yield
        return
    await claim.take()
    try:
        yield
    except BaseException:
        await asyncio.shield(claim.release())
        raise


async def _answered() -> None:
    fault_point("answered")


_ANY_ID = new_public_id()
