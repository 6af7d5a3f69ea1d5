"""What random requests over the types of `support/model.py` are made of: values, bodies, filters, sort keys.

Few values, and those that databases disagree on: case, spaces, wildcards, NULL, ends of days.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from tests.support.model import TYPES, Column, Json, Type
from tests.support.model_search import comparable, fold

UNKNOWN_ID = "noSuchIdAnywhere-_0123"

TEXTS = [
    "", "a", "A", "ab", "aB", "Ab ", "ab ", " ab", "ß", "ss", "SS", "i", "I", "İ", "ı", "é", "É", "e\u0301", "50%",
    "50_", "5\\0", "%", "_", "'", '"', "😀a", "\uffee", "日本", "Σας", "ΣΑΣ", "a\nb", "a b", "$now", "null", "z" * 60,
]  # fmt: skip
texts = st.sampled_from(TEXTS) | st.text(alphabet="aAbB %_", max_size=3)

_VALUES: dict[str, Sequence[Any]] = {
    "integer": [1, 2, 3, 4, 5],
    "decimal": ["0.00", "1.5", "1.50", "-3.25", "999999.99", "0.1", "10", "-0.01"],
    "float": [0, 0.5, -1.25, 3, 1e10, 0.1, -1e-7],
    "date": ["2024-02-29", "2025-12-31", "2026-01-01", "2026-01-02", "2026-06-15"],
    "datetime": [
        "2026-01-01T00:00:00Z", "2025-12-31T23:59:59.999999Z", "2026-01-01T01:30:00+02:00",
        "2026-01-02T12:00:00.500000Z", "2026-01-01T23:59:59Z", "2024-02-29T08:15:00-05:30",
    ],
    "time": ["00:00:00", "09:30:00", "09:30:00.250000", "23:59:59", "23:59:59.999999"],
    "boolean": [True, False],
    "json": [[], ["a"], ["a", "b"], ["A"], ["ß", "a"], ["%"]],
}  # fmt: skip
_ENUMS = {"mood": ["calm", "loud", "odd"], "color": ["red", "blue"]}
_ODD_INTEGERS = {"rating": [-5, -1, 0, 5], "pages": [-2, 0, 7, 2_147_483_647], "seconds": [0, -1, 2**53 - 1]}

_RANGE = ["lt", "lte", "gt", "gte"]
_TEXT_OPERATORS = [
    "ieq", "ine", "contains", "icontains", "starts_with", "istarts_with", "ends_with", "iends_with", "like", "ilike",
]  # fmt: skip
_PARTS = ["year", "quarter", "month", "week", "day", "weekday"]
_PART_VALUES = {
    "year": [2024, 2025, 2026], "quarter": [1, 4], "month": [1, 2, 12], "week": [1, 9, 53], "day": [1, 2, 29, 31],
    "weekday": [1, 4, 7], "hour": [0, 8, 12, 13, 23], "minute": [0, 15, 45, 59], "length": [0, 1, 2, 60],
}  # fmt: skip


@st.composite
def values(draw: st.DrawFn, name: str, column: Column, pool: Sequence[str]) -> Any:
    """A value that the column takes; ids are drawn of a pool."""
    if column.nullable and draw(st.integers(0, 4)) == 0:
        return None
    if column.target is not None:
        return draw(st.sampled_from(pool)) if pool else None
    if column.kind in ("string", "text"):
        return draw(texts)
    return draw(st.sampled_from(_choices(name, column)))


def _choices(name: str, column: Column) -> Sequence[Any]:
    if column.kind == "enum":
        return _ENUMS[name]
    return _ODD_INTEGERS.get(name, _VALUES[column.kind]) if column.kind == "integer" else _VALUES[column.kind]


@st.composite
def bodies(draw: st.DrawFn, shape: Type, authors: Sequence[str], *, is_whole: bool) -> Json:
    """A body: of a create, with what is required; of a patch, with anything but nothing."""
    names = list(shape.columns)
    chosen = draw(st.sets(st.sampled_from(names), min_size=0 if is_whole else 1))
    wanted = [name for name in names if name in chosen or (is_whole and shape.columns[name].required)]
    return {name: draw(values(name, shape.columns[name], authors)) for name in wanted}


# ---------------------------------------------------------------- filters


@st.composite
def filters(draw: st.DrawFn, type_name: str, pool: Sequence[str], depth: int = 3) -> Json:
    """A filter over a type."""
    entries = draw(st.lists(st.integers(0, 11), min_size=0 if depth < 3 else 1, max_size=2))
    condition: Json = {}
    for choice in entries:
        condition.update(draw(_entries(type_name, pool, depth, choice)))
    return condition


@st.composite
def _entries(draw: st.DrawFn, type_name: str, pool: Sequence[str], depth: int, choice: int) -> Json:
    shape = TYPES[type_name]
    if depth > 0 and choice in (0, 1):
        inner = draw(st.lists(filters(type_name, pool, depth - 1), max_size=3))
        return {"and" if choice == 0 else "or": inner}
    if depth > 0 and choice == 2:
        return {"not": draw(filters(type_name, pool, depth - 1))}
    ones = _to_ones(shape)
    if depth > 0 and choice in (3, 4) and ones:
        name, target = draw(st.sampled_from(ones))
        if draw(st.booleans()):
            leaf = draw(_leaves(target, pool))
            return {f"{name}.{key}": value for key, value in leaf.items()} if _is_plain(leaf) else {name: leaf}
        kind = draw(st.integers(0, 4))
        return {name: {"null": kind == 0} if kind < 2 else draw(filters(target, pool, depth - 1))}
    manies = _to_manies(type_name)
    if depth > 0 and choice in (5, 6, 7) and manies:
        name, target = draw(st.sampled_from(manies))
        return {name: draw(_crowds(target, pool, depth))}
    return draw(_leaves(type_name, pool))


@st.composite
def _crowds(draw: st.DrawFn, target: str, pool: Sequence[str], depth: int) -> Json:
    kinds = draw(st.sets(st.sampled_from(["any", "all", "none", "count", "bare"]), min_size=1, max_size=2))
    if "bare" in kinds:
        return draw(filters(target, pool, depth - 1))
    crowd: Json = {}
    for kind in sorted(kinds):
        if kind == "count":
            name = draw(st.sampled_from(["eq", "ne", "gt", "gte", "lt", "lte"]))
            crowd["count"] = {name: draw(st.integers(0, 3))}
            if draw(st.booleans()):
                crowd["count"]["where"] = draw(filters(target, pool, depth - 1))
        else:
            crowd[kind] = draw(filters(target, pool, depth - 1))
    return crowd


@st.composite
def _leaves(draw: st.DrawFn, type_name: str, pool: Sequence[str]) -> Json:
    shape = TYPES[type_name]
    fields = [*shape.columns, *(parent.field for parent in shape.parents), "id"]
    name = draw(st.sampled_from(fields))
    column = shape.columns.get(name, Column("relation"))
    if column.kind in ("date", "datetime") and draw(st.integers(0, 3)) == 0:
        parts = _PARTS if column.kind == "date" else [*_PARTS, "hour", "minute"]
        part = draw(st.sampled_from(parts))
        return {f"{part}({name})": draw(_numbers(_PART_VALUES[part]))}
    if column.kind == "string" and draw(st.integers(0, 5)) == 0:
        if draw(st.booleans()):
            return {f"length({name})": draw(_numbers(_PART_VALUES["length"]))}
        return {f"lower({name})": {draw(st.sampled_from(["eq", "ne", "contains"])): draw(_scalars(name, column, pool))}}
    return {name: draw(_operands(type_name, name, column, pool))}


@st.composite
def _numbers(draw: st.DrawFn, choices: Sequence[int]) -> Json:
    name = draw(st.sampled_from(["eq", "ne", "in", *_RANGE]))
    number = draw(st.sampled_from(choices))
    return {name: [number] if name == "in" else number}


@st.composite
def _operands(draw: st.DrawFn, type_name: str, name: str, column: Column, pool: Sequence[str], depth: int = 1) -> Any:
    kind = column.kind
    if depth and draw(st.integers(0, 7)) == 0:
        operands = _operands(type_name, name, column, pool, depth - 1).filter(_is_operators)
        inner = draw(st.lists(operands, min_size=1, max_size=2))
        return draw(st.sampled_from([{"or": inner}, {"and": inner}, {"not": inner[0]}]))
    if draw(st.integers(0, 5)) == 0:
        return draw(st.sampled_from([None, {"null": True}, {"null": False}, {"empty": True}, {"empty": False}]))
    if kind == "json":
        return draw(_json_operands())
    scalars = _scalars(name, column, pool)
    if draw(st.integers(0, 5)) == 0:
        return draw(scalars | st.lists(scalars, max_size=3))
    operators = ["eq", "ne", "in", "nin"]
    if kind not in ("relation", "boolean", "enum"):
        operators += [*_RANGE, "between"]
    if kind in ("string", "text"):
        operators += _TEXT_OPERATORS
    operator = draw(st.sampled_from(operators))
    if operator in ("in", "nin"):
        return {operator: draw(st.lists(scalars, max_size=3))}
    if operator == "between":
        pair = [draw(scalars), draw(scalars)]
        if kind == "datetime" and len({len(one) == 10 for one in pair}) == 2:
            pair[1] = pair[0]
        pair.sort(key=lambda one: comparable(kind if len(str(one)) != 10 else "string", one))
        return {operator: pair}
    if operator in ("eq", "ne", *_RANGE) and draw(st.integers(0, 5)) == 0:
        others = [key for key, one in TYPES[type_name].columns.items() if one.kind == kind and one.target is None]
        if others and kind not in ("enum", "boolean"):
            return {operator: {"field": draw(st.sampled_from(others))}}
    operand = draw(scalars)
    if operator in ("like", "ilike"):
        operand = operand.replace("\\", "\\\\") + draw(st.sampled_from(["", "%", "_", "\\%"]))
    return {operator: operand}


def _scalars(name: str, column: Column, pool: Sequence[str]) -> st.SearchStrategy[Any]:
    if column.kind == "relation":
        return st.sampled_from([*pool, UNKNOWN_ID])
    if column.kind in ("string", "text"):
        return texts.map(lambda text: f"$${text[1:]}" if text.startswith("$now") else text)
    if column.kind == "datetime":
        return st.sampled_from([*_VALUES["datetime"], *_VALUES["date"]])
    return st.sampled_from(_choices(name, column))


@st.composite
def _json_operands(draw: st.DrawFn) -> Json:
    words = st.sampled_from(["a", "A", "b", "ß", "%", "zz"])
    kind = draw(st.sampled_from(["has", "has_any", "has_all", "length"]))
    if kind == "has":
        return {"has": draw(words)}
    if kind == "length":
        number = draw(st.integers(0, 2))
        return {"length": draw(st.sampled_from([number, {"gte": number}, {"lt": number}]))}
    return {kind: draw(st.lists(words, min_size=1, max_size=2))}


def _is_operators(value: Any) -> bool:
    return isinstance(value, dict)


def _is_plain(condition: Json) -> bool:
    return all("(" not in key for key in condition) and not any("field" in str(value) for value in condition.values())


def _to_ones(shape: Type) -> list[tuple[str, str]]:
    ones = [(parent.type, parent.type) for parent in shape.parents]
    return ones + [(key.removesuffix("_id"), one.target) for key, one in shape.columns.items() if one.target]


def _to_manies(type_name: str) -> list[tuple[str, str]]:
    manies = []
    for name, one in TYPES.items():
        manies += [(parent.segment, name) for parent in one.parents if parent.type == type_name]
        manies += [(str(column.reverse), name) for column in one.columns.values() if column.target == type_name]
    return manies


# ---------------------------------------------------------------- the rest of a search


@st.composite
def sort_keys(draw: st.DrawFn, type_name: str, *, counts: bool = False) -> list[str]:
    """Sort keys, of relations and functions too; none is the type's own order."""
    shape = TYPES[type_name]
    names = _sortable(shape)
    for relation, target in _to_ones(shape):
        names += [f"{relation}.{name}" for name in _sortable(TYPES[target])]
    names += [f"lower({name})" for name, one in shape.columns.items() if one.kind == "string"]
    if counts:
        names += [f"count({name})" for name, _ in _to_manies(type_name)]
    chosen = draw(st.lists(st.sampled_from(names), max_size=3, unique=True))
    keys = []
    for name in chosen:
        nulls = "" if name.startswith("count") else draw(st.sampled_from(["", "", ":nulls_first", ":nulls_last"]))
        keys.append(f"{draw(st.sampled_from(['', '-']))}{name}{nulls}")
    return keys


def _sortable(shape: Type) -> list[str]:
    return [name for name, one in shape.columns.items() if one.kind not in ("text", "json", "relation")]


@st.composite
def phrases(draw: st.DrawFn) -> str | None:
    """A ``q``, or none."""
    if draw(st.integers(0, 3)):
        return None
    words = draw(
        st.lists(st.sampled_from(["a", "B", "SS", "ß", "50%", '"a b"', '"b "', "É", "_"]), min_size=1, max_size=2)
    )
    return " ".join(words)


__all__ = ["TEXTS", "UNKNOWN_ID", "bodies", "filters", "fold", "phrases", "sort_keys", "texts", "values"]
