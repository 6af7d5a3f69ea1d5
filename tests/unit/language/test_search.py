"""Search bodies and query strings: every key, every fault at its place."""

from __future__ import annotations

import time
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import BadRequest, ValidationFailed
from engine.language.query import parse_query, read_flags, split_query, split_term
from engine.language.search import EMPTY_SEARCH, ExpandNode, SearchBody, Term, parse_search, read_sort_key
from engine.registry.resource import SortKey


def pointers_of(raw: object) -> list[tuple[str | None, str]]:
    with pytest.raises(ValidationFailed) as caught:
        parse_search(raw)
    return [(item.pointer, item.code) for item in caught.value.errors]


def test_an_empty_body_asks_for_everything() -> None:
    assert parse_search({}) == EMPTY_SEARCH
    assert parse_search({"filter": None, "limit": None, "cursor": None, "offset": None}) == EMPTY_SEARCH


def test_a_whole_body_is_read() -> None:
    body = parse_search(
        {
            "filter": {"title": "x"},
            "q": "a b",
            "fields": ["id", "-title", "*", "account.name"],
            "expand": {"entry": {"fields": ["id"], "sort": ["-n:nulls_last"], "limit": 3, "expand": ["file.owner"]}},
            "sort": ["-created_on", "lower(title)", "-count(entry)"],
            "limit": 0,
            "offset": 5,
            "count": "estimated",
            "deleted": "only",
            "timezone": "Europe/Berlin",
            "explain": True,
        }
    )
    owner = ExpandNode("owner", "/expand/entry/expand/0")
    assert body == SearchBody(
        filter={"title": "x"},
        q="a b",
        fields=("id", "-title", "*", "account.name"),
        expand=(
            ExpandNode(
                "entry",
                "/expand/entry",
                fields=("id",),
                sort=(SortKey("n", True, True),),
                limit=3,
                children=(ExpandNode("file", "/expand/entry/expand/0", children=(owner,)),),
            ),
        ),
        sort=(SortKey("created_on", True), SortKey("lower(title)"), SortKey("count(entry)", True)),
        limit=0,
        offset=5,
        count="estimated",
        deleted="only",
        timezone="Europe/Berlin",
        explain=True,
    )


def test_paths_of_an_expand_list_become_one_tree() -> None:
    (account, entry) = parse_search({"expand": ["account", "entry.file", "entry.author"]}).expand
    assert (account.relation, account.children) == ("account", ())
    assert [child.relation for child in entry.children] == ["file", "author"]


@pytest.mark.parametrize(
    ("key", "value", "code"),
    [
        ("limit", "10", "type-mismatch"),
        ("limit", 1.5, "type-mismatch"),
        ("limit", True, "type-mismatch"),
        ("limit", -1, "out-of-range"),
        ("offset", "0", "type-mismatch"),
        ("offset", -1, "out-of-range"),
        ("offset", "1; DROP TABLE x", "type-mismatch"),
        ("cursor", 5, "type-mismatch"),
        ("count", "all", "not-in-enum"),
        ("count", True, "type-mismatch"),
        ("deleted", "yes", "not-in-enum"),
        ("timezone", "Mars/Olympus", "bad-operand"),
        ("timezone", "../../etc/passwd", "bad-operand"),
        ("timezone", "America", "bad-operand"),
        ("timezone", 5, "type-mismatch"),
        ("explain", "true", "type-mismatch"),
        ("filter", [], "type-mismatch"),
        ("q", 5, "type-mismatch"),
        ("q", "x" * 2_000, "too-long"),
        ("fields", "id", "type-mismatch"),
        ("expand", "entry", "type-mismatch"),
        ("sort", {}, "type-mismatch"),
        ("group_by", ["x"], "unknown-field"),
        ("aggregate", {}, "unknown-field"),
        ("having", {}, "unknown-field"),
        ("limti", 5, "unknown-field"),
    ],
)
def test_a_wrong_value_is_refused_at_its_key(key: str, value: object, code: str) -> None:
    assert pointers_of({key: value}) == [(f"/{key}", code)]


def test_all_faults_come_at_once_with_their_places() -> None:
    raw = {
        "limit": "5",
        "sort": ["a b", 5],
        "expand": {"entry": {"limit": -1, "nope": 1}, "a.b": {}},
        "fields": ["id", 7],
    }
    assert pointers_of(raw) == [
        ("/limit", "type-mismatch"),
        ("/sort/0", "bad-operand"),
        ("/sort/1", "type-mismatch"),
        ("/expand/entry/limit", "out-of-range"),
        ("/expand/entry/nope", "unknown-field"),
        ("/expand/a.b", "unknown-field"),
        ("/fields/1", "type-mismatch"),
    ]


def test_an_unknown_key_says_what_was_meant() -> None:
    with pytest.raises(ValidationFailed) as caught:
        parse_search({"filtr": {}})
    assert caught.value.errors[0].suggestions == ("filter",)
    assert caught.value.code == "unknown-field"


def test_offset_and_cursor_exclude_each_other() -> None:
    assert pointers_of({"offset": 0, "cursor": "c1.x"}) == [("/offset", "bad-operand")]


@pytest.mark.parametrize("raw", [None, [], "x", 5])
def test_a_body_that_is_no_object_is_refused(raw: object) -> None:
    assert pointers_of(raw) == [("", "type-mismatch")]


