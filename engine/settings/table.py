"""The table of settings: a row for each, with its default, its meaning, and what a wrong value is answered with.

To add a setting, add a row to `Settings`; `aether settings`, the docs and the checks follow. What the settings are
used for is everybody else's business.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from engine.settings.checks import (
    LEVELS,
    check_database_url,
    check_day,
    check_http_url,
    check_mailbox,
    check_networks,
    check_origins,
    check_redis_url,
    check_smtp_url,
    check_storage_url,
    dialect_of,
    split_levels,
    split_list,
)

PREFIX = "AETHER_"
SECRET_BYTES = 32

Mode = Literal["production", "dev", "demo"]


def _setting(
    default: Any, meaning: str, expected: str, *, mask: Literal["", "all", "password"] = "", **bounds: Any
) -> Any:
    """One row: `expected` is said when the value is wrong; `mask` says what `aether settings` must not show."""
    return Field(
        default, description=meaning, repr=not mask, json_schema_extra={"expected": expected, "mask": mask}, **bounds
    )


DatabaseUrl = Annotated[str, AfterValidator(check_database_url)]
Strings = Annotated[tuple[str, ...], NoDecode, BeforeValidator(split_list)]
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

    redis_url: Annotated[str, AfterValidator(check_redis_url)] | None = _setting(
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
    access_token_s: float = _setting(
        900.0, "How long a token of a login holds, seconds", "seconds from 10 to 86400", ge=10, le=86_400
    )
    refresh_token_s: float = _setting(
        30 * 86_400.0,
        "How long a login can be refreshed without being used, seconds",
        "seconds from 60 to 31536000",
        ge=60,
        le=31_536_000,
    )
    password_threads: int = _setting(2, "Passwords that a worker hashes at once", "a number from 1 to 64", ge=1, le=64)
    sign_in_per_minute: int = _setting(
        10, "Failed logins from an address, or for a name, in a minute", "a number, at least 1", ge=1
    )
    token_cache_s: float = _setting(
        4.0, "How long a checked token or key is remembered, seconds", "seconds from 0 to 4", ge=0, le=4
    )

    storage_url: Annotated[str, AfterValidator(check_storage_url)] = _setting(
        "file:var/blobs", "Where files are kept", "file:path or s3://bucket/prefix", mask="password"
    )
    upload_bytes: int = _setting(5 * 1024**3, "Largest file that is taken, bytes", "bytes, at least 1024", ge=1024)
    blob_grace_s: float = _setting(
        3600.0, "How long bytes without a row are kept by `aether gc`, seconds", "seconds, at least 60", ge=60
    )
    signed_url_s: float = _setting(
        300.0, "How long a signed URL holds, seconds", "seconds from 1 to 86400", ge=1, le=86_400
    )
    smtp_url: Annotated[str, AfterValidator(check_smtp_url)] | None = _setting(
        None,
        "Mail server; none = mail waits as rows",
        "smtp://user:password@host:587, or smtps://… for TLS from the start",
        mask="password",
    )
    mail_from: Annotated[str, AfterValidator(check_mailbox)] | None = _setting(
        None, "Sender of mail", "an address like aether@example.org"
    )

    host: str = _setting("127.0.0.1", "Address that is listened on", "an address", min_length=1)
    port: int = _setting(5005, "Port that is listened on", "a number from 0 to 65535", ge=0, le=65535)
    workers: int = _setting(1, "Worker processes", "a number from 1 to 64", ge=1, le=64)
    stop_timeout_s: float = _setting(
        10.0, "How long running requests may take at a stop, seconds", "seconds from 0 to 600", ge=0, le=600
    )
    public_url: Annotated[str, AfterValidator(check_http_url)] | None = _setting(
        None, "The URL that callers use", "https://api.example.org"
    )
    cors_origins: Annotated[Strings, AfterValidator(check_origins)] = _setting(
        (), "Origins whose scripts may call", "exact origins like https://app.example.org, separated by commas"
    )

    trusted_proxies: Annotated[Strings, AfterValidator(check_networks)] = _setting(
        (),
        "Proxies whose X-Forwarded-For is believed; none = the connection's own address counts",
        "addresses or networks like 10.0.0.0/8, separated by commas",
    )

    write_body_bytes: int = _setting(8 * 1024 * 1024, "Largest body of a write, bytes", "bytes, at least 1024", ge=1024)
    body_timeout_s: float = _setting(
        15.0, "Longest wait for the next part of a body, seconds", "seconds from 0.1 to 600", ge=0.1, le=600
    )
    rate_limit_per_minute: int = _setting(
        0, "Requests of a caller in a minute; 0 = no limit", "a number, at least 0", ge=0
    )
    rate_limit_burst: int = _setting(0, "Requests at once; 0 = as many as in a minute", "a number, at least 0", ge=0)

    live_sockets_per_account: int = _setting(
        1000, "Live connections of an account in a worker", "a number, at least 1", ge=1
    )
    live_subscriptions: int = _setting(
        50, "Subscriptions of a live connection", "a number from 1 to 1000", ge=1, le=1000
    )
    live_frame_bytes: int = _setting(
        64 * 1024, "Largest frame that a live connection may send, bytes", "bytes, at least 1024", ge=1024
    )
    live_idle_s: float = _setting(
        60.0,
        "How long a live connection may be silent, seconds",
        "seconds from 1 to 3600",
        ge=1,
        le=3600,
    )

    log_format: Literal["auto", "json", "pretty"] = _setting(
        "auto", "JSON lines or pretty text; auto = pretty in a terminal", "auto, json or pretty"
    )
    log_levels: Annotated[tuple[tuple[str, str], ...], NoDecode, BeforeValidator(split_levels)] = _setting(
        (), "Level of each module", "pairs like engine.sql=debug, separated by commas; levels are " + ", ".join(LEVELS)
    )
    log_dir: Path | None = _setting(None, "Directory for a rotating file per module", "a path")
    log_file_bytes: int = _setting(
        10_000_000, "Size at which a log file is rotated, bytes", "bytes, at least 1000", ge=1000
    )
    log_file_count: int = _setting(5, "Old log files that are kept", "a number from 0 to 1000", ge=0, le=1000)
    log_requests: bool = _setting(True, "Log a line for each request", "true or false")

    legacy_sunset: Annotated[str, AfterValidator(check_day)] | None = _setting(
        None, "Day on which V1 and V2 end; their replies say so", "a date like 2027-06-30"
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
