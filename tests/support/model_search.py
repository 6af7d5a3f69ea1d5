"""What the contract says about searches, in plain Python over `support/model.py`: conditions, words, order.

Two-valued: a leaf on NULL is false, but for those operators that are true where a value is absent or differs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from tests.support.model import TYPES, Column, Parent, Row, World

_ABSENT = {"null", "empty", "ne", "ine", "nin"}
_FUNCTION = re.compile(r"([a-z]+)\((.+)\)")


@dataclass(frozen=True, slots=True)
class Finder:
    """Searches as one account."""

    world: World
    account: str

    def find(self, rows: Iterable[Row], condition: Any, q: str | None = None) -> list[Row]:
        """The rows that a filter and the words of ``q`` leave."""
        return [row for row in rows if self.holds(row.type, row, condition) and (q is None or _has_words(row, q))]

    def holds(self, type_name: str, row: Row | None, condition: Any) -> bool:
        """Whether a filter is true of a row; of an absent one all leaves are NULL."""
        return all(self._entry(type_name, row, key, value) for key, value in condition.items())

    def sort(self, rows: Iterable[Row], keys: Sequence[str], type_name: str) -> list[Row]:
        """The rows in the order of some sort keys; equal ones by creation, in the direction of the last key."""
        keys = keys or TYPES[type_name].sort or ("-",)
        ordered = sorted(rows, key=lambda row: row.number, reverse=keys[-1].startswith("-"))
        for key in reversed([key for key in keys if key != "-"]):
            is_descending = key.startswith("-")
            name, _, nulls = key.removeprefix("-").partition(":")
            has_nulls_first = nulls == "nulls_first" if nulls else not is_descending
            valued = [(self._sort_value(row, name), row) for row in ordered]
            absent = [row for value, row in valued if value is None]
            present = sorted(
                ((value, row) for value, row in valued if value is not None),
                key=lambda pair: pair[0],
                reverse=is_descending,
            )
            ordered = [*absent, *(row for _, row in present)] if has_nulls_first else [
                *(row for _, row in present), *absent
            ]  # fmt: skip
        return ordered

    # ------------------------------------------------------------ private

    def _entry(self, type_name: str, row: Row | None, key: str, value: Any) -> bool:
        if key == "and":
            return all(self.holds(type_name, row, one) for one in value)
        if key == "or":
            return any(self.holds(type_name, row, one) for one in value)
        if key == "not":
            return not self.holds(type_name, row, value)
        if _FUNCTION.fullmatch(key) is None:
            first, _, rest = key.partition(".")
            relation = TYPES[type_name].relation(first)
            if relation is not None:
                target = relation.type if isinstance(relation, Parent) else str(relation.target)
                there = self._follow(row, f"{first}_id", target)
                if rest:
                    return self._entry(target, there, rest, value)
                if value is None or (isinstance(value, dict) and set(value) == {"null"}):
                    return (there is None) is (value is None or value["null"])
                return self.holds(target, there, value)
            many = self._many(type_name, row, first)
            if many is not None:
                return self._crowd(*many, value)
        if value is None:
            value = {"null": True}
        elif isinstance(value, list):
            value = {"in": value}
        elif not isinstance(value, dict):
            value = {"eq": value}
        return self._leaf(type_name, row, self._value(type_name, row, key), value)

    def _leaf(self, type_name: str, row: Row | None, value: Any, operators: dict[str, Any]) -> bool:
        return all(self._one_leaf(type_name, row, value, name, operand) for name, operand in operators.items())

    def _one_leaf(self, type_name: str, row: Row | None, value: Any, name: str, operand: Any) -> bool:
        if name == "and":
            return all(self._leaf(type_name, row, value, one) for one in operand)
        if name == "or":
            return any(self._leaf(type_name, row, value, one) for one in operand)
        if name == "not":
            return not self._leaf(type_name, row, value, operand)
        if isinstance(operand, dict) and set(operand) == {"field"}:
            operand = self._value(type_name, row, operand["field"])
            if operand is None:
                # Two NULLs are not equal, and nothing is less than NULL.
                return name in ("ne", "ine", "nin")
            return _compare(name, value, operand)
        return _compare(name, value, operand)

    def _crowd(self, target: str, rows: list[Row], value: dict[str, Any]) -> bool:
        if not {"any", "all", "none", "count"} & set(value):
            value = {"any": value}
        answers = []
        for key, inner in value.items():
            if key == "count":
                where = inner.get("where", {})
                count = sum(self.holds(target, one, where) for one in rows)
                answers += [_compare(name, count, number) for name, number in inner.items() if name != "where"]
            else:
                held = [self.holds(target, one, inner) for one in rows]
                answers.append({"any": any(held), "all": all(held), "none": not any(held)}[key])
        return all(answers)

    def _many(self, type_name: str, row: Row | None, name: str) -> tuple[str, list[Row]] | None:
        """The rows on the other side of a to-many relation."""
        for target, shape in TYPES.items():
            fields = [one.field for one in shape.parents if one.type == type_name and one.segment == name]
            fields += [key for key, one in shape.columns.items() if one.target == type_name and one.reverse == name]
            if fields:
                there = [] if row is None else self.world.of(self.account, target)
                return target, [one for one in there if row is not None and one.values[fields[0]] == row.id]
        return None

    def _follow(self, row: Row | None, key: str, target: str) -> Row | None:
        return None if row is None else self.world.find(self.account, target, row.values[key])

    def _value(self, type_name: str, row: Row | None, expression: str) -> Any:
        """What a field expression says of a row, comparable."""
        called = _FUNCTION.fullmatch(expression)
        if called is not None:
            inner = self._value(type_name, row, called[2])
            return None if inner is None else _FUNCTIONS[called[1]](inner)
        first, _, rest = expression.partition(".")
        if rest:
            relation = TYPES[type_name].relation(first)
            assert relation is not None
            target = relation.type if isinstance(relation, Parent) else str(relation.target)
            return self._value(target, self._follow(row, f"{first}_id", target), rest)
        if row is None:
            return None
        if first == "id":
            return row.id
        column = TYPES[type_name].columns.get(first, Column("relation"))
        return comparable(column.kind, row.values[first])

    def _sort_value(self, row: Row, expression: str) -> Any:
        if expression.startswith("count("):
            many = self._many(row.type, row, expression[6:-1])
            assert many is not None
            return len(many[1])
        return self._value(row.type, row, expression)


def fold(text: str) -> str:
    """Lower case, each character alone; the dotted capital I loses its dot."""
    return "".join("i" if letter == "İ" else letter.lower() for letter in text)


def comparable(kind: str, value: Any) -> Any:
    """A value in a form that compares as the contract says."""
    if value is None:
        return None
    if kind == "decimal":
        return Decimal(value)
    if kind == "date":
        return date.fromisoformat(value)
    if kind == "datetime":
        return datetime.fromisoformat(value).replace(tzinfo=None)
    if kind == "time":
        return f"{value}.000000" if "." not in value else value
    return value


def _compare(name: str, value: Any, operand: Any) -> bool:
    if name == "null":
        return (value is None) is operand
    if name == "empty":
        return (value is None or value in ("", [], {})) is operand
    if value is None:
        return name in _ABSENT
    if isinstance(value, datetime) and _is_plain_date(operand):
        return _compare_day(name, value, operand)
    if name in ("ne", "ine", "nin"):
        return not _compare({"ne": "eq", "ine": "ieq", "nin": "in"}[name], value, operand)
    return _OPERATORS[name](value, operand)


def _is_plain_date(operand: Any) -> bool:
    if isinstance(operand, list):
        return bool(operand) and all(_is_plain_date(one) for one in operand)
    return (isinstance(operand, date) and not isinstance(operand, datetime)) or (
        isinstance(operand, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", operand) is not None
    )


def _compare_day(name: str, value: datetime, operand: Any) -> bool:
    """A plain date against a moment is that whole day."""
    return _compare(name, value.date(), operand)


def _like(value: Any, operand: str) -> bool:
    parts = re.findall(r"\\.|.", operand, re.DOTALL)
    pattern = "".join(
        ".*" if one == "%" else "." if one == "_" else re.escape(one[1:] if len(one) == 2 else one) for one in parts
    )
    return re.fullmatch(pattern, value, re.DOTALL) is not None


def _ordered(check: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    return lambda value, operand: check(value, _like_value(value, operand))


def _like_value(value: Any, operand: Any) -> Any:
    """An operand in the form that its field's values have."""
    if not isinstance(operand, str):
        return operand
    kind = {Decimal: "decimal", date: "date", datetime: "datetime"}.get(type(value))
    if kind is None and isinstance(value, str) and re.fullmatch(r"\d\d:\d\d:\d\d\.\d{6}", value):
        kind = "time"
    return comparable(kind or "string", operand)


