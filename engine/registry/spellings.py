"""Values in columns that we did not make, in whatever spelling they have there, read and written.

SQLite lets anything stand in a column. One function for each kind says what a value means;
rendering, restoring and the functions that SQLite calls (`operators/found.py`) all use it, so that what is
shown, compared and sorted is the same. What cannot be read is None: it is answered as null, as MariaDB's zero
dates are. Which column is spelled how stands in `Field.stored_as`.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation

from engine.registry.zones import Clock

# `stored_as` of a column with whole timestamps: what stands between date and time, and behind.
MOMENT_SPELLINGS = {"datetime_text": (" ", ""), "datetime_iso": ("T", ""), "datetime_zulu": ("T", "Z")}
# `stored_as` of a column with truth values: false and true. `truth` is any number, 0 being false.
TRUTH_SPELLINGS: dict[str, tuple[object, object]] = {
    "truth": (0, 1),
    "truth_letter": ("f", "t"),
    "truth_word": ("false", "true"),
    "truth_yes": ("N", "Y"),
}

WIDE = Context(prec=80)
_TAIL = re.compile(r"\s*(?:UTC|GMT)\Z|\s+(?=[+-]\d{2}:?\d{2}\Z)")
_FALSE = frozenset({"", "0", "f", "false", "n", "no", "off"})


# ---------------------------------------------------------------- read


def read_moment(value: object, clock: Clock | None = None) -> datetime | None:
    """A timestamp as naive UTC: with ``T`` or a blank, with or without time, fraction and offset.

    Without an offset it is UTC, or what the zone's clock means that the column keeps.

    It begins with ``YYYY-MM-DD``: an index over the texts narrows a search (`operators/found.py`).
    """
    if type(value) is not str or value[4:5] != "-" or value[7:8] != "-":
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        try:
            moment = datetime.fromisoformat(_TAIL.sub("", value.rstrip()))
        except ValueError:
            return None
    if moment.tzinfo is None:
        return moment if clock is None else clock.read(moment)
    try:
        return moment.astimezone(UTC).replace(tzinfo=None)
    except OverflowError:
        return None


def read_day(value: object) -> date | None:
    """A date; of a whole timestamp the date as it stands there."""
    if type(value) is not str or value[4:5] != "-" or value[7:8] != "-":
        return None
    try:
        return date.fromisoformat(value[:10])
    except ValueError:
        return None


def read_clock(value: object) -> time | None:
    """A time of day, seconds and fraction or not."""
    if type(value) is not str:
        return None
    try:
        return time.fromisoformat(value).replace(tzinfo=None)
    except ValueError:
        return None


def read_number(value: object, scale: int) -> Decimal | None:
    """A number rounded to some places, half up; a double by its shortest spelling, so that 0.99 is 0.99."""
    if type(value) not in (int, float, str):
        return None
    try:
        number = Decimal(str(value))
        return number.quantize(Decimal(1).scaleb(-scale), rounding=ROUND_HALF_UP, context=WIDE)
    except InvalidOperation:
        return None


def read_truth(value: object) -> bool:
    """Whether a value is true: a number but 0, or a word but those that say no."""
    return value.strip().lower() not in _FALSE if isinstance(value, str) else bool(value)


# ---------------------------------------------------------------- written


def write_moment(moment: datetime, spelling: str) -> str:
    """A timestamp as the column's other values are; a fraction only where it is not zero."""
    between, behind = MOMENT_SPELLINGS[spelling]
    return moment.isoformat(between) + behind


def write_truth(value: bool, spelling: str) -> object:
    """A truth value as the column's other values are."""
    return TRUTH_SPELLINGS[spelling][value]


# ---------------------------------------------------------------- recognised


def spelling_of_moment(example: str) -> str:
    """How a column spells timestamps, by one of them."""
    if example[10:11] != "T":
        return "datetime_text"
    return "datetime_zulu" if example.endswith("Z") else "datetime_iso"


def spelling_of_truth(example: str) -> str:
    """How a column spells truth values, by one of them."""
    word = example.strip().lower()
    if word in ("t", "f"):
        return "truth_letter"
    if word in ("y", "n"):
        return "truth_yes"
    return "truth_word" if word in ("true", "false") else "truth"
