"""The table of old routes, and which of its rows a method and path mean.

The rows stand with their versions: `v1.py` and `v2.py` are looked for by name, so that deleting one removes its routes.
Code, documentation and tests all go by `ROUTES`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec

from legacy_shim.shapes import LegacyRoute, Version

# First words of paths that V1 leaves alone, whatever types there are.
NEVER_V1 = frozenset({"v2", "v3", "api", "crud", "docs", "health", "metrics", "openapi.json"})


def _find_versions() -> tuple[Version, ...]:
    names = [name for name in ("legacy_shim.v1", "legacy_shim.v2") if find_spec(name) is not None]
    return tuple(import_module(name).VERSION for name in names)


VERSIONS: tuple[Version, ...] = _find_versions()
ROUTES: tuple[LegacyRoute, ...] = tuple(route for version in VERSIONS for route in version.routes)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a path leads.

    Attributes:
        version: Whose path it is.
        word: The word that names the type, as the caller wrote it.
        public_id: The last word, where it is an object's; not known to be well-formed.
        routes: What may be done there, by method.
    """

    version: Version
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
    if len(parts) < 2 or parts[0]:
        return None
    found = _PREFIXES.get((parts[1], parts[2])) if len(parts) > 2 else None
    if found is not None:
        rest = parts[3:]
    elif parts[1] in _FIRST_WORDS:
        found, rest = _FIRST_WORDS[parts[1]], parts[2:]
    elif parts[1] in NEVER_V1:
        return None
    else:
        found, rest = _BARE, parts[1:]
    if found is None or not rest or not rest[0]:
        return None
    if len(rest) == 1:
        return Place(found, rest[0], None, _PLACES[found.name]["/{type}"])
    if len(rest) > 2 or not rest[1]:
        return None
    word = _PLACES[found.name].get(f"/{{type}}/{rest[1]}")
    if word is not None:
        return Place(found, rest[0], None, word)
    return Place(found, rest[0], rest[1], _PLACES[found.name]["/{type}/{id}"])


def _places_of(version: Version) -> dict[str, dict[str, LegacyRoute]]:
    places: dict[str, dict[str, LegacyRoute]] = {}
    for route in version.routes:
        for method in route.methods:
            places.setdefault(route.pattern, {})[method] = route
    return places


_PLACES = {version.name: _places_of(version) for version in VERSIONS}
_ROOTS = {prefix: version for version in VERSIONS for prefix in version.prefixes}
_PREFIXES = {tuple(prefix.split("/")[1:]): version for prefix, version in _ROOTS.items() if prefix.count("/") == 2}
_FIRST_WORDS = {prefix[1:]: version for prefix, version in _ROOTS.items() if prefix.count("/") == 1}
_BARE = _ROOTS.get("")
