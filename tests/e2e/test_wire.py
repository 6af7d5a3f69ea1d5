"""What comes over a socket before it is a request: garbage, endless heads, silence; over the network, byte by byte."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.serving import ROOT, ServerProcess, make_settings, serving

LIVE = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
TIMEOUT_S = 1.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that waits a second for a head."""
    folder: Path = tmp_path_factory.mktemp("wire")
    settings = make_settings(f"sqlite:///{folder / 'wire.db'}", ROOT / "resources.yaml", body_timeout_s=TIMEOUT_S)
    with serving(settings, folder) as running:
        yield running


def talk(server: ServerProcess, *pieces: bytes) -> bytes:
    """Send some bytes and read until the server hangs up (or is silent for five seconds)."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as peer:
        received = bytearray()
        try:
            for piece in pieces:
                peer.sendall(piece)
            while chunk := peer.recv(65_536):
                received += chunk
        except (ConnectionResetError, BrokenPipeError):
            # The server hangs up on what it has refused, whatever is still under way.
            pass
    return bytes(received)


def problem_of(answer: bytes, status: int) -> dict[str, object]:
    """The one problem that an answer is."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status), answer[:300]
    assert b"content-type: application/problem+json" in head
    assert b"x-request-id: " in head
    problem: dict[str, object] = json.loads(body)
    assert problem["status"] == status
    return problem


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"G\x00T / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nna me: x\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
def test_what_is_no_request_is_a_problem_like_all_others(server: ServerProcess, garbage: bytes) -> None:
    problem_of(talk(server, garbage), 400)


def test_a_head_that_never_ends_is_refused_while_it_is_small(server: ServerProcess) -> None:
    before = server.resident_bytes()
    answer = talk(server, b"GET / HTTP/1.1\r\nHost: x\r\n", *(b"X-Pad: %b\r\n" % (b"x" * 8_000) for _ in range(2_000)))
    if answer:  # else the reset came first
        assert "larger than" in str(problem_of(answer, 400)["detail"])
    answer = talk(server, b"GET /", *(b"x" * 8_000 for _ in range(2_000)))
    if answer:
        problem_of(answer, 400)
    assert server.resident_bytes() - before < 16 * 1024 * 1024


def test_a_head_that_does_not_arrive_is_given_up(server: ServerProcess) -> None:
    started = time.monotonic()
    problem_of(talk(server, b"GET / HTTP/1.1\r\nHos"), 408)
    assert talk(server) == b""
    assert time.monotonic() - started < 4 * TIMEOUT_S


def test_a_second_head_that_does_not_arrive_is_given_up_after_the_first_reply(server: ServerProcess) -> None:
    answer = talk(server, LIVE + b"GET / HT")
    first, _, rest = answer.partition(b'{"status":"ok"}')
    assert first.startswith(b"HTTP/1.1 200")
    problem_of(rest, 408)


def test_requests_in_pieces_and_in_one_piece_are_served(server: ServerProcess) -> None:
    closing = LIVE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    assert talk(server, *(bytes([byte]) for byte in closing)).startswith(b"HTTP/1.1 200")
    assert talk(server, LIVE + LIVE + closing).count(b"HTTP/1.1 200") == 3


def test_a_broken_chunk_is_its_own_requests_fault(server: ServerProcess) -> None:
    head = b"POST /v3/crud/journal/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = talk(server, head, b"zz\r\n")
    assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 401"))
