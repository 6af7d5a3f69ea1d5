"""The search operators: one row each, and nothing else knows what they mean.

The planner asks this table how to read an operand, the SQL layer asks it for the
clause, the docs list it, and the tests run its examples. To add an operator, add
a row here (and its name to the field families that take it).

An operator has two halves, so that statements can be cached. `prepare` sees the
operand and runs on every call; `build` sees only the expression and placeholders
and runs once for each shape of search.

Negation is two-valued: a negated leaf is true exactly where the plain one is not,
NULLs included. Where there is a complement that an index can serve, it is used.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from sqlalchemy import and_, or_

from engine.operators import json as documents
from engine.operators.clauses import (
    NUMBER_FIELD,
    TEXT_FIELD,
    Binds,
    Build,
    Expr,
    as_it_is,
    build_between,
    build_contains,
    build_empty,
    build_ends,
    build_eq,
    build_in,
    build_like,
    build_null,
    build_starts,
    build_words,
    compare,
    contains_operand,
    ends_operand,
    fold_first,
    folded,
    like_operand,
    negate,
    starts_operand,
    word_operand,
)
from engine.operators.fragment import Dialect, Subject

Operand = Literal["value", "list", "pair", "flag", "text", "words", "json"]


@dataclass(frozen=True, slots=True)
class Example:
    """A field value that the operator finds with an operand, and one that it does not; run by the tests.

    Attributes:
        kind: Of the field.
    """

    operand: object
    hit: object
    miss: object
    kind: str = "string"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """One search operator.

    Attributes:
        name: As in a filter.
        summary: What it asks, for people.
        operand: What it takes: a ``value`` of the field, a ``list`` or an ordered ``pair`` of them, a ``flag``
            (true/false), ``text`` whatever the field's own rules, ``words`` of a text, or ``json`` of its own form.
        build: The clause; None for an operator that is the negation of another.
        prepare: Makes the driver's value of a ``text`` operand or of one word; may raise `PatternTooComplex`.
        negates: The operator that this one is the negation of.
        takes_field: Whether the operand may be another field.
        example: For docs and tests.
    """

    name: str
    summary: str
    operand: Operand
    build: Build | None = None
    prepare: Callable[[str, Dialect], str] | None = None
    negates: str | None = None
    takes_field: bool = False
    example: Example


def _build_json(subject: Subject, binds: Binds, negated: bool, variant: str) -> Expr:
    """Something at a path. Variant: ``<operator>:<kind>:<guards>``; values: path, guards, operands."""
    name, kind, guards = variant.split(":")
    first = 1 + int(guards)
    value = documents.at_path(subject, binds[0], binds[1:first])
    return negate(_build_document(name, kind, subject, value, binds[first:]), negated)


def _whole(name: str) -> Build:
    """The same over the whole column. Variant: the operand's kind."""

    def build(subject: Subject, binds: Binds, negated: bool, variant: str) -> Expr:
        value = documents.document(subject)
        return negate(_build_document(name, variant, subject, value, binds), negated)

    return build


def _build_document(name: str, kind: str, subject: Subject, value: Expr, binds: Binds) -> Expr:
    dialect = subject.dialect
    if name == "null":
        return documents.is_null(value, dialect)
    if name == "empty":
        return documents.is_empty(value, dialect)
    if name in ("has", "has_any"):
        return or_(*[documents.has_item(value, bind, kind, dialect) for bind in binds])
    if name == "has_all" and not binds:
        return documents.is_array(value, dialect)
    if name == "has_all":
        return and_(*[documents.has_item(value, bind, kind, dialect) for bind in binds])
    if name == "has_key":
        return documents.has_key(value, binds[0], dialect)
    if name == "length":
        length = replace(subject, expr=documents.length_of(value, dialect), field=NUMBER_FIELD, function=None)
        return _build_plain(kind, length, binds)
    if kind == "any":
        return or_(*[documents.is_equal(value, bind, dialect) for bind in binds])
    field = TEXT_FIELD if kind == "str" else NUMBER_FIELD
    inner = replace(subject, expr=documents.typed(value, kind, dialect), field=field, function=None)
    return _build_plain(name, inner, binds)


def _build_plain(name: str, subject: Subject, binds: Binds) -> Expr:
    build = OPERATORS[name].build
    if build is None:
        raise LookupError(f"{name} is the negation of another operator")
    return build(subject, binds, False, "")


# ---------------------------------------------------------------- the rows


