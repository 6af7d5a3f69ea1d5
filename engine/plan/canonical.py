"""The canonical form of a filter, for ``explain``: one spelling of everything that can be spelled in several ways.

Synonyms and marks are gone, short forms are written out, to-one filters are dotted
keys, several keys are an ``and``. Macros stay as written. The filter has been planned
already, so nothing is checked here.
"""

from __future__ import annotations

from collections.abc import Callable

from engine.language.condition import ABSENCE, LOGICAL, QUANTIFIERS, normalise_word, positive_form, split_expression
from engine.operators import OPERATORS
from engine.plan.fields import gate_of
from engine.plan.scopes import RelationEntry, Scope, names_of
from engine.plan.shape import PlanContext


def canonical_filter(raw: object, type_name: str, context: PlanContext) -> dict[str, object]:
    """Write a filter in its canonical form.

    Args:
        raw: A filter that `plan_filter` has taken.
        type_name: The type that it is over.
        context: As for `plan_filter`.

    Returns:
        A filter that means the same.
    """
    scope = names_of(gate_of(context.registry, context.rights), context.dialect).scope(type_name)
    return _conjunction(_filter(scope, raw, ""))


def _filter(scope: Scope, raw: object, prefix: str) -> list[dict[str, object]]:
    parts: list[dict[str, object]] = []
    for key, value in _items(raw):
        word = scope.word(key, LOGICAL)
        if word is not None:
            parts.extend(_logical(word, value, lambda inner: _filter(scope, inner, prefix)))
            continue
        entry = scope.find(key)
        if isinstance(entry, RelationEntry):
            parts.extend(_relation(entry, key, value, prefix))
        else:
            parts.extend(_field(_dotted(prefix, key), value))
    return parts


def _relation(entry: RelationEntry, key: str, value: object, prefix: str) -> list[dict[str, object]]:
    name = f"{prefix}{key}"
    if entry.relation.kind == "one":
        if value is None:
            return [{name: {"null": True}}]
        parts: list[dict[str, object]] = []
        rest: dict[str, object] = {}
        for word, inner in _items(value):
            spelled = entry.inner.word(word, ABSENCE)
            if spelled is not None:
                parts.append({name: {"null": inner is (spelled == "null")}})
            else:
                rest[word] = inner
        return [*parts, *_filter(entry.inner, rest, f"{name}.")]
    words = {word: entry.inner.word(word, QUANTIFIERS) for word, _ in _items(value)}
    if not any(words.values()):
        return [{name: {"any": _conjunction(_filter(entry.inner, value, ""))}}]
    parts = []
    for word, inner in _items(value):
        quantifier = words[word]
        if quantifier == "count":
            parts.append({name: {"count": _count(entry.inner, inner)}})
        else:
            parts.append({name: {str(quantifier): _conjunction(_filter(entry.inner, inner, ""))}})
    return parts


def _count(scope: Scope, value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        return {"eq": value}
    counted: dict[str, object] = {}
    for word, inner in value.items():
        if word == "where":
            counted[word] = _conjunction(_filter(scope, inner, ""))
        else:
            counted[normalise_word(word)] = inner
    return counted


def _field(name: str, value: object) -> list[dict[str, object]]:
    if value is None:
        return [{name: {"null": True}}]
    if isinstance(value, list):
        return [{name: {"in": value}}]
    if not isinstance(value, dict):
        return [{name: {"eq": value}}]
    parts: list[dict[str, object]] = []
    for word, operand in value.items():
        operator = normalise_word(word)
        if operator in OPERATORS:
            parts.append({name: {operator: operand}})
        elif operator in LOGICAL:
            parts.extend(_logical(operator, operand, lambda inner: _field(name, inner)))
        else:
            positive = positive_form(operator)
            if positive in ("null", "empty"):
                parts.append({name: {positive: not operand}})
            else:
                parts.append({"not": {name: {str(positive): operand}}})
    return parts


def _logical(word: str, value: object, inside: Callable[[object], list[dict[str, object]]]) -> list[dict[str, object]]:
    if word == "not":
        return [{"not": _conjunction(inside(value))}]
    parts = [_conjunction(inside(one)) for one in value] if isinstance(value, list) else []
    if word == "and":
        return [{"and": []}] if not parts else [part for one in parts for part in _flatten(one)]
    return parts if len(parts) == 1 else [{"or": parts}]


def _flatten(one: dict[str, object]) -> list[dict[str, object]]:
    inner = one.get("and")
    return [part for part in inner if isinstance(part, dict)] if isinstance(inner, list) and len(one) == 1 else [one]


def _conjunction(parts: list[dict[str, object]]) -> dict[str, object]:
    if not parts:
        return {}
    return parts[0] if len(parts) == 1 else {"and": parts}


def _dotted(prefix: str, key: str) -> str:
    """``year(seen_on)`` behind ``person.`` is ``year(person.seen_on)``."""
    expression = split_expression(key)
    if not prefix or expression is None or expression.function is None:
        return prefix + key
    return f"{expression.function}({prefix}{'.'.join(expression.names)})"


def _items(value: object) -> list[tuple[str, object]]:
    return list(value.items()) if isinstance(value, dict) else []
