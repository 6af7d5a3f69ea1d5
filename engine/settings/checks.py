"""What a setting's value must look like: one check or conversion for each kind that pydantic does not know.

Each takes the value and returns it as it is stored, or raises `ValueError` with the reason. Which setting uses which
is `table.py`'s business, how a refusal is said `__init__.py`'s.
"""

from __future__ import annotations

import re
from datetime import date
from ipaddress import ip_network
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

SQLITE_SCHEMES = ("sqlite", "sqlite+aiosqlite")
MARIADB_SCHEMES = ("mysql+asyncmy", "mariadb+asyncmy", "mysql", "mariadb")
LEVELS = ("debug", "info", "warning", "error", "critical")


def split_list(value: object) -> object:
    """Words separated by commas, as a tuple."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def split_levels(value: object) -> object:
    """``module=level`` pairs separated by commas; a level alone is the root's."""
    if not isinstance(value, str):
        return value
    pairs = []
    for part in value.split(","):
        if not part.strip():
            continue
        name, equals, level = (piece.strip() for piece in part.partition("="))
        if not equals:
            name, level = "", name
        if level.lower() not in LEVELS:
            raise ValueError(f"{level!r} is not a level")
        pairs.append((name, level.lower()))
    return tuple(pairs)


def check_database_url(value: str) -> str:
    """A database that there is a dialect for."""
    parts = urlsplit(value)
    if parts.scheme in SQLITE_SCHEMES:
        if not parts.path.strip("/") or ":memory:" in value:
            raise ValueError("an SQLite URL needs the path of a file")
    elif parts.scheme in MARIADB_SCHEMES:
        if not parts.hostname or not parts.path.strip("/"):
            raise ValueError("a MariaDB URL needs a host and a database name")
        _ = parts.port
    else:
        raise ValueError("unknown kind of database")
    return value


def check_day(value: str) -> str:
    """A day that there is."""
    if len(value) != len("2027-06-30"):
        raise ValueError("not a date")
    date.fromisoformat(value)
    return value


def check_redis_url(value: str) -> str:
    """A URL that redis-py takes."""
    parts = urlsplit(value)
    if parts.scheme not in ("redis", "rediss", "unix"):
        raise ValueError("not a Redis URL")
    _ = parts.port
    return value


def check_http_url(value: str) -> str:
    """An absolute URL, without a slash at its end."""
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("not an HTTP URL")
    return value.rstrip("/")


def check_origins(value: tuple[str, ...]) -> tuple[str, ...]:
    """Exact origins: scheme, host, port."""
    for origin in value:
        parts = urlsplit(origin)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path or parts.query or "*" in origin:
            raise ValueError(f"{origin!r} is not an exact origin")
    return value


def check_networks(value: tuple[str, ...]) -> tuple[str, ...]:
    """Addresses and networks; not those of everybody."""
    for network in value:
        if ip_network(network, strict=False).prefixlen == 0:
            raise ValueError(f"{network!r} is everybody: then a caller says what his address is")
    return value


def check_storage_url(value: str) -> str:
    """A directory, or an S3 bucket with a prefix."""
    parts = urlsplit(value)
    if value.startswith("s3://"):
        if not parts.netloc:
            raise ValueError("the bucket is missing")
        if "//" in parts.path or parts.query or parts.fragment:
            raise ValueError("the prefix has empty parts, or something behind it")
    elif not value.startswith("file:"):
        raise ValueError("unknown kind of storage")
    elif not value.removeprefix("file:").strip("/"):
        raise ValueError("the path is missing")
    return value


def check_smtp_url(value: str) -> str:
    """A mail server."""
    if urlsplit(value).scheme not in ("smtp", "smtps") or not urlsplit(value).hostname:
        raise ValueError("not an SMTP URL")
    return value


def check_mailbox(value: str) -> str:
    """An address that a header can hold."""
    if not re.fullmatch(r"[^\s@<>,;:\"()\[\]\\]+@[^\s@<>,;:\"()\[\]\\]+", value) or not value.isprintable():
        raise ValueError("not an address")
    return value


def dialect_of(url: str) -> Literal["mariadb", "sqlite"]:
    """Which dialect a checked database URL names."""
    return "sqlite" if urlsplit(url).scheme in SQLITE_SCHEMES else "mariadb"


def mask_url(url: str) -> str:
    """The URL without its password."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    user, _, host = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user.partition(':')[0]}:***@{host}"))
