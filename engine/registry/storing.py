"""How field kinds are stored: column types, canonical values as the drivers take them, and back as JSON.

MariaDB stores everything in a type of its own. SQLite has none for decimals, dates,
times and JSON: a decimal is a whole number scaled by its places, a datetime text of 26
characters, JSON compact text. Columns that an SQLite database had before us may store
them otherwise; `Field.stored_as` says so.

Which kind uses which of these stands in `registry/kinds.py`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Context, Decimal
from typing import Any, cast

import orjson
from sqlalchemy.dialects import mysql, sqlite
from sqlalchemy.types import TypeEngine

from engine.registry.parsing import DEFAULT_PRECISION, DEFAULT_SCALE, DEFAULT_SIZES, KindError
from engine.registry.resource import Field
from engine.registry.spellings import (
    MOMENT_SPELLINGS,
    TRUTH_SPELLINGS,
    read_clock,
    read_day,
    read_moment,
    read_number,
    read_truth,
    write_moment,
    write_truth,
)
from engine.registry.zones import clock_of

COLLATION = "utf8mb4_nopad_bin"
UUID_SIZE, PUBLIC_ID_SIZE, MIN_ENUM_SIZE = 36, 22, 64
# SQLite's integers have 64 bits.
SQLITE_MAX = 2**63 - 1

Restore = Callable[[Any, Field], object]
Bind = Callable[[Any, Field], object]
Convert = Callable[[Any], object]
Render = Callable[[Field], Convert | None]
ColumnType = Callable[[Field], TypeEngine[Any]]


# ---------------------------------------------------------------- canonical → driver


def bind_as_is(value: object, field: Field) -> object:
    """The driver takes the canonical value."""
    return value


def bind_boolean(value: bool, field: Field) -> object:
    """Both databases store 0 and 1; a reflected SQLite column keeps its words."""
    return write_truth(value, field.stored_as) if field.stored_as in TRUTH_SPELLINGS else int(value)


def bind_json(value: object, field: Field) -> str:
    """Compact JSON, unescaped."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # whole numbers beyond 64 bits
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def bind_decimal_sqlite(value: Decimal, field: Field) -> object:
    """A whole number scaled by the places; a reflected column keeps its REAL."""
    if field.stored_as == "real":
        return float(value)
    scaled = int(value.scaleb(scale_of(field), context=_WIDE).to_integral_value())
    if abs(scaled) > SQLITE_MAX:
        raise KindError("out-of-range", f"{field.name} takes at most 18 digits on this database.")
    return scaled


def bind_integer_sqlite(value: int, field: Field) -> int:
    """Within what SQLite has bits for."""
    if not -SQLITE_MAX - 1 <= value <= SQLITE_MAX:
        raise KindError("out-of-range", f"{field.name} takes whole numbers of 64 bits on this database.")
    return value


def bind_date_sqlite(value: date, field: Field) -> str:
    """``YYYY-MM-DD``; where the column holds whole timestamps, midnight."""
    if field.stored_as in MOMENT_SPELLINGS:
        return write_moment(datetime.combine(value, time()), field.stored_as)
    return value.isoformat()


def bind_datetime_sqlite(value: datetime, field: Field) -> str:
    """26 characters; a reflected column keeps its spelling, so that other programs still read it."""
    if field.stored_as == "native" and field.zone is None:
        return value.isoformat(sep=" ", timespec="microseconds")
    if field.zone is not None and field.stored_as != "datetime_zulu":
        value = _show(value, field)
    if field.stored_as == "native":
        return value.isoformat(sep=" ", timespec="microseconds")
    return write_moment(value, field.stored_as if field.stored_as in MOMENT_SPELLINGS else "datetime_text")


def bind_datetime_mariadb(value: datetime, field: Field) -> datetime:
    """An instant; in a column that keeps a zone's clocks, what they show then."""
    return value if field.zone is None else _show(value, field)


def bind_time_sqlite(value: time, field: Field) -> str:
    """``HH:MM:SS.ffffff``; a reflected column keeps its spelling without a zero fraction."""
    return value.isoformat(timespec="microseconds") if field.stored_as == "native" else value.isoformat()


