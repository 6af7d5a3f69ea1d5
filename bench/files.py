"""Files: ours beside nginx, and beside `sha256sum` and `cp`, on the same bytes, in turn.

    python -m bench.files [--quick]

It needs the command nginx (Debian: `nginx-light`), which is started with a configuration of its own on a free port,
and 3 GB of disk. Client and connection are the same for both: one plain socket on the loopback.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import jwt

from bench.client import open_client
from bench.load import drive
from bench.servers import JWT_SECRET, LOGS, OURS, ROOT, Running, Server, run_command, run_server

MIB = 1 << 20
BIG_BYTES = 200 * 1000 * 1000
HUGE_BYTES = 2 * 1000 * 1000 * 1000
SMALL_BYTES = 10_000
BUFFER_BYTES = MIB
ROUNDS = 7
SECONDS = 3.0
MOST_TIME_RATIO = 1.5
LEAST_SMALL_RATIO = 0.7
LEAST_UNCHANGED_RATIO = 1.0
MOST_GROWTH_MIB = 32
REGISTRY = ROOT / "resources.yaml"
EVENT = {"name": "E", "code": "e", "starts_on": "2026-01-01T00:00:00Z", "ends_on": "2026-01-02T00:00:00Z"}
NGINX = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{ listen 127.0.0.1:{port}; root {folder}/www; }}
}}
"""


