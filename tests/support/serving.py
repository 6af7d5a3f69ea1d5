"""The whole application for a test: in this process by ASGI alone, or as a server process over the network.

In process there is no HTTP client in between, so that a test can send what no client would: any bytes as headers or
path, a body in pieces, a body that never ends. What is seeded and who asks is `support/attack.py`'s business.
"""

from __future__ import annotations

import io
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from engine.io.migrate import migrate
from engine.io.sinks import Sinks
from engine.main import Engine, start_engine, target_registry
from engine.settings import Settings, load_settings

ROOT = Path(__file__).parents[2]
SECRET = "a-secret-of-tests-that-is-nowhere-else-0123456789-xyz"
START_TIMEOUT_S = 30
STOP_TIMEOUT_S = 15

HeaderPairs = Sequence[tuple[str | bytes, str | bytes]]


@dataclass(frozen=True)
class Reply:
    """What was answered."""

    method: str
    target: str
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    viewer: str = ""

    @cached_property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def data(self) -> Any:
        """``data`` of the envelope."""
        return self.json["data"]

    @property
    def code(self) -> str:
        """The problem's code."""
        return str(self.json["code"])

    def header(self, name: str) -> str | None:
        """A header's value; None where it is not there."""
        return next((value for key, value in self.headers if key == name.lower()), None)

    def __str__(self) -> str:
        return f"{self.method} {self.target[:200]} -> {self.status} {self.body[:600].decode('utf-8', 'replace')}"


Listener = Callable[[Reply], None]


