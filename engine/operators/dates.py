"""Time zones and the date functions of the search language, as SQL.

MariaDB's own time zone tables are often empty, and its copy is not Python's. So a
zone's offsets are taken from Python's database and written into the statement as a
balanced CASE; SQLite calls back with the same offsets. Instants are UTC. What columns that keep a zone's clocks
mean is `registry/zones.py`'s.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Literal

from sqlalchemy import ColumnElement

from engine.operators.fragment import sql
from engine.registry.zones import EPOCH, clock_of, zone_steps

Dialect = Literal["mariadb", "sqlite"]
# From a stored clock on: how much is added to it, or what takes its place.
Shift = tuple[datetime, timedelta | datetime]

_ZERO = timedelta(0)


def sqlite_local(value: object, zone: object) -> str | None:
    """``aether_local(datetime text, zone)``: the same instant as the clocks of a zone show it."""
    if not isinstance(value, str) or not isinstance(zone, str):
        return None
    try:
        instant = datetime.fromisoformat(value)
    except ValueError:
        return None
    starts, offsets = zone_steps(zone)
    second = int((instant.replace(tzinfo=UTC) - EPOCH).total_seconds())
    try:
        local = instant + timedelta(seconds=offsets[bisect_right(starts, second)])
    except OverflowError:
        return value
    return local.strftime("%Y-%m-%d %H:%M:%S.%f") if local.year > 999 else value


def local_time(expr: ColumnElement[object], zone: str | None, dialect: Dialect) -> ColumnElement[object]:
    """A UTC datetime expression as the clocks of a zone show it. `zone` is a checked IANA name."""
    if zone is None or zone == "UTC":
        return expr
    starts, offsets = zone_steps(zone)
    if not starts and offsets[0] == 0:
        return expr
    if dialect == "sqlite":
        return sql("aether_local({0}, '" + zone + "')", expr)
    return sql("({0} + INTERVAL " + _offset_case(starts, offsets) + " SECOND)", expr)


def _offset_case(starts: tuple[int, ...], offsets: tuple[int, ...]) -> str:
    """Halving nested CASEs: eight comparisons where a flat one makes hundreds."""
    if not starts:
        return str(offsets[0])
    middle = len(starts) // 2
    instant = (EPOCH + timedelta(seconds=starts[middle])).strftime("%Y-%m-%d %H:%M:%S")
    before = _offset_case(starts[:middle], offsets[: middle + 1])
    after = _offset_case(starts[middle + 1 :], offsets[middle + 1 :])
    return f"CASE WHEN {{0}} < '{instant}' THEN {before} ELSE {after} END"


def clock_time(expr: ColumnElement[object], kept: str, zone: str) -> ColumnElement[object]:
    """A column of MariaDB that keeps a zone's clocks, as the clocks of another zone show it, in one CASE.

    Args:
        expr: The column, nothing longer: it stands at every comparison.
        kept: Checked IANA name of its zone.
        zone: Checked IANA name of the other.
    """
    return sql(_clock_template(kept, zone), expr)


@lru_cache(maxsize=64)
def _clock_template(kept: str, zone: str) -> str:
    shifts = list(_merged(_shifts(kept, zone)))
    # A zero date is before all years, and stays what it is. NULL would come to the last of all.
    return f"IF({{0}} < '0001-01-01' OR {{0}} IS NULL, {{0}}, {_shift_case(shifts)})"


def _shifts(kept: str, zone: str) -> Iterator[Shift]:
    source, target = clock_of(kept), clock_of(zone)
    for index, piece in enumerate(source.pieces):
        if piece.offset is None:
            try:
                yield piece.start, target.show(piece.instant)
            except OverflowError:
                yield piece.start, piece.instant
            continue
        yield piece.start, target.offset(piece.instant) - piece.offset
        for change in target.changes[bisect_right(target.changes, piece.instant) :]:
            start = change + piece.offset
            if index + 1 < len(source.pieces) and start >= source.pieces[index + 1].start:
                break
            yield start, target.offset(change) - piece.offset


def _merged(shifts: Iterator[Shift]) -> Iterator[Shift]:
    last: timedelta | datetime | None = None
    for start, shift in shifts:
        if shift != last:
            yield start, shift
        last = shift


def _shift_case(shifts: Sequence[Shift]) -> str:
    if len(shifts) == 1:
        shift = shifts[0][1]
        if isinstance(shift, datetime):
            return f"TIMESTAMP'{_spell(shift)}'"
        return f"({{0}} + INTERVAL {int(shift.total_seconds())} SECOND)" if shift != _ZERO else "{0}"
    middle = len(shifts) // 2
    before, after = _shift_case(shifts[:middle]), _shift_case(shifts[middle:])
    return f"CASE WHEN {{0}} < '{_spell(shifts[middle][0])}' THEN {before} ELSE {after} END"


def _spell(moment: datetime) -> str:
    return moment.isoformat(" ", "microseconds" if moment.microsecond else "seconds")


_MARIADB: dict[str, str] = {
    "year": "YEAR({0})",
    "quarter": "QUARTER({0})",
    "month": "MONTH({0})",
    "week": "WEEK({0}, 3)",
    "day": "DAYOFMONTH({0})",
    "weekday": "(WEEKDAY({0}) + 1)",
    "hour": "HOUR({0})",
    "minute": "MINUTE({0})",
    "date": "DATE({0})",
}
# SQLite keeps datetimes as text of a fixed form, so that its parts stand at fixed places.
_SQLITE: dict[str, str] = {
    "year": "CAST(substr({0}, 1, 4) AS INTEGER)",
    "quarter": "((CAST(substr({0}, 6, 2) AS INTEGER) + 2) / 3)",
    "month": "CAST(substr({0}, 6, 2) AS INTEGER)",
    # The week of the Thursday of the same week; SQLite before 3.46 has no ISO weeks of its own. Of the date alone:
    # its functions round 23:59:59.999999 to the next day.
    "week": "((CAST(strftime('%j', substr({0}, 1, 10), '-3 days', 'weekday 4') AS INTEGER) - 1) / 7 + 1)",
    "day": "CAST(substr({0}, 9, 2) AS INTEGER)",
    "weekday": "((CAST(strftime('%w', substr({0}, 1, 10)) AS INTEGER) + 6) % 7 + 1)",
    "hour": "CAST(substr({0}, 12, 2) AS INTEGER)",
    "minute": "CAST(substr({0}, 15, 2) AS INTEGER)",
    "date": "substr({0}, 1, 10)",
}
_SQLITE_TIME: dict[str, str] = {
    "hour": "CAST(substr({0}, 1, 2) AS INTEGER)",
    "minute": "CAST(substr({0}, 4, 2) AS INTEGER)",
}


def date_part(
    function: str, expr: ColumnElement[object], kind: str, zone: str | None, dialect: Dialect
) -> ColumnElement[object]:
    """A part of a date, time or datetime. Only datetimes know zones."""
    if kind == "datetime":
        expr = local_time(expr, zone, dialect)
    if dialect == "mariadb":
        return sql(_MARIADB[function], expr)
    table = _SQLITE_TIME if kind == "time" else _SQLITE
    return sql(table[function], expr)
