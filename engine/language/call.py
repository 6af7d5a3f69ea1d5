"""Headers that belong to the meaning of a call: preferences, preconditions, the type of the body.

How a request is read off the wire is `http/call.py`'s business.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from engine.errors import BadRequest, ErrorItem, UnsupportedMediaType
from engine.light import light

MAX_HEADER = 8_192
MAX_TAGS = 100
MAX_MEMO = 200

_ENTITY_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
_JSON_TYPE = re.compile(
    r'application/(?:[a-z0-9!#$&^_.+-]+\+)?json[ \t]*(?:;[ \t]*charset[ \t]*=[ \t]*"?utf-?8"?[ \t]*)?', re.IGNORECASE
)


@light
@dataclass(frozen=True, slots=True)
class EntityTag:
    """One tag of an ``If-Match`` or ``If-None-Match``."""

    tag: str
    is_weak: bool = False


@light
@dataclass(frozen=True, slots=True)
class Precondition:
    """A parsed ``If-Match`` or ``If-None-Match``: any version (``*``), or one of some tags."""

    tags: tuple[EntityTag, ...] = ()
    is_any: bool = False

    def matches_strongly(self, tag: str) -> bool:
        """Whether a tag without quotes is named; a weak one never matches (RFC 9110, 8.8.3.2)."""
        return self.is_any or any(one.tag == tag and not one.is_weak for one in self.tags)

    def matches_weakly(self, tag: str) -> bool:
        """The comparison of ``If-None-Match``: weak or not, the tag counts."""
        return self.is_any or any(one.tag == tag for one in self.tags)


@dataclass(frozen=True, slots=True)
class Preferences:
    """What ``Prefer`` asks for and we can do."""

    is_minimal: bool = False
    applied: str | None = None


NO_PREFERENCES = Preferences()


def parse_preferences(header: str) -> Preferences:
    """Read ``Prefer``. What is unknown is ignored (RFC 7240); the first ``return`` counts."""
    return _read_preferences(header) if len(header) <= MAX_MEMO else NO_PREFERENCES


@lru_cache(maxsize=256)
def _read_preferences(header: str) -> Preferences:
    for part in header.split(","):
        name, _, value = part.split(";", 1)[0].partition("=")
        if name.strip().lower() == "return":
            wanted = value.strip().strip('"').lower()
            if wanted in ("minimal", "representation"):
                return Preferences(wanted == "minimal", f"return={wanted}")
            break
    return NO_PREFERENCES


def parse_precondition(header: str, name: str = "If-Match") -> Precondition:
    """Read the value of ``If-Match`` or ``If-None-Match``: ``*`` or a list of entity tags.

    Raises:
        BadRequest: It is neither, or names over a hundred tags.
    """
    text = header.strip(" \t")
    alone = _ENTITY_TAG.fullmatch(text) if len(text) <= MAX_HEADER else None
    if alone is not None:
        return Precondition((EntityTag(alone.group(2), alone.group(1) is not None),))
    if text == "*":
        return Precondition(is_any=True)
    if len(text) > MAX_HEADER:
        raise _malformed(name)
    tags: list[EntityTag] = []
    place = 0
    while True:
        match = _ENTITY_TAG.match(text, place)
        if match is None or len(tags) == MAX_TAGS:
            raise _malformed(name)
        tags.append(EntityTag(match.group(2), match.group(1) is not None))
        place = match.end()
        rest = text[place:].lstrip(" \t")
        if not rest:
            return Precondition(tuple(tags))
        if rest[0] != ",":
            raise _malformed(name)
        place = len(text) - len(rest[1:].lstrip(" \t,"))
        if place == len(text):
            return Precondition(tuple(tags))


def check_content_type(content_type: str | None, content_encoding: str | None = None) -> None:
    """Refuse a body that is not plain JSON by its headers. A body without a Content-Type is taken as JSON.

    Raises:
        UnsupportedMediaType: Another type, another charset than UTF-8, or any content coding.
    """
    if content_type == "application/json" and content_encoding is None:
        return
    if content_encoding is not None and content_encoding.strip().lower() not in ("", "identity"):
        detail = "A compressed body is not taken; send it without Content-Encoding."
        item = ErrorItem("bad-operand", detail, header="Content-Encoding")
        raise UnsupportedMediaType(detail, errors=[item], headers=(("Accept-Encoding", "identity"),))
    if content_type is not None and not (len(content_type) <= 200 and _JSON_TYPE.fullmatch(content_type.strip())):
        detail = "The body must be JSON in UTF-8: Content-Type: application/json."
        item = ErrorItem("bad-operand", detail, header="Content-Type")
        raise UnsupportedMediaType(detail, errors=[item], headers=(("Accept-Post", "application/json"),))


def _malformed(name: str) -> BadRequest:
    detail = f'{name} takes "*" or a list of entity tags in double quotes.'
    return BadRequest(detail, errors=[ErrorItem("bad-operand", detail, header=name)])