# ---------------------------------------------------------------- driver → JSON


def render_as_is(field: Field) -> None:
    """What the driver gives is what is answered."""


def render_boolean(field: Field) -> Convert:
    """0 and 1 as false and true; reflected columns may hold other numbers and words."""
    return bool if field.stored_as == "native" else read_truth


def render_json_mariadb(field: Field) -> Convert:
    """The stored text goes into the reply as it stands, where the column's CHECK has seen that it is JSON."""
    return render_json_sqlite(field) if field.stored_as == "json_text" else cast(Convert, orjson.Fragment)


def render_json_sqlite(field: Field) -> Convert:
    """The stored text, or null where it is no JSON: nothing keeps such a text out of the column."""
    return read_document


def read_document(value: str | bytes) -> orjson.Fragment | None:
    """A text that is JSON, for a reply; None for any other."""
    try:
        orjson.loads(value)
    except orjson.JSONDecodeError:
        return None
    return orjson.Fragment(value)


def render_binary(field: Field) -> Convert:
    """Base64. No binary field is readable; this serves the files' own code."""
    return lambda raw: base64.b64encode(raw).decode()


def render_float_sqlite(field: Field) -> Convert:
    """Always a float: SQLite's RETURNING gives whole numbers of a REAL column as integers, and a SELECT does not."""
    return float


def render_decimal_sqlite(field: Field) -> Convert:
    """The scaled integer with its point put back; a reflected REAL rounded to its places."""
    scale = scale_of(field)
    if field.stored_as == "real":
        return lambda value: None if (number := read_number(value, scale)) is None else format(number, "f")
    if scale == 0:
        return str
    factor = 10**scale

    def convert(value: int) -> str:
        whole, places = divmod(abs(value), factor)
        return f"{'-' if value < 0 else ''}{whole}.{places:0{scale}d}"

    return convert


def render_date_sqlite(field: Field) -> Convert | None:
    """Reflected columns may hold a whole timestamp."""
    return None if field.stored_as == "native" else _render_foreign_date


def render_datetime_sqlite(field: Field) -> Convert:
    """RFC 3339 with ``Z``, the fraction only when it is not zero."""
    if field.zone is not None:
        clock = clock_of(field.zone)
        return lambda text: None if (moment := read_moment(text, clock)) is None else f"{moment.isoformat()}Z"
    if field.stored_as == "native":
        return lambda text: f"{text[:10]}T{text[11:19]}Z" if text[19:] == ".000000" else f"{text[:10]}T{text[11:26]}Z"
    return _render_foreign_datetime


def render_datetime_mariadb(field: Field) -> Convert | None:
    """As it is; in a column that keeps a zone's clocks, the instant that they mean."""
    return None if field.zone is None else clock_of(field.zone).read


def render_time_sqlite(field: Field) -> Convert:
    """``HH:MM:SS``, the fraction only when it is not zero."""
    if field.stored_as == "native":
        return lambda text: text[:8] if not text[8:].strip(".0") else f"{text[:8]}.{text[9:15]:0<6}"
    return _render_foreign_time


def _render_foreign_datetime(value: object) -> str | None:
    moment = read_moment(value)
    return None if moment is None else f"{moment.isoformat()}Z"


def _render_foreign_date(value: object) -> str | None:
    day = read_day(value)
    return None if day is None else day.isoformat()


def _render_foreign_time(value: object) -> str | None:
    clock = read_clock(value)
    return None if clock is None else clock.isoformat()


# ---------------------------------------------------------------- driver → canonical


def restore_as_is(value: object, field: Field) -> object:
    """The driver gives the canonical value."""
    return value


def restore_boolean(value: object, field: Field) -> bool:
    """0 and 1, or what a reflected column holds."""
    return bool(value) if field.stored_as == "native" else read_truth(value)


def restore_json(value: str | bytes, field: Field) -> object:
    """The document; None where the text is no JSON, which is shown as null."""
    try:
        # orjson would round integers beyond 64 bits, and json alone takes NaN.
        return cast(object, json.loads(value)) if read_document(value) else None
    except RecursionError:
        return None