def _both(check: Callable[[str, str], bool]) -> Callable[[Any, Any], bool]:
    return lambda value, operand: check(fold(value), fold(operand))


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)


_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": _ordered(lambda value, operand: value == operand),
    "in": lambda value, operand: any(value == _like_value(value, one) for one in operand),
    "lt": _ordered(lambda value, operand: value < operand),
    "lte": _ordered(lambda value, operand: value <= operand),
    "gt": _ordered(lambda value, operand: value > operand),
    "gte": _ordered(lambda value, operand: value >= operand),
    "between": lambda value, pair: _like_value(value, pair[0]) <= value <= _like_value(value, pair[1]),
    "ieq": _both(lambda value, operand: value == operand),
    "contains": lambda value, operand: operand in value,
    "icontains": _both(lambda value, operand: operand in value),
    "starts_with": lambda value, operand: value.startswith(operand),
    "istarts_with": _both(lambda value, operand: value.startswith(operand)),
    "ends_with": lambda value, operand: value.endswith(operand),
    "iends_with": _both(lambda value, operand: value.endswith(operand)),
    "like": _like,
    "ilike": _both(_like),
    "has": lambda value, operand: any(_same(one, operand) for one in value),
    "has_any": lambda value, operand: any(_same(one, other) for one in value for other in operand),
    "has_all": lambda value, operand: all(any(_same(one, other) for one in value) for other in operand),
    "length": lambda value, operand: all(
        _compare(name, len(value), number)
        for name, number in (operand if isinstance(operand, dict) else {"eq": operand}).items()
    ),
}

_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "year": lambda moment: moment.year,
    "quarter": lambda moment: (moment.month + 2) // 3,
    "month": lambda moment: moment.month,
    "week": lambda moment: moment.isocalendar()[1],
    "day": lambda moment: moment.day,
    "weekday": lambda moment: moment.isoweekday(),
    "hour": lambda moment: moment.hour,
    "minute": lambda moment: moment.minute,
    "date": lambda moment: moment.date(),
    "length": len,
    "lower": fold,
}


def _has_words(row: Row, q: str) -> bool:
    """Every word, or phrase in quotes, stands somewhere in the searchable texts, in any case."""
    columns = TYPES[row.type].columns
    texts = [fold(row.values[key] or "") for key, one in columns.items() if one.kind in ("string", "text")]
    words = [phrase or word for phrase, word in re.findall(r'"([^"]*)"|(\S+)', q)]
    return all(any(fold(word) in text for text in texts) for word in words)


__all__ = ["Finder", "comparable", "fold"]
