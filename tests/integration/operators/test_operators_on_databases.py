"""Every operator against rows, on SQLite and on MariaDB: its example, NULL, negation, and where databases differ."""

from __future__ import annotations

import pytest

from engine.operators import OPERATORS, Operator
from tests.support.conditions import World, make_field, make_registry
from tests.support.databases import opened

COLUMN = {"string": "title", "integer": "n", "json": "tags"}


async def test_every_example_hits_and_misses_and_its_negation_is_the_rest(database_url: str) -> None:
    async with opened(database_url) as database:
        world = World(make_registry(), database)
        await world.create()
        wrong = [name for name, row in OPERATORS.items() if not await _holds(world, row)]
    assert not wrong


async def _holds(world: World, row: Operator) -> bool:
    await world.database.execute("DELETE FROM journal")
    column = COLUMN[row.example.kind]
    hit = await world.insert("journal", **{column: row.example.hit})
    miss = await world.insert("journal", **{column: row.example.miss})
    null = await world.insert("journal")
    asked = {column: {row.name: row.example.operand}}
    found = await world.find(asked)
    rest = await world.find({"not": asked})
    twice = await world.find({"not": {column: {"not": {row.name: row.example.operand}}}})
    return hit in found and (miss not in found) and sorted(found + rest) == sorted({hit, miss, null}) and twice == found


TEXTS = [
    "Ab", "ab", "AB", "Ab ", " Ab", "é", "É", "e", "ß", "ss", "SS", "İ", "i", "ı", "I", "Σ", "ς", "σ", "",
    " ", "%", "_", "a%b", "a_b", "axb", "\\", "a\\b", "!", "'", '"', "😀", "ﬀ", "ff", "\u212a", "k", "tax", "taxes",
    "Tax-2026", "x" * 300 + "tax", "line\nbreak", "né tax",
]  # fmt: skip

ASKED = [
    ("eq", "Ab", lambda text, op: text == op),
    ("eq", "Ab ", lambda text, op: text == op),
    ("eq", "", lambda text, op: text == op),
    ("eq", "\\", lambda text, op: text == op),
    ("in", ["é", "%", "\u212a"], lambda text, op: text in op),
    ("ieq", "AB", lambda text, op: text.lower() == op.lower()),
    ("ieq", "i", lambda text, op: text in ("i", "I", "İ")),
    ("ieq", "σ", lambda text, op: text in ("σ", "Σ")),
    ("ieq", "É", lambda text, op: text in ("é", "É")),
    ("ieq", "k", lambda text, op: text in ("k", "\u212a")),
    ("contains", "%", lambda text, op: op in text),
    ("contains", "_", lambda text, op: op in text),
    ("contains", "\\", lambda text, op: op in text),
    ("contains", "!", lambda text, op: op in text),
    ("contains", "", lambda text, op: True),
    ("contains", "%" * 60_000, lambda text, op: False),
    ("contains", "b ", lambda text, op: op in text),
    ("icontains", "TAX", lambda text, op: "tax" in text.lower()),
    ("icontains", "A%B", lambda text, op: "a%b" in text.lower()),
    ("starts_with", "a", lambda text, op: text.startswith(op)),
    ("starts_with", "a_", lambda text, op: text.startswith(op)),
    ("starts_with", "", lambda text, op: True),
    ("starts_with", "😀", lambda text, op: text.startswith(op)),
    ("istarts_with", "TA", lambda text, op: text.lower().startswith("ta")),
    ("ends_with", "b ", lambda text, op: text.endswith(op)),
    ("ends_with", "b", lambda text, op: text.endswith(op)),
    ("iends_with", "TAX", lambda text, op: text.lower().endswith("tax")),
    ("like", "a_b", lambda text, op: len(text) == 3 and text[0] == "a" and text[2] == "b"),
    ("like", "a\\_b", lambda text, op: text == "a_b"),
    ("like", "%\\%%", lambda text, op: "%" in text),
    ("like", "\\\\", lambda text, op: text == "\\"),
    ("like", "\\", lambda text, op: text == "\\"),
    ("like", "%", lambda text, op: True),
    ("like", "%" * 60_000, lambda text, op: True),
    ("like", "_", lambda text, op: len(text) == 1),
    ("like", "%x%x%x%x%x%x%x%x%x%x%x%y", lambda text, op: False),
    ("ilike", "A_B", lambda text, op: len(text) == 3 and text.lower()[0] == "a" and text.lower()[2] == "b"),
    ("search", "TAX", lambda text, op: text in ("tax", "Tax-2026", "né tax")),
    ("search", "2026 tax", lambda text, op: text == "Tax-2026"),
    ("search", "tax tax tax né", lambda text, op: text == "né tax"),
    ("search", "---", lambda text, op: True),
    ("empty", True, lambda text, op: text == ""),
    ("lt", "b", lambda text, op: text < op),
    ("gte", "é", lambda text, op: text >= op),
    ("between", ["A", "b"], lambda text, op: op[0] <= text <= op[1]),
]