@dataclass
class Client:
    """Sends requests to an application in this process.

    Attributes:
        name: Of the caller; stands in his replies.
        headers: Sent with every request.
        listener: Told every reply.
    """

    app: Callable[..., Awaitable[None]]
    name: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    listener: Listener = lambda reply: None

    async def send(
        self,
        method: str,
        target: str | bytes,
        body: object = None,
        *,
        raw: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        pairs: HeaderPairs = (),
    ) -> Reply:
        """Send one request.

        Args:
            method: As it goes over the wire.
            target: Path and query; bytes and non-ASCII are sent percent-encoded as they are.
            body: Sent as JSON.
            raw: Sent as it is; an iterable as so many pieces without a length.
            headers: Beside the client's own; a None-like "" removes one.
            pairs: More headers, any bytes, repeated ones too.
        """
        pieces: list[bytes] = []
        sent = {**self.headers, **(headers or {})}
        named = {name.lower() for name in sent}
        if body is not None:
            raw = json.dumps(body).encode()
            if "content-type" not in named:
                sent["Content-Type"] = "application/json"
        if isinstance(raw, bytes):
            pieces = [raw]
            if "content-length" not in named:
                sent["Content-Length"] = str(len(raw))
        source = iter(pieces if raw is None or isinstance(raw, bytes) else raw)
        text = quote(target, safe="%/?&=:+,;@!$'()*~[]|^`{}\"<>\\" if isinstance(target, str) else "%/?&=")
        path, _, query = text.partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(path),
            "raw_path": path.encode("ascii"),
            "query_string": query.encode("ascii"),
            "root_path": "",
            "headers": [
                *((_bytes(name).lower(), _bytes(value)) for name, value in sent.items() if value),
                *((_bytes(name).lower(), _bytes(value)) for name, value in pairs),
            ],
            "client": ("192.0.2.1", 50_000),
            "server": ("testserver", 80),
        }
        started: dict[str, Any] = {}
        received = bytearray()

        async def receive() -> dict[str, Any]:
            piece = next(source, None)
            more = piece is not None and not isinstance(raw, bytes)
            return {"type": "http.request", "body": piece or b"", "more_body": more}

        async def send(message: Mapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                started.update(message)
            elif message["type"] == "http.response.body":
                received.extend(message.get("body", b""))

        await self.app(scope, receive, send)
        shown = tuple((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in started["headers"])
        reply = Reply(method, text, started["status"], shown, bytes(received), self.name)
        self.listener(reply)
        return reply

    async def get(self, target: str | bytes, **more: Any) -> Reply:
        """GET."""
        return await self.send("GET", target, **more)

    async def search(self, type_path: str, body: object, **more: Any) -> Reply:
        """``POST /v3/crud/{type_path}/search``."""
        return await self.send("POST", f"/v3/crud/{type_path}/search", body, **more)

    def with_headers(self, **headers: str) -> Client:
        """The same caller with other headers; underscores stand for hyphens."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return Client(self.app, self.name, {**self.headers, **named}, self.listener)


@dataclass
class Running:
    """An application that runs in this process."""

    settings: Settings
    engine: Engine
    sinks: Sinks
    log: io.StringIO

    def read_log(self) -> list[str]:
        """The lines written since the last time."""
        self.sinks.flush()
        lines = self.log.getvalue().splitlines()
        self.log.seek(0)
        self.log.truncate()
        return lines


def make_settings(url: str, registry: Path, **overrides: object) -> Settings:
    """Settings for a server of a test: nothing from the environment's file."""
    given: dict[str, object] = {
        "jwt_secret": SECRET,
        "log_format": "json",
        "storage_url": f"file:{tempfile.gettempdir()}/aether-test-blobs",
        **overrides,
    }
    return load_settings(env_file=None, database_url=url, registry=registry, **given)


async def prepare(settings: Settings) -> None:
    """Give the database its tables."""
    await migrate(settings.database_url, lambda found: target_registry(settings, found))


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Running]:
    """The application, started and stopped as a server does it; the database must have its tables."""
    log = io.StringIO()
    sinks = Sinks(settings, log)
    engine = await start_engine(settings, sinks)
    try:
        yield Running(settings, engine, sinks, log)
    finally:
        await engine.close()


@dataclass
class ServerProcess:
    """A server in a process of its own."""

    port: int
    process: subprocess.Popen[bytes]
    log_path: Path

    @property
    def base(self) -> str:
        """Its URL."""
        return f"http://127.0.0.1:{self.port}"

    def resident_bytes(self) -> int:
        """Memory of the process and its children."""
        total = 0
        for pid in [self.process.pid, *_children(self.process.pid)]:
            match = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
            total += int(match[1]) * 1024 if match else 0
        return total

    def log_lines(self) -> list[str]:
        """What it has logged so far."""
        return self.log_path.read_text(encoding="utf-8", errors="surrogateescape").split("\n")[:-1]


@contextmanager
def serving(
    settings: Settings, directory: Path, *arguments: str, environment: Mapping[str, str] | None = None
) -> Iterator[ServerProcess]:
    """``aether serve`` on a free port, until the end of the block; the database must have its tables."""
    port = free_port()
    log_path = directory / f"server-{port}.log"
    given = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AETHER_")},
        "AETHER_DATABASE_URL": settings.database_url,
        "AETHER_REGISTRY": str(settings.registry),
        "AETHER_JWT_SECRET": SECRET,
        "AETHER_LOG_FORMAT": "json",
        "AETHER_STORAGE_URL": f"file:{directory / 'blobs'}",
        "AETHER_MODE": settings.mode,
        "AETHER_BODY_TIMEOUT_S": str(settings.body_timeout_s),
        "PYTHONPATH": str(ROOT),
        **(environment or {}),
    }
    command = [sys.executable, "-m", "engine.cli", "serve", "--host", "127.0.0.1", "--port", str(port), *arguments]
    with log_path.open("wb") as log:
        process = subprocess.Popen(command, cwd=directory, env=given, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        _wait_for_port(port, process, log_path)
        yield ServerProcess(port, process, log_path)
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for_port(port: int, process: subprocess.Popen[bytes], log_path: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as probe:
                probe.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                if b" 200 " in probe.recv(64):
                    return
        except OSError:
            # Nothing but the attempt itself tells when a server listens; the pause keeps it from spinning.
            time.sleep(0.05)
    raise RuntimeError(f"The server did not start:\n{log_path.read_text()[-4000:]}")


def _children(pid: int) -> list[int]:
    try:
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [int(child) for child in listed.split()]


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("latin-1", "replace")
