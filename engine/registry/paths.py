"""Parents as paths: which segments stand under a type, and every nested path by which a type is reached."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from engine.registry.resource import Child, Parent, Registry

Chain = tuple[Parent, ...]

MAX_DEPTH = 12


def segments_of(registry: Registry) -> Mapping[str, Mapping[str, Child]]:
    """Type → segment → child, for all types: what a dispatcher looks nested paths up in."""
    return MappingProxyType(
        {
            name: MappingProxyType({child.segment: child for child in resource.children})
            for name, resource in registry.types.items()
        }
    )


def chains(registry: Registry, type_name: str) -> list[Chain]:
    """Every chain of parents under which a type is nested, shortest first, each from the outside in.

    A path may begin at any type, so a chain's inner ends are chains as well. The flat
    path, which has no parent, is not among them. A type is never entered twice.
    """
    found: list[Chain] = []
    level: list[Chain] = [(parent,) for parent in registry.types[type_name].parents]
    while level and len(level[0]) <= MAX_DEPTH:
        found.extend(level)
        level = [
            (outer, *chain)
            for chain in level
            for outer in registry.types[chain[0].type].parents
            if outer.type != type_name and all(outer.type != link.type for link in chain)
        ]
    return found


def template_of(chain: Chain, type_name: str) -> str:
    """The path of a type's collection under ``/v3/crud``: ``/journal/{journal_id}/entry/``, flat for an empty chain."""
    if not chain:
        return f"/{type_name}/"
    steps = "".join(f"/{{{link.field}}}/{link.segment}" for link in chain)
    return f"/{chain[0].type}{steps}/"
