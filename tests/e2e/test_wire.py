"""What comes over a socket before it is a request: garbage, endless heads, silence; over the network, byte by byte.

And what comes after it: clients who take their time with a reply, or take nothing of it.
"""

from __future__ import annotations

import json
import os
import socket
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPResponse
from pathlib import Path
from random import Random

import pytest

from engine.auth.mint import mint_token
from engine.language.ids import new_public_id
from tests.support.serving import ROOT, ServerProcess, make_settings, serving

LIVE = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
TIMEOUT_S = 1.0
LARGE_BYTES = 12 * 1024 * 1024
LARGE = Random(1).randbytes(LARGE_BYTES)


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


def hear_reply(peer: socket.socket) -> int:
    """Read one whole reply; its status."""
    reply = HTTPResponse(peer)
    reply.begin()
    reply.read()
    return reply.status


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


@pytest.mark.parametrize("is_dripping", [False, True], ids=["silence", "a drip"])
@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (b"GET /health/live HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n", b"x"),
        (b"POST /v3/crud/journal/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n", b"x"),
        (b"POST /v3/action/hosted_file HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    ],
)
def test_the_rest_of_a_body_whose_reply_is_written_is_not_waited_for(
    server: ServerProcess, head: bytes, piece: bytes, is_dripping: bool
) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=5 * TIMEOUT_S) as peer:
        peer.sendall(head)
        assert hear_reply(peer) in (200, 401)
        peer.sendall(piece)
        if not is_dripping:
            assert peer.recv(65_536) == b""
            return
        peer.settimeout(TIMEOUT_S / 5)
        for _ in range(50):
            try:
                assert peer.recv(65_536) == b""
                return
            except TimeoutError:
                peer.sendall(piece)
            except ConnectionResetError:
                return
        raise AssertionError("Whoever sends on and on is listened to.")


def test_a_connection_stays_open_where_the_rest_of_a_body_comes_late(server: ServerProcess) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=2 * TIMEOUT_S) as peer:
        peer.sendall(LIVE.replace(b"\r\n\r\n", b"\r\nContent-Length: 2\r\n\r\n"))
        assert hear_reply(peer) == 200
        peer.sendall(b"{}")
        with pytest.raises(TimeoutError):
            peer.recv(1)
        peer.sendall(LIVE)
        assert hear_reply(peer) == 200


def test_requests_in_pieces_and_in_one_piece_are_served(server: ServerProcess) -> None:
    closing = LIVE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    assert talk(server, *(bytes([byte]) for byte in closing)).startswith(b"HTTP/1.1 200")
    assert talk(server, LIVE + LIVE + closing).count(b"HTTP/1.1 200") == 3


def test_a_broken_chunk_is_its_own_requests_fault(server: ServerProcess) -> None:
    head = b"POST /v3/crud/journal/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = talk(server, head, b"zz\r\n")
    assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 401"))


@pytest.fixture(scope="module")
def download(server: ServerProcess) -> bytes:
    """A request for a file that fits into no buffer on the way."""
    settings = make_settings("sqlite:///unused.db", ROOT / "resources.yaml")

    def post(path: str, token: str, content_type: str, body: bytes) -> str:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": content_type}
        request = urllib.request.Request(f"{server.base}{path}", body, headers)
        with urllib.request.urlopen(request, timeout=30) as reply:
            return str(json.load(reply)["data"]["id"])

    account = post(
        "/v3/crud/account/", mint_token(settings, is_operator=True), "application/json", b'{"name": "Downloads"}'
    )
    token = mint_token(settings, user=new_public_id(), accounts=[account], roles=["admin"])
    file = post("/v3/action/hosted_file?file_name=large.bin", token, "application/octet-stream", LARGE)
    target = f"/v3/action/hosted_file/{file}/download"
    return f"GET {target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n".encode()


def open_blobs(server: ServerProcess) -> int:
    """How many files of the store the server holds open."""
    count = 0
    for handle in Path(f"/proc/{server.process.pid}/fd").iterdir():
        with suppress(OSError):
            count += "/blobs/" in str(handle.readlink())
    return count


def open_sockets(server: ServerProcess) -> int:
    """How many connections of clients the server holds, on whatever descriptors."""
    at = f":{server.port:04X}"
    lines = [line.split() for line in Path(f"/proc/{server.process.pid}/net/tcp").read_text().splitlines()[1:]]
    mine = {line[9] for line in lines if line[1].endswith(at) and line[3] != "0A"}
    count = 0
    for handle in Path(f"/proc/{server.process.pid}/fd").iterdir():
        with suppress(OSError):
            count += str(handle.readlink())[8:-1] in mine
    return count


@contextmanager
def asking(server: ServerProcess, request: bytes) -> Iterator[socket.socket]:
    """A client with small buffers who has asked for something and has seen that the reply begins."""
    with socket.socket() as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
        peer.settimeout(10)
        peer.connect(("127.0.0.1", server.port))
        peer.sendall(request)
        assert peer.recv(12) == b"HTTP/1.1 200"
        yield peer


