"""The walk over a filter's grammar: it makes a condition's shape and gathers its values.

What a name means is `scopes.py`'s business and
what a comparison becomes `leaves.py`'s. Negation is pushed down to the leaves, so
that each database sees only plain clauses and their complements. Every fault is
kept with its place, and all of them are raised at once; only a filter beyond the
limits is refused as soon as it is.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.errors import ErrorItem, QueryTooComplex, ValidationFailed
from engine.language.condition import ABSENCE, LOGICAL, QUANTIFIERS, normalise_word, positive_form
from engine.language.json import escape_pointer
from engine.language.search import suggest
from engine.operators import OPERATORS, Operator, PatternTooComplex
from engine.plan.fields import FieldRefused
from engine.plan.leaves import plan_leaf
from engine.plan.operands import OperandRefused, TooManyValues, describe
from engine.plan.pieces import FALSE, TRUE, join, pad
from engine.plan.scopes import Entry, FieldEntry, Logical, RelationEntry, Scope, TooManyHops
from engine.plan.shape import Condition, Count, Exists, PlanContext, PlannedCondition, Present
from engine.registry.resource import Limits

MAX_FAULTS = 100

_COUNT_OPERATORS = frozenset({"eq", "ne", "lt", "lte", "gt", "gte", "between", "in", "nin"})
_MAX_COUNT = 2**63 - 1

# A place in the filter: the place around it and the key in that. Only a fault makes a pointer of it.
Place = tuple["Place", str | int] | None


class Walk:
    """One walk over one filter.

    Attributes:
        values: Grows with the leaves, in the order of the shape.
        parameter: Set for faults that belong to a query parameter.
    """

    __slots__ = ("context", "faults", "leaves", "limits", "max_in", "parameter", "place", "pointer", "values")

    def __init__(self, context: PlanContext, pointer: str, parameter: str | None) -> None:
        self.context = context
        self.pointer = pointer
        self.parameter = parameter
        self.limits: Limits = context.registry.limits
        self.max_in = self.limits.in_values
        self.values: list[object] = []
        self.faults: list[ErrorItem] = []
        self.leaves = 0
        self.place: Place = None

    def finish(self, shape: Condition) -> PlannedCondition:
        """The planned condition, unless there were faults."""
        if self.faults:
            raise ValidationFailed(errors=self.faults)
        return PlannedCondition(shape, tuple(self.values))

    def fault(self, place: Place, code: str, detail: str, suggestions: Sequence[str] = ()) -> None:
        """Keep a fault; stop at the hundredth."""
        pointer = None if self.parameter is not None else self._pointer(place)
        self.faults.append(
            ErrorItem(code, detail, pointer=pointer, parameter=self.parameter, suggestions=tuple(suggestions))
        )
        if len(self.faults) >= MAX_FAULTS:
            raise ValidationFailed(errors=self.faults)

    # ------------------------------------------------------------ the grammar

    def filter(
        self, scope: Scope, raw: object, place: Place = None, negated: bool = False, depth: int = 0
    ) -> Condition:
        """``{key: value, …}``: all of them."""
        if type(raw) is not dict:
            self.fault(place, "type-mismatch", f"A filter is an object, not {describe(raw)}.")
            return TRUE
        entries = scope.entries
        parts: list[Condition] = []
        for key, value in raw.items():
            entry = entries.get(key) or self._find(scope, key, (place, key))
            if type(entry) is FieldEntry:
                parts.append(self._field(scope, entry, value, (place, key), negated, depth))
            elif type(entry) is RelationEntry:
                parts.append(self._relation(entry, value, (place, key), negated, depth))
            elif type(entry) is Logical:
                parts.append(self._logical(scope, entry.word, value, (place, key), negated, depth))
            elif type(entry) is TooManyHops:
                # Remembered from another filter; whatever is not read here would be a condition that does not hold.
                raise self._too_many_hops((place, key))
        if not parts:
            self._count_leaf(place)
            return FALSE if negated else TRUE
        return join(parts, is_and=not negated)

    def _find(self, scope: Scope, key: str, place: Place) -> Entry | None:
        """A field or relation, else a logical word, else a fault."""
        if key in LOGICAL:
            scope.entries[key] = Logical(key)
            return scope.entries[key]
        try:
            entry = scope.find(key)
        except FieldRefused as refused:
            word = normalise_word(key)
            if word in LOGICAL:
                scope.entries[key] = Logical(word)
                return scope.entries[key]
            self.fault(place, "unknown-field", refused.detail, refused.suggestions)
            self._count_leaf(place)
            return None
        if isinstance(entry, TooManyHops):
            raise self._too_many_hops(place)
        return entry

    def _logical(self, scope: Scope, word: str, value: object, place: Place, negated: bool, depth: int) -> Condition:
        depth = self._deeper(place, depth)
        if word == "not":
            return self.filter(scope, value, place, not negated, depth)
        if type(value) is not list:
            self.fault(place, "type-mismatch", f"{word} takes a list of filters, not {describe(value)}.")
            return TRUE
        is_and = word == "and"
        if not value:
            return TRUE if is_and != negated else FALSE
        parts = [self.filter(scope, one, (place, index), negated, depth) for index, one in enumerate(value)]
        return join(parts, is_and=is_and != negated)

    def _field(
        self, scope: Scope, entry: FieldEntry, value: object, place: Place, negated: bool, depth: int
    ) -> Condition:
        """A scalar, a list, or an object of operators beside a field."""
        if type(value) is dict:
            return self._operators(scope, entry, value, place, negated, depth)
        if value is None:
            word, value = "null", True
        else:
            word = "in" if type(value) is list else "eq"
        return self._leaf(scope, entry, word, value, place, place, negated)

    def _operators(
        self, scope: Scope, entry: FieldEntry, asked: dict[str, object], place: Place, negated: bool, depth: int
    ) -> Condition:
        parts: list[Condition] = []
        for word, operand in asked.items():
            at = (place, word)
            if word in entry.words:
                parts.append(self._leaf(scope, entry, word, operand, at, place, negated))
                continue
            logical = normalise_word(word)
            if logical not in LOGICAL:
                parts.append(self._leaf(scope, entry, word, operand, at, place, negated))
                continue
            inner_depth = self._deeper(at, depth)
            if logical == "not":
                parts.append(self._field(scope, entry, operand, at, not negated, inner_depth))
            elif type(operand) is not list:
                self.fault(at, "type-mismatch", f"{logical} takes a list, not {describe(operand)}.")
            else:
                is_and = (logical == "and") != negated
                inner = [
                    self._field(scope, entry, one, (at, index), negated, inner_depth)
                    for index, one in enumerate(operand)
                ]
                parts.append(join(inner, is_and=is_and) if inner else TRUE if is_and else FALSE)
        if not parts:
            self._count_leaf(place)
            return FALSE if negated else TRUE
        return join(parts, is_and=not negated)

    def _leaf(
        self, scope: Scope, entry: FieldEntry, word: str, operand: object, place: Place, owner: Place, negated: bool
    ) -> Condition:
        self._count_leaf(place)
        found = entry.word(word)
        if found is None:
            name = entry.source.name if entry.path.function is None else f"{entry.path.function}({entry.source.name})"
            detail = f"{name} has no operator {word[:80]!r}."
            self.fault(place, "unknown-field", detail, suggest(normalise_word(word), sorted(entry.allowed)))
            return TRUE
        return self._compare(scope, entry, found.operator, operand, place, negated != found.negated)

    def _compare(
        self, scope: Scope, entry: FieldEntry, operator: Operator, operand: object, place: Place, negated: bool
    ) -> Condition:
        kept = len(self.values)
        self.place = place
        try:
            return plan_leaf(self, scope, entry, operator, operand, negated=negated)
        except OperandRefused as refused:
            del self.values[kept:]
            self.fault(place, refused.code, refused.detail, refused.suggestions)
        except PatternTooComplex as refused:
            del self.values[kept:]
            self.fault(place, "too-complex", str(refused))
        except TooManyValues:
            raise self._too_complex(place, f"has more than {self.max_in} values in one list", "in") from None
        return TRUE

    # ------------------------------------------------------------ relations

    def _relation(self, entry: RelationEntry, value: object, place: Place, negated: bool, depth: int) -> Condition:
        if entry.relation.kind == "one":
            return self._to_one(entry, value, place, negated, depth)
        return self._to_many(entry, value, place, negated, depth)

    def _to_one(self, entry: RelationEntry, value: object, place: Place, negated: bool, depth: int) -> Condition:
        """``null``, or a filter over the other side: every row has one, of NULLs where there is no target."""
        if value is None:
            self._count_leaf(place)
            return Present(entry.hops, not negated)
        if type(value) is not dict:
            detail = f"{entry.relation.name} is a relation: give a filter over it, or compare {entry.relation.field}."
            self.fault(place, "type-mismatch", detail)
            return TRUE
        depth = self._deeper(place, depth)
        parts: list[Condition] = []
        rest = value
        for word in value:
            name = entry.inner.word(word, ABSENCE)
            if name is None:
                continue
            self._count_leaf(place)
            asked = value[word]
            rest = {key: inner for key, inner in rest.items() if key != word}
            if type(asked) is not bool:
                self.fault((place, word), "type-mismatch", f"null takes true or false, not {describe(asked)}.")
                continue
            is_absent = asked if name == "null" else not asked
            parts.append(Present(entry.hops, is_absent != negated))
        if rest or not parts:
            parts.append(self.filter(entry.inner, rest, place, negated, depth))
        return join(parts, is_and=not negated)

    def _to_many(self, entry: RelationEntry, value: object, place: Place, negated: bool, depth: int) -> Condition:
        """Quantifiers, or a filter that stands for ``any``."""
        if type(value) is not dict:
            detail = f"{entry.relation.name} is a to-many relation: ask any, all, none or count of it."
            self.fault(place, "type-mismatch", detail)
            return TRUE
        depth = self._deeper(place, depth)
        words = {key: entry.inner.word(key, QUANTIFIERS) for key in value}
        if not any(words.values()):
            return self._exists(entry, value, place, depth, inside=False, negated=negated)
        parts: list[Condition] = []
        for key, word in words.items():
            asked, at = value[key], (place, key)
            if word == "any":
                parts.append(self._exists(entry, asked, at, depth, inside=False, negated=negated))
            elif word == "none":
                parts.append(self._exists(entry, asked, at, depth, inside=False, negated=not negated))
            elif word == "all":
                # All fulfil it where none does not.
                parts.append(self._exists(entry, asked, at, depth, inside=True, negated=not negated))
            elif word == "count":
                parts.append(self._count(entry, asked, at, negated, depth))
            else:
                detail = f"{key[:80]!r} cannot stand beside any, all, none or count."
                self.fault(at, "unknown-field", detail, suggest(normalise_word(key), sorted(QUANTIFIERS)))
        return join(parts, is_and=not negated)

    def _exists(
        self, entry: RelationEntry, raw: object, place: Place, depth: int, *, inside: bool, negated: bool
    ) -> Condition:
        """Whether a related row fulfils a filter (`inside`: fails it)."""
        self._count_leaf(place)
        condition = self.filter(entry.inner, raw, place, inside, depth)
        if condition is FALSE:
            return TRUE if negated else FALSE
        return Exists(entry.hops, entry.relation.name, None if condition is TRUE else condition, negated)

    def _count(self, entry: RelationEntry, raw: object, place: Place, negated: bool, depth: int) -> Condition:
        asked: dict[str, object] = raw if type(raw) is dict else {"eq": raw}
        comparisons = {word: operand for word, operand in asked.items() if word != "where"}
        if not comparisons:
            self.fault(place, "required", "count needs a comparison, such as {'gte': 1}.")
        parts: list[Condition] = []
        for word, operand in comparisons.items():
            at = (place, word) if asked is raw else place
            self._count_leaf(at)
            found = _find_count_word(word)
            if found is None:
                detail = f"count has no operator {word[:80]!r}."
                self.fault(at, "unknown-field", detail, suggest(word, sorted(_COUNT_OPERATORS)))
                continue
            condition = None
            if asked.get("where") is not None:
                condition = self.filter(entry.inner, asked["where"], (place, "where"), False, depth)
            operator, flip = found
            numbers = self._numbers(operator, operand, at)
            if numbers is None:
                continue
            if not numbers:
                parts.append(TRUE if negated != flip else FALSE)
                continue
            self.values.extend(numbers)
            parts.append(
                Count(
                    entry.hops,
                    entry.relation.name,
                    None if condition is TRUE else condition,
                    operator,
                    len(numbers),
                    negated != flip,
                )
            )
        return join(parts, is_and=not negated)

    def _numbers(self, operator: str, operand: object, place: Place) -> list[object] | None:
        """The operands of a count; None where they are no whole numbers."""
        kind = OPERATORS[operator].operand
        numbers: list[object] = operand if kind != "value" and type(operand) is list else [operand]
        if len(numbers) > self.max_in:
            raise self._too_complex(place, f"has more than {self.max_in} values in one list", "in")
        is_list = type(operand) is list
        if is_list == (kind == "value") or not all(
            type(number) is int and -_MAX_COUNT <= number <= _MAX_COUNT for number in numbers
        ):
            self.fault(place, "type-mismatch", f"{operator} of a count takes whole numbers, not {describe(operand)}.")
            return None
        if kind == "pair" and (len(numbers) != 2 or numbers[0] > numbers[1]):  # type: ignore[operator]
            self.fault(place, "bad-operand", "between takes two numbers, the lower one first.")
            return None
        numbers = list(numbers)
        if kind == "list" and numbers:
            pad(numbers)
        return numbers

    # ------------------------------------------------------------ limits

    def count_leaf(self) -> None:
        """Count one more leaf of the comparison at hand."""
        self._count_leaf(self.place)

    def _count_leaf(self, place: Place) -> None:
        self.leaves += 1
        if self.leaves > self.limits.leaves:
            raise self._too_complex(place, f"has more than {self.limits.leaves} conditions", "leaves")

    def _deeper(self, place: Place, depth: int) -> int:
        if depth >= self.limits.depth:
            raise self._too_complex(place, f"nests deeper than {self.limits.depth} levels", "depth")
        return depth + 1

    def _too_many_hops(self, place: Place) -> QueryTooComplex:
        return self._too_complex(place, f"crosses more than {self.limits.hops} relations", "hops")

    def _too_complex(self, place: Place, what: str, limit: str) -> QueryTooComplex:
        detail = f"The filter {what} (limit `{limit}`). Split the search."
        pointer = None if self.parameter is not None else self._pointer(place)
        return QueryTooComplex(
            detail, errors=[ErrorItem("too-complex", detail, pointer=pointer, parameter=self.parameter)]
        )

    def _pointer(self, place: Place) -> str:
        tokens: list[str] = []
        while place is not None:
            place, key = place
            tokens.append(str(key) if type(key) is int else escape_pointer(str(key)))
        tokens.append(self.pointer)
        return "/".join(reversed(tokens))


def _find_count_word(word: str) -> tuple[str, bool] | None:
    name, flip = normalise_word(word), False
    if name not in _COUNT_OPERATORS:
        positive = positive_form(name)
        if positive not in _COUNT_OPERATORS:
            return None
        name, flip = positive, True
    negates = OPERATORS[name].negates
    return (negates, not flip) if negates is not None else (name, flip)
