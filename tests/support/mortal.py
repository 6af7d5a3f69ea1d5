"""Servers that die: each in a process of its own that is forked from one which has read everything already.

    python -m tests.support.mortal

takes settings from the environment as `aether serve` does. Each line of standard input is what ``AETHER_TEST_FAULT``
would say (it may be empty) and begins a server; ``stop`` ends it with SIGTERM, ``wait`` waits until it ends by itself.
Each is answered with a line of JSON. A start by fork takes a tenth of a start from nothing, so that there can be many.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from engine import faultpoints
from engine.http.wire import WireConfig
from engine.main import look_ahead
from engine.settings import load_settings


@dataclass
class Mortals:
    """The process that servers are forked from."""

    process: subprocess.Popen[bytes]
    port: int = 0

    def start(self, fault: str = "") -> int:
        """Begin a server; it listens from now on. Its port."""
        self.port = int(self._ask(fault or " ")["port"])
        return self.port

    def wait(self) -> int:
        """Wait until the server has ended by itself; its status, negative for a signal."""
        return int(self._ask("wait")["status"])

    def stop(self) -> int:
        """End the server; its status."""
        return int(self._ask("stop")["status"])

    def _ask(self, line: str) -> Mapping[str, int]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()
        answer: Mapping[str, int] = json.loads(self.process.stdout.readline())
        return answer


@contextmanager
def mortals(environment: Mapping[str, str], log: Path) -> Iterator[Mortals]:
    """The process, until the end of the block.

    Args:
        environment: ``AETHER_…`` and what else the servers need; the database must have its tables.
        log: Where the servers' lines go.
    """
    given = {name: value for name, value in os.environ.items() if not name.startswith("AETHER_")}
    with log.open("wb") as lines:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.mortal"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=lines,
            env={**given, **environment},
        )
    with process:
        try:
            yield Mortals(process)
        finally:
            if process.stdin is not None:
                process.stdin.close()
            process.terminate()


def main() -> None:
    """Fork servers as standard input says."""
    settings = load_settings()
    asyncio.run(look_ahead(settings))
    child = 0
    for line in sys.stdin:
        word = line.strip()
        if word in ("wait", "stop"):
            if word == "stop":
                os.kill(child, signal.SIGTERM)
            _, status = os.waitpid(child, 0)
            child = 0
            _say(status=os.waitstatus_to_exitcode(status))
            continue
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen(100)
        child = os.fork()
        if not child:
            os.environ[faultpoints.VARIABLE] = word
            _serve(listener)
            os._exit(0)
        _say(port=listener.getsockname()[1])
        listener.close()
    if child:
        os.kill(child, signal.SIGKILL)


def _say(**answer: int) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def _serve(listener: socket.socket) -> None:
    devnull = os.open(os.devnull, os.O_RDWR)
    os.dup2(devnull, 0)
    os.dup2(devnull, 1)
    config = WireConfig(
        "engine.main:create_app",
        factory=True,
        lifespan="on",
        log_config=None,
        access_log=False,
        loop="uvloop",
        head_timeout_s=15,
    )
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
