"""``multipart/form-data`` read as it arrives, with a bound on everything that is not the file.

The parser is python-multipart's, which bounds nothing but headers. Here its callbacks become events in order, and
parts, their headers, what stands before the first and behind the last of them all have an end. What the parts mean
is `http/uploads.py`'s business.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from engine.errors import BadRequest, ErrorItem, PayloadTooLarge, Problem, UnsupportedMediaType

MAX_PARTS = 64
MAX_PART_HEADERS = 8
MAX_HEADER_BYTES = 16 * 1024
MAX_AROUND_BYTES = 16 * 1024
"""Largest preamble and largest epilogue, each."""

MAX_CONTENT_TYPE = 1_000
MAX_BOUNDARY = 70  # RFC 2046, 5.1.1
_CODINGS = frozenset((b"", b"7bit", b"8bit", b"binary"))


@dataclass(frozen=True, slots=True)
class Part:
    """A part whose headers have been read.

    Attributes:
        name: Of the form's field.
        file_name: As the client gave it; None where the part is no file.
        content_type: As the client gave it.
    """

    name: str
    file_name: str | None
    content_type: str | None


@dataclass(frozen=True, slots=True)
class Event:
    """What came next: a part begins, some of its bytes, it has ended."""

    kind: Literal["part", "bytes", "end"]
    part: Part
    chunk: bytes | memoryview = b""


class MultipartReader:
    """Reads one body.

    Args:
        content_type: The request's ``Content-Type``.

    Raises:
        UnsupportedMediaType: It is no form of parts.
        BadRequest: It has no boundary, or none that may be.
    """

    def __init__(self, content_type: str) -> None:
        if len(content_type) > MAX_CONTENT_TYPE:
            raise _bad(f"Content-Type is longer than {MAX_CONTENT_TYPE} characters.")
        essence, options = parse_options_header(content_type)
        if essence != b"multipart/form-data":
            raise UnsupportedMediaType("Of the multipart types only multipart/form-data is taken.")
        boundary = options.get(b"boundary", b"")
        if not 0 < len(boundary) <= MAX_BOUNDARY:
            raise _bad(f"multipart/form-data needs a boundary of 1 to {MAX_BOUNDARY} characters.")
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._take_name,
                "on_header_value": self._take_value,
                "on_header_end": self._end_header,
                "on_headers_finished": self._start_part,
                "on_part_data": self._take_bytes,
                "on_part_end": self._end_part,
                "on_end": self._end,
            },
            max_header_count=MAX_PART_HEADERS,
            max_header_size=MAX_HEADER_BYTES,
        )
        # The library warns of every malformed body by its logger; a refusal is logged once, by us.
        self._parser.logger.disabled = True
        self._events: list[Event] = []
        self._parts = 0
        self._around = 0
        self._name = bytearray()
        self._value = bytearray()
        self._headers: dict[bytes, bytes] = {}
        self._part: Part | None = None
        self.is_complete = False

    def feed(self, chunk: bytes) -> Sequence[Event]:
        """Read the next bytes of the body.

        Raises:
            BadRequest: They are no form, or are more parts, headers or words around them than there may be.
        """
        self._events = []
        if not self._parts or self.is_complete:
            self._around += len(chunk)
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise _bad(
                "The body is not multipart/form-data as its boundary says, or a header in it is too long."
            ) from error
        if self._around > MAX_AROUND_BYTES and (not self._parts or self.is_complete):
            raise PayloadTooLarge("There is too much before the first part or behind the last.", headers=CLOSE)
        return self._events

    def finish(self) -> None:
        """The body has ended.

        Raises:
            BadRequest: In the middle of a part.
        """
        if not self.is_complete:
            raise _bad("The body ends before its last boundary.")

    # ------------------------------------------------------------ what the parser calls

    def _begin(self) -> None:
        self._parts += 1
        self._around = 0
        if self._parts > MAX_PARTS:
            raise PayloadTooLarge(f"A form has at most {MAX_PARTS} parts.", headers=CLOSE)
        self._headers = {}

    def _take_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _take_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        self._headers[bytes(self._name).lower()] = bytes(self._value)
        self._name.clear()
        self._value.clear()

    def _start_part(self) -> None:
        kind, options = parse_options_header(self._headers.get(b"content-disposition", b"").decode("latin-1"))
        if kind != b"form-data" or b"name" not in options:
            raise _bad("Each part needs the header `Content-Disposition: form-data; name=…`.")
        if self._headers.get(b"content-transfer-encoding", b"").strip().lower() not in _CODINGS:
            raise _bad("A part is sent as it is, without a Content-Transfer-Encoding.")
        file_name = options.get(b"filename")
        content_type = self._headers.get(b"content-type")
        self._part = Part(
            _as_text(options[b"name"]),
            None if file_name is None else _as_text(file_name),
            None if content_type is None else content_type.decode("latin-1"),
        )
        self._events.append(Event("part", self._part))

    def _take_bytes(self, data: bytes, start: int, end: int) -> None:
        assert self._part is not None
        self._events.append(Event("bytes", self._part, memoryview(data)[start:end]))

    def _end_part(self) -> None:
        # A boundary may follow right behind another, without headers between them.
        if self._part is None:
            raise _bad("A part without headers is none.")
        self._events.append(Event("end", self._part))
        self._part = None

    def _end(self) -> None:
        self.is_complete = True
        self._around = 0


CLOSE = (("Connection", "close"),)


def _as_text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _bad(detail: str) -> Problem:
    item = ErrorItem("bad-operand", detail, header="Content-Type")
    return BadRequest(detail, errors=[item] if detail.startswith(("Content-Type", "multipart")) else [], headers=CLOSE)
