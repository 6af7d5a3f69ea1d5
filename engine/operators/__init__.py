"""The operators of the search language; see `table.py` for the rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from engine.operators.dates import sqlite_local
from engine.operators.found import (
    as_compared,
    as_double,
    may_be_unreadable,
    position,
    sortable,
    sqlite_clock,
    sqlite_day,
    sqlite_decimal,
    sqlite_instant,
    sqlite_moment,
    sqlite_truth,
    subject_of,
)
from engine.operators.fragment import Subject
from engine.operators.json import sqlite_normal_json
from engine.operators.leaf import build_count, build_field_leaf, build_function, build_leaf
from engine.operators.table import OPERATORS, Example, Operator
from engine.operators.text import PatternTooComplex, fold, sqlite_fold, sqlite_has_word, sqlite_is_like


@dataclass(frozen=True, slots=True)
class SqliteFunction:
    """A Python function that SQLite must know under a name before any statement of ours runs."""

    call: Callable[..., object]
    arguments: int
    is_deterministic: bool = True


SQLITE_FUNCTIONS: dict[str, SqliteFunction] = {
    "aether_fold": SqliteFunction(sqlite_fold, 1),
    "aether_word": SqliteFunction(sqlite_has_word, 2),
    "aether_like": SqliteFunction(sqlite_is_like, 2),
    "aether_local": SqliteFunction(sqlite_local, 2),
    "aether_json": SqliteFunction(sqlite_normal_json, 1),
    "aether_moment": SqliteFunction(sqlite_moment, 1),
    "aether_instant": SqliteFunction(sqlite_instant, 2),
    "aether_day": SqliteFunction(sqlite_day, 1),
    "aether_clock": SqliteFunction(sqlite_clock, 1),
    "aether_decimal": SqliteFunction(sqlite_decimal, 2),
    "aether_truth": SqliteFunction(sqlite_truth, 1),
}

__all__ = [
    "OPERATORS", "SQLITE_FUNCTIONS", "Example", "Operator", "PatternTooComplex", "SqliteFunction", "Subject",
    "as_compared", "as_double", "build_count", "build_field_leaf", "build_function", "build_leaf", "fold",
    "may_be_unreadable", "position", "sortable", "subject_of",
]  # fmt: skip
