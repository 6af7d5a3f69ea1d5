"""Leaves of a filter: a field, an operator and an operand become a piece of shape with its values.

Which field a name means is `scopes.py`'s business, how an operand is read
`operands.py`'s, and how leaves are joined `conditions.py`'s.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from engine.operators import Operator
from engine.operators.text import fold, split_words
from engine.plan.fields import FieldRefused
from engine.plan.json_leaves import plan_json
from engine.plan.operands import (
    Day,
    OperandRefused,
    TooManyValues,
    bind_bound,
    day_bounds,
    describe,
    is_encodable,
    read_text,
)
from engine.plan.pieces import FALSE, TRUE, Planning, join, pad
from engine.plan.scopes import FieldEntry, Scope, TooManyHops
from engine.plan.shape import Condition, FieldLeaf, PlanContext

MAX_WORDS = 32

_NOT_NULL_WHEN_EMPTY = frozenset({"contains", "icontains", "starts_with", "istarts_with", "ends_with", "iends_with"})
_NUMBERS = frozenset({"integer", "bigint", "decimal", "float"})
_TEXTS = frozenset({"string", "text", "email", "uri", "enum", "uuid"})
_IDS = frozenset({"id", "relation"})


def plan_leaf(
    walk: Planning, scope: Scope, entry: FieldEntry, operator: Operator, operand: object, *, negated: bool
) -> Condition:
    """Plan one comparison.

    Raises:
        OperandRefused: The operand does not fit.
        TooManyValues: A list is longer than allowed.
    """
    kind = operator.operand
    if kind == "value":
        if type(operand) is dict and entry.field.kind != "json":
            return _plan_field_operand(walk, scope, entry, operator, operand, negated)
        return _plan_value(walk, entry, operator.name, operand, negated)
    if kind == "list":
        return _plan_list(walk, entry, operand, negated)
    if kind == "pair":
        return _plan_pair(walk, entry, operand, negated)
    if kind == "flag":
        if type(operand) is not bool:
            raise OperandRefused("type-mismatch", f"{operator.name} takes true or false, not {describe(operand)}.")
        return entry.leaf(operator.name, 0, negated == operand)
    if kind == "json":
        return plan_json(walk, entry, operator.name, operand, negated)
    if type(operand) is dict and operator.takes_field:
        return _plan_field_operand(walk, scope, entry, operator, operand, negated)
    return _plan_text(walk, entry, operator, operand, negated)


# ---------------------------------------------------------------- values


def _plan_value(walk: Planning, entry: FieldEntry, name: str, operand: object, negated: bool) -> Condition:
    if operand is None:
        if name == "eq":
            return entry.leaf("null", 0, negated)
        raise OperandRefused("bad-operand", "null compares with nothing; ask {'null': true}.")
    if entry.field.kind == "json":
        return plan_json(walk, entry, name, operand, negated)
    value = entry.read(operand, walk.context)
    if entry.has_days and type(value) is Day:
        return _plan_day(walk, entry, name, value, negated)
    if entry.plain is not None and type(value) is int and 1 <= value <= 9998:
        return _plan_year(walk, entry.plain, name, value, value, negated)
    walk.values.append(value)
    return entry.leaf(name, 1, negated, _zone(walk, entry), _variant(entry, value))


def _plan_day(walk: Planning, entry: FieldEntry, name: str, day: Day, negated: bool) -> Condition:
    """A whole day: its first instant and the next day's take the operand's place."""
    if name == "eq":
        return _plan_range(walk, entry, day.start, day.end, negated)
    operator, value = {
        "lt": ("lt", day.start),
        "gte": ("gte", day.start),
        "lte": ("lt", day.end),
        "gt": ("gte", day.end),
    }[name]
    walk.values.append(value)
    return entry.leaf(operator, 1, negated)


def _plan_range(walk: Planning, entry: FieldEntry, start: object, end: object, negated: bool) -> Condition:
    """From one instant to before another."""
    walk.values.append(start)
    walk.values.append(end)
    parts: list[Condition] = [entry.leaf("gte", 1, negated), entry.leaf("lt", 1, negated)]
    return join(parts, is_and=not negated)


def _plan_year(walk: Planning, plain: FieldEntry, name: str, first: int, last: int, negated: bool) -> Condition:
    """``year(x)`` compared with a year is a range of x, which an index can serve."""
    start = _year_start(walk.context, plain, first)
    end = _year_start(walk.context, plain, last + 1)
    if name in ("eq", "between"):
        return _plan_range(walk, plain, start, end, negated)
    operator, value = {"lt": ("lt", start), "gte": ("gte", start), "lte": ("lt", end), "gt": ("gte", end)}[name]
    walk.values.append(value)
    return plain.leaf(operator, 1, negated)


def _year_start(context: PlanContext, plain: FieldEntry, year: int) -> object:
    first = date(year, 1, 1)
    moment = first if plain.field.kind == "date" else day_bounds(first, context.timezone)[0]
    return bind_bound(moment, plain.field, context.dialect)


def _plan_list(walk: Planning, entry: FieldEntry, operand: object, negated: bool) -> Condition:
    if type(operand) is not list:
        raise OperandRefused("type-mismatch", f"A list of values is expected here, not {describe(operand)}.")
    if len(operand) > walk.max_in:
        raise TooManyValues
    if not operand:
        return TRUE if negated else FALSE
    if None in operand:
        raise OperandRefused("bad-operand", "null cannot be in a list of values; ask {'null': true} beside it.")
    if entry.field.kind == "json":
        return plan_json(walk, entry, "in", operand, negated)
    context = walk.context
    values = [entry.read(one, context) for one in operand]
    days = [value for value in values if type(value) is Day] if entry.has_days else []
    parts: list[Condition] = [_plan_range(walk, entry, day.start, day.end, negated) for day in days]
    if days:
        values = [value for value in values if type(value) is not Day]
    if values:
        pad(values)
        walk.values.extend(values)
        variant = ""
        if entry.charset is not None and not all(is_encodable(str(value), entry.charset) for value in values):
            variant = "unencodable"
        operator = "in" if len(values) > 1 else "eq"
        parts.append(entry.leaf(operator, len(values), negated, _zone(walk, entry), variant))
    return join(parts, is_and=negated)


def _plan_pair(walk: Planning, entry: FieldEntry, operand: object, negated: bool) -> Condition:
    if type(operand) is not list or len(operand) != 2:
        raise OperandRefused("type-mismatch", "between takes a list of two values.")
    if None in operand:
        raise OperandRefused("bad-operand", "null is no bound.")
    low, high = (entry.read(one, walk.context) for one in operand)
    if _is_reversed(entry, low, high):
        raise OperandRefused("bad-operand", "between takes the lower bound first.")
    if type(low) is Day or type(high) is Day:
        upper = "lt" if type(high) is Day else "lte"
        walk.values.append(low.start if type(low) is Day else low)
        walk.values.append(high.end if type(high) is Day else high)
        return join([entry.leaf("gte", 1, negated), entry.leaf(upper, 1, negated)], is_and=not negated)
    if entry.plain is not None and type(low) is int and type(high) is int and low >= 1 and high <= 9998:
        return _plan_year(walk, entry.plain, "between", low, high, negated)
    walk.values.extend((low, high))
    variant = _variant(entry, low) or _variant(entry, high)
    return entry.leaf("between", 2, negated, _zone(walk, entry), variant)


def _is_reversed(entry: FieldEntry, low: object, high: object) -> bool:
    """Whether the bounds are in the wrong order, as far as that is known here: that of text may be a collation's."""
    kind = entry.field.kind
    if kind in _TEXTS and not (entry.field.is_exact and entry.field.collation is None):
        return False
    if kind in _NUMBERS:
        return Decimal(str(low)) > Decimal(str(high))
    return str(low.start if type(low) is Day else low) > str(high.start if type(high) is Day else high)


