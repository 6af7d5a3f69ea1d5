"""Filters become shapes and values: the grammar, every fault at its place, the limits, and the laws of negation."""

from __future__ import annotations

import time
from contextlib import nullcontext
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import BadRequest, QueryTooComplex, ValidationFailed
from engine.language.search import Term
from engine.plan.canonical import canonical_filter
from engine.plan.conditions import plan_filter, plan_query_terms, plan_text_query
from engine.plan.shape import (
    And,
    Condition,
    Const,
    Count,
    Exists,
    FieldLeaf,
    Leaf,
    Or,
    Path,
    PlannedCondition,
    Present,
)
from engine.principal import Account, Principal
from tests.support.conditions import make_context, make_field, make_registry

REGISTRY = make_registry()
PUBLIC = "Zk3_pQ9xR1sT7uVwXyZa0b"
UTC_DAY = (datetime(2026, 1, 1, tzinfo=UTC).replace(tzinfo=None), datetime(2026, 1, 2, tzinfo=UTC).replace(tzinfo=None))


def plan(raw: object, dialect: str = "mariadb", timezone: str = "UTC") -> PlannedCondition:
    return plan_filter(raw, "journal", make_context(REGISTRY, dialect, timezone=timezone))  # type: ignore[arg-type]


def faults_of(raw: object) -> list[tuple[str | None, str]]:
    with pytest.raises(ValidationFailed) as caught:
        plan(raw)
    return [(item.pointer, item.code) for item in caught.value.errors]


def leaf(
    field: str, operator: str, arity: int = 1, *, negated: bool = False, hops: tuple[str, ...] = (), variant: str = ""
) -> Leaf:
    return Leaf(Path(hops, field), operator, arity, negated, None, variant)


