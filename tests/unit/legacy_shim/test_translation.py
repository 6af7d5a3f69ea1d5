"""One old call in words of V3: paths, parameters, bodies, without any application."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import Problem
from engine.registry.load import load_registry
from legacy_shim.routes import ROUTES, VERSIONS, find_place
from legacy_shim.shapes import LegacyCall
from legacy_shim.translation import translate
from legacy_shim.words import Words
from tests.support.serving import ROOT

ID = "aB7dE-2fGh4JkLmNoPqRsT"
OTHER = "Zk3_pQ9xR1sT7uVwXyZa0b"


@pytest.fixture(scope="module")
def words() -> Words:
    """The words of the shipped registry."""
    registry = load_registry(ROOT / "resources.yaml").target
    assert registry is not None
    return Words(registry)


def say(words: Words, method: str, target: str, *headers: tuple[bytes, bytes]) -> LegacyCall:
    """An old call, translated."""
    parts = urlsplit(target)
    place = find_place(parts.path)
    assert place is not None, target
    found = words.find(place.word)
    assert found is not None, target
    return translate(place, method, parts.query.encode(), headers, found, words)


@pytest.mark.parametrize(
    ("method", "old", "new"),
    [
        ("GET", f"/journal/{ID}", f"GET /v3/crud/journal/{ID}"),
        ("GET", f"/api/file/{ID}", f"GET /v3/crud/hosted_file/{ID}"),
        ("GET", f"/crud/journal/{ID}?fields=id_random,-name", f"GET /v3/crud/journal/{ID}?fields=id,-name"),
        ("POST", "/journal", "POST /v3/crud/journal/"),
        ("PUT", f"/v2/crud/journal/{ID}", f"PATCH /v3/crud/journal/{ID}"),
        ("PATCH", f"/journal/{ID}", f"PATCH /v3/crud/journal/{ID}"),
        ("DELETE", f"/journal/{ID}", f"DELETE /v3/crud/journal/{ID}"),
        ("GET", "/journal/list", "GET /v3/crud/journal/?enable=true"),
        ("GET", "/journal/list?enabled=all", "GET /v3/crud/journal/"),
        (
            "GET",
            "/journal/list?enabled=disabled&limit=5&offset=10",
            "GET /v3/crud/journal/?limit=5&offset=10&enable=false",
        ),
        ("GET", "/contact/list?enabled=disabled", "GET /v3/crud/contact/"),
        ("GET", "/contact/list?order_by=value&desc=1", "GET /v3/crud/contact/?sort=-value"),
        ("GET", "/contact/list?order_by=kind,value&desc=yes", "GET /v3/crud/contact/?sort=-kind,-value"),
        ("GET", "/contact/list?order_by=person_id_random", "GET /v3/crud/contact/?sort=person_id"),
        ("GET", "/contact/list?desc=1", "GET /v3/crud/contact/"),
        (
            "GET",
            f"/journal_entry/list?for_obj_type=journal&for_obj_id={ID}&x_account_id={OTHER}",
            f"GET /v3/crud/journal/{ID}/entry/",
        ),
        (
            "GET",
            f"/event_file/list?for_obj_type=event_session&for_obj_id={ID}",
            f"GET /v3/crud/event_session/{ID}/file/",
        ),
        (
            "GET",
            f"/event_file/list?for_obj_type=file&for_obj_id={ID}",
            f"GET /v3/crud/event_file/?hosted_file_id={ID}",
        ),
        ("GET", f"/contact/list?for_obj_type=account&for_obj_id={ID}", f"GET /v3/crud/contact/?account_id={ID}"),
        (
            "GET",
            f"/contact/list?person_id_random.in={ID}&person.id_random={ID}&status=x%2Cy",
            f"GET /v3/crud/contact/?person_id.in={ID}&person.id={ID}&status=x%2Cy",
        ),
        ("GET", "/contact/list?limit=1&limit=2&order_by=kind", "GET /v3/crud/contact/?limit=1&limit=2&order_by=kind"),
        ("POST", "/crud/contact/search?limit=1", "POST /v3/crud/contact/search"),
        ("GET", "/journal/schema", "GET /v3/crud/journal/"),
    ],
)
def test_an_old_call_in_words_of_v3(words: Words, method: str, old: str, new: str) -> None:
    assert say(words, method, old).v3_call == new


def test_the_account_becomes_a_header(words: Words) -> None:
    for target in (f"/journal/{ID}?x_account_id={OTHER}", f"/crud/journal/list?x_account_id={OTHER}"):
        assert say(words, "GET", target).v3_headers == ((b"x-account-id", OTHER.encode()),)
    same = say(words, "GET", f"/journal/{ID}?x_account_id={OTHER}", (b"x-account-id", OTHER.encode()))
    assert (same.v3_headers, same.refusal) == ((), None)
    other = say(words, "GET", f"/journal/{ID}?x_account_id={OTHER}", (b"x-account-id", ID.encode()))
    assert _places(other.refusal) == ["x_account_id"]


@pytest.mark.parametrize(
    ("target", "place"),
    [
        ("/journal/list?desc=maybe", "desc"),
        ("/journal/list?enabled=on", "enabled"),
        (f"/journal/list?for_obj_id={ID}", "for_obj_type"),
        ("/journal_entry/list?for_obj_type=journal", "for_obj_id"),
        (f"/journal/list?for_obj_type=event&for_obj_id={ID}", "for_obj_type"),
        (f"/crud/journal/list?for_obj_type=nowhere&for_obj_id={ID}", "for_obj_type"),
    ],
)
def test_what_v3_could_not_see_is_refused_by_its_old_name(words: Words, target: str, place: str) -> None:
    assert _places(say(words, "GET", target).refusal) == [place]


@pytest.mark.parametrize("target", ["/journal/schema", "/journal/..", "/crud/journal/options", f"/journal/{ID}%2Fentry",
                                    "/journal_entry/list?for_obj_type=journal&for_obj_id=../x"])  # fmt: skip
def test_what_can_be_no_id_reaches_no_path_of_v3(words: Words, target: str) -> None:
    call = say(words, "GET", target)
    assert call.refusal is not None
    assert call.refusal.status == 404
    assert call.v3_path in ("/v3/crud/journal/", "/v3/crud/journal_entry/")


def test_a_body_gets_the_names_of_today_children_too(words: Words) -> None:
    rewrite = say(words, "POST", "/journal").rewrite
    assert rewrite is not None
    entry: Any = {"title": "x", "person_id_random": OTHER, "tags": {"id_random": 1}}
    body = {"name": "n", "id_random": ID, "person_id_random": ID, "person_id": ID, "entry": [entry]}
    assert rewrite(body) == {
        "name": "n", "id": ID, "person_id": ID, "entry": [{"title": "x", "person_id": OTHER, "tags": {"id_random": 1}}],
    }  # fmt: skip
    changes = {"entry": {"create": [entry], "update": [{"id_random": ID}], "delete": [ID]}}
    assert rewrite(changes) == {
        "entry": {"create": [{"title": "x", "person_id": OTHER, "tags": {"id_random": 1}}],
                  "update": [{"id": ID}], "delete": [ID]},
    }  # fmt: skip
    for whatever in ([], "x", None, 5):
        assert rewrite(whatever) == whatever
    with pytest.raises(Problem) as refused:
        rewrite({"entry": [{"person_id_random": ID, "person_id": OTHER}]})
    assert _places(refused.value) == ["/entry/0/person_id_random"]


def test_an_old_search_becomes_a_filter(words: Words) -> None:
    rewrite = say(words, "POST", "/crud/journal/search?limit=5&offset=-2&order_by=name&desc=1&enabled=disabled").rewrite
    assert rewrite is not None
    leaf = {"field": "person.id_random", "op": "neq", "value": ID}
    assert rewrite({"and": [leaf], "or": [{"field": "lower(name)", "op": "_eq", "value": "x"}]}) == {
        "limit": 5, "offset": -2, "sort": ["-name"],
        "filter": {"and": [{"person.id": {"neq": ID}}], "or": [{"lower(name)": {"_eq": "x"}}], "enable": {"eq": False}},
    }  # fmt: skip
    with pytest.raises(Problem) as refused:
        rewrite({"and": [{**leaf, "more": 1}, {"op": "eq"}, 5], "nor": [], "or": {}})
    assert _places(refused.value) == ["/and/0/more", "/and/1/field", "/and/1/value", "/and/2", "/nor", "/or"]


def test_whoever_speaks_of_enable_is_not_filtered_by_it_once_more(words: Words) -> None:
    assert say(words, "GET", "/journal/list?enable=false").v3_query == "enable=false"
    rewrite = say(words, "POST", "/crud/journal/search").rewrite
    assert rewrite is not None
    assert rewrite({}) == {"filter": {"enable": {"eq": True}}}
    assert rewrite({"or": [{"field": "enable", "op": "eq", "value": False}]}) == {
        "filter": {"or": [{"enable": {"eq": False}}]}
    }


def test_every_route_has_an_example_of_its_own(words: Words) -> None:
    for route in ROUTES:
        example = route.example
        target = f"{example.path.replace('{journal}', ID)}?{example.query.replace('{journal}', ID)}"
        call = say(words, example.method, target)
        assert (call.route, call.refusal) == (route, None)
        assert call.v3_method == route.v3_method


@given(path=st.text("/abcdefghijklmnopqrstuvwxyz_.-%0", max_size=40))
def test_any_path_is_some_place_or_none(path: str) -> None:
    place = find_place(path)
    if place is not None:
        assert place.door in {prefix or "/" for one in VERSIONS for prefix in one.prefixes}
        assert place.word in path
        assert not path.startswith(("/v3/", "/docs/", "/health/", "/metrics/", "/openapi.json/"))


def _places(refusal: Problem | None) -> list[str | None]:
    assert refusal is not None
    assert refusal.status == 422
    return [one.parameter or one.pointer for one in refusal.errors]
