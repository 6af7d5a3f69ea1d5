"""The table of operators, the text functions, and the SQL of leaves, without a database."""

from __future__ import annotations

import fnmatch
import re
import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import bindparam, column

from engine.operators import OPERATORS, Subject, build_field_leaf, build_leaf, fold
from engine.operators.json import normal_json, read_path, sqlite_normal_json
from engine.operators.text import has_word, is_like, like_pattern, read_pattern, split_words
from engine.plan.shape import Dialect
from engine.registry.families import FAMILIES
from engine.registry.resource import Field
from engine.sql.statement import compile_statement


def test_the_families_name_exactly_the_operators_that_exist() -> None:
    assert {name for names in FAMILIES.values() for name in names} == set(OPERATORS)


def test_every_operator_is_built_or_negates_one_that_is() -> None:
    for row in OPERATORS.values():
        assert (row.build is None) == (row.negates is not None)
        assert row.negates is None or OPERATORS[row.negates].build is not None
        assert (row.prepare is not None) == (row.operand in ("text", "words") and row.negates is None)


def test_folding_lowers_each_character_alone() -> None:
    for code in range(0x110000):
        if 0xD800 <= code < 0xE000:
            continue
        char = chr(code)
        assert fold(char) == ("i" if char == "İ" else char.lower())
    assert fold("ΑΣ ΣΑΣ İI") == "ασ σασ ii"


@given(st.text("aB%_\\!é\n", max_size=12), st.text("aB%_\\!é\n", max_size=12))
def test_like_is_what_a_regular_expression_says(pattern: str, text: str) -> None:
    source = "".join({"%": ".*", "_": "."}.get(token, re.escape(token[1:])) for token in read_pattern(pattern))
    assert is_like(pattern, text) == (re.fullmatch(source, text, re.DOTALL) is not None)


@given(st.text("ab?*", max_size=10), st.text("ab", max_size=15))
def test_like_without_escapes_is_a_glob(pattern: str, text: str) -> None:
    asked = pattern.replace("*", "%").replace("?", "_")
    assert is_like(asked, text) == fnmatch.fnmatchcase(text, pattern)


def test_patterns_cannot_blow_up() -> None:
    began = time.process_time()
    assert not is_like("%a" * 5_000 + "b", "a" * 10_000)
    assert is_like("%" * 60_000, "x")
    assert like_pattern("%" * 60_000) == "%"
    assert time.process_time() - began < 0.5


@given(st.text(max_size=20), st.text(max_size=6))
def test_a_word_is_found_where_the_words_of_the_text_have_it(text: str, word: str) -> None:
    (first, *_) = [one for one in split_words(fold(word)) if one] or [""]
    if first:
        assert has_word(fold(text), first) == (first in split_words(fold(text)))


def test_words_are_letters_marks_digits_and_underscores() -> None:
    assert [word for word in split_words("né-2026_a, ٣x e\u0301!") if word] == ["né", "2026_a", "٣x", "e\u0301"]
    assert unicodedata.category("²") == "No"
    assert [word for word in split_words("x²") if word] == ["x"]


@pytest.mark.parametrize(
    ("text", "path", "guards"),
    [
        ("a.b[0]", '$."a"."b"[0]', ('$."a"."b"',)),
        ("a.b[2].c", '$."a"."b"[2]."c"', ()),
        ("/a/0/b", '$."a"[0]."b"', ('$."a"',)),
        ("/a~1b/c~0d", '$."a/b"."c~d"', ()),
        ("[0][0]", "$[0][0]", ("$", "$[0]")),
        ("é x", '$."é x"', ()),
        ("a.0", '$."a"."0"', ()),
    ],
)
def test_json_paths_are_read(text: str, path: str, guards: tuple[str, ...]) -> None:
    read = read_path(text)
    assert read is not None
    assert (read.text, read.guards) == (path, guards)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "a.",
        ".a",
        "a..b",
        "a[",
        "a[x]",
        "a[-1]",
        "a]",
        "a[0]b",
        'a"',
        "a\\",
        "a\0",
        "/",
        "x" * 600,
        "a." * 30 + "a",
    ],
)
def test_what_is_no_json_path_is_none(text: str) -> None:
    assert read_path(text) is None


