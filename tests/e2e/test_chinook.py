"""A database that knows nothing of us: introspected, edited as a user would, migrated, and served whole."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from engine.auth.mint import mint_token
from engine.io.introspect import introspect
from engine.language.ids import new_public_id
from tests.support import chinook, services
from tests.support.serving import Client, Running, make_settings, prepare, running

# What the proposal says, and what a user makes of it: artist > album > track, customer > invoice > invoice_line.
EDITS = {"parent: {type: media_type, on_delete: restrict}": "parent: {type: album, on_delete: restrict}"}
COUNTS = {
    "album": 347, "artist": 275, "customer": 59, "employee": 8, "genre": 25, "invoice": 412, "invoice_line": 2240,
    "media_type": 5, "playlist": 18, "playlist_track": 8715, "track": 3503,
}  # fmt: skip


@pytest.fixture(scope="module", params=["sqlite", pytest.param("mariadb", marks=pytest.mark.mariadb)])
def chinook_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Chinook as it came, in a database for the whole module."""
    with ExitStack() as stack:
        if request.param == "mariadb":
            services.require_mariadb()
            url = stack.enter_context(services.make_mariadb_database())
        else:
            url = f"sqlite:///{tmp_path_factory.mktemp('chinook') / 'chinook.sqlite'}"
        chinook.load(url)
        yield url


@pytest.fixture(scope="module")
async def client(chinook_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Client]:
    """An operator, served by what a user makes of the proposal."""
    text = await introspect(chinook_url)
    for proposed, edited in EDITS.items():
        assert text.count(proposed) == 1
        text = text.replace(proposed, edited)
    registry = tmp_path_factory.mktemp("registry") / "resources.yaml"
    registry.write_text(text, encoding="utf-8")
    settings = make_settings(chinook_url, registry)
    await prepare(settings)
    async with running(settings) as app:
        yield _client(app)


def _client(app: Running) -> Client:
    token = mint_token(app.settings, user=new_public_id(), is_operator=True)
    return Client(app.engine.application, "operator", {"Authorization": f"Bearer {token}"})


async def _search(client: Client, path: str, body: object) -> list[dict[str, Any]]:
    reply = await client.send("POST", f"/v3/crud/{path}/search", body)
    assert reply.status == 200, str(reply)
    found: list[dict[str, Any]] = reply.data
    return found


async def test_every_type_of_chinook_is_served_nested_and_searched(client: Client) -> None:
    listed = await client.send("GET", "/v3/crud/")
    assert {one["name"] for one in listed.data} == set(COUNTS)
    for name, count in COUNTS.items():
        reply = await client.send("GET", f"/v3/crud/{name}/?limit=1&count=exact")
        assert reply.status == 200, str(reply)
        assert reply.json["meta"]["total"] == count
        one = await client.send("GET", f"/v3/crud/{name}/{reply.data[0]['id']}")
        assert one.data == reply.data[0]
        schema = await client.send("GET", f"/v3/crud/{name}/schema")
        assert schema.status == 200, str(schema)

    (artist,) = await _search(client, "artist", {"filter": {"name": "Iron Maiden"}, "fields": ["name"]})
    albums = await _search(
        client, f"artist/{artist['id']}/album", {"sort": ["title"], "fields": ["title", "artist.name"], "limit": 3}
    )
    assert [one["title"] for one in albums] == ["A Matter of Life and Death", "A Real Dead One", "A Real Live One"]
    assert albums[0]["artist"] == {"id": artist["id"], "name": "Iron Maiden"}
    tracks = await _search(
        client,
        f"artist/{artist['id']}/album/{albums[0]['id']}/track",
        {"filter": {"milliseconds": {"gt": 500_000}}, "sort": ["-milliseconds"], "fields": ["name", "unit_price"]},
    )
    assert [(one["name"], one["unit_price"]) for one in tracks] == [
        ("For the Greater Good of God", "0.99"),
        ("The Legacy", "0.99"),
        ("Brighter Than a Thousand Suns", "0.99"),
    ]
    stranger = await client.send("GET", f"/v3/crud/artist/{new_public_id()}/album/{albums[0]['id']}")
    assert stranger.status == 404