@pytest.mark.parametrize(
    ("raw", "shape", "values"),
    [
        ({}, Const(True), ()),
        ({"title": "x"}, leaf("title", "eq"), ("x",)),
        ({"title": None}, leaf("title", "null", 0), ()),
        ({"title": {"eq": None}}, leaf("title", "null", 0), ()),
        ({"title": {"null": False}}, leaf("title", "null", 0, negated=True), ()),
        ({"title": {"notNull": True}}, leaf("title", "null", 0, negated=True), ()),
        ({"title": {"_nnull": False}}, leaf("title", "null", 0), ()),
        ({"title": {"ne": "x"}}, leaf("title", "eq", negated=True), ("x",)),
        ({"title": {"nei": "X"}}, leaf("title", "ieq", negated=True), ("x",)),
        ({"title": ["a", "b", "c"]}, leaf("title", "in", 4), ("a", "b", "c", "c")),
        ({"title": ["a"]}, leaf("title", "eq"), ("a",)),
        ({"title": []}, Const(False), ()),
        ({"title": {"nin": []}}, Const(True), ()),
        ({"title": {"contains": "5%"}}, leaf("title", "contains"), ("%5!%%",)),
        ({"title": {"_ncontains": "x"}}, leaf("title", "contains", negated=True), ("%x%",)),
        ({"title": {"contains": ""}}, leaf("title", "null", 0, negated=True), ()),
        ({"title": {"ncontains": ""}}, leaf("title", "null", 0), ()),
        ({"title": {"not": {"not": {"eq": "x"}}}}, leaf("title", "eq"), ("x",)),
        ({"title": {}}, Const(True), ()),
        ({"not": {}}, Const(False), ()),
        ({"title": "$$now"}, leaf("title", "eq"), ("$now",)),
        ({"title": "$nope"}, leaf("title", "eq"), ("$nope",)),
        ({"title": "$current_user"}, leaf("title", "eq"), ("u" * 22,)),
        ({"n": 5.0}, leaf("n", "eq"), (5,)),
        ({"price": "9.5"}, leaf("price", "eq"), (Decimal("9.5"),)),
        ({"flag": True}, leaf("flag", "eq"), (1,)),
        ({"status": {"in": ["open", "closed"]}}, leaf("status", "in", 2), ("open", "closed")),
        ({"day": "2026-01-01"}, leaf("day", "eq"), (date(2026, 1, 1),)),
        ({"day": "$today"}, leaf("day", "eq"), (date(2026, 11, 24),)),
        ({"seen_on": {"gte": "2026-01-01"}}, leaf("seen_on", "gte"), UTC_DAY[:1]),
        ({"seen_on": {"gt": "2026-01-01"}}, leaf("seen_on", "gte"), UTC_DAY[1:]),
        ({"seen_on": "2026-01-01"}, And((leaf("seen_on", "gte"), leaf("seen_on", "lt"))), UTC_DAY),
        ({"seen_on": {"lt": "2026-01-01T02:00:00+02:00"}}, leaf("seen_on", "lt"), UTC_DAY[:1]),
        ({"seen_on": {"lt": "2026-01-01T00:00:00"}}, leaf("seen_on", "lt"), UTC_DAY[:1]),
        ({"person_id": PUBLIC}, leaf("person_id", "eq"), (PUBLIC,)),
        ({"person.id": PUBLIC}, leaf("id", "eq", hops=("person",)), (PUBLIC,)),
        ({"person": {"id": PUBLIC}}, leaf("id", "eq", hops=("person",)), (PUBLIC,)),
        ({"person": {"name": "x"}}, leaf("name", "eq", hops=("person",)), ("x",)),
        ({"person.name": "x"}, leaf("name", "eq", hops=("person",)), ("x",)),
        ({"person": None}, Present(("person",), True), ()),
        ({"person": {"null": False}}, Present(("person",)), ()),
        ({"not": {"person": {"_nnull": True}}}, Present(("person",), True), ()),
        ({"person": {}}, Const(True), ()),
        ({"entry": {}}, Exists((), "entry", None), ()),
        ({"entry": {"some": {"n": 1}}}, Exists((), "entry", leaf("n", "eq")), (1,)),
        ({"entry": {"none": {"n": 1}}}, Exists((), "entry", leaf("n", "eq"), True), (1,)),
        ({"entry": {"all": {"n": 1}}}, Exists((), "entry", leaf("n", "eq", negated=True), True), (1,)),
        ({"not": {"entry": {"all": {"n": 1}}}}, Exists((), "entry", leaf("n", "eq", negated=True)), (1,)),
        ({"entry": {"all": {}}}, Const(True), ()),
        ({"entry": {"count": 3}}, Count((), "entry", None, "eq", 1), (3,)),
        (
            {"entry": {"count": {"gte": 3, "where": {"n": {"gt": 1}}}}},
            Count((), "entry", leaf("n", "gt"), "gte", 1),
            (1, 3),
        ),
        ({"not": {"entry": {"count": {"ne": 3}}}}, Count((), "entry", None, "eq", 1), (3,)),
        (
            {"title": {"eq": {"field": "person.name"}}},
            FieldLeaf(Path((), "title"), "eq", Path(("person",), "name")),
            (),
        ),
        ({"tags": {"has": 1}}, leaf("tags", "has", variant="num"), (1,)),
        ({"tags": {"json": {"a[0]": "x"}}}, leaf("tags", "json", 3, variant="eq:any:1"), ('$."a"[0]', '$."a"', '"x"')),
        ({"n": {"between": [1, 5]}}, leaf("n", "between", 2), (1, 5)),
        ({"length(title)": {"gt": 3}}, Leaf(Path((), "title", "length"), "gt", 1), (3,)),
        ({"and": []}, Const(True), ()),
        ({"or": []}, Const(False), ()),
        ({"not": {"or": []}}, Const(True), ()),
        ({"$or": [{"n": 1}, {"n": 2}]}, Or((leaf("n", "eq"), leaf("n", "eq"))), (1, 2)),
        (
            {"not": {"or": [{"n": 1}, {"title": {"ne": "x"}}]}},
            And((leaf("n", "eq", negated=True), leaf("title", "eq"))),
            (1, "x"),
        ),
    ],
    ids=str,
)
def test_a_filter_becomes_a_shape_and_values(raw: object, shape: Condition, values: tuple[object, ...]) -> None:
    planned = plan(raw)
    assert (planned.shape, planned.values) == (shape, values)


