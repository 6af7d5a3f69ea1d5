"""Two accounts and what the model knows of them: choosing rows, paths and versions, and comparing replies.

The rules, and with them what is done, stand in `e2e/test_state_machine.py`.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine

from tests.support.model import TYPES, Json, Parent, Refused, Row, World
from tests.support.model_search import Finder
from tests.support.model_strategies import UNKNOWN_ID, bodies
from tests.support.serving import Reply
from tests.support.stage import Caller, Stage

LIMIT = 1000
TIMES = ("created_on", "updated_on")
HEX = "0123abcd"

AUTHORS: list[Json] = [
    {"name": "a", "nick": "A", "born": "2024-02-29"},
    {"name": "É", "nick": "a"},
    {"name": "ss", "active": False, "born": "2026-01-01"},
    {"name": "ß"},
]
BOOKS: list[Json] = [
    {
        "title": "a",
        "pages": 2,
        "price": "1.5",
        "weight": 0.1,
        "read_on": "2026-01-01",
        "note": "a b",
        "tags": ["a", "b"],
    },
    {"title": "A", "pages": 7, "bought_on": "2025-12-31T23:59:59.999999Z", "mood": "loud", "lent": False, "tags": []},
    {"title": "ab ", "bought_on": "2026-01-01T00:00:00Z", "opens": "09:30:00", "lent": True, "read_on": "2026-01-01"},
    {"title": "50%", "price": "-3.25", "weight": 3, "note": "ß", "opens": "09:30:00.250000", "mood": "odd"},
]

Chain = list[tuple[str, str]]


class TwoAccounts(RuleBasedStateMachine):
    """Two accounts, new in each run, on an application that lives on."""

    stage: Stage

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.callers = [self.stage.new_account("one"), self.stage.new_account("other")]
        self.is_dirty = True
        for caller in self.callers:
            self._furnish(caller)

    # ------------------------------------------------------------ choosing

    def choose_caller(self, data: st.DataObject) -> Caller:
        return self.callers[0 if data.draw(st.integers(0, 3), "caller") else 1]

    def pick(self, data: st.DataObject, caller: Caller, type_name: str, among: str = "visible") -> Row | None:
        """A row of a type; in few cases one that the caller does not see, if wanted."""
        rows = self.world.of(caller.account, type_name)
        if among != "visible" and (not rows or data.draw(st.integers(0, 7), "stranger") == 0):
            rows = [row for row in self.world.rows if row.type == type_name]
        return data.draw(st.sampled_from(rows), f"row of {type_name}") if rows else None

    def authors(self, data: st.DataObject, caller: Caller) -> list[str]:
        authors = [row.id for row in self.world.of(caller.account, "author")]
        if data.draw(st.integers(0, 9), "strangers") == 0:
            authors = [row.id for row in self.world.rows if row.type in ("author", "shelf")] + [UNKNOWN_ID]
        return authors

    def chain_to(self, data: st.DataObject, row: Row) -> Chain:
        """A path to a row: from itself or from any row above; in few cases through a row that is not above."""
        chain: Chain = [(row.type, row.id)]
        current = row
        while data.draw(st.booleans(), "one level more"):
            above = self.world.parents_of(current)
            if not above:
                break
            current = above[0]
            if data.draw(st.integers(0, 11), "detour") == 0:
                current = data.draw(st.sampled_from([one for one in self.world.rows if one.type == current.type]))
            chain.insert(0, (current.type, current.id))
        return chain

    def scope(self, data: st.DataObject, caller: Caller, type_name: str) -> tuple[str, list[Row]]:
        """Where to search: the flat list or a nested one, as its path and its rows."""
        parents = TYPES[type_name].parents
        if parents and data.draw(st.booleans(), "nested"):
            parent = data.draw(st.sampled_from(parents), "parent")
            above = self.pick(data, caller, parent.type)
            if above is not None:
                rows = self.world.of(caller.account, type_name, below=above)
                return f"{parent.type}/{above.id}/{parent.segment}", rows
        return type_name, self.world.of(caller.account, type_name)

    def if_match(self, data: st.DataObject, caller: Caller, row: Row) -> tuple[dict[str, str], bool]:
        """``If-Match``, or nothing, and whether it must be refused."""
        kind = data.draw(st.integers(0, 8), "if-match")
        if kind > 4:
            return {}, False
        if kind == 0:
            return {"If-Match": "*"}, False
        reply = caller.get(f"/v3/crud/{row.type}/{row.id}?deleted=include")
        if reply.status != 200:
            return {}, False
        self.note_version(row, version_of(reply), is_written=False)
        etag = reply.header("etag") or ""
        stale = [f'"{version}-{HEX}"' for version in sorted(row.outdated)]
        if kind == 1:
            return {"If-Match": ", ".join([*stale, etag])}, False
        if kind == 2:
            return {"If-Match": f"W/{etag}"}, True
        if kind == 3 and stale:
            return {"If-Match": ", ".join(stale)}, True
        return {"If-Match": etag}, False

    # ------------------------------------------------------------ comparing

    def must_show(self, reply: Reply, row: Row) -> None:
        must_be(self.world.shown(row), row, reply.data, reply)

    def must_find(self, caller: Caller, path: str, body: Json, rows: list[Row]) -> None:
        reply = caller.search(path, {"limit": LIMIT, **body})
        said = f"{reply}\n{json.dumps(body, ensure_ascii=False)}\n{[(row.id, row.values) for row in rows]}"
        assert reply.status == 200, said
        assert [one["id"] for one in reply.data] == [row.id for row in rows], said
        for row, shown in zip(rows, reply.data, strict=True):
            must_be(self.world.shown(row), row, shown, reply)
        meta = reply.json["meta"]
        assert meta["has_more"] is False
        if "count" in body:
            assert (meta["total"], meta["total_mode"]) == (len(rows), "exact"), said

    def must_walk(self, caller: Caller, path: str, body: Json, rows: list[Row], size: int) -> None:
        """Page by page to the end and back again."""
        ids = [row.id for row in rows]
        walked: list[str] = []
        asked: Json = {**body, "limit": size, "fields": ["id"]}
        reply = caller.search(path, asked)
        while True:
            assert reply.status == 200, f"{reply}\n{asked}"
            walked += [one["id"] for one in reply.data]
            meta = reply.json["meta"]
            assert meta["has_more"] is (meta["next_cursor"] is not None), str(reply)
            if meta["next_cursor"] is None or len(walked) > len(ids):
                break
            reply = caller.search(path, {**asked, "cursor": meta["next_cursor"]})
        assert walked == ids, f"{walked} != {ids}\n{json.dumps(body, ensure_ascii=False)}"
        back = [one["id"] for one in reply.data]
        while reply.json["meta"]["prev_cursor"] is not None and len(back) <= len(ids):
            reply = caller.search(path, {**asked, "cursor": reply.json["meta"]["prev_cursor"]})
            assert reply.status == 200, f"{reply}\n{asked}"
            back = [one["id"] for one in reply.data] + back
        assert back == ids, f"back: {back} != {ids}\n{json.dumps(body, ensure_ascii=False)}"

    def name_children(self, caller: Caller, made: list[Row]) -> None:
        """Learn the ids of the children that a create made: each list is as long and in the order that it must be."""
        finder = Finder(self.world, caller.account)
        for row in made:
            for name, one in TYPES.items():
                for parent in one.parents:
                    children = [child for child in made if child.type == name and child.values[parent.field] == row.id]
                    if parent.type == row.type and children:
                        self._name_some(caller, row, parent, finder.sort(children, (), name))

    def _name_some(self, caller: Caller, row: Row, parent: Parent, children: list[Row]) -> None:
        reply = caller.search(f"{row.type}/{row.id}/{parent.segment}", {"limit": LIMIT})
        assert [len(reply.data)] == [len(children)], str(reply)
        for child, shown in zip(children, reply.data, strict=True):
            self.world.name(child, shown["id"], "")
            child.version = None
            must_be(self.world.shown(child), child, shown, reply)

    def note_version(self, row: Row, version: str, *, is_written: bool) -> None:
        if is_written and row.version is not None:
            row.outdated.add(row.version)
        elif row.version is not None:
            assert version == row.version, f"{row} shows version {version}"
        assert version not in row.outdated, f"{row} shows version {version} again"
        row.version = version

    def forget_versions(self, touched: list[Row]) -> None:
        for row in touched:
            if row.version is not None:
                row.outdated.add(row.version)
            row.version = None

    # ------------------------------------------------------------ the first objects

    def _furnish(self, caller: Caller) -> None:
        """Something of every type, so that each rule finds what it is about."""
        people = [self._must_create(caller, "author", body) for body in AUTHORS]
        for number, label in enumerate(("Ab ", "ab", "%")):
            books = [{**book, "author_id": people[(number + n) % 4].id if n else None} for n, book in enumerate(BOOKS)]
            books[0]["review"] = [{"words": "aB", "author_id": people[number].id, "reply": [{"words": "i"}]}, {}]
            shelf = {"label": label, "rating": number or None, "author_id": people[number].id, "book": books[number:]}
            made = self._must_create(
                caller, "shelf", {**shelf, "clip": [{"name": "50%"}], "loan": [{"who": "ß"}][number:]}
            )
            for book in self.world.of(caller.account, "book", below=made)[number:]:
                self._must_create(caller, "sticker", {"color": "red", "book_id": book.id})
                self._must_create(caller, "clip", {"name": "b", "seconds": number, "book_id": book.id})

    def _must_create(self, caller: Caller, type_name: str, body: Json) -> Row:
        made = self.world.create(caller.account, type_name, body)
        reply = caller.send("POST", f"/v3/crud/{type_name}/", body)
        assert reply.status == 201, f"{reply}\n{body}"
        self.world.name(made[0], reply.data["id"], version_of(reply))
        self.must_show(reply, made[0])
        self.name_children(caller, made)
        return made[0]


@st.composite
def _bodies_with_children(draw: st.DrawFn, type_name: str, authors: Sequence[str], is_whole: bool, depth: int) -> Json:
    body: Json = draw(bodies(TYPES[type_name], authors, is_whole=is_whole))
    for name, one in TYPES.items():
        for parent in one.parents:
            if parent.type == type_name and depth and draw(st.integers(0, 4)) == 0:
                inner = _bodies_with_children(name, authors, True, depth - 1)
                body[parent.segment] = draw(st.lists(inner, max_size=3))
    return body


@st.composite
def create_body(draw: st.DrawFn, machine: TwoAccounts, type_name: str, caller: Caller) -> Json:
    authors = [row.id for row in machine.world.of(caller.account, "author")]
    if draw(st.integers(0, 9)) == 0:
        authors = [row.id for row in machine.world.rows if row.type in ("author", "shelf")] + [UNKNOWN_ID]
    is_whole = draw(st.integers(0, 9)) > 0
    return draw(_bodies_with_children(type_name, authors, is_whole, 2))


def must_be(wanted: Json, row: Row, shown: Json, reply: Reply) -> None:
    seen = {key: value for key, value in shown.items() if key not in TIMES}
    if row.deleted is not None:
        assert seen.pop("deleted_on") is not None, str(reply)
        wanted = {key: value for key, value in wanted.items() if key != "deleted_on"}
    assert seen == wanted, f"{seen}\n!=\n{wanted}\n{reply}"
    assert all(shown[name].endswith("Z") for name in TIMES)


def must_refuse(reply: Reply, refused: Refused, body: Any = None) -> None:
    said = f"{reply}\nwanted {refused}\n{json.dumps(body, ensure_ascii=False)}"
    assert reply.status == refused.status, said
    assert reply.header("content-type") == "application/problem+json", said
    assert reply.code == refused.code, said


def version_of(reply: Reply) -> str:
    etag = reply.header("etag")
    assert etag is not None, str(reply)
    return etag.strip('"').partition("-")[0]


def segment_of(parent: str, child: str) -> str:
    return next(one.segment for one in TYPES[child].parents if one.type == parent)


def path_of(chain: Chain) -> str:
    text = f"/v3/crud/{chain[0][0]}/{chain[0][1]}"
    for (above, _), (type_name, public_id) in itertools.pairwise(chain):
        text += f"/{segment_of(above, type_name)}/{public_id}"
    return text
