"""Filters mean what the contract says, in its own spelling and in those of other products."""

from __future__ import annotations

from tests.support.contract import Seeded


def test_an_invisible_target_gives_null_to_its_id_too(seeded: Seeded) -> None:
    deleted = seeded.ids["del"]
    assert seeded.titles("journal_entry", {"author_id": deleted}) == ["Day 2"]
    for asked in ({"author.id": deleted}, {"author": {"id": deleted}}, {"author": {"id": {"in": [deleted]}}}):
        assert seeded.titles("journal_entry", asked) == [], asked
    for asked in (
        {"author.id": None},
        {"author": {"id": None}},
        {"author": {"null": True}},
        {"author": {"given": None}},
    ):
        assert seeded.titles("journal_entry", asked) == ["Day 2", "Day 3"], asked
    assert seeded.titles("journal_entry", {"author.id": seeded.ids["ann"]}) == ["Day 1"]
    assert seeded.titles("journal_entry", {"author": {"id": {"ne": seeded.ids["ann"]}}}) == ["Day 2", "Day 3"]


def test_a_field_that_is_called_like_a_synonym_wins(seeded: Seeded) -> None:
    twin = seeded.make("probe", label="twin", not_null=1)
    probe = seeded.make("probe", label="has parts", twin_id=twin)
    seeded.make(f"probe/{probe}/part", some=5, every=6)

    def find(asked: object) -> list[str]:
        return seeded.titles("probe", asked, field="label")

    assert find({"part": {"some": 5}}) == ["has parts"]
    assert find({"part": {"some": {"gt": 5}}}) == []
    assert find({"part": {"every": 6}}) == ["has parts"]
    assert find({"part": {"_some": {"some": 5}}}) == ["has parts"]
    assert find({"part": {"any": {"every": 6}}}) == ["has parts"]
    assert find({"twin": {"not_null": 1}}) == ["has parts"]
    assert find({"twin": {"not_null": 2}}) == []
    assert find({"twin": {"notNull": True}}) == ["has parts"]