def test_a_year_is_a_range_that_an_index_can_serve() -> None:
    expected = And((leaf("seen_on", "gte"), leaf("seen_on", "lt")))
    planned = plan({"year(seen_on)": 2026}, timezone="Europe/Berlin")
    start = datetime(2025, 12, 31, 23, tzinfo=UTC).replace(tzinfo=None)
    assert planned == PlannedCondition(expected, (start, start.replace(year=2026)))
    assert plan({"year(day)": {"gt": 2026}}).values == (date(2027, 1, 1),)
    assert plan({"year(seen_on)": 20_000}).shape == Leaf(Path((), "seen_on", "year"), "eq", 1)


def test_functions_carry_their_zone_only_where_it_matters() -> None:
    assert plan({"hour(seen_on)": 5}, timezone="Europe/Berlin").shape == Leaf(
        Path((), "seen_on", "hour"), "eq", 1, False, "Europe/Berlin"
    )
    assert plan({"hour(seen_on)": 5}).shape == Leaf(Path((), "seen_on", "hour"), "eq", 1)
    assert plan({"week(day)": 5}, timezone="Europe/Berlin").shape == Leaf(Path((), "day", "week"), "eq", 1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$now", "2026-11-24T12:00:00"),
        ("$now(-7 days)", "2026-11-17T12:00:00"),
        ("$now(+1 hour)", "2026-11-24T13:00:00"),
        ("$now(-1 month)", "2026-10-24T12:00:00"),
        ("$today", "2026-11-24T00:00:00"),
        ("$week_start", "2026-11-23T00:00:00"),
        ("$month_start", "2026-11-01T00:00:00"),
        ("$month_start(-1)", "2026-10-01T00:00:00"),
        ("$month_start(-12)", "2025-11-01T00:00:00"),
        ("$month_start(2)", "2027-01-01T00:00:00"),
        ("$year_start", "2026-01-01T00:00:00"),
        ("$year_start(-1)", "2025-01-01T00:00:00"),
    ],
)
def test_macros_are_times(text: str, expected: str) -> None:
    assert plan({"seen_on": {"gte": text}}).values == (datetime.fromisoformat(expected),)


def test_days_of_macros_begin_in_the_time_zone() -> None:
    assert plan({"seen_on": {"gte": "$today"}}, timezone="Pacific/Auckland").values == (
        datetime(2026, 11, 24, 11, tzinfo=UTC).replace(tzinfo=None),
    )


def test_the_caller_of_several_accounts_is_nobody_to_the_account_macro() -> None:
    for count, expected in ((1, "a" * 22), (2, "-" * 22), (0, "-" * 22)):
        accounts = tuple(Account(index, "a" * 22) for index in range(count))
        caller = Principal("user", subject=None, accounts=accounts, scopes=frozenset({"*:*"}))
        context = make_context(REGISTRY, principal=caller)
        assert plan_filter({"title": "$current_account"}, "journal", context).values == (expected,)


# ---------------------------------------------------------------- faults


