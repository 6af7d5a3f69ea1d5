"""JSON columns as the operators see them: paths, typed values, arrays, on both databases.

A path is the caller's text, so it is a value and never part of a statement; what
the statement depends on (the operand's type, how many array steps need a guard)
is the leaf's variant. Which JSON conditions there are is `table.py`'s business.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Any

from sqlalchemy import ColumnElement

from engine.operators.fragment import Dialect, Subject, sql

MAX_PATH_STEPS = 20
MAX_PATH = 500

_EXACT = Context(prec=10_000)

_DOTTED = re.compile(r"([^.\[\]]+)|\[(\d{1,6})\]")


@dataclass(frozen=True, slots=True)
class JsonPath:
    """A path into a document as both databases take it.

    Attributes:
        text: ``$."a"[0]."b"``.
        guards: Paths that must be arrays: MariaDB lets ``[0]`` of what is no array be the thing itself.
    """

    text: str
    guards: tuple[str, ...] = ()


def read_path(text: str) -> JsonPath | None:
    """Read ``a.b[0]``, or a JSON Pointer where it begins with ``/``; None where it is neither.

    In a pointer a number is a place in an array. Keys with quotes, backslashes or control characters are not taken:
    SQLite has no way to spell them.
    """
    if not text or len(text) > MAX_PATH:
        return None
    steps = _read_pointer(text) if text[0] == "/" else _read_dotted(text)
    if steps is None or len(steps) > MAX_PATH_STEPS:
        return None
    path, guards = "$", []
    for step in steps:
        if isinstance(step, int):
            if step == 0:
                guards.append(path)
            path += f"[{step}]"
        elif not step or any(char in '"\\' or char < " " for char in step):
            return None
        else:
            path += f'."{step}"'
    return JsonPath(path, tuple(guards))


def _read_pointer(text: str) -> list[str | int] | None:
    steps: list[str | int] = []
    for token in text[1:].split("/"):
        if token.isascii() and token.isdigit() and len(token) <= 6:
            steps.append(int(token))
        else:
            steps.append(token.replace("~1", "/").replace("~0", "~"))
    return steps


def _read_dotted(text: str) -> list[str | int] | None:
    steps: list[str | int] = []
    place = 0
    while place < len(text):
        match = _DOTTED.match(text, place)
        if match is None:
            return None
        key, index = match.groups()
        steps.append(int(index) if key is None else key)
        place = match.end()
        if place < len(text) and text[place] == ".":
            place += 1
            if place == len(text) or text[place] in ".[":
                return None
        elif place < len(text) and text[place] != "[":
            return None
    return steps


# ---------------------------------------------------------------- documents in a normal form


def normal_json(value: object) -> str:
    """A document in the one form that equal documents share: keys sorted, no spaces, 1 and 1.0 alike."""
    if isinstance(value, dict):
        inner = ",".join(f"{_quote(str(key))}:{normal_json(value[key])}" for key in sorted(value))
        return "{" + inner + "}"
    if isinstance(value, list):
        return "[" + ",".join(normal_json(item) for item in value) + "]"
    if isinstance(value, str):
        return _quote(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    number = Decimal(repr(value)) if isinstance(value, float) else Decimal(str(value))
    return str(_EXACT.normalize(number)) if number else "0"


def compact_json(value: object) -> str:
    """A document as an operand for MariaDB, which does its own normalising."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def sqlite_normal_json(text: object) -> str | None:
    """``aether_json(document)``: its normal form; NULL where it is no JSON."""
    if not isinstance(text, str):
        return None if text is None else normal_json(text) if isinstance(text, int | float) else None
    try:
        return normal_json(json.loads(text, parse_float=Decimal, parse_int=Decimal))
    except (ValueError, RecursionError, ArithmeticError):
        return None


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


# ---------------------------------------------------------------- expressions


def at_path(subject: Subject, path: ColumnElement[Any], guards: Sequence[ColumnElement[Any]]) -> ColumnElement[Any]:
    """The document at a path, as JSON; NULL where there is none."""
    column = document(subject)
    if subject.dialect == "sqlite":
        # `->` answers JSON (3.38); json_extract would make SQL values of strings.
        return sql("({0} -> {1})", column, path)
    found = sql("JSON_EXTRACT({0}, {1})", column, path)
    if not guards:
        return found
    tests = " AND ".join(f"JSON_TYPE(JSON_EXTRACT({{1}}, {{{i + 2}}})) = 'ARRAY'" for i in range(len(guards)))
    return sql(f"CASE WHEN {tests} THEN {{0}} END", found, column, *guards)


def document(subject: Subject) -> ColumnElement[Any]:
    """The column, or NULL where it holds no JSON: SQLite's JSON functions fail on such text."""
    if subject.dialect == "sqlite":
        return sql("CASE WHEN json_valid({0}) THEN {0} END", subject.expr)
    return subject.expr


def type_of(value: ColumnElement[Any], dialect: Dialect) -> ColumnElement[Any]:
    """The JSON type of a document, in the database's own words."""
    return sql("JSON_TYPE({0})" if dialect == "mariadb" else "json_type({0})", value)


def typed(value: ColumnElement[Any], kind: str, dialect: Dialect) -> ColumnElement[Any]:
    """A document as an SQL value of a kind (``str``, ``num``, ``bool``); NULL where it is of another."""
    return sql(_TYPED[dialect][kind], value)


def is_array(value: ColumnElement[Any], dialect: Dialect) -> ColumnElement[Any]:
    """Whether a document is an array."""
    return sql(
        "JSON_TYPE({0}) = 'ARRAY'" if dialect == "mariadb" else "json_type({0}) = 'array'",
        value,
    )


