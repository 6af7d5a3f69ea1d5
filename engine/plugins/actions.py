"""The action API: how a hand-written function declares itself.

One file in `actions/` is one action or a family of them. A function is marked by
`@action(…)`; everything else (finding it, its route, its scope check, its place in
OpenAPI and the schema documents) follows. `check_actions` decides at a start which of
them are served. What an action is given at run time are the dependencies of
`engine/http/dependencies.py`.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Literal, TypeVar

from engine.registry.findings import Finding, Place
from engine.registry.resource import Registry

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
Handler = Callable[..., Awaitable[object]]
H = TypeVar("H", bound=Handler)
Family = Callable[[Registry], Iterable[Handler]]

UNDECLARED = ""
"""The scope of an action that names none: who may call it must be said, so it is not served."""

_MARK = "__aether_actions__"
_FAMILY = "__aether_family__"


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One declared action.

    Attributes:
        name: ``journal_summary``; unique.
        method: HTTP method.
        path: Below ``/v3/action/``, with ``{names}`` that the handler takes.
        title: For people.
        summary: First line of the handler's docstring.
        scope: What the caller needs; None for an action that anybody may call (a login); `UNDECLARED` is a finding.
        type: The resource type whose schema document lists it, or None.
        confirm: A question that a frontend asks before it calls, or None.
        status: Status of a success.
        body_bytes: Largest body; None = as of a write.
        handler: The function.
        source: File and line of the handler, for findings.
        needs: Further scopes without which every call is refused; documents say by them what is allowed.
        input: JSON Schema of what the call takes, for forms, or None.
        openapi: Parts of the OpenAPI operation that the handler's signature does not say.
        takes_key: Whether it keeps what ``Idempotency-Key`` promises; others refuse the header.
    """

    name: str
    method: Method
    path: str
    title: str
    summary: str
    scope: str | None
    type: str | None
    confirm: str | None
    status: int
    handler: Handler
    source: str
    body_bytes: int | None = None
    needs: tuple[str, ...] = ()
    input: Mapping[str, Any] | None = field(default=None, hash=False)
    openapi: Mapping[str, Any] = field(default_factory=dict, hash=False)
    takes_key: bool = False

    def is_allowed(self, has_scope: Callable[[str], bool]) -> bool:
        """Whether a caller has every scope without which the action is refused."""
        return all(has_scope(scope) for scope in (self.scope, *self.needs) if scope is not None)


def action(
    method: Method,
    path: str,
    *,
    name: str,
    title: str,
    scope: str | Literal["default"] | None = UNDECLARED,
    type: str | None = None,
    confirm: str | None = None,
    status: int = 200,
    body_bytes: int | None = None,
    needs: Iterable[str] = (),
    input: Mapping[str, Any] | None = None,
    openapi: Mapping[str, Any] | None = None,
    takes_key: bool = False,
) -> Callable[[H], H]:
    """Declare a function as an action.

    Args:
        method: HTTP method.
        path: Below ``/v3/action/``, e.g. ``journal/{journal_id}/summary``.
        name: Unique; snake_case.
        title: For people.
        scope: The scope that a caller needs: ``"default"`` is ``action:<name>``, None is for everybody. It must be
            said: without it the start reports the handler.
        type: The resource type that it acts on; a schema document lists it, and a registry without
            the type leaves the action out.
        confirm: A question to ask before calling.
        status: Status of a success.
        body_bytes: Largest body, where that of a write is more than is needed: for what nobody has to sign in for.
        needs: Further scopes that the handler asks for before anything else, so that documents can tell who may call.
        input: JSON Schema of what the call takes, for forms.
        openapi: What OpenAPI says of the call beyond the handler's signature: ``parameters``, ``requestBody``,
            ``responses`` (each laid over what is made of the signature).
        takes_key: The handler keeps what ``Idempotency-Key`` promises; without it the header is a 422.
    """

    def declare(handler: H) -> H:
        code = handler.__code__
        declared = Action(
            name=name,
            method=method,
            path=path.strip("/"),
            title=title,
            summary=(handler.__doc__ or title).strip().splitlines()[0],
            scope=f"action:{name}" if scope == "default" else scope,
            type=type,
            confirm=confirm,
            status=status,
            handler=handler,
            source=f"{code.co_filename}:{code.co_firstlineno}",
            body_bytes=body_bytes,
            needs=tuple(needs),
            input=input,
            openapi=openapi or {},
            takes_key=takes_key,
        )
        setattr(handler, _MARK, (*getattr(handler, _MARK, ()), declared))
        return handler

    return declare


def for_registry(family: Callable[[Registry], Iterable[H]]) -> Callable[[Registry], Iterable[H]]:
    """Declare a function that makes actions for the registry that is served: one for each type of a sort, say.

    Args:
        family: Given the registry; its handlers are marked by `@action`, and take what it has found by closure.
    """
    setattr(family, _FAMILY, True)
    return family


