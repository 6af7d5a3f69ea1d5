"""Declared actions as routes under ``/v3/action/``, and as a part of OpenAPI.

FastAPI calls the handlers; who may call, and how a body is read, is as with the generated endpoints. A handler that
takes nothing but the names of its path and the caller needs nothing of FastAPI, whose routing takes longer than many
a call: it is found in a tree of words and called at once (`DirectActions`).
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, cast, get_type_hints

from fastapi import APIRouter
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.types import Receive, Scope

from engine.errors import Problem
from engine.execute.runtime import Runtime
from engine.http.app import problem_reply
from engine.http.call import ClientGone, Request, refuse_promises, split_path
from engine.http.dependencies import Caller, CallerContext, get_caller
from engine.http.fallback import WholeResponse, request_of
from engine.http.reply import Reply
from engine.http.uploads import LingeringReply, is_coming
from engine.language.call import check_content_type
from engine.language.json import decode_json
from engine.plan.rights import Rights, rights_of
from engine.plugins.actions import Action
from engine.principal import Principal

PREFIX = "/v3/action"

# Where a docstring stops speaking to callers and begins to speak to programmers.
_SECTION = re.compile(r"^(?:Args|Returns|Raises):", re.MULTILINE)

_PARAMETER = re.compile(r"\{([^{}]*)\}")

Fragments = Callable[[Rights], Sequence[Mapping[str, Any]]]


def action_router(actions: Sequence[Action]) -> APIRouter:
    """One route for each action."""
    scopes = {declared.name: declared.scope for declared in actions}

    class Route(_ActionRoute):
        needs = scopes
        largest: ClassVar[Mapping[str, int | None]] = {one.name: one.body_bytes for one in actions}
        with_key: ClassVar[frozenset[str]] = frozenset(one.name for one in actions if one.takes_key)

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
            if declared.is_allowed(rights.has_scope):
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
    if declared.scope is None and not declared.needs:
        operation["security"] = []
    operation["parameters"] = [*operation.get("parameters", ()), *declared.openapi.get("parameters", ())]
    if "requestBody" in declared.openapi:
        operation["requestBody"] = declared.openapi["requestBody"]
    operation["responses"].update(declared.openapi.get("responses", {}))
    return operation


@dataclass(slots=True)
class _Branch:
    """One step of the paths of direct actions."""

    words: dict[str, _Branch] = field(default_factory=dict)
    any_word: _Branch | None = None
    actions: dict[str, tuple[Action, tuple[str, ...], tuple[str, ...]]] = field(default_factory=dict)


class DirectActions:
    """The actions that are called without FastAPI; a literal word of a path comes before a parameter.

    Args:
        actions: All actions; those whose handlers take more than their path and the caller are left to FastAPI.
    """

    def __init__(self, actions: Sequence[Action]) -> None:
        self._root = _Branch()
        for declared in actions:
            callers = _caller_names(declared)
            if callers is not None:
                self._add(declared, callers)

    async def answer(self, request: Request, principal: Principal, runtime: Runtime) -> Response | Reply | None:
        """Call the action that a request is for.

        Returns:
            Its reply; None where FastAPI has to look.

        Raises:
            Problem: As the action refuses.
        """
        words = split_path(request.path, PREFIX + "/")
        found = self._find(words, request.method) if words else None
        if found is None:
            return None
        declared, values, callers = found
        request.route = f"{PREFIX}/{declared.path}"
        caller = CallerContext(principal, rights_of(runtime.registry, principal), runtime, request)
        if declared.scope is not None:
            caller.require_scope(declared.scope)
        if request.method != "GET" and not declared.takes_key:
            refuse_promises(request.headers)
        answered = await declared.handler(**values, **dict.fromkeys(callers, caller))
        if not isinstance(answered, Response):
            raise TypeError(f"the action {declared.name} did not answer with a Response")
        return answered.reply if isinstance(answered, WholeResponse) else answered

    def _add(self, declared: Action, callers: tuple[str, ...]) -> None:
        branch, names = self._root, []
        for word in declared.path.split("/"):
            if word.startswith("{"):
                names.append(word[1:-1])
                branch.any_word = branch.any_word or _Branch()
                branch = branch.any_word
            else:
                branch = branch.words.setdefault(word, _Branch())
        branch.actions[declared.method] = (declared, tuple(names), callers)

    def _find(self, words: Sequence[str], method: str) -> tuple[Action, dict[str, str], tuple[str, ...]] | None:
        branch: _Branch | None = self._root
        values: list[str] = []
        for word in words:
            assert branch is not None
            following = branch.words.get(word)
            if following is None:
                following = branch.any_word
                values.append(word)
            if following is None:
                return None
            branch = following
        found = branch.actions.get(method) if branch is not None else None
        if found is None:
            return None
        declared, names, callers = found
        return declared, dict(zip(names, values, strict=True)), callers


def _caller_names(declared: Action) -> tuple[str, ...] | None:
    """The parameters that take the caller, of a handler that takes nothing else but its path; None of others."""
    named = set(_PARAMETER.findall(declared.path))
    callers = []
    try:
        hints = get_type_hints(declared.handler, include_extras=True)
    except NameError:
        return None  # FastAPI says what it makes of such a handler
    for name in inspect.signature(declared.handler).parameters:
        if hints.get(name) == Caller:
            callers.append(name)
        elif name not in named or hints.get(name) is not str:
            return None
    return tuple(callers)


class _ActionRoute(APIRoute):
    """A route that asks for its action's scope before it reads anything, and reads bodies as all calls do.

    Attributes:
        needs: The scope of each action, by name.
        largest: The largest body of each, by name; None = as of a write.
        with_key: Names of those that take an ``Idempotency-Key``.
    """

    needs: ClassVar[Mapping[str, str | None]] = {}
    largest: ClassVar[Mapping[str, int | None]] = {}
    with_key: ClassVar[frozenset[str]] = frozenset()

    def get_route_handler(self) -> Callable[[HttpRequest], Coroutine[Any, Any, Response]]:
        """FastAPI's handler, behind ours."""
        handle = super().get_route_handler()
        scope = self.needs[self.name]
        largest = self.largest.get(self.name)
        takes_key = self.name in self.with_key

        async def handle_action(request: HttpRequest) -> Response:
            if scope is not None:
                (await get_caller(request)).require_scope(scope)
            try:
                if request.method != "GET" and not takes_key:
                    refuse_promises(request_of(request).headers)
                return await handle(_ActionRequest(request.scope, request.receive, largest))
            except Problem as problem:
                read = request_of(request)
                if not is_coming(read):
                    raise
                return cast(Response, LingeringReply(problem_reply(problem, read), read.receive))
            except HTTPException as error:
                # FastAPI calls whatever went wrong with a body a 400; we know better.
                if isinstance(error.__cause__, (Problem, ClientGone)):
                    raise error.__cause__ from None
                raise

        return handle_action


class _ActionRequest(HttpRequest):
    """A request whose JSON is strict, and bounded in size and time."""

    def __init__(self, scope: Scope, receive: Receive, largest: int | None) -> None:
        super().__init__(scope, receive)
        self._largest = largest

    async def body(self) -> bytes:
        """The body; an empty one is ``{}``."""
        if not hasattr(self, "_body"):
            read = request_of(self)
            check_content_type(read.header(b"content-type"), read.header(b"content-encoding"))
            self._body = await read.body(self._largest or read.settings.write_body_bytes) or b"{}"
        return self._body

    async def json(self) -> object:
        """The body as strict JSON."""
        return decode_json(await self.body())