async def test_text_compares_alike_on_both_databases_and_in_python(database_url: str) -> None:
    async with opened(database_url) as database:
        world = World(make_registry(), database)
        await world.create()
        ids = {await world.insert("journal", body=text): text for text in TEXTS}
        null = await world.insert("journal")
        wrong = []
        for operator, operand, holds in ASKED:
            expected = {row for row, text in ids.items() if holds(text, operand)}
            if operator == "empty":
                expected.add(null)
            found = await world.find({"body": {operator: operand}})
            rest = await world.find({"not": {"body": {operator: operand}}})
            if set(found) != expected or set(rest) != {*ids, null} - expected:
                shown = str(operand)[:30]
                wrong.append((operator, shown, [ids.get(row) for row in expected ^ set(found)]))
        assert not wrong


@pytest.mark.mariadb
@pytest.mark.parametrize(("charset", "collation"), [("latin1", "latin1_swedish_ci"), ("utf8mb3", "utf8mb3_general_ci")])
async def test_a_reflected_column_that_folds_case_and_spaces_is_compared_exactly(
    mariadb_url: str, charset: str, collation: str
) -> None:
    field = make_field("old", "string", charset=charset, collation=collation, is_exact=False, size=100)
    async with opened(mariadb_url) as database:
        world = World(make_registry(field), database)
        await world.create()
        sql = f"ALTER TABLE journal MODIFY COLUMN old VARCHAR(100) CHARACTER SET {charset} COLLATE {collation}"
        await database.execute(sql)
        texts = ["Ab", "ab", "Ab ", "é", "e", "É", "", " ", "a_b", "tax"]
        ids = {await world.insert("journal", old=text): text for text in texts}
        null = await world.insert("journal")
        asked = [entry for entry in ASKED if entry[0] not in ("lt", "gte", "between")]
        asked.append(("eq", "日本😀", lambda text, op: False))
        asked.append(("in", ["日本😀", "Ab"], lambda text, op: text == "Ab"))
        asked.append(("starts_with", "日本😀", lambda text, op: False))
        asked.append(("icontains", "日本😀", lambda text, op: False))
        wrong = []
        for operator, operand, holds in asked:
            expected = {row for row, text in ids.items() if holds(text, operand)}
            if operator == "search" and operand == "tax tax tax né":
                expected = set()
            if operator == "empty":
                expected.add(null)
            found = await world.find({"old": {operator: operand}})
            rest = await world.find({"not": {"old": {operator: operand}}})
            if set(found) != expected or set(rest) != {*ids, null} - expected:
                wrong.append((operator, str(operand)[:30], [ids.get(row) for row in expected ^ set(found)]))
        assert not wrong
        for operator in ("lt", "gte"):
            found = await world.find({"old": {operator: "日本😀"}})
            rest = await world.find({"not": {"old": {operator: "日本😀"}}})
            assert len(found) + len(rest) == len(ids) + 1


DOCUMENTS = [
    [1, "x", True, None, [1]], [True], ["1"], [1.0], [[1]], "x", "X", "x ", 1, 1.5, True, False, None, [], {}, "",
    {"a": {"b": ["x", "y"]}, "n": 5}, {"a": {"b": "x"}}, {"a": None}, {"n": 5.0}, {"n": "5"}, {"n": True},
    {"b": 1, "a": 2}, {"a.b": 1}, {"": 1}, {"é": "É"}, {"0": "zero"}, ["a", "b", "c"], {"t": "Tax 2026"}, {"*": 1},
]  # fmt: skip