def restore_decimal_mariadb(value: object, field: Field) -> Decimal:
    """As the server wrote it."""
    return Decimal(str(value))


def restore_decimal_sqlite(value: int | float | str, field: Field) -> Decimal | None:
    """With exactly the declared places."""
    if field.stored_as == "real":
        return read_number(value, scale_of(field))
    return Decimal(str(render_decimal_sqlite(field)(value)))


def restore_time(value: str, field: Field) -> object:
    """A time of day; MariaDB's TIME may hold more than a day: that stays text."""
    if field.stored_as == "time_text":
        return read_clock(value)
    try:
        return time.fromisoformat(value)
    except ValueError:
        return value


def restore_date_sqlite(value: object, field: Field) -> date | None:
    """A date from its text."""
    return read_day(value)


def restore_datetime_sqlite(value: object, field: Field) -> datetime | None:
    """An instant in UTC, without offset as all canonical ones."""
    return read_moment(value, None if field.zone is None else clock_of(field.zone))


def restore_datetime_mariadb(value: datetime, field: Field) -> datetime:
    """An instant in UTC."""
    return value if field.zone is None else clock_of(field.zone).read(value)


# ---------------------------------------------------------------- column types


def scale_of(field: Field) -> int:
    """The places of a decimal."""
    return DEFAULT_SCALE if field.scale is None else field.scale


def varchar_mariadb(field: Field) -> TypeEngine[Any]:
    """Text of limited length, compared byte for byte."""
    return mysql.VARCHAR(_size_of(field), charset="utf8mb4", collation=COLLATION)


def varchar_sqlite(field: Field) -> TypeEngine[Any]:
    """The length is not enforced by SQLite; it tells a reflection what we mean."""
    return sqlite.VARCHAR(_size_of(field))


def char_type(size: int) -> tuple[ColumnType, ColumnType]:
    """Text of fixed length, for MariaDB and SQLite."""
    return (
        lambda field: mysql.CHAR(size, charset="utf8mb4", collation=COLLATION),
        lambda field: sqlite.CHAR(size),
    )


def text_mariadb(field: Field) -> TypeEngine[Any]:
    """TEXT would be 65,535 bytes, and 20,000 emoji more than that."""
    return mysql.MEDIUMTEXT(charset="utf8mb4", collation=COLLATION)


def integer_mariadb(field: Field) -> TypeEngine[Any]:
    """INT, or the width that the column has."""
    bits = field.bits or (64 if field.kind in ("bigint", "relation") else 32)
    types: dict[int, Callable[..., TypeEngine[Any]]] = {
        8: mysql.TINYINT,
        16: mysql.SMALLINT,
        24: mysql.MEDIUMINT,
        32: mysql.INTEGER,
        64: mysql.BIGINT,
    }
    return types[bits](unsigned=field.unsigned)


def decimal_mariadb(field: Field) -> TypeEngine[Any]:
    """DECIMAL with the declared digits."""
    return mysql.DECIMAL(DEFAULT_PRECISION if field.precision is None else field.precision, scale_of(field))


def plain(make: Callable[[], TypeEngine[Any]]) -> ColumnType:
    """A type that does not depend on the field."""
    return lambda field: make()


def json_mariadb() -> TypeEngine[Any]:
    """MariaDB's JSON: LONGTEXT with a check, in utf8mb4_bin."""
    return mysql.JSON()


def datetime_mariadb() -> TypeEngine[Any]:
    """With microseconds."""
    return mysql.DATETIME(fsp=6)


def time_mariadb() -> TypeEngine[Any]:
    """With microseconds."""
    return mysql.TIME(fsp=6)


# ---------------------------------------------------------------- private

_WIDE = Context(prec=80)


def _show(value: datetime, field: Field) -> datetime:
    try:
        return clock_of(field.zone or "UTC").show(value)
    except OverflowError as error:
        raise KindError("out-of-range", f"{field.name} takes the years 1 to 9999 in {field.zone}.") from error


def _size_of(field: Field) -> int:
    if field.kind == "enum":
        return max([MIN_ENUM_SIZE, *(len(one.value) for one in field.enum)])
    return field.size or DEFAULT_SIZES[field.kind]
