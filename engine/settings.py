"""The table of settings: every name, its default, its meaning, and what a wrong value is answered with.

Settings come from the environment (``AETHER_…``) or a ``.env`` file, are read once and are frozen after that.
To add a setting, add a field to `Settings`; `aether settings`, the docs and the checks follow. What the settings
are used for is everybody else's business; what a registry file says is not a setting (see `registry/load.py`).
"""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit, urlunsplit

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

PREFIX = "AETHER_"
SECRET_BYTES = 32
DEMO_SECRET = "aether-demo-secret-which-everybody-knows-0123456789"
EXAMPLE_WORDS = (
    "changeme", "change-me", "change_me", "example", "aether-demo-secret", "your-secret", "your-256-bit-secret",
    "replace-me",
)  # fmt: skip
SQLITE_SCHEMES = ("sqlite", "sqlite+aiosqlite")
MARIADB_SCHEMES = ("mysql+asyncmy", "mariadb+asyncmy", "mysql", "mariadb")
LEVELS = ("debug", "info", "warning", "error", "critical")

Mode = Literal["production", "dev", "demo"]


class SettingsError(Exception):
    """Some settings are wrong; each problem is a line that names the setting and what was expected."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("Settings are wrong:\n" + "\n".join(f"  {problem}" for problem in problems))
        self.problems = tuple(problems)


def _split_list(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _split_levels(value: object) -> object:
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


def _check_database_url(value: str) -> str:
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


def _check_redis_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("redis", "rediss", "unix"):
        raise ValueError("not a Redis URL")
    _ = parts.port
    return value


def _check_http_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("not an HTTP URL")
    return value.rstrip("/")


def _check_origins(value: tuple[str, ...]) -> tuple[str, ...]:
    for origin in value:
        parts = urlsplit(origin)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path or parts.query or "*" in origin:
            raise ValueError(f"{origin!r} is not an exact origin")
    return value


def _check_storage_url(value: str) -> str:
    if not value.startswith(("file:", "s3://")):
        raise ValueError("unknown kind of storage")
    return value


def _check_smtp_url(value: str) -> str:
    if urlsplit(value).scheme not in ("smtp", "smtps") or not urlsplit(value).hostname:
        raise ValueError("not an SMTP URL")
    return value


def _setting(
    default: Any, meaning: str, expected: str, *, mask: Literal["", "all", "password"] = "", **bounds: Any
) -> Any:
    """One row: `expected` is said when the value is wrong; `mask` says what `aether settings` must not show."""
    return Field(
        default, description=meaning, repr=not mask, json_schema_extra={"expected": expected, "mask": mask}, **bounds
    )


DatabaseUrl = Annotated[str, AfterValidator(_check_database_url)]
Strings = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split_list)]
DATABASE_URL = "sqlite:///var/aether.db, or mysql+asyncmy://user:password@host:3306/name"


class Settings(BaseSettings):
    """All settings of a process, checked. The wire name of each is ``AETHER_`` and the field in capitals."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore", env_ignore_empty=True)

    mode: Mode = _setting(
        "production", "What the server is for; `--dev` and `--demo` set it", "production, dev or demo"
    )

    database_url: DatabaseUrl = _setting("sqlite:///var/aether.db", "The database", DATABASE_URL, mask="password")
    database_read_url: DatabaseUrl | None = _setting(
        None, "A replica for lists and searches (not used yet)", DATABASE_URL, mask="password"
    )
    database_pool_size: int = _setting(8, "Connections of each worker", "a number from 1 to 1000", ge=1, le=1000)
    database_pool_wait_s: float = _setting(
        2.0, "Longest wait for a connection, seconds", "seconds from 0.05 to 60", ge=0.05, le=60
    )
    database_connect_timeout_s: float = _setting(
        2.0, "Longest wait for a new connection, seconds", "seconds from 0.05 to 60", ge=0.05, le=60
    )
    database_recycle_s: float = _setting(
        1800.0, "Age at which a connection is replaced, seconds", "seconds, at least 1", ge=1
    )
    database_statement_time_s: float = _setting(
        10.0, "Longest run of a statement, seconds", "seconds from 0.05 to 3600", ge=0.05, le=3600
    )
    database_lock_wait_s: int = _setting(
        5, "Longest wait for a row lock, seconds", "whole seconds from 0 to 300", ge=0, le=300
    )
    database_prepare: bool = _setting(True, "Prepare statements that come again (MariaDB)", "true or false")
    slow_statement_ms: int = _setting(
        500, "Statements slower than this are logged, milliseconds", "milliseconds, at least 0", ge=0
    )

    redis_url: Annotated[str, AfterValidator(_check_redis_url)] | None = _setting(
        None, "Redis; none = everything in process", "redis://host:6379/0", mask="password"
    )
    redis_timeout_ms: int = _setting(
        50, "Longest wait for Redis, milliseconds", "milliseconds from 1 to 5000", ge=1, le=5000
    )
    redis_breaker_s: float = _setting(
        5.0, "How long an unreachable Redis is left alone, seconds", "seconds from 0.1 to 600", ge=0.1, le=600
    )
    id_cache_size: int = _setting(100_000, "Public ids that a worker remembers", "a number, at least 0", ge=0)

    registry: Path = _setting(Path("resources.yaml"), "The registry file", "a path")

    jwt_secret: str | None = _setting(
        None,
        "Secret of HS256 tokens",
        f"at least {SECRET_BYTES} random bytes; make one with `openssl rand -base64 48`",
        mask="all",
    )
    jwt_public_key_file: Path | None = _setting(
        None, "Public key (PEM) or JWKS file of RS256, ES256, EdDSA tokens", "the path of a file that exists"
    )
    jwt_audience: str | None = _setting(None, "Audience that tokens must name", "text")
    jwt_issuer: str | None = _setting(None, "Issuer that tokens must name", "text")
    cursor_secret: str | None = _setting(
        None, "Secret of cursors; unset = made from the JWT secret", f"at least {SECRET_BYTES} random bytes", mask="all"
    )
    token_cache_s: float = _setting(
        4.0, "How long a checked token or key is remembered, seconds", "seconds from 0 to 4", ge=0, le=4
    )

    storage_url: Annotated[str, AfterValidator(_check_storage_url)] = _setting(
        "file:var/blobs", "Where files are kept", "file:path or s3://bucket/prefix", mask="password"
    )
    smtp_url: Annotated[str, AfterValidator(_check_smtp_url)] | None = _setting(
        None, "Mail server (not used yet)", "smtp://user:password@host:587", mask="password"
    )

    host: str = _setting("127.0.0.1", "Address that is listened on", "an address", min_length=1)
    port: int = _setting(5005, "Port that is listened on", "a number from 0 to 65535", ge=0, le=65535)
    workers: int = _setting(1, "Worker processes", "a number from 1 to 64", ge=1, le=64)
    stop_timeout_s: float = _setting(
        10.0, "How long running requests may take at a stop, seconds", "seconds from 0 to 600", ge=0, le=600
    )
    public_url: Annotated[str, AfterValidator(_check_http_url)] | None = _setting(
        None, "The URL that callers use", "https://api.example.org"
    )
    cors_origins: Annotated[Strings, AfterValidator(_check_origins)] = _setting(
        (), "Origins whose scripts may call", "exact origins like https://app.example.org, separated by commas"
    )

    write_body_bytes: int = _setting(8 * 1024 * 1024, "Largest body of a write, bytes", "bytes, at least 1024", ge=1024)
    body_timeout_s: float = _setting(
        15.0, "Longest wait for the next part of a body, seconds", "seconds from 0.1 to 600", ge=0.1, le=600
    )
    rate_limit_per_minute: int = _setting(
        0, "Requests of a caller in a minute; 0 = no limit", "a number, at least 0", ge=0
    )
    rate_limit_burst: int = _setting(0, "Requests at once; 0 = as many as in a minute", "a number, at least 0", ge=0)

    log_format: Literal["auto", "json", "pretty"] = _setting(
        "auto", "JSON lines or pretty text; auto = pretty in a terminal", "auto, json or pretty"
    )
    log_levels: Annotated[tuple[tuple[str, str], ...], NoDecode, BeforeValidator(_split_levels)] = _setting(
        (), "Level of each module", "pairs like engine.sql=debug, separated by commas; levels are " + ", ".join(LEVELS)
    )
    log_dir: Path | None = _setting(None, "Directory for a rotating file per module", "a path")
    log_file_bytes: int = _setting(
        10_000_000, "Size at which a log file is rotated, bytes", "bytes, at least 1000", ge=1000
    )
    log_file_count: int = _setting(5, "Old log files that are kept", "a number from 0 to 1000", ge=0, le=1000)
    log_requests: bool = _setting(True, "Log a line for each request", "true or false")

    legacy_sunset: str | None = _setting(
        None, "Day on which V1 and V2 end (not used yet)", "a date like 2027-06-30", pattern=r"^\d{4}-\d{2}-\d{2}$"
    )

    @property
    def dialect(self) -> Literal["mariadb", "sqlite"]:
        """Which kind of database `database_url` names."""
        return dialect_of(self.database_url)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What the caller gives wins over the environment, and that over the file."""
        return init_settings, env_settings, dotenv_settings


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One line of `aether settings`; `value` is masked where it is a secret."""

    name: str
    default: str
    meaning: str
    value: str
    is_default: bool


