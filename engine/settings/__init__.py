"""Settings: read once from the environment (``AETHER_…``) or a ``.env`` file, checked, and frozen after that.

The table of them is in `table.py`. What a registry file says is not a setting (see `registry/load.py`).
"""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from engine.settings.checks import LEVELS as LEVELS
from engine.settings.checks import MARIADB_SCHEMES as MARIADB_SCHEMES
from engine.settings.checks import SQLITE_SCHEMES as SQLITE_SCHEMES
from engine.settings.checks import dialect_of as dialect_of
from engine.settings.checks import mask_url as mask_url
from engine.settings.table import DATABASE_URL as DATABASE_URL
from engine.settings.table import PREFIX as PREFIX
from engine.settings.table import SECRET_BYTES as SECRET_BYTES
from engine.settings.table import DatabaseUrl as DatabaseUrl
from engine.settings.table import Mode as Mode
from engine.settings.table import Settings as Settings

DEMO_SECRET = "aether-demo-secret-which-everybody-knows-0123456789"
EXAMPLE_WORDS = (
    "changeme", "change-me", "change_me", "example", "aether-demo-secret", "your-secret", "your-256-bit-secret",
    "replace-me",
)  # fmt: skip


class SettingsError(Exception):
    """Some settings are wrong; each problem is a line that names the setting and what was expected."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("Settings are wrong:\n" + "\n".join(f"  {problem}" for problem in problems))
        self.problems = tuple(problems)


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
