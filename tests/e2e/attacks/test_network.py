"""Attacks on a started server over the network: endless, slow and huge requests, and lines in its log."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.auth.mint import mint_token
from tests.support.serving import ROOT, SECRET, ServerProcess, make_settings, serving

REGISTRY = ROOT / "tests" / "data" / "attack" / "resources.yaml"
BODY_TIMEOUT_S = 1.0
PIECE = b" " * 65_536
RSS_GROWTH_BYTES = 50 * 1024 * 1024


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server on an SQLite database of its own, which it makes at its start."""
    directory = tmp_path_factory.mktemp("server")
    settings = make_settings(f"sqlite:///{directory / 'network.sqlite3'}", REGISTRY, body_timeout_s=BODY_TIMEOUT_S)
    with serving(settings, directory) as started:
        yield started


@pytest.fixture(scope="module")
def token() -> str:
    """An operator's token."""
    settings = make_settings("sqlite:///unused.sqlite3", REGISTRY)
    assert settings.jwt_secret == SECRET
    return mint_token(settings, is_operator=True)


class _Line:
    """A connection on which anything can be said."""

    def __init__(self, server: ServerProcess) -> None:
        self.socket = socket.create_connection(("127.0.0.1", server.port), timeout=15)

    def say(self, data: bytes) -> bool:
        """Send; False where the server has hung up."""
        try:
            self.socket.sendall(data)
        except (ConnectionError, TimeoutError):
            return False
        return True

    def hear(self) -> tuple[int, bytes]:
        """The status of the reply and all that came until the server hung up or fell silent."""
        heard = b""
        while b"\r\n\r\n" not in heard or not _is_whole(heard):
            try:
                part = self.socket.recv(65_536)
            except (ConnectionError, TimeoutError):
                break
            if not part:
                break
            heard += part
        return (int(heard.split(b" ", 2)[1]) if heard.startswith(b"HTTP/") else 0), heard

    def close(self) -> None:
        """Hang up."""
        self.socket.close()