class Site:
    """Our server, with an account, an event and who may do everything there."""

    def __init__(self, server: Running) -> None:
        self.server = server
        self._headers = {"Authorization": f"Bearer {_token(['*'], is_operator=True)}"}
        account = self.ask("POST", "/v3/crud/account/", {"name": "A", "code": "a"})["id"]
        self._headers = {"Authorization": f"Bearer {_token([account])}"}
        self.event = self.ask("POST", "/v3/crud/event/", EVENT)["id"]

    def ask(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """`data` of a JSON reply."""
        connection = HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        raw = None if body is None else json.dumps(body)
        connection.request(method, path, raw, {**self._headers, "Content-Type": "application/json"})
        reply = connection.getresponse()
        content = reply.read()
        connection.close()
        if reply.status >= 300:
            raise RuntimeError(f"{method} {path}: {reply.status} {content[:500]!r}")
        found: dict[str, Any] = json.loads(content)["data"]
        return found

    def head(self, method: str, path: str, **headers: str) -> bytes:
        """The head of a request."""
        lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: {self._headers['Authorization']}"]
        lines.extend(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    def upload_head(self, name: str, size_bytes: int) -> bytes:
        """The head of an upload that is the body itself."""
        path = f"/v3/action/event/{self.event}/file?file_name={name}"
        return self.head("POST", path, Content_Type="application/octet-stream", Content_Length=str(size_bytes))


def main() -> int:
    """Measure, print ratios; 1 where one is missed."""
    rounds, seconds = (2, 1.0) if "--quick" in sys.argv else (ROUNDS, SECONDS)
    LOGS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=LOGS) as folder_name:
        folder = Path(folder_name)
        url = f"sqlite:///{folder / 'files.db'}"
        given = {
            "AETHER_REGISTRY": str(REGISTRY),
            "AETHER_STORAGE_URL": f"file:{folder / 'blobs'}",
            "AETHER_LOG_FORMAT": "json",
        }
        run_command("migrate", "--yes", settings={"AETHER_DATABASE_URL": url, **given})
        (folder / "www").mkdir()
        ours = Server("files", OURS.command, given, OURS.probe)
        with run_server(ours, url) as server, run_nginx(folder) as nginx_port:
            site = Site(server)
            missed = [
                *compare_uploads(site, folder, rounds),
                *compare_downloads(site, folder, nginx_port, rounds),
                *compare_small(site, rounds, seconds),
                *measure_memory(site, HUGE_BYTES if rounds == ROUNDS else HUGE_BYTES // 10),
            ]
    for line in missed:
        print(f"MISSED: {line}")
    return 1 if missed else 0


def compare_uploads(site: Site, folder: Path, rounds: int) -> Iterator[str]:
    """An upload of new bytes, and what the shell takes to hash and copy the same."""
    ours: list[float] = []
    shell: list[float] = []
    lasting: list[float] = []
    path = folder / "big"
    for number in range(rounds):
        path.write_bytes(os.urandom(BIG_BYTES))
        os.sync()
        turns: list[tuple[list[float], Callable[[], object]]] = [
            (ours, lambda: upload_file(site, path)),
            (shell, lambda: _shell(f"sha256sum {path} && cp {path} {folder}/copy", folder)),
            (lasting, lambda: _shell(f"sha256sum {path} && cp {path} {folder}/copy && sync {folder}/copy", folder)),
        ]
        for taken, work in turns[number % 3 :] + turns[: number % 3]:
            (folder / "copy").unlink(missing_ok=True)
            os.sync()
            started = time.perf_counter()
            work()
            taken.append(time.perf_counter() - started)
    ratio = _show("upload of 200 MB", ours, "sha256sum + cp", shell)
    _show("upload of 200 MB", ours, "sha256sum + cp + sync", lasting)
    if ratio > MOST_TIME_RATIO:
        yield f"an upload takes {ratio:.2f} × sha256sum + cp, at most {MOST_TIME_RATIO} wanted"


def compare_downloads(site: Site, folder: Path, nginx_port: int, rounds: int) -> Iterator[str]:
    """A download by hash, and nginx with sendfile, of the same bytes."""
    digest = hashlib.sha256((folder / "big").read_bytes()).hexdigest()
    shutil.copyfile(folder / "big", folder / "www" / "big")
    request = site.head("GET", f"/v3/action/hosted_file/sha256/{digest}")
    plain = b"GET /big HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    ours: list[float] = []
    nginx: list[float] = []
    for port, asked in ((site.server.port, request), (nginx_port, plain)):
        _download(port, asked)
    for _ in range(rounds):
        ours.append(_download(site.server.port, request))
        nginx.append(_download(nginx_port, plain))
    ratio = _show("download of 200 MB", ours, "nginx", nginx)
    if ratio > MOST_TIME_RATIO:
        yield f"a download takes {ratio:.2f} × nginx, at most {MOST_TIME_RATIO} wanted"


def compare_small(site: Site, rounds: int, seconds: float) -> Iterator[str]:
    """Downloads of 10 kB by hash, the same unchanged, and gets by id: requests per second."""
    content = os.urandom(SMALL_BYTES)
    with open_client(site.server.port) as client:
        status, body = client.ask(site.upload_head("small", SMALL_BYTES) + content)
    if status != 201:
        raise RuntimeError(f"upload: {status} {body[:500]!r}")
    made = json.loads(body)["data"]
    digest = hashlib.sha256(content).hexdigest()
    path = f"/v3/action/hosted_file/sha256/{digest}"
    requests = {
        "get": site.head("GET", f"/v3/crud/event_file/{made['id']}"),
        "download": site.head("GET", path),
        "unchanged": site.head("GET", path, If_None_Match=f'"{digest}"'),
    }
    for connections in (1, 32):
        rates: dict[str, list[float]] = {name: [] for name in requests}
        for _ in range(max(2, rounds // 2)):
            for name, request in requests.items():
                outcome = drive(site.server.port, [request], connections=connections, seconds=seconds, warm_up=0.3)
                rates[name].append(outcome.per_second)
        middle = {name: statistics.median(found) for name, found in rates.items()}
        for name, least in (("download", LEAST_SMALL_RATIO), ("unchanged", LEAST_UNCHANGED_RATIO)):
            ratio = middle[name] / middle["get"]
            print(
                f"{name + ' of 10 kB by hash':<30}{connections:>4} connections {middle[name]:>8,.0f} /s"
                f"   get by id {middle['get']:>8,.0f} /s   {ratio:.2f} ×"
            )
            if ratio < least and connections > 1:
                yield f"{name} of 10 kB: {ratio:.2f} × a get, at least {least} wanted"


def measure_memory(site: Site, size_bytes: int) -> Iterator[str]:
    """How far resident memory grows while a huge file is uploaded."""
    block = os.urandom(MIB)
    idle = site.server.resident_mib
    seen = [idle]
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(0.05):
            seen.append(site.server.resident_mib)

    watcher = threading.Thread(target=watch)
    watcher.start()
    started = time.perf_counter()
    try:
        with socket.create_connection(("127.0.0.1", site.server.port), timeout=120) as connection:
            connection.sendall(site.upload_head("huge", size_bytes))
            for at in range(0, size_bytes, MIB):
                connection.sendall(block[: min(MIB, size_bytes - at)])
            _expect(connection, b"201")
    finally:
        is_over.set()
        watcher.join()
    growth = max(seen) - idle
    print(
        f"upload of {size_bytes / 1e9:.1f} GB: {time.perf_counter() - started:.1f} s, "
        f"resident memory {idle:.1f} MiB idle, at most {growth:.1f} MiB more"
    )
    if growth > MOST_GROWTH_MIB:
        yield f"an upload grows the server by {growth:.1f} MiB, at most {MOST_GROWTH_MIB} wanted"


def upload_file(site: Site, path: Path) -> None:
    """Send a file as a client of little cost would: by sendfile."""
    with path.open("rb") as file, socket.create_connection(("127.0.0.1", site.server.port), timeout=60) as connection:
        connection.sendall(site.upload_head("big", path.stat().st_size))
        connection.sendfile(file)
        _expect(connection, b"201")


@contextmanager
def run_nginx(folder: Path) -> Iterator[int]:
    """Run nginx on a free port, serving `www` of a folder.

    Raises:
        RuntimeError: It is not installed, or does not start.
    """
    command = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if command is None:
        raise RuntimeError("nginx is not installed (Debian: apt-get install nginx-light)")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    config = folder / "nginx.conf"
    text = NGINX.format(folder=folder, port=port)
    # As root its workers would be another user, whom a temporary folder does not let in.
    config.write_text(("user root;\n" if os.geteuid() == 0 else "") + text)
    process = subprocess.Popen([command, "-p", str(folder), "-c", str(config)], stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.05)
        else:
            raise RuntimeError("nginx does not start")
        yield port
    finally:
        process.terminate()
        process.wait()


def _download(port: int, request: bytes) -> float:
    """Seconds until all bytes of a reply are here."""
    buffer = bytearray(BUFFER_BYTES)
    started = time.perf_counter()
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(request)
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(4096)
        head, _, rest = head.partition(b"\r\n\r\n")
        if head.split(b" ", 2)[1] != b"200":
            raise RuntimeError(f"{head!r} {rest[:500]!r}")
        left = BIG_BYTES - len(rest)
        while left:
            count = connection.recv_into(buffer, min(left, BUFFER_BYTES))
            if not count:
                raise RuntimeError("the reply ended early")
            left -= count
    return time.perf_counter() - started


def _expect(connection: socket.socket, status: bytes) -> None:
    reply = connection.recv(65_536)
    if reply.split(b" ", 2)[1] != status:
        raise RuntimeError(repr(reply[:1000]))


def _shell(command: str, folder: Path) -> None:
    subprocess.run(["sh", "-c", command], cwd=folder, check=True, stdout=subprocess.DEVNULL)


def _show(what: str, ours: list[float], other: str, theirs: list[float]) -> float:
    """Print two times and their ratio: the median of the rounds' own ratios."""
    ratio = statistics.median(mine / his for mine, his in zip(ours, theirs, strict=True))
    print(
        f"{what:<22}{statistics.median(ours) * 1000:>8.0f} ms   {other:<22}{statistics.median(theirs) * 1000:>8.0f} ms"
        f"   {ratio:.2f} ×"
    )
    return ratio


def _token(accounts: list[str], *, is_operator: bool = False) -> str:
    claims: dict[str, object] = {
        "sub": "bench-public-id-00001",
        "accounts": accounts,
        "scopes": ["*:*", "action:*"],
        "exp": int(time.time()) + 3600,
    }
    if is_operator:
        claims["accounts"] = ["*"]
    return jwt.encode(claims, JWT_SECRET, algorithm="HS256")


if __name__ == "__main__":
    sys.exit(main())
