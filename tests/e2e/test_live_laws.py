"""The law of live changes: what a subscriber makes of his frames is what his search finds, whatever is written.

Filters are those that the model draws: every operator, to-one and to-many relations, functions. Where a filter looks
at nothing but the row itself, nobody may be told to look again instead.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.auth.mint import mint_token
from engine.language.ids import new_public_id
from tests.support.live import Follower, fold
from tests.support.model import TYPES
from tests.support.model_strategies import bodies, filters
from tests.support.stage import Caller, Stage

VERBS = ["make", *["patch"] * 6, "delete", "restore", "hard", "move"]
FOLLOWED = ["book", "author", "review", "sticker", "clip", "shelf", "reply"]
PARENTS = {"book": "shelf", "review": "book", "reply": "review", "clip": "shelf", "sticker": "book", "loan": "shelf"}
# Of such filters a few patches move rows in and out; those that the model draws hold of few rows, or of all.
PLAIN: dict[str, list[dict[str, Any]]] = {
    "book": [{"mood": "calm"}, {"mood": {"in": ["loud", "odd"]}}, {"lent": True}, {"pages": {"gt": 0}}, {"note": None},
             {"price": {"gte": "1"}}, {"bought_on": {"gte": "2026-01-01"}}, {"tags": {"has": "a"}}],
    "author": [{"active": True}, {"active": {"ne": True}}, {"born": {"lt": "2026-01-01"}}, {"nick": {"null": True}}],
    "review": [{"stars": {"gte": 3}}, {"stars": {"lt": 3}}, {"author.active": True}],
    "shelf": [{"rating": {"gte": 0}}, {"author_id": None}, {"book": {"count": {"gte": 2}}}],
    "sticker": [{"color": "red"}, {"color": None}, {"book.mood": "calm"}],
    "clip": [{"seconds": {"gte": 0}}, {"seconds": None}],
    "reply": [{"words": {"contains": "a"}}, {"words": {"icontains": "A"}}],
}  # fmt: skip
FEW = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)


class Play:
    """One account, what is written in it, and who follows."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.owner = stage.new_account("live")
        self.stranger = stage.new_account("other")
        self.ids: dict[str, list[str]] = {name: [] for name in TYPES}
        self.followers: list[tuple[Follower, str, dict[str, Any], dict[str, str] | None, dict[str, Any]]] = []

    def make(self, type_name: str, body: dict[str, Any], *, caller: Caller | None = None) -> bool:
        path = type_name
        if type_name in PARENTS:
            above = self.ids[PARENTS[type_name]]
            if not above:
                return False
            path = f"{PARENTS[type_name]}/{above[-1]}/{type_name}"
        reply = (caller or self.owner).send("POST", f"/v3/crud/{path}/", body)
        if reply.status == 201:
            self.ids[type_name].append(reply.data["id"])
        return reply.status == 201

    def follow(self, type_name: str, search: dict[str, Any], parent: dict[str, str] | None, caller: Caller) -> None:
        follower = Follower(self.stage.app.engine.application, dict(caller.client.headers))

        async def begin() -> dict[str, Any]:
            await follower.open()
            return await follower.subscribe(type_name, search, parent=parent)

        first = self.stage.run(begin())
        if first["type"] == "error":
            assert first["problem"]["status"] == 422, first
            self.stage.run(follower.close())
            return
        known = self.search(type_name, search, parent, caller)
        self.followers.append((follower, type_name, search, parent, known))

    def search(
        self, type_name: str, search: dict[str, Any], parent: dict[str, str] | None, caller: Caller
    ) -> dict[str, Any]:
        path = type_name if parent is None else f"{parent['type']}/{parent['id']}/{type_name}"
        reply = caller.search(path, {**search, "limit": 1000})
        if reply.status == 404:
            return {}
        assert reply.status == 200, str(reply)
        return {row["id"]: row for row in reply.data}

    def settle(self) -> None:
        """Until everything that was written has been told."""

        async def listen() -> None:
            last = Follower(self.stage.app.engine.application, dict(self.owner.client.headers))
            await last.open()
            await last.subscribe("author", {"filter": {"name": "the last"}})
            await self.owner.client.send("POST", "/v3/crud/author/", {"name": "the last"})
            await last.receive()
            await last.close()
            for follower, *_ in self.followers:
                await follower.send({"type": "ping"})
                while (await follower.receive())["type"] != "pong":
                    pass

        self.stage.run(listen())

    def close(self) -> None:
        for follower, *_ in self.followers:
            self.stage.run(follower.close())
        self.followers.clear()


