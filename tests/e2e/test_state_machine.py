"""Random requests of two accounts, each answered as the model in `support/model.py` says, and neither sees the other's.

Short as a rule, long by `scripts/check --long`.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule, run_state_machine_as_test

from tests.support.legacy import DOORS
from tests.support.model import TYPES, Json, Refused
from tests.support.model_machine import (
    LIMIT,
    Chain,
    TwoAccounts,
    create_body,
    must_refuse,
    path_of,
    segment_of,
    version_of,
)
from tests.support.model_search import Finder
from tests.support.model_strategies import UNKNOWN_ID, bodies, filters, phrases, sort_keys
from tests.support.stage import Stage

SOFT = [name for name, one in TYPES.items() if one.soft]
NESTED = [name for name, one in TYPES.items() if one.parents]


class Accounts(TwoAccounts):
    """What they do."""

    # ------------------------------------------------------------ writes

    @rule(data=st.data(), type_name=st.sampled_from(list(TYPES)))
    def create(self, data: st.DataObject, type_name: str) -> None:
        """Create an object, flat or nested, with or without children."""
        caller, shape = self.choose_caller(data), TYPES[type_name]
        body = data.draw(create_body(self, type_name, caller), "body")
        chain: Chain = []
        if shape.parents:
            parent = data.draw(st.sampled_from(shape.parents), "parent")
            above = self.pick(data, caller, parent.type)
            if above is None:
                if not shape.own:
                    return
            elif data.draw(st.booleans(), "nested"):
                chain = self.chain_to(data, above)
                if data.draw(st.integers(0, 5), "stated") == 0:
                    body[parent.field] = above.id
            else:
                body[parent.field] = above.id
        path = f"{path_of(chain)}/{segment_of(chain[-1][0], type_name)}" if chain else f"/v3/crud/{type_name}"
        try:
            made = self.world.create(caller.account, type_name, body, chain)
        except Refused as refused:
            must_refuse(caller.send("POST", f"{path}/", body), refused, body)
            return
        reply = caller.send("POST", f"{path}/", body)
        assert reply.status == 201, f"{reply}\n{body}"
        self.world.name(made[0], reply.data["id"], version_of(reply))
        assert reply.header("location") == f"/v3/crud/{type_name}/{made[0].id}"
        self.must_show(reply, made[0])
        self.name_children(caller, made)
        self.is_dirty = True

    @rule(data=st.data(), type_name=st.sampled_from(list(TYPES)), replaces=st.booleans())
    def update(self, data: st.DataObject, type_name: str, replaces: bool) -> None:
        """PATCH or PUT an object, with or without its version."""
        caller, shape = self.choose_caller(data), TYPES[type_name]
        row = self.pick(data, caller, type_name, among="any")
        if row is None:
            return
        authors = self.authors(data, caller)
        body = data.draw(bodies(shape, authors, is_whole=replaces and data.draw(st.integers(0, 5)) > 0), "body")
        extra = data.draw(st.integers(0, 11), "extra")
        if extra == 0:
            body["id"] = row.id
        elif extra == 1 and shape.parents:
            body[shape.parents[0].field] = data.draw(
                st.sampled_from([row.values[shape.parents[0].field], UNKNOWN_ID]), "parent"
            )
        elif extra == 2:
            body["nothing_of_this_name"] = 1
        chain = self.chain_to(data, row)
        method = "PUT" if replaces else "PATCH"
        headers, is_stale = self.if_match(data, caller, row)
        try:
            found = self.world.walk(caller.account, chain)
            if is_stale:
                raise Refused(412, "stale-version")
            is_written = self.world.update(found, body, replaces=replaces)
        except Refused as refused:
            must_refuse(caller.send(method, path_of(chain), body, headers=headers), refused, body)
            return
        reply = caller.send(method, path_of(chain), body, headers=headers)
        assert reply.status == 200, f"{reply}\n{body}"
        self.note_version(row, version_of(reply), is_written=is_written)
        self.must_show(reply, row)
        self.is_dirty = True

    @rule(data=st.data(), type_name=st.sampled_from(NESTED))
    def move(self, data: st.DataObject, type_name: str) -> None:
        """Give an object another parent."""
        caller = self.choose_caller(data)
        row = self.pick(data, caller, type_name, among="any")
        if row is None:
            return
        parent = data.draw(st.sampled_from(TYPES[type_name].parents), "parent")
        target = self.pick(data, caller, parent.type, among="mostly own")
        if target is None:
            return
        headers, is_stale = self.if_match(data, caller, row)
        body = {"parent": {"type": parent.type, "id": target.id}}
        path = f"/v3/crud/{type_name}/{row.id}/move"
        try:
            found = self.world.walk(caller.account, [(type_name, row.id)])
            if is_stale:
                raise Refused(412, "stale-version")
            self.world.move(found, parent.type, target.id)
        except Refused as refused:
            must_refuse(caller.send("POST", path, body, headers=headers), refused, body)
            return
        reply = caller.send("POST", path, body, headers=headers)
        assert reply.status == 200, str(reply)
        self.note_version(row, version_of(reply), is_written=True)
        self.must_show(reply, row)
        self.is_dirty = True

    @rule(data=st.data(), type_name=st.sampled_from(list(TYPES)), hard=st.booleans())
    def delete(self, data: st.DataObject, type_name: str, hard: bool) -> None:
        """Delete an object, softly or for good."""
        caller = self.choose_caller(data)
        row = self.pick(data, caller, type_name, among="any")
        if row is None:
            return
        chain = self.chain_to(data, row)
        headers, is_stale = self.if_match(data, caller, row)
        path = path_of(chain) + ("?hard=true" if hard else "")
        was = {id(one): one.deleted for one in self.world.rows}
        try:
            found = self.world.walk(caller.account, chain, deleted=hard)
            if is_stale:
                raise Refused(412, "stale-version")
            touched = self.world.delete(found, hard=hard)
        except Refused as refused:
            must_refuse(caller.send("DELETE", path, headers=headers), refused)
            assert was == {id(one): one.deleted for one in self.world.rows}
            return
        reply = caller.send("DELETE", path, headers=headers)
        assert (reply.status, reply.body) == (204, b""), str(reply)
        self.forget_versions(touched)
        self.is_dirty = True

    @precondition(lambda self: any(row.deleted is not None for row in self.world.rows))
    @rule(data=st.data(), type_name=st.sampled_from(SOFT))
    def restore(self, data: st.DataObject, type_name: str) -> None:
        """Undo a soft delete."""
        caller = self.choose_caller(data)
        gone = [row for row in self.world.rows if row.type == type_name and row.deleted is not None]
        if not gone or data.draw(st.integers(0, 9), "alive") == 0:
            gone = [row for row in self.world.rows if row.type in SOFT]
        row = data.draw(st.sampled_from(gone), "row")
        chain = self.chain_to(data, row)
        try:
            found = self.world.walk(caller.account, chain, deleted=True)
            touched = self.world.restore(found)
        except Refused as refused:
            must_refuse(caller.send("POST", f"{path_of(chain)}/restore"), refused)
            return
        reply = caller.send("POST", f"{path_of(chain)}/restore")
        assert reply.status == 200, str(reply)
        self.forget_versions(touched)
        self.note_version(row, version_of(reply), is_written=True)
        self.must_show(reply, row)
        self.is_dirty = True

    # ------------------------------------------------------------ reads

    @rule(data=st.data(), type_name=st.sampled_from(list(TYPES)), deleted=st.booleans())
    def get(self, data: st.DataObject, type_name: str, deleted: bool) -> None:
        """Get an object by any of its paths; also one that is not there."""
        caller = self.choose_caller(data)
        row = self.pick(data, caller, type_name, among="any")
        if row is None:
            return
        chain = self.chain_to(data, row)
        path = path_of(chain) + ("?deleted=include" if deleted else "")
        try:
            self.world.walk(caller.account, chain, deleted=deleted)
        except Refused as refused:
            must_refuse(caller.get(path), refused)
            return
        reply = caller.get(path)
        assert reply.status == 200, str(reply)
        self.note_version(row, version_of(reply), is_written=False)
        self.must_show(reply, row)
        again = caller.send("GET", path, headers={"If-None-Match": reply.header("etag") or ""})
        assert (again.status, again.body) == (304, b"")

    @rule(data=st.data(), type_name=st.sampled_from(list(TYPES)))
    def search(self, data: st.DataObject, type_name: str) -> None:
        """Search flat or below a parent: filter, words, order, count, pages."""
        caller = self.choose_caller(data)
        path, rows = self.scope(data, caller, type_name)
        pool = [row.id for row in self.world.rows] or [UNKNOWN_ID]
        body: Json = {"filter": data.draw(filters(type_name, pool), "filter"), "count": "exact"}
        keys = data.draw(sort_keys(type_name, counts=True), "sort")
        q = data.draw(phrases(), "q")
        body |= {"sort": keys} if keys else {}
        body |= {"q": q} if q is not None else {}
        finder = Finder(self.world, caller.account)
        found = finder.sort(finder.find(rows, body["filter"], q), keys, type_name)
        self.must_find(caller, path, body, found)
        rest = finder.sort([row for row in rows if row not in finder.find(rows, body["filter"])], (), type_name)
        self.must_find(caller, path, {"filter": {"not": body["filter"]}, "count": "exact"}, rest)
        size = data.draw(st.integers(1, 4), "size")
        if not any("count(" in key for key in keys):
            self.must_walk(caller, path, body, found, size)
        offset = data.draw(st.integers(0, len(found) + 1), "offset")
        reply = caller.search(path, {**body, "limit": size, "offset": offset})
        assert [one["id"] for one in reply.data] == [row.id for row in found[offset : offset + size]], str(reply)
        assert reply.json["meta"]["has_more"] is (offset + size < len(found)), str(reply)

    @rule(data=st.data(), type_name=st.sampled_from(list(TYPES)))
    def search_by_query(self, data: st.DataObject, type_name: str) -> None:
        """List with the filter in the query string."""
        caller = self.choose_caller(data)
        path, rows = self.scope(data, caller, type_name)
        pool = [row.id for row in self.world.rows] or [UNKNOWN_ID]
        condition = data.draw(filters(type_name, pool), "filter")
        finder = Finder(self.world, caller.account)
        found = finder.sort(finder.find(rows, condition), (), type_name)
        reply = caller.get(f"/v3/crud/{path}/?filter={quote(json.dumps(condition))}&limit={LIMIT}&fields=id")
        assert reply.status == 200, f"{reply}\n{condition}"
        assert [one["id"] for one in reply.data] == [row.id for row in found], f"{reply}\n{condition}"

    @precondition(lambda self: self.is_dirty)
    @invariant()
    def each_account_sees_its_own_and_nothing_else(self) -> None:
        """Lists of every type, object by object."""
        for caller in self.callers:
            finder = Finder(self.world, caller.account)
            for type_name in TYPES:
                rows = finder.sort(self.world.of(caller.account, type_name), (), type_name)
                self.must_find(caller, type_name, {}, rows)
        self.is_dirty = False


QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


def _run(stage: Stage, **more: Any) -> None:
    machine = type("AccountsOnStage", (Accounts,), {"stage": stage})
    run_state_machine_as_test(machine, settings=settings(deadline=None, suppress_health_check=QUIET, **more))


def test_random_requests_of_two_accounts_are_answered_as_the_model_says(model_stage: Stage) -> None:
    _run(model_stage, max_examples=30, stateful_step_count=40)


@pytest.mark.parametrize("door", DOORS)
def test_so_they_are_through_every_door_of_the_old_api(model_stage: Stage, door: str) -> None:
    stage = model_stage.through(door)
    _run(stage, max_examples=8, stateful_step_count=40)
    verbs = {"get", "list", "create", "update", "delete", *(("search",) if DOORS[door] == "v2" else ())}
    assert stage.used == {f"{door} {verb}" for verb in verbs}


@pytest.mark.long
@pytest.mark.parametrize("door", [None, *DOORS])
def test_many_random_requests_of_two_accounts_are_answered_as_the_model_says(
    model_stage: Stage, door: str | None
) -> None:
    _run(model_stage.through(door), max_examples=400 if door is None else 100, stateful_step_count=100)


def test_what_a_delete_has_detached_is_there_and_may_get_another_parent(model_stage: Stage) -> None:
    one = model_stage.new_account("one")
    body = {"label": "one", "book": [{"title": "first", "sticker": [{"color": "red"}]}, {"title": "second"}]}
    shelf = one.send("POST", "/v3/crud/shelf/", body)
    second, first = one.search(f"shelf/{shelf.data['id']}/book", {"sort": ["-title"]}).data
    one.send("DELETE", f"/v3/crud/book/{first['id']}")
    (sticker,) = one.search("sticker", {}).data
    assert sticker["book_id"] is None
    reply = one.send("POST", f"/v3/crud/sticker/{sticker['id']}/move", {"parent": {"type": "book", "id": second["id"]}})
    assert (reply.status, reply.data["book_id"]) == (200, second["id"]), str(reply)
