"""Declared actions as routes under ``/v3/action/``."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from fastapi import APIRouter, Depends
from starlette.responses import Response

from engine.http.dependencies import CallerContext, get_caller
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


def _scope_check(scope: str) -> Callable[..., Coroutine[Any, Any, None]]:
    async def check_scope(caller: CallerContext = Depends(get_caller)) -> None:
        caller.require_scope(scope)

    return check_scope
