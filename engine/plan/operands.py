"""Operands: what a caller wrote beside an operator becomes a value that the driver takes, or is refused.

The field's kind decides; `registry/kinds.py` knows its values. Filters differ from
bodies in a few ways, and those are here: text may be anything, a datetime without
an offset is taken in the search's time zone, and a plain date is a whole day.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from engine.language.ids import is_public_id
from engine.language.search import suggest
from engine.operators import as_compared
from engine.plan.macros import MacroRefused, expand_macro
from engine.plan.shape import Dialect, PlanContext
from engine.registry.kinds import KINDS, KindError
from engine.registry.resource import Field
from engine.registry.zones import Clock, clock_of, is_tick

TEXT_KINDS = frozenset({"string", "text", "email", "uri"})
ID_KINDS = frozenset({"id", "relation"})
TIME_KINDS = frozenset({"date", "datetime", "time"})
WORD_KINDS = TEXT_KINDS | {"uuid", "enum"}

LAST_INSTANT = datetime(9999, 12, 31, 23, 59, 59, 999_999)  # noqa: DTZ001 - naive UTC, as all canonical values
_PLAIN_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_OFFSET = re.compile(r"(?:[Zz]|[+-]\d{2}:?\d{2})\Z")

Read = Callable[[object, PlanContext], object]


class OperandRefused(Exception):
    """An operand that the field or the operator does not take."""

    def __init__(self, code: str, detail: str, suggestions: tuple[str, ...] = ()) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.suggestions = suggestions


class TooManyValues(Exception):
    """A list of more values than the registry's limit."""


@dataclass(frozen=True, slots=True)
class Day:
    """A whole day, as the operand of a datetime: driver's values of its first instant and of the next day's.

    So is an instant of which a column that keeps a zone's clocks has several clocks, or none.
    """

    start: object
    end: object


def reader_of(field: Field, dialect: Dialect) -> Read:
    """The function that reads an operand of a field: JSON in, the driver's value (or a `Day`) out.

    It raises `OperandRefused`.
    """
    kind = field.kind
    if kind in TEXT_KINDS:
        return read_text
    if kind in ID_KINDS:
        return _read_id
    if kind == "enum":
        return _enum_reader(field)
    if kind in TIME_KINDS:
        return _time_reader(field, dialect)
    return _kind_reader(field, dialect)


def read_text(raw: object, context: PlanContext) -> object:
    """Any text, whatever lengths and patterns the field has."""
    if type(raw) is not str:
        raise OperandRefused("type-mismatch", f"A string is expected here, not {describe(raw)}.")
    if raw[:1] == "$":
        expanded = expand(raw, context)
        if type(expanded) is not str:
            raise OperandRefused("bad-operand", f"{raw} is a time, and this is text; $${raw[1:]} is the text {raw}.")
        return expanded
    return raw


def expand(raw: str, context: PlanContext) -> str | date | datetime:
    """Give a string that begins with ``$`` its value."""
    try:
        return expand_macro(raw, context)
    except MacroRefused as error:
        raise OperandRefused("out-of-range", str(error)) from error


def describe(raw: object) -> str:
    """Name the JSON type of a value, for a sentence."""
    if raw is None:
        return "null"
    if isinstance(raw, bool):
        return "a boolean"
    if isinstance(raw, str):
        return "a string"
    if isinstance(raw, int):
        return "an integer"
    if isinstance(raw, float):
        return "a number"
    return "an array" if isinstance(raw, list) else "an object"


def is_encodable(text: str, charset: str) -> bool:
    """Whether a column's charset has all characters of a text."""
    if text.isascii():
        return True
    if charset in ("utf8mb3", "utf8", "ucs2"):
        return all(char <= "\uffff" for char in text)
    # MariaDB's latin1 is Windows' code page 1252.
    codec = {"latin1": "cp1252", "latin2": "iso8859-2", "latin5": "iso8859-9", "latin7": "iso8859-13"}.get(charset)
    try:
        text.encode(codec or charset)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


# ---------------------------------------------------------------- by kind


def _read_id(raw: object, context: PlanContext) -> object:
    if type(raw) is str:
        if raw[:1] == "$":
            raw = expand(raw, context)
        if is_public_id(raw):
            return raw
        raise OperandRefused("bad-operand", "This is no id: ids have 11 to 64 characters of A-Z a-z 0-9 _ -.")
    raise OperandRefused("type-mismatch", f"An id is a string, not {describe(raw)}.")


