"""Many writers at once: nobody's change is lost silently, and no race shows as a fault of the server.

The application runs in this process, so that its writers meet in the database and at every await before it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from engine.auth.mint import mint_token
from tests.support.serving import ROOT, Client, Reply, make_settings, prepare, running

MODEL = ROOT / "tests" / "data" / "model" / "resources.yaml"
WRITERS = 20
FIELDS: dict[str, Any] = {
    "title": "new", "mood": "loud", "pages": 12, "price": "1.25", "weight": 0.5, "read_on": "2026-01-02",
    "bought_on": "2026-01-02T03:04:05Z", "opens": "10:00:00", "lent": True, "note": "a note", "tags": ["a"],
}  # fmt: skip


@pytest.fixture
async def caller(database_url: str) -> AsyncIterator[Client]:
    """The administrator of a new account."""
    settings = make_settings(database_url, MODEL)
    await prepare(settings)
    async with running(settings) as app:
        operator = Client(app.engine.application, "operator", _bearer(mint_token(settings, is_operator=True)))
        account = (await operator.send("POST", "/v3/crud/account/", {"name": "one"})).data["id"]
        token = mint_token(settings, accounts=[account], roles=["admin"])
        yield Client(app.engine.application, "admin", _bearer(token))


async def test_twenty_writers_of_different_fields_all_survive(caller: Client) -> None:
    shelf = await _create(caller, "shelf", {"label": "one"})
    book = await _create(caller, "book", {"title": "old", "shelf_id": shelf})
    author = await _create(caller, "author", {"name": "somebody"})
    changes = [{name: value} for name, value in {**FIELDS, "author_id": author}.items()]
    # Twenty in all: some fields are written twice, with the same value.
    changes = (changes * 2)[:WRITERS]
    replies = await _at_once(*(caller.send("PATCH", f"/v3/crud/book/{book}", change) for change in changes))
    assert _statuses(replies) == {200: WRITERS}, _first_other(replies, 200)
    stored = (await caller.get(f"/v3/crud/book/{book}")).data
    wanted = {**FIELDS, "author_id": author}
    assert {name: stored[name] for name in wanted} == wanted


async def test_of_writers_of_one_field_the_last_wins_and_all_are_answered(caller: Client) -> None:
    shelf = await _create(caller, "shelf", {"label": "one"})
    book = await _create(caller, "book", {"title": "old", "shelf_id": shelf})
    replies = await _at_once(
        *(caller.send("PATCH", f"/v3/crud/book/{book}", {"pages": number}) for number in range(WRITERS))
    )
    assert _statuses(replies) == {200: WRITERS}, _first_other(replies, 200)
    assert [reply.data["pages"] for reply in replies] == list(range(WRITERS))
    last = await caller.get(f"/v3/crud/book/{book}")
    tags = [reply.header("etag") for reply in replies]
    assert len(set(tags)) == WRITERS
    assert tags.index(last.header("etag")) == last.data["pages"]


async def test_against_one_version_exactly_one_writer_wins_and_the_rest_are_told(caller: Client) -> None:
    shelf = await _create(caller, "shelf", {"label": "one"})
    book = await _create(caller, "book", {"title": "old", "shelf_id": shelf})
    tag = (await caller.get(f"/v3/crud/book/{book}")).header("etag") or ""
    path = f"/v3/crud/book/{book}"
    writes = [caller.send("PATCH", path, {"pages": number}, headers={"If-Match": tag}) for number in range(WRITERS)]
    replies = await _at_once(*writes)
    assert _statuses(replies) == {200: 1, 412: WRITERS - 1}, [str(reply) for reply in replies]
    (winner,) = [reply for reply in replies if reply.status == 200]
    assert (await caller.get(path)).data["pages"] == winner.data["pages"]


async def test_against_one_version_a_patch_a_put_a_move_and_a_delete_do_not_both_win(caller: Client) -> None:
    shelf = await _create(caller, "shelf", {"label": "one"})
    other = await _create(caller, "shelf", {"label": "other"})
    for number in range(5):
        book = await _create(caller, "book", {"title": f"book {number}", "shelf_id": shelf})
        path = f"/v3/crud/book/{book}"
        headers = {"If-Match": (await caller.get(path)).header("etag") or ""}
        replies = await _at_once(
            caller.send("PATCH", path, {"pages": 1}, headers=headers),
            caller.send("PUT", path, {"title": f"put {number}"}, headers=headers),
            caller.send("POST", f"{path}/move", {"parent": {"type": "shelf", "id": other}}, headers=headers),
            caller.send("DELETE", path, headers=headers),
            caller.send("DELETE", f"{path}?hard=true", headers=headers),
        )
        won = [reply for reply in replies if reply.status in (200, 204)]
        lost = {reply.status for reply in replies if reply not in won}
        # Whoever comes after a delete finds nothing, if he has not found it before.
        assert len(won) == 1, [str(reply) for reply in replies]
        assert lost <= {412, 404}, [str(reply) for reply in replies]


@pytest.mark.parametrize(
    ("type_name", "body"),
    [("author", {"name": "x", "nick": "taken"}), ("shelf", {"label": "taken"}), ("book", {"title": "taken"})],
)
async def test_of_writers_of_one_unique_value_exactly_one_wins(
    caller: Client, type_name: str, body: dict[str, Any]
) -> None:
    path = f"/v3/crud/{type_name}/"
    if type_name == "book":
        path = f"/v3/crud/shelf/{await _create(caller, 'shelf', {'label': 'one'})}/book/"
    replies = await _at_once(*(caller.send("POST", path, body) for _ in range(WRITERS)))
    assert _statuses(replies) == {201: 1, 409: WRITERS - 1}, [str(reply) for reply in replies]
    assert {reply.code for reply in replies if reply.status == 409} == {"duplicate"}
    assert len((await caller.search(type_name, {})).data) == 1


async def test_of_writers_that_change_to_one_unique_value_exactly_one_wins(caller: Client) -> None:
    ids = [await _create(caller, "author", {"name": "x", "nick": f"nick {number}"}) for number in range(10)]
    replies = await _at_once(*(caller.send("PATCH", f"/v3/crud/author/{one}", {"nick": "taken"}) for one in ids))
    assert _statuses(replies) == {200: 1, 409: 9}, [str(reply) for reply in replies]


@pytest.mark.parametrize("query", ["", "?hard=true"])
async def test_a_delete_against_creates_of_children_leaves_no_child_without_its_parent(
    caller: Client, query: str
) -> None:
    for number in range(5):
        shelf = await _create(caller, "shelf", {"label": f"shelf {number}"})
        flat = [{"title": f"flat {n}", "shelf_id": shelf} for n in range(4)]
        nested = [{"title": f"nested {n}", "review": [{"words": "x"}]} for n in range(4)]
        delete, *creates = await _at_once(
            caller.send("DELETE", f"/v3/crud/shelf/{shelf}{query}"),
            *(caller.send("POST", "/v3/crud/book/", body) for body in flat),
            *(caller.send("POST", f"/v3/crud/shelf/{shelf}/book/", body) for body in nested),
        )
        assert delete.status == 204, str(delete)
        assert {reply.status for reply in creates[:4]} <= {201, 422}, [str(reply) for reply in creates]
        assert {reply.status for reply in creates[4:]} <= {201, 404}, [str(reply) for reply in creates]
        for name in ("book", "review"):
            left = (await caller.search(name, {"fields": ["id"]})).data
            assert left == [], f"{name} without its parent: {left}"


async def test_a_delete_against_a_child_that_forbids_it_never_takes_a_parent_from_a_child(caller: Client) -> None:
    for number in range(5):
        shelf = await _create(caller, "shelf", {"label": f"shelf {number}"})
        delete, *loans = await _at_once(
            caller.send("DELETE", f"/v3/crud/shelf/{shelf}"),
            *(caller.send("POST", "/v3/crud/loan/", {"who": "x", "shelf_id": shelf}) for _ in range(3)),
        )
        assert delete.status in (204, 409), str(delete)
        assert {reply.status for reply in loans} <= {201, 422}, [str(reply) for reply in loans]
        is_there = (await caller.get(f"/v3/crud/shelf/{shelf}")).status == 200
        assert is_there is (delete.status == 409)
        below = [one for one in (await caller.search("loan", {})).data if one["shelf_id"] == shelf]
        assert is_there or not below, f"{below} without a parent"


async def test_a_delete_against_a_reference_leaves_no_reference_to_nothing(caller: Client) -> None:
    for number in range(5):
        author = await _create(caller, "author", {"name": f"author {number}"})
        delete, *creates = await _at_once(
            caller.send("DELETE", f"/v3/crud/author/{author}?hard=true"),
            *(
                caller.send("POST", "/v3/crud/shelf/", {"label": f"{number} {n}", "author_id": author})
                for n in range(4)
            ),
        )
        made = [reply for reply in creates if reply.status == 201]
        assert {reply.status for reply in creates} <= {201, 422}, [str(reply) for reply in creates]
        assert delete.status == (409 if made else 204), [str(delete), *map(str, creates)]


async def test_deletes_and_restores_of_one_object_at_once_leave_it_whole(caller: Client) -> None:
    body = {"label": "one", "book": [{"title": f"book {n}", "review": [{"reply": [{"words": "x"}]}]} for n in range(3)]}
    shelf = await _create(caller, "shelf", body)
    path = f"/v3/crud/shelf/{shelf}"
    for _ in range(5):
        replies = await _at_once(
            *(caller.send("DELETE", path) for _ in range(3)),
            *(caller.send("POST", f"{path}/restore") for _ in range(3)),
        )
        assert {reply.status for reply in replies} <= {200, 204, 404, 409}, [str(reply) for reply in replies]
        is_there = (await caller.get(path)).status == 200
        counts = [len((await caller.search(name, {})).data) for name in ("book", "review", "reply")]
        assert counts == ([3, 3, 3] if is_there else [0, 0, 0]), [str(reply) for reply in replies]


async def test_moves_and_deletes_of_a_parent_lose_no_child(caller: Client) -> None:
    for number in range(5):
        one = await _create(caller, "shelf", {"label": f"one {number}"})
        other = await _create(caller, "shelf", {"label": f"other {number}"})
        books = [await _create(caller, "book", {"title": f"{n}", "shelf_id": one}) for n in range(4)]
        move = {"parent": {"type": "shelf", "id": other}}
        delete, *moves = await _at_once(
            caller.send("DELETE", f"/v3/crud/shelf/{other}"),
            *(caller.send("POST", f"/v3/crud/book/{book}/move", move) for book in books),
        )
        assert delete.status == 204, str(delete)
        assert {reply.status for reply in moves} <= {200, 422}, [str(reply) for reply in moves]
        there = {row["id"]: row["shelf_id"] for row in (await caller.search("book", {})).data}
        for book, reply in zip(books, moves, strict=True):
            assert there.get(book) == (one if reply.status == 422 else None), f"{reply}\n{there}"
        await caller.send("DELETE", f"/v3/crud/shelf/{one}")


# ---------------------------------------------------------------- helpers


async def _at_once(*calls: Any) -> list[Reply]:
    replies: list[Reply] = await asyncio.gather(*calls)
    faults = [str(reply) for reply in replies if reply.status >= 500]
    assert not faults, faults
    return replies


async def _create(caller: Client, type_name: str, body: dict[str, Any]) -> str:
    reply = await caller.send("POST", f"/v3/crud/{type_name}/", body)
    assert reply.status == 201, str(reply)
    return str(reply.data["id"])


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _statuses(replies: list[Reply]) -> dict[int, int]:
    return dict(Counter(reply.status for reply in replies))


def _first_other(replies: list[Reply], status: int) -> str:
    return next((str(reply) for reply in replies if reply.status != status), "")
