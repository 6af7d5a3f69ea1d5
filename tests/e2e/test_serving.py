"""`aether serve` as a process: flags, one worker and several, and the ways it ends."""

from __future__ import annotations

import json
import re
import signal
import socket
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from engine.settings import Settings
from tests.support.serving import ROOT, make_settings, serving

STOP_S = 15


@pytest.fixture
def settings(sqlite_url: str) -> Settings:
    """The shipped registry on an SQLite database that is not there yet."""
    return make_settings(sqlite_url, ROOT / "resources.yaml")


def read(url: str) -> tuple[int, str, dict[str, str]]:
    """Status, text and headers of a GET."""
    with urllib.request.urlopen(url, timeout=5) as reply:
        return reply.status, reply.read().decode(), {name.lower(): value for name, value in reply.headers.items()}


def post(url: str, body: object, token: str | None = None) -> tuple[int, Any]:
    """Status and JSON of a POST."""
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    request = urllib.request.Request(url, data=json.dumps(body).encode(), headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=5) as reply:
            return reply.status, json.loads(reply.read())
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, json.loads(refused.read())


def test_a_server_stops_gracefully_at_sigterm_with_status_0(settings: Settings, tmp_path: Path) -> None:
    with serving(settings, tmp_path) as server:
        status, text, headers = read(f"{server.base}/health/ready")
        assert (status, json.loads(text)["status"]) == (200, "ok")
        assert "server" not in headers
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(STOP_S) == 0
    events = [json.loads(line)["event"] for line in server.log_lines()]
    assert "The server listens." in events
    assert events[-1] == "The server has stopped."


def test_several_workers_serve_and_count_together(settings: Settings, tmp_path: Path) -> None:
    with serving(settings, tmp_path, "--workers", "2") as server:
        for _ in range(40):
            assert read(f"{server.base}/health/live")[0] == 200
        counted, memories = 0.0, list[str]()
        # The counters are written by a thread of their own, a fifth of a second later.
        deadline = time.monotonic() + STOP_S
        while (counted < 40 or len(memories) < 2) and time.monotonic() < deadline:
            lines = read(f"{server.base}/metrics")[1].splitlines()
            counted = sum(
                float(line.rsplit(" ", 1)[1])
                for line in lines
                if line.startswith("aether_requests_total{") and 'route="/health/live"' in line
            )
            memories = [line for line in lines if line.startswith("process_resident_memory_bytes{")]
        assert counted >= 40
        assert len(memories) == len(set(memories)) == 2
        assert all(float(line.rsplit(" ", 1)[1]) > 10_000_000 for line in memories)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(STOP_S) == 0
    for line in server.log_lines():
        json.loads(line)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_stop_lets_nobody_in_and_finishes_what_runs(settings: Settings, tmp_path: Path, workers: str) -> None:
    with serving(settings, tmp_path, "--workers", workers) as server:
        head = "POST /v3/crud/page/search HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
        with socket.create_connection(("127.0.0.1", server.port), timeout=STOP_S) as running:
            running.sendall(head.encode())
            assert running.recv(64).startswith(b"HTTP/1.1 100 ")
            running.sendall(b"{")
            deadline = time.monotonic() + STOP_S
            server.process.send_signal(signal.SIGTERM)
            while time.monotonic() < deadline:
                try:
                    socket.create_connection(("127.0.0.1", server.port), timeout=1).close()
                except (ConnectionResetError, TimeoutError):
                    continue  # it was in the queue of the socket that is just being closed, or the queue was full
                except ConnectionRefusedError:
                    break
            else:
                pytest.fail("The server that stops goes on letting clients in.")
            running.sendall(b"}")
            assert running.recv(64).startswith(b"HTTP/1.1 200 ")
        assert server.process.wait(STOP_S) == 0


def test_a_second_server_on_the_port_says_so_and_leaves_the_first_alone(settings: Settings, tmp_path: Path) -> None:
    with serving(settings, tmp_path) as server:
        with (
            pytest.raises(RuntimeError, match="cannot be listened on"),
            serving(settings, tmp_path, "--port", str(server.port)),
        ):
            pass
        assert read(f"{server.base}/health/live")[0] == 200


def test_the_demo_needs_no_settings_and_leaves_a_token_that_works(settings: Settings, tmp_path: Path) -> None:
    with serving(settings, tmp_path, "--demo") as server:
        token = (tmp_path / "var" / "demo" / "token").read_text().strip()
        assert (tmp_path / "var" / "demo" / "token").stat().st_mode & 0o077 == 0
        request = urllib.request.Request(
            f"{server.base}/v3/crud/journal_entry/search",
            data=b'{"q": "field", "limit": 2}',
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=5) as reply:
            assert len(json.loads(reply.read())["data"]) == 2
        people = re.findall(r"^  (\S+@\S+)  (\S+)  \((\w+)\)$", "\n".join(server.log_lines()), re.MULTILINE)
        assert [role for _, _, role in people] == ["admin", "viewer"]
        for email, password, role in people:
            login = {"email": email, "password": password}
            status, reply = post(f"{server.base}/v3/action/auth/login", login)
            assert status == 200
            status, _ = post(f"{server.base}/v3/crud/journal/", {"name": "New"}, reply["data"]["access_token"])
            assert status == (201 if role == "admin" else 403)
            stored = b"".join(file.read_bytes() for file in tmp_path.glob("test.sqlite3*"))
            assert email.encode() in stored
            assert password.encode() not in stored
    assert f"curl -s {server.base}/v3/crud/journal_entry/search" in "\n".join(server.log_lines())
