"""What a caller may do with each type and field: scopes and roles, read through the registry.

One `Rights` serves all callers who were granted the same; it works out a type the
first time the type is asked for, so a registry of a thousand types costs a caller
nothing. Which rows of which account he sees is `plan/tenancy.py`'s business, how
a token or key proved its scopes is `auth/`'s.

Scopes: ``<type>:<read|create|update|delete|delete_hard>``, ``<type>:write`` (create,
update, delete), ``<type>:*``; ``*`` as the type stands for every type.
``action:<name>`` and ``meta:<name>`` (or ``action:*``, ``meta:*``) are always named:
no ``*:…`` grants them.

Decided here, since nothing above says it:
- Creating a row of the account type is for operators, like writing a shared type: the row
  would belong to no account of the caller's.
- A field with `read` and no `write` is written by those who may read it.
- Only a caller who has no scope at all on a type reads it through `public`. So a credential
  that may only write never works on rows of other accounts that happen to be public.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Literal

from engine.principal import Principal
from engine.registry.resource import Field, Registry, Resource

Verb = Literal["read", "create", "update", "delete", "delete_hard"]

VERBS: tuple[Verb, ...] = ("read", "create", "update", "delete", "delete_hard")
WRITE_VERBS: frozenset[Verb] = frozenset(("create", "update", "delete"))
NAMED_ONLY = frozenset(("action", "meta"))
MAX_RIGHTS = 1_000
FULL_KEY = 0

_READ: frozenset[Verb] = frozenset(("read",))


@dataclass(frozen=True, slots=True)
class TypeRights:
    """What one set of rights makes of one type; see `Rights` for the meanings."""

    verbs: frozenset[Verb] = frozenset()
    readable: frozenset[str] = frozenset()
    createable: frozenset[str] = frozenset()
    updateable: frozenset[str] = frozenset()
    rule: Mapping[str, Any] | None = None
    is_public_only: bool = False


NOTHING = TypeRights()


class Rights:
    """The rights of all callers who were granted the same. Made by `rights_of` and `full_rights` alone.

    Attributes:
        key: Equal for equal grants, in every process; `FULL_KEY` is `full_rights`' alone.
        is_full: Whether these are the engine's own rights, under which row rules are planned.
        scopes: All scopes, those of the roles among them.
        roles: The roles that the registry knows.
    """

    __slots__ = ("_belongs", "_is_operator", "_types", "_visible", "is_full", "key", "registry", "roles", "scopes")

    def __init__(
        self,
        registry: Registry,
        scopes: frozenset[str],
        roles: tuple[str, ...],
        *,
        is_operator: bool,
        belongs: bool,
        is_full: bool = False,
    ) -> None:
        self.registry = registry
        self.roles = tuple(sorted(role for role in set(roles) if role in registry.roles))
        self.scopes = scopes.union(*(registry.roles[role] for role in self.roles))
        self.is_full = is_full
        self._is_operator = is_operator
        self._belongs = belongs
        self._types: dict[str, TypeRights] = {}
        self._visible: tuple[str, ...] | None = None
        self.key = FULL_KEY if is_full else _key_of(self.scopes, self.roles, is_operator, belongs)

    def of(self, type_name: str) -> TypeRights:
        """Everything about one type at once; `NOTHING` for a type that does not exist."""
        known = self._types.get(type_name)
        if known is not None:
            return known
        resource = self.registry.types.get(type_name)
        if resource is None:
            return NOTHING
        known = self._types[type_name] = _full_type(resource) if self.is_full else self._work_out(resource)
        return known

    def may(self, type_name: str, verb: Verb) -> bool:
        """Whether the caller may do this with the type at all. False for a type that does not exist."""
        return verb in self.of(type_name).verbs

    def sees(self, type_name: str) -> bool:
        """Whether the type exists for the caller: he may do something with it, though perhaps not read it."""
        return bool(self.of(type_name).verbs)

    def visible_types(self) -> tuple[str, ...]:
        """Names of the types that exist for the caller, in the registry's order."""
        if self._visible is None:
            self._visible = tuple(name for name in self.registry.types if self.sees(name))
        return self._visible

    def readable(self, type_name: str) -> frozenset[str]:
        """Names of the fields the caller may read; none where he may not read the type."""
        return self.of(type_name).readable

    def createable(self, type_name: str) -> frozenset[str]:
        """Names of the fields the caller may give in a create; none where he may not create."""
        return self.of(type_name).createable

    def updateable(self, type_name: str) -> frozenset[str]:
        """Names of the fields the caller may change in an update; none where he may not update."""
        return self.of(type_name).updateable

    def rule(self, type_name: str) -> Mapping[str, Any] | None:
        """The row rule over the type, in the search grammar; None where nothing narrows the caller."""
        return self.of(type_name).rule

    def is_public_only(self, type_name: str) -> bool:
        """Whether the caller reads the type through `public` alone: rows of every account, under `public`'s filter."""
        return self.of(type_name).is_public_only

    def has_scope(self, name: str) -> bool:
        """Whether a scope was granted, by its name or by a wider one (``action:*`` for ``action:x``)."""
        if self.is_full or name in self.scopes:
            return True
        subject, _, verb = name.partition(":")
        if not verb:
            return False
        if f"{subject}:*" in self.scopes:
            return True
        if verb in WRITE_VERBS and f"{subject}:write" in self.scopes:
            return True
        if subject == "*" or subject in NAMED_ONLY:
            return False
        return self.has_scope(f"*:{verb}")

    def has_role(self, name: str) -> bool:
        """Whether a role of the registry was granted."""
        return self.is_full or name in self.roles

    # ------------------------------------------------------------ private

    def _work_out(self, resource: Resource) -> TypeRights:
        granted = frozenset(verb for verb in VERBS if self.has_scope(f"{resource.name}:{verb}"))
        is_bound = resource.account.kind != "none"
        if resource.public is not None and (not granted or (is_bound and not self._belongs)):
            return TypeRights(_READ, self._readable(resource), rule=resource.public or None, is_public_only=True)
        verbs = granted - self._withheld(resource)
        if not verbs:
            return NOTHING
        return TypeRights(
            verbs,
            self._readable(resource) if "read" in verbs else frozenset(),
            _names(f for f in self._writable(resource) if f.is_createable) if "create" in verbs else frozenset(),
            _names(f for f in self._writable(resource) if f.is_updateable) if "update" in verbs else frozenset(),
            self._rule(resource, verbs),
        )

    def _withheld(self, resource: Resource) -> frozenset[Verb]:
        """What no scope of this caller opens."""
        if resource.is_view or (resource.account.kind == "none" and not self._is_operator):
            return frozenset(VERBS) - _READ
        if resource.account.kind == "self" and not self._is_operator:
            return frozenset(("create",))
        return frozenset()

    def _holds(self, wanted: str | None) -> bool:
        """Whether a field's `read` or `write` is met: a scope where it has a colon, else a role."""
        if wanted is None:
            return True
        return self.has_scope(wanted) if ":" in wanted else self.has_role(wanted)

    def _readable(self, resource: Resource) -> frozenset[str]:
        return _names(field for field in resource.fields.values() if field.is_readable and self._holds(field.read))

    def _writable(self, resource: Resource) -> list[Field]:
        return [
            field
            for field in resource.fields.values()
            if not field.hidden and self._holds(field.read if field.write is None else field.write)
        ]

    def _rule(self, resource: Resource, verbs: frozenset[Verb]) -> Mapping[str, Any] | None:
        """The union of the roles' rules.

        A role widens only what it opens: one without the type's read scope adds no
        rows to those of a role with it. Scopes granted beside roles lift no rule.
        """
        opening = [role for role in self.roles if _opens(self.registry.roles[role], resource.name)]
        rules = [resource.rows.get(role) for role in opening]
        if not opening:
            rules = [resource.rows[role] for role in self.roles if role in resource.rows]
        if verbs == _READ and rules and resource.public is not None:
            # What everybody may read is not closed to a caller for having a role; a writer's rule stays
            # as it is, since it also says what he may write.
            rules.append(resource.public)
        return _union(rules)