JSON_ASKED = [
    ({"has": 1}, lambda d: isinstance(d, list) and any(type(x) in (int, float) and x == 1 for x in d)),
    ({"has": True}, lambda d: isinstance(d, list) and any(x is True for x in d)),
    ({"has": "x"}, lambda d: isinstance(d, list) and any(x == "x" for x in d)),
    ({"has": "X"}, lambda d: False),
    (
        {"has_any": ["a", 1]},
        lambda d: isinstance(d, list) and any(type(x) in (int, float, str) and x in ("a", 1) for x in d),
    ),
    ({"has_all": ["a", "b"]}, lambda d: d == ["a", "b", "c"]),
    ({"has_all": ["x", True, 1]}, lambda d: d == [1, "x", True, None, [1]]),
    ({"has_all": []}, lambda d: isinstance(d, list)),
    ({"has_any": []}, lambda d: False),
    ({"has_key": "a"}, lambda d: isinstance(d, dict) and "a" in d),
    ({"has_key": ""}, lambda d: isinstance(d, dict) and "" in d),
    ({"has_key": "é"}, lambda d: isinstance(d, dict) and "é" in d),
    ({"length": 3}, lambda d: d == ["a", "b", "c"]),
    ({"length": {"gte": 1, "lt": 3}}, lambda d: isinstance(d, list | dict) and 1 <= len(d) < 3),
    ({"length": 0}, lambda d: d in ([], {}) and isinstance(d, list | dict)),
    ({"eq": "x"}, lambda d: d == "x"),
    ({"eq": {"a": 2, "b": 1}}, lambda d: d == {"a": 2, "b": 1}),
    ({"eq": [1]}, lambda d: isinstance(d, list) and len(d) == 1 and type(d[0]) in (int, float) and d[0] == 1),
    ({"in": ["x", 1]}, lambda d: d == "x" or (type(d) in (int, float) and d == 1)),
    ({"ne": "x"}, lambda d: d != "x"),
    ({"null": True}, lambda d: d is None),
    ({"empty": True}, lambda d: d is None or (d in ("", [], {}) and d is not False)),
    ({"json": {"a.b[0]": "x"}}, lambda d: d == {"a": {"b": ["x", "y"]}, "n": 5}),
    ({"json": {"a.b": "x"}}, lambda d: d == {"a": {"b": "x"}}),
    ({"json": {"/a/b/1": {"eq": "y"}}}, lambda d: d == {"a": {"b": ["x", "y"]}, "n": 5}),
    ({"json": {"/a.b": 1}}, lambda d: d == {"a.b": 1}),
    ({"json": {"n": 5}}, lambda d: isinstance(d, dict) and type(d.get("n")) in (int, float) and d["n"] == 5),
    ({"json": {"n": {"gt": 4}}}, lambda d: isinstance(d, dict) and type(d.get("n")) in (int, float)),
    ({"json": {"n": {"lt": "6"}}}, lambda d: d == {"n": "5"}),
    ({"json": {"n": True}}, lambda d: isinstance(d, dict) and d.get("n") is True),
    ({"json": {"n": {"ne": 5}}}, lambda d: not (isinstance(d, dict) and type(d.get("n")) in (int, float))),
    ({"json": {"n": {"in": [5, "5"]}}}, lambda d: isinstance(d, dict) and "n" in d and d["n"] is not True),
    ({"json": {"n": {"between": [4, 6]}}}, lambda d: isinstance(d, dict) and type(d.get("n")) in (int, float)),
    ({"json": {"a": {"null": False}}}, lambda d: isinstance(d, dict) and d.get("a") is not None),
    ({"json": {"a.b": {"has": "y"}}}, lambda d: d == {"a": {"b": ["x", "y"]}, "n": 5}),
    ({"json": {"a.b": {"length": 2}}}, lambda d: d == {"a": {"b": ["x", "y"]}, "n": 5}),
    ({"json": {"é": {"ieq": "é"}}}, lambda d: d == {"é": "É"}),
    ({"json": {"t": {"icontains": "x 2"}}}, lambda d: d == {"t": "Tax 2026"}),
    ({"json": {"t": {"starts_with": "Tax"}}}, lambda d: d == {"t": "Tax 2026"}),
    ({"json": {"*": 1}}, lambda d: d == {"*": 1}),
    ({"json": {"[0]": "a"}}, lambda d: d == ["a", "b", "c"]),
    ({"json": {"[2]": "c", "[1]": {"or": ["b", "z"]}}}, lambda d: d == ["a", "b", "c"]),
    ({"json": {"0": "zero"}}, lambda d: d == {"0": "zero"}),
    ({"json": {"a.b": {"not": {"has": "x"}}}}, lambda d: d != {"a": {"b": ["x", "y"]}, "n": 5}),
]


async def test_documents_are_asked_alike_on_both_databases(database_url: str) -> None:
    async with opened(database_url) as database:
        world = World(make_registry(), database)
        await world.create()
        ids = [(await world.insert("journal", tags=None if one is None else one), one) for one in DOCUMENTS]
        wrong = []
        for asked, holds in JSON_ASKED:
            expected = {row for row, one in ids if holds(one)}
            found = await world.find({"tags": asked})
            rest = await world.find({"not": {"tags": asked}})
            if set(found) != expected or set(rest) != {row for row, _ in ids} - expected:
                wrong.append((asked, [one for row, one in ids if row in expected ^ set(found)]))
        assert not wrong