def load_settings(*, env_file: Path | None = Path(".env"), **overrides: object) -> Settings:
    """Read the settings from the environment and a ``.env`` file.

    Args:
        env_file: Where to look for settings that the environment lacks; None = nowhere.
        overrides: Values that win over both (command line flags), by field name.

    Raises:
        SettingsError: With every problem at once.
    """
    try:
        # `_env_file` is how pydantic-settings takes the file at run time; its typed signature does not know it.
        build: Callable[..., Settings] = Settings
        settings = build(_env_file=env_file, **overrides)
    except ValidationError as error:
        raise SettingsError([_describe(dict(fault)) for fault in error.errors()]) from error
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError([f"{env_file} cannot be read: {error}"]) from error
    problems = list(_check_together(settings))
    if problems:
        raise SettingsError(problems)
    if settings.mode != "production" and settings.jwt_secret is None and settings.jwt_public_key_file is None:
        settings = settings.model_copy(update={"jwt_secret": DEMO_SECRET})
    return settings


def list_settings(settings: Settings) -> tuple[SettingRow, ...]:
    """The table that `aether settings` prints, in declared order, secrets masked."""
    rows = []
    for field, row in Settings.model_fields.items():
        value = getattr(settings, field)
        rows.append(
            SettingRow(
                name=_name_of(field),
                default=_show(row.default),
                meaning=row.description or "",
                value=_masked(value, str(_extra(field).get("mask", ""))),
                is_default=value == row.default,
            )
        )
    return tuple(rows)


