"""The override API: what `resources/<type>.py` may say about a type that YAML cannot.

A file is found by its type's name. In it, by their names alone, count

- ``def <computed field>(row)``: the value of a field declared ``computed``; `row` has the stored fields as attributes;
- ``def validate(values, before)``: the whole object as it would be, and as it was (None on a create);
- ``def default_<field>(caller, values)``: the JSON value of a field that a create leaves out;
- ``before_create(values, caller)``, ``before_update(values, before, caller)``, ``before_delete(before, caller)``:
  hooks inside the transaction, plain or async; a create's and an update's may return more fields to store;
- ``after_commit(change)``: told of each committed write, in the background;
- ``examine(row)``: what is wrong with a row that is in the table already, as `Flaw`s; `aether doctor` asks.

Any of the hooks may take the registry as well, as a parameter ``registry``.

`validate` and the hooks refuse by raising `ValidationFailed`. Values are canonical ones
(`registry/parsing.py`), relations are public ids. What does not match anything is a
`Misfit`. Finding the files is `io/discover.py`'s business, calling the functions `execute/`'s.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from types import MappingProxyType, ModuleType
from typing import Any, Literal

from engine.light import light
from engine.registry.resource import Registry, Resource

Values = Mapping[str, object]
Function = Callable[..., Any]
WriteVerb = Literal["create", "update", "delete", "restore", "move"]

DEFAULT_PREFIX = "default_"
# Name → how many arguments it takes.
HOOKS = {"validate": 2, "before_create": 2, "before_update": 3, "before_delete": 2, "after_commit": 1, "examine": 1}
WHOLE = "registry"


@light
@dataclass(frozen=True, slots=True)
class Caller:
    """Who writes, as overrides see him: public ids alone.

    Attributes:
        subject: Public id of the user or key; None for nobody known.
        account_id: Public id of the account that is written to; None for shared types.
    """

    kind: Literal["anonymous", "user", "key"]
    subject: str | None
    account_id: str | None
    roles: tuple[str, ...] = ()
    is_operator: bool = False


@dataclass(frozen=True, slots=True)
class Written:
    """A committed write, as ``after_commit`` gets it.

    Attributes:
        before: The object as it was; None for a create.
        after: The object as it is; None for a delete.
        at: UTC, aware.
    """

    type: str
    verb: WriteVerb
    id: str
    account_id: str | None
    before: Values | None
    after: Values | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Flaw:
    """Something wrong inside a stored field, as ``examine`` finds it.

    Attributes:
        field: The field.
        pointer: Where in it, as a JSON Pointer; empty for the whole.
        complaint: A sentence that says what is wrong there.
        target: Where a row id stands in the place of a public id: the type that is meant, and the row id. The doctor
            plans the repair from it.
    """

    field: str
    pointer: str
    complaint: str
    target: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Misfit:
    """A function of an override file that matches nothing in the registry, or takes the wrong arguments."""

    source: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """What one type's file says."""

    type: str
    computed: Mapping[str, Function] = field(default_factory=lambda: MappingProxyType({}))
    defaults: Mapping[str, Function] = field(default_factory=lambda: MappingProxyType({}))
    validate: Function | None = None
    before_create: Function | None = None
    before_update: Function | None = None
    before_delete: Function | None = None
    after_commit: Function | None = None
    examine: Function | None = None
    misfits: tuple[Misfit, ...] = ()

    @property
    def needs_before(self) -> bool:
        """Whether an update must read the whole object first."""
        return any((self.validate, self.before_update, self.after_commit))


def no_overrides(type_name: str) -> Overrides:
    """What holds for a type without a file."""
    return Overrides(type=type_name)


def collect_overrides(module: ModuleType, resource: Resource, registry: Registry | None = None) -> Overrides:
    """Read the functions of a type's file.

    Args:
        module: The loaded file.
        resource: The type it is named after.
        registry: What is served; given to the hooks that take it.

    Returns:
        The overrides; `misfits` says what in the file matches nothing, and which computed fields it leaves out.
    """
    computed: dict[str, Function] = {}
    defaults: dict[str, Function] = {}
    hooks: dict[str, Function] = {}
    misfits: list[Misfit] = []
    for name, function in vars(module).items():
        is_own = inspect.isfunction(function) and function.__module__ == module.__name__
        if name.startswith("_") or not is_own:
            continue
        wanted = 1
        known = resource.fields.get(name)
        takes: Function = function
        if name in HOOKS:
            if WHOLE in inspect.signature(function).parameters:
                takes = partial(function, registry=registry)
            hooks[name], wanted = takes, HOOKS[name]
        elif known is not None and known.computed:
            computed[name] = function
        elif name.startswith(DEFAULT_PREFIX) and _takes_default(resource, name.removeprefix(DEFAULT_PREFIX)):
            defaults[name.removeprefix(DEFAULT_PREFIX)], wanted = function, 2
        else:
            detail = f"`{name}` is no computed field of {resource.name}, no default of a field and no hook."
            misfits.append(Misfit(_place_of(function), detail))
            continue
        if not _takes(takes, wanted):
            misfits.append(Misfit(_place_of(function), f"`{name}` must take {wanted} arguments."))
    for declared in resource.fields.values():
        if declared.computed and declared.name not in computed:
            source = getattr(module, "__file__", None) or module.__name__
            misfits.append(Misfit(source, f"{resource.name}.{declared.name} is computed, but no function computes it."))
    return Overrides(
        type=resource.name,
        computed=MappingProxyType(computed),
        defaults=MappingProxyType(defaults),
        misfits=tuple(misfits),
        **hooks,
    )


def _takes_default(resource: Resource, name: str) -> bool:
    known = resource.fields.get(name)
    return known is not None and known.role == "plain" and not known.computed


def _takes(function: Function, count: int) -> bool:
    try:
        inspect.signature(function).bind(*[None] * count)
    except TypeError:
        return False
    return True


def _place_of(function: Function) -> str:
    return f"{function.__code__.co_filename}:{function.__code__.co_firstlineno}"
