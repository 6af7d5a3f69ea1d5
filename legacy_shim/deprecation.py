"""What says that the old API ends: headers on its replies, a warning and a count for each use, routes switched off.

Counting and logging are the engine's (`Host.note_use`); here is decided what is told of a call. No line ever holds a
credential or what could be one: see `shown_url`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from email.utils import format_datetime
from typing import Literal
from urllib.parse import quote, unquote_plus

from engine import Gone, Host, LegacySwitches, OldRoute, OldUse, Principal, Problem, Registry, Resource
from legacy_shim.routes import VERSIONS
from legacy_shim.shapes import Headers, LegacyCall, LegacyRoute, VersionName

# Since when each version is deprecated (RFC 9745): the day on which V3 began to replace them both.
DEPRECATED_ON: dict[VersionName, date] = {"v1": date(2026, 11, 1), "v2": date(2026, 11, 1)}

MAX_LINK = 2_000
MAX_REMEMBERED = 2_000
MAX_REMEMBERED_QUERY = 300
HIDDEN = "***"
# Parameters of V3 that are no fields, and those of them that hold whatever somebody looks for.
_PLAIN = frozenset(
    {"limit", "offset", "cursor", "sort", "fields", "expand", "count", "deleted", "timezone", "validate_only", "hard"}
)
_TEXTS = frozenset({"filter", "q"})
# What a token of ours or of others, or an API key, looks like.
_CREDENTIAL = re.compile(r"eyJ[\w-]{5,}\.[\w-]+\.[\w-]*|[\w-]{22}\.[\w-]{20,}", re.ASCII)
# What may stand between < and > of a Link header, and a URL.
_SAFE = "/?&=%:+,;@!$'()*~-._"

_IS_PLAIN = re.compile(r"[A-Za-z0-9/_-]*", re.ASCII)

Trust = Literal["accepted", "unread", "refused"]


@dataclass(frozen=True, slots=True)
class _Known:
    """What is the same for all calls of a route with a type."""

    route: str
    replacement: str


class Deprecation:
    """What happens around each call of an old route.

    Args:
        host: The engine around it.
        now: The moment, aware; brown-outs go by it.
    """

    def __init__(self, host: Host, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._host = host
        self._now = now
        self._base = quote(host.settings.public_url or "", safe=f"{_SAFE}[]")
        self._common = {version: _common_headers(day, host) for version, day in DEPRECATED_ON.items()}
        self._known: dict[tuple[str, str, str], _Known] = {}
        self._shown: dict[tuple[str, str, Trust], str] = {}
        self._switches: dict[str, tuple[LegacySwitches, ...]] = {}
        self._registry: Registry | None = None

    def admit(self, call: LegacyCall) -> Problem | None:
        """Why a call is refused although it can be translated: the route is switched off, for good or this minute."""
        registry = self._host.registry()
        if registry is not self._registry:
            self._take(registry)
        for one in self._switches.get(call.type, (registry.legacy,)):
            closure = one.closure_of(call.door, call.route.verb, self._now())
            if closure is not None:
                route = self._know(call).route
                why = "is switched off" if closure == "off" else "is switched off for some minutes, before its end"
                return Gone(f"{route} {why}. Call {call.v3_method} {self._show(call, 'unread')} in its place.")
        return None

    def headers(self, call: LegacyCall) -> Headers:
        """What every reply of an old route carries: since when it is deprecated, when it ends, and its successor."""
        url = f"{self._base}{self._show(call, 'accepted')}"
        if len(url) > MAX_LINK:
            url = f"{self._base}{shown_url(call.v3_path, '', None, 'accepted')}"
        link = f'<{url}>; rel="successor-version"'.encode("ascii")
        return (*self._common[call.route.version], (b"link", link))

    def note(self, call: LegacyCall, caller: Principal, request_id: str, status: int) -> None:
        """Take down one use, refused or not, after it was answered."""
        known = self._know(call)
        # What V3 has refused may be anything; what it has not read yet is trusted by its names alone.
        trust: Trust = "accepted" if status < 400 else "unread" if status in (404, 410) else "refused"
        shown = f"{call.v3_method} {self._show(call, trust)}"
        self._host.note_use(
            OldUse(call.route.name, call.route.version, known.route, known.replacement, shown, status, request_id),
            caller,
        )

    # ------------------------------------------------------------ private

    def _take(self, registry: Registry) -> None:
        """Go by another registry: by type, what switches its old routes off, where anything does."""
        self._registry = registry
        self._shown.clear()
        self._switches = {
            name: tuple(one for one in (registry.legacy, resource.legacy.switches) if one.off or one.brownouts)
            for name, resource in registry.types.items()
        }

    def _resource(self, call: LegacyCall) -> Resource | None:
        return self._host.registry().types.get(call.type)

    def _show(self, call: LegacyCall, trust: Trust) -> str:
        """What `shown_url` shows, remembered for queries that come again, as those of programs do."""
        if not call.v3_query:
            if call.shown is None:
                call.shown = shown_url(call.v3_path, "", None, trust)
            return call.shown
        registry = self._host.registry()
        if registry is not self._registry:
            self._take(registry)
        resource = registry.types.get(call.type)
        if len(call.v3_query) > MAX_REMEMBERED_QUERY:
            return shown_url(call.v3_path, call.v3_query, resource, trust)
        key = (call.type, call.v3_query, trust)
        query = self._shown.get(key)
        if query is None:
            if len(self._shown) >= MAX_REMEMBERED:
                self._shown.clear()
            query = self._shown[key] = shown_url("", call.v3_query, resource, trust)
        return f"{shown_url(call.v3_path, '', resource, trust)}{query}"

    def _know(self, call: LegacyCall) -> _Known:
        key = (call.route.name, call.door, call.type)
        found = self._known.get(key)
        if found is None:
            name = None if self._resource(call) is None else call.type
            known = _Known(label_of(call.route, call.door, name), successor_of(call.route, name))
            found = self._known[key] = known
        return found


def label_of(route: LegacyRoute, door: str, type_name: str | None) -> str:
    """A route as it is counted: method and path, with the type's name (``{type}`` where there is none) and no id."""
    path = f"{door.rstrip('/')}{route.pattern}"
    return f"{'|'.join(route.methods)} {path if type_name is None else path.replace('{type}', type_name)}"


