"""Values on their way to and from MariaDB: what the driver's decoders make of columns, and literals of binds.

Statements run in two ways that must not differ: as text with literals (the first time), and prepared, with binary
values (from the second time on). The decoders here make both yield the same. Errors are in `mariadb_faults.py`.

Decimals arrive as the server wrote them, times as ``HH:MM:SS[.ffffff]``, zero dates as None, BIT as an integer.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from asyncmy.constants import FIELD_TYPE
from asyncmy.converters import conversions

from engine.errors import ValueRefused

BINDABLE = frozenset({str, int, float, bool, bytes, type(None), datetime, date, time, Decimal})
SMALLEST_INTEGER, LARGEST_INTEGER = -(2**63), 2**64 - 1

_PLACEHOLDER = re.compile(r"%([s%])")
_SURROGATE = re.compile("[\ud800-\udfff]")
_SINGLE = struct.Struct("f")


def interpolate(sql: str, binds: Sequence[object], literal: Callable[[Any], str]) -> str:
    """Put literals into a statement's text.

    Args:
        sql: Text with ``%s``, percent signs doubled.
        binds: A value of one of the types in `BINDABLE` for each placeholder.
        literal: The connection's escaping; it knows the session's charset and modes.

    Raises:
        ValueRefused: A number is not finite or beyond 64 bits, or a text has a lone surrogate.
        TypeError: A value is of a type that is never bound; a fault of ours.
    """
    for value in binds:
        if type(value) not in BINDABLE:
            raise TypeError(f"a value of type {type(value).__name__} cannot be bound")
        if not _is_sendable(value):
            raise ValueRefused(None)
    return sql % tuple(map(literal, binds))


def to_native(sql: str) -> str:
    """The same statement with the server's own placeholders, for it to prepare."""
    return _PLACEHOLDER.sub(lambda match: "?" if match[1] == "s" else "%", sql)


def decode_datetime(text: str) -> datetime | None:
    """A DATETIME or TIMESTAMP; None for a zero date, or one with a zero part."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def decode_date(text: str) -> date | None:
    """A DATE; None for a zero date, or one with a zero part."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def decode_time(text: str) -> str:
    """A TIME as text without a zero fraction, which the binary protocol does not send."""
    head, dot, fraction = text.partition(".")
    if not dot or not fraction.strip("0"):
        return head
    return f"{head}.{fraction:0<6}"


def show_time(value: timedelta) -> str:
    """What `decode_time` yields, from what the binary protocol gives. TIME spans -838:59:59 to 838:59:59."""
    sign = "-" if value.days < 0 else ""
    size = abs(value)
    minutes, seconds = divmod(size.days * 86_400 + size.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    fraction = f".{size.microseconds:06d}" if size.microseconds else ""
    return f"{sign}{hours:02d}:{minutes:02d}:{seconds:02d}{fraction}"


def decode_float(text: str) -> float:
    """A FLOAT of four bytes, rounded to what those hold, as the binary protocol sends it."""
    rounded: float = _SINGLE.unpack(_SINGLE.pack(float(text)))[0]
    return rounded


def decode_bit(raw: bytes) -> int:
    """A BIT column as an integer."""
    return int.from_bytes(raw, "big")


def times_of(description: Sequence[Sequence[object]] | None) -> tuple[int, ...]:
    """Positions of the TIME columns of a result; most have none."""
    return tuple(place for place, column in enumerate(description or ()) if column[1] == FIELD_TYPE.TIME)


def show_times(rows: Sequence[tuple[Any, ...]], places: tuple[int, ...]) -> tuple[tuple[Any, ...], ...]:
    """Rows of the binary protocol with their TIME columns as text."""
    return tuple(
        tuple(show_time(value) if place in places and value is not None else value for place, value in enumerate(row))
        for row in rows
    )


def _is_sendable(value: object) -> bool:
    """Whether the binary protocol would take it too; the driver's literals are more lenient."""
    if isinstance(value, str):
        return value.isascii() or not _SURROGATE.search(value)
    if isinstance(value, int):
        return SMALLEST_INTEGER <= value <= LARGEST_INTEGER
    return not isinstance(value, float | Decimal) or math.isfinite(value)


def _make_decoders() -> dict[object, object]:
    decoders: dict[object, object] = dict(conversions)
    # Without a decoder a column comes as text, which is what a DECIMAL is to us.
    del decoders[FIELD_TYPE.DECIMAL], decoders[FIELD_TYPE.NEWDECIMAL]
    decoders[FIELD_TYPE.DATETIME] = decoders[FIELD_TYPE.TIMESTAMP] = decode_datetime
    decoders[FIELD_TYPE.DATE] = decoders[FIELD_TYPE.NEWDATE] = decode_date
    decoders[FIELD_TYPE.TIME] = decode_time
    decoders[FIELD_TYPE.FLOAT] = decode_float
    decoders[FIELD_TYPE.BIT] = decode_bit
    return decoders


DECODERS = _make_decoders()