@pytest.mark.parametrize(
    ("raw", "pointer", "code"),
    [
        ({"titel": 1}, "/filter/titel", "unknown-field"),
        ({"secret": "x"}, "/filter/secret", "unknown-field"),
        ({"person.secret": "x"}, "/filter/person.secret", "unknown-field"),
        ({"person": {"secret": "x"}}, "/filter/person/secret", "unknown-field"),
        ({"entry": {"any": {"nope": 1}}}, "/filter/entry/any/nope", "unknown-field"),
        ({"entry": {"count": {"gte": 1, "where": {"nope": 1}}}}, "/filter/entry/count/where/nope", "unknown-field"),
        ({"entry.title": "x"}, "/filter/entry.title", "unknown-field"),
        ({"title": {"regex": "a"}}, "/filter/title/regex", "unknown-field"),
        ({"n": {"contains": "1"}}, "/filter/n/contains", "unknown-field"),
        ({"person_id": {"gt": PUBLIC}}, "/filter/person_id/gt", "unknown-field"),
        ({"year(title)": 1}, "/filter/year(title)", "unknown-field"),
        ({"nope(title)": 1}, "/filter/nope(title)", "unknown-field"),
        ({"title ": 1}, "/filter/title ", "unknown-field"),
        ({"TITLE": 1}, "/filter/TITLE", "unknown-field"),
        ({"a/b~": 1}, "/filter/a~1b~0", "unknown-field"),
        ({"or": [{"title": "x"}, {"nope": 1}]}, "/filter/or/1/nope", "unknown-field"),
        ({"title": 5}, "/filter/title", "type-mismatch"),
        ({"title": {"eq": ["a"]}}, "/filter/title/eq", "type-mismatch"),
        ({"title": {"contains": None}}, "/filter/title/contains", "type-mismatch"),
        ({"title": {"null": "true"}}, "/filter/title/null", "type-mismatch"),
        ({"title": {"gt": None}}, "/filter/title/gt", "bad-operand"),
        ({"title": {"gt": {"x": 1}}}, "/filter/title/gt", "type-mismatch"),
        ({"title": {"eq": {"field": "nope"}}}, "/filter/title/eq", "unknown-field"),
        ({"title": {"eq": {"field": "secret"}}}, "/filter/title/eq", "unknown-field"),
        ({"title": {"eq": {"field": "n"}}}, "/filter/title/eq", "bad-operand"),
        ({"title": {"contains": {"field": "title"}}}, "/filter/title/contains", "type-mismatch"),
        ({"title": {"in": "a"}}, "/filter/title/in", "type-mismatch"),
        ({"title": {"in": ["a", None]}}, "/filter/title/in", "bad-operand"),
        ({"title": ["a", 1]}, "/filter/title", "type-mismatch"),
        ({"title": "$now"}, "/filter/title", "bad-operand"),
        ({"n": "5"}, "/filter/n", "type-mismatch"),
        ({"n": True}, "/filter/n", "type-mismatch"),
        ({"n": 1.5}, "/filter/n", "type-mismatch"),
        ({"n": 2**63}, "/filter/n", "out-of-range"),
        ({"big": -(2**63) - 1}, "/filter/big", "out-of-range"),
        ({"big": 10**300}, "/filter/big", "out-of-range"),
        ({"n": {"between": [5, 1]}}, "/filter/n/between", "bad-operand"),
        ({"n": {"between": [5]}}, "/filter/n/between", "type-mismatch"),
        ({"n": {"between": [None, 5]}}, "/filter/n/between", "bad-operand"),
        ({"price": {"between": ["10.00", "9.50"]}}, "/filter/price/between", "bad-operand"),
        ({"price": 9.5}, "/filter/price", "type-mismatch"),
        ({"price": "1.005"}, "/filter/price", "out-of-range"),
        ({"ratio": "1"}, "/filter/ratio", "type-mismatch"),
        ({"flag": 1}, "/filter/flag", "type-mismatch"),
        ({"status": "nope"}, "/filter/status", "not-in-enum"),
        ({"status": {"in": ["open", "nope"]}}, "/filter/status/in", "not-in-enum"),
        ({"day": "0000-00-00"}, "/filter/day", "type-mismatch"),
        ({"day": "2026-02-30"}, "/filter/day", "type-mismatch"),
        ({"seen_on": "10000-01-01"}, "/filter/seen_on", "type-mismatch"),
        ({"seen_on": "9999-12-31T23:59:60Z"}, "/filter/seen_on", "type-mismatch"),
        ({"seen_on": "2026-01-01T00:00:00+99:99"}, "/filter/seen_on", "type-mismatch"),
        ({"seen_on": "infinity"}, "/filter/seen_on", "type-mismatch"),
        ({"seen_on": 5}, "/filter/seen_on", "type-mismatch"),
        ({"seen_on": "$year_start(-9999)"}, "/filter/seen_on", "out-of-range"),
        ({"at": "$today"}, "/filter/at", "bad-operand"),
        ({"id": 5}, "/filter/id", "type-mismatch"),
        ({"id": "short"}, "/filter/id", "bad-operand"),
        ({"person_id": 7_000_000_001}, "/filter/person_id", "type-mismatch"),
        ({"person_id": {"in": [PUBLIC, 0]}}, "/filter/person_id/in", "type-mismatch"),
        ({"person": PUBLIC}, "/filter/person", "type-mismatch"),
        ({"person": {"null": 1}}, "/filter/person/null", "type-mismatch"),
        ({"entry": None}, "/filter/entry", "type-mismatch"),
        ({"entry": {"any": {}, "title": "x"}}, "/filter/entry/title", "unknown-field"),
        ({"entry": {"count": {}}}, "/filter/entry/count", "required"),
        ({"entry": {"count": "3"}}, "/filter/entry/count", "type-mismatch"),
        ({"entry": {"count": {"gte": 1.5}}}, "/filter/entry/count/gte", "type-mismatch"),
        ({"entry": {"count": {"contains": 1}}}, "/filter/entry/count/contains", "unknown-field"),
        ({"entry": {"any": []}}, "/filter/entry/any", "type-mismatch"),
        ({"and": {}}, "/filter/and", "type-mismatch"),
        ({"not": []}, "/filter/not", "type-mismatch"),
        ([], "/filter", "type-mismatch"),
        ({"tags": {"json": {"a..b": 1}}}, "/filter/tags/json", "bad-operand"),
        ({"tags": {"json": {'a"b': 1}}}, "/filter/tags/json", "bad-operand"),
        ({"tags": {"json": []}}, "/filter/tags/json", "type-mismatch"),
        ({"tags": {"json": {"a": {"regex": "x"}}}}, "/filter/tags/json", "unknown-field"),
        ({"tags": {"has": [1]}}, "/filter/tags/has", "type-mismatch"),
        ({"tags": {"has": None}}, "/filter/tags/has", "type-mismatch"),
        ({"tags": {"has": 2**63}}, "/filter/tags/has", "out-of-range"),
        ({"tags": {"length": "3"}}, "/filter/tags/length", "type-mismatch"),
        ({"tags": {"length": {"contains": 3}}}, "/filter/tags/length", "bad-operand"),
        ({"tags": {"gt": 3}}, "/filter/tags/gt", "unknown-field"),
    ],
    ids=str,
)
def test_a_fault_stands_at_its_place(raw: object, pointer: str, code: str) -> None:
    assert faults_of(raw) == [(pointer, code)]