OPERATORS: dict[str, Operator] = {
    row.name: row
    for row in (
        Operator(
            name="eq",
            summary="equals, case and trailing spaces included",
            operand="value",
            build=build_eq,
            takes_field=True,
            example=Example("Ab", hit="Ab", miss="ab"),
        ),
        Operator(
            name="ne",
            summary="differs, or is NULL",
            operand="value",
            negates="eq",
            takes_field=True,
            example=Example("Ab", hit="ab", miss="Ab"),
        ),
        Operator(
            name="in",
            summary="equals one of them",
            operand="list",
            build=build_in,
            example=Example(["a", "b", "c"], hit="b", miss="B"),
        ),
        Operator(
            name="nin",
            summary="equals none of them, or is NULL",
            operand="list",
            negates="in",
            example=Example(["a", "b", "c"], hit="B", miss="b"),
        ),
        Operator(
            name="null",
            summary="is NULL (true) or is not (false)",
            operand="flag",
            build=build_null,
            example=Example(False, hit="", miss=None),
        ),
        Operator(
            name="empty",
            summary="is NULL, an empty text, array or object (true) or is not (false)",
            operand="flag",
            build=build_empty,
            example=Example(True, hit="", miss=" "),
        ),
        Operator(
            name="ieq",
            summary="equals, whatever the case",
            operand="text",
            build=folded(build_eq),
            prepare=fold_first(as_it_is),
            takes_field=True,
            example=Example("ÉA", hit="éa", miss="ea"),
        ),
        Operator(
            name="ine",
            summary="differs whatever the case, or is NULL",
            operand="text",
            negates="ieq",
            takes_field=True,
            example=Example("ÉA", hit="ea", miss="éa"),
        ),
        Operator(
            name="lt",
            summary="is less",
            operand="value",
            build=compare("lt"),
            takes_field=True,
            example=Example(5, hit=4, miss=5, kind="integer"),
        ),
        Operator(
            name="lte",
            summary="is less or equal",
            operand="value",
            build=compare("lte"),
            takes_field=True,
            example=Example(5, hit=5, miss=6, kind="integer"),
        ),
        Operator(
            name="gt",
            summary="is greater",
            operand="value",
            build=compare("gt"),
            takes_field=True,
            example=Example(5, hit=6, miss=5, kind="integer"),
        ),
        Operator(
            name="gte",
            summary="is greater or equal",
            operand="value",
            build=compare("gte"),
            takes_field=True,
            example=Example(5, hit=5, miss=4, kind="integer"),
        ),
        Operator(
            name="between",
            summary="lies between two bounds, both included",
            operand="pair",
            build=build_between,
            example=Example([3, 5], hit=5, miss=6, kind="integer"),
        ),
        Operator(
            name="contains",
            summary="has the operand somewhere inside it; % and _ are ordinary letters",
            operand="text",
            build=build_contains,
            prepare=contains_operand,
            example=Example("5%", hit="up 5% today", miss="up 50 today"),
        ),
        Operator(
            name="icontains",
            summary="has the operand somewhere inside it, whatever the case",
            operand="text",
            build=folded(build_contains),
            prepare=fold_first(contains_operand),
            example=Example("STRASSE_", hit="die strasse_n", miss="die strassen"),
        ),
        Operator(
            name="starts_with",
            summary="begins with the operand",
            operand="text",
            build=build_starts,
            prepare=starts_operand,
            example=Example("a_", hit="a_b", miss="aab"),
        ),
        Operator(
            name="istarts_with",
            summary="begins with the operand, whatever the case",
            operand="text",
            build=folded(build_starts),
            prepare=fold_first(starts_operand),
            example=Example("Ä", hit="äb", miss="ab"),
        ),
        Operator(
            name="ends_with",
            summary="ends with the operand",
            operand="text",
            build=build_ends,
            prepare=ends_operand,
            example=Example("xyz", hit="wxyz", miss="yz"),
        ),
        Operator(
            name="iends_with",
            summary="ends with the operand, whatever the case",
            operand="text",
            build=folded(build_ends),
            prepare=fold_first(ends_operand),
            example=Example("ΣΑΣ", hit="xσασ", miss="xσας"),
        ),
        Operator(
            name="like",
            summary="has the form of the operand: % any text, _ any character, \\ makes the next one ordinary",
            operand="text",
            build=build_like,
            prepare=like_operand,
            example=Example("A_\\%%", hit="Ab%c", miss="ab%c"),
        ),
        Operator(
            name="ilike",
            summary="has the form of the operand, whatever the case",
            operand="text",
            build=folded(build_like),
            prepare=fold_first(like_operand),
            example=Example("a_\\%%", hit="AB%C", miss="ABC"),
        ),
        Operator(
            name="search",
            summary="has every word of the operand as a whole word, whatever the case",
            operand="words",
            build=build_words,
            prepare=word_operand,
            example=Example("tax, 2026", hit="Of 2026: the Tax.", miss="taxes 2026"),
        ),
        Operator(
            name="json",
            summary="holds at a path: {path: condition}",
            operand="json",
            build=_build_json,
            example=Example({"a.b[0]": {"eq": "x"}}, hit={"a": {"b": ["x"]}}, miss={"a": {"b": "x"}}, kind="json"),
        ),
        Operator(
            name="has",
            summary="is an array with this scalar in it",
            operand="json",
            build=_whole("has"),
            example=Example(1, hit=[2, 1], miss=[True, "1", [1]], kind="json"),
        ),
        Operator(
            name="has_any",
            summary="is an array with one of these scalars in it",
            operand="json",
            build=_whole("has_any"),
            example=Example(["a", "b"], hit=["b"], miss=["B"], kind="json"),
        ),
        Operator(
            name="has_all",
            summary="is an array with all of these scalars in it",
            operand="json",
            build=_whole("has_all"),
            example=Example(["a", "b"], hit=["b", "c", "a"], miss=["b"], kind="json"),
        ),
        Operator(
            name="has_key",
            summary="is an object with this key",
            operand="json",
            build=_whole("has_key"),
            example=Example('a "b"', hit={'a "b"': None}, miss=['a "b"'], kind="json"),
        ),
        Operator(
            name="length",
            summary="is an array or object of this length: an integer, or {operator: integer}",
            operand="json",
            build=_whole("length"),
            example=Example({"gte": 2}, hit=[1, 2], miss={"a": 1}, kind="json"),
        ),
    )
}
