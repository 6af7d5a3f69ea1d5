"""Rebuilding an SQLite table with an integer key: SQLite adds neither keys nor counting columns to a table.

The table's own CREATE TABLE text is edited rather than written anew, so that whatever stands in it (checks, defaults,
generated columns, collations, foreign keys) stays as it was.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_QUOTED = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|--[^\n]*|/\*.*?\*/""", re.DOTALL)
_PRIMARY_KEY = re.compile(r"\bPRIMARY\s+KEY\b(?:\s+(?:ASC|DESC)\b)?", re.IGNORECASE)
_WITHOUT_ROWID = re.compile(r",?\s*\bWITHOUT\s+ROWID\b", re.IGNORECASE)
_HEAD = re.compile(r"^\s*CREATE\s+TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Source:
    """What SQLite keeps of a table's making.

    Attributes:
        create: The CREATE TABLE statement.
        others: The CREATE INDEX and CREATE TRIGGER statements that go with it.
    """

    create: str
    others: tuple[str, ...] = ()


def rebuild_with_key(table: str, key: str, source: Source, columns: Sequence[str]) -> tuple[str, ...]:
    """The statements that rebuild a table with a counting integer key, to be run with foreign keys unchecked.

    Args:
        table: Its name.
        key: Name of the new key. What was the primary key becomes unique.
        source: The statements it was made by.
        columns: The columns that hold values, generated ones left out.
    """
    new = f"aether_rebuilt_{table}"
    names = ", ".join(_quote(column) for column in columns)
    order = "" if _WITHOUT_ROWID.search(_mask(source.create)) else " ORDER BY rowid"
    return (
        f"DROP TABLE IF EXISTS {_quote(new)}",
        with_key(source.create, new, key),
        f"INSERT INTO {_quote(new)} ({names}) SELECT {names} FROM {_quote(table)}{order}",
        f"DROP TABLE {_quote(table)}",
        f"ALTER TABLE {_quote(new)} RENAME TO {_quote(table)}",
        *source.others,
    )


def with_key(source: str, name: str, key: str) -> str:
    """A CREATE TABLE statement under another name, with a counting key as its first column."""
    masked = _mask(source)
    head = _HEAD.match(masked)
    opening = masked.find("(")
    if head is None or opening < 0:
        raise ValueError(f"not a CREATE TABLE statement: {source[:80]!r}")
    body = _edit(source[opening + 1 :], masked[opening + 1 :])
    return f"CREATE TABLE {_quote(name)} (\n    {_quote(key)} INTEGER PRIMARY KEY AUTOINCREMENT,{body}"


def _mask(source: str) -> str:
    """The text with quoted names, strings and comments blotted out, of the same length."""
    return _QUOTED.sub(lambda match: "x" * len(match[0]), source)


def _edit(body: str, masked: str) -> str:
    edits = [(match.span(), "UNIQUE") for match in _PRIMARY_KEY.finditer(masked)]
    edits += [(match.span(), "") for match in _WITHOUT_ROWID.finditer(masked)]
    for (start, end), text in sorted(edits, reverse=True):
        body = body[:start] + text + body[end:]
    return body


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