async def test_chinook_is_searched_over_its_relations(client: Client) -> None:
    body = {
        "filter": {"album": {"artist": {"name": {"istarts_with": "ac/"}}}, "genre.name": "Rock"},
        "fields": ["id"],
        "limit": 0,
        "count": "exact",
    }
    reply = await client.send("POST", "/v3/crud/track/search", body)
    assert reply.json["meta"]["total"] == 18
    invoices = await _search(
        client,
        "invoice",
        {
            "filter": {"line": {"count": {"gte": 14}}, "total": {"gte": "20.00"}, "year(invoice_date)": {"lt": 2025}},
            "fields": ["invoice_date", "total", "customer.last_name"],
            "sort": ["-total", "invoice_date"],
        },
    )
    assert [(one["invoice_date"], one["total"], one["customer"]["last_name"]) for one in invoices] == [
        ("2024-08-05T00:00:00Z", "23.86", "Cunningham"),
        ("2022-02-18T00:00:00Z", "21.86", "Kovács"),
        ("2023-04-28T00:00:00Z", "21.86", "O'Reilly"),
    ]
    empty = await _search(client, "playlist", {"filter": {"track": {"none": {}}}, "fields": ["name"], "sort": ["name"]})
    assert [one["name"] for one in empty] == ["Audiobooks", "Audiobooks", "Movies", "Movies"]
    (boss,) = await _search(client, "employee", {"filter": {"reports_to": {"null": True}}, "fields": ["last_name"]})
    assert boss["last_name"] == "Adams"


async def test_chinook_is_written(client: Client) -> None:
    made = await client.send("POST", "/v3/crud/artist/", {"name": "Aether"})
    assert made.status == 201, str(made)
    path = f"/v3/crud/artist/{made.data['id']}"
    album = await client.send("POST", f"{path}/album/", {"title": "First Light"})
    assert album.status == 201, str(album)
    assert album.data["artist_id"] == made.data["id"]
    changed = await client.send(
        "PATCH",
        f"{path}/album/{album.data['id']}",
        {"title": "Second Light"},
        headers={"If-Match": album.header("etag") or ""},
    )
    assert changed.status == 200, str(changed)
    assert changed.data["title"] == "Second Light"
    refused = await client.send("DELETE", path)
    assert (refused.status, refused.code) == (409, "foreign-key")
    assert (await client.send("DELETE", f"{path}/album/{album.data['id']}")).status == 204
    assert (await client.send("DELETE", path)).status == 204


async def _total(client: Client, path: str, filter_: object) -> int:
    reply = await client.send("POST", f"/v3/crud/{path}/search", {"filter": filter_, "limit": 0, "count": "exact"})
    assert reply.status == 200, str(reply)
    total: int = reply.json["meta"]["total"]
    return total


async def test_times_and_prices_of_chinook_compare_alike_on_both_databases(client: Client) -> None:
    assert await _total(client, "track", {"unit_price": "0.99"}) == 3290
    assert await _total(client, "track", {"unit_price": {"in": ["1.99", "0.98"]}}) == 3503 - 3290
    assert await _total(client, "invoice", {"total": {"between": ["5.94", "8.91"]}}) == 113
    assert await _total(client, "invoice", {"invoice_date": "2021-01-03T00:00:00Z"}) == 1
    january = {"gte": "2022-01-01T00:00:00Z", "lt": "2022-02-01T00:00:00Z"}
    assert await _total(client, "invoice", {"invoice_date": january}) == 7
    assert await _total(client, "invoice", {"year(invoice_date)": 2022, "month(invoice_date)": 1}) == 7
    assert await _total(client, "invoice", {"invoice_date": {"between": ["2022-01-01", "2022-01-31"]}}) == 7
    # As Auckland's clocks show them, midnights in UTC are noons or one o'clock.
    body = {"filter": {"hour(invoice_date)": 13}, "limit": 0, "count": "exact", "timezone": "Pacific/Auckland"}
    summer = (await client.send("POST", "/v3/crud/invoice/search", body)).json["meta"]["total"]
    assert 0 < summer < 412
    assert await _total(client, "employee", {"hire_date": {"lt": {"field": "birth_date"}}}) == 0


async def test_pages_of_chinook_go_on_where_they_ended(client: Client) -> None:
    for sort in (["total", "-invoice_date"], ["-invoice_date"], ["-total"]):
        whole = await _search(client, "invoice", {"sort": sort, "fields": ["total", "invoice_date"], "limit": 500})
        pages: list[dict[str, Any]] = []
        cursor = None
        while len(pages) < 412:
            body = {"sort": sort, "fields": ["total", "invoice_date"], "limit": 100, "cursor": cursor}
            reply = await client.send("POST", "/v3/crud/invoice/search", body)
            assert reply.status == 200, str(reply)
            assert reply.data, sort
            pages += reply.data
            cursor = reply.json["meta"]["next_cursor"]
        assert cursor is None
        assert pages == whole
