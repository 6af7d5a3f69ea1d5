"""Names for what is found in a database: snake_case, singular, and free of words that mean something already.

Used when a registry is proposed (`propose.py`). Names that people write are checked in `checks.py`.
"""

from __future__ import annotations

import re
from collections.abc import Collection

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_OTHER = re.compile(r"[^a-z0-9]+")
# Singular although they end in s.
_SINGULAR = frozenset(
    {"status", "news", "series", "species", "address", "business", "access", "process", "class", "bus"}
)
_IRREGULAR = {"people": "person", "children": "child", "men": "man", "women": "woman", "mice": "mouse", "data": "data"}


def snake_case(name: str) -> str:
    """``InvoiceLine``, ``invoice-line`` and ``INVOICE_LINE`` are all ``invoice_line``."""
    word = name if name.isupper() else _CAMEL.sub("_", name)
    found = _OTHER.sub("_", word.lower()).strip("_")
    if not found:
        return "unnamed"
    return found if found[0].isalpha() else f"n_{found}"


def singular(name: str) -> str:
    """The last word of a snake_case name in the singular, by the common rules of English."""
    head, _, last = name.rpartition("_")
    word = _singular_word(last)
    return f"{head}_{word}" if head else word


def free_name(name: str, taken: Collection[str], suffix: str) -> str:
    """The name, or the first of ``name_suffix``, ``name_suffix_2`` … that is free."""
    if name not in taken:
        return name
    number = 1
    while True:
        candidate = f"{name}_{suffix}" if number == 1 else f"{name}_{suffix}_{number}"
        if candidate not in taken:
            return candidate
        number += 1


def _singular_word(word: str) -> str:
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word in _SINGULAR or len(word) < 4 or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies"):
        return f"{word[:-3]}y"
    if word.endswith(("sses", "xes", "ches", "shes", "zzes")):
        return word[:-2]
    return word[:-1] if word.endswith("s") else word
