"""The field kinds: one row each. What a kind takes, how it is stored, shown and described stands in its row.

To add a kind, add a row here. The functions that the rows name are in `parsing.py`
(JSON in), `storing.py` (columns, driver values, JSON out) and `fragments.py` (JSON Schema).
Which operators a family has is `registry/families.py`'s business.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy.dialects import mysql, sqlite
from sqlalchemy.types import TypeEngine

from engine.registry import parsing, storing
from engine.registry.fragments import SHAPES, Fragment, Mode, describe
from engine.registry.parsing import KindError
from engine.registry.resource import Field

Family = Literal["text", "number", "date", "datetime", "time", "boolean", "enum", "id", "json", "none"]
Dialect = Literal["mariadb", "sqlite"]

MAX_DIGITS = 400
_WHOLE = re.compile(r"-?[0-9]+")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of field.

    Attributes:
        name: As in the registry.
        family: Decides which operators there are.
        wire: JSON type of its values, for `fields.*.type` of the schema documents.
        parse: Makes a JSON value canonical, or raises `KindError`; never called with null.
        read_text: Makes a query string's text the JSON value it means; see `from_text`.
        bind: By dialect: a canonical value as the driver takes it; may raise `KindError` where a dialect holds less.
        restore: By dialect: a driver's value (never None) made canonical again.
        render: By dialect: for a field, what makes a driver's value (never None) encodable by orjson; None = as it is.
        column: By dialect: the column type of a field in tables that we create.
        is_sortable: Whether a database can order by it at all.
    """

    name: str
    family: Family
    wire: str
    parse: Callable[[object, Field], object]
    read_text: Callable[[str], object]
    bind: Mapping[Dialect, storing.Bind]
    render: Mapping[Dialect, storing.Render]
    restore: Mapping[Dialect, storing.Restore]
    column: Mapping[Dialect, storing.ColumnType]
    is_sortable: bool = True

    def schema(self, field: Field, mode: Mode) -> Fragment:
        """The JSON Schema of a field of this kind, without title and help."""
        return describe(field, mode, SHAPES[self.name])


def from_text(text: str, field: Field) -> object:
    """What the text of a query string means for a field, as the JSON value it stands for; not parsed yet.

    Raises:
        KindError: The text stands for nothing of the field's kind.
    """
    try:
        return KINDS[field.kind].read_text(text)
    except ValueError as error:
        raise KindError("type-mismatch", f"{field.name} takes {KINDS[field.kind].wire}, not {text[:60]!r}.") from error


def column_type(field: Field, dialect: Dialect) -> TypeEngine[Any]:
    """The column type of a field in a table that we create."""
    return KINDS[field.kind].column[dialect](field)


# ---------------------------------------------------------------- texts of query strings


def _text(text: str) -> str:
    return text


def _whole(text: str) -> int:
    if not _WHOLE.fullmatch(text) or len(text) > MAX_DIGITS:
        raise ValueError(text[:60])
    return int(text)


def _number(text: str) -> float:
    if not _NUMBER.fullmatch(text):
        raise ValueError(text[:60])
    return float(text)


def _truth(text: str) -> bool:
    return {"true": True, "false": False}[text] if text in ("true", "false") else _refuse(text)


def _refuse(text: str) -> bool:
    raise ValueError(text[:60])


def _document(text: str) -> object:
    try:
        value: object = json.loads(text, parse_constant=_refuse)
    except RecursionError as error:
        raise ValueError(text[:60]) from error
    return value


# ---------------------------------------------------------------- the table


def _both(function: Callable[..., Any]) -> dict[Dialect, Any]:
    return {"mariadb": function, "sqlite": function}


def _each(mariadb: Callable[..., Any], sqlite_: Callable[..., Any]) -> dict[Dialect, Any]:
    return {"mariadb": mariadb, "sqlite": sqlite_}


_AS_IS = _both(storing.bind_as_is)
_SHOWN_AS_IS = _both(storing.render_as_is)
_RESTORED_AS_IS = _both(storing.restore_as_is)
_VARCHAR = _each(storing.varchar_mariadb, storing.varchar_sqlite)
_SQLITE_INTEGER = storing.plain(sqlite.INTEGER)

