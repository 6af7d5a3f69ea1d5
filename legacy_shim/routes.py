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
    long_door, short_door = "/".join(parts[:3]), "/" + parts[1]
    if long_door in _DOORS:
        door, rest = long_door, parts[3:]
    elif short_door in _DOORS:
        door, rest = short_door, parts[2:]
    elif parts[1] not in NEVER_V1 and "/" in _DOORS:
        door, rest = "/", parts[1:]
    else:
        return None
    if not 1 <= len(rest) <= 2 or "" in rest:
        return None
    version = _DOORS[door]
    places = _PLACES[version.name]
    if len(rest) == 1:
        return Place(version, door, rest[0], None, places["/{type}"])
    found = places.get(f"/{{type}}/{rest[1]}")
    if found is not None:
        return Place(version, door, rest[0], None, found)
    return Place(version, door, rest[0], rest[1], places["/{type}/{id}"])


def _places_of(version: Version) -> dict[str, dict[str, LegacyRoute]]:
    places: dict[str, dict[str, LegacyRoute]] = {}
    for route in version.routes:
        for method in route.methods:
            places.setdefault(route.pattern, {})[method] = route
    return places


_PLACES = {version.name: _places_of(version) for version in VERSIONS}
_DOORS = {prefix or "/": version for version in VERSIONS for prefix in version.prefixes}
