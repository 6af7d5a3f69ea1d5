"""JSON Schema of field kinds, in the portable profile of the schema documents.

A fragment says what a value looks like; its title, help and examples are put in by
`documents/schema.py`. It says no less than `registry/parsing.py` refuses, so that a
form that validates is a form that is accepted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from engine.registry.parsing import (
    BASE64_PATTERN,
    DATE_PATTERN,
    DATETIME_PATTERN,
    EMAIL_PATTERN,
    ID_PATTERN,
    TIME_PATTERN,
    URI_PATTERN,
    UUID_PATTERN,
    decimal_pattern,
    integer_range,
    max_chars_of,
)
from engine.registry.resource import Field

Mode = Literal["create", "update", "read"]
Fragment = dict[str, object]
Describe = Callable[[Field], Fragment]


def describe(field: Field, mode: Mode, shape: Describe) -> Fragment:
    """The fragment of one field.

    Args:
        field: The field.
        mode: Bounds and patterns stand where values are sent; a default only in ``create``.
        shape: Of the field's kind.
    """
    fragment = dict(shape(field))
    if mode == "read":
        # What was there before a rule was tightened is still answered, and TIME reaches beyond a day.
        for key in _SENT_ONLY:
            fragment.pop(key, None)
    if is_nullable(field, mode) and "type" in fragment:
        fragment["type"] = [fragment["type"], "null"]
        if "oneOf" in fragment:
            fragment["oneOf"] = [*_choices(field), {"const": None, "title": "None"}]
    if mode == "create" and field.has_default and field.default is not None:
        fragment["default"] = field.default
    return fragment


def is_nullable(field: Field, mode: Mode) -> bool:
    """Whether ``null`` is a value of the field; a relation reads null when its target is not there for the caller."""
    return field.nullable or (mode == "read" and field.kind == "relation")


def _text(field: Field) -> Fragment:
    fragment: Fragment = {"type": "string"}
    most = max_chars_of(field)
    if field.min_length is not None:
        fragment["minLength"] = field.min_length
    if most is not None:
        fragment["maxLength"] = most
    if field.pattern is not None:
        fragment["pattern"] = field.pattern
    return fragment


def _formatted(keywords: Mapping[str, object]) -> Describe:
    """A string of a fixed form; a pattern of the registry's own goes before ours, which the server checks as well."""
    return lambda field: {**keywords, **_text(field)} if keywords.get("pattern") else {**_text(field), **keywords}


def _integer(field: Field) -> Fragment:
    low, high = integer_range(field)
    return {"type": "integer", "minimum": low, "maximum": high}


def _float(field: Field) -> Fragment:
    fragment: Fragment = {"type": "number"}
    if field.min is not None:
        fragment["minimum"] = field.min
    if field.max is not None:
        fragment["maximum"] = field.max
    return fragment


def _decimal(field: Field) -> Fragment:
    return {"type": "string", "pattern": decimal_pattern(field)}


def _choices(field: Field) -> list[Fragment]:
    return [{"const": one.value, "title": one.title} for one in field.enum]


def _enum(field: Field) -> Fragment:
    return {"type": "string", "oneOf": _choices(field)}


def _json(field: Field) -> Fragment:
    return {} if field.items is None else {"type": "array", "items": {"type": "string"}}


def _fixed(**keywords: object) -> Describe:
    return lambda field: dict(keywords)


SHAPES: dict[str, Describe] = {
    "string": _text,
    "text": _text,
    "integer": _integer,
    "bigint": _integer,
    "decimal": _decimal,
    "float": _float,
    "boolean": _fixed(type="boolean"),
    "date": _fixed(type="string", format="date", pattern=DATE_PATTERN),
    "time": _fixed(type="string", pattern=TIME_PATTERN),
    "datetime": _fixed(type="string", format="date-time", pattern=DATETIME_PATTERN),
    "json": _json,
    "uuid": _fixed(type="string", format="uuid", pattern=UUID_PATTERN),
    "email": _formatted({"format": "email", "pattern": EMAIL_PATTERN}),
    "uri": _formatted({"format": "uri", "pattern": URI_PATTERN}),
    "binary": _fixed(type="string", pattern=BASE64_PATTERN),
    "enum": _enum,
    "id": _fixed(type="string", pattern=ID_PATTERN),
    "relation": _fixed(type="string", pattern=ID_PATTERN),
}

_SENT_ONLY = ("minLength", "maxLength", "minimum", "maximum", "pattern", "format")
