"""``explain`` answers the filter in its canonical form, however it was written."""

from __future__ import annotations

from tests.support.contract import Seeded


def test_the_canonical_filter_has_no_synonyms(seeded: Seeded) -> None:
    asked = {
        "_or": [{"title": {"$eqi": "x"}}, {"author": {"given": "Ann"}}],
        "$and": [{"priority": {"_nnull": True}}],
        "_not": {"title": {"neq": "y"}},
        "note": {"_some": {"weight": 1}},
    }
    # The search itself has read these words before; that must not change how they are told.
    for _ in range(2):
        reply = seeded.owner.search("journal_entry", {"filter": asked, "explain": True, "limit": 1})
        assert reply.status == 200, str(reply)
        assert reply.json["meta"]["explain"]["filter"] == {
            "and": [
                {"or": [{"title": {"ieq": "x"}}, {"author.given": {"eq": "Ann"}}]},
                {"priority": {"null": False}},
                {"not": {"title": {"ne": "y"}}},
                {"note": {"any": {"weight": {"eq": 1}}}},
            ]
        }


def test_the_parameters_of_a_query_string_are_part_of_the_canonical_filter(seeded: Seeded) -> None:
    path = '/v3/crud/journal_entry/?explain=true&limit=1&title.icontains=day&priority.in=1,2&filter={"flagged":false}'
    reply = seeded.owner.get(path)
    assert reply.status == 200, str(reply)
    assert reply.json["meta"]["explain"]["filter"] == {
        "and": [{"flagged": {"eq": False}}, {"title": {"icontains": "day"}}, {"priority": {"in": [1, 2]}}]
    }


def test_statements_and_indexes_need_their_scope(seeded: Seeded) -> None:
    body = {"filter": {"title": "Day 1"}, "explain": True, "expand": ["note", "author"], "count": "exact"}
    told = seeded.owner.search("journal_entry", body).json["meta"]["explain"]
    assert told["statements"] == 3 == len(told["sql"])
    assert "Day 1" not in str(told["sql"])
    assert isinstance(told["indexes"], list)
    plain = seeded.stage.caller("plain", accounts=[seeded.owner.account], scopes=["*:read"])
    assert set(plain.search("journal_entry", body).json["meta"]["explain"]) == {"filter", "statements"}
