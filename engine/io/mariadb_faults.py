"""What a MariaDB error number means to us: one table, and the parsing of names out of messages.

Who retries what is decided in `mariadb.py`.
"""

from __future__ import annotations

import re

from asyncmy.errors import MySQLError, ProgrammingError

from engine.errors import (
    ForeignKeyViolated,
    QueryTooComplex,
    StatementTimedOut,
    StorageFault,
    Unavailable,
    UniqueViolated,
    ValueRefused,
)
from engine.io.storage import TOO_COMPLEX, ConnectionBroken, Contended

UNIQUE = frozenset({1022, 1062, 1169, 1586})
FOREIGN_KEY_DELETE = frozenset({1217, 1451})
FOREIGN_KEY_WRITE = frozenset({1216, 1452})
VALUE = frozenset(
    {
        1048,  # a column cannot be null
        1153,  # a packet larger than max_allowed_packet; the server hangs up after it
        1264,  # out of range
        1265,  # truncated, an undeclared ENUM value
        1292,  # an incorrect value
        1300,  # not valid in its charset
        1301,  # a result larger than max_allowed_packet
        1364,  # no default
        1366,  # not in the column's charset
        1367,
        1406,  # too long
        1139,  # a regular expression that is none, or that goes too far
        1411,
        1441,  # a datetime function went out of range
        1690,  # an expression went out of range
        4025,  # a CHECK failed, such as json_valid
        4038,  # JSON nested too deeply
    }
)
COMPLEX = frozenset(
    {
        1116,  # more than 61 tables
        1119,
        1390,  # more than 65,535 placeholders
        1436,
        1473,  # nested too deeply
    }
)
TIMED_OUT = frozenset({1317, 1969, 3024})
CONTENDED = frozenset({1020, 1205, 1213})
BROKEN = frozenset({0, 1053, 1077, 1078, 1079, 1158, 1159, 1160, 1161, 1927, 2006, 2013, 2014, 2055})
AWAY = frozenset(
    {
        1021,  # the disk is full
        1037,
        1038,
        1040,  # too many connections
        1041,
        1044,  # access denied: a setting is wrong, or a grant was taken away
        1045,
        1049,  # no such database
        1114,  # the table is full
        1129,
        1130,
        1135,
        1203,
        1226,
        1290,  # read-only, during a failover
        1461,  # too many prepared statements
        1698,
        1836,
        2002,
        2003,
        2005,
    }
)
# Faults of ours whose message names a column or table, and never holds a value.
TELLING = frozenset({1046, 1050, 1051, 1054, 1060, 1061, 1091, 1146, 1267, 1271, 1305})

_KEY = re.compile(r".* for key '(.+)'$", re.DOTALL)  # greedy: the value comes first, and may hold the same words
_CONSTRAINT = re.compile(r"CONSTRAINT `((?:[^`]|``)+)`")
_COLUMN = re.compile(r"[Cc]olumn (?:`(?:[^`]|``)+`\.)*['`]([^'`]+)['`]")


def errno_of(error: MySQLError) -> int | None:
    """The number of a server's or the driver's error; None where the driver complains about us."""
    number = error.args[0] if error.args else None
    return number if isinstance(number, int) else None


def is_usable_after(error: BaseException) -> bool:
    """Whether a connection may be used again after this error: the server answered, and goes on."""
    if isinstance(error, MySQLError):
        number = errno_of(error)
        if number is None:
            return isinstance(error, ProgrammingError)
        return (1000 <= number < 2000 or number >= 3000) and number not in BROKEN | {1153}
    # What the driver raises before it writes: a lone surrogate, an integer beyond 64 bits, a value of no known type.
    return isinstance(error, ValueError | TypeError | StorageFault)


def translate(error: MySQLError) -> Exception:
    """Our exception for an error of the driver or the server."""
    number = errno_of(error)
    if number is None:
        return error
    message = str(error.args[1]) if len(error.args) > 1 else ""
    if number in UNIQUE:
        key = _first(_KEY, message)
        return UniqueViolated(key.rpartition(".")[2] if key else "")
    if number in FOREIGN_KEY_DELETE | FOREIGN_KEY_WRITE:
        return ForeignKeyViolated(_first(_CONSTRAINT, message) or "", is_delete=number in FOREIGN_KEY_DELETE)
    if number in VALUE:
        column = _first(_COLUMN, message) or _first(_CONSTRAINT, message)  # a CHECK is named `table.column`
        return ValueRefused(column.rpartition(".")[2] if column else None)
    if number in COMPLEX:
        return QueryTooComplex(TOO_COMPLEX)
    if number in TIMED_OUT:
        return StatementTimedOut(f"errno {number}")
    if number in CONTENDED:
        return Contended(f"errno {number}")
    if number in BROKEN:
        return ConnectionBroken(f"errno {number}")
    if number in AWAY:
        return Unavailable()
    return StorageFault(f"errno {number}: {message}" if number in TELLING else f"errno {number}")


def _first(pattern: re.Pattern[str], text: str) -> str | None:
    found = pattern.search(text)
    return found[1] if found else None
