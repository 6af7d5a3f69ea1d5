"""The action API: how a hand-written function declares itself.

One file in `actions/` is one action or a family of them. A function is marked by
`@action(…)`; everything else (finding it, its route, its scope check, its place in
OpenAPI and the schema documents) follows. What it is given at run time are the
dependencies of `engine/http/dependencies.py`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Literal, TypeVar

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
Handler = Callable[..., Awaitable[object]]
H = TypeVar("H", bound=Handler)

_MARK = "__aether_actions__"


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One declared action.

    Attributes:
        name: ``journal_summary``; unique. Its scope is ``action:<name>`` unless `scope` says otherwise.
        method: HTTP method.
        path: Below ``/v3/action/``, with ``{names}`` that the handler takes.
        title: For people.
        summary: First line of the handler's docstring.
        scope: What the caller needs; None for an action that anybody may call (a login).
        type: The resource type whose schema document lists it, or None.
        confirm: A question that a frontend asks before it calls, or None.
        status: Status of a success.
        handler: The function.
        source: File and line of the handler, for findings.
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


def action(
    method: Method,
    path: str,
    *,
    name: str,
    title: str,
    scope: str | None | Literal["default"] = "default",
    type: str | None = None,
    confirm: str | None = None,
    status: int = 200,
) -> Callable[[H], H]:
    """Declare a function as an action.

    Args:
        method: HTTP method.
        path: Below ``/v3/action/``, e.g. ``journal/{journal_id}/summary``.
        name: Unique; snake_case.
        title: For people.
        scope: The scope that a caller needs; ``action:<name>`` by default, None for everybody.
        type: The resource type that it acts on; a schema document lists it, and a registry without
            the type leaves the action out.
        confirm: A question to ask before calling.
        status: Status of a success.
    """

    def declare(handler: H) -> H:
        code = handler.__code__  # type: ignore[attr-defined]
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
        )
        setattr(handler, _MARK, (*getattr(handler, _MARK, ()), declared))
        return handler

    return declare


def collect_actions(module: ModuleType) -> tuple[Action, ...]:
    """The actions that a module declares, in the order of their names."""
    found = [
        declared
        for value in vars(module).values()
        if callable(value) and getattr(value, "__module__", None) == module.__name__
        for declared in getattr(value, _MARK, ())
    ]
    return tuple(sorted(found, key=lambda declared: declared.name))
