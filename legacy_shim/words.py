"""What V1 and V2 called types and fields, made of the registry once and then only looked up.

An id was called `id_random`, and `journal_id_random` what is `journal_id` today. Other old names stand in the registry
under `legacy:`. A field that has such a name today keeps it for itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from engine import Registry, Resource

RANDOM = "_random"
ENABLE = "enable"

_FUNCTION = re.compile(r"([A-Za-z_]+)\(([^()]*)\)")
_SWITCHES = {"boolean": ("true", "false"), "integer": ("1", "0"), "bigint": ("1", "0")}


@dataclass(frozen=True, slots=True)
class TypeWords:
    """The old words of one type.

    Attributes:
        resource: The type.
        new_of: Field name today by each old name.
        repeated: Pairs of a field's name today and an old one, under which a reply repeats the value.
        relations: Relation → name of the type on its other side.
        to_many: Those of them that lead to many.
        enable: What ``enabled`` and ``disabled`` ask of the field `enable`, as the query string writes it; None where
            the type has no such field.
        is_enable_filterable: V3 filters by it. Where not, nothing is left out unless it is asked for, which V3 refuses.
    """

    resource: Resource
    new_of: Mapping[str, str]
    repeated: tuple[tuple[str, str], ...]
    relations: Mapping[str, str]
    to_many: frozenset[str]
    enable: tuple[str, str] | None
    is_enable_filterable: bool


class Words:
    """The old words of a registry.

    Args:
        registry: The registry that is served.
    """

    __slots__ = ("_by_word", "registry", "types")

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.types = {name: _words_of(resource) for name, resource in registry.types.items()}
        self._by_word = dict(self.types)
        for one in self.types.values():
            if one.resource.legacy.name is not None:
                self._by_word.setdefault(one.resource.legacy.name, one)

    def find(self, word: str) -> TypeWords | None:
        """The type that a word means, by today's name or the old one."""
        return self._by_word.get(word)

    def name_today(self, words: TypeWords, expression: str) -> str:
        """A field expression with today's names, ``journal.id_random`` as ``journal.id``; functions stay around theirs.

        What is no name of anything stays as it is.
        """
        call = _FUNCTION.fullmatch(expression)
        if call is not None:
            return f"{call[1]}({self.name_today(words, call[2])})"
        if "." not in expression:
            return words.new_of.get(expression, expression)
        names: list[str] = []
        at: TypeWords | None = words
        for name in expression.split("."):
            names.append(name if at is None else at.new_of.get(name, name))
            at = None if at is None else self.types.get(at.relations.get(name, ""))
        return ".".join(names)


def _words_of(resource: Resource) -> TypeWords:
    taken = {*resource.fields, *resource.relations}
    new_of: dict[str, str] = {}
    for old, new in resource.legacy.fields.items():
        _add(new_of, resource, old, new, taken)
    for field in resource.fields.values():
        _add(new_of, resource, field.name, field.name, taken)
    enable = resource.fields.get(ENABLE)
    return TypeWords(
        resource,
        new_of,
        tuple((new, old) for old, new in new_of.items() if resource.fields[new].is_readable),
        {relation.name: relation.target for relation in resource.relations.values()},
        frozenset(relation.name for relation in resource.relations.values() if relation.kind == "many"),
        None if enable is None else _SWITCHES.get(enable.kind),
        enable is not None and "eq" in enable.operators,
    )


def _add(new_of: dict[str, str], resource: Resource, old: str, new: str, taken: set[str]) -> None:
    """Take an old name in, and the name that an id had beside it."""
    field = resource.fields.get(new)
    # To name a hidden field by an old name would tell that it is there.
    if field is None or field.hidden:
        return
    names = (old, old + RANDOM) if field.kind in ("id", "relation") and not old.endswith(RANDOM) else (old,)
    for name in names:
        if name not in taken:
            new_of.setdefault(name, new)