def unknown_settings(environment: Mapping[str, str] | None = None) -> tuple[tuple[str, str | None], ...]:
    """Names in the environment that look like settings and are none, each with the one that may be meant."""
    known = [_name_of(field) for field in Settings.model_fields]
    found = []
    for name in sorted(os.environ if environment is None else environment):
        if name.startswith(PREFIX) and name not in known and not name.startswith((f"{PREFIX}TEST_", f"{PREFIX}BENCH_")):
            close = difflib.get_close_matches(name, known, n=1, cutoff=0.85)
            found.append((name, close[0] if close else None))
    return tuple(found)


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


def _check_together(settings: Settings) -> Iterator[str]:
    expected = str(_extra("jwt_secret")["expected"])
    secret = settings.jwt_secret
    if settings.mode == "production":
        if secret is None and settings.jwt_public_key_file is None:
            yield f"{PREFIX}JWT_SECRET is not set: expected {expected}."
        for field in ("jwt_secret", "cursor_secret"):
            value = getattr(settings, field)
            if value is None:
                continue
            if len(value.encode()) < SECRET_BYTES:
                yield f"{_name_of(field)} is too short: expected {_extra(field)['expected']}."
            elif any(word in value.lower() for word in EXAMPLE_WORDS) or len(set(value)) < 3:
                yield f"{_name_of(field)} is an example, not a secret: expected {expected}."
    if settings.jwt_public_key_file is not None and not settings.jwt_public_key_file.is_file():
        yield f"{PREFIX}JWT_PUBLIC_KEY_FILE {str(settings.jwt_public_key_file)!r}: expected a file that exists."
    if settings.database_read_url and dialect_of(settings.database_read_url) != settings.dialect:
        yield f"{PREFIX}DATABASE_READ_URL: expected a replica of the same kind as {PREFIX}DATABASE_URL."


def _describe(fault: dict[str, Any]) -> str:
    """A pydantic fault in our words: the setting's name, the value unless it is secret, what was expected."""
    field = str(fault["loc"][0]) if fault["loc"] else ""
    if field not in Settings.model_fields:
        return str(fault["msg"])
    extra = _extra(field)
    value = "" if extra.get("mask") else f" {_show(fault.get('input'))!r}"
    reason = fault.get("ctx", {}).get("error")
    why = f" ({reason})" if reason else ""
    return f"{_name_of(field)}{value}: expected {extra['expected']}{why}."


def _extra(field: str) -> dict[str, Any]:
    extra = Settings.model_fields[field].json_schema_extra
    return dict(extra) if isinstance(extra, dict) else {}


def _name_of(field: str) -> str:
    return PREFIX + field.upper()


def _show(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, tuple):
        return ",".join("=".join(part) if isinstance(part, tuple) else str(part) for part in value)
    if isinstance(value, bool):
        return json.dumps(value)
    return str(value)


def _masked(value: object, mask: str) -> str:
    if value is None or not mask:
        return _show(value)
    return "***" if mask == "all" else mask_url(str(value))
