"""What a subscription depends on: other types whose changes may move rows in or out."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from engine.errors import NotFound, ValidationFailed
from engine.language.live import Subscribe
from engine.language.search import parse_search
from engine.plan.live import LivePlan, plan_subscription
from engine.plan.rights import rights_of
from engine.plan.shape import PlanContext
from engine.principal import Account, Principal
from engine.registry.load import load_registry
from engine.registry.resource import Registry
from tests.support.serving import ROOT

PARENT = "p" * 22


@pytest.fixture(scope="module")
def registry() -> Registry:
    loaded = load_registry(ROOT / "tests" / "data" / "model" / "resources.yaml").registry
    assert loaded is not None
    return loaded


def plan(registry: Registry, obj_type: str, *, parent: tuple[str, str] | None = None, **search: object) -> LivePlan:
    principal = Principal("user", subject="u" * 22, accounts=(Account(1, "a" * 22),), scopes=frozenset({"*:*"}))
    context = PlanContext(
        registry, rights_of(registry, principal), principal, "sqlite", datetime(2026, 1, 1, tzinfo=UTC)
    )
    return plan_subscription(Subscribe("1", obj_type, parent, parse_search(search)), context)


@pytest.mark.parametrize(
    ("obj_type", "filter_", "wanted"),
    [
        # Nothing but the row.
        ("book", {}, {}),
        ("book", {"mood": "calm", "or": [{"year(read_on)": 2026}, {"author_id": None}, {"shelf_id": PARENT}]}, {}),
        # A type without soft delete is gone with its parent.
        ("review", {}, {"book": set()}),
        ("book", {"author.name": "A"}, {"author": {"name"}}),
        ("book", {"shelf.author.active": True}, {"shelf": {"author_id"}, "author": {"active"}}),
        ("book", {"author": {"null": True}}, {"author": set()}),
        ("author", {"books": {"any": {"mood": "calm"}}}, {"book": {"author_id", "mood"}}),
        ("shelf", {"book": {"count": {"gte": 1}}}, {"book": {"shelf_id"}}),
        ("shelf", {"book": {"none": {"review": {"any": {"stars": 1}}}}},
         {"book": {"shelf_id"}, "review": {"book_id", "stars"}}),
    ],
)  # fmt: skip
def test_a_plan_says_which_other_types_count_and_in_what(
    registry: Registry, obj_type: str, filter_: dict[str, object], wanted: dict[str, set[str]]
) -> None:
    planned = plan(registry, obj_type, filter=filter_)
    assert {name: set(fields) for name, fields in planned.dependencies.items()} == wanted


def test_a_bound_parent_is_proven_and_watched_for_itself(registry: Registry) -> None:
    planned = plan(registry, "review", parent=("book", PARENT))
    assert planned.dependencies == {}
    assert planned.parent_types == {"book"}
    assert (planned.shape.page, planned.shape.via) == ("arm", "book_id")


def test_what_has_no_meaning_without_pages_is_said(registry: Registry) -> None:
    planned = plan(registry, "book", sort=["title"], limit=3, count="exact")
    assert "sort, limit, count" in planned.warnings[0]
    assert planned.shape.order == ()
    with pytest.raises(ValidationFailed) as refused:
        plan(registry, "book", sort=["nothing"], filter={"nothing": 1})
    assert [item.pointer for item in refused.value.errors] == ["/search/filter/nothing", "/search/sort/0"]


def test_values_that_depend_on_the_time_are_known(registry: Registry) -> None:
    assert plan(registry, "book", filter={"read_on": {"gte": "$today"}}).is_fleeting
    assert not plan(registry, "book", filter={"read_on": {"gte": "2026-01-01"}}).is_fleeting


def test_a_parent_that_the_type_has_not_is_refused(registry: Registry) -> None:
    with pytest.raises(ValidationFailed) as refused:
        plan(registry, "book", parent=("author", PARENT))
    assert refused.value.errors[0].pointer == "/parent/type"
    with pytest.raises(NotFound):
        plan(registry, "book", parent=("shelf", "no id"))
    with pytest.raises(NotFound):
        plan(registry, "nothing")