def collect_actions(module: ModuleType, registry: Registry) -> tuple[Action, ...]:
    """The actions that a module declares, in the order of their names.

    Args:
        module: A plug-in.
        registry: Given to those who make actions for it; see `for_registry`.
    """
    handlers: list[object] = []
    for value in vars(module).values():
        if callable(value) and getattr(value, "__module__", None) == module.__name__:
            handlers.extend(value(registry) if getattr(value, _FAMILY, False) else (value,))
    found = [declared for handler in handlers for declared in getattr(handler, _MARK, ())]
    return tuple(sorted(found, key=lambda declared: declared.name))


# ---------------------------------------------------------------- checks of a start

BROKEN = "R601"  # a file that cannot be imported, or says something that nothing calls
UNFIT = "R602"  # an action that cannot be served as it is written
CLAIMED = "R603"  # a name or path that another action has
UNSCOPED = "R604"  # an action that does not say who may call it
SKIPPED = "N601"  # an action of a type that the registry lacks

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_SCOPE = re.compile(r"[a-z][a-z0-9_]*:[a-z0-9_.-]+")
_PARAMETER = re.compile(r"\{([^{}]*)\}")
_SEGMENT = re.compile(r"[a-z0-9][a-z0-9_.-]*|\{[a-z][a-z0-9_]*\}")


def check_actions(actions: Iterable[Action], registry: Registry) -> tuple[tuple[Action, ...], tuple[Finding, ...]]:
    """Decide which actions are served.

    Args:
        actions: All that were declared.
        registry: An action of a type that it lacks is left out, with a notice.

    Returns:
        The actions that are served, in the order of their names, and what is wrong with the others.
    """
    served: list[Action] = []
    findings: list[Finding] = []
    names: dict[str, Action] = {}
    routes: dict[tuple[str, str], Action] = {}
    for one in sorted(actions, key=lambda declared: (declared.name, declared.source)):
        place = place_of(one.source)
        if one.type is not None and one.type not in registry.types:
            message = f"the action `{one.name}` is left out: there is no type `{one.type}`"
            findings.append(Finding(SKIPPED, message, place))
            continue
        faults = [Finding(UNFIT, message, place, help=way_out) for message, way_out in _unfit(one)]
        if one.scope == UNDECLARED:
            message = f"the action `{one.name}` does not say who may call it"
            way_out = f'give it `scope="default"`, which is action:{one.name}; another scope; or None, for everybody'
            faults.append(Finding(UNSCOPED, message, place, help=way_out))
        elif one.scope is not None and not _SCOPE.fullmatch(one.scope):
            way_out = "write `action:<name>`, `meta:<name>` or `<type>:<verb>`"
            faults.append(Finding(UNFIT, f"`{one.scope}` is no scope", place, help=way_out))
        route = (one.method, _PARAMETER.sub("{}", one.path))
        for claimed, other in (
            (f"the name `{one.name}`", names.setdefault(one.name, one)),
            (f"`{one.method} {one.path}`", routes.setdefault(route, one)),
        ):
            if other is not one:
                note = f"first declared in {other.source}"
                faults.append(
                    Finding(CLAIMED, f"two actions claim {claimed}", place, help="change one of them", notes=(note,))
                )
        findings.extend(faults)
        if not faults:
            served.append(one)
    return tuple(served), tuple(findings)


def place_of(source: str) -> Place | None:
    """The place that a source (``file:line``, or a file) names."""
    path, _, line = source.rpartition(":")
    if path and line.isdigit():
        return Place(path, int(line), 1)
    return Place(source, 1, 1) if source else None


def _unfit(one: Action) -> Iterator[tuple[str, str]]:
    """Why an action cannot be served, each with the way out."""
    if not _NAME.fullmatch(one.name):
        yield f"{one.name!r} is no name for an action", "write snake_case: letters, digits and _"
    if not one.path or not all(_SEGMENT.fullmatch(part) for part in one.path.split("/")):
        yield (
            f"{one.path!r} is no path for an action",
            "write lower-case words and {parameters}, separated by single slashes",
        )
    if not inspect.iscoroutinefunction(one.handler):
        yield f"the action `{one.name}` is not async", "write `async def`: a plain function would hold up every request"
    if not (one.handler.__doc__ or "").strip():
        yield f"the action `{one.name}` has no docstring", "say in one sentence what it does; documents show it"
    taken = inspect.signature(one.handler).parameters
    for name in _PARAMETER.findall(one.path):
        if name not in taken:
            yield f"the action `{one.name}` does not take `{name}` of its path", f"add `{name}: str` to its parameters"
