"""Forms read as they arrive: any cut gives the same parts, and nothing but the file is without an end."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import BadRequest, PayloadTooLarge, Problem, UnsupportedMediaType
from engine.http.multipart import MAX_AROUND_BYTES, MAX_PARTS, MultipartReader
from tests.support.files import BOUNDARY, form_body

TYPE = f"multipart/form-data; boundary={BOUNDARY}"
Parts = list[tuple[str, str | None, str | None, bytes]]


def read(pieces: Iterable[bytes]) -> Parts:
    """The parts of a body that comes in pieces."""
    reader = MultipartReader(TYPE)
    parts: Parts = []
    for piece in pieces:
        for event in reader.feed(piece):
            if event.kind == "part":
                parts.append((event.part.name, event.part.file_name, event.part.content_type, b""))
            elif event.kind == "bytes":
                parts[-1] = (*parts[-1][:3], parts[-1][3] + bytes(event.chunk))
    reader.finish()
    return parts


@given(st.binary(max_size=200), st.lists(st.integers(1, 40), max_size=30))
def test_wherever_a_body_is_cut_its_parts_are_the_same(content: bytes, sizes: list[int]) -> None:
    content += b"\r\n--" + BOUNDARY.encode()[:5] + content
    body = form_body({"title": "Ü", "note": "a\r\nb"}, ("naïve.txt", content, "text/plain"))
    pieces, at = [], 0
    for size in sizes:
        pieces.append(body[at : at + size])
        at += size
    pieces.append(body[at:])
    assert read(pieces) == [
        ("title", None, None, "Ü".encode()),
        ("note", None, None, b"a\r\nb"),
        ("file", "naïve.txt", "text/plain", content),
    ]


@pytest.mark.parametrize(
    ("content_type", "error"),
    [
        ("multipart/form-data", BadRequest),
        ("multipart/form-data; boundary=", BadRequest),
        ("multipart/form-data; boundary=" + "b" * 71, BadRequest),
        ("multipart/form-data; " + "x=y; " * 20_000 + "boundary=b", BadRequest),
        ("multipart/mixed; boundary=b", UnsupportedMediaType),
    ],
)
def test_a_type_that_names_no_form_is_refused(content_type: str, error: type[Problem]) -> None:
    with pytest.raises(error):
        MultipartReader(content_type)


def begin(name: str = "x", more: str = "") -> bytes:
    """The head of a part."""
    return f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode()


END = f"--{BOUNDARY}--\r\n".encode()
HOSTILE = {
    "100,000 parts": ((begin() + b"1\r\n") * 100_000, PayloadTooLarge),
    "one part too many": ((begin() + b"1\r\n") * (MAX_PARTS + 1), PayloadTooLarge),
    "10,000 headers of a part": (begin(more="\r\n" + "\r\n".join(f"X-{i}: y" for i in range(10_000))), BadRequest),
    "a header of 1 MB": (begin(more="\r\nX: " + "y" * 1_000_000), BadRequest),
    "a header's name of 1 MB": (begin(more="\r\n" + "y" * 1_000_000), BadRequest),
    "50 MB before the first part": (b"x" * 50_000_000, BadRequest),
    "50 MB of lines before the first part": (b"\r\n" * 25_000_000, PayloadTooLarge),
    "50 MB behind the last part": (begin() + b"1\r\n" + END + b"y" * 50_000_000, PayloadTooLarge),
    "another boundary": (begin().replace(BOUNDARY.encode(), b"other"), BadRequest),
    "no end": (begin() + b"1", BadRequest),
    "nothing": (b"", BadRequest),
    "no name": (f"--{BOUNDARY}\r\nContent-Disposition: form-data\r\n\r\n1".encode(), BadRequest),
    "no disposition": (f"--{BOUNDARY}\r\nX: y\r\n\r\n1".encode(), BadRequest),
    "no headers": (f"--{BOUNDARY}\r\n\r\n1\r\n".encode() + END, BadRequest),
    "base64": (begin(more="\r\nContent-Transfer-Encoding: base64") + b"MQ==\r\n" + END, BadRequest),
    "boundaries without parts": (f"--{BOUNDARY}\r\n".encode() * 2, BadRequest),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_whatever_is_not_the_file_has_an_end(name: str) -> None:
    body, error = HOSTILE[name]
    fed: list[int] = []

    def pieces() -> Iterator[bytes]:
        for at in range(0, len(body), 65_536):
            fed.append(at)
            yield body[at : at + 65_536]

    tracemalloc.start()
    with pytest.raises(error):
        read(pieces())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # It is refused near its beginning, however long it is.
    assert len(fed) <= 3
    assert peak < 2_000_000


def test_what_stands_around_the_parts_may_be_short() -> None:
    body = b"\r\n" + begin() + b"1\r\n" + END + b"bye" * 10
    assert read([body]) == [("x", None, None, b"1")]
    assert MAX_AROUND_BYTES >= 1024
