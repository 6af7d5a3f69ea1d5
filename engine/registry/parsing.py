"""JSON values of field kinds, as callers send them, made canonical or refused.

Canonical are str, int, float, bool, Decimal, date, naive datetime in UTC, time and
(for JSON fields) whatever JSON holds. ``null`` never comes here: whether a field may
be NULL is not a matter of its kind. How a canonical value is stored is `registry/storing.py`'s
business; which kind parses how stands in `registry/kinds.py`.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from datetime import UTC, date, datetime, time
from decimal import Context, Decimal
from functools import lru_cache
from typing import TypeVar

from engine.registry.resource import Field
from engine.registry.zones import clock_of

MAX_JSON_DEPTH = 30
MAX_TEXT_BYTES = 16 * 1024 * 1024 - 1
DEFAULT_SIZES = {"string": 255, "email": 254, "uri": 2_048}
DEFAULT_PRECISION, DEFAULT_SCALE = 18, 2
INTEGER_BITS = {"integer": 32, "bigint": 64}
# The whole numbers that a double holds exactly; JSON writes 5 as 5.0 too.
MAX_EXACT_FLOAT = 2**53

# Patterns in the common part of Python's and JavaScript's regular expressions: the schema documents show them.
ID_PATTERN = r"^[A-Za-z0-9_-]{11,64}$"
# Blanks are named one by one: `\s` is another set in each language, and so is an escaped quotation mark.
EMAIL_PATTERN = r"^[^@\x00-\x20\x7f]+@[^@\x00-\x20\x7f.]+(\.[^@\x00-\x20\x7f.]+)+$"
# A page that shows a link would run what stands behind `javascript:`. Spelled out, since JSON Schema knows no flags.
_SCRIPT = "(?:[Jj][Aa][Vv][Aa]|[Vv][Bb])[Ss][Cc][Rr][Ii][Pp][Tt]:"
URI_PATTERN = rf"""^(?!{_SCRIPT})[A-Za-z][A-Za-z0-9+.-]*:[^\x00-\x20\x7f<>"{{}}|\\^`]+$"""
UUID_PATTERN = r"^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$"
TIME_PATTERN = r"^([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{6})?$"
DATE_PATTERN = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
DATETIME_PATTERN = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?"
    r"(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"
)
BASE64_PATTERN = r"^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"

Bound = TypeVar("Bound", int, float, Decimal, date, datetime, time)


class KindError(ValueError):
    """A value that a field does not take.

    Attributes:
        code: An item code: ``type-mismatch too-long too-short out-of-range pattern not-in-enum``.
        detail: A sentence that names the field and the way out.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


# ---------------------------------------------------------------- text


def parse_string(value: object, field: Field) -> str:
    """Text of a limited number of characters."""
    text = _require_text(value, field)
    _check_length(text, field, max_chars_of(field))
    _check_pattern(text, field)
    return text


def parse_text(value: object, field: Field) -> str:
    """Text of any length that the column holds."""
    text = _require_text(value, field)
    _check_length(text, field, max_chars_of(field))
    # A character takes four bytes at most.
    if len(text) * 4 > MAX_TEXT_BYTES and len(text.encode()) > MAX_TEXT_BYTES:
        raise KindError("too-long", f"{field.name} takes at most {MAX_TEXT_BYTES} bytes of text.")
    _check_pattern(text, field)
    return text


def parse_email(value: object, field: Field) -> str:
    """An e-mail address, with a domain."""
    text = parse_string(value, field)
    _require_match(EMAIL_PATTERN, text, field, "an e-mail address such as name@example.org")
    return text


def parse_uri(value: object, field: Field) -> str:
    """An absolute URI."""
    text = parse_string(value, field)
    _require_match(URI_PATTERN, text, field, "an absolute URI such as https://example.org/page, and no script")
    return text


def parse_uuid(value: object, field: Field) -> str:
    """A UUID; in lower case from here on."""
    text = _require_text(value, field)
    _require_match(UUID_PATTERN, text, field, "a UUID such as 123e4567-e89b-12d3-a456-426614174000")
    return text.lower()


def parse_enum(value: object, field: Field) -> str:
    """One of the declared values."""
    if type(value) is str:
        for one in field.enum:
            if one.value == value:
                return value
    allowed = ", ".join(repr(one.value) for one in field.enum[:20])
    more = ", …" if len(field.enum) > 20 else ""
    raise KindError("not-in-enum", f"{field.name} takes one of {allowed}{more}.")


def parse_id(value: object, field: Field) -> str:
    """A public id. Only a JSON string is one."""
    if type(value) is str and compiled(ID_PATTERN).fullmatch(value):
        return value
    raise KindError("type-mismatch", f"{field.name} takes an id: a string of 11 to 64 letters, digits, - and _.")


def parse_binary(value: object, field: Field) -> bytes:
    """Bytes in Base64."""
    text = _require_text(value, field)
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise KindError("type-mismatch", f"{field.name} takes bytes in Base64.") from error
    if field.size is not None and len(raw) > field.size:
        raise KindError("too-long", f"{field.name} takes at most {field.size} bytes.")
    return raw


# ---------------------------------------------------------------- numbers


def parse_integer(value: object, field: Field) -> int:
    """A whole number within the column's range. ``5.0`` is 5 in JSON; ``true`` and ``"5"`` are no numbers."""
    if type(value) is float and value.is_integer() and abs(value) <= MAX_EXACT_FLOAT:
        value = int(value)
    if type(value) is not int:
        raise KindError("type-mismatch", f"{field.name} takes a whole number, not {_shown(value)}.")
    low, high = integer_range(field)
    if not low <= value <= high:
        raise KindError("out-of-range", f"{field.name} takes whole numbers from {low} to {high}.")
    return value