def test_all_faults_come_at_once() -> None:
    raw = {"titel": 1, "n": "5", "or": [{"flag": 1}, {"person": {"nam": "x"}}], "title": {"nope": 1, "contains": 5}}
    assert faults_of(raw) == [
        ("/filter/titel", "unknown-field"),
        ("/filter/n", "type-mismatch"),
        ("/filter/or/0/flag", "type-mismatch"),
        ("/filter/or/1/person/nam", "unknown-field"),
        ("/filter/title/nope", "unknown-field"),
        ("/filter/title/contains", "type-mismatch"),
    ]


def test_suggestions_never_name_what_the_caller_may_not_see() -> None:
    with pytest.raises(ValidationFailed) as caught:
        plan({"secre": 1, "titel": 1})
    first, second = caught.value.errors
    assert first.suggestions == ()
    assert second.suggestions == ("title",)
    with pytest.raises(ValidationFailed) as hidden:
        plan({"secret": 1})
    with pytest.raises(ValidationFailed) as unknown:
        plan({"sekret": 1})
    assert hidden.value.detail.replace("secret", "sekret") == unknown.value.detail


def test_an_operator_that_the_registry_does_not_name_is_unknown() -> None:
    registry = make_registry(make_field("code", "string", operators=("eq", "ne")))
    context = make_context(registry)
    plan_filter({"code": {"ne": "x"}}, "journal", context)
    for raw in ({"code": {"contains": "x"}}, {"code": ["x", "y"]}, {"lower(code)": {"contains": "x"}}):
        with pytest.raises(ValidationFailed) as caught:
            plan_filter(raw, "journal", context)
        assert caught.value.code == "unknown-field"


