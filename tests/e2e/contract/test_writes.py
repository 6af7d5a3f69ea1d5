"""Writes answer as the contract says: rights, preferences, versions, and every fault at its place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from tests.e2e.conftest import BOTH, Stages
from tests.support.serving import ROOT, Reply
from tests.support.stage import Caller

WRITES = ROOT / "tests" / "data" / "contract" / "writes.yaml"
UNKNOWN = "k" * 22


@pytest.fixture(params=BOTH)
def owner(request: pytest.FixtureRequest, stages: Stages) -> Caller:
    """Administrator of an account without objects."""
    return stages(request.param, WRITES).new_account("Lab")


def with_scopes(owner: Caller, *scopes: str) -> Caller:
    """Somebody else of the same account."""
    return owner.stage.caller("other", accounts=[owner.account], scopes=list(scopes))


def make(owner: Caller, path: str, **values: object) -> str:
    """Create an object; its id."""
    reply = owner.send("POST", f"/v3/crud/{path}/", values)
    assert reply.status == 201, str(reply)
    return str(reply.data["id"])


def places(reply: Reply) -> list[tuple[str, str]]:
    """Pointer and code of every fault."""
    return [(item["pointer"], item["code"]) for item in reply.json["errors"]]


def version_of(owner: Caller, path: str) -> int:
    """The version in an object's ETag."""
    etag = owner.get(f"/v3/crud/{path}").header("etag")
    assert etag is not None
    return int(etag.strip('"').partition("-")[0])


# ---------------------------------------------------------------- rights and preferences


def test_a_hard_delete_needs_its_own_scope_and_no_other(owner: Caller) -> None:
    project = make(owner, "project", name="Gone")
    target = f"/v3/crud/project/{project}?hard=true"
    assert with_scopes(owner, "project:read", "project:write").send("DELETE", target).status == 403
    purger = with_scopes(owner, "project:read", "project:delete_hard")
    assert purger.send("DELETE", f"/v3/crud/project/{project}").status == 403
    assert purger.send("DELETE", target).status == 204
    assert owner.get(f"/v3/crud/project/{project}?deleted=include").status == 404


def test_return_minimal_holds_for_who_may_not_read(owner: Caller) -> None:
    writer = with_scopes(owner, "project:create", "project:update")
    minimal = {"Prefer": "return=minimal"}
    made = writer.send("POST", "/v3/crud/project/", {"name": "Quiet"}, headers=minimal)
    assert (made.status, made.body, made.header("preference-applied")) == (201, b"", "return=minimal")
    location = made.header("location")
    assert location is not None
    assert location.startswith("/v3/crud/project/")
    changed = writer.send("PATCH", location, {"name": "Quieter"}, headers=minimal)
    assert (changed.status, changed.body) == (204, b"")
    assert list(writer.send("PATCH", location, {"name": "Loud"}).data) == ["id"]


# ---------------------------------------------------------------- what must be unique


@pytest.mark.parametrize("way", ["path", "flat", "patch", "nested", "child"])
def test_a_duplicate_is_told_at_the_fields_that_the_body_has(owner: Caller, way: str) -> None:
    project = make(owner, "project", name="Home")
    make(owner, f"project/{project}/task", title="taken")
    other = make(owner, f"project/{project}/task", title="free")
    base = "/v3/crud"
    calls: dict[str, tuple[str, str, object, Sequence[str]]] = {
        "path": ("POST", f"{base}/project/{project}/task/", {"title": "taken"}, ["/title"]),
        "flat": ("POST", f"{base}/task/", {"project_id": project, "title": "taken"}, ["/project_id", "/title"]),
        "patch": ("PATCH", f"{base}/task/{other}", {"title": "taken", "rank": 1}, ["/title"]),
        "nested": (
            "POST",
            f"{base}/project/",
            {"name": "Twins", "task": [{"title": "a"}, {"title": "a"}]},
            ["/task/1/title"],
        ),
        "child": (
            "PATCH",
            f"{base}/project/{project}",
            {"task": {"update": [{"id": other, "title": "taken"}]}},
            ["/task/update/0/title"],
        ),
    }
    method, target, body, expected = calls[way]
    reply = owner.send(method, target, body)
    assert (reply.status, reply.code) == (409, "duplicate"), str(reply)
    assert places(reply) == [(pointer, "duplicate") for pointer in expected]


def test_a_duplicate_that_a_move_makes_is_told_at_the_parents_id(owner: Caller) -> None:
    here, there = make(owner, "project", name="Here"), make(owner, "project", name="There")
    make(owner, f"project/{there}/task", title="same")
    task = make(owner, f"project/{here}/task", title="same")
    reply = owner.send("POST", f"/v3/crud/task/{task}/move", {"parent": {"type": "project", "id": there}})
    assert (reply.status, places(reply)) == (409, [("/parent/id", "duplicate")]), str(reply)


# ---------------------------------------------------------------- children in the body


def test_all_problems_of_an_update_with_children_are_told_at_once(owner: Caller) -> None:
    project = make(owner, "project", name="Home")
    task = make(owner, f"project/{project}/task", title="one")
    body: dict[str, Any] = {
        "size": 10,
        "task": {
            "create": [
                {"titel": "x"},
                {"title": "ok", "step": [{"title": ""}]},
                {"title": "far", "friend_id": UNKNOWN},
            ],
            "update": [{"id": task, "rank": -1}, {"id": UNKNOWN, "title": "x"}, {"title": "no id"}],
            "delete": [UNKNOWN, 5],
            "drop": [],
        },
    }
    reply = owner.send("PATCH", f"/v3/crud/project/{project}", body)
    assert (reply.status, reply.code) == (422, "validation-error"), str(reply)
    assert sorted(places(reply)) == sorted(
        [
            ("/size", "out-of-range"),
            ("/task/create/0/titel", "unknown-field"),
            ("/task/create/0/title", "required"),
            ("/task/create/1/step/0/title", "too-short"),
            ("/task/create/2/friend_id", "foreign-key"),
            ("/task/update/0/rank", "out-of-range"),
            ("/task/update/1", "foreign-key"),
            ("/task/update/2/id", "required"),
            ("/task/delete/0", "foreign-key"),
            ("/task/delete/1", "type-mismatch"),
            ("/task/drop", "unknown-field"),
        ]
    )
    assert [one["title"] for one in owner.get(f"/v3/crud/project/{project}/task/").data] == ["one"]


def test_a_write_of_children_alone_is_a_write_of_their_parent(owner: Caller) -> None:
    project = make(owner, "project", name="Home")
    target = f"/v3/crud/project/{project}"
    read = owner.get(target).header("etag")
    assert read is not None
    first = owner.send("PATCH", target, {"task": {"create": [{"title": "a"}]}}, headers={"If-Match": read})
    assert first.status == 200
    assert first.header("etag") == owner.get(target).header("etag")
    assert version_of(owner, f"project/{project}") == 2
    second = owner.send("PATCH", target, {"task": {"create": [{"title": "b"}]}}, headers={"If-Match": read})
    assert (second.status, second.code) == (412, "stale-version")
    assert [one["title"] for one in owner.get(f"{target}/task/").data] == ["a"]
