"""The clauses of conditions: what `sql/` calls for a leaf, a comparison of two fields, a count, a function.

What an operator means is `table.py`'s and `clauses.py`'s business.
"""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import and_, or_

from engine.operators.clauses import COMPARISONS, COMPLEMENTS, DATE_FIELD, NUMBER_FIELD, TEXT_FIELD, Binds, Expr
from engine.operators.dates import date_part
from engine.operators.found import narrow
from engine.operators.fragment import Subject, exact_of, folded_of, sql
from engine.operators.table import OPERATORS
from engine.registry.storing import scale_of


def build_leaf(operator: str, subject: Subject, binds: Binds, *, negated: bool, variant: str = "") -> Expr:
    """The clause of a leaf.

    Args:
        operator: A key of `OPERATORS` that has a `build`; the planner resolves the others.
        subject: What is compared.
        binds: As many as the leaf's arity, named by the caller; a clause may use one several times.
        negated: Whether it must be true exactly where the plain leaf is not.
        variant: See `plan.shape.Leaf`.
    """
    build = OPERATORS[operator].build
    if build is None:
        raise LookupError(f"{operator} is the negation of another operator")
    if subject.function is not None:
        subject = _apply(subject)
    clause = build(subject, binds, negated, variant)
    narrowing = [] if negated else narrow(operator, subject, binds)
    return and_(*narrowing, clause) if narrowing else clause


def build_function(function: str, subject: Subject) -> Expr:
    """A function of the search language over a field: ``year … date``, ``length``, ``lower``."""
    if function == "lower":
        return folded_of(subject)
    if function == "length":
        return sql("CHAR_LENGTH({0})" if subject.dialect == "mariadb" else "length({0})", subject.expr)
    return date_part(function, subject.expr, subject.field.kind, subject.zone, subject.dialect)


def build_field_leaf(operator: str, left: Subject, right: Subject, *, negated: bool) -> Expr:
    """The clause of a comparison of two fields. Two NULLs are not equal: then every plain leaf is false."""
    is_text = left.is_text and right.is_text
    bare_left, bare_right = _apply(left), _apply(right)
    if operator == "ieq":
        one, other = folded_of(bare_left), folded_of(bare_right)
    elif is_text and not (left.is_exact and right.is_exact):
        one, other = exact_of(bare_left), exact_of(bare_right)
    else:
        one, other = _scaled(bare_left, bare_right)
    sign = COMPLEMENTS[COMPARISONS[operator]] if negated else COMPARISONS[operator]
    clause = sql("({0} " + sign + " {1})", one, other)
    return or_(clause, bare_left.expr.is_(None), bare_right.expr.is_(None)) if negated else clause


def build_count(operator: str, expr: Expr, binds: Binds, *, negated: bool) -> Expr:
    """The clause of a count of related rows; it is never NULL."""
    if operator == "in":
        return expr.not_in(binds) if negated else expr.in_(binds)
    if operator == "between":
        clause = sql("({0} BETWEEN {1} AND {2})", expr, *binds)
        return sql("(NOT {0})", clause) if negated else clause
    sign = COMPLEMENTS[COMPARISONS[operator]] if negated else COMPARISONS[operator]
    return sql("({0} " + sign + " {1})", expr, binds[0])


def _apply(subject: Subject) -> Subject:
    """The subject after its function, as a plain one."""
    function = subject.function
    if function is None:
        return subject
    field = TEXT_FIELD if function == "lower" else DATE_FIELD if function == "date" else NUMBER_FIELD
    return replace(subject, expr=build_function(function, subject), field=field, function=None)


def _scaled(left: Subject, right: Subject) -> tuple[Expr, Expr]:
    """Bring decimals, which SQLite keeps as scaled integers, to one scale."""
    if left.dialect == "mariadb":
        return left.expr, right.expr
    scale = max(_scale_of(left), _scale_of(right))
    return _rescale(left, scale), _rescale(right, scale)


def _scale_of(subject: Subject) -> int:
    return scale_of(subject.field) if subject.field.kind == "decimal" else 0


def _rescale(subject: Subject, scale: int) -> Expr:
    own = _scale_of(subject)
    return subject.expr if own == scale else sql("({0} * " + str(10 ** (scale - own)) + ")", subject.expr)
