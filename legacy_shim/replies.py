"""Replies of V3 as the old API gave them: old names beside today's, and the shape of each version.

The shape itself stands in `v1.py` and `v2.py`; here is what both have in common.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson

from legacy_shim.shapes import Headers, LegacyCall, OldReply, ShapeError, ShapeSuccess
from legacy_shim.words import TypeWords, Words

JSON_TYPE = (b"content-type", b"application/json")
_REPLACED = frozenset({b"content-type", b"content-length", b"location"})
# orjson reads an integer beyond 64 bits as a float; a JSON field may hold one.
_LONG_NUMBER = re.compile(rb"[0-9]{17}")
_UNFIT = re.compile(r"[^\x20-\x7e]")
_MOST_FAULTS = 20


def shape_reply(
    call: LegacyCall,
    words: TypeWords,
    everything: Words,
    shapes: tuple[ShapeSuccess, ShapeError],
    status: int,
    headers: Headers,
    body: bytes,
) -> OldReply:
    """Make the old reply of the one that V3 has given.

    Args:
        call: What was asked.
        words: Of the type.
        everything: Of all types.
        shapes: How the version shows what has worked, and what has not.
        status: Of the reply of V3.
        headers: Likewise, lower-case names.
        body: Likewise.
    """
    kept = tuple(pair for pair in headers if pair[0] not in _REPLACED)
    load, dump = (json.loads, _dump_exactly) if _LONG_NUMBER.search(body) else (orjson.loads, orjson.dumps)
    if status == HTTPStatus.NOT_MODIFIED:
        return OldReply(status, kept, b"")
    if status >= HTTPStatus.BAD_REQUEST:
        shown = shapes[1](status, describe_problem(orjson.loads(body), call.places))
    elif call.route.verb == "delete":
        shown = shapes[0](status, {"deleted": not call.is_trial, "id_random": call.public_id})
        status = HTTPStatus.OK
    else:
        reply = load(body)
        data = reply["data"]
        if isinstance(data, list):
            data = [with_old_names(one, words, everything) for one in data]
        else:
            data = with_old_names(data, words, everything)
        kept = (*kept, *_warnings(reply["meta"]))
        shown = shapes[0](status, data)
        status = HTTPStatus.OK
    made = dump(shown)
    return OldReply(status, (*kept, JSON_TYPE, (b"content-length", b"%d" % len(made))), made)


def with_old_names(shown: dict[str, Any], words: TypeWords, everything: Words) -> dict[str, Any]:
    """An object with each value that had an old name repeated under it, and so for the objects in it."""
    made: dict[str, Any] = {}
    old_of, relations = words.old_of, words.relations
    for name, value in shown.items():
        if name in relations and isinstance(value, dict):
            target = everything.types[relations[name]]
            made[name] = _expanded(value, target, everything, is_page=name in words.to_many)
            continue
        made[name] = value
        if name in old_of:
            for old in old_of[name]:
                made[old] = value
    return made


def _expanded(value: dict[str, Any], target: TypeWords, everything: Words, *, is_page: bool) -> dict[str, Any]:
    if is_page:
        return {**value, "data": [with_old_names(one, target, everything) for one in value["data"]]}
    return with_old_names(value, target, everything)


def describe_problem(problem: Mapping[str, Any], places: Mapping[str, str]) -> str:
    """A problem as one text: each fault with its place in the old call."""
    errors: list[Mapping[str, Any]] = problem.get("errors", [])
    if not errors:
        return str(problem["detail"])
    described = [_describe(one, places) for one in errors[:_MOST_FAULTS]]
    if len(errors) > _MOST_FAULTS:
        described.append(f"and {len(errors) - _MOST_FAULTS} more")
    return "; ".join(described)


def _describe(error: Mapping[str, Any], places: Mapping[str, str]) -> str:
    place = str(error.get("pointer") or error.get("parameter") or error.get("header") or "")
    for prefix in ("/filter/and/", "/filter/or/"):
        if place.startswith(prefix):
            # The fault is at a condition; what it consisted of is in its text.
            place = "/".join(["", *place.split("/")[2:4]])
    first = place.removeprefix("/").partition("/")[0].partition(".")[0]
    place = places.get(first, place)
    return f"{place}: {error['detail']}" if place else str(error["detail"])


def _warnings(meta: Mapping[str, Any]) -> Headers:
    """What V3 has to say beside the data; the old replies have no other place for it than a header (RFC 7234, 5.5)."""
    return tuple(
        (b"warning", b'299 - "%s"' % _UNFIT.sub("?", text).replace("\\", "/").replace('"', "'").encode("ascii"))
        for text in meta.get("warnings", ())
    )


def _dump_exactly(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
