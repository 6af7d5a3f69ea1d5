"""One old request in words of V3: a pure function of the request's head. The body follows by `LegacyCall.rewrite`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from engine import MethodNotAllowed, Problem, is_public_id, not_found
from legacy_shim.bodies import rewrite_object, rewrite_search
from legacy_shim.parameters import ACCOUNT_HEADER, Asked, read_parameters
from legacy_shim.routes import Place
from legacy_shim.shapes import LegacyCall, LegacyRoute, Rewrite
from legacy_shim.words import TypeWords, Words

ROOT = "/v3/crud"
# Verbs whose calls have no body.
_BARE = frozenset({"get", "delete"})
# Without body and parameters; most calls of most old clients.
_NOTHING = Asked("")


def translate(
    place: Place,
    method: str,
    query: bytes,
    headers: Sequence[tuple[bytes, bytes]],
    words: TypeWords,
    everything: Words,
) -> LegacyCall:
    """Say an old call in words of V3.

    Args:
        place: Where its path leads.
        method: Upper case; HEAD is GET already. One that the place does not take becomes a refusal.
        query: As it came.
        headers: As they came, lower-case names.
        words: Of the type that the path names.
        everything: Of all types.
    """
    route = place.routes.get(method)
    if route is None:
        return _refuse(place, method, words)
    if not query and route.verb in _BARE:
        return _translate_bare(route, place, words)
    asked = _NOTHING
    if query or route.verb in ("list", "search"):
        account = next((value for name, value in headers if name == ACCOUNT_HEADER), None)
        asked = read_parameters(query, words, everything, account, route.verb)
    path = _path_of(route, place, asked, words)
    # By position: names would cost as much again as all the rest.
    call = LegacyCall(
        route,
        place.door,
        words.resource.name,
        route.v3_method,
        path,
        "&".join(asked.query),
        asked.headers,
        _rewrite_of(route, asked, words, everything),
        asked.refusal if asked.faults or asked.is_nowhere else _nowhere(place.public_id, path),
        place.public_id,
        asked.is_trial,
    )
    call.places = asked.places
    return call


def _translate_bare(route: LegacyRoute, place: Place, words: TypeWords) -> LegacyCall:
    """A call of an object without parameters or body: there is not much to say, and most calls are such."""
    path = _flat_path(place, words)
    refusal = _nowhere(place.public_id, path)
    return LegacyCall(
        route, place.door, words.resource.name, route.v3_method, path, "", (), None, refusal, place.public_id
    )


def _path_of(route: LegacyRoute, place: Place, asked: Asked, words: TypeWords) -> str:
    if route.verb == "list":
        return f"{ROOT}/{asked.path}/"
    if route.verb == "search":
        return f"{ROOT}/{asked.path}/search"
    return _flat_path(place, words)


def _flat_path(place: Place, words: TypeWords) -> str:
    """The path of the object, or of its collection where the word is none that an object can have."""
    public_id = place.public_id if place.public_id is not None and is_public_id(place.public_id) else ""
    return f"{ROOT}/{words.resource.name}/{public_id}"


def _nowhere(public_id: str | None, path: str) -> Problem | None:
    """No id, so V3 must not see it: below a type it has words of its own, and they are none of the old API's."""
    return not_found() if public_id and path.endswith("/") else None


def _rewrite_of(route: LegacyRoute, asked: Asked, words: TypeWords, everything: Words) -> Rewrite | None:
    if route.verb == "search":
        return partial(rewrite_search, words=words, everything=everything, asked=asked)
    if route.verb in ("create", "update"):
        return partial(rewrite_object, words=words, everything=everything)
    return None


def _refuse(place: Place, method: str, words: TypeWords) -> LegacyCall:
    allow = place.allow
    refusal = MethodNotAllowed(f"This path takes {allow}, not {method[:20]}.", headers=(("Allow", allow),))
    route = next(iter(place.routes.values()))
    return LegacyCall(
        route=route,
        door=place.door,
        type=words.resource.name,
        v3_method="OPTIONS" if method == "OPTIONS" else "GET",
        v3_path=_flat_path(place, words),
        refusal=None if method == "OPTIONS" else refusal,
        public_id=place.public_id,
        is_use=False,
    )