def test_a_parameter_is_named_in_place_of_a_pointer() -> None:
    with pytest.raises(ValidationFailed) as caught:
        plan_filter({"n": "5"}, "journal", make_context(REGISTRY), parameter="filter")
    assert (caught.value.errors[0].parameter, caught.value.errors[0].pointer) == ("filter", None)


# ---------------------------------------------------------------- limits


def nested(levels: int) -> object:
    raw: object = {"title": "x"}
    for _ in range(levels):
        raw = {"not": raw}
    return raw


def nested_relations(levels: int) -> object:
    raw: object = {"title": "x"}
    for level in range(levels):
        raw = {"journal" if level % 2 else "entry": raw}
    return raw if levels % 2 else {"entry": raw}


@pytest.mark.parametrize(
    ("raw", "limit"),
    [
        (nested(11), "depth"),
        (nested(1_000), "depth"),
        ({"title": {"not": {"not": nested(20)}}}, "depth"),
        ({"or": [{"title": "x"}] * 201}, "leaves"),
        ({"or": [{}] * 5_000}, "leaves"),
        ({"or": [{"title": "x"}] * 5_000}, "leaves"),
        ({"title": {"or": [{"eq": "x"}] * 5_000}}, "leaves"),
        ({"tags": {"json": {"a": {"or": [1] * 5_000}}}}, "leaves"),
        ({"title": [str(index) for index in range(1_001)]}, "in"),
        ({"title": ["x"] * 100_000}, "in"),
        ({"tags": {"has_any": ["x"] * 100_000}}, "in"),
        ({"entry": {"count": {"in": [1] * 100_000}}}, "in"),
        (
            {
                "entry": {
                    "any": {"journal.person.id": PUBLIC, "journal": {"entry": {"journal": {"person": {"name": "x"}}}}}
                }
            },
            "hops",
        ),
        ({"entry": {"any": {"journal.entry": {"any": {"journal.entry": {"none": {"title": "x"}}}}}}}, "hops"),
        ({"not": {".".join(["person"] * 9): {"null": True}}}, "hops"),
    ],
)
def test_a_filter_beyond_a_limit_is_refused_quickly_and_told_which_however_often_it_comes(
    raw: object, limit: str
) -> None:
    for _ in range(2):
        began = time.process_time()
        with pytest.raises(QueryTooComplex) as caught:
            plan(raw)
        assert time.process_time() - began < 0.05
        assert f"`{limit}`" in caught.value.detail


@pytest.mark.parametrize(
    ("raw", "is_refused"),
    [
        ({"or": [{"nope": index} for index in range(5_000)]}, True),
        ({f"nope{index}": index for index in range(5_000)}, True),
        ({"and": [5] * 5_000}, True),
        ({"title": {f"op{index}": 1 for index in range(5_000)}}, True),
        ({"or": [{"and": []}] * 5_000}, False),
        ({"x" * 200_000: 1}, True),
        ({"title": "x" * 200_000}, False),
        ({"title": {"like": "%a" * 100_000}}, True),
        ({".".join(["person"] * 50_000): 1}, True),
        ({"tags": {"json": {"a" * 200_000: 1}}}, True),
        ({"tags": {"json": {f"a{index}": 1 for index in range(5_000)}}}, True),
    ],
)
def test_hostile_filters_cost_little(raw: object, is_refused: bool) -> None:
    spent: list[float] = []
    for _ in range(3):  # the best of three: what else the machine does is none of the planner's cost
        began = time.thread_time()
        with pytest.raises(ValidationFailed) if is_refused else nullcontext() as caught:
            plan(raw)
        spent.append(time.thread_time() - began)
        assert caught is None or len(caught.value.errors) <= 100
    assert min(spent) < 0.05