def integer_range(field: Field) -> tuple[int, int]:
    """The least and the greatest number that an integer field takes, its declared bounds among them."""
    bits = field.bits or INTEGER_BITS.get(field.kind, 64)
    low, high = (0, 2**bits - 1) if field.unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    if field.min is not None:
        low = max(low, math.ceil(float(field.min)) if not isinstance(field.min, int) else field.min)
    if field.max is not None:
        high = min(high, math.floor(float(field.max)) if not isinstance(field.max, int) else field.max)
    return low, high


def parse_float(value: object, field: Field) -> float:
    """A finite number."""
    if type(value) is not float and type(value) is not int:
        raise KindError("type-mismatch", f"{field.name} takes a number, not {_shown(value)}.")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise KindError("out-of-range", f"{field.name} takes numbers that fit a double.")
    if number == 0.0:
        number = 0.0  # a negative zero is stored by one database and not by the other
    _check_bounds(number, field, _bound(field.min, float), _bound(field.max, float))
    return number


def parse_decimal(value: object, field: Field) -> Decimal:
    """A decimal as a string, of at most the declared places; canonical with exactly those."""
    scale = DEFAULT_SCALE if field.scale is None else field.scale
    if type(value) is not str:
        raise KindError("type-mismatch", f"{field.name} takes a decimal as a string, such as {_example(scale)!r}.")
    if not compiled(decimal_pattern(field)).fullmatch(value):
        if compiled(r"-?[0-9]+(\.[0-9]+)?").fullmatch(value):
            places = value.partition(".")[2]
            if len(places) > scale:
                raise KindError("out-of-range", f"{field.name} takes at most {scale} decimal places.")
            most = (field.precision or DEFAULT_PRECISION) - scale
            raise KindError("out-of-range", f"{field.name} takes at most {most} digits before the point.")
        raise KindError("type-mismatch", f"{field.name} takes a decimal such as {_example(scale)!r}.")
    number = Decimal(value).quantize(Decimal(1).scaleb(-scale), context=_WIDE)
    if number.is_zero():
        number = abs(number)
    _check_bounds(number, field, _bound(field.min, Decimal), _bound(field.max, Decimal))
    return number


def decimal_pattern(field: Field) -> str:
    """The pattern of a decimal's string."""
    scale = DEFAULT_SCALE if field.scale is None else field.scale
    whole = max((field.precision or DEFAULT_PRECISION) - scale, 1)
    places = rf"(\.[0-9]{{1,{scale}}})?" if scale else ""
    return rf"^-?[0-9]{{1,{whole}}}{places}$"


def parse_boolean(value: object, field: Field) -> bool:
    """``true`` or ``false``, nothing else."""
    if type(value) is not bool:
        raise KindError("type-mismatch", f"{field.name} takes true or false, not {_shown(value)}.")
    return value


# ---------------------------------------------------------------- dates and times


def parse_date(value: object, field: Field) -> date:
    """A calendar day, ``YYYY-MM-DD``."""
    day = read_date(value)
    if day is None:
        raise KindError("type-mismatch", f"{field.name} takes a date as YYYY-MM-DD, from year 1 to 9999.")
    _check_bounds(day, field, read_date(field.min), read_date(field.max))
    return day


def parse_datetime(value: object, field: Field) -> datetime:
    """An instant with its offset; canonical without one, in UTC."""
    moment = read_datetime(value)
    if moment is None:
        detail = f"{field.name} takes a date and time with an offset, such as 2026-02-11T14:03:00Z."
        raise KindError("type-mismatch", detail)
    _check_bounds(moment, field, read_datetime(field.min), read_datetime(field.max))
    return moment if field.zone is None else _as_kept(moment, field, field.zone)


def parse_time(value: object, field: Field) -> time:
    """A time of day, ``HH:MM:SS`` with an optional fraction of six digits."""
    moment = read_time(value)
    if moment is None:
        raise KindError("type-mismatch", f"{field.name} takes a time of day as HH:MM:SS or HH:MM:SS.ffffff.")
    _check_bounds(moment, field, read_time(field.min), read_time(field.max))
    return moment


def _as_kept(moment: datetime, field: Field, zone: str) -> datetime:
    """What a column that keeps a zone's clocks gives back: of an hour that comes twice, the first."""
    clock = clock_of(zone)
    try:
        return clock.read(clock.show(moment))
    except OverflowError as error:
        raise KindError("out-of-range", f"{field.name} takes the years 1 to 9999 in {zone}.") from error


