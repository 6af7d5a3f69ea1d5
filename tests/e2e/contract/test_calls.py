"""Paths, limits and pickers answer as the contract says."""

from __future__ import annotations

import pytest

from tests.support.contract import Seeded


@pytest.mark.parametrize(
    ("method", "word"), [("POST", "bulk"), ("POST", "upsert"), ("GET", "export"), ("OPTIONS", "bulk"), ("PUT", "list")]
)
def test_a_reserved_word_that_is_no_call_yet_is_404(seeded: Seeded, method: str, word: str) -> None:
    for path in (f"journal/{word}", f"journal/{word}/", f"journal/{seeded.ids['first']}/entry/{word}"):
        reply = seeded.owner.send(method, f"/v3/crud/{path}")
        assert reply.status == 404, str(reply)
        assert reply.header("allow") is None


def test_a_picker_is_told_that_its_limit_was_reduced(seeded: Seeded) -> None:
    reply = seeded.owner.get("/v3/crud/person/options?limit=5000")
    assert reply.data == [{"value": seeded.ids["ann"], "label": "Ann"}]
    assert reply.json["meta"]["limit"] == 1000
    assert len(reply.json["meta"]["warnings"]) == 1
    assert "warnings" not in seeded.owner.get("/v3/crud/person/options?limit=1000").json["meta"]


def test_too_many_relations_name_the_limit_wherever_they_stand(seeded: Seeded) -> None:
    path = "journal.owner.boss.boss.boss.given"
    for body in ({"fields": [path]}, {"fields": [f"-{path}"]}, {"sort": [path]}, {"filter": {path: "x"}}):
        reply = seeded.owner.search("journal_entry", body)
        assert (reply.status, reply.code) == (422, "query-too-complex"), str(reply)
        assert "more than 4 relations (limit `hops`)" in reply.json["detail"], str(reply)
    reply = seeded.owner.get(f"/v3/crud/journal_entry/?{path}=x")
    assert (reply.status, reply.code, reply.json["errors"][0]["parameter"]) == (422, "query-too-complex", path)


def test_what_cannot_be_used_is_not_suggested(seeded: Seeded) -> None:
    for body in ({"fields": ["author"]}, {"sort": ["author"]}, {"fields": ["note"]}):
        reply = seeded.owner.search("journal_entry", body)
        assert reply.code == "unknown-field", str(reply)
        name = next(iter(body.values()))[0]
        assert name not in reply.json["errors"][0].get("suggestions", []), str(reply)


def test_a_query_string_asks_a_to_one_relation_for_its_absence(seeded: Seeded) -> None:
    for asked, expected in (
        ("author.null=true", ["Day 2", "Day 3"]),
        ("author.null", ["Day 2", "Day 3"]),
        ("author.null=false", ["Day 1"]),
        ("author._nnull=true", ["Day 1"]),
        ("journal.owner.null=true", []),
    ):
        reply = seeded.owner.get(f"/v3/crud/journal_entry/?{asked}&fields=title&sort=created_on")
        assert (reply.status, [row["title"] for row in reply.data]) == (200, expected), str(reply)
    assert seeded.owner.get("/v3/crud/journal_entry/?author.null=x").status == 422
    assert seeded.owner.get("/v3/crud/journal_entry/?author=x").status == 400
    assert seeded.owner.get("/v3/crud/journal_entry/?note.null=true").status == 400


def test_a_limit_is_named_as_the_schema_document_publishes_it(seeded: Seeded) -> None:
    published = seeded.owner.get("/v3/crud/journal_entry/schema").json["search"]["limits"]
    deep: object = {"title": "x"}
    for _ in range(published["depth"] + 1):
        deep = {"not": deep}
    beyond: dict[str, dict[str, object]] = {
        "depth": {"filter": deep},
        "leaves": {"filter": {"or": [{"priority": 1}] * (published["leaves"] + 1)}},
        "in": {"filter": {"priority": {"in": list(range(published["in"] + 1))}}},
        "hops": {"filter": {"author" + ".boss" * published["hops"] + ".given": "x"}},
        "expand": {"expand": ["author" + ".boss" * published["expand"]]},
        "offset": {"offset": published["offset"] + 1},
    }
    for name, body in beyond.items():
        reply = seeded.owner.search("journal_entry", body)
        assert (reply.status, reply.code) == (422, "query-too-complex"), str(reply)
        assert f"(limit `{name}`)" in reply.json["detail"], str(reply)