def test_filters_within_the_limits_pass() -> None:
    plan(nested(10))
    plan({"or": [{"title": "x"}] * 200})
    plan({"title": [str(index) for index in range(1_000)]})
    plan({"entry": {"journal": {"entry": {"journal": {"title": "x"}}}}})


# ---------------------------------------------------------------- laws

LEAVES = st.sampled_from(
    [
        {"title": "x"},
        {"title": {"contains": "a"}},
        {"n": {"gt": 1}},
        {"title": None},
        {"n": [1, 2, 3]},
        {"seen_on": "2026-01-01"},
        {"person.name": {"ieq": "X"}},
        {"person": None},
        {"entry": {"any": {"n": 1}}},
        {"entry": {"all": {"n": {"lt": 2}}}},
        {"entry": {"count": {"gte": 2, "where": {"title": "x"}}}},
        {"tags": {"has_all": ["a", 1]}},
        {"year(seen_on)": {"ne": 2026}},
        {"title": {"nbetween": ["a", "b"]}},
        {"n": {"nin": []}},
        {"title": {"eq": {"field": "body"}}},
        {},
        {"status": {"ne": "open"}},
        {"tags": {"json": {"a": {"gt": 1, "ne": "x"}}}},
        {"title": {"_ncontains": "q", "nnull": True}},
        {"person": {"name": "x", "age": 3}},
    ]
)
FILTERS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        inner.map(lambda one: {"not": one}),
        st.lists(inner, max_size=3).map(lambda parts: {"and": parts}),
        st.lists(inner, max_size=3).map(lambda parts: {"or": parts}),
        inner.map(lambda one: {"person.name": "y", "not": one}),
    ),
    max_leaves=6,
)


def within_depth(raw: object) -> PlannedCondition | None:
    try:
        return plan(raw)
    except QueryTooComplex:
        return None


@given(FILTERS)
def test_twice_negated_is_the_filter_itself(raw: object) -> None:
    twice = within_depth({"not": {"not": raw}})
    if twice is not None:
        assert twice == plan(raw)


@given(FILTERS)
def test_the_canonical_form_means_the_same(raw: object) -> None:
    planned = within_depth(raw)
    if planned is None:
        return
    canonical = canonical_filter(raw, "journal", make_context(REGISTRY, "mariadb"))
    again = within_depth(canonical)
    if again is not None:
        assert flatten(again.shape) == flatten(planned.shape)
        assert again.values == planned.values
        assert canonical_filter(canonical, "journal", make_context(REGISTRY, "mariadb")) == canonical


def flatten(shape: Condition) -> object:
    """A shape without the nesting of equal connectives, which means nothing."""
    if isinstance(shape, And | Or):
        parts: list[object] = []
        for part in shape.parts:
            if isinstance(part, type(shape)):
                inner = flatten(part)
                parts.extend(inner[1] if isinstance(inner, tuple) and inner[0] is type(shape) else [inner])
            else:
                parts.append(flatten(part))
        return type(shape), parts
    return shape


@given(FILTERS)
def test_values_are_as_many_as_the_shape_takes(raw: object) -> None:
    planned = within_depth(raw)
    if planned is not None:
        assert arity(planned.shape) == len(planned.values)


def arity(shape: Condition | None) -> int:
    match shape:
        case Leaf():
            return shape.arity
        case And() | Or():
            return sum(arity(part) for part in shape.parts)
        case Exists():
            return arity(shape.condition)
        case Count():
            return arity(shape.condition) + shape.arity
        case _:
            return 0


# ---------------------------------------------------------------- query strings and q