def read_date(value: object) -> date | None:
    """A date in its one spelling, or None."""
    if type(value) is not str or not compiled(DATE_PATTERN).fullmatch(value):
        return None
    try:
        return date.fromisoformat(value)
    except ValueError:
        return None


def read_datetime(value: object) -> datetime | None:
    """An instant in RFC 3339 as naive UTC, or None. A leap second is none: no database column holds it."""
    if type(value) is not str or not compiled(DATETIME_PATTERN).fullmatch(value):
        return None
    try:
        return datetime.fromisoformat(value).astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return None


def read_time(value: object) -> time | None:
    """A time of day, or None."""
    if type(value) is not str or not compiled(TIME_PATTERN).fullmatch(value):
        return None
    return time.fromisoformat(value)


# ---------------------------------------------------------------- JSON


def parse_json(value: object, field: Field) -> object:
    """Any JSON that nests at most `MAX_JSON_DEPTH` deep; a list of texts where the field says ``items``."""
    if field.items is not None and not isinstance(value, list):
        raise KindError("type-mismatch", f"{field.name} takes a list.")
    if isinstance(value, list) and field.items in ("string", "text"):
        for one in value:
            if type(one) is not str:
                raise KindError("type-mismatch", f"{field.name} takes a list of texts, not {_shown(one)} in it.")
    _check_json(value, field)
    return value


def _check_json(root: object, field: Field) -> None:
    stack: list[tuple[object, int]] = [(root, 0)]
    while stack:
        node, depth = stack.pop()
        if isinstance(node, dict | list):
            if depth == MAX_JSON_DEPTH:
                raise KindError("out-of-range", f"{field.name} takes JSON that nests at most {MAX_JSON_DEPTH} deep.")
            if isinstance(node, dict):
                stack.extend((key, depth) for key in node)
                stack.extend((child, depth + 1) for child in node.values())
            else:
                stack.extend((child, depth + 1) for child in node)
        elif isinstance(node, str):
            _check_characters(node, field)
        elif isinstance(node, float) and not math.isfinite(node):
            raise KindError("out-of-range", f"{field.name} takes finite numbers.")


# ---------------------------------------------------------------- private

# Python's usual context rounds to 28 digits; a column has up to 65.
_WIDE = Context(prec=80)


@lru_cache(maxsize=2_048)
def compiled(pattern: str) -> re.Pattern[str]:
    """A pattern, compiled once. Registries have a bounded number of them; callers give none."""
    return re.compile(pattern)


def max_chars_of(field: Field) -> int | None:
    """The most characters that a text field takes; None = as many as there is room for."""
    sizes = [size for size in (field.size or DEFAULT_SIZES.get(field.kind), field.max_length) if size is not None]
    return min(sizes) if sizes else None


def _require_text(value: object, field: Field) -> str:
    if type(value) is not str:
        raise KindError("type-mismatch", f"{field.name} takes text, not {_shown(value)}.")
    _check_characters(value, field)
    return value


def _check_characters(text: str, field: Field) -> None:
    if "\0" in text:
        raise KindError("type-mismatch", f"{field.name} takes text without NUL characters.")
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise KindError("type-mismatch", f"{field.name} takes text without half surrogate pairs.") from error


def _check_length(text: str, field: Field, most: int | None) -> None:
    if most is not None and len(text) > most:
        raise KindError("too-long", f"{field.name} takes at most {most} characters; these are {len(text)}.")
    if field.min_length is not None and len(text) < field.min_length:
        raise KindError("too-short", f"{field.name} takes at least {field.min_length} characters.")


def _check_pattern(text: str, field: Field) -> None:
    """The declared pattern is looked for anywhere, as JSON Schema does; it anchors itself where it wants to."""
    if field.pattern is not None and not compiled(field.pattern).search(text):
        raise KindError("pattern", f"{field.name} does not match the pattern {field.pattern}")


def _require_match(pattern: str, text: str, field: Field, what: str) -> None:
    if not compiled(pattern).fullmatch(text):
        raise KindError("pattern", f"{field.name} takes {what}.")


def _check_bounds(value: Bound, field: Field, low: Bound | None, high: Bound | None) -> None:
    if low is not None and value < low:
        raise KindError("out-of-range", f"{field.name} takes nothing below {field.min}.")
    if high is not None and value > high:
        raise KindError("out-of-range", f"{field.name} takes nothing above {field.max}.")


Number = TypeVar("Number", float, Decimal)


def _bound(declared: int | float | str | None, make: type[Number]) -> Number | None:
    return None if declared is None else make(str(declared))


def _example(scale: int) -> str:
    return "12" + ("." + "0" * scale if scale else "")


def _shown(value: object) -> str:
    """A value as a sentence may repeat it: short, and never an object's whole content."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value) if abs(value) < 10**15 else "such a number"
    if isinstance(value, str):
        return "text"
    return "a list" if isinstance(value, list) else "an object"
