"""Bytes coming in: a request's body as one file with a few words beside it, read as it arrives.

A form of parts (``multipart/form-data``) has the file in its part ``file`` and words in the others; a raw body is the
file itself, with the words in the query string. Nothing of the file is held here: a chunk is given on, and the next
one read when that is done. What is wrong is told as early as it is known: before the body, where its headers say it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Annotated

from fastapi import Depends
from starlette.requests import Request as HttpRequest
from starlette.types import Message, Receive, Scope, Send

from engine.errors import (
    BadRequest,
    ErrorItem,
    PayloadTooLarge,
    RequestTimeout,
    UnsupportedMediaType,
    ValidationFailed,
)
from engine.http.call import ClientGone, Request
from engine.http.fallback import request_of
from engine.http.multipart import CLOSE, Event, MultipartReader, Part
from engine.http.reply import Reply, send_reply
from engine.http.wire import BODY_IS_HERE
from engine.io.blobs import is_digest
from engine.language.files import media_type, safe_file_name
from engine.language.query import split_query

FILE = "file"
FILE_NAME = "file_name"
DIGEST = "sha256"
MAX_WORDS_BYTES = 256 * 1024
"""Most bytes of all words of a form together."""

FORM_OVERHEAD_BYTES = 1024 * 1024
LINGER_S = 1.0
LINGER_BYTES = 64 * 1024 * 1024
_NOT_A_FILE = ("application/x-www-form-urlencoded", "multipart/")

Check = Callable[[Mapping[str, str]], object]


class FileBody:
    """The body of one request, which is a file.

    Args:
        request: The request; its body has not been read.

    Attributes:
        is_form: Whether it is a form of parts.
        words: Words beside the file, without those that are about the file itself. Of a form, those behind the file
            are here only when its bytes have been read.
        file_name: What the client calls the file, made safe.
        content_type: What he says that it is, else what its name suggests.
        digest: The SHA-256 that he has declared, or None.
    """

    def __init__(self, request: Request) -> None:
        self.request = request
        self.max_bytes = request.settings.upload_bytes
        self.words: dict[str, str] = {}
        self.file_name = ""
        self.content_type = ""
        self.digest: str | None = None
        given = request.header(b"content-type") or ""
        essence = given.partition(";")[0].strip().lower()
        self.is_form = essence == "multipart/form-data"
        self._given_name: str | None = None
        self._words_bytes = 0
        self._check_headers(essence)
        self._reader = MultipartReader(given) if self.is_form else None
        self._events = self._read_form(self._reader) if self._reader is not None else None
        for name, text in split_query(request.query):
            self._take_word(name, text)

    async def begin(self, check: Check) -> None:
        """Read what stands before the file's first byte.

        Args:
            check: Given the words that are known by then; it raises what is wrong with them.

        Raises:
            BadRequest, PayloadTooLarge, RequestTimeout, UnsupportedMediaType, ValidationFailed: As their names say.
        """
        if self._events is None:
            if self._given_name is None:
                raise self.refuse("required", f"Say with `{FILE_NAME}` what the file is called.", FILE_NAME)
            self._name(self._given_name, self.request.header(b"content-type"))
            check(self.words)
            return
        check(self.words)
        async for event in self._events:
            if event.kind == "part" and event.part.name == FILE:
                check(self.words)
                return
        raise self.refuse("required", f"The form has no part `{FILE}`.", FILE)

    async def chunks(self) -> AsyncIterator[bytes | memoryview]:
        """The bytes of the file, after `begin`; when they have ended, so has the body.

        Raises:
            BadRequest, PayloadTooLarge, RequestTimeout, ValidationFailed: As their names say.
        """
        size = 0
        async for chunk in self._stream() if self._events is None else self._file_bytes(self._events):
            size += len(chunk)
            if size > self.max_bytes:
                raise self._too_large()
            yield chunk

    def refuse(self, code: str, detail: str, name: str) -> ValidationFailed:
        """The refusal of a word, at its place in this body."""
        return ValidationFailed(errors=[self.place(ErrorItem(code, detail, pointer=f"/{name}"))])

    def place(self, item: ErrorItem) -> ErrorItem:
        """A fault of a body as one of this body: of a raw one the words stand in the query string."""
        if self.is_form or not item.pointer:
            return item
        name = item.pointer.removeprefix("/")
        return ErrorItem(item.code, item.detail, parameter=name, suggestions=item.suggestions)

    # ------------------------------------------------------------ private

    def _check_headers(self, essence: str) -> None:
        """Refuse what the headers alone say to be wrong.

        Raises:
            UnsupportedMediaType, PayloadTooLarge, BadRequest: It is.
        """
        coding = (self.request.header(b"content-encoding") or "").strip().lower()
        if coding not in ("", "identity"):
            detail = "A compressed body is not taken; send it without Content-Encoding."
            item = ErrorItem("bad-operand", detail, header="Content-Encoding")
            raise UnsupportedMediaType(detail, errors=[item], headers=(("Accept-Encoding", "identity"), *CLOSE))
        if essence.startswith(_NOT_A_FILE) and not self.is_form:
            detail = "Send the file as multipart/form-data, or as the body itself with its own Content-Type."
            item = ErrorItem("bad-operand", detail, header="Content-Type")
            raise UnsupportedMediaType(detail, errors=[item], headers=CLOSE)
        declared = self.request.headers.get(b"content-length")
        if declared is None:
            return
        if not declared.isdigit():
            raise BadRequest("Content-Length is not a number.", headers=CLOSE)
        most = self.max_bytes + (FORM_OVERHEAD_BYTES if self.is_form else 0)
        if len(declared) > 15 or int(declared) > most:
            raise self._too_large()

    async def _stream(self) -> AsyncIterator[bytes]:
        """The body as it arrives; each chunk within the time that a body may be silent."""
        limit_s = self.request.settings.body_timeout_s
        more = True
        while more:
            try:
                async with asyncio.timeout(limit_s):
                    message = await self.request.receive()
            except TimeoutError as error:
                raise RequestTimeout(f"Nothing came for {limit_s:.0f} seconds.", headers=CLOSE) from error
            if message["type"] == "http.disconnect":
                raise ClientGone
            more = message.get("more_body", False)
            chunk: bytes = message.get("body", b"")
            if chunk:
                yield chunk

    async def _read_form(self, reader: MultipartReader) -> AsyncIterator[Event]:
        """The events of the form's parts; words are taken by the way."""
        word = bytearray()
        async for chunk in self._stream():
            for event in reader.feed(chunk):
                if event.part.name == FILE:
                    if event.kind == "part":
                        self._name_part(event.part)
                    yield event
                elif event.kind == "part":
                    self._check_word(event.part)
                    word.clear()
                elif event.kind == "bytes":
                    self._words_bytes += len(event.chunk)
                    if self._words_bytes > MAX_WORDS_BYTES:
                        detail = (
                            f"The words of a form have at most {MAX_WORDS_BYTES} bytes; the file is its part `{FILE}`."
                        )
                        raise PayloadTooLarge(detail, headers=CLOSE)
                    word += event.chunk
                else:
                    self._take_word(event.part.name, self._decode(event.part.name, bytes(word)))
        reader.finish()

    async def _file_bytes(self, events: AsyncIterator[Event]) -> AsyncIterator[bytes | memoryview]:
        async for event in events:
            if event.kind == "part":
                raise self.refuse("duplicate", f"There is more than one part `{FILE}`.", FILE)
            if event.kind == "bytes":
                yield event.chunk

    def _name_part(self, part: Part) -> None:
        if part.file_name is None:
            raise self.refuse("required", f"The part `{FILE}` needs a file name.", FILE)
        self._name(part.file_name if self._given_name is None else self._given_name, part.content_type)

    def _name(self, given: str, content_type: str | None) -> None:
        self.file_name = safe_file_name(given)
        self.content_type = media_type(content_type, self.file_name)

    def _check_word(self, part: Part) -> None:
        if part.file_name is not None:
            raise self.refuse("unknown-field", f"The file belongs in the part `{FILE}`.", part.name[:80])
        if part.name in self.words:
            raise self.refuse("duplicate", f"{part.name[:80]} is given twice.", part.name[:80])

    def _decode(self, name: str, raw: bytes) -> str:
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError:
            text = "\0"
        if "\0" in text:
            raise self.refuse("type-mismatch", f"{name[:80]} is not text in UTF-8.", name[:80])
        return text

    def _take_word(self, name: str, text: str) -> None:
        if name == FILE_NAME:
            self._given_name = text
            if self.file_name:
                self.file_name = safe_file_name(text)
        elif name == DIGEST:
            digest = text.strip().lower()
            if not is_digest(digest):
                raise self.refuse("pattern", f"{DIGEST} has 64 hexadecimal digits.", DIGEST)
            self.digest = digest
        else:
            self.words[name] = text

    def _too_large(self) -> PayloadTooLarge:
        return PayloadTooLarge(f"A file has at most {self.max_bytes} bytes.", headers=CLOSE)


async def get_upload(request: HttpRequest) -> FileBody:
    """The request's body as a file; nothing of it has been read."""
    return FileBody(request_of(request))


Upload = Annotated[FileBody, Depends(get_upload)]


class LingeringReply:
    """A refusal while the body is still coming: the client is let speak for a moment, or he would not hear it.

    A connection closed with bytes unread is reset, and what was written to it may be lost.
    """

    def __init__(self, reply: Reply, receive: Receive) -> None:
        self._reply = reply
        self._receive = receive

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the reply, then read on for a while."""

        async def hold_open(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "more_body": True}
            await send(message)

        await send_reply(self._reply, hold_open, [], is_head=False)
        size = 0
        try:
            async with asyncio.timeout(LINGER_S):
                while size < LINGER_BYTES:
                    message = await self._receive()
                    size += len(message.get("body", b""))
                    if message["type"] == "http.disconnect" or not message.get("more_body", False):
                        break
        except TimeoutError:
            pass
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def is_coming(request: Request) -> bool:
    """Whether more of the body may still arrive."""
    return request.method != "GET" and not request.scope.get(BODY_IS_HERE, False)
