"""Declared actions as routes under ``/v3/action/``, and as a part of OpenAPI."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from fastapi import APIRouter, Depends
from fastapi.openapi.utils import get_openapi
from starlette.responses import Response

from engine.http.dependencies import CallerContext, get_caller
from engine.plan.rights import Rights
from engine.plugins.actions import Action

PREFIX = "/v3/action"

# Where a docstring stops speaking to callers and begins to speak to programmers.
_SECTION = re.compile(r"^(?:Args|Returns|Raises):", re.MULTILINE)

Fragments = Callable[[Rights], Sequence[Mapping[str, Any]]]


def action_router(actions: Sequence[Action]) -> APIRouter:
    """One route for each action, with its scope checked before its handler runs."""
    router = APIRouter(prefix=PREFIX)
    for declared in actions:
        router.add_api_route(
            f"/{declared.path}",
            declared.handler,
            methods=[declared.method],
            name=declared.name,
            operation_id=declared.name,
            status_code=declared.status,
            dependencies=[] if declared.scope is None else [Depends(_scope_check(declared.scope))],
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


def _scope_check(scope: str) -> Callable[..., Coroutine[Any, Any, None]]:
    async def check_scope(caller: CallerContext = Depends(get_caller)) -> None:
        caller.require_scope(scope)

    return check_scope
