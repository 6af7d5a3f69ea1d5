"""No statement leaves without its account: whatever is searched, each table of an account-bound type is guarded."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import Forbidden, QueryTooComplex, ValidationFailed
from engine.language.search import parse_search
from engine.plan.fields import gate_of
from engine.plan.read import plan_get, plan_list
from engine.plan.rights import rights_of
from engine.plan.selection import without_rows
from engine.plan.shape import Dialect, Expansion, Link, PlanContext, ReadShape
from engine.principal import Account, Principal
from engine.registry.resource import Registry
from engine.sql.read import build_read
from engine.sql.setting import Setting
from engine.tables import build_tables
from tests.support.registries import example_registry, wide_registry

REGISTRIES = {"example": example_registry(), "wide": wide_registry()}
KEY = b"k" * 32
PUBLIC_ID = "x" * 22
_OURS = re.compile(r"(account|chain|v|k)\d+|rule_\w+|id|row_id|parent|limit|offset|reach")
_TABLE = re.compile(r"(?:FROM|JOIN) [(]*`?(\w+)`? AS (t\d+)")


def caller(accounts: int, *, is_operator: bool = False) -> Principal:
    """A caller who may read everything in some accounts."""
    owned = tuple(Account(10 + number, f"account-public-id-{number:04}") for number in range(accounts))
    return Principal(
        "user", subject=PUBLIC_ID, accounts=owned, is_operator=is_operator, scopes=frozenset({"*:read", "*:delete"})
    )


def context_of(registry: Registry, principal: Principal, dialect: Dialect) -> PlanContext:
    """The context of a plan at some fixed time."""
    return PlanContext(
        registry=registry,
        rights=rights_of(registry, principal),
        principal=principal,
        dialect=dialect,
        now=datetime(2026, 11, 24, tzinfo=UTC),
    )


def filters(registry: Registry, type_name: str, depth: int) -> st.SearchStrategy[dict[str, Any]]:
    """Filters over a type that cross relations."""
    resource = registry.types[type_name]
    leaf = st.sampled_from([{"id": PUBLIC_ID}, {"id": {"null": True}}, {"created_on": {"gte": "$now(-7 days)"}}])
    if depth == 0:
        return leaf
    choices = [leaf]
    for name, relation in resource.relations.items():
        inner = filters(registry, relation.target, depth - 1)
        if relation.kind == "one":
            choices.append(st.builds(lambda f, n=name: {n: f}, inner))
            choices.append(st.just({relation.field: PUBLIC_ID}))
        else:
            for word in ("any", "all", "none"):
                choices.append(st.builds(lambda f, n=name, w=word: {n: {w: f}}, inner))
            choices.append(st.builds(lambda f, n=name: {n: {"count": {"gte": 2, "where": f}}}, inner))
    one = st.one_of(choices)
    return st.one_of(
        one,
        st.builds(lambda a, b: {"or": [a, b]}, one, one),
        st.builds(lambda a: {"not": a}, one),
    )


def expands(registry: Registry, type_name: str, depth: int) -> st.SearchStrategy[dict[str, Any]]:
    """Expands of a type, to-one and to-many, nested."""
    if depth == 0:
        return st.just({})
    relations = registry.types[type_name].relations
    if not relations:
        return st.just({})
    return st.sampled_from(sorted(relations)).flatmap(
        lambda name: st.builds(
            lambda inner: {name: {"expand": inner}}, expands(registry, relations[name].target, depth - 1)
        )
    )


@st.composite
def searches(draw: st.DrawFn) -> tuple[str, str, dict[str, Any], bool]:
    """Names of a registry and of one of its types, a search body over it, and whether it is asked nested."""
    name = draw(st.sampled_from(sorted(REGISTRIES)))
    registry = REGISTRIES[name]
    bound = [r for r in registry.types.values() if not r.is_view]
    resource = draw(st.sampled_from(bound))
    body: dict[str, Any] = {
        "filter": draw(filters(registry, resource.name, 2)),
        "expand": draw(expands(registry, resource.name, 3)),
        "deleted": draw(st.sampled_from(["exclude", "include", "only"])),
    }
    many = [key for key, relation in resource.relations.items() if relation.kind == "many"]
    if many and draw(st.booleans()):
        body["sort"] = [f"-count({draw(st.sampled_from(many))})"]
    return name, resource.name, body, draw(st.booleans())


def assert_guarded(text: str, registry: Registry, tables: dict[str, str]) -> None:
    """Each table of an account-bound type is compared with the caller's accounts, or tied to its row's own."""
    found = _TABLE.findall(text)
    assert found, text
    for table, alias in found:
        resource = registry.types[tables[table]]
        if resource.account.kind == "none":
            continue
        column = resource.key if resource.account.kind == "self" else resource.account.column
        assert re.search(rf"{alias}\.{column} (=|IN) \(?(%s|\?)", text), f"{table} AS {alias} has no account in: {text}"


@pytest.mark.parametrize("dialect", ["mariadb", "sqlite"])
@given(search=searches(), accounts=st.integers(1, 3))
def test_no_statement_leaves_without_its_account(
    dialect: Dialect, search: tuple[str, str, dict[str, Any], bool], accounts: int
) -> None:
    name, type_name, body, is_nested = search
    registry = REGISTRIES[name]
    resource = registry.types[type_name]
    context = context_of(registry, caller(accounts), dialect)
    tables = build_tables(registry, dialect)
    by_table = {one.table: name for name, one in registry.types.items()}
    chain = ()
    if is_nested and resource.parents:
        chain = ((Link(resource.parents[0].type, resource.parents[0].field), PUBLIC_ID),)
    try:
        plan = plan_list(resource, chain, parse_search(body), context, cursor_key=KEY)
    except (Forbidden, ValidationFailed):
        return

    def check(shape: ReadShape, expansions: tuple[Expansion, ...]) -> None:
        setting = Setting(registry, tables, dialect, shape.viewer, context.rights)
        try:
            statement = build_read(shape, setting)
        except QueryTooComplex:
            return
        assert_guarded(statement.text, registry, by_table)
        foreign = [name for name in statement.binds if not _OURS.fullmatch(name)]
        assert not foreign, f"binds that no call brings: {foreign}"
        for expansion in expansions:
            check(expansion.shape, expansion.expansions)

    check(plan.shape, plan.expansions)
    for page in ("count", "capped"):
        check(without_rows(plan.shape, page), ())  # type: ignore[arg-type]
    if chain:
        check(without_rows(plan.shape, "chain"), ())


def test_an_operator_who_picks_no_account_reads_over_all() -> None:
    registry = REGISTRIES["example"]
    context = context_of(registry, caller(0, is_operator=True), "sqlite")
    plan = plan_get(registry.types["journal"], PUBLIC_ID, (), parse_search({}), context)
    setting = Setting(registry, build_tables(registry, "sqlite"), "sqlite", plan.shape.viewer, context.rights)
    assert "account0" not in build_read(plan.shape, setting).binds


def test_a_caller_of_no_account_finds_nothing_rather_than_everything() -> None:
    registry = REGISTRIES["example"]
    context = context_of(registry, caller(0), "sqlite")
    assert gate_of(registry, context.rights).usable("journal", "read")
    with pytest.raises(Exception, match="no account"):
        plan_get(registry.types["journal"], PUBLIC_ID, (), parse_search({}), context)