def successor_of(route: LegacyRoute, type_name: str | None) -> str:
    """What replaces a route, in the same way."""
    path = route.v3_path if type_name is None else route.v3_path.replace("{type}", type_name)
    return f"{route.v3_method} {path}"


def list_routes(registry: Registry) -> tuple[OldRoute, ...]:
    """Every route of the table, by each of its doors, for each type; labelled as its uses are counted."""
    doors = [(route, prefix or "/") for version in VERSIONS for route in version.routes for prefix in version.prefixes]
    return tuple(
        OldRoute(
            route.name, route.version, route.verb, door, name, label_of(route, door, None), label_of(route, door, name)
        )
        for route, door in doors
        for name in registry.types
    )


def shown_url(path: str, query: str, resource: Resource | None, trust: Trust) -> str:
    """The equivalent's path and query, without what could be a secret or break out of a header.

    A value is hidden where it looks like a token or an API key, and where its parameter is none of V3's and no field
    that can be read.

    Args:
        path: Percent-encoded.
        query: Likewise.
        resource: The type; None where there is none.
        trust: ``accepted`` by V3; ``unread`` so far, when filters are hidden too; ``refused``, when every value is.
    """
    shown = path if _IS_PLAIN.fullmatch(path) else quote(path, safe=_SAFE)
    if not query:
        return shown
    return f"{shown}?{'&'.join(_shown_parameter(part, resource, trust) for part in query.split('&'))}"


def _shown_parameter(part: str, resource: Resource | None, trust: Trust) -> str:
    name, equals, value = part.partition("=")
    shown = quote(name.encode("latin-1", "replace"), safe=_SAFE)
    if not equals:
        return shown if _is_known(unquote_plus(name), resource, trust) else HIDDEN
    is_shown = _is_known(unquote_plus(name), resource, trust) and not _CREDENTIAL.search(unquote_plus(value))
    return f"{shown}={quote(value.encode('latin-1', 'replace'), safe=_SAFE) if is_shown else HIDDEN}"


def _is_known(name: str, resource: Resource | None, trust: Trust) -> bool:
    """Whether a parameter is one of V3's, whose value may be told of."""
    if trust == "refused":
        return False
    if name in _PLAIN or name in _TEXTS:
        return name in _PLAIN or trust == "accepted"
    # Of a function what it is of, of a path its first name, without the operator.
    first = name.rpartition("(")[2].partition(")")[0].partition(".")[0]
    if resource is None or first in resource.relations:
        return resource is not None and trust == "accepted"
    field = resource.fields.get(first)
    return field is not None and field.is_readable


def _common_headers(day: date, host: Host) -> Headers:
    since = int(datetime.combine(day, time(), UTC).timestamp())
    headers: Headers = ((b"deprecation", b"@%d" % since),)
    if host.settings.legacy_sunset is None:
        return headers
    end = datetime.combine(date.fromisoformat(host.settings.legacy_sunset), time(), UTC)
    return (*headers, (b"sunset", format_datetime(end, usegmt=True).encode("ascii")))