def read_slowly(peer: socket.socket, pause_s: float) -> int:
    """Read to the end, a megabyte between two pauses; how many bytes came."""
    size = 0
    while True:
        until = size + 1024 * 1024
        while size < until:
            chunk = peer.recv(65_536)
            size += len(chunk)
            if not chunk:
                return size
        time.sleep(pause_s)


def test_who_takes_nothing_of_his_download_is_not_waited_for(server: ServerProcess, download: bytes) -> None:
    with asking(server, download) as peer:
        assert open_blobs(server) == 1
        deadline = time.monotonic() + 20 * TIMEOUT_S
        while open_blobs(server):
            assert time.monotonic() < deadline, "The server still holds the file for him."
            time.sleep(0.05)
        assert read_slowly(peer, 0) < LARGE_BYTES
    assert not [line for line in server.log_lines() if "Exception in ASGI" in line]


def test_a_download_may_take_its_time_as_long_as_something_is_taken(server: ServerProcess, download: bytes) -> None:
    with asking(server, download) as peer:
        started = time.monotonic()
        assert read_slowly(peer, TIMEOUT_S / 4) > LARGE_BYTES
        assert time.monotonic() - started > 2 * TIMEOUT_S


def test_downloads_are_the_bytes_that_were_asked_for_one_after_another(server: ServerProcess, download: bytes) -> None:
    """By the system's own way from a file to a socket, on one connection that stays usable."""
    again = download.replace(b"Connection: close\r\n", b"")
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as peer:
        for wanted, part in (
            (b"", LARGE),
            (b"Range: bytes=1000000-7654321\r\n", LARGE[1_000_000:7_654_322]),
            (b"Range: bytes=-3000000\r\n", LARGE[-3_000_000:]),
        ):
            peer.sendall(again[:-2] + wanted + b"\r\n")
            reply = HTTPResponse(peer)
            reply.begin()
            assert reply.read() == part
            assert reply.headers["x-request-id"]
        peer.sendall(LIVE)
        assert hear_reply(peer) == 200


def test_slow_downloads_hold_none_of_the_servers_memory(server: ServerProcess, download: bytes) -> None:
    with ExitStack() as stack:
        stack.enter_context(asking(server, download))
        before = server.resident_bytes()
        for _ in range(20):
            stack.enter_context(asking(server, download))
        assert server.resident_bytes() - before < 8 * 1024 * 1024


def test_who_goes_in_the_middle_of_a_download_leaves_nothing_open(server: ServerProcess, download: bytes) -> None:
    for _ in range(5):
        with asking(server, download):
            pass
    deadline = time.monotonic() + 10
    while open_blobs(server) or open_sockets(server):
        assert time.monotonic() < deadline, "The server still holds something for him."
        time.sleep(0.05)
    assert talk(server, LIVE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")).startswith(b"HTTP/1.1 200")


def test_what_comes_behind_a_download_never_stands_in_the_middle_of_it(server: ServerProcess, download: bytes) -> None:
    """A second request that is none: its refusal must wait, and the file ends where the connection does."""
    again = download.replace(b"Connection: close\r\n", b"")
    with asking(server, again) as peer:
        time.sleep(0.2)
        peer.sendall(b"POST /v3/crud/journal/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
        received = bytearray()
        with suppress(ConnectionResetError):
            while chunk := peer.recv(65_536):
                received += chunk
    body = bytes(received).partition(b"\r\n\r\n")[2]
    assert LARGE.startswith(body)
    assert not [line for line in server.log_lines() if "Exception in ASGI" in line]


def test_who_reads_no_reply_at_all_holds_no_file(server: ServerProcess, download: bytes) -> None:
    """Replies that fill every buffer on the way, and a download whose head has no room behind them."""
    again = download.replace(b"Connection: close\r\n", b"")
    small = again[:-2] + b"Range: bytes=0-59999\r\n\r\n"
    with ExitStack() as stack:
        for number in range(54, 74):
            peer = stack.enter_context(socket.socket())
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
            peer.settimeout(10)
            peer.connect(("127.0.0.1", server.port))
            peer.sendall(small * number + again)
        deadline = time.monotonic() + 20 * TIMEOUT_S
        while open_blobs(server) or open_sockets(server):
            assert time.monotonic() < deadline, "The server still holds something for him."
            time.sleep(0.1)


def test_a_file_that_is_shorter_than_it_was_ends_early_and_the_log_says_so(
    server: ServerProcess, download: bytes
) -> None:
    with asking(server, download) as peer:
        (path,) = {
            handle.readlink()
            for handle in Path(f"/proc/{server.process.pid}/fd").iterdir()
            if "/blobs/" in os.readlink(handle)
        }
        path.chmod(0o600)
        os.truncate(path, LARGE_BYTES // 2)
        size = read_slowly(peer, 0)
    path.write_bytes(LARGE)
    assert size < LARGE_BYTES
    deadline = time.monotonic() + 10
    while not any("cannot be read to its end" in line for line in server.log_lines()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
