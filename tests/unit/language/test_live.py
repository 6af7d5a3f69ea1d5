"""What a client of live changes may say, and tokens that say nothing."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.language.live import (
    MAX_TOKEN_BYTES,
    Auth,
    FrameRefused,
    Ping,
    Place,
    Subscribe,
    Unsubscribe,
    open_token,
    parse_frame,
    seal_token,
)

KEY = b"k" * 32


def test_each_frame_is_read_as_what_it_says() -> None:
    assert parse_frame('{"type": "auth", "token": "t"}') == Auth("t")
    assert parse_frame('{"type": "unsubscribe", "uid": "1"}') == Unsubscribe("1")
    assert parse_frame('{"type": "ping"}') == Ping()
    assert parse_frame(b'{"type": "pong"}') == Ping(wants_answer=False)
    frame = parse_frame(
        '{"type": "subscribe", "uid": "1", "obj_type": "note", "parent": {"type": "book", "id": "x"},'
        ' "search": {"filter": {"a": 1}, "fields": ["a"]}, "since": "l1.x"}'
    )
    assert isinstance(frame, Subscribe)
    assert (frame.uid, frame.obj_type, frame.parent, frame.since) == ("1", "note", ("book", "x"), "l1.x")
    assert (frame.search.filter, frame.search.fields) == ({"a": 1}, ("a",))


@pytest.mark.parametrize(
    ("frame", "uid", "places"),
    [
        ({"type": "subscribe", "uid": "1"}, "1", ["/obj_type"]),
        ({"type": "subscribe", "obj_type": "a"}, None, ["/uid"]),
        ({"type": "subscribe", "uid": "1", "obj_type": "a", "serach": {}}, "1", ["/serach"]),
        (
            {"type": "subscribe", "uid": "1", "obj_type": "a", "search": {"limit": -1, "x": 1}, "parent": 1},
            "1", ["/search/limit", "/search/x", "/parent"],
        ),
        ({"type": "subscribe", "uid": "u" * 65, "obj_type": "a"}, None, ["/uid"]),
        ({"type": "nothing", "uid": "1"}, "1", ["/type"]),
    ],
)  # fmt: skip
def test_every_fault_of_a_frame_is_told_with_its_place(
    frame: dict[str, object], uid: str | None, places: list[str]
) -> None:
    with pytest.raises(FrameRefused) as refused:
        parse_frame(json.dumps(frame))
    assert refused.value.uid == uid
    assert [item.pointer for item in refused.value.problem.errors] == places


@given(st.text() | st.binary())
def test_whatever_is_sent_is_a_frame_or_a_refusal(sent: str | bytes) -> None:
    refusal = None
    try:
        parse_frame(sent)
    except FrameRefused as refused:
        refusal = refused.problem
    assert refusal is None or 400 <= refusal.status < 500


@given(st.integers(0, 2**31), st.from_regex(r"[A-Za-z0-9_-]{0,40}", fullmatch=True))
def test_a_token_is_the_place_that_it_was_made_of(index: int, entry: str) -> None:
    place = Place(entry, index)
    token = seal_token(place, key=KEY)
    assert open_token(token, key=KEY) == place
    assert len(token) <= MAX_TOKEN_BYTES
    assert not entry or len(entry) < 4 or entry not in token


@given(st.integers(0, 200), st.integers(1, 255))
def test_a_token_that_was_altered_is_none(at: int, by: int) -> None:
    token = seal_token(Place("1700000000000-1", 3), key=KEY)
    at %= len(token)
    altered = token[:at] + chr((ord(token[at]) + by) % 256) + token[at + 1 :]
    assert altered == token or open_token(altered, key=KEY) is None
    assert open_token(token, key=b"j" * 32) is None
    assert open_token(token + "A", key=KEY) is None


@given(st.text())
def test_no_text_of_a_clients_own_is_a_token(text: str) -> None:
    assert open_token(text, key=KEY) is None
    assert open_token(f"l1.{text}", key=KEY) is None
