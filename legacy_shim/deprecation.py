"""What says that the old API ends: headers on its replies, a warning and a count for each use, routes switched off.

Counting and logging are the engine's (`Host.note_use`); here is decided what is told of a call. No line ever holds a
credential or what could be one: see `shown_call`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from email.utils import format_datetime
from typing import Literal
from urllib.parse import quote, unquote_plus

from engine import Gone, Host, OldRoute, OldUse, Principal, Problem, Registry, Resource
from legacy_shim.routes import VERSIONS
from legacy_shim.shapes import Headers, LegacyCall, LegacyRoute, VersionName

# Since when each version is deprecated (RFC 9745): the day on which V3 began to replace them both.
DEPRECATED_ON: dict[VersionName, date] = {"v1": date(2026, 11, 1), "v2": date(2026, 11, 1)}

MAX_LINK = 2_000
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

    def admit(self, call: LegacyCall) -> Problem | None:
        """Why a call is refused although it can be translated: the route is switched off, for good or this minute."""
        registry = self._host.registry()
        switches = [registry.legacy]
        resource = registry.types.get(call.type)
        if resource is not None:
            switches.append(resource.legacy.switches)
        for one in switches:
            if not (one.off or one.brownouts):
                continue
            closure = one.closure_of(call.door, call.route.verb, self._now())
            if closure is not None:
                route = self._know(call).route
                why = "is switched off" if closure == "off" else "is switched off for some minutes, before its end"
                return Gone(f"{route} {why}. Call {shown_call(call, resource, 'unread')} in its place.")
        return None

    def headers(self, call: LegacyCall) -> Headers:
        """What every reply of an old route carries: since when it is deprecated, when it ends, and its successor."""
        url = f"{self._base}{_shown_url(call, self._resource(call), 'accepted')}"
        if len(url) > MAX_LINK:
            url = f"{self._base}{call.v3_path}"
        link = f'<{url}>; rel="successor-version"'.encode("ascii")
        return (*self._common[call.route.version], (b"link", link))

    def note(self, call: LegacyCall, caller: Principal, request_id: str, status: int) -> None:
        """Take down one use, refused or not, after it was answered."""
        known = self._know(call)
        # What V3 has refused may be anything; what it has not read yet is trusted by its names alone.
        trust: Trust = "accepted" if status < 400 else "unread" if status in (404, 410) else "refused"
        shown = shown_call(call, self._resource(call), trust)
        self._host.note_use(
            OldUse(call.route.name, call.route.version, known.route, known.replacement, shown, status, request_id),
            caller,
        )

    # ------------------------------------------------------------ private

    def _resource(self, call: LegacyCall) -> Resource | None:
        return self._host.registry().types.get(call.type)

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


def shown_call(call: LegacyCall, resource: Resource | None, trust: Trust) -> str:
    """The equivalent in one line, without what could be a secret.

    A value is hidden where it looks like a token or an API key, and where its parameter is none of V3's and no field
    that can be read.

    Args:
        call: The call.
        resource: Its type; None where there is none.
        trust: ``accepted`` by V3; ``unread`` so far, when filters are hidden too; ``refused``, when every value is.
    """
    return f"{call.v3_method} {_shown_url(call, resource, trust)}"


def _shown_url(call: LegacyCall, resource: Resource | None, trust: Trust) -> str:
    path = quote(call.v3_path, safe=_SAFE)
    if not call.v3_query:
        return path
    query = "&".join(_shown_parameter(part, resource, trust) for part in call.v3_query.split("&"))
    return f"{path}?{query}"


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
