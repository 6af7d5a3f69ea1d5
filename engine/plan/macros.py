"""Macros: operands that name a time or the caller instead of spelling a value.

Only the spellings below are macros; any other string that begins with ``$`` is
itself, and ``$$x`` is the string ``$x``. Days, weeks, months and years begin in the
search's time zone. What a plain date means to a datetime is `operands.py`'s business.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from engine.plan.shape import PlanContext

# A well-formed public id that no row has: what a macro gives where the caller is nobody, or of several accounts.
NOBODY = "-" * 22
MAX_MACRO = 60

_MACRO = re.compile(
    r"\$(now|today|week_start|month_start|year_start|current_user|current_account)"
    r"(?:\(\s*([+-]?\d{1,7})\s*(?:(second|minute|hour|day|week|month|year)s?)?\s*\))?"
)
_UNIT_OF = {"today": "day", "week_start": "week", "month_start": "month", "year_start": "year"}
_SECONDS = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400, "week": 604_800}


class MacroRefused(Exception):
    """A macro whose steps lead out of the calendar."""


def expand_macro(text: str, context: PlanContext) -> str | date | datetime:
    """Give an operand that begins with ``$`` its value.

    Returns:
        A date, an aware UTC datetime, a public id, or, where the text is no macro, the text itself.

    Raises:
        MacroRefused: The time is before year 1 or after 9999.
    """
    if text.startswith("$$"):
        return text[1:]
    parts = _read(text) if len(text) <= MAX_MACRO else None
    if parts is None:
        return text
    name, steps, unit = parts
    if name == "current_user":
        return context.principal.subject or NOBODY
    if name == "current_account":
        accounts = context.principal.accounts
        return accounts[0].public_id if len(accounts) == 1 else NOBODY
    try:
        if name == "now":
            return _step_time(context, steps, unit)
        local = context.now.astimezone(ZoneInfo(context.timezone)).date()
        return _step_date(_start(local, name), steps, unit)
    except (OverflowError, ValueError) as error:
        raise MacroRefused(f"{text} is before year 1 or after year 9999.") from error


@lru_cache(maxsize=1024)
def _read(text: str) -> tuple[str, int, str] | None:
    match = _MACRO.fullmatch(text)
    if match is None:
        return None
    name, steps, unit = match.groups()
    if steps is None:
        return name, 0, "day"
    own = _UNIT_OF.get(name)
    if name.startswith("current") or (own is None and unit is None):
        return None
    if own is not None and unit not in (None, own) and name != "today":
        return None
    if name == "today" and unit in ("second", "minute", "hour"):
        return None
    return name, int(steps), unit or own or "day"


def _start(day: date, name: str) -> date:
    if name == "week_start":
        return day - timedelta(days=day.weekday())
    if name == "month_start":
        return day.replace(day=1)
    if name == "year_start":
        return day.replace(month=1, day=1)
    return day


def _step_date(day: date, steps: int, unit: str) -> date:
    if unit == "week":
        return day + timedelta(weeks=steps)
    if unit == "month":
        return _step_months(day, steps)
    if unit == "year":
        return _step_months(day, 12 * steps)
    return day + timedelta(days=steps)


def _step_time(context: PlanContext, steps: int, unit: str) -> datetime:
    now = context.now
    if unit in _SECONDS:
        return now + timedelta(seconds=steps * _SECONDS[unit])
    # A month or a year ago is the same hour of the clock, not the same number of seconds.
    local = now.astimezone(ZoneInfo(context.timezone))
    day = _step_months(local.date(), steps * (12 if unit == "year" else 1))
    return local.replace(year=day.year, month=day.month, day=day.day).astimezone(UTC)


def _step_months(day: date, months: int) -> date:
    """Some months on; the last day of the month where the day does not exist there."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    first = date(year, month + 1, 1)
    following = date(year + month // 11, (month + 1) % 12 + 1, 1) if (year, month) != (9999, 11) else None
    last = 31 if following is None else (following - first).days
    return first.replace(day=min(day.day, last))
