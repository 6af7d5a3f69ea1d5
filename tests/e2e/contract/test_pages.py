"""Pages, fields and expands: the contract's own example word for word, and the walk from page to page and back."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.support.contract import Seeded

EXAMPLE: dict[str, Any] = {
    "filter": {
        "account.status": "active",
        "or": [{"title": {"icontains": "field notes"}}, {"tags": {"json": {"topics": {"has": "field-notes"}}}}],
        "entry": {
            "count": {"gte": 3, "where": {"visibility": "public", "created_on": {"gte": "$year_start"}}},
            "none": {"flagged": True},
        },
    },
    "fields": ["id", "title", "created_on", "account.name"],
    "expand": {"entry": {"fields": ["id", "title"], "sort": ["-created_on"], "limit": 2}},
    "sort": ["-updated_on:nulls_last", "title"],
    "limit": 2,
    "count": "estimated",
}
SORTS = [
    ["title"], ["-priority"], ["priority:nulls_last", "-title"], ["author.given"], ["-author.rank", "title"],
    ["lower(title)"], ["visibility"], ["flagged", "-created_on"], None,
]  # fmt: skip


def test_the_example_of_the_contract_answers_as_it_shows(seeded: Seeded) -> None:
    reply = seeded.owner.search("journal", EXAMPLE)
    assert reply.status == 200, str(reply)
    (row,) = reply.data
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z", row.pop("created_on"))
    assert row == {
        "id": seeded.ids["first"],
        "title": "Field notes 2026",
        "account": {"id": seeded.owner.account, "name": "North Lab"},
        "entry": {
            "data": [
                {"id": seeded.ids["day3"], "title": "Day 3"},
                {"id": seeded.ids["day2"], "title": "Day 2"},
            ],
            "meta": {"limit": 2, "has_more": True},
        },
    }
    assert reply.json["meta"] == {
        "limit": 2, "offset": 0, "has_more": False, "next_cursor": None, "prev_cursor": None, "total": 1,
        "total_mode": "exact",
    }  # fmt: skip


@pytest.mark.parametrize("sort", SORTS, ids=str)
def test_cursors_lead_through_all_pages_and_back(seeded: Seeded, sort: list[str] | None) -> None:
    base: dict[str, Any] = {"fields": [], "limit": 1, "sort": sort}
    whole = [row["id"] for row in seeded.owner.search("journal_entry", {**base, "limit": 50}).data]
    assert len(whole) == 3
    forward, cursor = [], None
    while True:
        reply = seeded.owner.search("journal_entry", {**base, "cursor": cursor})
        assert reply.status == 200, str(reply)
        forward += [row["id"] for row in reply.data]
        meta = reply.json["meta"]
        assert meta["offset"] == (0 if cursor is None else None)
        assert meta["has_more"] is (meta["next_cursor"] is not None)
        cursor = meta["next_cursor"]
        if cursor is None:
            break
    assert forward == whole
    # As many rows before the page as the new request asks for, in the list's own order.
    reply = seeded.owner.search("journal_entry", {**base, "limit": 2, "cursor": meta["prev_cursor"]})
    assert [row["id"] for row in reply.data] == whole[:2]
    assert (reply.json["meta"]["prev_cursor"], reply.json["meta"]["has_more"]) == (None, True)


def test_an_expanded_relation_stands_beside_its_id_at_every_level(seeded: Seeded) -> None:
    path = f"/v3/crud/journal_entry/{seeded.ids['day1']}?expand=author,journal.owner,note.writer&fields=title,author_id"
    row = seeded.owner.get(path).data
    assert (row["author_id"], row["author"]["id"]) == (seeded.ids["ann"], seeded.ids["ann"])
    assert row["journal"]["owner"]["given"] == "Ann"
    assert row["note"]["data"][0]["writer"] is None
    assert row["note"]["meta"] == {"limit": 20, "has_more": False}
    assert set(row) == {"id", "title", "author_id", "author", "journal", "note"}
    # The other side of a relation, below an object: its own filter, order and limit.
    body = {
        "fields": [],
        "filter": {"id": seeded.ids["day1"]},
        "expand": {
            "author": {
                "fields": ["given"],
                "expand": {"entries": {"fields": ["title"], "filter": {"priority": {"gte": 1}}, "limit": 0}},
            }
        },
    }
    (row,) = seeded.owner.search("journal_entry", body).data
    entries = {"data": [], "meta": {"limit": 0, "has_more": True}}
    assert row["author"] == {"id": seeded.ids["ann"], "given": "Ann", "entries": entries}
