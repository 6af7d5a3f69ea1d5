"""What idle live connections cost: memory of each, and requests per second of a get beside them.

    python -m bench.live                 # 2,000 websockets, each with a token of its own and a subscription
    python -m bench.live --sockets 500 --rounds 3 --same-token

Two servers stand side by side on the same data, one with the connections and one without; they are asked in turn.
Every connection answers pings, as a browser does, and is told nothing: nobody writes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import statistics
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import jwt

from bench.data import DATABASE_URL, FULL, public_id, seed
from bench.load import drive
from bench.servers import JWT_SECRET, OURS, Running, Server, run_server
from bench.workloads import WORKLOADS, make_requests

SOCKETS = 2_000
ROUNDS = 5
SECONDS = 3.0
CONNECTIONS = 32
MOST_COST = 0.05
MOST_KIB = 64.0
AT_ONCE = 50
FILES = 3 * SOCKETS
PATIENCE_S = 60.0

_PING, _PONG = 0x89, b"\x8a\x84\x00\x00\x00\x00"


class Idle(asyncio.Protocol):
    """A websocket client that subscribes, answers pings, and does nothing else."""

    def __init__(self, token: str, subscribed: asyncio.Future[None]) -> None:
        self.token = token
        self.subscribed = subscribed
        self.has_head = False
        self.read = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Shake hands."""
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.transport.write(
            b"GET /v3/live HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            + f"Authorization: Bearer {self.token}\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        """Frames; those of this benchmark come whole."""
        self.read += data
        if not self.has_head:
            head, found, self.read = self.read.partition(b"\r\n\r\n")
            if not found:
                self.read = head
                return
            if b" 101 " not in head:
                self.subscribed.set_exception(RuntimeError(head.decode()))
                return
            self.has_head = True
            search = {"filter": {"priority": 99}}
            self._say({"type": "subscribe", "uid": "1", "obj_type": "journal_entry", "search": search})
        while len(self.read) >= 2:
            length, start = self.read[1], 2
            if length == 126:
                length, start = int.from_bytes(self.read[2:4]), 4
            if len(self.read) < start + length:
                return
            opcode, payload, self.read = self.read[0], self.read[start : start + length], self.read[start + length :]
            if opcode == _PING:
                self.transport.write(_PONG + payload)
            elif b'"subscribed"' in payload and not self.subscribed.done():
                self.subscribed.set_result(None)
            elif not self.subscribed.done():
                self.subscribed.set_exception(RuntimeError(payload.decode("utf-8", "replace")))

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody may be lost."""
        if not self.subscribed.done():
            self.subscribed.set_exception(RuntimeError("hung up on"))

    def _say(self, frame: object) -> None:
        text = json.dumps(frame).encode()
        head = bytes((0x81, 0x80 | 126)) + len(text).to_bytes(2) if len(text) > 125 else bytes((0x81, 0x80 | len(text)))
        self.transport.write(head + bytes(4) + text)


@contextmanager
def connected(port: int, tokens: Sequence[str]) -> Iterator[None]:
    """Idle connections in a thread of their own, until the end of the block."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(_connect_all(port, tokens), loop).result(PATIENCE_S)
    try:
        yield
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


async def _connect_all(port: int, tokens: Sequence[str]) -> None:
    loop = asyncio.get_running_loop()
    for start in range(0, len(tokens), AT_ONCE):
        waiting = []
        for token in tokens[start : start + AT_ONCE]:
            subscribed: asyncio.Future[None] = loop.create_future()
            await loop.create_connection(partial(Idle, token, subscribed), "127.0.0.1", port)
            waiting.append(subscribed)
        await asyncio.gather(*waiting)


def make_tokens(count: int, *, is_same: bool) -> list[str]:
    """A token for each connection, of all accounts in turn."""
    now = int(time.time())
    made = []
    for number in range(count):
        claims = {
            "sub": public_id("listener", 0 if is_same else number + 1),
            "accounts": [public_id("account", number % FULL.accounts + 1)],
            "scopes": ["*:read"],
            "exp": now + 3_600,
        }
        made.append(jwt.encode(claims, JWT_SECRET, algorithm="HS256"))
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sockets", type=int, default=SOCKETS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--same-token", action="store_true", help="one token for each account")
    asked = parser.parse_args(arguments)
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, max(FILES, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
    seed(DATABASE_URL, FULL)
    settings = {**OURS.settings, "AETHER_LIVE_SOCKETS_PER_ACCOUNT": str(asked.sockets)}
    servers = [Server(name, OURS.command, settings, OURS.probe) for name in ("with", "without")]
    requests = make_requests(WORKLOADS["get one"], FULL, count=5_000, seed=1)
    with run_server(servers[0], DATABASE_URL) as busy, run_server(servers[1], DATABASE_URL) as quiet:
        for server in (busy, quiet):
            _ask(server, requests, 1.0)
        before = busy.resident_mib
        tokens = make_tokens(asked.sockets, is_same=asked.same_token)
        with connected(busy.port, tokens):
            each_kib = (busy.resident_mib - before) * 1024 / asked.sockets
            ratios = []
            for number in range(asked.rounds):
                pair = (busy, quiet) if number % 2 else (quiet, busy)
                rates = {server.name: _ask(server, requests, asked.seconds) for server in pair}
                ratios.append(rates["with"] / rates["without"])
                print(f"round {number + 1}: {rates['with']:7.0f} with   {rates['without']:7.0f} without", flush=True)
            started, used = time.perf_counter(), busy.cpu_s
            time.sleep(asked.seconds)
            idle = (busy.cpu_s - used) / (time.perf_counter() - started)
    cost = 1 - statistics.median(ratios)
    print(f"{asked.sockets} idle connections: {each_kib:.1f} KiB each, {idle:.1%} of a core, a get costs {cost:+.1%}")
    return int(cost > MOST_COST or each_kib > MOST_KIB)


def _ask(server: Running, requests: Sequence[bytes], seconds: float) -> float:
    return drive(server.port, requests, connections=CONNECTIONS, seconds=seconds, warm_up=0.5).per_second


if __name__ == "__main__":
    sys.exit(main())
