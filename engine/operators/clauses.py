"""What each operator becomes in SQL: a builder over an expression and placeholders, and the form of its operand.

Which operator has which builder stands in `table.py`. Every constant in a clause is
part of a template; only operands are binds, and all of them have names of the caller's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, and_, or_
from sqlalchemy.sql.elements import BindParameter

from engine.operators import json as documents
from engine.operators.fragment import Dialect, Subject, exact_of, folded_of, is_not_true, sql, unicode_of
from engine.operators.text import check_pattern, escape_like, fold, like_pattern, word_regexp
from engine.registry.resource import Field

Expr = ColumnElement[Any]
Binds = Sequence[BindParameter[Any]]
Build = Callable[[Subject, Binds, bool, str], Expr]

# A variant of text operators: the operand has characters that the column's charset has not, so it is compared in
# Unicode alone.
UNENCODABLE = "unencodable"
# What a function or a JSON path makes of a field.
TEXT_FIELD = Field(name="", column=None, kind="string")
NUMBER_FIELD = Field(name="", column=None, kind="integer")
DATE_FIELD = Field(name="", column=None, kind="date")

COMPARISONS = {"eq": "=", "ieq": "=", "lt": "<", "lte": "<=", "gt": ">", "gte": ">="}
COMPLEMENTS = {"=": "<>", "<": ">=", "<=": ">", ">": "<=", ">=": "<"}


def _or_null(clause: Expr, expr: Expr) -> Expr:
    return or_(clause, expr.is_(None))


def build_eq(subject: Subject, binds: Binds, negated: bool, variant: str) -> Expr:
    """Equality, byte for byte; of documents whatever the order of keys."""
    if subject.is_json:
        value = documents.document(subject)
        return negate(documents.is_equal(value, binds[0], subject.dialect), negated)
    exact = exact_of(subject)
    if negated:
        return _or_null(exact != binds[0], subject.expr)
    if subject.is_exact or variant == UNENCODABLE:
        return exact == binds[0]
    # The first part is what an index can serve; the second one keeps case and trailing spaces.
    return and_(subject.expr == binds[0], exact == binds[0])


def build_in(subject: Subject, binds: Binds, negated: bool, variant: str) -> Expr:
    """One of several values; the placeholders are padded by repeating the last value."""
    if subject.is_json:
        value = documents.document(subject)
        return negate(or_(*[documents.is_equal(value, bind, subject.dialect) for bind in binds]), negated)
    exact = exact_of(subject)
    if negated:
        return _or_null(exact.not_in(binds), subject.expr)
    if subject.is_exact or variant == UNENCODABLE:
        return exact.in_(binds)
    return and_(subject.expr.in_(binds), exact.in_(binds))


def build_null(subject: Subject, binds: Binds, negated: bool, variant: str) -> Expr:
    """NULL; a JSON null counts."""
    if subject.is_json:
        clause = documents.is_null(documents.document(subject), subject.dialect)
        return is_not_true(clause) if negated else clause
    return subject.expr.is_not(None) if negated else subject.expr.is_(None)


def build_empty(subject: Subject, binds: Binds, negated: bool, variant: str) -> Expr:
    """NULL, or nothing inside."""
    if subject.is_json:
        clause = documents.is_empty(documents.document(subject), subject.dialect)
        return is_not_true(clause) if negated else clause
    if not subject.is_text:
        return build_null(subject, binds, negated, variant)
    # A padding collation takes three spaces for nothing; the length does not.
    length = sql("OCTET_LENGTH({0})" if subject.dialect == "mariadb" else "length({0})", subject.expr)
    return sql("({0} > 0)", length) if negated else sql("({0} IS NULL OR {1} = 0)", subject.expr, length)


def compare(name: str) -> Build:
    """Make the builder of an order comparison."""

    def build(subject: Subject, binds: Binds, negated: bool, variant: str) -> Expr:
        # Order follows the column's own collation, whatever that is.
        expr = unicode_of(subject) if variant == UNENCODABLE else subject.expr
        if negated:
            sign = COMPLEMENTS[COMPARISONS[name]]
            return _or_null(sql("({0} " + sign + " {1})", expr, binds[0]), subject.expr)
        return sql("({0} " + COMPARISONS[name] + " {1})", expr, binds[0])

    return build


def build_between(subject: Subject, binds: Binds, negated: bool, variant: str) -> Expr:
    """Between two bounds, both included."""
    expr = unicode_of(subject) if variant == UNENCODABLE else subject.expr
    if negated:
        return sql("({0} < {1} OR {0} > {2} OR {0} IS NULL)", expr, *binds)
    return sql("({0} BETWEEN {1} AND {2})", expr, *binds)


def _build_pattern(subject: Subject, binds: Binds, negated: bool, variant: str) -> Expr:
    """MariaDB's LIKE with an escaped pattern; the first part narrows by an index where the pattern begins with text."""
    exact = exact_of(subject)
    clause = sql("({0} LIKE {1} ESCAPE '!')", exact, binds[0])
    if negated:
        return _or_null(sql("({0} NOT LIKE {1} ESCAPE '!')", exact, binds[0]), subject.expr)
    if subject.is_exact or variant == UNENCODABLE:
        return clause
    return and_(sql("({0} LIKE {1} ESCAPE '!')", subject.expr, binds[0]), clause)


