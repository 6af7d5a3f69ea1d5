"""What a type's `search` and `sort` say, as operators and sortability of its fields and as sort keys.

The lists of operators are `families.py`'s. Names that are no fields are passed over here; `checks.py` reports them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from engine.registry.families import DEFAULTS, FAMILIES, RANGE, SIX, TEXT
from engine.registry.grammar import EVERY, FieldDeclaration
from engine.registry.kinds import KINDS
from engine.registry.resource import Field, SortKey

# MariaDB sorts by the first `max_sort_length` bytes: 1,024, so 255 characters.
MAX_SORTED_CHARS = 255
SHORT_WORDS: Mapping[str, tuple[str, ...]] = {"range": RANGE, "text": TEXT}
# Fields of these roles are filterable whatever `search` says.
ALWAYS_FILTERABLE = frozenset({"public_id", "account", "created", "updated", "parent", "relation"})
_TIMESTAMPS = frozenset({"created", "updated"})


def apply_search(field: Field, words: Iterable[str] | None, said: FieldDeclaration) -> Field:
    """A field with its operators and its sortability.

    Args:
        field: The field.
        words: What `search` says of it; None where it does not name it.
        said: The field's declaration.
    """
    if not is_askable(field):
        return field
    family = KINDS[field.kind].family
    names: set[str] = set(DEFAULTS[family]) if field.role in ALWAYS_FILTERABLE else set()
    for word in words or ():
        names.update(DEFAULTS[family] if word == EVERY else SHORT_WORDS.get(word, (word,)))
    sortable = can_sort(field) and (words is not None or field.role in _TIMESTAMPS)
    if said.sortable is not None:
        sortable = can_sort(field) and said.sortable
    return replace(
        field,
        operators=tuple(name for name in FAMILIES[family] if name in names),
        sortable=sortable,
        searchable=words is not None and family == "text" and field.kind != "uuid",
    )


def is_askable(field: Field) -> bool:
    """Whether a filter, sort or `q` may ever look at a field."""
    return not (field.hidden or field.secret or field.computed) and field.column is not None and field.kind != "binary"


def can_sort(field: Field) -> bool:
    """Whether a database orders by such a field in full."""
    if not is_askable(field) or not KINDS[field.kind].is_sortable:
        return False
    return KINDS[field.kind].family != "text" or (field.size or 0) <= MAX_SORTED_CHARS


def unknown_words(field: Field, words: Iterable[str]) -> list[str]:
    """Words of `search` that are no operators of the field."""
    known = FAMILIES[KINDS[field.kind].family]
    return [
        word
        for word in words
        if word != EVERY and word not in known and not (word in SHORT_WORDS and set(SHORT_WORDS[word]) <= set(known))
    ]


def read_sort_key(text: str) -> SortKey:
    """A sort key as it is written: ``-created_on:nulls_last``."""
    expression, _, nulls = text.partition(":")
    descending = expression.startswith("-")
    last = {"nulls_last": True, "nulls_first": False}.get(nulls)
    return SortKey(expression.removeprefix("-"), descending, last)


__all__ = ["SIX", "apply_search", "can_sort", "is_askable", "read_sort_key", "unknown_words"]
