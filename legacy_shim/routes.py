"""The table of old routes, and which of its rows a method and path mean.

The rows stand with their versions: `v1.py` and `v2.py` are looked for by name, so that deleting one removes its routes.
Code, documentation and tests all go by `ROUTES`.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import NamedTuple

from legacy_shim.shapes import LegacyRoute, Version

# First words of paths that V1 leaves alone, whatever types there are.
NEVER_V1 = frozenset({"v2", "v3", "api", "crud", "docs", "health", "metrics", "openapi.json"})


def _find_versions() -> tuple[Version, ...]:
    names = [name for name in ("legacy_shim.v1", "legacy_shim.v2") if find_spec(name) is not None]
    return tuple(import_module(name).VERSION for name in names)


VERSIONS: tuple[Version, ...] = _find_versions()
ROUTES: tuple[LegacyRoute, ...] = tuple(route for version in VERSIONS for route in version.routes)


class Place(NamedTuple):
    """Where a path leads.

    Attributes:
        version: Whose path it is.
        door: The prefix that it begins with; ``/`` for none.
        word: The word that names the type, as the caller wrote it.
        public_id: The last word, where it is an object's; not known to be well-formed.
        routes: What may be done there, by method.
    """

    version: Version
    door: str
    word: str
    public_id: str | None
    routes: Mapping[str, LegacyRoute]

    @property
    def allow(self) -> str:
        """The value of ``Allow``."""
        return ", ".join(sorted({*self.routes, "OPTIONS", *(("HEAD",) if "GET" in self.routes else ())}))


def find_place(path: str) -> Place | None:
    """Find out which old path this is; None where it is none.

    Args:
        path: Percent-decoded. One slash at its end makes no difference.
    """
    parts = path.split("/")
    if parts[-1] == "":
        parts.pop()
    if len(parts) < 2 or parts[0] or not parts[1]:
        return None
    for door in _DOORS.get(parts[1], ()):
        if not door.second or (len(parts) > 2 and parts[2] == door.second):
            break
    else:
        if _OPEN_DOOR is None or parts[1] in NEVER_V1:
            return None
        door = _OPEN_DOOR
    version, prefix, _, _, start, of_type, of_words, of_object = door
    count = len(parts) - start
    if not 1 <= count <= 2 or not parts[start]:
        return None
    if count == 1:
        return Place(version, prefix, parts[start], None, of_type)
    last = parts[start + 1]
    if not last:
        return None
    found = of_words.get(last)
    if found is not None:
        return Place(version, prefix, parts[start], None, found)
    return Place(version, prefix, parts[start], last, of_object)


Methods = Mapping[str, LegacyRoute]


class _Door(NamedTuple):
    """A prefix of a version.

    Attributes:
        prefix: ``/v2/crud``; ``/`` for none.
        first, second: Words of the prefix; empty where there is none.
        start: Where the type's word stands among a path's parts.
        of_type: What may be done at ``/{type}``, by method.
        of_words: What at ``/{type}/`` and a word, by that word.
        of_object: What at ``/{type}/{id}``.
    """

    version: Version
    prefix: str
    first: str
    second: str
    start: int
    of_type: Methods
    of_words: Mapping[str, Methods]
    of_object: Methods


def _door_of(version: Version, prefix: str) -> _Door:
    places = _places_of(version)
    of_type, of_object = places.pop("/{type}"), places.pop("/{type}/{id}")
    of_words = {pattern.rpartition("/")[2]: methods for pattern, methods in places.items()}
    words = prefix.split("/")[1:]
    first, second = (*words, "", "")[:2]
    return _Door(version, prefix or "/", first, second, 1 + len(words), of_type, of_words, of_object)


def _places_of(version: Version) -> dict[str, dict[str, LegacyRoute]]:
    places: dict[str, dict[str, LegacyRoute]] = {}
    for route in version.routes:
        for method in route.methods:
            places.setdefault(route.pattern, {})[method] = route
    return places


_ALL_DOORS = [_door_of(version, prefix) for version in VERSIONS for prefix in version.prefixes]
_OPEN_DOOR = next((door for door in _ALL_DOORS if not door.first), None)
_DOORS = {
    first: sorted((door for door in _ALL_DOORS if door.first == first), key=lambda door: door.second, reverse=True)
    for first in {door.first for door in _ALL_DOORS if door.first}
}