def test_deep_and_wide_expands_are_refused_quickly() -> None:
    deep: object = []
    for _ in range(45):
        deep = {"entry": {"expand": deep}}
    began = time.process_time()
    assert pointers_of({"expand": deep})[0][1] == "too-complex"
    assert pointers_of({"expand": {f"r{index}": {} for index in range(5_000)}})[0][1] == "too-complex"
    assert pointers_of({"expand": ["a"] * 5_000})[0][1] == "too-complex"
    assert time.process_time() - began < 0.05


@pytest.mark.parametrize(
    "text", ["", "-", "a b", "a:nulls", "a:", "f(a", "a)", "1a", "a..b", "--a", "a" * 500, "f(g(a))"]
)
def test_what_is_no_sort_key_is_refused(text: str) -> None:
    assert read_sort_key(text) is None


# ---------------------------------------------------------------- query strings


def test_a_query_string_says_the_same_as_a_body() -> None:
    body = parse_query(
        "status=open&created_on.gte=2026-01-01&title.icontains=a+b%26c&sort=-created_on,title&fields=id,title"
        "&expand=account,entry.file&limit=20&count=exact&q=%22two%20words%22&deleted=include&timezone=Europe%2FBerlin&explain=true"
    )
    assert body.terms == (
        Term("status", "open"),
        Term("created_on.gte", "2026-01-01"),
        Term("title.icontains", "a b&c"),
    )
    assert body.sort == (SortKey("created_on", True), SortKey("title"))
    assert (body.fields, body.limit, body.count, body.q) == (("id", "title"), 20, "exact", '"two words"')
    assert [node.relation for node in body.expand] == ["account", "entry"]
    assert (body.deleted, body.timezone, body.explain, body.is_query) == ("include", "Europe/Berlin", True, True)


def test_the_filter_parameter_takes_json() -> None:
    assert parse_query("filter=%7B%22title%22%3A%22x%22%7D").filter == {"title": "x"}
    with pytest.raises(BadRequest):
        parse_query("filter={title")
    with pytest.raises(ValidationFailed):
        parse_query("filter=[1]")
    with pytest.raises(ValidationFailed):
        parse_query('filter={"a":NaN}')


@pytest.mark.parametrize(
    "query",
    [
        "limit=ten",
        "limit=1.5",
        "limit=-1",
        "limit=",
        "limit=٣",
        "limit=1e3",
        "offset=x",
        "count=all",
        "deleted=1",
        "timezone=X/Y",
        "explain=maybe",
        "sort=a%20b",
        "expand=a%20b",
        "offset=1&cursor=x",
        "q=" + "x" * 2_000,
    ],
)
def test_a_wrong_value_names_its_parameter(query: str) -> None:
    with pytest.raises(ValidationFailed) as caught:
        parse_query(query)
    assert caught.value.errors[0].parameter == query.partition("=")[0]
    assert caught.value.errors[0].pointer is None


@pytest.mark.parametrize(
    "query",
    [
        "a=1&a=2",
        "a=1&%61=2",
        "a=%ff",
        "%c3=1",
        "a=%00",
        "&".join(f"a{index}=1" for index in range(300)),
        "a=" + "x" * 70_000,
    ],
    ids=["twice", "twice, escaped", "bad UTF-8", "bad UTF-8 name", "NUL", "too many", "too long"],
)
def test_a_query_string_that_cannot_be_parsed_is_a_bad_request(query: str) -> None:
    with pytest.raises(BadRequest):
        split_query(query)


def test_raw_bytes_of_a_query_are_read_as_utf8() -> None:
    assert split_query("title=é%C3%A9".encode()) == [("title", "éé")]
    assert split_query(b"a=1&&b&=c") == [("a", "1"), ("b", ""), ("", "c")]
    with pytest.raises(BadRequest):
        split_query(b"a=\xff")


@given(st.lists(st.tuples(st.text(min_size=1), st.text()), max_size=5, unique_by=lambda pair: pair[0]))
def test_what_a_client_encodes_comes_back(pairs: list[tuple[str, str]]) -> None:

    try:
        query = urlencode(pairs)
    except UnicodeEncodeError:
        return
    if any("\0" in part for pair in pairs for part in pair):
        return
    assert split_query(query) == pairs


def test_flags_outside_the_list_say_which_were_possible() -> None:
    assert read_flags("hard=true", ("hard", "validate_only")) == {"hard": "true"}
    with pytest.raises(BadRequest) as caught:
        read_flags("hrad=true", ("hard", "validate_only"))
    assert "hard, validate_only" in caught.value.detail
    assert caught.value.errors[0].suggestions == ("hard",)


def test_a_field_wins_over_an_operator_of_the_same_name() -> None:
    fields = {"created_on", "person.name", "meta.gte", "meta"}
    operators = {"gte", "eq"}

    def split(parameter: str) -> tuple[str, str] | None:
        return split_term(parameter, fields.__contains__, operators.__contains__)

    assert split("created_on.gte") == ("created_on", "gte")
    assert split("person.name") == ("person.name", "eq")
    assert split("person.name.eq") == ("person.name", "eq")
    assert split("meta.gte") == ("meta.gte", "eq")
    assert split("created_on.nope") is None
    assert split("gte") is None
