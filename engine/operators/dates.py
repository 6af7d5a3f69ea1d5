"""Time zones and the date functions of the search language, as SQL.

MariaDB's own time zone tables are often empty, and its copy is not Python's. So a
zone's offsets are taken from Python's database and written into the statement as a
balanced CASE; SQLite calls back with the same offsets. Instants are UTC.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement

from engine.operators.fragment import sql

Dialect = Literal["mariadb", "sqlite"]

# Offsets outside these years are taken to be those at their edge.
FIRST_YEAR, LAST_YEAR = 1900, 2100
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_S = 86_400


@lru_cache(maxsize=256)
def zone_steps(zone: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The offsets of a zone: instants (seconds from 1970, UTC) at which it changes, and one offset more (seconds)."""
    info = ZoneInfo(zone)
    fromtimestamp = datetime.fromtimestamp

    def offset_at(second: int) -> int:
        offset = fromtimestamp(second, info).utcoffset()
        return 0 if offset is None else int(offset.total_seconds())

    first = int((datetime(FIRST_YEAR, 1, 1, tzinfo=UTC) - _EPOCH).total_seconds())
    last = int((datetime(LAST_YEAR, 1, 1, tzinfo=UTC) - _EPOCH).total_seconds())
    starts: list[int] = []
    offsets = [offset_at(first)]
    # Nothing changes and changes back within three days.
    for day in range(first, last, 3 * _DAY_S):
        low, high = day, day + 3 * _DAY_S
        while offset_at(high) != offsets[-1]:
            low_bound, high_bound = low, high
            while high_bound - low_bound > 1:
                middle = (low_bound + high_bound) // 2
                if offset_at(middle) == offsets[-1]:
                    low_bound = middle
                else:
                    high_bound = middle
            starts.append(high_bound)
            offsets.append(offset_at(high_bound))
            low = high_bound
    return tuple(starts), tuple(offsets)


def sqlite_local(value: object, zone: object) -> str | None:
    """``aether_local(datetime text, zone)``: the same instant as the clocks of a zone show it."""
    if not isinstance(value, str) or not isinstance(zone, str):
        return None
    try:
        instant = datetime.fromisoformat(value)
    except ValueError:
        return None
    starts, offsets = zone_steps(zone)
    second = int((instant.replace(tzinfo=UTC) - _EPOCH).total_seconds())
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
    instant = (_EPOCH + timedelta(seconds=starts[middle])).strftime("%Y-%m-%d %H:%M:%S")
    before = _offset_case(starts[:middle], offsets[: middle + 1])
    after = _offset_case(starts[middle + 1 :], offsets[middle + 1 :])
    return f"CASE WHEN {{0}} < '{instant}' THEN {before} ELSE {after} END"


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
