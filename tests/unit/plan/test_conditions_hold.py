"""Whatever a caller sends as a search, he gets a plan or a refusal of ours, and never a fault of ours."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

import orjson
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import Problem
from engine.language.query import parse_query
from engine.language.search import parse_search
from engine.operators import OPERATORS
from engine.plan.canonical import canonical_filter
from engine.plan.conditions import plan_filter, plan_query_terms, plan_text_query
from engine.plan.shape import Dialect
from engine.sql.statement import compile_statement
from tests.support.conditions import make_context, make_registry, make_scope

REGISTRY = make_registry()
FIELDS = [
    *REGISTRY.types["journal"].fields,
    "person",
    "entry",
    "person.name",
    "year(seen_on)",
    "length(title)",
    "lower(title)",
    "date(seen_on)",
    "hour(at)",
    "nope",
    "person.id",
    "entry.title",
    "journal",
]
WORDS = [
    *OPERATORS,
    "and",
    "or",
    "not",
    "any",
    "all",
    "none",
    "count",
    "where",
    "field",
    "_eq",
    "$nin",
    "ncontains",
    "notNull",
    "",
    "_",
]
KEYS = st.sampled_from([*FIELDS, *WORDS]) | st.text(max_size=4)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-5, 5)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(
        [
            "",
            "a",
            "2026-01-01",
            "2026-01-01T00:00:00Z",
            "0001-01-01",
            "9999-12-31",
            "$now",
            "$today(-9999999)",
            "$$x",
            "Zk3_pQ9xR1sT7uVwXyZa0b",
            "open",
            "9.50",
            "12:00:00",
            "%\\",
            "$month_start(-1)",
            "title",
        ]
    )
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)
FILTERS = st.dictionaries(KEYS, VALUES, max_size=3)


def refusal_of(work: Callable[[], object]) -> Problem | None:
    """The refusal that some work ends with, if it does; whatever else it raises is a fault of ours."""
    try:
        work()
    except Problem as problem:
        return problem
    return None


@given(FILTERS, st.sampled_from(["mariadb", "sqlite"]), st.sampled_from(["UTC", "Europe/Berlin", "Pacific/Kiritimati"]))
def test_any_json_as_a_filter_is_planned_and_compiled_or_refused(raw: object, dialect: Dialect, zone: str) -> None:
    context = make_context(REGISTRY, dialect, timezone=zone)
    problem = refusal_of(lambda: plan_filter(raw, "journal", context))
    if problem is not None:
        assert problem.status == 422
        assert all(item.pointer is not None and item.pointer.startswith("/filter") for item in problem.errors)
        return
    planned = plan_filter(raw, "journal", context)
    canonical_filter(raw, "journal", context)
    statement = compile_statement(make_scope(REGISTRY, dialect).condition(planned.shape), dialect)
    statement.arrange({f"v{index}": value for index, value in enumerate(planned.values)})
    if dialect == "sqlite":
        assert all(isinstance(value, str | int | float) for value in planned.values)


@given(
    VALUES
    | st.dictionaries(
        st.sampled_from(
            [
                "filter",
                "q",
                "fields",
                "expand",
                "sort",
                "limit",
                "offset",
                "cursor",
                "count",
                "deleted",
                "timezone",
                "explain",
                "nope",
            ]
        ),
        VALUES,
        max_size=4,
    )
)
def test_any_json_as_a_search_body_is_read_or_refused(raw: object) -> None:
    problem = refusal_of(lambda: parse_search(raw))
    if problem is not None:
        assert problem.status == 422
        assert all(item.pointer is not None for item in problem.errors)
        orjson.dumps([item.pointer for item in problem.errors])


@given(st.binary(max_size=40) | st.text('abtilefrso=&%20+.,{}":[]', max_size=40).map(str.encode))
def test_any_bytes_as_a_query_string_are_read_or_refused(raw: bytes) -> None:
    context = make_context(REGISTRY)

    def work() -> None:
        body = parse_query(raw)
        plan_query_terms(body.terms, "journal", context)
        plan_text_query(body.q or "", "journal", context)

    problem = refusal_of(work)
    assert problem is None or problem.status in (400, 422)


@given(st.sampled_from(FIELDS), st.sampled_from([*OPERATORS, "ncontains", "nope", ""]), st.text(max_size=8))
def test_any_parameter_is_planned_or_refused(field: str, operator: str, text: str) -> None:
    context = make_context(REGISTRY, "mariadb")
    query = f"{field}.{operator}={quote(text.encode('utf-8', 'replace'))}"
    problem = refusal_of(lambda: plan_query_terms(parse_query(query).terms, "journal", context))
    assert problem is None or problem.status in (400, 422)
    assert problem is None or all(item.pointer is None for item in problem.errors)
