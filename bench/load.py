"""The load driver: a process of its own that asks as fast as it is answered.

Reads a job as JSON on stdin (port, connections, seconds, warm-up, requests),
prints the outcome as JSON. It parses as little of a reply as it can: the status
and the length. Every status but 2xx and 304 (of which nobody is told who has not
asked for it) is an error, and errors are fatal to the run, not averaged away.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import cycle
from pathlib import Path

import uvloop

GRACE_S = 30


@dataclass(frozen=True, slots=True)
class Job:
    """What the driver is to do; `drive` tells what the parts mean."""

    port: int
    connections: int
    seconds: float
    warm_up: float
    most: int | None
    requests: list[str]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a load came to.

    Attributes:
        count: Replies within the measured time.
        per_second: Replies per second.
        p50_ms, p99_ms, max_ms: Latency of those replies.
        driver_cpu: Share of one core that the driver itself used.
    """

    count: int
    per_second: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    driver_cpu: float


def drive(
    port: int, requests: Sequence[bytes], *, connections: int, seconds: float, warm_up: float, most: int | None = None
) -> Outcome:
    """Run the driver as a process of its own.

    Args:
        port: Of the server, on the loopback.
        requests: Whole requests; they are asked in turn, over and over.
        connections: How many are kept busy at once.
        seconds: How long is measured.
        warm_up: How many seconds are not measured before.
        most: Stop after that many measured replies.

    Raises:
        RuntimeError: A reply was no 2xx or could not be read.
    """
    texts = [request.decode("latin-1") for request in requests]
    job = Job(port, connections, seconds, warm_up, most, texts)
    run = subprocess.run(
        [sys.executable, "-m", "bench.load"],
        input=json.dumps(asdict(job)),
        capture_output=True,
        text=True,
        timeout=seconds + warm_up + GRACE_S,
        cwd=Path(__file__).parents[1],
        check=False,
    )
    if run.returncode:
        raise RuntimeError(run.stderr.strip()[-2000:])
    return Outcome(**json.loads(run.stdout))


class _Load:
    """What the connections of one load share."""

    def __init__(self, job: Job) -> None:
        self.requests: Iterator[bytes] = cycle([request.encode("latin-1") for request in job.requests])
        self.latencies = array("d")
        self.first = time.perf_counter() + job.warm_up
        self.last = self.first + job.seconds
        self.most = job.most or sys.maxsize
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def fail(self, reason: str) -> None:
        if not self.done.done():
            self.done.set_exception(RuntimeError(reason))

    def finish(self) -> None:
        if not self.done.done():
            self.done.set_result(None)


class _Connection(asyncio.Protocol):
    """One keep-alive connection: asks, waits for the whole reply, asks again."""

    def __init__(self, load: _Load) -> None:
        self.load = load
        self.head = b""
        self.missing = 0
        self.asked = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.WriteTransport = transport  # type: ignore[assignment]
        self.ask()

    def ask(self) -> None:
        self.asked = time.perf_counter()
        self.transport.write(next(self.load.requests))

    def data_received(self, data: bytes) -> None:
        if self.missing:
            self.missing -= len(data)
        else:
            data = self.head + data
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self.head = data
                return
            self.head = b""
            if data[9:12] == b"304":
                self.missing = end + 4 - len(data)
                self.answered()
                return
            if data[9:10] != b"2":
                self.load.fail(f"not a 2xx: {data[:600]!r}")
                return
            at = data.find(b"content-length: ", 0, end)
            if at < 0:
                self.load.fail(f"no content-length: {data[:600]!r}")
                return
            self.missing = int(data[at + 16 : data.find(b"\r", at)]) + end + 4 - len(data)
        if self.missing == 0:
            self.answered()

    def answered(self) -> None:
        load, now = self.load, time.perf_counter()
        if load.first <= self.asked and now <= load.last:
            load.latencies.append(now - self.asked)
        if now < load.last and len(load.latencies) < load.most:
            self.ask()
        else:
            load.finish()

    def connection_lost(self, exc: Exception | None) -> None:
        self.load.fail(f"the server closed a connection: {exc}")


async def _run(job: Job) -> Outcome:
    load = _Load(job)
    loop = asyncio.get_running_loop()
    cpu = time.process_time()
    for _ in range(job.connections):
        await loop.create_connection(lambda: _Connection(load), "127.0.0.1", job.port)
    await load.done
    seconds = min(time.perf_counter(), load.last) - load.first
    cpu_s = time.process_time() - cpu
    times = sorted(load.latencies)
    if not times:
        raise RuntimeError("no reply within the measured time")
    return Outcome(
        count=len(times),
        per_second=len(times) / seconds,
        p50_ms=1e3 * times[len(times) // 2],
        p99_ms=1e3 * times[min(len(times) - 1, len(times) * 99 // 100)],
        max_ms=1e3 * times[-1],
        driver_cpu=cpu_s / (seconds + job.warm_up),
    )


def main() -> None:
    """Read the job, drive, print the outcome."""
    job = Job(**json.load(sys.stdin))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(asdict(runner.run(_run(job)))))


if __name__ == "__main__":
    main()
