"""Which indexes a type wants, and which fields a duplicate-key fault speaks of."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.registry.resource import Field, Index, SortKey
from engine.tables import MAX_INDEX_BYTES, fields_of_index, index_bytes, indexes_of
from tests.support.library import BOOK, LIBRARY, SHELF


def _names(resource: object) -> list[str]:
    return [index.name for index in indexes_of(resource)]  # type: ignore[arg-type]


def test_a_type_has_an_index_for_each_way_its_lists_are_read_and_none_twice() -> None:
    assert _names(BOOK) == [
        "uq_book__id_random",
        "uq_book__shelf_id__title",
        "ix_book__library_id__id",
        "ix_book__library_id__published_on__title__id",
        "ix_book__shelf_id__published_on__title__id",
        "ix_book__state__published_on_desc",
        "ix_book__sequel_id__id",
    ]


def test_what_is_unique_is_so_per_account_unless_a_parent_is_in_it_or_there_is_no_account() -> None:
    assert [index.columns for index in indexes_of(SHELF) if index.is_unique] == [
        ("id_random",),
        ("library_id", "code"),
    ]
    assert ("shelf_id", "title") in [index.columns for index in indexes_of(BOOK)]
    shared = replace(LIBRARY, unique=(Index(("name",), is_unique=True),))
    assert ("name",) in [index.columns for index in indexes_of(shared)]


def test_an_order_of_mixed_directions_gets_an_index_of_these_directions() -> None:
    mixed = replace(BOOK, sort=(SortKey("published_on", True), SortKey("title", False)))
    (index,) = [one for one in indexes_of(mixed) if one.columns[0] == "library_id" and len(one.columns) > 2]
    assert index.name == "ix_book__library_id__published_on_desc__title__id"


@pytest.mark.parametrize("sort", ["summary", "lower(title)", "shelf.code", "count(page)"])
def test_an_order_that_no_column_holds_gets_no_index(sort: str) -> None:
    assert not [index for index in indexes_of(replace(BOOK, sort=(SortKey(sort),))) if len(index.columns) > 3]


def test_an_index_that_nobody_declared_is_left_out_where_it_would_be_too_long() -> None:
    wide = {name: Field(name=name, column=name, kind="string", size=255) for name in ("a", "b", "c", "d")}
    resource = replace(BOOK, fields={**BOOK.fields, **wide}, sort=tuple(SortKey(name) for name in wide))
    assert all(index_bytes(resource, index) <= MAX_INDEX_BYTES for index in indexes_of(resource))
    declared = replace(resource, indexes=(Index(("a", "b", "c", "d")),))
    assert any(index_bytes(declared, index) > MAX_INDEX_BYTES for index in indexes_of(declared))


def test_names_are_the_same_every_time_and_never_longer_than_a_server_takes() -> None:
    long = replace(BOOK, table="a_table_whose_name_alone_is_nearly_as_long_as_names_can_be")
    assert _names(long) == _names(long)
    assert max(len(name) for name in _names(long)) == 64
    assert len(set(_names(long))) == len(_names(long))


def test_a_view_has_none() -> None:
    assert indexes_of(replace(BOOK, is_view=True)) == ()


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("uq_shelf__library_id__code", ("code",)),
        ("UQ_SHELF__LIBRARY_ID__CODE", ("code",)),
        ("shelf.uq_shelf__library_id__code", ("code",)),
        ("shelf.library_id, shelf.code", ("code",)),
        ("uq_shelf__id_random", ("id",)),
        ("shelf.id_random", ("id",)),
        ("theirs", ("library_id", "code")),
        ("PRIMARY", None),
        ("uq_book__shelf_id__title", None),
    ],
)
def test_a_duplicate_key_fault_is_traced_to_its_fields(name: str, fields: tuple[str, ...] | None) -> None:
    reflected = replace(SHELF, unique=(Index(("library_id", "code"), is_unique=True, name="theirs"),))
    found = fields_of_index(reflected if name == "theirs" else SHELF, name)
    assert found == (("code",) if name == "theirs" else fields)
