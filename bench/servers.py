"""The servers that a benchmark compares: how each is started, when it is ready, what memory it holds.

What they are asked is `workloads.py`'s business.
"""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path

ROOT = Path(__file__).parents[1]
REGISTRY = ROOT / "bench" / "resources.yaml"
LOGS = ROOT / "var" / "bench"
JWT_SECRET = os.environ.get("BENCH_JWT_SECRET") or secrets.token_hex(32)
START_TIMEOUT_S = 30
STOP_TIMEOUT_S = 10


@dataclass(frozen=True, slots=True)
class Server:
    """One way to serve the data.

    Attributes:
        name: How the tables call it.
        command: Arguments of the Python interpreter.
        settings: Environment beside the shared one (database, secret, port).
        probe: A path that answers anything at all once the server is up.
    """

    name: str
    command: Sequence[str]
    settings: Mapping[str, str] = field(default_factory=dict)
    probe: str = "/"


@dataclass(frozen=True, slots=True)
class Running:
    """A started server."""

    name: str
    port: int
    process: subprocess.Popen[bytes]
    start_s: float

    @property
    def resident_mib(self) -> float:
        """Resident memory of the process and its children, in MiB."""
        return sum(_resident_kib(pid) for pid in _tree(self.process.pid)) / 1024

    @property
    def log_tail(self) -> str:
        """The end of what it has logged."""
        return _tail(self.name)

    @property
    def cpu_s(self) -> float:
        """Processor time that the process and its children have used, in seconds."""
        return sum(_cpu_ticks(pid) for pid in _tree(self.process.pid)) / os.sysconf("SC_CLK_TCK")


OURS = Server(
    "ours",
    ("-m", "engine.cli", "serve"),
    {"AETHER_REGISTRY": str(REGISTRY), "AETHER_WORKERS": "1", "AETHER_LOG_FORMAT": "json"},
    probe="/health/live",
)
HAND = Server("hand", ("-m", "bench.hand.app"))
FLOOR = Server("floor", ("-m", "bench.floor.app"))
SERVERS = {server.name: server for server in (OURS, HAND, FLOOR)}


@contextmanager
def run_servers(servers: Sequence[Server], database_url: str) -> Iterator[list[Running]]:
    """Start servers side by side, all idle but the one that is asked; stop them at the end."""
    with ExitStack() as stack:
        yield [stack.enter_context(run_server(server, database_url)) for server in servers]


def run_command(*arguments: str, settings: Mapping[str, str], timeout_s: float = 600) -> str:
    """Run a command of ours to its end, under the benchmark's secret; answer what it printed.

    Raises:
        RuntimeError: It failed.
    """
    run = subprocess.run(
        [sys.executable, "-m", "engine.cli", *arguments],
        cwd=ROOT,
        env={**_plain_environment(), "AETHER_JWT_SECRET": JWT_SECRET, **settings},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    if run.returncode:
        raise RuntimeError(f"aether {' '.join(arguments)}: {run.stdout[-2000:]}{run.stderr[-2000:]}")
    return run.stdout


@contextmanager
def run_server(server: Server, database_url: str) -> Iterator[Running]:
    """Start one server, wait until it answers, stop it at the end.

    Raises:
        RuntimeError: It ended or did not answer in time; the end of its log is in the message.
    """
    LOGS.mkdir(parents=True, exist_ok=True)
    port = _free_port()
    shared = {"AETHER_DATABASE_URL": database_url, "AETHER_JWT_SECRET": JWT_SECRET, "AETHER_PORT": str(port)}
    started = time.perf_counter()
    with _log_of(server.name).open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, *server.command],
            cwd=ROOT,
            env={**_plain_environment(), **shared, "AETHER_HOST": "127.0.0.1", **server.settings},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_until_ready(process, port, server.probe, server.name)
        yield Running(server.name, port, process, time.perf_counter() - started)
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, probe: str, name: str) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            connection = HTTPConnection("127.0.0.1", port, timeout=2)
            connection.request("GET", probe)
            connection.getresponse().read()
            connection.close()
            return
        except (OSError, HTTPException):
            time.sleep(0.01)
    raise RuntimeError(f"{name} does not answer. {_tail(name)}")


def _log_of(name: str) -> Path:
    return LOGS / f"{name}.log"


def _tail(name: str) -> str:
    return f"{_log_of(name)} ends:\n{_log_of(name).read_text(errors='replace')[-2000:]}"


def _plain_environment() -> dict[str, str]:
    """The environment without settings of ours that happen to stand in it."""
    return {name: value for name, value in os.environ.items() if not name.startswith("AETHER_")}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _tree(root: int) -> list[int]:
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except OSError:  # it ended meanwhile
                continue
    found = [root]
    for pid in found:
        found.extend(child for child, parent in parents.items() if parent == pid)
    return found


def _cpu_ticks(pid: int) -> int:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0
    return int(fields[11]) + int(fields[12])


def _resident_kib(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmRSS")), 0)
