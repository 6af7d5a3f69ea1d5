"""A computed field of the registry that attacks are tried on."""

from __future__ import annotations

from typing import Any


def word_count(row: Any) -> int:
    """How many words the text has."""
    return len((row.body or "").split())
