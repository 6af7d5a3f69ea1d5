"""What an action is given: the caller with his account, his search, and plans to read and write by.

These are FastAPI dependencies. They use the very functions that the generated
endpoints use, so an action cannot forget the account, a right or a limit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

from fastapi import Depends
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from engine.auth.tokens import refuse
from engine.errors import Forbidden
from engine.execute.acting import Acting
from engine.execute.read import Page
from engine.execute.runtime import Runtime
from engine.http.call import Request
from engine.http.fallback import as_response, request_of
from engine.http.reply import PRIVATE_HEADERS, SECRET_HEADERS, Reply
from engine.language.query import parse_query
from engine.language.search import SearchBody
from engine.light import light
from engine.plan.rights import Verb, rights_of
from engine.plan.write import require_write
from engine.principal import ANONYMOUS, Principal
from engine.render.rows import encode_json

__all__ = [
    "Caller",
    "CallerContext",
    "Filtering",
    "Pagination",
    "Response",
    "envelope",
    "get_caller",
    "get_filtering",
    "get_pagination",
    "page_envelope",
]


@light
@dataclass(frozen=True, slots=True)
class CallerContext(Acting):
    """Who calls an action, and the plans that run as him.

    Attributes:
        request: The request as it was read off the wire.
    """

    request: Request

    def require_scope(self, scope: str) -> None:
        """Refuse a caller without a scope.

        Raises:
            Unauthenticated: Nobody is known to be calling.
            Forbidden: The caller lacks the scope.
        """
        self.require_known()
        if not self.rights.has_scope(scope):
            raise Forbidden(f"This needs the scope {scope}.")

    def require(self, type_name: str, verb: Verb) -> None:
        """Refuse a caller who may not do this with a type, before anything is read.

        Raises:
            Unauthenticated: Nobody is known to be calling, and the type is not open to everybody.
            NotFound: He does not even see the type.
            Forbidden: He sees it, or belongs to no account.
        """
        if not self.rights.may(type_name, verb):
            self.require_known()
        require_write(self.resource(type_name), verb, self.plan_context())

    def may_read(self, type_name: str) -> bool:
        """Whether the caller may read objects of a type at all."""
        resource = self.runtime.registry.types[type_name]
        belongs = resource.account.kind == "none" or self.principal.is_operator or bool(self.principal.accounts)
        return self.rights.may(type_name, "read") and (belongs or self.rights.is_public_only(type_name))

    def require_known(self) -> None:
        """Refuse a caller without credentials.

        Raises:
            Unauthenticated: Nobody is known to be calling.
        """
        if self.principal is ANONYMOUS:
            raise refuse()


async def get_caller(request: HttpRequest) -> CallerContext:
    """Who calls, known or not; the route's own dependency has checked the scope."""
    principal: Principal = request.scope["aether.principal"]
    runtime: Runtime = request.app.state.serving().runtime
    return CallerContext(principal, rights_of(runtime.registry, principal), runtime, request_of(request))


Caller = Annotated[CallerContext, Depends(get_caller)]


async def get_filtering(request: HttpRequest) -> SearchBody:
    """The query string as the search of a GET list: filter, sort, fields, expand, pages."""
    return parse_query(request.scope["query_string"])


Filtering = Annotated[SearchBody, Depends(get_filtering)]


async def get_pagination(request: HttpRequest) -> SearchBody:
    """The query string's `limit`, `offset`, `cursor` and `count` alone.

    Raises:
        BadRequest: Another parameter is there.
    """
    search = request_of(request).search_of_query(frozenset({"limit", "offset", "cursor", "count"}))
    return replace(search, terms=())


Pagination = Annotated[SearchBody, Depends(get_pagination)]


def envelope(
    data: object, meta: Mapping[str, Any] | None = None, *, status: int = 200, is_secret: bool = False
) -> Response:
    """A reply in the contract's envelope, encoded as the engine encodes objects.

    Args:
        data: What is answered.
        meta: What is said about it.
        status: Status of the reply.
        is_secret: There is a token or a key in it, so that no cache may keep it.
    """
    body = encode_json({"data": data, "meta": dict(meta or {})})
    return as_response(Reply(status, body, SECRET_HEADERS if is_secret else PRIVATE_HEADERS))


def page_envelope(page: Page) -> Response:
    """A page in the contract's envelope."""
    return envelope(page.data, page.meta)