def _sqlite_or_pattern(template: str) -> Build:
    """LIKE on MariaDB; on SQLite, whose LIKE ignores case and refuses long patterns, a comparison of its own."""

    def build(subject: Subject, binds: Binds, negated: bool, variant: str) -> Expr:
        if subject.dialect == "mariadb":
            return _build_pattern(subject, binds, negated, variant)
        clause = sql(template, exact_of(subject), binds[0])
        return _or_null(sql("(NOT {0})", clause), subject.expr) if negated else clause

    return build


build_contains = _sqlite_or_pattern("(instr({0}, {1}) > 0)")
# The range lets SQLite use an index: no text that begins with the operand sorts at or behind the operand and 0xFF.
build_starts = _sqlite_or_pattern(
    "({0} >= {1} AND {0} < ({1} || CAST(X'FF' AS TEXT)) AND substr({0}, 1, length({1})) = {1})"
)
build_ends = _sqlite_or_pattern("(substr({0}, -length({1})) = {1})")
build_like = _sqlite_or_pattern("aether_like({1}, {0})")


def folded(build: Build) -> Build:
    """The same without regard to case: over the folded text, which is exact."""

    def build_folded(subject: Subject, binds: Binds, negated: bool, variant: str) -> Expr:
        return build(replace(subject, expr=folded_of(subject), field=TEXT_FIELD), binds, negated, "")

    return build_folded


def build_words(subject: Subject, binds: Binds, negated: bool, variant: str) -> Expr:
    """Whole words of a text, whatever the case: one placeholder for each."""
    folded = folded_of(subject)
    template = "({0} REGEXP {1})" if subject.dialect == "mariadb" else "aether_word({0}, {1})"
    return negate(and_(*[sql(template, folded, bind) for bind in binds]), negated)


def negate(clause: Expr, negated: bool) -> Expr:
    """Negate a clause that has no complement."""
    return is_not_true(clause) if negated else clause


# ---------------------------------------------------------------- operands


def contains_operand(text: str, dialect: Dialect) -> str:
    """The operand of `contains`: a pattern where the database compares by LIKE, else the text itself."""
    return f"%{escape_like(text)}%" if dialect == "mariadb" else text


def starts_operand(text: str, dialect: Dialect) -> str:
    """The operand of `starts_with`."""
    return f"{escape_like(text)}%" if dialect == "mariadb" else text


def ends_operand(text: str, dialect: Dialect) -> str:
    """The operand of `ends_with`."""
    return f"%{escape_like(text)}" if dialect == "mariadb" else text


def like_operand(text: str, dialect: Dialect) -> str:
    """The operand of `like`, its backslashes made ours."""
    check_pattern(text)
    return like_pattern(text) if dialect == "mariadb" else text


def word_operand(word: str, dialect: Dialect) -> str:
    """One word of `search`."""
    return word_regexp(word) if dialect == "mariadb" else word


def fold_first(prepare: Callable[[str, Dialect], str]) -> Callable[[str, Dialect], str]:
    """Make the operand of an ``i…`` operator."""
    return lambda text, dialect: prepare(fold(text), dialect)


def as_it_is(text: str, dialect: Dialect) -> str:
    """The operand of `ieq`, after folding."""
    return text
