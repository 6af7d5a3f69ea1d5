"""What YAML cannot say about journal entries."""

from __future__ import annotations

from typing import Any


def word_count(row: Any) -> int:
    """How many words the text has."""
    return len((row.body or "").split())