def rights_of(registry: Registry, principal: Principal) -> Rights:
    """What the registry makes of a caller's scopes and roles.

    Args:
        registry: The running registry.
        principal: The caller; anonymous ones have rights too, over public types.

    Returns:
        The rights, the same object for callers who were granted the same.
    """
    belongs = principal.is_operator or bool(principal.accounts)
    grant = (id(registry), principal.scopes, principal.roles, principal.is_operator, belongs)
    known = _RIGHTS.get(grant)
    if known is None:
        if len(_RIGHTS) >= MAX_RIGHTS:
            _RIGHTS.clear()
        known = _RIGHTS[grant] = Rights(
            registry, principal.scopes, principal.roles, is_operator=principal.is_operator, belongs=belongs
        )
    return known


def full_rights(registry: Registry) -> Rights:
    """The engine's own rights, under which row rules are planned. Never a caller's."""
    known = _FULL.get(id(registry))
    if known is None:
        if len(_FULL) >= MAX_RIGHTS:
            _FULL.clear()
        known = _FULL[id(registry)] = Rights(registry, frozenset(), (), is_operator=True, belongs=True, is_full=True)
    return known


# Rights hold their registry, so an id in a key cannot be another registry's.
_RIGHTS: dict[tuple[int, frozenset[str], tuple[str, ...], bool, bool], Rights] = {}
_FULL: dict[int, Rights] = {}


def _key_of(scopes: frozenset[str], roles: tuple[str, ...], is_operator: bool, belongs: bool) -> int:
    """A key that does not depend on the process: an operator's cursors are bound to it."""
    parts = (repr(sorted(scopes)), repr(roles), str(is_operator), str(belongs))
    return int.from_bytes(blake2b("\n".join(parts).encode("utf-8", "backslashreplace"), digest_size=16).digest()) + 1


def _full_type(resource: Resource) -> TypeRights:
    names = frozenset(resource.fields)
    return TypeRights(frozenset(VERBS), names, names, names)


def _opens(scopes: tuple[str, ...], type_name: str) -> bool:
    """Whether a role's scopes open reading a type."""
    return not {f"{type_name}:read", f"{type_name}:*", "*:read", "*:*"}.isdisjoint(scopes)


def _union(rules: Iterable[Mapping[str, Any] | None]) -> Mapping[str, Any] | None:
    parts: list[Mapping[str, Any]] = []
    for rule in rules:
        if not rule:
            return None
        if rule not in parts:
            parts.append(rule)
    if len(parts) > 1:
        return {"or": parts}
    return parts[0] if parts else None


def _names(fields: Iterable[Field]) -> frozenset[str]:
    return frozenset(field.name for field in fields)