def query(*terms: tuple[str, str]) -> PlannedCondition:
    return plan_query_terms([Term(*term) for term in terms], "journal", make_context(REGISTRY, "mariadb"))


def test_parameters_become_what_the_same_filter_becomes() -> None:
    assert query(("title", "x"), ("n.gte", "5")) == plan({"title": "x", "n": {"gte": 5}})
    assert query(("n.in", "1,2,3")) == plan({"n": [1, 2, 3]})
    assert query(("n.between", "1,5")) == plan({"n": {"between": [1, 5]}})
    assert query(("title.null", "true")) == plan({"title": None})
    assert query(("title.nnull", "true")) == plan({"title": {"null": False}})
    assert query(("flag", "false")) == plan({"flag": False})
    assert query(("ratio.lt", "1.5")) == plan({"ratio": {"lt": 1.5}})
    assert query(("price", "9.50")) == plan({"price": "9.50"})
    assert query(("person.name.icontains", "A,b")) == plan({"person.name": {"icontains": "A,b"}})
    assert query(("person_id", PUBLIC)) == plan({"person_id": PUBLIC})
    assert query(("seen_on.gte", "$month_start")) == plan({"seen_on": {"gte": "$month_start"}})
    assert query(("tags.length", "3")) == plan({"tags": {"length": 3}})
    assert query(("year(seen_on)", "2026")) == plan({"year(seen_on)": 2026})
    assert query(("status.in", "open,closed")) == plan({"status": ["open", "closed"]})


@pytest.mark.parametrize(
    "name", ["nope", "secret", "secret.contains", "title.nope", "entry.title", "person", "title.", ".title", "a b", ""]
)
def test_an_unknown_parameter_is_a_bad_request_that_says_which_were_possible(name: str) -> None:
    with pytest.raises(BadRequest) as caught:
        query((name, "x"))
    assert "title" in caught.value.detail
    assert "limit" in caught.value.detail
    assert ", secret" not in caught.value.detail


@pytest.mark.parametrize(
    ("name", "text", "code"),
    [
        ("n", "x", "type-mismatch"),
        ("n.in", "1,x", "type-mismatch"),
        ("n", "1.5", "type-mismatch"),
        ("n", "9" * 300, "out-of-range"),
        ("flag", "yes", "type-mismatch"),
        ("title.null", "perhaps", "type-mismatch"),
        ("status", "nope", "not-in-enum"),
        ("id", "5", "bad-operand"),
        ("n.contains", "5", "unknown-field"),
        ("n.between", "5", "type-mismatch"),
        ("seen_on", "soon", "type-mismatch"),
    ],
)
def test_a_wrong_value_of_a_parameter_names_it(name: str, text: str, code: str) -> None:
    with pytest.raises(ValidationFailed) as caught:
        query((name, text))
    (item,) = caught.value.errors
    assert (item.parameter, item.pointer, item.code) == (name, None, code)


def test_q_wants_every_word_in_some_text_field() -> None:
    context = make_context(REGISTRY, "mariadb")
    either = Or((leaf("title", "icontains"), leaf("body", "icontains")))
    assert plan_text_query("Field", "journal", context) == PlannedCondition(either, ("%field%", "%field%"))
    planned = plan_text_query('tax "Two Words" 5%', "journal", context)
    assert planned.shape == And((either, either, either))
    assert planned.values == ("%tax%", "%tax%", "%two words%", "%two words%", "%5!%%", "%5!%%")
    assert plan_text_query('  ""  ', "journal", context) == PlannedCondition(Const(True), ())


def test_q_looks_into_no_field_that_the_caller_cannot_see() -> None:
    registry = make_registry(make_field("hint", "string", hidden=True, searchable=True))
    planned = plan_text_query("x", "journal", make_context(registry))
    assert "hint" not in str(planned.shape)


def test_q_of_too_many_words_is_refused() -> None:
    with pytest.raises(QueryTooComplex):
        plan_text_query("x " * 400, "journal", make_context(REGISTRY))
