"""Replies of V3 as the old API gave them: old names beside today's, and the shape of each version.

The shape itself stands in `v1.py` and `v2.py`; here is what both have in common.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from engine import InnerReply, encode_json
from legacy_shim.shapes import Headers, LegacyCall, OldReply, ShapeError, ShapeSuccess
from legacy_shim.words import TypeWords, Words

JSON_TYPE = b"application/json"
LOCATION = b"location"
NOT_MODIFIED, FIRST_ERROR = 304, 400
_UNFIT = re.compile(r"[^\x20-\x7e]")
_MOST_FAULTS = 20


def shape_reply(
    call: LegacyCall,
    words: TypeWords,
    everything: Words,
    shapes: tuple[ShapeSuccess, ShapeError],
    reply: InnerReply,
) -> OldReply:
    """Make the old reply of the one that V3 has given.

    Args:
        call: What was asked.
        words: Of the type.
        everything: Of all types.
        shapes: How the version shows what has worked, and what has not.
        reply: Of V3.
    """
    status = reply.status
    if status == NOT_MODIFIED:
        return status, b"", reply.headers, None
    if status >= FIRST_ERROR:
        text = describe_problem(orjson.loads(reply.body), call.places)
        return status, encode_json(shapes[1](status, text)), reply.headers, JSON_TYPE
    if call.route.verb == "delete":
        deleted = shapes[0](status, {"deleted": not call.is_trial, "id_random": call.public_id})
        return 200, encode_json(deleted), reply.headers, JSON_TYPE
    shown, encode = reply.shown, encode_json
    if shown is None:
        # A reply from the store: of numbers beyond 64 bits only the standard library keeps every digit.
        shown, encode = json.loads(reply.body), _encode_exactly
    data, meta, headers = shown["data"], shown["meta"], reply.headers
    if isinstance(data, list):
        data = [with_old_names(one, words, everything) for one in data]
    else:
        data = with_old_names(data, words, everything)
    if "warnings" in meta:
        headers = (*headers, *_warnings(meta["warnings"]))
    if call.route.verb == "create":
        # It says where V3 shows the object; an old client has its id.
        headers = tuple(pair for pair in headers if pair[0] != LOCATION)
    return 200, encode(shapes[0](status, data)), headers, JSON_TYPE


def with_old_names(shown: dict[str, Any], words: TypeWords, everything: Words) -> dict[str, Any]:
    """An object with each value that had an old name repeated under it, and so for the objects in it.

    It is the very object, since nobody else reads what V3 would have shown.
    """
    if not words.relations.keys().isdisjoint(shown):
        for name in words.relations.keys() & shown.keys():
            inner = shown[name]
            if inner is not None:
                target = everything.types[words.relations[name]]
                shown[name] = (
                    {**inner, "data": [with_old_names(one, target, everything) for one in inner["data"]]}
                    if name in words.to_many
                    else with_old_names(inner, target, everything)
                )
    for name, old in words.repeated:
        if name in shown:
            shown[old] = shown[name]
    return shown


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


def _warnings(warnings: Sequence[str]) -> Headers:
    """What V3 has to say beside the data; the old replies have no other place for it than a header (RFC 7234, 5.5)."""
    return tuple(
        (b"warning", b'299 - "%s"' % _UNFIT.sub("?", text).replace("\\", "/").replace('"', "'").encode("ascii"))
        for text in warnings
    )


def _encode_exactly(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