def _enum_reader(field: Field) -> Read:
    words = tuple(one.value for one in field.enum)
    known = frozenset(words)

    def read(raw: object, context: PlanContext) -> object:
        if type(raw) is not str:
            raise OperandRefused("type-mismatch", f"A string is expected here, not {describe(raw)}.")
        if raw in known:
            return raw
        if raw.startswith("$$") and raw[1:] in known:
            return raw[1:]
        detail = f"{raw[:80]!r} is not a value of {field.name}. Possible: {', '.join(words)}."
        raise OperandRefused("not-in-enum", detail, suggest(raw, words) or words[:20])

    return read


def _kind_reader(field: Field, dialect: Dialect) -> Read:
    kind = KINDS[field.kind]
    parse, bind = kind.parse, kind.bind[dialect]
    # One may ask for what may not be stored: nothing is found, and `lt` of a bound is a fair question.
    field = replace(as_compared(field), min=None, max=None)

    def read(raw: object, context: PlanContext) -> object:
        try:
            return bind(parse(raw, field), field)
        except KindError as error:
            raise OperandRefused(error.code, error.detail) from error

    return read


def _time_reader(field: Field, dialect: Dialect) -> Read:
    kind = KINDS[field.kind]
    parse, bind = kind.parse, kind.bind[dialect]
    name = field.kind
    clock = _clock_in(field, dialect)
    field = replace(as_compared(field), min=None, max=None)

    def parse_text(text: str, context: PlanContext) -> object:
        try:
            if name != "datetime":
                return parse(text, field)
            if _PLAIN_DATE.fullmatch(text):
                return KINDS["date"].parse(text, field)
            if _OFFSET.search(text):
                return parse(text, field)
            return _to_utc(parse(f"{text}Z", field), context.timezone)
        except KindError as error:
            raise OperandRefused(error.code, error.detail) from error

    def read(raw: object, context: PlanContext) -> object:
        if type(raw) is not str:
            raise OperandRefused("type-mismatch", f"A string is expected here, not {describe(raw)}.")
        value: object = expand(raw, context) if raw[:1] == "$" else raw
        value = parse_text(value, context) if type(value) is str else _convert_macro(value, name, raw, context)
        if name == "datetime" and type(value) is date:
            start, end = day_bounds(value, context.timezone)
            if clock is not None:
                start, end = clock.first(start), clock.first(end)
            return Day(bind(start, field), bind(end, field))
        if clock is not None and isinstance(value, datetime):
            first, after = clock.bounds(value)
            # Of most instants there is one clock; where clocks were put forward there are many, and none where back.
            return bind(first, field) if is_tick(first, after) else Day(bind(first, field), bind(after, field))
        return bind(value, field)

    return read


def bind_bound(moment: date | datetime, field: Field, dialect: Dialect) -> object:
    """A lower bound of a field that is compared as it is: a day, or an instant."""
    clock = _clock_in(field, dialect)
    if clock is not None and isinstance(moment, datetime):
        moment = clock.first(moment)
    return KINDS[field.kind].bind[dialect](moment, as_compared(field))


def _clock_in(field: Field, dialect: Dialect) -> Clock | None:
    """The zone's clocks that stored values are compared as; see `operators/found.py`."""
    return clock_of(field.zone) if field.zone is not None and dialect == "mariadb" else None


def _convert_macro(value: object, kind: str, raw: str, context: PlanContext) -> object:
    """What a macro's date or instant is to a field of another kind."""
    if isinstance(value, datetime):
        if kind == "datetime":
            return value.astimezone(UTC).replace(tzinfo=None)
        local = value.astimezone(ZoneInfo(context.timezone))
        return local.date() if kind == "date" else local.time().replace(tzinfo=None)
    if isinstance(value, date) and kind == "time":
        raise OperandRefused("bad-operand", f"{raw} is a day, and this is a time of day.")
    return value


def day_bounds(day: date, zone: str) -> tuple[datetime, datetime]:
    """The first instant of a day in a zone, and the first of the next: naive, UTC."""
    start = _to_utc(datetime.combine(day, time()), zone)
    if day == date.max:
        return start, LAST_INSTANT
    return start, _to_utc(datetime.combine(day + timedelta(days=1), time()), zone)


def _to_utc(local: object, zone: str) -> datetime:
    if not isinstance(local, datetime):
        raise OperandRefused("type-mismatch", "A datetime is expected here.")
    if zone == "UTC":
        return local
    try:
        return local.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC).replace(tzinfo=None)
    except OverflowError:
        return local
