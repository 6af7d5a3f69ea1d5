"""Log lines and metrics: one safe JSON object per line, bounded labels, nothing lost unseen."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
import unicodedata
from pathlib import Path

import asyncmy.errors
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import StorageFault
from engine.io.metrics import MAX_ROUTES, Metrics
from engine.io.sinks import Levels, Sinks, route_loggers
from engine.observe import (
    MAX_QUEUED,
    CacheUnreachable,
    Notice,
    Observation,
    OldRouteUsed,
    RequestFailed,
    RequestServed,
    SlowStatement,
    observe,
    take_observations,
)
from engine.settings import SettingsError
from tests.support.databases import make_settings

SERVED = RequestServed(1_767_225_600.5, "GET", "/v3/crud/{type}/{id}", 404, 0.0123, "r1", "acc", "user", "not-found")


@pytest.fixture(autouse=True)
def _empty_queue() -> None:
    take_observations(MAX_QUEUED)


def write(*observations: Observation, **settings: object) -> str:
    stream = io.StringIO()
    sinks = Sinks(make_settings("sqlite:///x.db", **{"log_format": "json", **settings}), stream)
    for observation in observations:
        observe(observation)
    sinks.flush()
    sinks.stop()
    return stream.getvalue()


def test_a_request_is_one_json_line() -> None:
    assert json.loads(write(SERVED)) == {
        "time": "2026-01-01T00:00:00.500Z",
        "level": "info",
        "logger": "engine.http",
        "event": "request",
        "request_id": "r1",
        "method": "GET",
        "route": "/v3/crud/{type}/{id}",
        "status": 404,
        "duration_ms": 12.3,
        "account": "acc",
        "caller": "user",
        "problem": "not-found",
    }


def test_requests_are_left_out_where_the_settings_say_so() -> None:
    assert write(SERVED, log_requests=False) == ""


@given(st.text(st.characters(), max_size=50))
def test_whatever_the_text_each_line_is_one_json_object_without_control_characters(text: str) -> None:
    hostile = f"{text}\n\r\x1b[2J\u2028\u2029\x85\x7f\u202e"
    out = write(Notice(hostile, details=(("agent", hostile),)), SERVED._replace(request_id=hostile))
    assert len(out.splitlines()) == 2
    for line in out.split("\n")[:-1]:
        assert not {"Cc", "Cs", "Zl", "Zp"} & {unicodedata.category(letter) for letter in line}
        assert hostile in json.loads(line).values()


@given(st.text(st.characters(), max_size=50))
def test_a_terminal_gets_no_control_character_of_a_caller(text: str) -> None:
    out = write(Notice(f"{text}\x1b[2J\x07", details=(("agent", f"\x1b[31m{text}\x9b"),)), log_format="pretty")
    assert "\x1b[2J" not in out
    assert "\x07" not in out
    assert "\x9b" not in out


def test_levels_are_of_the_longest_name_that_is_configured() -> None:
    levels = Levels((("engine.sql", "debug"), ("engine", "error"), ("", "critical")))
    assert levels.admits("engine.sql.read", "debug")
    assert levels.admits("engine.http", "error")
    assert not levels.admits("engine.http", "warning")
    assert not levels.admits("other", "error")
    assert not Levels(()).admits("engine.http", "debug")
    assert Levels(()).admits("anything", "info")


def test_a_drivers_message_is_left_out_because_it_quotes_values() -> None:
    try:
        try:
            raise asyncmy.errors.IntegrityError(1062, "Duplicate entry 'CANARY' for key 'x'")
        except asyncmy.errors.IntegrityError as error:
            raise StorageFault("errno 1062") from error
    except StorageFault as error:
        line = json.loads(write(RequestFailed("r1", "/x", error)))
    assert "CANARY" not in json.dumps(line)
    assert "1062" in line["error"]
    assert "test_sinks.py" in line["error"]


def test_logging_and_structlog_loggers_end_in_the_same_lines() -> None:
    route_loggers(Levels(()))
    logging.getLogger("uvicorn.error").warning("started %s", "here")
    logging.getLogger("uvicorn.access").info("GET /secret")
    logging.getLogger("actions.mail").debug("unseen")
    structlog.get_logger("actions.mail").info("sent", recipient="x@example.org")
    try:
        raise LookupError("why")
    except LookupError:
        structlog.get_logger("actions.mail").error("failed", exc_info=sys.exc_info())
    lines = [json.loads(line) for line in write().splitlines()]
    assert [(line["logger"], line["event"]) for line in lines] == [
        ("uvicorn.error", "started here"),
        ("actions.mail", "sent"),
        ("actions.mail", "failed"),
    ]
    assert lines[1]["recipient"] == "x@example.org"
    assert "LookupError: why" in lines[2]["error"]


def test_each_module_has_a_file_that_is_rotated(tmp_path: Path) -> None:
    many = [SlowStatement(f"SELECT {number}", 1.0, 1) for number in range(100)]
    write(SERVED, *many, log_dir=tmp_path, log_file_bytes=2000, log_file_count=2)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["engine.http.log", "engine.sql.log", "engine.sql.log.1", "engine.sql.log.2"]
    for path in tmp_path.iterdir():
        for line in path.read_text().splitlines():
            assert json.loads(line)["logger"] in path.name


def test_a_log_directory_that_cannot_be_made_names_its_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match=r"AETHER_LOG_DIR .*file.logs.*Not a directory"):
        Sinks(make_settings("sqlite:///x.db", log_dir=tmp_path / "file" / "logs"))


def test_what_is_lost_is_counted_and_said() -> None:
    stream = io.StringIO()
    sinks = Sinks(make_settings("sqlite:///x.db", log_format="json", log_requests=False), stream)
    for _ in range(MAX_QUEUED + 7):
        observe(SERVED)
    sinks.flush()
    assert json.loads(stream.getvalue())["number"] == 7
    assert b"aether_observations_dropped_total 7.0" in sinks.metrics.render()


def test_a_stream_that_is_gone_does_not_end_the_thread() -> None:
    stream = io.StringIO()
    sinks = Sinks(make_settings("sqlite:///x.db", log_format="json"), stream)
    stream.close()
    observe(SERVED)
    assert sinks.flush() == 1


def test_the_thread_writes_by_itself_and_stop_writes_the_rest() -> None:
    stream = io.StringIO()
    sinks = Sinks(make_settings("sqlite:///x.db", log_format="json"), stream)
    sinks.start()
    for _ in range(500):
        observe(SERVED)
    sinks.stop()
    assert len(stream.getvalue().splitlines()) == 500


def test_metrics_count_by_route_template() -> None:
    metrics = Metrics()
    metrics.count([SERVED])
    metrics.count([SERVED])
    metrics.count([CacheUnreachable("get", "TimeoutError")])
    text = metrics.render().decode()
    assert 'aether_requests_total{method="GET",route="/v3/crud/{type}/{id}",status="404"} 2.0' in text
    assert 'aether_problems_total{code="not-found"} 2.0' in text
    assert "aether_cache_faults_total 1.0" in text
    assert "aether_request_duration_seconds_bucket" in text


def test_labels_are_bounded_whatever_is_asked() -> None:
    metrics = Metrics()
    for number in range(MAX_ROUTES + 100):
        metrics.count([SERVED._replace(route=f"/{number}")])
        metrics.count([SERVED._replace(method=f"X{number}")])
    text = metrics.render().decode()
    assert text.count("aether_requests_total{") <= 2 * MAX_ROUTES + 4
    assert 'route="other"' in text


def test_workers_tell_the_sum(tmp_path: Path) -> None:
    program = (
        "from engine.io.metrics import Metrics\n"
        "from engine.observe import RequestServed\n"
        "metrics = Metrics()\n"
        "metrics.count([RequestServed(0.0, 'GET', '/x', 200, 0.1, 'r')])\n"
        "print(metrics.render().decode())\n"
    )
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    outs = [
        subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True).stdout
        for _ in range(2)
    ]
    assert b'aether_requests_total{method="GET",route="/x",status="200"} 2.0' in outs[1]


OLD_USE = OldRouteUsed(
    "v2:get", "v2", "GET /v2/crud/journal/{id}", "key-of-somebody-1", "acc", "GET /v3/crud/journal/x?limit=2", 200, "r9"
)


def test_the_use_of_an_old_route_is_a_warning_that_says_who_called_what_and_what_to_call() -> None:
    (line,) = map(json.loads, write(OLD_USE).splitlines())
    assert line.pop("time")
    assert line == {
        "level": "warning",
        "logger": "legacy_shim",
        "event": "!!! DEPRECATED ROUTE ACCESSED GET /v2/crud/journal/{id} by key-of-somebody-1; "
        "call GET /v3/crud/journal/x?limit=2 in its place",
        "request_id": "r9",
        "version": "v2",
        "route": "GET /v2/crud/journal/{id}",
        "caller": "key-of-somebody-1",
        "account": "acc",
        "replacement": "GET /v3/crud/journal/x?limit=2",
        "status": 200,
    }


@given(st.text(max_size=40))
def test_whatever_an_old_call_holds_its_line_is_one_line_of_json(text: str) -> None:
    hostile = f'\n{{"level":"fatal"}}\x1b[2J\u2028{text}'
    out = write(OLD_USE._replace(route=hostile, caller=hostile, call=hostile * 200))
    assert len(out.splitlines()) == 1
    assert not {"Cc", "Cs", "Zl", "Zp"} & {unicodedata.category(letter) for letter in out.rstrip("\n")}
    line = json.loads(out)
    assert line["event"].startswith("!!! DEPRECATED ROUTE ACCESSED ")
    assert line["level"] == "warning"


def test_uses_of_old_routes_are_counted_by_the_route_of_the_table() -> None:
    metrics = Metrics()
    metrics.count([OLD_USE, OLD_USE._replace(route="GET /v2/crud/page/{id}"), OLD_USE._replace(name="v1:list")])
    text = metrics.render().decode()
    assert 'aether_legacy_uses_total{route="v2:get"} 2.0' in text
    assert 'aether_legacy_uses_total{route="v1:list"} 1.0' in text
