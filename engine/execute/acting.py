"""Somebody's reads and writes by name of the type, through the very plans that the generated endpoints use.

Objects are as a client gets them: strings, numbers, lists and objects, the same on either database.

What an action is given for its caller is made of this (`http/dependencies.py`), and what a worker in the background is
given for itself (`workers.py`). Neither can forget an account, a right or a limit.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Self, TypeVar

import orjson

from engine.execute.read import Page, read_one, read_page
from engine.execute.runtime import Runtime
from engine.execute.write import (
    Outcome,
    WriteCall,
    create_object,
    delete_object,
    hold_object,
    run_together,
    update_object,
)
from engine.language.search import SearchBody, parse_search
from engine.light import light
from engine.plan.read import not_found, plan_get, plan_list
from engine.plan.rights import Rights
from engine.plan.shape import PlanContext
from engine.principal import Principal
from engine.registry.resource import Resource
from engine.render.rows import JsonObject, encode_json

T = TypeVar("T")
Write = Callable[[Runtime, WriteCall, PlanContext], Awaitable[Outcome]]


@light
@dataclass(frozen=True, slots=True)
class Acting:
    """Who reads and writes.

    Attributes:
        principal: He, with the accounts that may be touched.
        rights: His rights.
    """

    principal: Principal
    rights: Rights
    runtime: Runtime

    async def get(
        self,
        type_name: str,
        public_id: str,
        *,
        fields: Sequence[str] | None = None,
        expand: object = None,
        hold: bool = False,
    ) -> JsonObject:
        """Read one object as ``GET /v3/crud/{type}/{id}`` would.

        Args:
            type_name: What to read.
            public_id: Which.
            fields: What to answer; None = as usual.
            expand: Relations to answer too, as a search body says them.
            hold: Keep others from writing it until `transact` ends: for a new value that is made of the present one.

        Raises:
            NotFound: There is none for this caller.
        """
        context = self.plan_context()
        if hold:
            await hold_object(self.runtime, WriteCall(resource=self.resource(type_name), public_id=public_id), context)
        plan = plan_get(self.resource(type_name), public_id, (), _shown(fields, expand), context)
        return _plain((await read_one(self.runtime, plan, context)).data)

    async def search(
        self, type_name: str, body: Mapping[str, Any] | SearchBody, *, where: Mapping[str, Any] | None = None
    ) -> Page:
        """Read a page as ``POST /v3/crud/{type}/search`` would.

        Args:
            type_name: What to search.
            body: A search body, or what `Filtering` gave.
            where: A filter that must hold beside the one of `body`.

        Raises:
            ValidationFailed: The body is no search of this type.
        """
        search = body if isinstance(body, SearchBody) else parse_search(dict(body))
        if where is not None:
            search = replace(search, filter=where if search.filter is None else {"and": [where, search.filter]})
        context = self.plan_context(search.timezone)
        resource = self.resource(type_name)
        plan = plan_list(resource, (), search, context, cursor_key=self.runtime.cursor_key)
        page = await read_page(self.runtime, plan, context)
        return Page(_plain(page.data), page.meta)

    async def transact(self, work: Callable[[Self], Awaitable[T]]) -> T:
        """Run several reads and writes in one transaction; the writes are announced once it is committed.

        Args:
            work: Given a caller whose calls all run in the transaction, one after another. A write that is refused
                undoes all of them, even where `work` catches the refusal. It runs again when the transaction loses
                a lock: it has no effect but its writes.

        Returns:
            What `work` returned.
        """
        return await run_together(self.runtime, lambda runtime: work(replace(self, runtime=runtime)))

    async def create(
        self,
        type_name: str,
        body: Mapping[str, Any],
        *,
        fields: Sequence[str] | None = None,
        expand: object = None,
        further: Mapping[str, object] | None = None,
    ) -> JsonObject:
        """Create an object as ``POST /v3/crud/{type}/`` would, in a transaction of its own or in `transact`'s.

        Args:
            type_name: What to create.
            body: As a caller would send it.
            fields: What to answer; None = as usual.
            expand: Relations to answer too, as a search body says them.
            further: Values that only code may set (read-only fields), by wire name, as overrides return them.

        Returns:
            The object; its id alone where the caller may create but not read.

        Raises:
            ValidationFailed, Conflict, Forbidden, NotFound: As the call would be refused.
        """
        call = self._call(type_name, "", body, fields, expand, further)
        return await self._write(create_object, call)

    async def update(
        self,
        type_name: str,
        public_id: str,
        body: Mapping[str, Any],
        *,
        fields: Sequence[str] | None = None,
        expand: object = None,
        further: Mapping[str, object] | None = None,
    ) -> JsonObject:
        """Change an object as ``PATCH /v3/crud/{type}/{id}`` would: what `body` leaves out stays.

        Args:
            type_name: What to change.
            public_id: Which.
            body: As a caller would send it.
            fields: What to answer; None = as usual.
            expand: Relations to answer too, as a search body says them.
            further: Values that only code may set (read-only fields), by wire name, as overrides return them.

        Raises:
            NotFound, ValidationFailed, Conflict, Forbidden: As the call would be refused.
        """
        call = self._call(type_name, public_id, body, fields, expand, further)
        return await self._write(update_object, call)

    async def delete(self, type_name: str, public_id: str, *, hard: bool = False) -> None:
        """Delete an object as ``DELETE /v3/crud/{type}/{id}`` would.

        Raises:
            NotFound, Conflict, Forbidden: As the call would be refused.
        """
        call = WriteCall(resource=self.resource(type_name), public_id=public_id, is_hard=hard)
        await delete_object(self.runtime, call, self.plan_context())

    def _call(
        self,
        type_name: str,
        public_id: str,
        body: Mapping[str, Any],
        fields: Sequence[str] | None,
        expand: object,
        further: Mapping[str, object] | None,
    ) -> WriteCall:
        return WriteCall(
            resource=self.resource(type_name),
            public_id=public_id,
            body=dict(body),
            search=_shown(fields, expand),
            further=further or {},
        )

    async def _write(self, write: Write, call: WriteCall) -> JsonObject:
        outcome = await write(self.runtime, call, self.plan_context())
        return {"id": outcome.public_id} if outcome.found is None else _plain(outcome.found.data)

    def resource(self, type_name: str) -> Resource:
        """A type by its name.

        Raises:
            NotFound: There is none that he sees.
        """
        resource = self.runtime.registry.types.get(type_name)
        if resource is None or not self.rights.sees(type_name):
            raise not_found()
        return resource

    def plan_context(self, timezone: str | None = None) -> PlanContext:
        """What planning needs to know about this call."""
        runtime = self.runtime
        return PlanContext(
            runtime.registry, self.rights, self.principal, runtime.dialect, datetime.now(UTC), timezone or "UTC"
        )


def _shown(fields: Sequence[str] | None, expand: object) -> SearchBody:
    """What of an object is answered, as a search body says it."""
    asked = {"fields": None if fields is None else list(fields), "expand": expand}
    return parse_search({key: value for key, value in asked.items() if value is not None})


def _plain(found: T) -> T:
    """Objects as a client gets them: a writer answers JSON columns as the text they are, for speed."""
    plain: T = orjson.loads(encode_json(found))
    return plain
