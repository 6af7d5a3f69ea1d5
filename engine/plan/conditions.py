"""Conditions: from a filter, a query string's field parameters or ``q`` to a shape and its values.

The walk over the grammar is `walk.py`'s. The short forms become what the same filter
in JSON becomes; only here is text converted to a field's kind.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import orjson

from engine.errors import ErrorItem, QueryTooComplex
from engine.language.condition import ABSENCE, normalise_word
from engine.language.query import LIST_PARAMETERS, split_term, unknown_parameter
from engine.language.search import Term
from engine.operators import OPERATORS
from engine.plan.fields import FieldRefused, gate_of
from engine.plan.operands import TEXT_KINDS
from engine.plan.pieces import FALSE, TRUE, join
from engine.plan.scopes import FieldEntry, RelationEntry, Scope, TooManyHops, names_of
from engine.plan.shape import Condition, PlanContext, PlannedCondition
from engine.plan.walk import Walk
from engine.registry.kinds import KindError, from_text

MAX_Q_WORDS = 20
MAX_SPLITS = 2_000

_INTEGER = re.compile(r"-?\d{1,400}", re.ASCII)
_Q_WORD = re.compile(r'"([^"]*)"|([^\s"]+)')
# What a query string writes for true and false; a bare name is true.
_FLAGS: dict[str, object] = {"true": True, "": True, "false": False}


def plan_filter(
    raw: object, type_name: str, context: PlanContext, *, pointer: str = "/filter", parameter: str | None = None
) -> PlannedCondition:
    """Plan a filter.

    Args:
        raw: The filter as JSON.
        type_name: The type that it is over.
        context: Registry, rights and the request's circumstances.
        pointer: Where the filter stands in the body.
        parameter: The query parameter it came in, if it did; faults then name it instead of a pointer.

    Returns:
        The shape with its values, ready for the driver.

    Raises:
        ValidationFailed: With every fault.
        QueryTooComplex: It is beyond one of the registry's limits.
    """
    walk = Walk(context, pointer, parameter)
    scope = names_of(gate_of(context.registry, context.rights), context.dialect).scope(type_name)
    return walk.finish(walk.filter(scope, raw))


def plan_query_terms(terms: Sequence[Term], type_name: str, context: PlanContext) -> PlannedCondition:
    """Plan the field parameters of a query string; all of them must hold.

    Raises:
        BadRequest: A parameter is neither the search's nor a field of the caller's; it says which are possible.
        ValidationFailed: A value or an operator does not fit its field; the faults name the parameter.
        QueryTooComplex: There are more than the registry allows.
    """
    gate = gate_of(context.registry, context.rights)
    scope = names_of(gate, context.dialect).scope(type_name)
    walk = Walk(context, "", None)
    parts: list[Condition] = []
    for term in terms:
        filter_ = _read_term(scope, term)
        if filter_ is None:
            raise unknown_parameter(term.parameter, (*LIST_PARAMETERS, *gate.usable(type_name, "filter")))
        walk.parameter = term.parameter
        parts.append(walk.filter(scope, filter_))
    return walk.finish(join(parts, is_and=True))


def filters_of_terms(terms: Sequence[Term], type_name: str, context: PlanContext) -> list[dict[str, object]]:
    """The field parameters of a query string as filters; those that mean nothing are left out."""
    scope = names_of(gate_of(context.registry, context.rights), context.dialect).scope(type_name)
    return [filter_ for term in terms if (filter_ := _read_term(scope, term)) is not None]


def _split(scope: Scope, parameter: str) -> tuple[str, str] | None:
    def is_field(expression: str) -> bool:
        try:
            # One that crosses too many relations is refused as that, not as unknown.
            return isinstance(scope.find(expression), (FieldEntry, TooManyHops))
        except FieldRefused:
            return False

    split = split_term(parameter, is_field, _is_operator)
    if split is not None and len(scope.splits) < MAX_SPLITS:
        scope.splits[parameter] = split
    return split


def _read_term(scope: Scope, term: Term) -> dict[str, object] | None:
    """A field parameter as a filter; None where it is neither a field's name nor that of an operator behind it."""
    split = scope.splits.get(term.parameter) or _split(scope, term.parameter)
    if split is None:
        return _read_absence(scope, term)
    expression, word = split
    entry = scope.find(expression)
    found = entry.word(word) if isinstance(entry, FieldEntry) else None
    operand: object = term.text
    if found is not None and isinstance(entry, FieldEntry):
        operand = _convert(term.text, entry, found.operator.operand, found.operator.name)
    return {expression: {word: operand}}


