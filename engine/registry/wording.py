"""Proposing names for what is found in a database: singular, short enough, and not taken.

Used when a registry is proposed (`propose.py`). The form of names and the reserved words are `names.py`'s.
"""

from __future__ import annotations

from collections.abc import Collection

from engine.registry.names import MAX_NAME

# Singular although they end in s.
_SINGULAR = frozenset({"news", "series", "species", "lens", "canvas", "gas", "atlas", "alias", "bias"})
_IRREGULAR = {"people": "person", "children": "child", "men": "man", "women": "woman", "mice": "mouse"}


def singular(name: str) -> str:
    """The last word of a snake_case name in the singular, by the common rules of English."""
    head, _, last = name.rpartition("_")
    word = _singular_word(last)
    return f"{head}_{word}" if head else word


def free_name(name: str, taken: Collection[str], suffix: str) -> str:
    """The name, or the first of ``name_suffix``, ``name_suffix_2`` … that is free."""
    room = MAX_NAME - len(suffix) - 5
    name = name if len(name) <= MAX_NAME else name[:room].rstrip("_")
    if name not in taken:
        return name
    number = 1
    while True:
        ending = f"_{suffix}" if number == 1 else f"_{suffix}_{number}"
        candidate = f"{name[:room].rstrip('_')}{ending}"
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
