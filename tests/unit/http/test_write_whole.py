"""A reply that is written at once is, byte for byte, what uvicorn makes of two ASGI messages."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from engine.http.reply import Reply, send_reply
from engine.http.wire import MAX_JOINED_BYTES, write_whole


class Line:
    """What was written to a connection."""

    def __init__(self) -> None:
        self.written = b""
        self.is_closed = False

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        self.is_closed = True

    def is_closing(self) -> bool:
        return self.is_closed

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


def make_cycle(method: str, *, keep_alive: bool = True) -> tuple[RequestResponseCycle, Line, list[str]]:
    """A request that waits for its reply, where it is written, and who was told that it is done."""
    line, done = Line(), list[str]()
    cycle = RequestResponseCycle(
        cast(Any, {"method": method, "type": "http", "http_version": "1.1"}), cast(Any, line),
        FlowControl(cast(Any, line)), cast(Any, None), cast(Any, None), False, [(b"server", b"x")], asyncio.Event(),
        False, keep_alive, cast(Callable[..., None], lambda: done.append("done")),
    )  # fmt: skip
    return cycle, line, done


def wrapped(cycle: RequestResponseCycle) -> Any:
    """The same channel behind a function, as a layer would give it: no reply is written at once."""

    async def send(message: Any) -> None:
        await cycle.send(message)

    return send


values = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20).map(str.encode)
replies = st.builds(
    Reply,
    st.sampled_from([200, 201, 404, 422]),
    st.binary(max_size=50) | st.just(b"x" * (MAX_JOINED_BYTES + 1)),
    st.lists(st.tuples(st.sampled_from([b"etag", b"x-one", b"location"]), values), max_size=3).map(tuple),
) | st.builds(Reply, st.sampled_from([204, 304]), headers=st.just(((b"etag", b'"1-a"'),)), content_type=st.none())


@given(replies, st.sampled_from(["GET", "HEAD", "POST"]), st.booleans())
def test_the_bytes_are_those_of_two_messages(reply: Reply, method: str, keep_alive: bool) -> None:
    async def compare() -> None:
        whole, whole_line, whole_done = make_cycle(method, keep_alive=keep_alive)
        parts, parts_line, parts_done = make_cycle(method, keep_alive=keep_alive)
        common = [(b"x-request-id", b"abc")]
        await send_reply(reply, whole.send, common, is_head=method == "HEAD")
        await send_reply(reply, wrapped(parts), common, is_head=method == "HEAD")
        assert whole_line.written == parts_line.written
        assert (whole.response_complete, whole_done, whole_line.is_closed) == (True, ["done"], parts_line.is_closed)
        assert (await whole.receive())["type"] == (await parts.receive())["type"] == "http.disconnect"
        assert parts_done == whole_done

    asyncio.run(compare())


def test_a_header_that_would_split_the_reply_is_never_written() -> None:
    for value in (b"a\r\nset-cookie: x=1", b"a\nb", b"a\rb"):
        cycle, line, _ = make_cycle("GET")
        assert not write_whole(cycle.send, 200, [(b"x-one", value)], b"")
        assert line.written == b""


def test_a_reply_that_has_begun_is_not_written_again() -> None:
    cycle, line, _ = make_cycle("GET")
    assert write_whole(cycle.send, 200, [(b"content-length", b"1")], b"a")
    before = line.written
    assert not write_whole(cycle.send, 200, [(b"content-length", b"1")], b"a")
    assert line.written == before
