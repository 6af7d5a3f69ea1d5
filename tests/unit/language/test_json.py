"""Strict JSON: what passes, what is refused with its place, and what must not take long."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import BadJson, ValidationFailed
from engine.language.json import decode_json, escape_pointer

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(VALUES, st.booleans())
def test_what_is_json_comes_back_as_it_is(value: object, is_ascii: bool) -> None:
    decoded = decode_json(json.dumps(value, ensure_ascii=is_ascii).encode())
    assert json.dumps(decoded) == json.dumps(value)


@given(
    st.dictionaries(st.text('ab:"\\\u00e9', min_size=1, max_size=3), st.text("ab:", max_size=3), min_size=1), st.data()
)
def test_a_key_given_twice_is_found_whatever_colons_stand_in_texts(pairs: dict[str, str], data: st.DataObject) -> None:
    key = data.draw(st.sampled_from(sorted(pairs)))
    texts = [f"{json.dumps(name)}:{json.dumps(value)}" for name, value in pairs.items()]
    texts.insert(data.draw(st.integers(0, len(texts))), f"{json.dumps(key)}:{json.dumps(data.draw(st.text('a:u')))}")
    with pytest.raises(BadJson) as caught:
        decode_json(("{" + ",".join(texts) + "}").encode())
    assert caught.value.errors[0].pointer == f"/{escape_pointer(key)}"


@pytest.mark.parametrize(
    ("raw", "pointer"),
    [
        (b'{"a":1,"a":1}', "/a"),
        (b'{"b":{"c":[1,{"x":1,"x":2}]}}', "/b/c/1/x"),
        (b'{"a":":","a":1}', "/a"),
        (b'{"a":1,"\\u0061":2}', "/a"),
        (b'{"a/b":1,"a/b":"\\u003a"}', "/a~1b"),
    ],
)
def test_a_key_given_twice_is_refused_at_its_place(raw: bytes, pointer: str) -> None:
    with pytest.raises(BadJson) as caught:
        decode_json(raw)
    assert caught.value.errors[0].pointer == pointer


@pytest.mark.parametrize(
    "raw",
    [
        b"{",
        b"nul",
        b"[1,]",
        b'{"a" 1}',
        b"'a'",
        b"01",
        b"+1",
        b".5",
        b"1.",
        b'"a\nb"',
        b'"\xff"',
        b"\xef\xbb\xbf{}",
        b"[1]x",
        b"\x00",
        b" ",
        '{"a":1}'.encode("utf-16"),
        b'"\\x41"',
        b'["' + b"[" * 300,
    ],
)
def test_what_is_no_json_is_bad_json(raw: bytes) -> None:
    with pytest.raises(BadJson):
        decode_json(raw)


@pytest.mark.parametrize(
    ("raw", "pointers"),
    [
        (b"NaN", [""]),
        (b'{"a":NaN,"b":[1e400,-Infinity,"\\u0000","x\\ud800y"]}', ["/a", "/b/0", "/b/1", "/b/2", "/b/3"]),
        (b'{"a\\u0000":1}', [""]),
        (b'{"n":' + b"9" * 5_000 + b"}", ["/n"]),
    ],
)
def test_values_that_no_column_takes_are_refused_at_their_places(raw: bytes, pointers: list[str]) -> None:
    with pytest.raises(ValidationFailed) as caught:
        decode_json(raw)
    assert [item.pointer for item in caught.value.errors] == pointers


def test_whole_numbers_stay_whole_whatever_their_size() -> None:
    numbers = [2**63, -(2**63) - 1, 2**64, 10**300, -(10**300), 0, 5]
    decoded = decode_json(json.dumps(numbers).encode())
    assert decoded == numbers
    assert isinstance(decoded, list)
    assert all(type(one) is int for one in decoded)
    assert decode_json(b"[1e300, 1E+2]") == [1e300, 100.0]


def test_an_empty_body_is_an_empty_object() -> None:
    assert decode_json(b"") == {}


def test_a_hundred_levels_pass_and_one_more_does_not() -> None:
    decode_json(b"[" * 100 + b"]" * 100)
    decode_json(b'{"a":' * 100 + b"1" + b"}" * 100)
    decode_json(b'["' + b"[" * 5_000 + b'"]')
    decode_json(b'{"a":[' * 50 + b"]}" * 50)
    mixed = (b'{"a":[' * 50 + b"[]" + b"]}" * 50, b'{"a":' + b"[" * 100 + b"]" * 100 + b"}")
    for raw in (b"[" * 101 + b"]" * 101, b'{"a":' * 101 + b"1" + b"}" * 101, b"[{" * 60, *mixed):
        with pytest.raises(BadJson):
            decode_json(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b"[" * 10_000 + b"]" * 10_000,
        b'{"a":' * 10_000,
        b"[" * 250_000,
        b"[],[]" * 50_000,
        b'{"a":[' * 40_000,
        b'"\\' * 90_000,
    ],
    ids=["deep", "open objects", "open arrays", "wide", "mixed", "escapes"],
)
def test_hostile_bodies_are_refused_within_milliseconds(raw: bytes) -> None:
    began = time.process_time()
    with pytest.raises(BadJson):
        decode_json(raw)
    assert time.process_time() - began < 0.05
