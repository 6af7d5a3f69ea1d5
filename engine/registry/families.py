"""Which operators and functions each family of field kinds takes, by name alone.

The registry and the documents ask these lists what a field may be asked; what an
operator means stands in `operators/`, which kind is of which family in `kinds.py`. A
test holds the three together. `regex` is absent.
"""

from __future__ import annotations

from collections.abc import Mapping

SIX = ("eq", "ne", "in", "nin", "null", "empty")
ORDERED = ("lt", "lte", "gt", "gte", "between")
# What the short forms `range` and `text` of a type's `search` stand for.
RANGE = ("eq", "ne", *ORDERED)
MATCHING = (
    "contains", "icontains", "starts_with", "istarts_with", "ends_with", "iends_with", "like", "ilike",
)  # fmt: skip
# Whole words: only where `search` names it.
WORDS = ("search",)
TEXT = ("eq", "ne", "ieq", "ine", *MATCHING, *WORDS)

FAMILIES: Mapping[str, tuple[str, ...]] = {
    "text": (*SIX, "ieq", "ine", *ORDERED, *MATCHING, *WORDS),
    "number": (*SIX, *ORDERED),
    "date": (*SIX, *ORDERED),
    "datetime": (*SIX, *ORDERED),
    "time": (*SIX, *ORDERED),
    "boolean": SIX,
    "enum": SIX,
    "id": SIX,
    "json": (*SIX, "json", "has", "has_any", "has_all", "has_key", "length"),
    "none": (),
}

# The operators that a field of a family has where `search` says every operator of its type.
DEFAULTS: Mapping[str, tuple[str, ...]] = {
    family: tuple(name for name in names if name not in WORDS) for family, names in FAMILIES.items()
}

# Function of a field expression → families that take it.
FUNCTIONS: Mapping[str, frozenset[str]] = {
    "year": frozenset({"date", "datetime"}),
    "quarter": frozenset({"date", "datetime"}),
    "month": frozenset({"date", "datetime"}),
    "week": frozenset({"date", "datetime"}),
    "day": frozenset({"date", "datetime"}),
    "weekday": frozenset({"date", "datetime"}),
    "hour": frozenset({"datetime", "time"}),
    "minute": frozenset({"datetime", "time"}),
    "date": frozenset({"datetime"}),
    "length": frozenset({"text"}),
    "lower": frozenset({"text", "enum"}),
}
