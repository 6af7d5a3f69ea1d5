"""The names of a registry: their form, the reserved ones, and titles and plurals made of them."""

from __future__ import annotations

import re
from functools import lru_cache

MAX_NAME = 60
NAME_PATTERN = r"^[a-z][a-z0-9]*(_[a-z0-9]+)*$"

# Words of paths, so neither types nor segments.
RESERVED_TYPES = frozenset(
    (
        "search", "schema", "options", "bulk", "upsert", "export", "restore", "move", "history", "batch", "meta",
        "action", "list",
    )
)  # fmt: skip
# Words of the search language, so neither fields nor relations.
RESERVED_FIELDS = frozenset(("and", "or", "not", "any", "all", "none", "count", "null"))
# What a list's query string means something else by; `filter=` still reaches a field of such a name.
QUERY_PARAMETERS = frozenset(
    (
        "filter", "q", "fields", "expand", "sort", "limit", "offset", "cursor", "count", "deleted", "timezone",
        "explain",
    )
)  # fmt: skip

_NAME = re.compile(NAME_PATTERN)
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_OTHER = re.compile(r"[^a-z0-9]+")
_SIBILANT = re.compile(r"(s|x|z|ch|sh)$")


def is_name(text: str) -> bool:
    """Whether a text can name a type, field, relation or segment: snake_case, not too long."""
    return len(text) <= MAX_NAME and _NAME.match(text) is not None and not text.endswith("\n")


@lru_cache(maxsize=20_000)
def snake_case(text: str) -> str:
    """A column's or table's name as the wire writes names: ``InvoiceLineId`` is ``invoice_line_id``."""
    name = _OTHER.sub("_", _HUMP.sub("_", text).lower()).strip("_")
    return name if name and name[0].isalpha() else f"x_{name}".rstrip("_")


def title_of(name: str) -> str:
    """A name for people: ``given_name`` is ``Given name``, ``person_id`` is ``Person``."""
    words = relation_of(name).replace("_", " ")
    return "ID" if words == "id" else words[:1].upper() + words[1:]


def plural_of(title: str) -> str:
    """The usual English plural of a title; the registry says the others."""
    if title.endswith("y") and title[-2:-1].lower() not in ("a", "e", "i", "o", "u"):
        return title[:-1] + "ies"
    return title + ("es" if _SIBILANT.search(title.lower()) else "s")


def relation_of(field: str) -> str:
    """The relation that an id field carries: its name without ``_id``."""
    return field[:-3] if field.endswith("_id") and len(field) > 3 else field


def segment_of(child: str, parent: str) -> str:
    """The word for a child in its parent's paths: its name without the parent's in front."""
    return child[len(parent) + 1 :] if child.startswith(f"{parent}_") else child
