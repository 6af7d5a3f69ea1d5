"""Declared actions as routes under ``/v3/action/``, and as a part of OpenAPI.

FastAPI calls the handlers; who may call, and how a body is read, is as with the generated endpoints.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, ClassVar

from fastapi import APIRouter
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from engine.errors import Problem
from engine.http.call import ClientGone
from engine.http.dependencies import get_caller
from engine.http.fallback import request_of
from engine.language.call import check_content_type
from engine.language.json import decode_json
from engine.plan.rights import Rights
from engine.plugins.actions import Action

PREFIX = "/v3/action"

# Where a docstring stops speaking to callers and begins to speak to programmers.
_SECTION = re.compile(r"^(?:Args|Returns|Raises):", re.MULTILINE)

Fragments = Callable[[Rights], Sequence[Mapping[str, Any]]]


def action_router(actions: Sequence[Action]) -> APIRouter:
    """One route for each action."""
    scopes = {declared.name: declared.scope for declared in actions}

    class Route(_ActionRoute):
        needs = scopes

    router = APIRouter(prefix=PREFIX, route_class=Route, strict_content_type=False)
    for declared in actions:
        router.add_api_route(
            f"/{declared.path}",
            declared.handler,
            methods=[declared.method],
            name=declared.name,
            operation_id=declared.name,
            status_code=declared.status,
            response_class=Response,
            response_model=None,
        )
    return router


def describe_actions(router: APIRouter, actions: Sequence[Action]) -> Fragments:
    """OpenAPI of the actions, for any caller: those that he may not call are left out.

    Args:
        router: What `action_router` made of `actions`; FastAPI reads parameters and bodies from the handlers.
        actions: The actions.

    Returns:
        From a caller's rights to fragments for `documents/openapi.py`.
    """
    # Made once: it takes FastAPI milliseconds per route.
    whole = get_openapi(title="", version="0", routes=router.routes)
    operations = [(declared, _operation(whole, declared)) for declared in actions]

    def fragments(rights: Rights) -> Sequence[Mapping[str, Any]]:
        paths: dict[str, dict[str, Any]] = {}
        for declared, operation in operations:
            if declared.scope is None or rights.has_scope(declared.scope):
                paths.setdefault(f"{PREFIX}/{declared.path}", {})[declared.method.lower()] = operation
        return [{"paths": paths, "components": whole.get("components", {})}] if paths else []

    return fragments


def _operation(whole: Mapping[str, Any], declared: Action) -> dict[str, Any]:
    """What FastAPI says of an action, with our words: its title, the envelope that it answers, who may call it."""
    operation = dict(whole["paths"][f"{PREFIX}/{declared.path}"][declared.method.lower()])
    operation["summary"] = declared.title
    operation["description"] = _SECTION.split(inspect.cleandoc(declared.handler.__doc__ or ""))[0].strip()
    envelope = {
        "type": "object",
        "required": ["data", "meta"],
        "properties": {"data": {}, "meta": {"type": "object"}},
    }
    reply: dict[str, Any] = {"description": declared.summary}
    if declared.status != 204:
        reply["content"] = {"application/json": {"schema": envelope}}
    operation["responses"] = {str(declared.status): reply}
    if declared.scope is None:
        operation["security"] = [{}]
    return operation


class _ActionRoute(APIRoute):
    """A route that asks for its action's scope before it reads anything, and reads bodies as all calls do.

    Attributes:
        needs: The scope of each action, by name.
    """

    needs: ClassVar[Mapping[str, str | None]] = {}

    def get_route_handler(self) -> Callable[[HttpRequest], Coroutine[Any, Any, Response]]:
        """FastAPI's handler, behind ours."""
        handle = super().get_route_handler()
        scope = self.needs[self.name]

        async def handle_action(request: HttpRequest) -> Response:
            if scope is not None:
                (await get_caller(request)).require_scope(scope)
            try:
                return await handle(_ActionRequest(request.scope, request.receive))
            except HTTPException as error:
                # FastAPI calls whatever went wrong with a body a 400; we know better.
                if isinstance(error.__cause__, (Problem, ClientGone)):
                    raise error.__cause__ from None
                raise

        return handle_action


class _ActionRequest(HttpRequest):
    """A request whose JSON is strict, and bounded in size and time."""

    async def body(self) -> bytes:
        """The body; an empty one is ``{}``."""
        if not hasattr(self, "_body"):
            read = request_of(self)
            check_content_type(read.header(b"content-type"), read.header(b"content-encoding"))
            self._body = await read.body(read.settings.write_body_bytes) or b"{}"
        return self._body

    async def json(self) -> object:
        """The body as strict JSON."""
        return decode_json(await self.body())
