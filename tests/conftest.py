"""What every test may take: the event loop, the databases, Redis, and Hypothesis' profiles."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from engine.observe import take_observations
from tests.support import services
from tests.support.objects import ObjectServer, object_server

settings.register_profile("dev", max_examples=50, deadline=None)
settings.register_profile("ci", max_examples=100, deadline=None, derandomize=True, print_blob=True)
settings.register_profile(
    "long", max_examples=2_000, stateful_step_count=100, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev"))


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """One plain asyncio loop for the whole session."""
    return "asyncio", {"use_uvloop": False}


@pytest.fixture(autouse=True)
def empty_queue() -> None:
    """No test finds what another has observed."""
    while take_observations():
        pass


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """An empty SQLite database in a file of its own."""
    return f"sqlite:///{tmp_path / 'test.sqlite3'}"


@pytest.fixture
def mariadb_url() -> Iterator[str]:
    """An empty MariaDB database of its own, dropped afterwards."""
    services.require_mariadb()
    with services.make_mariadb_database() as url:
        yield url


@pytest.fixture(params=["sqlite", pytest.param("mariadb", marks=pytest.mark.mariadb)])
def database_url(request: pytest.FixtureRequest) -> str:
    """An empty database, once per dialect."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def redis_url() -> str:
    """A Redis database that the test may write to; emptied before."""
    services.require_redis()
    services.empty_redis()
    return services.REDIS_URL


@pytest.fixture(scope="session")
def objects() -> Iterator[ObjectServer]:
    """A server of the S3 protocol."""
    with object_server() as server:
        yield server


@pytest.fixture
def s3_url(objects: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """A bucket of its own, with what it takes to reach it in the environment."""
    for name, value in objects.environment.items():
        monkeypatch.setenv(name, value)
    return f"s3://{objects.make_bucket()}/below/here"


@pytest.fixture
def directory_url(tmp_path: Path) -> str:
    """A directory for blobs that is not there yet."""
    return f"file:{tmp_path / 'blobs'}"


@pytest.fixture(params=["directory", "s3"])
def storage_url(request: pytest.FixtureRequest) -> str:
    """An empty store of blobs, once per kind."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB."""
    path = tmp_path / "small"
    path.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(path)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip(f"a file system of its own cannot be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", str(path)], check=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the long tests out unless the long profile or `-m long` asks for them."""
    if os.environ.get("HYPOTHESIS_PROFILE") == "long" or "long" in (config.option.markexpr or ""):
        return
    left_out = [item for item in items if item.get_closest_marker("long")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("long")]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly which services were missing."""
    is_parallel = bool(terminalreporter.config.getoption("numprocesses", None))
    for line in services.missing(are_asked=is_parallel):
        terminalreporter.write_line(f"NOT TESTED: {line}", yellow=True, bold=True)
