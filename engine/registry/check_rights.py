"""Checks of who may do what: roles, scopes, row rules, public reading, and the filters among them.

Filters are checked for their form and their first names here; what an operator makes
of an operand is planned, and refused, later.
"""

from __future__ import annotations

import re
from typing import Any

from engine.registry.families import FUNCTIONS
from engine.registry.findings import Path, Report, suggest
from engine.registry.grammar import RegistryFile
from engine.registry.resource import Registry, Resource

VERBS = ("read", "create", "update", "delete", "delete_hard", "write", "*")
NAMED = ("action", "meta")
MAX_DEPTH = 12

_ROLE = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_SCOPE_NAME = re.compile(r"[A-Za-z0-9_.*/-]+")
_FUNCTION = re.compile(r"([a-z]+)\(([A-Za-z0-9_.]+)\)", re.ASCII)
_LOGIC = frozenset({"and", "or", "not"})
_MANY = frozenset({"any", "all", "none", "count", "some", "every"})


def check_rights(registry: Registry, said: RegistryFile, uncertain: frozenset[str], report: Report) -> None:
    """Report roles and scopes that mean nothing, and rules and filters that cannot hold.

    Args:
        registry: The registry as it was built.
        said: Its declarations.
        uncertain: Types whose tables may have columns that nobody has declared.
        report: Takes the findings.
    """
    filters = _Filters(registry, uncertain, report)
    for role, scopes in said.roles.items():
        if not _ROLE.fullmatch(role):
            report.add("R401", ("roles", role), f"`{role[:60]}` is no name of a role", at_key=True)
        for index, scope in enumerate(scopes):
            _check_scope(scope, said, ("roles", role, index), report)
    for name, one in said.types.items():
        path: Path = ("types", name)
        resource = registry.types[name]
        for role, rule in (one.rows or {}).items():
            if role not in said.roles:
                message = f"there is no role `{role}`"
                report.add("R502", (*path, "rows", role), message, label=suggest(role, said.roles), at_key=True)
            filters.check(resource, rule, (*path, "rows", role), 0)
        for field_name, field in one.fields.items():
            at = (*path, "fields", field_name)
            for key, word in (("read", field.read), ("write", field.write)):
                if word is not None and word not in said.roles:
                    _check_word(word, said, (*at, key), report)
            if field.where is not None and field.ref is not None and field.ref in registry.types:
                filters.check(registry.types[field.ref], field.where, (*at, "where"), 0)
        if one.public is not None:
            _check_public(resource, one.public.read, (*path, "public"), report)
            filters.check(resource, one.public.read, (*path, "public", "read"), 0)


# ---------------------------------------------------------------- private


def _check_scope(scope: str, said: RegistryFile, path: Path, report: Report) -> None:
    subject, colon, verb = scope.partition(":")
    if not colon or not verb or not _SCOPE_NAME.fullmatch(verb):
        report.add("R501", path, f"`{scope[:60]}` is no scope", help="such as journal:read, *:read, action:name")
    elif subject in NAMED:
        return
    elif subject != "*" and subject not in said.types:
        label = suggest(subject, (*said.types, *NAMED))
        report.add("R501", path, f"`{scope[:60]}`: there is no type `{subject[:60]}`", label=label)
    elif verb not in VERBS:
        help_ = f"one of {', '.join(VERBS)}"
        report.add("R501", path, f"`{verb[:60]}` is no verb", label=suggest(verb, VERBS), help=help_)


def _check_word(word: str, said: RegistryFile, path: Path, report: Report) -> None:
    if ":" in word:
        _check_scope(word, said, path, report)
        return
    report.add("R504", path, f"`{word[:60]}` is no role and no scope", label=suggest(word, said.roles))


def _check_public(resource: Resource, filter_: Any, path: Path, report: Report) -> None:
    if resource.account.kind != "none" and not filter_:
        report.add(
            "R503", path, f"{resource.name} belongs to accounts, so `public` must say which rows everybody may read",
            help="public: {read: {status: published}}",
        )  # fmt: skip
    if resource.account.kind == "self":
        report.add("R503", path, "accounts themselves cannot be public")


class _Filters:
    """Walks filters, to a depth at which nobody writes them any more."""

    def __init__(self, registry: Registry, uncertain: frozenset[str], report: Report) -> None:
        self.registry = registry
        self.uncertain = uncertain
        self.report = report

    def check(self, resource: Resource, node: Any, path: Path, depth: int) -> None:
        if depth > MAX_DEPTH:
            self.report.add("R212", path, f"the filter is nested deeper than {MAX_DEPTH}")
        elif not isinstance(node, dict):
            self.report.add("R212", path, "a filter is a mapping of fields to conditions")
        else:
            for key, value in node.items():
                self._check_key(resource, key, value, (*path, key), depth)

    def _check_key(self, resource: Resource, key: str, value: Any, path: Path, depth: int) -> None:
        word = key[1:] if key[:1] in ("_", "$") and key[1:] in _LOGIC else key
        if word in ("and", "or"):
            if not isinstance(value, list):
                self.report.add("R212", path, f"`{key}` takes a list of filters")
                return
            for index, one in enumerate(value):
                self.check(resource, one, (*path, index), depth + 1)
        elif word == "not":
            self.check(resource, value, path, depth + 1)
        else:
            self._check_expression(resource, key, value, path, depth)

    def _check_expression(self, resource: Resource, key: str, value: Any, path: Path, depth: int) -> None:
        call = _FUNCTION.fullmatch(key)
        if call is not None and call[1] not in FUNCTIONS:
            message = f"`{call[1]}` is no function"
            self.report.add("R212", path, message, label=suggest(call[1], FUNCTIONS), at_key=True)
            return
        *hops, last = (call[2] if call is not None else key).split(".")
        for hop in hops:
            relation = resource.relations.get(hop)
            if relation is None or relation.kind != "one":
                self._report(resource, hop, path)
                return
            resource = self.registry.types[relation.target]
        relation = resource.relations.get(last)
        field = resource.fields.get(last)
        if field is not None:
            if field.secret or field.computed:
                self.report.add("R212", path, f"{last} cannot be asked for, since nothing compares it", at_key=True)
        elif relation is None:
            self._report(resource, last, path)
        elif isinstance(value, dict):
            target = self.registry.types[relation.target]
            for inner, one in value.items():
                is_filter = inner not in ("null", "_null", "$null") and not (relation.kind == "many" and inner in _MANY)
                if is_filter:
                    self._check_key(target, inner, one, (*path, inner), depth + 1)
                elif inner in _MANY - {"count"}:
                    self.check(target, one, (*path, inner), depth + 1)

    def _report(self, resource: Resource, name: str, path: Path) -> None:
        if resource.name in self.uncertain:
            return
        label = suggest(name, (*resource.fields, *resource.relations))
        message = f"{resource.name} has no field or relation `{name[:60]}`"
        self.report.add("R212", path, message, label=label, at_key=True)
