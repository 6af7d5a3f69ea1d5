"""Leaves over JSON columns: paths, and what is asked of the document there.

A leaf's variant says what its SQL depends on: for a path ``operator:kind:guards``
(see `operators/table.py`), for the whole column the operand's kind.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from engine.language.condition import LOGICAL, normalise_word, positive_form
from engine.operators import OPERATORS, Operator
from engine.operators.json import JsonPath, compact_json, kind_of, normal_json, read_path
from engine.plan.macros import expand_macro
from engine.plan.operands import OperandRefused, TooManyValues, describe, read_text
from engine.plan.pieces import FALSE, TRUE, Planning, join, pad
from engine.plan.shape import Condition
from engine.registry.parsing import KindError, parse_json
from engine.registry.resource import Field

if TYPE_CHECKING:
    from engine.plan.scopes import FieldEntry

MAX_PATHS = 50
MAX_DEPTH = 10
MAX_LENGTH = 2**31

_INSIDE = {"has", "has_any", "has_all", "has_key", "length"}
_LENGTH_OPERATORS = {"eq", "lt", "lte", "gt", "gte"}

_ANY_JSON = Field(name="The operand", column=None, kind="json")

# Makes the leaf of an operator, a kind and its operands.
Leaf = Callable[[str, str, list[object], bool], Condition]


def plan_json(walk: Planning, entry: FieldEntry, name: str, operand: object, negated: bool) -> Condition:
    """Plan an operator on a JSON column.

    Raises:
        OperandRefused: The operand does not fit.
    """
    if name == "json":
        if type(operand) is not dict:
            raise OperandRefused("type-mismatch", f"json takes an object of paths, not {describe(operand)}.")
        if len(operand) > MAX_PATHS:
            raise OperandRefused("too-complex", f"json takes at most {MAX_PATHS} paths.")
        parts = [_plan_path(walk, entry, path, asked, negated) for path, asked in operand.items()]
        return join(parts, is_and=not negated) if parts else FALSE if negated else TRUE

    def leaf(operator: str, kind: str, operands: list[object], flip: bool) -> Condition:
        walk.count_leaf()
        walk.values.extend(operands)
        variant = "" if operator in ("eq", "in") else kind
        return entry.leaf(operator, len(operands), flip, None, variant)

    return _plan_asked(walk, leaf, name, operand, negated, whole=True)


def _plan_path(walk: Planning, entry: FieldEntry, text: str, asked: object, negated: bool) -> Condition:
    path = read_path(text)
    if path is None:
        detail = f"{text[:80]!r} is not a path; write a.b[0], or a JSON Pointer such as /a/b/0."
        raise OperandRefused("bad-operand", detail)
    return _plan_condition(walk, _leaf_at(walk, entry, path), asked, negated, 0)


def _leaf_at(walk: Planning, entry: FieldEntry, path: JsonPath) -> Leaf:
    def leaf(operator: str, kind: str, operands: list[object], flip: bool) -> Condition:
        walk.count_leaf()
        before = (path.text, *path.guards)
        walk.values.extend(before)
        walk.values.extend(operands)
        variant = f"{operator}:{kind}:{len(path.guards)}"
        return entry.leaf("json", len(before) + len(operands), flip, None, variant)

    return leaf


def _plan_condition(walk: Planning, leaf: Leaf, asked: object, negated: bool, depth: int) -> Condition:
    """A scalar, a list, or an object of operators: the same grammar as beside a field."""
    if depth > MAX_DEPTH:
        raise OperandRefused("too-complex", f"The condition nests deeper than {MAX_DEPTH} levels.")
    if asked is None:
        return leaf("null", "any", [], negated)
    if type(asked) is list:
        return _plan_asked(walk, leaf, "in", asked, negated)
    if type(asked) is not dict:
        return _plan_asked(walk, leaf, "eq", asked, negated)
    parts: list[Condition] = []
    for word, operand in asked.items():
        logical = normalise_word(word)
        if logical == "not":
            parts.append(_plan_condition(walk, leaf, operand, not negated, depth + 1))
        elif logical in LOGICAL:
            if type(operand) is not list:
                raise OperandRefused("type-mismatch", f"{logical} takes a list of conditions.")
            inner = [_plan_condition(walk, leaf, one, negated, depth + 1) for one in operand]
            parts.append(join(inner, is_and=(logical == "and") != negated))
        else:
            operator, flip = _find(word)
            parts.append(_plan_asked(walk, leaf, operator.name, operand, negated != flip))
    return join(parts, is_and=not negated) if parts else FALSE if negated else TRUE


def _find(word: str) -> tuple[Operator, bool]:
    name, flip = normalise_word(word), False
    if name not in OPERATORS:
        positive = positive_form(name)
        if positive is None or positive not in OPERATORS:
            raise OperandRefused("unknown-field", f"{word[:80]!r} is not an operator.")
        name, flip = positive, True
    row = OPERATORS[name]
    if row.negates is not None:
        row, flip = OPERATORS[row.negates], not flip
    if row.name == "json":
        raise OperandRefused("bad-operand", "json is not nested; write one path.")
    return row, flip


def _plan_asked(  # noqa: PLR0912 - one case for each form of operand
    walk: Planning, leaf: Leaf, name: str, operand: object, negated: bool, *, whole: bool = False
) -> Condition:
    if name in ("null", "empty"):
        if type(operand) is not bool:
            raise OperandRefused("type-mismatch", f"{name} takes true or false, not {describe(operand)}.")
        return leaf(name, "any", [], negated == operand)
    if name == "length":
        return _plan_length(leaf, operand, negated)
    if name == "has_key":
        return leaf("has_key", "str", [read_text(operand, walk.context)], negated)
    if name == "has":
        kind, value = _scalar(walk, operand)
        return leaf("has", kind, [value], negated)
    if name in ("has_any", "has_all"):
        return _plan_has(walk, leaf, name, operand, negated)
    if name == "in":
        if type(operand) is not list:
            raise OperandRefused("type-mismatch", f"A list of values is expected here, not {describe(operand)}.")
        _check_count(walk, operand)
        if None in operand:
            raise OperandRefused("bad-operand", "null cannot be in a list of values; ask {'null': true} beside it.")
        if not operand:
            return TRUE if negated else FALSE
        values: list[object] = [_document(walk, one) for one in operand]
        pad(values)
        return leaf("in", "any", values, negated)
    if operand is None and name == "eq":
        return leaf("null", "any", [], negated)
    if name == "eq":
        return leaf("eq", "any", [_document(walk, operand)], negated)
    if whole:
        raise OperandRefused("bad-operand", f"{name} does not compare documents.")
    if name == "between":
        if type(operand) is not list or len(operand) != 2:
            raise OperandRefused("type-mismatch", "between takes a list of two values.")
        (kind, low), (other, high) = (_scalar(walk, one) for one in operand)
        if kind != other or kind == "bool" or low > high:  # type: ignore[operator]
            raise OperandRefused("bad-operand", "between takes two numbers or two strings, the lower one first.")
        return leaf("between", kind, [low, high], negated)
    row = OPERATORS[name]
    if row.operand == "value":
        kind, value = _scalar(walk, operand)
        if kind == "bool":
            raise OperandRefused("bad-operand", f"{name} does not compare booleans.")
        return leaf(name, kind, [value], negated)
    if row.operand == "text" and row.prepare is not None:
        text = read_text(operand, walk.context)
        return leaf(name, "str", [row.prepare(str(text), walk.context.dialect)], negated)
    raise OperandRefused("bad-operand", f"{name} is not asked of JSON.")


def _plan_has(walk: Planning, leaf: Leaf, name: str, operand: object, negated: bool) -> Condition:
    """Lists of scalars, one leaf for each kind among them."""
    if type(operand) is not list:
        raise OperandRefused("type-mismatch", f"{name} takes a list of values, not {describe(operand)}.")
    _check_count(walk, operand)
    by_kind: dict[str, list[object]] = {}
    for one in operand:
        kind, value = _scalar(walk, one)
        by_kind.setdefault(kind, []).append(value)
    is_all = name == "has_all"
    if not by_kind:
        if is_all:
            # Every array has all of nothing; what is no array has nothing.
            return leaf("has_all", "none", [], negated)
        return TRUE if negated else FALSE
    parts: list[Condition] = []
    for kind, values in by_kind.items():
        pad(values)
        parts.append(leaf(name, kind, values, negated))
    return join(parts, is_and=is_all != negated)


def _plan_length(leaf: Leaf, operand: object, negated: bool) -> Condition:
    asked = operand if type(operand) is dict else {"eq": operand}
    parts: list[Condition] = []
    for word, number in asked.items():
        row, flip = _find(word)
        if row.name not in _LENGTH_OPERATORS:
            raise OperandRefused("bad-operand", f"length is not asked by {word[:80]!r}.")
        if type(number) is not int or not 0 <= number < MAX_LENGTH:
            raise OperandRefused("type-mismatch", f"A length is a whole number, not {describe(number)}.")
        parts.append(leaf("length", row.name, [number], negated != flip))
    return join(parts, is_and=not negated) if parts else FALSE if negated else TRUE


def _check_count(walk: Planning, values: list[object]) -> None:
    if len(values) > walk.max_in:
        raise TooManyValues


def _scalar(walk: Planning, operand: object) -> tuple[str, object]:
    kind = kind_of(operand)
    if kind is None:
        raise OperandRefused("type-mismatch", f"A string, number or boolean is expected here, not {describe(operand)}.")
    if kind == "str":
        return kind, _unescape(walk, operand)
    if kind == "num" and isinstance(operand, int) and not -(2**63) <= operand < 2**63:
        raise OperandRefused("out-of-range", "The integer is beyond 64 bits.")
    return kind, int(operand) if kind == "bool" else operand  # type: ignore[call-overload]


def _document(walk: Planning, operand: object) -> str:
    operand = _unescape(walk, operand)
    if type(operand) is dict or type(operand) is list:
        try:
            parse_json(operand, _ANY_JSON)
        except KindError as error:
            raise OperandRefused(error.code, error.detail) from error
    return compact_json(operand) if walk.context.dialect == "mariadb" else normal_json(operand)


def _unescape(walk: Planning, operand: object) -> object:
    """Strings that begin with ``$$`` lose one; macros mean nothing inside documents but the caller."""
    if type(operand) is str and operand[:1] == "$":
        expanded = expand_macro(operand, walk.context)
        return expanded if type(expanded) is str else operand
    return operand
