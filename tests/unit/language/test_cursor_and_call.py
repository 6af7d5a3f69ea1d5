"""Cursors, ids, and the headers that belong to a call."""

from __future__ import annotations

import base64
import secrets
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import BadRequest, CursorMismatch, UnsupportedMediaType
from engine.language.call import check_content_type, parse_precondition, parse_preferences
from engine.language.condition import normalise_word, positive_form, split_expression
from engine.language.cursor import PREFIX, Position, bind_search, decode_cursor, encode_cursor
from engine.language.ids import is_public_id, new_public_id
from engine.plan.shape import And, Leaf, Or, Path

KEY = b"k" * 32
BINDING = bind_search("journal", None)
VALUE = (
    st.none()
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.integers(-(2**80), 2**80)
    | st.binary()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.decimals(allow_nan=False, allow_infinity=False)
)


@given(st.lists(VALUE, max_size=4), st.integers(0, 2**63 - 1), st.sampled_from(["next", "prev"]))
def test_a_position_comes_back_as_it_was(values: list[object], row_id: int, direction: str) -> None:
    position = Position(tuple(values), row_id, direction)  # type: ignore[arg-type]
    token = encode_cursor(position, key=KEY, binding=BINDING)
    assert token is not None
    back = decode_cursor(token, key=KEY, binding=BINDING)
    assert back == position
    assert [type(one) for one in back.values] == [type(one) for one in position.values]


@given(st.data())
def test_no_altered_token_passes(data: st.DataObject) -> None:
    token = encode_cursor(Position(("a", 5), 7_000_000_001), key=KEY, binding=BINDING)
    assert token is not None
    place = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.sampled_from("Aa0_-.é~ =\n").filter(lambda char: char != token[place]))
    with pytest.raises(CursorMismatch):
        decode_cursor(token[:place] + other + token[place + 1 :], key=KEY, binding=BINDING)


@pytest.mark.parametrize(
    "token", ["", "c1.", "c1.A", "c2.AAAA", "c1." + "A" * 100, "c1." + "A" * 1_000_000, "é", "c1.a=b"]
)
def test_what_is_no_token_is_refused_like_any_other(token: str) -> None:
    with pytest.raises(CursorMismatch) as caught:
        decode_cursor(token, key=KEY, binding=BINDING)
    with pytest.raises(CursorMismatch) as other:
        decode_cursor("x", key=KEY, binding=BINDING)
    assert caught.value.detail == other.value.detail


def test_a_token_of_another_search_or_key_is_refused() -> None:
    token = encode_cursor(Position((), 1), key=KEY, binding=BINDING)
    assert token is not None
    with pytest.raises(CursorMismatch):
        decode_cursor(token, key=KEY, binding=bind_search("journal", {"title": "x"}))
    with pytest.raises(CursorMismatch):
        decode_cursor(token, key=b"x" * 32, binding=BINDING)


def test_nothing_in_a_token_can_be_read() -> None:
    token = encode_cursor(Position(("CANARY",), 7_000_000_001), key=KEY, binding=BINDING)
    assert token is not None
    raw = base64.urlsafe_b64decode(token[len(PREFIX) :] + "==")
    assert b"CANARY" not in raw
    assert b"7000000001" not in raw
    assert token != encode_cursor(Position(("CANARY",), 7_000_000_001), key=KEY, binding=BINDING)


def test_values_too_long_for_a_token_have_none() -> None:
    assert encode_cursor(Position(("x" * 20_000,), 1), key=KEY, binding=BINDING) is None


def test_what_a_cursor_is_bound_to_tells_searches_apart() -> None:
    leaf = Leaf(Path((), "a"), "eq", 1)
    searches: list[tuple[object, ...]] = [
        ("a",),
        ("b",),
        ("a", None),
        (None, "a"),
        ("a", 1),
        ("a", "1"),
        ("a", True),
        ("a", {"x": 1}),
        ("a", {"x": [1]}),
        ("a", 2**70),
        ("a", And((leaf,))),
        ("a", Or((leaf,))),
        ("a", leaf),
        ("a", Decimal(1)),
        ("a", b"1"),
    ]
    assert len({bind_search(*search) for search in searches}) == len(searches)
    assert bind_search({"a": 1, "b": 2}) == bind_search({"b": 2, "a": 1})


# ---------------------------------------------------------------- ids and words


def test_new_ids_are_ids_of_128_bits() -> None:
    ids = {new_public_id() for _ in range(1_000)}
    assert len(ids) == 1_000
    assert all(is_public_id(one) and len(one) == 22 for one in ids)