_ROWS = (
    Kind(
        name="string", family="text", wire="string", parse=parsing.parse_string, read_text=_text,
        bind=_AS_IS, render=_SHOWN_AS_IS, restore=_RESTORED_AS_IS, column=_VARCHAR,
    ),
    Kind(
        name="text", family="text", wire="string", parse=parsing.parse_text, read_text=_text,
        bind=_AS_IS, render=_SHOWN_AS_IS, restore=_RESTORED_AS_IS, is_sortable=False,
        column=_each(storing.text_mariadb, storing.plain(sqlite.TEXT)),
    ),
    Kind(
        name="integer", family="number", wire="integer", parse=parsing.parse_integer, read_text=_whole,
        bind=_each(storing.bind_as_is, storing.bind_integer_sqlite), render=_SHOWN_AS_IS, restore=_RESTORED_AS_IS,
        column=_each(storing.integer_mariadb, _SQLITE_INTEGER),
    ),
    Kind(
        name="bigint", family="number", wire="integer", parse=parsing.parse_integer, read_text=_whole,
        bind=_each(storing.bind_as_is, storing.bind_integer_sqlite), render=_SHOWN_AS_IS, restore=_RESTORED_AS_IS,
        column=_each(storing.integer_mariadb, _SQLITE_INTEGER),
    ),
    Kind(
        name="decimal", family="number", wire="string", parse=parsing.parse_decimal, read_text=_text,
        bind=_each(storing.bind_as_is, storing.bind_decimal_sqlite),
        render=_each(storing.render_as_is, storing.render_decimal_sqlite),
        restore=_each(storing.restore_decimal_mariadb, storing.restore_decimal_sqlite),
        column=_each(storing.decimal_mariadb, _SQLITE_INTEGER),
    ),
    Kind(
        name="float", family="number", wire="number", parse=parsing.parse_float, read_text=_number,
        bind=_AS_IS, render=_each(storing.render_as_is, storing.render_float_sqlite), restore=_RESTORED_AS_IS,
        column=_each(storing.plain(mysql.DOUBLE), storing.plain(sqlite.REAL)),
    ),
    Kind(
        name="boolean", family="boolean", wire="boolean", parse=parsing.parse_boolean, read_text=_truth,
        bind=_both(storing.bind_boolean), render=_both(storing.render_boolean), restore=_both(storing.restore_boolean),
        column=_each(storing.plain(lambda: mysql.TINYINT(1)), _SQLITE_INTEGER),
    ),
    Kind(
        name="date", family="date", wire="string", parse=parsing.parse_date, read_text=_text,
        bind=_each(storing.bind_as_is, storing.bind_date_sqlite),
        render=_each(storing.render_as_is, storing.render_date_sqlite),
        restore=_each(storing.restore_as_is, storing.restore_date_sqlite),
        column=_each(storing.plain(mysql.DATE), storing.plain(sqlite.DATE)),
    ),
    Kind(
        name="time", family="time", wire="string", parse=parsing.parse_time, read_text=_text,
        bind=_each(storing.bind_as_is, storing.bind_time_sqlite),
        render=_each(storing.render_as_is, storing.render_time_sqlite),
        restore=_both(storing.restore_time),
        column=_each(storing.plain(storing.time_mariadb), storing.plain(sqlite.TIME)),
    ),
    Kind(
        name="datetime", family="datetime", wire="string", parse=parsing.parse_datetime, read_text=_text,
        bind=_each(storing.bind_datetime_mariadb, storing.bind_datetime_sqlite),
        render=_each(storing.render_datetime_mariadb, storing.render_datetime_sqlite),
        restore=_each(storing.restore_datetime_mariadb, storing.restore_datetime_sqlite),
        column=_each(storing.plain(storing.datetime_mariadb), storing.plain(sqlite.DATETIME)),
    ),
    Kind(
        name="json", family="json", wire="json", parse=parsing.parse_json, read_text=_document,
        bind=_both(storing.bind_json),
        render={"mariadb": storing.render_json_mariadb, "sqlite": storing.render_json_sqlite},
        restore=_both(storing.restore_json),
        is_sortable=False,
        # Not JSON on SQLite: a column of that name has numeric affinity, and the text "5" would become a number.
        column=_each(storing.plain(storing.json_mariadb), storing.plain(sqlite.TEXT)),
    ),
    Kind(
        name="uuid", family="text", wire="string", parse=parsing.parse_uuid, read_text=_text,
        bind=_AS_IS, render=_SHOWN_AS_IS, restore=_RESTORED_AS_IS, column=_each(*storing.char_type(storing.UUID_SIZE)),
    ),
    Kind(
        name="email", family="text", wire="string", parse=parsing.parse_email, read_text=_text,
        bind=_AS_IS, render=_SHOWN_AS_IS, restore=_RESTORED_AS_IS, column=_VARCHAR,
    ),
    Kind(
        name="uri", family="text", wire="string", parse=parsing.parse_uri, read_text=_text,
        bind=_AS_IS, render=_SHOWN_AS_IS, restore=_RESTORED_AS_IS, column=_VARCHAR,
    ),
    Kind(
        name="binary", family="none", wire="string", parse=parsing.parse_binary, read_text=_text,
        bind=_AS_IS, render=_both(storing.render_binary), restore=_RESTORED_AS_IS, is_sortable=False,
        column=_each(storing.plain(mysql.LONGBLOB), storing.plain(sqlite.BLOB)),
    ),
    Kind(
        name="enum", family="enum", wire="string", parse=parsing.parse_enum, read_text=_text,
        bind=_AS_IS, render=_SHOWN_AS_IS, restore=_RESTORED_AS_IS, column=_VARCHAR,
    ),
    Kind(
        name="id", family="id", wire="string", parse=parsing.parse_id, read_text=_text,
        bind=_AS_IS, render=_SHOWN_AS_IS, restore=_RESTORED_AS_IS, is_sortable=False,
        column=_each(*storing.char_type(storing.PUBLIC_ID_SIZE)),
    ),
    Kind(
        # Shown by a join on its target, stored as the target's row id: the canonical public id is never bound.
        name="relation", family="id", wire="string", parse=parsing.parse_id, read_text=_text,
        bind=_AS_IS, render=_SHOWN_AS_IS, restore=_RESTORED_AS_IS, is_sortable=False,
        column=_each(storing.integer_mariadb, _SQLITE_INTEGER),
    ),
)  # fmt: skip

KINDS: Mapping[str, Kind] = {row.name: row for row in _ROWS}

__all__ = ["KINDS", "Family", "Kind", "KindError", "column_type", "from_text"]
