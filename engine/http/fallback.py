"""All that is not a generated endpoint, as a FastAPI application: health, metrics, documents, actions.

Its errors have the one shape that all errors have. Who asks was found out by `http/app.py`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import BaseRoute, Match

from engine.auth.tokens import refuse
from engine.errors import BadRequest, ErrorItem, MethodNotAllowed, Problem, UnsupportedMediaType, ValidationFailed
from engine.http.app import failure_reply, problem_reply
from engine.http.call import Request
from engine.http.dispatch import allowed_methods
from engine.http.reply import Reply
from engine.plan.read import not_found
from engine.principal import ANONYMOUS

Start = Callable[[], Awaitable[None]]


def make_fallback(routers: Sequence[APIRouter]) -> FastAPI:
    """Put the application together.

    Args:
        routers: Its routes; FastAPI's own documents are switched off, since ours are made from the registry.
    """
    app = FastAPI(title="Aether API", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    for router in routers:
        app.include_router(router)
    app.state.routes = [route for router in routers for route in router.routes]
    app.add_exception_handler(Problem, _handle_problem)
    app.add_exception_handler(RequestValidationError, _handle_validation)
    app.add_exception_handler(HTTPException, _handle_http)
    app.add_exception_handler(Exception, _handle_failure)
    return app


class WholeResponse(Response):
    """A reply of ours as Starlette sends it.

    Attributes:
        reply: The reply itself, for those who send it without Starlette.
    """

    def __init__(self, reply: Reply) -> None:
        # Starlette's own would make headers of its own, mostly for nobody.
        self.reply = reply
        self.status_code = reply.status
        self.body = reply.body
        self.background = None
        self.raw_headers = list(reply.headers)
        if reply.content_type is not None:
            self.raw_headers.append((b"content-type", reply.content_type))
        if reply.status not in (204, 304):
            self.raw_headers.append((b"content-length", b"%d" % len(reply.body)))


def as_response(reply: Reply) -> WholeResponse:
    """A reply of ours as Starlette sends it."""
    return WholeResponse(reply)


def request_of(request: HttpRequest) -> Request:
    """The request as `http/app.py` read it."""
    found: Request = request.scope["aether.request"]
    route = request.scope.get("route")
    if route is not None:
        found.route = route.path
    return found


async def _handle_problem(request: HttpRequest, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return as_response(problem_reply(error, request_of(request)))


async def _handle_validation(request: HttpRequest, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    items = [_validation_item(fault) for fault in error.errors()]
    return as_response(problem_reply(ValidationFailed(errors=items), request_of(request)))


_ITEM_CODES = {"missing": "required", "literal_error": "not-in-enum", "enum": "not-in-enum"}


# What Pydantic calls a fault, in our words; anything else is a type that does not fit.
_ITEM_CODES = {
    "missing": "required",
    "extra_forbidden": "unknown-field",
    "string_too_long": "too-long",
    "string_too_short": "too-short",
    "too_long": "too-long",
    "too_short": "too-short",
    "string_pattern_mismatch": "pattern",
}


def _validation_item(fault: dict[str, object]) -> ErrorItem:
    loc = fault.get("loc")
    where, *path = [str(part) for part in loc] if isinstance(loc, (list, tuple)) else ["body"]
    code = _ITEM_CODES.get(str(fault.get("type")), "type-mismatch")
    detail = f"{fault.get('msg', 'Not valid')}."
    if where == "body":
        return ErrorItem(code, detail, pointer="".join(f"/{part}" for part in path))
    if where == "header":
        return ErrorItem(code, detail, header="-".join(path))
    return ErrorItem(code, detail, parameter=".".join(path))


async def _handle_http(request: HttpRequest, error: Exception) -> Response:
    """What Starlette's router and FastAPI's readers refuse."""
    assert isinstance(error, HTTPException)
    read = request_of(request)
    is_ours = read.path == "/v3" or read.path.startswith("/v3/")
    if is_ours and request.scope["aether.principal"] is ANONYMOUS and error.status_code in (404, 405):
        return as_response(problem_reply(refuse(), read))
    problem: Problem
    if error.status_code == 405:
        allow = allowed_methods(_methods_of(request))
        if read.method == "OPTIONS":
            return as_response(Reply(204, headers=((b"allow", allow.encode("ascii")),), content_type=None))
        problem = MethodNotAllowed(f"This path takes {allow}.", headers=(("Allow", allow),))
    elif error.status_code == 415:
        problem = UnsupportedMediaType("The body's type is not supported.")
    elif error.status_code == 404:
        problem = not_found()
    else:
        problem = BadRequest("The request could not be read.")
    return as_response(problem_reply(problem, read))


def _methods_of(request: HttpRequest) -> dict[str, object]:
    """The methods of all routes of a path: the router itself names those of the first one only."""
    routes: Sequence[BaseRoute] = request.app.state.routes
    found = (route for route in routes if route.matches(request.scope)[0] is not Match.NONE)
    return {method: route for route in found for method in getattr(route, "methods", None) or ()}


async def _handle_failure(request: HttpRequest, error: Exception) -> Response:
    return as_response(failure_reply(error, request_of(request)))