@pytest.mark.parametrize(
    "value",
    [
        0,
        7_000_000_001,
        True,
        None,
        b"A" * 22,
        ["A" * 22],
        "A" * 10,
        "A" * 65,
        "A" * 21 + "\n",
        "A" * 21 + " ",
        "Ä" * 22,
        "A" * 21 + "\u212a",
        "A" * 21 + "０",
        "A" * 21 + "\u200d",
        "A" * 21 + "\0",
        "",
        "a b" * 7,
    ],
)
def test_what_is_no_id_never_counts_as_one(value: object) -> None:
    assert not is_public_id(value)


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("_eq", "eq"),
        ("$neq", "ne"),
        ("notIn", "nin"),
        ("_not_in", "nin"),
        ("$nin", "nin"),
        ("_is_null", "null"),
        ("_null", "null"),
        ("some", "any"),
        ("$eqi", "ieq"),
        ("nei", "ine"),
        ("$containsi", "icontains"),
        ("startsWith", "starts_with"),
        ("endsWith", "ends_with"),
        ("_and", "and"),
        ("$or", "or"),
        ("__eq", "_eq"),
        ("contains", "contains"),
        ("", ""),
        ("_", ""),
    ],
)
def test_synonyms_are_mapped_and_one_mark_is_dropped(word: str, name: str) -> None:
    assert normalise_word(word) == name


def test_negated_forms_tell_what_they_negate() -> None:
    assert positive_form(normalise_word("_ncontains")) == "contains"
    assert positive_form(normalise_word("notNull")) == "null"
    assert positive_form("nbetween") == "between"
    assert positive_form("eq") is None


@pytest.mark.parametrize(
    ("text", "function", "names"),
    [("a", None, ("a",)), ("a.b.c", None, ("a", "b", "c")), ("year(a.b)", "year", ("a", "b"))],
)
def test_expressions_come_apart(text: str, function: str | None, names: tuple[str, ...]) -> None:
    expression = split_expression(text)
    assert expression is not None
    assert (expression.function, expression.names) == (function, names)


@pytest.mark.parametrize(
    "text", ["", ".", "a.", ".a", "a..b", "a b", "a`b", "f()", "f(a", "f(g(a))", "é", "a\n", "1a", "a" * 500, "f(a)b"]
)
def test_what_is_no_expression_is_none(text: str) -> None:
    assert split_expression(text) is None


# ---------------------------------------------------------------- headers


def test_preferences_are_read_and_unknown_ones_ignored() -> None:
    assert parse_preferences("respond-async, return=minimal; foo=bar").is_minimal
    assert parse_preferences('return="representation"').applied == "return=representation"
    assert parse_preferences("return=maximal").applied is None
    assert parse_preferences("").applied is None


def test_entity_tags_are_read() -> None:
    tags = parse_precondition('"a", W/"b" ,"c,d"')
    assert [(tag.tag, tag.is_weak) for tag in tags.tags] == [("a", False), ("b", True), ("c,d", False)]
    assert tags.matches_strongly("a")
    assert not tags.matches_strongly("b")
    assert tags.matches_weakly("b")
    assert parse_precondition(" * ").is_any


@pytest.mark.parametrize(
    "header",
    [
        "",
        "a",
        '"a',
        '"a" "b"',
        '"a"b',
        "W/a",
        'w/"a"',
        '*, "a"',
        '"a" , x',
        ",",
        '"a\x01"',
        '"' + "x" * 9_000 + '"',
        '"a",' * 200,
    ],
)
def test_malformed_tags_are_a_bad_request(header: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parse_precondition(header)
    assert caught.value.errors[0].header == "If-Match"


@pytest.mark.parametrize(
    "value",
    [
        None,
        "application/json",
        "application/json; charset=utf-8",
        'Application/JSON;charset="UTF-8"',
        "application/merge-patch+json",
    ],
)
def test_json_types_pass(value: str | None) -> None:
    check_content_type(value)


@pytest.mark.parametrize(
    ("kind", "coding"),
    [
        ("text/plain", None),
        ("application/x-www-form-urlencoded", None),
        ("application/json; charset=latin1", None),
        ("", None),
        ("application/json", "gzip"),
        ("application/json", "br, gzip"),
        ("application/json" + ";" * 100_000, None),
    ],
)
def test_other_types_and_codings_are_unsupported(kind: str, coding: str | None) -> None:
    with pytest.raises(UnsupportedMediaType):
        check_content_type(kind, coding)


def test_random_bytes_are_no_cursor() -> None:
    for _ in range(50):
        token = PREFIX + secrets.token_urlsafe(60)
        with pytest.raises(CursorMismatch):
            decode_cursor(token, key=KEY, binding=BINDING)
