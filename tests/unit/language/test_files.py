"""What remains of a client's words about a file, and what a range means."""

from __future__ import annotations

import re
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.language.files import (
    MAX_NAME_BYTES,
    ByteRange,
    Unsatisfiable,
    content_disposition,
    extension_of,
    is_passive,
    media_type,
    parse_range,
    safe_file_name,
)

DISPOSITION = re.compile(
    r"(inline|attachment); filename=\"([^\"\\;=%/\x00-\x1f\x7f]*)\""
    r"(?:; filename\*=UTF-8''([A-Za-z0-9!#$&+^`|~._%-]+))?",
    re.ASCII,
)


@pytest.mark.parametrize(
    ("given_name", "kept"),
    [
        ("report.pdf", "report.pdf"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\x.txt", "x.txt"),
        ("a\r\nSet-Cookie: x=1", "a  Set-Cookie: x=1"),
        ('"; filename*=', '"; filename*='),
        ("Übersicht – été 😀.png", "Übersicht – été 😀.png"),
        ("photo\u202egnp.exe", "photognp.exe"),
        ("a\0b", "ab"),
        ("...", "file"),
        ("", "file"),
        ("dir/", "dir"),
        (".bashrc", "bashrc"),
        ("x" * 10_000 + ".tar", "x" * 251 + ".tar"),
    ],
)
def test_a_name_keeps_what_can_be_seen_and_loses_its_directories(given_name: str, kept: str) -> None:
    assert safe_file_name(given_name) == kept


@given(st.text(max_size=300), st.integers(1, 300))
def test_a_safe_name_is_one_line_of_one_name_within_its_bounds_and_stays_as_it_is(raw: str, most: int) -> None:
    name = safe_file_name(raw)
    assert 0 < len(name.encode()) <= MAX_NAME_BYTES
    assert not set(name) & set("/\\\r\n\0")
    assert safe_file_name(name) == name
    assert 0 < len(safe_file_name(raw, max_length=most)) <= max(most, len("file"))


@given(st.text(max_size=300), st.booleans())
def test_a_disposition_is_one_safe_header_that_carries_the_whole_name(raw: str, is_inline: bool) -> None:
    value = content_disposition(raw, is_inline=is_inline)
    match = DISPOSITION.fullmatch(value)
    assert match is not None
    assert (match[1] == "inline") is is_inline
    assert (unquote(match[3]) if match[3] else match[2]) == safe_file_name(raw)


def test_an_extension_is_what_stands_behind_the_last_dot() -> None:
    assert extension_of("a.tar.GZ") == "gz"
    assert extension_of("README") is None
    assert extension_of("x.not an extension") is None


@pytest.mark.parametrize(
    ("claim", "name", "kept"),
    [
        ("image/PNG; q=1", "x", "image/png"),
        (None, "x.pdf", "application/pdf"),
        ("application/octet-stream", "x.svg", "image/svg+xml"),
        ("nonsense", "x.zzz", "application/octet-stream"),
        ("text/html\r\nX: y", "x", "application/octet-stream"),
        ("a" * 200 + "/b", "x.txt", "text/plain"),
        (None, "x.txt.gz", "application/octet-stream"),
    ],
)
def test_a_type_is_the_claim_if_it_is_one(claim: str | None, name: str, kept: str) -> None:
    assert media_type(claim, name) == kept


def test_only_what_runs_nothing_is_shown() -> None:
    assert is_passive("image/png")
    active = ("text/html", "image/svg+xml", "application/xhtml+xml", "text/xml", "application/pdf", "text/css", None)
    assert not [one for one in active if is_passive(one)]


@pytest.mark.parametrize(
    ("header", "meant"),
    [
        ("bytes=0-0", ByteRange(0, 1)),
        ("bytes=2-", ByteRange(2, 10)),
        ("bytes=-3", ByteRange(7, 10)),
        ("bytes=-99", ByteRange(0, 10)),
        ("bytes=8-99999999999999999999999", ByteRange(8, 10)),
        ("Bytes= 1-2 ", ByteRange(1, 3)),
        ("bytes=9-1", None),
        ("bytes=0-1,4-5", None),
        ("bytes=" + ",".join(["0-"] * 10_000), None),
        ("lines=0-1", None),
        ("bytes=-", None),
        ("bytes=a-b", None),
        ("bytes=--5", None),
        ("", None),
    ],
)
def test_one_range_is_taken_and_what_cannot_be_is_ignored(header: str, meant: ByteRange | None) -> None:
    assert parse_range(header, 10) == meant


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=-0", "bytes=99999999999999999999-", "bytes=10-5" + "0" * 300])
def test_a_range_behind_the_end_cannot_be_answered(header: str) -> None:
    with pytest.raises(Unsatisfiable):
        parse_range(header, 10)


@given(st.integers(0, 50), st.integers(0, 60), st.integers(0, 60))
def test_a_range_is_the_bytes_that_a_slice_gives(size: int, first: int, last: int) -> None:
    content = bytes(range(size))
    try:
        part = parse_range(f"bytes={first}-{last}", size)
    except Unsatisfiable:
        assert first >= size
        return
    if part is None:
        assert last < first
    else:
        assert content[part.start : part.end] == content[first : last + 1]
