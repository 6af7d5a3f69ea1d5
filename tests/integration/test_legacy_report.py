"""`aether legacy report`: what nobody uses, and how far that is known."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from engine.cli import app
from engine.io.uses import KEPT_DAYS, Uses
from engine.main import find_old_routes
from engine.plugins.layers import OldUse
from engine.registry.load import load_registry_text
from engine.registry.resource import Registry
from tests.support.databases import opened

DAY_S = 86_400
REGISTRY = """\
version: 1
legacy: {off: ["/api:delete"]}
types:
  account: {table: account, account: self, fields: {name: {type: string(100)}}}
  venue: {table: venue, account: own, fields: {name: {type: string(200)}}, legacy: {off: [v1]}}
"""

Run = Callable[..., Result]


@pytest.fixture
def run(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command on a database that has been migrated."""
    for name in [name for name in os.environ if name.startswith("AETHER_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    for name in ("actions", "resources"):
        (tmp_path / name).mkdir()
    (tmp_path / "resources.yaml").write_text(REGISTRY)
    monkeypatch.setenv("AETHER_DATABASE_URL", database_url)

    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(app, list(arguments), prog_name="aether")

    assert invoke("migrate", "--yes").exit_code == 0
    return invoke


def count(url: str, *uses: tuple[str, float]) -> None:
    """Count uses of routes, each so many days ago; the oldest is when counting began."""

    async def work() -> None:
        async with opened(url) as database:
            for route, days in sorted(uses, key=lambda use: -use[1]):
                counter = Uses(database, now=lambda days=days: datetime.now(UTC).timestamp() - days * DAY_S)  # type: ignore[misc]
                if route:
                    counter.note(OldUse("v1:get", "v1", route, route, route, 200, "r"), None)
                await counter.flush()

    asyncio.run(work())


def report(run: Run, *more: str) -> dict[str, Any]:
    """The report for programs."""
    result = run("legacy", "report", "--format", "json", *more)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_every_route_that_was_not_used_for_so_long_is_listed_the_never_used_too(run: Run, database_url: str) -> None:
    used, old = "GET /journal", "PUT|PATCH /v2/crud/venue/{id}"
    count(database_url, ("", 90), ("GET /venue/{id}", 1), ("GET /account/{id}", 40), (old, 40), (used, 1))
    found = report(run, "--unused-for", "30d")
    subjects = {str(one["subject"]) for one in found["routes"]}
    every = {one.pattern for one in find_old_routes(_registry())}
    assert subjects == every - {"GET /{type}/{id}"}
    by_subject = {one["subject"]: one for one in found["routes"]}
    mended = by_subject["PUT|PATCH /v2/crud/{type}/{id}"]
    assert (mended["count"], mended["switch"], mended["version"]) == (1, "/v2/crud:update", "v2")
    assert str(mended["last_used_on"]).startswith(f"{datetime.now(UTC) - timedelta(days=40):%Y-%m-%d}")
    never = by_subject["GET /api/{type}/list"]
    assert (never["count"], never["last_used_on"], never["is_off"]) == (0, None, False)
    assert by_subject["DELETE /api/{type}/{id}"]["is_off"]
    types = {(one["subject"], one["version"]): one["is_off"] for one in found["types"]}
    assert types == {("account", "v1"): False, ("account", "v2"): False, ("venue", "v2"): False}
    # What was used 40 days ago was used in the last 50.
    subjects = {str(one["subject"]) for one in report(run, "--unused-for", "50d")["routes"]}
    assert subjects == every - {"GET /{type}/{id}", "PUT|PATCH /v2/crud/{type}/{id}"}
    assert ("venue", "v2") not in {
        (one["subject"], one["version"]) for one in report(run, "--unused-for", "50d")["types"]
    }


def test_it_says_how_far_the_list_can_be_believed(run: Run, database_url: str) -> None:
    result = run("legacy", "report")
    assert result.exit_code == 0
    assert "uses were never counted in this database" in result.stderr
    count(database_url, ("", 10))
    result = run("legacy", "report", "--unused-for", "30d")
    began = f"{datetime.now(UTC) - timedelta(days=10):%Y-%m-%d}"
    assert f"since {began} only, less than 30d" in result.stderr
    assert report(run)["is_counted"] is False
    result = run("legacy", "report", "--unused-for", "1w")
    assert f"Uses are counted since {began}." in result.stderr
    assert "warning" not in result.stderr
    assert report(run, "--unused-for", "1w")["is_counted"] is True


def test_what_was_forgotten_is_not_said_to_be_unused(run: Run, database_url: str) -> None:
    count(database_url, ("GET /v2/crud/venue/list", 500), ("", 0))
    found = report(run, "--unused-for", "450d")
    assert found["is_counted"] is False
    assert str(found["counted_since"]) == f"{datetime.now(UTC) - timedelta(days=KEPT_DAYS):%Y-%m-%d}"
    assert report(run, "--unused-for", "390d")["is_counted"] is True


def test_it_reads_as_tables_with_the_words_that_switch_off(run: Run, database_url: str) -> None:
    count(database_url, ("", 60), ("GET /v2/crud/venue/list", 45))
    lines = run("legacy", "report").stdout.splitlines()
    assert lines[0].split("  ")[0] == "ROUTE"
    (listed,) = [line for line in lines if line.startswith("GET /v2/crud/{type}/list")]
    assert listed.split()[-1] == "/v2/crud:list"
    assert " 1 " in listed
    (off,) = [line for line in lines if line.startswith("DELETE /api/{type}/{id}")]
    assert off.endswith("/api:delete (is off)")
    assert "never" in off
    assert [line.split()[:2] for line in lines[lines.index("") + 2 :]] == [
        ["account", "v1"], ["venue", "v1"], ["account", "v2"], ["venue", "v2"],
    ]  # fmt: skip


def test_where_all_is_used_it_says_so(run: Run, database_url: str) -> None:
    count(database_url, *((one.route, 0.01) for one in find_old_routes(_registry())))
    assert run("legacy", "report").stdout == (
        "Every old route was used in the last 30d, for one type or another.\n\n"
        "Every type was used in the last 30d, by each old version.\n"
    )


@pytest.mark.parametrize("wrong", ["30", "soon", "-3d"])
def test_a_wrong_duration_is_refused_in_words(run: Run, wrong: str) -> None:
    result = run("legacy", "report", f"--unused-for={wrong}")
    assert result.exit_code == 1
    assert "is no duration" in result.stderr


def _registry() -> Registry:
    loaded = load_registry_text(REGISTRY)
    assert loaded.registry is not None
    return loaded.registry