def has_item(value: ColumnElement[Any], item: ColumnElement[Any], kind: str, dialect: Dialect) -> ColumnElement[Any]:
    """Whether an array has a scalar, equal in type and value."""
    return sql(_HAS[dialect][kind], value, item)


def has_key(value: ColumnElement[Any], key: ColumnElement[Any], dialect: Dialect) -> ColumnElement[Any]:
    """Whether an object has a key."""
    if dialect == "sqlite":
        return sql(
            "EXISTS (SELECT 1 FROM json_each(CASE WHEN json_type({0}) = 'object' THEN {0} END) AS je"
            " WHERE je.key = {1})",
            value,
            key,
        )
    keys = sql("CASE WHEN JSON_TYPE({0}) = 'OBJECT' THEN JSON_KEYS({0}) END", value)
    return has_item(keys, key, "str", dialect)


def length_of(value: ColumnElement[Any], dialect: Dialect) -> ColumnElement[Any]:
    """How many items an array, or keys an object, has; NULL for others."""
    if dialect == "mariadb":
        return sql("CASE WHEN JSON_TYPE({0}) IN ('ARRAY', 'OBJECT') THEN JSON_LENGTH({0}) END", value)
    return sql(
        "CASE json_type({0}) WHEN 'array' THEN json_array_length({0}) "
        "WHEN 'object' THEN (SELECT count(*) FROM json_each({0})) END",
        value,
    )


def is_equal(value: ColumnElement[Any], operand: ColumnElement[Any], dialect: Dialect) -> ColumnElement[Any]:
    """Whether two documents are equal whatever the order of their keys."""
    if dialect == "mariadb":
        # In a WHERE, JSON_EQUALS is true where it is NULL (10.11): of NULL, and of what is no JSON.
        return sql("(JSON_VALID({0}) AND JSON_EQUALS({0}, {1}))", value, operand)
    return sql("(aether_json({0}) = {1})", value, operand)


def is_null(value: ColumnElement[Any], dialect: Dialect) -> ColumnElement[Any]:
    """NULL, no such path, or JSON's own null."""
    if dialect == "mariadb":
        return sql("({0} IS NULL OR JSON_TYPE({0}) = 'NULL')", value)
    return sql("({0} IS NULL OR json_type({0}) = 'null')", value)


def is_empty(value: ColumnElement[Any], dialect: Dialect) -> ColumnElement[Any]:
    """NULL, JSON null, an empty string, array or object."""
    if dialect == "mariadb":
        return sql(
            "({0} IS NULL OR JSON_TYPE({0}) = 'NULL' OR JSON_LENGTH({0}) = 0 OR {0} = '\"\"')",
            value,
        )
    return sql("({0} IS NULL OR json({0}) IN ('null', '\"\"', '[]', '{}'))", value)


def kind_of(value: object) -> str | None:
    """The kind of a JSON scalar in a variant: ``str``, ``num``, ``bool``; None for null, arrays and objects."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, str):
        return "str"
    if isinstance(value, int | float) and (isinstance(value, int) or math.isfinite(value)):
        return "num"
    return None


_TYPED: dict[Dialect, dict[str, str]] = {
    "mariadb": {
        "str": "(CASE WHEN JSON_TYPE({0}) = 'STRING' THEN JSON_UNQUOTE({0}) END COLLATE utf8mb4_nopad_bin)",
        "num": "CASE WHEN JSON_TYPE({0}) IN ('INTEGER', 'DOUBLE') THEN CAST({0} AS DOUBLE) END",
        "bool": "CASE WHEN JSON_TYPE({0}) = 'BOOLEAN' THEN ({0} = 'true') END",
    },
    "sqlite": {
        "str": "CASE WHEN json_type({0}) = 'text' THEN json_extract({0}, '$') END",
        "num": "CASE WHEN json_type({0}) IN ('integer', 'real') THEN json_extract({0}, '$') END",
        "bool": "CASE WHEN json_type({0}) IN ('true', 'false') THEN json_extract({0}, '$') END",
    },
}

_EACH_MARIADB = (
    "EXISTS (SELECT 1 FROM JSON_TABLE(CASE WHEN JSON_TYPE({0}) = 'ARRAY' THEN {0} END, '$[*]'"
    " COLUMNS (item JSON PATH '$')) AS je WHERE "
)
_EACH_SQLITE = "EXISTS (SELECT 1 FROM json_each(CASE WHEN json_type({0}) = 'array' THEN {0} END) AS je WHERE "

_HAS: dict[Dialect, dict[str, str]] = {
    "mariadb": {
        "str": _EACH_MARIADB
        + "JSON_TYPE(je.item) = 'STRING' AND (JSON_UNQUOTE(je.item) COLLATE utf8mb4_nopad_bin) = {1})",
        "num": _EACH_MARIADB + "JSON_TYPE(je.item) IN ('INTEGER', 'DOUBLE') AND CAST(je.item AS DOUBLE) = {1})",
        "bool": _EACH_MARIADB + "JSON_TYPE(je.item) = 'BOOLEAN' AND (je.item = 'true') = {1})",
    },
    "sqlite": {
        "str": _EACH_SQLITE + "je.type = 'text' AND je.value = {1})",
        "num": _EACH_SQLITE + "je.type IN ('integer', 'real') AND je.value = {1})",
        "bool": _EACH_SQLITE + "je.type IN ('true', 'false') AND je.value = {1})",
    },
}
