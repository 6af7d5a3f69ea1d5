"""Declared actions as routes under ``/v3/action/``."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from fastapi import APIRouter, Depends
from fastapi.openapi.utils import get_openapi
from starlette.responses import Response

from engine.http.dependencies import CallerContext, get_caller
from engine.plan.rights import Rights
from engine.plugins.actions import Action

PREFIX = "/v3/action"


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


def describe_actions(router: APIRouter, actions: Sequence[Action]) -> Callable[[Rights], Sequence[Mapping[str, Any]]]:
    """What OpenAPI says about the actions, narrowed to those that somebody with some rights may call.

    Args:
        router: What `action_router` made; FastAPI reads the handlers' signatures.
        actions: The same actions.
    """
    document = get_openapi(title="", version="", routes=router.routes) if actions else {"paths": {}}
    scopes = {(f"{PREFIX}/{one.path}", one.method.lower()): one.scope for one in actions}

    def fragments(rights: Rights) -> Sequence[Mapping[str, Any]]:
        paths: dict[str, dict[str, Any]] = {}
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                scope = scopes.get((path, method))
                if scope is None or rights.has_scope(scope):
                    paths.setdefault(path, {})[method] = operation
        return [{"paths": paths, "components": document.get("components", {})}] if paths else []

    return fragments


def _scope_check(scope: str) -> Callable[..., Coroutine[Any, Any, None]]:
    async def check_scope(caller: CallerContext = Depends(get_caller)) -> None:
        caller.require_scope(scope)

    return check_scope
