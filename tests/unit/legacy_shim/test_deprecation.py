"""What is told of an old call: headers that cannot be injected into, lines without credentials, 410 by the clock."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import Host, OldUse, Principal
from engine.io.uses import MAX_REPLACEMENT, MAX_ROUTE
from engine.registry.legacy import read_off
from engine.registry.load import load_registry_text
from engine.registry.resource import Registry
from engine.settings import Settings
from legacy_shim.deprecation import DEPRECATED_ON, Deprecation, label_of, list_routes, successor_of
from legacy_shim.routes import ROUTES, VERSIONS
from legacy_shim.shapes import LegacyCall
from tests.support.serving import make_settings

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl"
API_KEY = f"{'k' * 22}.{'s' * 43}"
PERSON = Principal("user", "ann")
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
TYPES = """\
types:
  firm:
    table: firm
    account: self
    search: [name]
    fields: {name: {type: string(90)}, code: {type: string(9)}, pin: {type: string(9), secret: true}}
"""


def registry_of(more: str = "", legacy: str = "") -> Registry:
    """A registry with one type, and what is said of old routes at the top and in the type."""
    text = f"version: 1\n{more}\n{TYPES}" + (f"    legacy: {legacy}\n" if legacy else "")
    loaded = load_registry_text(text)
    assert loaded.registry is not None, loaded.findings
    return loaded.registry


@cache
def settings_of(**settings: Any) -> Settings:
    """Settings of a server."""
    return make_settings("sqlite:///var/x.db", Path("resources.yaml"), **settings)


NO_LEGACY = registry_of()


def deprecation_of(
    registry: Registry | None = None, moment: datetime = NOON, **settings: Any
) -> tuple[Deprecation, list[OldUse]]:
    """What a test asks, and the uses that it takes down."""
    taken: list[OldUse] = []
    known = registry or NO_LEGACY
    return Deprecation(
        Host(lambda: known, settings_of(**settings), lambda use, _: taken.append(use)), now=lambda: moment
    ), taken


def call_of(name: str = "v2:list", query: str = "", door: str = "", path: str = "/v3/crud/firm/") -> LegacyCall:
    """A call of a route."""
    route = next(one for one in ROUTES if one.name == name)
    door = door or {"v1": "/", "v2": "/v2/crud"}[route.version]
    return LegacyCall(route=route, door=door, type="firm", v3_method=route.v3_method, v3_path=path, v3_query=query)


def shown_in_log(query: str, status: int = 200) -> str:
    """The query of the line that a call leaves."""
    deprecation, taken = deprecation_of()
    deprecation.note(call_of(query=query), PERSON, "r1", status)
    return taken[0].call.partition("?")[2]


def link_of(call: LegacyCall, **settings: Any) -> str:
    """The value of ``Link``."""
    deprecation, _ = deprecation_of(**settings)
    return dict(deprecation.headers(call))[b"link"].decode("ascii")


# ---------------------------------------------------------------- headers


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_headers_say_since_when_until_when_and_what_to_call(version: str) -> None:
    deprecation, _ = deprecation_of(legacy_sunset="2027-06-30")
    headers = dict(deprecation.headers(call_of(f"{version}:list", "limit=2")))
    since = datetime.fromtimestamp(int(headers[b"deprecation"].decode().removeprefix("@")), UTC)
    assert since.date() in DEPRECATED_ON.values()
    assert headers[b"sunset"] == b"Wed, 30 Jun 2027 00:00:00 GMT"
    assert headers[b"link"] == b'</v3/crud/firm/?limit=2>; rel="successor-version"'


def test_without_a_day_there_is_no_sunset_and_with_a_public_url_links_are_whole() -> None:
    deprecation, _ = deprecation_of(public_url="https://api.example.org/base")
    headers = dict(deprecation.headers(call_of()))
    assert b"sunset" not in headers
    assert headers[b"link"] == b'<https://api.example.org/base/v3/crud/firm/>; rel="successor-version"'


@given(st.text(st.characters(codec="latin-1"), max_size=60))
def test_nothing_in_a_query_breaks_out_of_the_link(text: str) -> None:
    value = re.fullmatch(
        r'<(/v3/crud/firm/\?[!-;=?-~]*)>; rel="successor-version"', link_of(call_of(query=f"q={text}"))
    )
    assert value is not None
    assert not set('<>"\r\n\\^`{|} ') & set(value[1])


@given(st.text(max_size=30))
def test_what_was_encoded_stays_the_same_value(text: str) -> None:
    query = f"name={quote(text, safe='')}"
    assert query in link_of(call_of(query=query)) or "***" in link_of(call_of(query=query))


def test_a_query_of_any_length_makes_no_header_of_that_length() -> None:
    assert link_of(call_of(query=f"name={'x' * 50_000}")) == '</v3/crud/firm/>; rel="successor-version"'


# ---------------------------------------------------------------- lines


def test_the_very_call_is_told_where_v3_has_taken_it() -> None:
    query = "limit=5&name.icontains=a%20b&sort=-name&filter=%7B%22code%22%3A%22x%22%7D&year(created_on)=2026&q=x"
    assert shown_in_log(query) == query


@pytest.mark.parametrize("status", [200, 304, 400, 401, 403, 404, 410, 422, 429, 500, 503])
@pytest.mark.parametrize("secret", [JWT, API_KEY])
@pytest.mark.parametrize("name", ["name", "q", "filter", "cursor", "limit", "token", "api_key", "x"])
def test_no_line_and_no_link_holds_a_token_or_a_key_whatever_it_is_called(name: str, secret: str, status: int) -> None:
    for value in (
        secret,
        quote(f'{{"name": "{secret}"}}'),
        f"Bearer%20{secret}",
        quote(secret, safe="").replace(".", "%2E"),
    ):
        query = f"{name}={value}"
        shown = shown_in_log(query, status) + link_of(call_of(query=query))
        assert secret not in shown
        assert secret.partition(".")[2] not in shown


@pytest.mark.parametrize(
    "query", ["token=sesame", "pin=1234", "firm.pin=1234", "PIN=1234", "sesame", "lower(pin)=1234"]
)
def test_what_is_no_parameter_of_v3_has_no_value_in_a_line(query: str) -> None:
    for status in (200, 400, 404, 410, 422):
        shown = shown_in_log(query, status)
        assert "1234" not in shown
        assert "sesame" not in shown


@pytest.mark.parametrize(("status", "shown"), [(200, "7"), (404, "***"), (410, "***"), (422, "***")])
def test_a_filter_is_told_only_where_v3_has_read_and_taken_it(status: int, shown: str) -> None:
    assert shown_in_log("filter=7&limit=2", status) == f"filter={shown}&limit={'***' if status == 422 else 2}"


def test_a_use_is_named_by_the_table_with_the_type_and_without_ids() -> None:
    deprecation, taken = deprecation_of()
    one = call_of("v1:update", door="/api", path="/v3/crud/firm/abcdefghijk")
    deprecation.note(one, PERSON, "r1", 200)
    deprecation.note(replace(one, type="nothing"), PERSON, "r2", 404)
    assert [use.route for use in taken] == ["PUT|PATCH /api/firm/{id}", "PUT|PATCH /api/{type}/{id}"]
    assert taken[0].replacement == "PATCH /v3/crud/firm/{id}"
    assert taken[0].call == "PATCH /v3/crud/firm/abcdefghijk"
    assert (taken[0].name, taken[0].version, taken[0].request_id, taken[0].status) == ("v1:update", "v1", "r1", 200)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_each_route_of_the_table_fits_where_it_is_counted(route: Any) -> None:
    longest = "t" * 60
    assert len(label_of(route, "/v2/crud", longest)) <= MAX_ROUTE
    assert len(successor_of(route, longest)) <= MAX_REPLACEMENT


def test_the_routes_that_are_listed_are_those_that_are_counted() -> None:
    listed = {one.route: one for one in list_routes(NO_LEGACY)}
    assert len(listed) == sum(len(version.routes) * len(version.prefixes) for version in VERSIONS)
    deprecation, taken = deprecation_of()
    for version in VERSIONS:
        for route in version.routes:
            for prefix in version.prefixes:
                deprecation.note(replace(call_of(door=prefix or "/"), route=route), PERSON, "r1", 200)
    assert [use.route for use in taken] == list(listed)
    assert {listed[use.route].name for use in taken} == {route.name for route in ROUTES}
    for one in listed.values():
        assert read_off(f"{one.door}:{one.verb}").covers(one.door, one.verb)
        assert read_off(one.name).covers(one.door, one.verb)


# ---------------------------------------------------------------- switched off


@pytest.mark.parametrize(
    ("top", "of_type", "closed"),
    [
        ("legacy: {off: [v1]}", "", {"v1:get", "v1:list"}),
        ("legacy: {off: ['v2:list']}", "", {"v2:list"}),
        ("", "{off: [v1, v2]}", {"v1:get", "v1:list", "v2:get", "v2:list"}),
        ("", "{off: ['v1:get', 'v2:get']}", {"v1:get", "v2:get"}),
        ("legacy: {off: [/api]}", "{off: ['/crud:list']}", set()),
        ("legacy: {brownout: ['*:0']}", "", {"v1:get", "v1:list", "v2:get", "v2:list"}),
        ("legacy: {brownout: ['*:1']}", "{brownout: ['v1:12:0-4']}", {"v1:get", "v1:list"}),
    ],
)
def test_a_registry_switches_routes_versions_and_types_off(top: str, of_type: str, closed: set[str]) -> None:
    deprecation, _ = deprecation_of(registry_of(top, of_type))
    found = set()
    for name in ("v1:get", "v1:list", "v2:get", "v2:list"):
        refusal = deprecation.admit(call_of(name, "limit=2"))
        if refusal is not None:
            found.add(name)
            assert refusal.status == 410
            assert "GET /v3/crud/firm/?limit=2" in refusal.detail
    assert found == closed


def test_a_brownout_ends_with_its_minute() -> None:
    registry = registry_of("legacy: {brownout: ['*:55']}")
    for minutes, is_closed in ((54, False), (55, True), (56, False), (115, True)):
        deprecation, _ = deprecation_of(registry, NOON + timedelta(minutes=minutes))
        assert (deprecation.admit(call_of()) is not None) == is_closed


def test_a_refusal_holds_no_filter_that_nobody_has_checked() -> None:
    deprecation, _ = deprecation_of(registry_of("legacy: {off: [v2]}"))
    refusal = deprecation.admit(call_of(query="filter=1234&pin=1234&name=x"))
    assert refusal is not None
    assert "filter=***&pin=***&name=x" in refusal.detail
