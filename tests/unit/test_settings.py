"""Settings: read once, checked whole, every fault named with what was expected, no secret shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from engine.settings import (
    DEMO_SECRET,
    Settings,
    SettingsError,
    list_settings,
    load_settings,
    mask_url,
    unknown_settings,
)

SECRET = "kT9-vQ2_xL5mB8nR1sW4yZ7aC0dF3gHj"


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in Settings.model_fields:
        monkeypatch.delenv(f"AETHER_{field.upper()}", raising=False)


def load(**overrides: object) -> Settings:
    return load_settings(env_file=None, **{"jwt_secret": SECRET, **overrides})


def test_the_proxies_that_are_believed_are_addresses_and_networks_and_never_everybody() -> None:
    assert load().trusted_proxies == ()
    assert load(trusted_proxies="10.0.0.0/8, ::1").trusted_proxies == ("10.0.0.0/8", "::1")
    for wrong in ("*", "0.0.0.0/0", "::/0", "proxy.example"):
        with pytest.raises(SettingsError, match="AETHER_TRUSTED_PROXIES"):
            load(trusted_proxies=wrong)


def test_the_defaults_need_a_secret_alone() -> None:
    settings = load()
    assert (settings.dialect, settings.port, settings.workers, settings.redis_url) == ("sqlite", 5005, 1, None)


def test_the_environment_wins_over_the_file_and_flags_over_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / ".env"
    file.write_text(f"AETHER_PORT=1\nAETHER_HOST=::1\nAETHER_WORKERS=2\nAETHER_JWT_SECRET={SECRET}\nOTHER=x\n")
    monkeypatch.setenv("AETHER_PORT", "2")
    monkeypatch.setenv("AETHER_WORKERS", "3")
    settings = load_settings(env_file=file, workers=4)
    assert (settings.host, settings.port, settings.workers) == ("::1", 2, 4)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("AETHER_PORT", "http", "a number from 0 to 65535"),
        ("AETHER_PORT", "70000", "a number from 0 to 65535"),
        ("AETHER_WORKERS", "0", "a number from 1 to 64"),
        ("AETHER_DATABASE_URL", "oracle://h/x", "mysql+asyncmy://"),
        ("AETHER_DATABASE_URL", "mysql+asyncmy://h", "mysql+asyncmy://"),
        ("AETHER_DATABASE_URL", "mysql+asyncmy://h:port/x", "mysql+asyncmy://"),
        ("AETHER_DATABASE_URL", "sqlite://", "sqlite:///"),
        ("AETHER_DATABASE_URL", "sqlite:///:memory:", "sqlite:///"),
        ("AETHER_DATABASE_READ_URL", "mysql://h/x", "of the same kind"),
        ("AETHER_REDIS_URL", "http://h", "redis://"),
        ("AETHER_STORAGE_URL", "gs://bucket", "s3://bucket/prefix"),
        ("AETHER_STORAGE_URL", "s3:///prefix", "s3://bucket/prefix"),
        ("AETHER_STORAGE_URL", "s3://bucket//x", "s3://bucket/prefix"),
        ("AETHER_STORAGE_URL", "file:", "file:path"),
        ("AETHER_CORS_ORIGINS", "*", "exact origins"),
        ("AETHER_CORS_ORIGINS", "https://a.example, https://b.example/path", "exact origins"),
        ("AETHER_LOG_LEVELS", "engine.sql=loud", "levels are debug"),
        ("AETHER_LOG_FORMAT", "xml", "auto, json or pretty"),
        ("AETHER_DATABASE_POOL_WAIT_S", "soon", "seconds from"),
        ("AETHER_STORAGE_URL", "ftp://x", "file:path or s3://"),
        ("AETHER_SMTP_URL", "mail.example.org", "smtp://"),
        ("AETHER_PUBLIC_URL", "api.example.org", "https://api.example.org"),
        ("AETHER_LEGACY_SUNSET", "soon", "a date"),
        ("AETHER_LEGACY_SUNSET", "2027-02-30", "a date"),
        ("AETHER_LEGACY_SUNSET", "20270630", "a date"),
        ("AETHER_JWT_PUBLIC_KEY_FILE", "/nowhere.pem", "a file that exists"),
        ("AETHER_MODE", "test", "production, dev or demo"),
    ],
)
def test_a_wrong_value_stops_the_start_with_its_name_and_what_was_expected(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, expected: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        load()
    assert len(caught.value.problems) == 1
    assert name in caught.value.problems[0]
    assert expected in caught.value.problems[0]


def test_all_faults_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AETHER_PORT", "x")
    monkeypatch.setenv("AETHER_WORKERS", "x")
    with pytest.raises(SettingsError) as caught:
        load()
    assert len(caught.value.problems) == 2


@pytest.mark.parametrize(
    "secret",
    [
        None,
        "tiny-one",
        "x" * 40,
        "changeme-changeme-changeme-changeme-1",
        DEMO_SECRET,
        "this-is-an-Example-secret-of-40-bytes!!",
        "your-256-bit-secret-your-256-bit-secret",
    ],
    ids=["unset", "short", "one letter", "change me", "demo", "example", "the one of jwt.io"],
)
def test_a_weak_secret_is_refused_in_production_alone(secret: str | None) -> None:
    with pytest.raises(SettingsError, match="AETHER_JWT_SECRET") as caught:
        load(jwt_secret=secret)
    if secret is not None:
        assert secret not in str(caught.value)
    for mode in ("dev", "demo"):
        assert load(jwt_secret=secret, mode=mode).jwt_secret == (secret or DEMO_SECRET)


def test_a_public_key_makes_the_secret_needless(tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    key.write_text("x")
    assert load(jwt_secret=None, jwt_public_key_file=key).jwt_secret is None


def test_no_secret_is_shown() -> None:
    settings = load(
        database_url="mysql+asyncmy://user:CANARY@h/x",
        redis_url="redis://:CANARY@h/1",
        smtp_url="smtp://u:CANARY@h",
        jwt_secret=f"CANARY{SECRET}",
        cursor_secret=f"CANARY{SECRET}",
    )
    shown = "\n".join(f"{row.name} {row.default} {row.value}" for row in list_settings(settings))
    assert "CANARY" not in shown
    assert "AETHER_DATABASE_URL" in shown
    assert "mysql+asyncmy://user:***@h/x" in shown
    assert "CANARY" not in repr(settings)
    with pytest.raises(SettingsError) as caught:
        load(database_url="oracle://user:CANARY@h/x", redis_url="ftp://:CANARY@h")
    assert "CANARY" not in str(caught.value)


def test_every_setting_has_a_meaning_and_says_what_is_expected() -> None:
    for row in list_settings(load()):
        assert row.meaning
    for field in Settings.model_fields.values():
        assert isinstance(field.json_schema_extra, dict)
        assert field.json_schema_extra["expected"]


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        load().port = 1


def test_lists_and_levels_are_read_from_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AETHER_CORS_ORIGINS", "https://a.example, http://localhost:3000")
    monkeypatch.setenv("AETHER_LOG_LEVELS", "warning,engine.sql=DEBUG")
    settings = load()
    assert settings.cors_origins == ("https://a.example", "http://localhost:3000")
    assert settings.log_levels == (("", "warning"), ("engine.sql", "debug"))


def test_a_misspelt_setting_is_found() -> None:
    names = {"AETHER_DATABSE_URL": "x", "AETHER_TEST_MARIADB_URL": "x", "AETHER_QQQ": "x", "PATH": "x"}
    assert unknown_settings(names) == (("AETHER_DATABSE_URL", "AETHER_DATABASE_URL"), ("AETHER_QQQ", None))


def test_a_password_is_masked_and_nothing_else() -> None:
    assert mask_url("redis://h/1") == "redis://h/1"
    assert mask_url("mysql://u:p%40@h:1/x?ssl=true") == "mysql://u:***@h:1/x?ssl=true"
