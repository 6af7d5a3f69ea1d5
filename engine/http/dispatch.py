"""Which generated endpoint a path means: a look-up in dicts, so that it costs the same with 1,000 types as with 10.

The endpoints themselves are in `http/reads.py`, `http/writes.py` and `http/describe.py`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from engine.errors import MethodNotAllowed
from engine.execute.runtime import Runtime
from engine.http.call import Request, split_path
from engine.http.reply import Reply
from engine.light import light
from engine.plan.read import Chain, not_found
from engine.plan.rights import Rights
from engine.plan.shape import Link
from engine.principal import Principal
from engine.registry.names import RESERVED_TYPES
from engine.registry.resource import AccountRule, Child, Registry, Resource

PREFIX = "/v3/crud"
MAX_SEGMENTS = 64


@light
@dataclass(frozen=True, slots=True)
class Target:
    """What a path names.

    Attributes:
        resource: The type at its end.
        chain: The parents before it with their public ids, nearest first.
        public_id: The object, if the path goes on to one.
        word: ``search schema options restore move``, or None.
        route: Template for logs and metrics.
    """

    resource: Resource
    chain: Chain
    public_id: str | None
    word: str | None
    route: str


_NO_RESOURCE = Resource(
    name="",
    table="",
    key="",
    public_id=None,
    title="",
    plural="",
    account=AccountRule(kind="none"),
    fields={},
    relations={},
)
NO_TARGET = Target(_NO_RESOURCE, (), None, None, PREFIX)


@light
@dataclass(frozen=True, slots=True)
class Asked:
    """A request with what was found out about it so far; what every endpoint gets."""

    request: Request
    target: Target
    principal: Principal
    rights: Rights
    runtime: Runtime


Endpoint = Callable[[Asked], Awaitable[Reply]]
Endpoints = Mapping[str, Endpoint]


class Router:
    """Finds the target and the endpoint of a path.

    Args:
        registry: The running registry.
        collection: Endpoints of a type's collection, by method.
        item: Endpoints of one object, by method.
        collection_words: Endpoints of ``/{type}/{word}``.
        item_words: Endpoints of ``/{type}/{id}/{word}``.
    """

    def __init__(
        self,
        registry: Registry,
        *,
        collection: Endpoints,
        item: Endpoints,
        collection_words: Mapping[str, Endpoints],
        item_words: Mapping[str, Endpoints],
    ) -> None:
        self._types = registry.types
        self._collection = collection
        self._item = item
        self._collection_words = collection_words
        self._item_words = item_words
        self._children: dict[str, dict[str, Child]] = {
            name: {child.segment: child for child in resource.children} for name, resource in registry.types.items()
        }

    def find(self, path: str) -> Target:
        """Take a path under ``/v3/crud/`` apart.

        Raises:
            NotFound: It names nothing that this registry has.
        """
        parts = split_path(path, PREFIX + "/")
        if not parts or len(parts) > MAX_SEGMENTS:
            raise not_found()
        resource = self._types.get(parts[0])
        if resource is None:
            raise not_found()
        chain: list[tuple[Link, str]] = []
        route = f"{PREFIX}/{resource.name}/"
        index = 1
        public_id: str | None = None
        while index < len(parts):
            part = parts[index]
            if public_id is None:
                if part in self._collection_words:
                    return self._end(parts, index, Target(resource, chain[::-1], None, part, route + part))
                if part in RESERVED_TYPES:
                    raise not_found()  # a call that this version has not; no id is so short
                public_id = part
                route += "{id}/"
            elif part in self._item_words:
                return self._end(parts, index, Target(resource, chain[::-1], public_id, part, route + part))
            else:
                child = self._children[resource.name].get(part)
                if child is None:
                    raise not_found()
                chain.append((Link(resource.name, child.field), public_id))
                resource = self._types[child.type]
                public_id = None
                route += f"{part}/"
            index += 1
        return Target(resource, chain[::-1], public_id, None, route)

    def endpoints(self, target: Target) -> Endpoints:
        """The endpoints of a target by method."""
        if target.word is None:
            return self._collection if target.public_id is None else self._item
        words = self._collection_words if target.public_id is None else self._item_words
        return words[target.word]

    def endpoint(self, target: Target, method: str) -> Endpoint:
        """The endpoint of a target for a method.

        Raises:
            MethodNotAllowed: The target takes other methods.
        """
        found = self.endpoints(target)
        endpoint = found.get(method)
        if endpoint is None:
            raise method_not_allowed(method, found)
        return endpoint

    def allow(self, target: Target) -> str:
        """The value of ``Allow``."""
        return allowed_methods(self.endpoints(target))

    @staticmethod
    def _end(parts: Sequence[str], index: int, target: Target) -> Target:
        if index + 1 != len(parts):
            raise not_found()
        return target


def allowed_methods(endpoints: Mapping[str, object]) -> str:
    """The methods of a path as ``Allow`` lists them."""
    methods = set(endpoints) | {"OPTIONS"}
    if "GET" in methods:
        methods.add("HEAD")
    return ", ".join(sorted(methods))


def method_not_allowed(method: str, endpoints: Mapping[str, object]) -> MethodNotAllowed:
    """The refusal of a method that a known path does not take."""
    allow = allowed_methods(endpoints)
    return MethodNotAllowed(f"This path takes {allow}, not {method[:20]}.", headers=(("Allow", allow),))