def test_equal_documents_have_one_normal_form() -> None:
    assert sqlite_normal_json('{"b": 1.0, "a": [1e2, "x", null, true, -0]}') == '{"a":[1E+2,"x",null,true,0],"b":1}'
    assert normal_json({"a": [100, "x", None, True, 0], "b": 1}) == '{"a":[1E+2,"x",null,true,0],"b":1}'
    assert normal_json(True) != normal_json(1)
    assert normal_json("1") != normal_json(1)
    assert normal_json({"#": ["1"]}) != normal_json(1)
    assert normal_json(12345678901234567890123456789012345) != normal_json(12345678901234567890123456789012346)
    assert sqlite_normal_json("{") is None


# ---------------------------------------------------------------- SQL

EXACT = Field(name="a", column="a", kind="string")
FOLDED = Field(name="a", column="a", kind="string", is_exact=False, charset="latin1", collation="latin1_swedish_ci")


def sql_of(
    operator: str, field: Field, dialect: Dialect, binds: int = 1, *, negated: bool = False, variant: str = ""
) -> str:
    subject = Subject(column("a"), field, None, None, dialect)
    names = [bindparam(f"v{index}") for index in range(binds)]
    return compile_statement(build_leaf(operator, subject, names, negated=negated, variant=variant), dialect).text


@pytest.mark.parametrize(
    ("operator", "field", "dialect", "negated", "expected"),
    [
        ("eq", EXACT, "mariadb", False, "a = %s"),
        ("eq", EXACT, "mariadb", True, "a != %s OR a IS NULL"),
        ("eq", FOLDED, "mariadb", False, "a = %s AND (CONVERT(a USING utf8mb4) COLLATE utf8mb4_nopad_bin) = %s"),
        ("eq", FOLDED, "mariadb", True, "(CONVERT(a USING utf8mb4) COLLATE utf8mb4_nopad_bin) != %s OR a IS NULL"),
        ("eq", EXACT, "sqlite", False, "a = ?"),
        ("eq", FOLDED, "sqlite", False, "a = ? AND (a COLLATE BINARY) = ?"),
        ("starts_with", EXACT, "mariadb", False, "(a LIKE %s ESCAPE '!')"),
        (
            "starts_with",
            EXACT,
            "sqlite",
            False,
            "(a >= ? AND a < (? || CAST(X'FF' AS TEXT)) AND substr(a, 1, length(?)) = ?)",
        ),
        ("contains", EXACT, "sqlite", True, "(NOT (instr(a, ?) > 0)) OR a IS NULL"),
        ("lt", EXACT, "mariadb", True, "(a >= %s) OR a IS NULL"),
        ("ieq", EXACT, "sqlite", False, "aether_fold(a) = ?"),
        (
            "ieq",
            EXACT,
            "mariadb",
            False,
            "(LOWER(CONVERT(a USING utf8mb4) COLLATE utf8mb4_uca1400_as_ci) COLLATE utf8mb4_nopad_bin) = %s",
        ),
    ],
)
def test_the_clause_of_a_leaf(operator: str, field: Field, dialect: Dialect, negated: bool, expected: str) -> None:
    assert sql_of(operator, field, dialect, negated=negated) == expected


def test_an_operand_that_the_column_cannot_hold_is_compared_in_unicode_alone() -> None:
    clause = sql_of("eq", FOLDED, "mariadb", variant="unencodable")
    assert clause == "(CONVERT(a USING utf8mb4) COLLATE utf8mb4_nopad_bin) = %s"


def test_lists_take_one_placeholder_for_each_value() -> None:
    assert sql_of("in", EXACT, "mariadb", 4) == "a IN (%s, %s, %s, %s)"
    assert sql_of("in", EXACT, "sqlite", 2, negated=True) == "(a NOT IN (?, ?)) OR a IS NULL"


def test_decimals_of_two_scales_meet_at_the_larger_one_on_sqlite() -> None:
    two = Subject(column("a"), Field(name="a", column="a", kind="decimal", scale=2), None, None, "sqlite")
    four = Subject(column("b"), Field(name="b", column="b", kind="decimal", scale=4), None, None, "sqlite")
    assert compile_statement(build_field_leaf("gt", two, four, negated=False), "sqlite").text == "((a * 100) > b)"