def _read_absence(scope: Scope, term: Term) -> dict[str, object] | None:
    """``owner.null=true``: the one thing that a query string may ask of a relation itself."""
    name, _, word = term.parameter.rpartition(".")
    if normalise_word(word) not in ABSENCE:
        return None
    try:
        entry = scope.find(name)
    except FieldRefused:
        return None
    if not isinstance(entry, RelationEntry) or entry.relation.kind != "one":
        return None
    return {name: {word: _FLAGS.get(term.text, term.text)}}


def plan_text_query(q: str, type_name: str, context: PlanContext, *, parameter: str | None = None) -> PlannedCondition:
    """Plan ``q``: every word (quotes make a phrase) is somewhere in a searchable text field, whatever the case.

    Args:
        q: As the caller wrote it.
        type_name: The type that it is over.
        context: As for `plan_filter`.
        parameter: The query parameter it came in, if it did.

    Raises:
        QueryTooComplex: It has too many words.
    """
    words = [phrase or word for phrase, word in _Q_WORD.findall(q) if phrase.strip() or word]
    if not words:
        return PlannedCondition(TRUE, ())
    if len(words) > MAX_Q_WORDS:
        detail = f"q takes at most {MAX_Q_WORDS} words."
        place = None if parameter is not None else "/q"
        raise QueryTooComplex(detail, errors=[ErrorItem("too-complex", detail, pointer=place, parameter=parameter)])
    gate = gate_of(context.registry, context.rights)
    scope = names_of(gate, context.dialect).scope(type_name)
    readable = context.rights.readable(type_name)
    entries: list[FieldEntry] = []
    for field in context.registry.types[type_name].fields.values():
        if field.searchable and field.kind in TEXT_KINDS and field.name in readable:
            try:
                entry = scope.find(field.name)
            except FieldRefused:
                continue
            if isinstance(entry, FieldEntry):
                entries.append(entry)
    if not entries:
        return PlannedCondition(FALSE, ())
    prepare = OPERATORS["icontains"].prepare
    if prepare is None:
        raise LookupError("icontains prepares its operand")
    values: list[object] = []
    parts: list[Condition] = []
    for word in words:
        values.extend([prepare(word, context.dialect)] * len(entries))
        parts.append(join([entry.leaf("icontains", 1, False) for entry in entries], is_and=False))
    return PlannedCondition(join(parts, is_and=True), tuple(values))


def _is_operator(word: str) -> bool:
    name = normalise_word(word)
    return name in OPERATORS or (name[:1] == "n" and name[1:] in OPERATORS)


def _convert(text: str, entry: FieldEntry, operand: str, name: str) -> object:
    """Give a text the JSON type that the operator takes; what does not convert stays text, and is refused as that."""
    if operand == "flag":
        return _FLAGS.get(text, text)
    if operand in ("list", "pair"):
        return [_convert_value(part, entry) for part in text.split(",")] if text else []
    if operand == "value":
        return _convert_value(text, entry)
    if name in ("has_any", "has_all"):
        return text.split(",")
    if name == "length" and _INTEGER.fullmatch(text):
        return int(text)
    return text


def _convert_value(text: str, entry: FieldEntry) -> object:
    if entry.field.kind == "json":
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError:
            return text
    try:
        return from_text(text, entry.field)
    except KindError:
        return text