@given(data=st.data())
@FEW
def test_frames_folded_are_what_the_search_finds(model_stage: Stage, data: st.DataObject) -> None:
    play = Play(model_stage)
    try:
        for type_name in ("author", "shelf", "book", "review", "sticker", "clip", "reply"):
            for _ in range(2):
                play.make(type_name, _body(play, data, type_name, is_whole=True))
        for type_name in data.draw(st.lists(st.sampled_from(FOLLOWED), min_size=8, max_size=8)):
            search: dict[str, Any] = {}
            kind = data.draw(st.integers(0, 4))
            if kind in (1, 2):
                search["filter"] = data.draw(st.sampled_from(PLAIN[type_name]))
            elif kind in (3, 4):
                search["filter"] = data.draw(filters(type_name, play.ids["author"]))
            parent = None
            if type_name in PARENTS and data.draw(st.integers(0, 3)) == 0 and play.ids[PARENTS[type_name]]:
                parent = {"type": PARENTS[type_name], "id": data.draw(st.sampled_from(play.ids[PARENTS[type_name]]))}
            play.follow(type_name, search, parent, play.owner)
        play.follow("book", {}, None, play.stranger)
        for verb in data.draw(st.lists(st.sampled_from(VERBS), min_size=15, max_size=25)):
            _write(play, data, verb)
        play.settle()
        for follower, type_name, search, parent, known in play.followers:
            caller = play.stranger if follower.headers == dict(play.stranger.client.headers) else play.owner
            frames = [frame for frame in follower.frames if frame["type"] not in ("subscribed", "pong")]
            if caller is play.stranger:
                assert not frames
                continue
            ended = any(frame["type"] == "error" for frame in frames)
            is_lost = fold(known, frames)
            now = play.search(type_name, search, parent, caller)
            if not (is_lost or ended):
                assert known == now, f"{type_name} {search} {parent}\n{frames}"
            if is_lost and _looks_at_itself(type_name, search):
                raise AssertionError(f"told to look again for nothing: {type_name} {search}\n{frames}")
            if ended:
                assert parent is not None
                assert not now
    finally:
        play.close()


def _write(play: Play, data: st.DataObject, verb: str) -> None:
    type_name = data.draw(st.sampled_from(FOLLOWED))
    rows = play.ids[type_name]
    if verb == "make":
        play.make(type_name, _body(play, data, type_name, is_whole=True))
        return
    if not rows:
        return
    public_id = data.draw(st.sampled_from(rows))
    at = f"/v3/crud/{type_name}/{public_id}"
    if verb == "patch":
        play.owner.send("PATCH", at, _body(play, data, type_name, is_whole=False))
    elif verb == "delete":
        play.owner.send("DELETE", at)
    elif verb == "hard":
        play.owner.send("DELETE", f"{at}?hard=true")
    elif verb == "restore":
        play.owner.send("POST", f"{at}/restore")
    elif type_name in PARENTS and play.ids[PARENTS[type_name]]:
        above = data.draw(st.sampled_from(play.ids[PARENTS[type_name]]))
        play.owner.send("POST", f"{at}/move", {"parent": {"type": PARENTS[type_name], "id": above}})


def _body(play: Play, data: st.DataObject, type_name: str, *, is_whole: bool) -> dict[str, Any]:
    return data.draw(bodies(TYPES[type_name], play.ids["author"], is_whole=is_whole))


def _looks_at_itself(type_name: str, search: dict[str, Any]) -> bool:
    """Whether nothing but the row decides: no relation is crossed, and no parent can take it away."""
    if type_name not in ("book", "author", "shelf", "reply"):
        return False
    names = {"id", "created_on", "updated_on", "account_id", "and", "or", "not", *TYPES[type_name].columns}

    def plain(condition: Any) -> bool:
        for key, value in condition.items():
            if key.lstrip("_$") in ("and", "or", "not"):
                if not all(map(plain, value if isinstance(value, list) else [value])):
                    return False
            elif key.split("(")[-1].rstrip(")") not in names:
                return False
        return True

    return plain(search.get("filter", {})) and "field" not in str(search)


@pytest.mark.long
def test_who_is_hung_up_on_is_forgotten(model_stage: Stage) -> None:
    """Nothing grows with the connections that have been."""
    live = model_stage.app.engine.live
    owner = model_stage.new_account("short")
    token = mint_token(model_stage.app.settings, user=new_public_id(), accounts=[owner.account], roles=["admin"])

    async def come_and_go() -> None:
        for _ in range(200):
            follower = Follower(model_stage.app.engine.application, {"Authorization": f"Bearer {token}"})
            await follower.open()
            await follower.subscribe("author")
            await follower.close()
        await asyncio.sleep(0)

    model_stage.run(come_and_go())
    assert len(live) == 0