# ---------------------------------------------------------------- text


def _plan_text(walk: Planning, entry: FieldEntry, operator: Operator, operand: object, negated: bool) -> Condition:
    name, prepare = operator.name, operator.prepare
    text = read_text(operand, walk.context)
    if type(text) is not str or prepare is None:
        raise OperandRefused("type-mismatch", "A string is expected here.")
    dialect = walk.context.dialect
    if operator.operand == "words":
        words = list(dict.fromkeys(word for word in split_words(fold(text)) if word))
        if len(words) > MAX_WORDS:
            raise OperandRefused("too-complex", f"{name} takes at most {MAX_WORDS} words.")
        if not words:
            return entry.leaf("null", 0, not negated)
        prepared: list[object] = [prepare(word, dialect) for word in words]
        pad(prepared)
        walk.values.extend(prepared)
        return entry.leaf(name, len(prepared), negated)
    if not text and name in _NOT_NULL_WHEN_EMPTY:
        return entry.leaf("null", 0, not negated)
    walk.values.append(prepare(text, dialect))
    return entry.leaf(name, 1, negated, None, _variant(entry, text))


def _variant(entry: FieldEntry, value: object) -> str:
    if entry.charset is None or is_encodable(str(value), entry.charset):
        return ""
    return "unencodable"


def _zone(walk: Planning, entry: FieldEntry) -> str | None:
    return walk.context.timezone if entry.zoned and walk.context.timezone != "UTC" else None


# ---------------------------------------------------------------- fields as operands


def _plan_field_operand(
    walk: Planning,
    scope: Scope,
    entry: FieldEntry,
    operator: Operator,
    operand: dict[str, object],
    negated: bool,
) -> Condition:
    """``{"field": expression}``: another field of the same row, or of its to-one relations."""
    expression = operand.get("field")
    if len(operand) != 1 or type(expression) is not str:
        raise OperandRefused("type-mismatch", 'A value or {"field": name} is expected here, not an object.')
    if not operator.takes_field:
        raise OperandRefused("bad-operand", f"{operator.name} takes no field.")
    try:
        other = scope.find(expression)
    except FieldRefused as error:
        raise OperandRefused("unknown-field", error.detail, error.suggestions) from error
    if isinstance(other, TooManyHops):
        raise OperandRefused("too-complex", "The field is behind more relations than a search may cross.")
    if not isinstance(other, FieldEntry):
        raise OperandRefused("bad-operand", f"{expression[:80]!r} is not a field.")
    if operator.name not in other.allowed or _group(entry) != _group(other) or entry.field.kind == "json":
        raise OperandRefused("bad-operand", f"{expression} does not compare with this field by {operator.name}.")
    zone = walk.context.timezone if (entry.zoned or other.zoned) and walk.context.timezone != "UTC" else None
    return FieldLeaf(entry.path, operator.name, other.path, negated, zone)


def _group(entry: FieldEntry) -> str:
    kind = entry.field.kind
    if kind in _NUMBERS:
        return "number"
    if kind in _IDS:
        return "id"
    return "text" if kind in _TEXTS else kind
