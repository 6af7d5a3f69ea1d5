"""The values of the translation: a version of the old API, one of its routes, and one call of it in words of V3.

Nothing here knows what any version looks like: the rows stand in `v1.py` and `v2.py`, the table of all in `routes.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from engine import Principal, Problem

VersionName = Literal["v1", "v2"]
Verb = Literal["get", "list", "search", "create", "update", "delete"]
Rewrite = Callable[[object], object]
Headers = tuple[tuple[bytes, bytes], ...]
# Status, body, headers, type of the body.
OldReply = tuple[int, bytes, Headers, bytes | None]
# What a version makes of the status and data of a success, and of the status and text of a refusal.
ShapeSuccess = Callable[[int, object], object]
ShapeError = Callable[[int, str], object]

# What every list takes beside V3's own parameters, in both versions.
LIST_PARAMETERS = ("limit", "offset", "order_by", "desc", "for_obj_type", "for_obj_id", "enabled", "x_account_id")
ACCOUNT_PARAMETER = ("x_account_id",)


@dataclass(frozen=True, slots=True)
class Example:
    """A call of a route on the shipped registry, in its old words; the new ones come from the translation.

    Attributes:
        method: One of the route's.
        path: With ``{journal}`` where the id of a journal goes, and so for each type.
        query: Likewise, without the question mark.
        body: JSON, likewise; None = no body.
    """

    method: str
    path: str
    query: str = ""
    body: object = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LegacyRoute:
    """One old route: what it is called, what it means in V3, and what comes back.

    Attributes:
        name: ``v1:get``; what the registry's ``legacy: {off: […]}`` and the counts call it.
        methods: HTTP methods; an old PUT was a partial update, so one row has PUT and PATCH.
        pattern: Path below each of the version's prefixes: ``/{type}/{id}``.
        v3_method: Of the equivalent.
        v3_path: Template of the equivalent.
        parameters: The old parameters that it takes.
        reply: What comes back, in words.
        example: A call that the documentation shows and a test runs.
    """

    name: str
    version: VersionName
    verb: Verb
    methods: tuple[str, ...]
    pattern: str
    v3_method: str
    v3_path: str
    parameters: tuple[str, ...]
    reply: str
    example: Example


@dataclass(slots=True)
class LegacyCall:
    """One old call in words of V3. Not frozen only because one is made for every call, and freezing trebles its cost.

    Attributes:
        route: The row of the table.
        door: The prefix of its version that it came by: ``/ /api /crud /v2/crud``.
        type: Name of the resource type today, whatever the old path called it.
        v3_method: HTTP method of the equivalent.
        v3_path: Its path without the query: names of types and ids alone, so nothing in it needs an escape.
        v3_query: Its query string, percent-encoded.
        v3_headers: Headers that it needs beside those that came (``X-Account-Id``).
        rewrite: Makes the equivalent's body of the decoded old one, or raises a `Problem` whose pointers are the old
            body's; None = the body stays as it came.
        is_use: It is a call of the route, and not one that its path does not take, or that asks what it takes.
        refusal: Why the old call cannot be translated; the caller learns it where V3 would tell him, once he is known.
        public_id: The object's id of the path; None on a collection.
        is_trial: ``validate_only`` was asked for: nothing was written.
        places: What the caller calls the parameters and headers of the equivalent, where it was another name.
        shown: The equivalent's path and query as a log line and a header may show them, once somebody has asked; only
            where it has no query, so that nothing depends on who asked.
    """

    route: LegacyRoute
    door: str
    type: str
    v3_method: str
    v3_path: str
    v3_query: str = ""
    v3_headers: Headers = ()
    rewrite: Rewrite | None = None
    refusal: Problem | None = None
    public_id: str | None = None
    is_trial: bool = False
    is_use: bool = True
    places: Mapping[str, str] = field(default_factory=dict)
    shown: str | None = None

    @property
    def v3_url(self) -> str:
        """Path and query of the equivalent, as a client would write it."""
        return f"{self.v3_path}?{self.v3_query}" if self.v3_query else self.v3_path

    @property
    def v3_call(self) -> str:
        """The equivalent in one line: method, path, query."""
        return f"{self.v3_method} {self.v3_url}"


class Deprecations(Protocol):
    """What `deprecation.py` does around each call; `app.py` asks it."""

    def admit(self, call: LegacyCall) -> Problem | None:
        """Why a call is refused although it can be translated: the route is switched off, for good or this minute.

        Asked before the caller is known; he learns it only once he is, and if he may see the type. Must not wait.
        """

    def headers(self, call: LegacyCall) -> Headers:
        """What every reply of an old route carries, lower-case names."""

    def note(self, call: LegacyCall, caller: Principal, request_id: str, status: int) -> None:
        """Take down one use, refused or not, after it was answered. Must not wait."""


@dataclass(frozen=True, slots=True)
class Version:
    """One version of the old API.

    Attributes:
        name: ``v1`` or ``v2``.
        prefixes: Where its paths begin; the first is the one that documentation shows.
        routes: Its rows.
        shapes: How its replies look: a success, a refusal.
    """

    name: VersionName
    prefixes: tuple[str, ...]
    routes: tuple[LegacyRoute, ...]
    shapes: tuple[ShapeSuccess, ShapeError]


def make_route(
    name: str,
    methods: tuple[str, ...],
    pattern: str,
    v3: str,
    reply: str,
    example: Example,
    parameters: tuple[str, ...] = ACCOUNT_PARAMETER,
) -> LegacyRoute:
    """A row of the table, in short.

    Args:
        name: ``v1:get``.
        methods: As in the row.
        pattern: As in the row.
        v3: Method and path of the equivalent, with a space between.
        reply: As in the row.
        example: As in the row.
        parameters: As in the row.
    """
    version, _, verb = name.partition(":")
    v3_method, _, v3_path = v3.partition(" ")
    return LegacyRoute(
        name=name,
        version=version,  # type: ignore[arg-type]
        verb=verb,  # type: ignore[arg-type]
        methods=methods,
        pattern=pattern,
        v3_method=v3_method,
        v3_path=v3_path,
        parameters=parameters,
        reply=reply,
        example=example,
    )