def _is_whole(heard: bytes) -> bool:
    head, _, body = heard.partition(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return len(body) >= int(line.partition(b":")[2])
    return True


def _head(token: str | None, path: str, *headers: str, method: str = "POST") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: x", "Content-Type: application/json", *headers]
    if token is not None:
        lines.append(f"Authorization: Bearer {token}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


@pytest.mark.parametrize("path", ["/v3/crud/journal/search", "/v3/crud/journal/"])
@pytest.mark.parametrize("is_known", [True, False])
def test_a_body_without_an_end_is_refused_at_the_cap(
    server: ServerProcess, token: str, path: str, is_known: bool
) -> None:
    before = server.resident_bytes()
    line = _Line(server)
    line.say(_head(token if is_known else None, path, "Transfer-Encoding: chunked"))
    sent = 0
    piece = b"%x\r\n%s\r\n" % (len(PIECE), PIECE)
    while sent < 200 * 1024 * 1024 and line.say(piece):
        sent += len(piece)
        line.socket.setblocking(False)
        try:
            answered = line.socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            answered = b""
        except ConnectionError:
            break
        finally:
            line.socket.settimeout(15)
        if answered:
            break
    status, _ = line.hear()
    line.close()
    assert status in ({413} if is_known else {401}) or (status == 0 and sent < 64 * 1024 * 1024), (status, sent)
    assert sent < 64 * 1024 * 1024
    assert server.resident_bytes() - before < RSS_GROWTH_BYTES


def test_a_length_that_is_too_much_is_refused_unread(server: ServerProcess, token: str) -> None:
    before = server.resident_bytes()
    for path in ("/v3/crud/journal/search", "/v3/crud/journal/"):
        for length in (200 * 1024 * 1024, 10**15):
            line = _Line(server)
            line.say(_head(token, path, f"Content-Length: {length}"))
            status, _ = line.hear()
            line.close()
            assert status == 413
    assert server.resident_bytes() - before < RSS_GROWTH_BYTES


def test_a_body_that_does_not_come_is_given_up(server: ServerProcess, token: str) -> None:
    line = _Line(server)
    line.say(_head(token, "/v3/crud/journal/search", "Content-Length: 1000") + b'{"a')
    started = time.monotonic()
    status, heard = line.hear()
    line.close()
    assert status == 408
    assert b"application/problem+json" in heard
    assert time.monotonic() - started < 10 * BODY_TIMEOUT_S


def test_a_body_of_a_byte_a_moment_is_given_up(server: ServerProcess, token: str) -> None:
    """Each byte comes in time; all of them together do not."""
    line = _Line(server)
    line.say(_head(token, "/v3/crud/journal/search", "Content-Length: 100000"))
    line.socket.settimeout(BODY_TIMEOUT_S / 10)
    started, heard = time.monotonic(), b""
    while not heard and time.monotonic() - started < 10 * BODY_TIMEOUT_S and line.say(b" "):
        try:
            heard = line.socket.recv(65_536)
        except TimeoutError:
            continue
        except ConnectionError:
            break
    line.close()
    assert heard.startswith(b"HTTP/1.1 408")


def test_a_request_that_is_no_http_is_answered_and_forgotten(server: ServerProcess, token: str) -> None:
    for raw in (
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET\r\n\r\n", b"\r\n" * 100, b"GET / HTTP/9.9\r\n\r\n",
        b"GET /v3/crud/\x00 HTTP/1.1\r\nHost: x\r\n\r\n", b"GET / HTTP/1.1\r\nHost: x\r\nX: a\x00b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n folded: y\r\n\r\n", b"A" * 100_000,
        b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 20_000 + b"\r\n",
        _head(token, "/v3/crud/journal/", "Content-Length: 5", "Content-Length: 6") + b"{}   ",
        _head(token, "/v3/crud/journal/", "Content-Length: 2", "Transfer-Encoding: chunked") + b"0\r\n\r\n",
        _head(token, "/v3/crud/journal/", "Transfer-Encoding: chunked") + b"ffffffffffffffffff\r\n",
        _head(token, "/v3/crud/journal/", "Transfer-Encoding: chunked") + b"zz\r\n",
        _head(token, "/v3/crud/journal/", "Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n",
        _head(token, "/v3/crud/journal/search", "Expect: 100-continue", "Content-Length: 2") + b"{}",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ):  # fmt: skip
        line = _Line(server)
        line.say(raw)
        line.socket.settimeout(0.5)
        status, heard = line.hear()
        line.close()
        assert status < 500 or status in (501, 505), (raw[:60], heard[:300])
        assert b"Traceback" not in heard
    line = _Line(server)
    line.say(_head(token, "/v3/crud/journal/", "Connection: close", method="GET"))
    assert line.hear()[0] == 200
    line.close()


def test_every_line_of_the_log_is_one_object(server: ServerProcess, token: str) -> None:
    evil = ['\\n{"level":"fatal"}', "\x1b[2J", "\u2028".encode().decode("latin-1"), '"}', "\x85", "%0a%0d{}"]
    for text in evil:
        for head in (
            _head(token, f"/v3/crud/{text.encode('latin-1').hex()}", f"User-Agent: {text}", f"X-Request-Id: {text}"),
            _head(
                token, f"/v3/crud/%0A%1B[2J%E2%80%A8{text.encode('latin-1').hex()}/", f"Referer: {text}", method="GET"
            ),
            _head(
                None,
                f"/%0a%7B%22level%22:1%7D?x=%0a{text.encode('latin-1').hex()}",
                f"X-Forwarded-For: {text}",
                method="GET",
            ),
        ):
            line = _Line(server)
            line.say(head)
            line.socket.settimeout(1)
            line.hear()
            line.close()
    _wait_for_quiet(server.log_path)
    lines = server.log_lines()
    assert lines
    for one in lines:
        assert isinstance(json.loads(one), dict), one
        assert not [letter for letter in one if letter < " " or letter in "\x7f\x85\u2028\u2029"], one
        assert token not in one


def _wait_for_quiet(path: Path) -> None:
    """Until the log, which is written beside the requests, has not grown for a moment."""
    size, since = -1, time.monotonic()
    while time.monotonic() - since < 0.4:
        now = path.stat().st_size
        if now != size:
            size, since = now, time.monotonic()
        time.sleep(0.05)
