"""The API of a layer around the application: a plug-in that makes requests of V3 out of others, and their replies.

Such a layer is a plain ASGI application. It puts a `Translation` into the scope of the request that it has made,
under `TRANSLATION`, and calls the application inside. So what it has to say is said where the engine says it: bodies
are read, bounded and checked once, by the engine; a refusal comes after credentials and rights; a reply is changed
before it is sent; and the layer learns who asked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from engine.errors import Problem
from engine.principal import Principal
from engine.registry.resource import Registry
from engine.settings import Settings

Headers = tuple[tuple[bytes, bytes], ...]
TRANSLATION = "aether.translation"


class InnerReply(Protocol):
    """A reply of V3 before it is sent, without the headers that all replies have."""

    @property
    def status(self) -> int:
        """HTTP status."""

    @property
    def body(self) -> bytes:
        """All of it; empty where there is none."""

    @property
    def headers(self) -> Headers:
        """Lower-case names."""

    @property
    def content_type(self) -> bytes | None:
        """Of the body; None = no body."""

    @property
    def shown(self) -> dict[str, Any] | None:
        """What the body encodes; None where only the bytes are known."""


@dataclass(slots=True)
class Translation:
    """What a layer says of a request that it has made, and what it learns about it.

    Attributes:
        rewrite: Makes the body that V3 takes of the decoded one that came, or raises a `Problem`; None = it stays.
        reshape: Makes of V3's reply what goes back: status, body, headers and content type. None = it stays.
        refusal: Why no request could be made of the one that came. It is raised as soon as the caller is known and may
            see the type, and before anything else of the request is looked at.
        principal: Who asked; None until he is known.
        is_seen: The caller is known and may see the type.
        request_id: As the reply and the log have it; empty until the caller is known.
    """

    rewrite: Callable[[object], object] | None = None
    reshape: Callable[[InnerReply], tuple[int, bytes, Headers, bytes | None]] | None = None
    refusal: Problem | None = None
    principal: Principal | None = None
    is_seen: bool = False
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class OldRoute:
    """An old route as it is for one type.

    Attributes:
        name: In the layer's table (``v1:get``).
        version, verb, door: What a registry's `legacy` switches it off by.
        type: Name of the resource type.
        pattern: Method and path for any type: ``GET /api/{type}/{id}``.
        route: The same with the type's name, as uses of it are counted.
    """

    name: str
    version: str
    verb: str
    door: str
    type: str
    pattern: str
    route: str


class OldUse(NamedTuple):
    """A call of an old route, and what should have been called in its place.

    Attributes:
        name: Of the route in the layer's table (``v1:get``); one of a few, it labels metrics.
        version: ``v1``.
        route: Method and path with the type's name and ``{id}`` in it, one of a few for each type.
        replacement: The same of V3.
        call: The very V3 call, path and query: what holds secrets must be taken out of it before.
        status: What was answered.
        request_id: Of the reply.
    """

    name: str
    version: str
    route: str
    replacement: str
    call: str
    status: int
    request_id: str


@dataclass(frozen=True, slots=True)
class Host:
    """What a layer may know of the engine around it, and tell it.

    Attributes:
        registry: The registry that is served now; another object after a reload.
        settings: As the engine was started with.
        note_use: Takes down a call of an old route by somebody (None = not known): a line in the log, a count. Does not
            wait.
    """

    registry: Callable[[], Registry]
    settings: Settings
    note_use: Callable[[OldUse, Principal | None], None] = lambda use, caller: None
